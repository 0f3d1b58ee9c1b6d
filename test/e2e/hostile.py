"""Servers that misbehave, one behaviour each.

In a test: `with Hostile() as servers: port = servers.serve("accepts_and_is_silent")`. As a program, for a host of its own or a
process that can be stopped: `hostile.py ADDRESS BEHAVIOUR...` prints {behaviour: port}, then for each line on stdin the counts,
and ends with its stdin.
"""
import asyncio
import contextlib
import functools
import gzip
import json
import socket
import struct
import sys
import threading

from waiting import idle

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n"
HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
MEGABYTE = b"x" * 2**20
PAGE_LINE = b'http_requests_total{code="200",path="/some/where",instance="%07d"} 1\n'

BEHAVIOURS = {}


def behaviour(act):
    BEHAVIOURS[act.__name__] = act
    return act


@functools.lru_cache(maxsize=None)
def bomb():
    """50 MB in 48 kB."""
    return gzip.compress(bytes(50_000_000))


@functools.lru_cache(maxsize=None)
def page(lines):
    return b"".join(PAGE_LINE % n for n in range(lines))


class Client:
    """One connection that a behaviour is let loose on."""

    def __init__(self, reader, writer, number, on_request):
        self.reader, self.writer, self.number, self.on_request = reader, writer, number, on_request

    async def request(self):
        """The head of the next request; an error when the client has gone."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        self.on_request()
        return head

    async def send(self, data):
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, data):
        await self.request()
        await self.send(data)

    async def flood(self, data):
        """Until the client does not want it any more."""
        while not self.writer.is_closing():
            await self.send(data)
            await idle(0)

    async def drip(self, data):
        for i in range(len(data)):
            await self.send(data[i:i + 1])
            await idle(1)

    async def forever(self):
        """Reads what comes until the client goes."""
        while await self.reader.read(65536):
            pass

    def reset(self):
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


def says(name, text):
    """A behaviour that gives the same bytes to every request and closes."""
    async def act(client):
        await client.answer(text)
    act.__name__ = name
    return behaviour(act)


def says_and_waits(name, text):
    """The same, and it leaves the connection open."""
    async def act(client):
        await client.answer(text)
        await client.forever()
    act.__name__ = name
    return behaviour(act)


# Well enough.

says("ordinary", GOOD)
says("page_with_a_counter", HEAD + b"Content-Length: 7\r\n\r\nseen 1\n")
says("takes_notices", b"HTTP/1.1 204 No Content\r\n\r\n")
says_and_waits("answers_twice", GOOD + GOOD)
says_and_waits("answers_bad_then_good", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nno\n" + GOOD)
says("nul_in_body", HEAD + b"Content-Length: 4\r\n\r\n\0ok\0")


@behaviour
async def answers_unasked(client):
    """Before the request has come, and stays."""
    await client.send(GOOD)
    await client.forever()


@behaviour
async def answers_then_resets(client):
    await client.answer(GOOD)
    client.reset()


@behaviour
async def page_of_a_million_lines(client):
    await client.answer(HEAD + b"\r\n")
    for _ in range(10):
        await client.send(page(100_000))


@behaviour
async def page_below_64_mib(client):
    whole = 64 * 2**20 // len(page(1))
    await client.answer(HEAD + b"Content-Length: %d\r\n\r\n" % (whole * len(page(1))))
    while whole > 0:
        await client.send(page(min(whole, 100_000)))
        whole -= 100_000


# Time.


@behaviour
async def accepts_and_is_silent(client):
    await client.forever()


@behaviour
async def reads_and_is_silent(client):
    await client.request()
    await client.forever()


@behaviour
async def serves_every_second(client):
    """The others are left in the queue, as it seems to them."""
    if client.number % 2:
        await client.forever()
    else:
        await client.answer(GOOD)


@behaviour
async def drips(client):
    """One byte a second."""
    await client.request()
    await client.drip(GOOD)


@behaviour
async def drips_headers(client):
    await client.answer(HEAD)
    while True:
        await client.send(b"X: y\r\n")
        await idle(0.05)


@behaviour
async def drips_interim(client):
    await client.request()
    while True:
        await client.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await idle(0.05)


@behaviour
async def drips_chunks(client):
    await client.answer(CHUNKED)
    while True:
        await client.send(b"1\r\nx\r\n")
        await idle(0.05)


says_and_waits("stops_in_the_body", HEAD + b"Content-Length: 10000000000\r\n\r\nok")
says_and_waits("stops_in_a_huge_chunk", CHUNKED + b"7fffffffffffffff\r\nok")
says_and_waits("stops_in_the_headers", HEAD + b"X-Half: ")


# Size.


@behaviour
async def endless_headers(client):
    await client.answer(HEAD)
    await client.flood(b"X-Header: " + b"y" * 200 + b"\r\n")


@behaviour
async def endless_header(client):
    """One that never ends."""
    await client.answer(HEAD + b"X-Header: ")
    await client.flood(b"y" * 4096)


@behaviour
async def endless_interim(client):
    await client.request()
    await client.flood(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)


@behaviour
async def endless_chunks(client):
    await client.answer(CHUNKED)
    await client.flood(b"1\r\nx\r\n" * 1000)


@behaviour
async def endless_chunk_line(client):
    await client.answer(CHUNKED)
    await client.flood(b"0" * 4096)


@behaviour
async def endless_chunk_extension(client):
    await client.answer(CHUNKED + b"1;")
    await client.flood(b"x" * 4096)


@behaviour
async def endless_trailers(client):
    await client.answer(CHUNKED + b"0\r\n")
    await client.flood(b"X-Trailer: " + b"y" * 200 + b"\r\n")


@behaviour
async def chunk_of_half_the_numbers(client):
    await client.answer(CHUNKED + b"8000000000000000\r\n")
    await client.flood(MEGABYTE)


@behaviour
async def ten_gigabytes(client):
    await client.answer(HEAD + b"Content-Length: 10000000000\r\n\r\n")
    await client.flood(MEGABYTE)


@behaviour
async def endless_body(client):
    await client.answer(HEAD + b"\r\n")
    await client.flood(MEGABYTE)


@behaviour
async def endless_line(client):
    """A page without a line end."""
    await client.answer(HEAD + b"\r\nname")
    await client.flood(b"x" * 65536)


@behaviour
async def gzip_unasked(client):
    await client.answer(HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb()))
    await client.send(bomb())


@behaviour
async def hundred_thousand_headers(client):
    await client.answer(HEAD + b"".join(b"X-%d: y\r\n" % n for n in range(100_000)) + b"\r\n")


@behaviour
async def version_of_a_megabyte(client):
    await client.answer(HEAD + b"X-Version: " + MEGABYTE + b"\r\nContent-Length: 3\r\n\r\nok\n")


# Form.

says("version_too_long", HEAD + b"X-Version: " + b"1" * 64 + b"\r\nContent-Length: 3\r\n\r\nok\n")
says("version_twice", HEAD + b"X-Version: 1\r\nX-Version: 2\r\nContent-Length: 3\r\n\r\nok\n")
says("nul_in_status_line", b"HTTP/1.1 200 O\0K\r\nContent-Length: 3\r\n\r\nok\n")
says("nul_in_header", HEAD + b"X: \0\r\nContent-Length: 3\r\n\r\nok\n")
says("http_0_9", b"<html>ok</html>")
says("ssh", b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")
says("tls_alert", b"\x15\x03\x01\x00\x02\x02\x16")
says("noise", bytes(range(256)) * 64)
says("status_99", b"HTTP/1.1 099 Low\r\nContent-Length: 3\r\n\r\nok\n")
says("status_600", b"HTTP/1.1 600 High\r\nContent-Length: 3\r\n\r\nok\n")
says("status_2000", b"HTTP/1.1 2000 OK\r\nContent-Length: 3\r\n\r\nok\n")
says("status_101", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n")
says("status_503", b"HTTP/1.1 503 No\r\nContent-Length: 3\r\n\r\nok\n")
says("length_twice", HEAD + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nok\n")
says("length_negative", HEAD + b"Content-Length: -1\r\n\r\nok\n")
says("length_beyond_numbers", HEAD + b"Content-Length: 18446744073709551616\r\n\r\nok\n")
says("coding_twice", HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nok\n\r\n0\r\n\r\n")
says("coding_and_length", HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nok\n")
says("coding_unknown", HEAD + b"Transfer-Encoding: gzip\r\n\r\nok\n")
says("lone_return_in_header", HEAD + b"X: a\rb\r\nContent-Length: 3\r\n\r\nok\n")
says("lone_return_in_chunk", CHUNKED + b"3\rok\n\r\n0\r\n\r\n")
says("chunk_without_number", CHUNKED + b"x\r\nok\n\r\n0\r\n\r\n")
says("chunk_beyond_numbers", CHUNKED + b"10000000000000000\r\nok\n\r\n0\r\n\r\n")
says("chunk_too_long", CHUNKED + b"1\r\nok\n\r\n0\r\n\r\n")
says("folded_header", HEAD + b"X: a\r\n b\r\nContent-Length: 3\r\n\r\nok\n")
says("redirects_to_itself", b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n")
says("redirects_to_a_file", b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n")
says("redirects_to_the_cloud", b"HTTP/1.1 307 Over there\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n")


# Endings.


@behaviour
async def resets_at_once(client):
    client.reset()


@behaviour
async def noise_at_once(client):
    await client.send(bytes(range(256)) * 64)
    await client.forever()


@behaviour
async def ssh_at_once(client):
    await client.send(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")
    await client.forever()


@behaviour
async def resets_on_request(client):
    await client.request()
    client.reset()


@behaviour
async def resets_in_the_body(client):
    await client.answer(HEAD + b"Content-Length: 100\r\n\r\nok\n")
    client.reset()


@behaviour
async def closes_its_side(client):
    """Half: it still reads."""
    client.writer.write_eof()
    await client.forever()


says("closes_without_answer", b"")
says("closes_in_the_headers", HEAD + b"X-Half: ")
says("closes_in_the_body", HEAD + b"Content-Length: 100\r\n\r\nok\n")
says("closes_in_a_chunk", CHUNKED + b"64\r\nok\n")


# The handshake of TLS.


@behaviour
async def drips_a_handshake(client):
    """A record of 16 KiB, byte by byte."""
    await client.reader.read(1)
    await client.drip(b"\x16\x03\x03\x40\x00" + bytes(16384))


@behaviour
async def resets_in_the_handshake(client):
    await client.reader.read(1)
    client.reset()


@behaviour
async def closes_in_the_handshake(client):
    await client.reader.read(65536)


@behaviour
async def refuses_the_handshake(client):
    """An alert: handshake_failure."""
    await client.reader.read(65536)
    await client.send(b"\x15\x03\x03\x00\x02\x02\x28")
    await client.forever()


@behaviour
async def record_beyond_its_limit(client):
    """More than a record may be."""
    await client.reader.read(65536)
    await client.send(b"\x16\x03\x03\xff\xff")
    await client.flood(MEGABYTE)


@behaviour
async def endless_handshake(client):
    """HelloRequests, which are to be passed over."""
    await client.reader.read(65536)
    await client.flood(b"\x16\x03\x03\x00\x04\x00\x00\x00\x00" * 1000)


class Hostile:
    """A thread with one loop for all of a test's servers. `accepted` and `requests` count by behaviour. One whose name has the
    end "_in_tls" behaves so within TLS, by the context `tls`."""

    def __init__(self, address="127.0.0.1", tls=None):
        self.address, self.tls = address, tls
        self.accepted, self.requests, self.ports = {}, {}, {}
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def serve(self, name):
        """Starts a behaviour on a port of its own, which is returned."""
        if name not in self.ports:
            self.accepted[name] = self.requests[name] = 0
            self.ports[name] = asyncio.run_coroutine_threadsafe(self.open(name), self.loop).result(30)
        return self.ports[name]

    async def open(self, name):
        act = BEHAVIOURS[name.removesuffix("_in_tls")]
        tls = self.tls if name.endswith("_in_tls") else None

        async def run(reader, writer):
            self.accepted[name] += 1
            client = Client(reader, writer, self.accepted[name], functools.partial(self.count, name))
            # The client may go away at any time.
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                await act(client)
            writer.close()
        server = await asyncio.start_server(run, self.address, 0, ssl=tls, backlog=1024)
        return server.sockets[0].getsockname()[1]

    def count(self, name):
        self.requests[name] += 1

    def stop(self):
        async def end():
            for task in asyncio.all_tasks():
                if task is not asyncio.current_task():
                    task.cancel()
            await idle(0)
        asyncio.run_coroutine_threadsafe(end(), self.loop).result(30)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


def main(address, *names):
    servers = Hostile(address)
    print(json.dumps({name: servers.serve(name) for name in names}), flush=True)
    for _ in sys.stdin:
        print(json.dumps({"accepted": servers.accepted, "requests": servers.requests}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
