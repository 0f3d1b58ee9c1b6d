"""Two processes that listen behind one port, as a service has them while it restarts or has a bad worker: a good one answers
200, a bad one 500. Each keeps its connections open as long as its client wants.

In a test: `pair = world.add(Pair())`. As a program: prints the port, then for each line on stdin what the two have counted, and
ends with its stdin.
"""
import json
import mmap
import os
import signal
import socket
import struct
import subprocess
import sys
import threading

ANSWERS = (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", b"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\noh")
COUNTS = ("accepted", "answered", "asked_to_close")


class Pair:
    """Runs this file."""

    def __init__(self):
        self.process = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    def counts(self):
        """Of the good one and of the bad one."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def stop(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


class Counter:
    """Numbers that both processes and their parent see; each process writes only its own."""

    def __init__(self):
        self.memory = mmap.mmap(-1, 2 * 8 * len(COUNTS))
        self.lock = threading.Lock()

    def add(self, which, name):
        at = 8 * (which * len(COUNTS) + COUNTS.index(name))
        with self.lock:
            struct.pack_into("q", self.memory, at, struct.unpack_from("q", self.memory, at)[0] + 1)

    def all(self):
        numbers = struct.unpack_from(f"{2 * len(COUNTS)}q", self.memory, 0)
        return [dict(zip(COUNTS, numbers[i * len(COUNTS):])) for i in range(2)]


def serve(connection, which, counter):
    with connection:
        text = b""
        while piece := connection.recv(4096):
            text += piece
            if not text.endswith(b"\r\n\r\n"):
                continue
            counter.add(which, "answered")
            connection.sendall(ANSWERS[which])
            if b"\r\nConnection: close\r\n" in text:
                counter.add(which, "asked_to_close")
                return
            text = b""


def listen(which, listening, counter):
    while True:
        connection, _ = listening.accept()
        counter.add(which, "accepted")
        threading.Thread(target=serve, args=(connection, which, counter), daemon=True).start()


def main():
    first = socket.socket()
    first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    first.bind(("127.0.0.1", 0))
    second = socket.socket()
    second.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    second.bind(first.getsockname())
    counter, children = Counter(), []
    for which, listening in enumerate((first, second)):
        listening.listen(64)
        child = os.fork()
        if child == 0:
            listen(which, listening, counter)
        children.append(child)
    # The kernel shares connections out among the sockets that are open: theirs alone.
    port = first.getsockname()[1]
    first.close()
    second.close()
    print(port, flush=True)
    for _ in sys.stdin:
        print(json.dumps(counter.all()), flush=True)
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
