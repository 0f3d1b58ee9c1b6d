"""Names that rollbackd resolves, and the hosts behind them: a name server that a test scripts, which only rollbackd asks, and
instances of a service at addresses of their own."""
import ctypes
import ipaddress
import itertools
import os
import random
import socket
import struct
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

A, AAAA = 1, 28
NXDOMAIN, SERVFAIL = 3, 2
# What may stand in a zone in place of addresses.
FAILS, GARBAGE = "it says that it failed", "no DNS message"
CLONE_NEWNET = 0x40000000
ENTER = """
mount --bind "$1" /etc/resolv.conf
mount --bind "$2" /etc/nsswitch.conf
shift 2
exec "$@"
"""


class Network:
    """A network of its own, with the addresses of lo and no others: a thread that has left ours. What it makes is there."""

    def __init__(self):
        self.thread = ThreadPoolExecutor(1, initializer=self.enter)
        self.command("ip", "link", "set", "lo", "up")

    @staticmethod
    def enter():
        if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "unshare")

    def run(self, function, *arguments):
        return self.thread.submit(function, *arguments).result()

    def command(self, *words):
        self.run(lambda: subprocess.run(words, check=True, timeout=10))

    def stop(self):
        self.thread.shutdown()


class NameServer:
    """Answers for the names in `zone`: a list of addresses, None for no answer at all, FAILS, GARBAGE; other names do not exist.
    It turns the order of the addresses from answer to answer."""

    def __init__(self):
        self.zone = {}
        self.delay = 0.0
        self.asked = {}
        self.turn = itertools.count()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.network = self.bind()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def bind(self):
        """Port 53 of an address that nobody else uses: resolv.conf names no port."""
        while True:
            network = f"127.{random.randrange(1, 255)}.{random.randrange(1, 255)}."
            try:
                self.socket.bind((network + "253", 53))
                return network
            except OSError:
                continue

    def address(self, n):
        """One of 250 that only this test uses."""
        return self.network + str(n)

    def enter(self, folder):
        """What goes before a program's words so that it asks nobody else."""
        resolv, switch = folder / "resolv.conf", folder / "nsswitch.conf"
        resolv.write_text(f"nameserver {self.network}253\noptions timeout:2 attempts:1\n")
        switch.write_text("hosts: dns\n")
        return ["unshare", "--mount", "sh", "-euc", ENTER, "enter", str(resolv), str(switch)]

    def serve(self):
        while True:
            request, client = self.socket.recvfrom(4096)
            if request == b"END":
                return
            threading.Timer(self.delay, self.answer, (request, client)).start()

    def answer(self, request, client):
        name, end = self.name_in(request)
        kind = struct.unpack(">H", request[end:end + 2])[0]
        question = request[12:end + 4]
        self.asked[name] = self.asked.get(name, 0) + 1
        addresses = self.zone.get(name, [])
        if addresses is None:
            return
        if addresses == GARBAGE:
            self.socket.sendto(bytes(40), client)
            return
        code = NXDOMAIN if name not in self.zone else SERVFAIL if addresses == FAILS else 0
        if code:
            addresses = []
        wanted = [a.packed for a in map(ipaddress.ip_address, addresses) if a.version == (4 if kind == A else 6)]
        if kind not in (A, AAAA):
            wanted = []
        turn = next(self.turn) % max(len(wanted), 1)
        wanted = wanted[turn:] + wanted[:turn]
        head = request[:2] + struct.pack(">HHHHH", 0x8580 | code, 1, len(wanted), 0, 0)
        records = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 0, len(packed)) + packed for packed in wanted)
        self.socket.sendto(head + question + records, client)

    @staticmethod
    def name_in(request):
        labels, at = [], 12
        while length := request[at]:
            labels.append(request[at + 1:at + 1 + length].decode())
            at += 1 + length
        return ".".join(labels), at + 1

    def stop(self):
        # To itself: the network may be another one than this thread's.
        self.socket.sendto(b"END", (self.network + "253", 53))
        self.thread.join()
        self.socket.close()


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        instance = self.server.instance
        instance.requests += 1
        body = b"bad" if instance.is_bad() else b"ok"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


class ListenerOf6(Listener):
    address_family = socket.AF_INET6


class Instance:
    """Says ok at an address, or what it is told."""

    def __init__(self, address, port=0, is_bad=lambda: False):
        self.requests = 0
        self.is_bad = is_bad
        kind = ListenerOf6 if ":" in address else Listener
        self.server = kind((address, port), Handler)
        self.server.instance = self
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def stop(self):
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.thread.join()
        self.server = None


def busy_resolvers(pid, port=53):
    """How many of a process' sockets wait for a name server."""
    own = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            own.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except FileNotFoundError:
            continue
    with open(f"/proc/{pid}/net/udp", encoding="ascii") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    return sum(f"socket:[{row[9]}]" in own and int(row[2].split(":")[1], 16) == port for row in rows)
