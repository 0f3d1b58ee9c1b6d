"""Hundreds of targets that hang, a client that takes every connection, and few descriptors. The API, the ledger and the other
probes go on, nobody is convicted who was not asked, and it passes by itself."""
import asyncio
import contextlib
import os
import pathlib
import resource
import socket
import threading
import time

import pytest
from supervisor import SANITIZED
from waiting import idle, stays, wait_until
from world import SERVICE

pytestmark = pytest.mark.sanitize


class Hanging:
    """Takes connections and says nothing, until told to answer."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self.socket.getsockname()[1]
        self.answers = threading.Event()
        self.taken = []
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            if self.answers.is_set():
                with contextlib.suppress(OSError), connection:
                    connection.settimeout(1)
                    connection.recv(4096)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
                continue
            self.taken.append(connection)
            # What its client has given up is closed.
            while len(self.taken) > 400:
                self.taken.pop(0).close()

    def stop(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.socket.close()
        for connection in self.taken:
            connection.close()


def start(world, limit):
    world.daemon.prefix = ["prlimit", f"--nofile={limit}:{limit}"]
    world.start()
    world.deploy("v2")
    pid = world.daemon.process.pid
    assert resource.prlimit(pid, resource.RLIMIT_NOFILE)[0] == limit
    return pid


def processor_time(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def assert_calm(world, pid, limit, seconds=4, local=True):
    """While it lasts: everybody is served, and the processor has little to do."""
    began, used = time.monotonic(), processor_time(pid)
    requests = world.application.requests
    longest = 0.0

    def served():
        nonlocal longest
        asked = time.monotonic()
        assert world.daemon.ask("/livez", local=local).status == 200
        assert world.daemon.ask("/readyz", local=local).status == 200, "the ledger"
        longest = max(longest, time.monotonic() - asked)
        return len(os.listdir(f"/proc/{pid}/fd")) <= limit * 7 / 8
    stays(served, "some descriptors are free", seconds)
    passed = time.monotonic() - began
    assert world.application.requests - requests >= 15 * passed * 0.6, "the healthy service's probes"
    def service():
        return world.daemon.ask(f"/api/v1/services/{SERVICE}", local=local).json
    assert service()["health"] in ("watching", "warming") and world.changes() == []
    # A person's word reaches the ledger.
    world.call("pause", SERVICE, "3 seconds", "audit")
    wait_until(lambda: next(g for g in service()["guards"] if g["guard"] == "pause")["answer"] != "passes", "the pause to be seen")
    if not SANITIZED:
        assert (processor_time(pid) - used) / passed < 0.25, "a busy loop"
        assert longest < 1


def test_hundreds_of_targets_hang(world):
    limit = 64
    hanging = world.add(Hanging())
    pid = start(world, limit)
    probes = {f"p{n}": {"kind": "http", "interval": "1s", "timeout": "500ms",
                        "targets": [f"http://127.0.0.1:{hanging.port}/{n}/{i}" for i in range(200)]} for n in range(2)}
    rules = [{"name": name, "kind": "down", "probe": name, "response": "rollback"} for name in probes]
    world.call("register", "many", "v1", True, "known good")
    world.write_policy({"service": "many", "probes": probes, "rules": rules, "rollback": {"mode": "automatic"},
                        "release": {"warmup": "0s"}})
    world.daemon.reload()
    wait_until(lambda: world.daemon.metric("rollbackd_probes_overdue_total") > 100, "targets without a place")
    found = {(t["outcome"], t["state"]) for p in world.service("many")["probes"] for t in p["targets"]}
    # Who was asked and did not answer is bad; whoever was not asked is unknown.
    assert found <= {("timeout", "unknown"), ("timeout", "bad"), ("overdue", "unknown"), ("overdue", "bad"), (None, "unknown")}
    words = [t["words"] for p in world.service("many")["probes"] for t in p["targets"] if t["outcome"] == "overdue"]
    assert any("of the 16 descriptors that rollbackd's LimitNOFILE leaves for probes none was free" in w for w in words), words
    assert_calm(world, pid, limit)
    hanging.answers.set()
    for connection in hanging.taken:
        connection.close()
    wait_until(lambda: {t["state"] for p in world.service("many")["probes"] for t in p["targets"]} == {"good"},
               lambda: world.service("many")["probes"], 60)
    assert_calm(world, pid, limit, 1)


@pytest.mark.parametrize("local", (False, True), ids=("loopback", "unix"))
def test_a_client_takes_every_connection(world, local):
    limit = 64
    pid = start(world, limit)
    with contextlib.ExitStack() as held:
        for _ in range(200):
            client = socket.socket(socket.AF_UNIX if local else socket.AF_INET)
            held.callback(client.close)
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                client.connect(str(world.daemon.socket) if local else ("127.0.0.1", world.daemon.port))
        world.daemon.expected = not local   # the one that is held is not asked
        assert_calm(world, pid, limit, local=not local)

    def is_open():
        with contextlib.suppress(BlockingIOError):  # the queue of a unix socket is still full of those who went
            return world.daemon.ask("/livez", local=local).status == 200
        return False
    wait_until(is_open, "the door to be open again", 5)
    world.daemon.expected = True
    assert_calm(world, pid, limit, 1)


def test_too_few_descriptors_to_begin_with(world):
    """No more than rollbackd needs for itself, a few probes and a client or two."""
    limit = 32
    pid = start(world, limit)
    assert_calm(world, pid, limit, 2)


class Crowd:
    """Targets by path: those below /hang/ take a request and say nothing. How many requests each has had, and how many at once."""

    def __init__(self):
        self.requests, self.open, self.most = {}, {}, {}
        self.loop = asyncio.new_event_loop()
        self.server = self.loop.run_until_complete(asyncio.start_server(self.serve, "127.0.0.1", 0, backlog=1024))
        self.port = self.server.sockets[0].getsockname()[1]
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    async def serve(self, reader, writer):
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
            self.requests[path] = self.requests.get(path, 0) + 1
            self.open[path] = self.open.get(path, 0) + 1
            self.most[path] = max(self.most.get(path, 0), self.open[path])
            if path.startswith("/hang/"):
                await reader.read()
            else:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
            self.open[path] -= 1
        writer.close()

    def stop(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.server.close()
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.run_until_complete(idle(0))
        self.loop.close()


def test_four_hundred_of_five_hundred_hang(world):
    crowd = world.add(Crowd())
    paths = [f"/hang/{n}" for n in range(400)] + [f"/good/{n}" for n in range(100)]
    probes = {f"p{n}": {"kind": "http", "interval": "1s", "timeout": "1s",
                        "targets": [f"http://127.0.0.1:{crowd.port}{path}" for path in paths[n * 250:n * 250 + 250]]}
              for n in range(2)}
    start(world, 1024)
    world.call("register", "many", "v1", True, "known good")
    world.write_policy({"service": "many", "probes": probes, "rollback": {"mode": "observe"},
                        "rules": [{"name": name, "kind": "down", "probe": name, "response": "notify"} for name in probes]})
    world.daemon.reload()
    wait_until(lambda: len(crowd.requests) == 500, lambda: f"{len(crowd.requests)} targets asked")
    began, before = time.monotonic(), dict(crowd.requests)
    probed, late = (world.daemon.metric(f"rollbackd_probes{end}_total") for end in ("", "_late"))
    rounds = 5
    wait_until(lambda: all(crowd.requests[path] >= before[path] + rounds for path in paths), lambda: crowd.requests, 60)
    # Each was due once a second, and was asked when it was due: nobody waited for those that hang.
    passed = time.monotonic() - began
    assert passed < 2 * rounds, f"{rounds} rounds took {passed} s"
    assert max(crowd.most[path] for path in paths) == 1
    late = world.daemon.metric("rollbackd_probes_late_total") - late
    assert late <= 0.05 * (world.daemon.metric("rollbackd_probes_total") - probed), f"{late} late"
    states = {t["url"].split("/")[3]: set() for p in world.service("many")["probes"] for t in p["targets"]}
    for probe in world.service("many")["probes"]:
        for target in probe["targets"]:
            states[target["url"].split("/")[3]].add(target["state"])
    assert states == {"hang": {"bad"}, "good": {"good"}}
    # What is in flight ends with the policy.
    (world.root / "policies.d" / "many.conf").unlink()
    world.daemon.reload()
