"""A DNS server on 127.0.0.1 port 53 of its own host: what it answers is said by the first label of the name asked for.

good -> 127.0.0.1, nx -> NXDOMAIN, late -> 127.0.0.1 after 3 s, fails -> SERVFAIL, empty -> no record, garbage -> no DNS message,
anything else -> silence. A line "good" or "silent" on stdin makes all names so, an empty one ends that.
"""
import socket
import struct
import sys
import threading

NXDOMAIN, SERVFAIL = 3, 2


def label_of(question):
    return question[13:13 + question[12]].decode(errors="replace").lower()


def answer(query, code=0, records=True):
    """An A record 127.0.0.1 to a question for A, none to any other."""
    end = query.index(b"\0", 12) + 5
    is_a = struct.unpack_from(">H", query, end - 4)[0] == 1
    count = 1 if records and is_a and code == 0 else 0
    record = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 1, 4) + bytes([127, 0, 0, 1])
    return query[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, count, 0, 0) + query[12:end] + record * count


def main():
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 53))
    forced = []

    def orders():
        for line in sys.stdin:
            forced[:] = [line.strip()] if line.strip() else []
            print("done", flush=True)
    threading.Thread(target=orders, daemon=True).start()
    print("ready", flush=True)
    while True:
        query, client = server.recvfrom(4096)
        label = forced[0] if forced else label_of(query)
        if label == "good":
            server.sendto(answer(query), client)
        elif label == "nx":
            server.sendto(answer(query, NXDOMAIN), client)
        elif label == "fails":
            server.sendto(answer(query, SERVFAIL), client)
        elif label == "empty":
            server.sendto(answer(query, records=False), client)
        elif label == "garbage":
            server.sendto(b"\0" * 40, client)
        elif label == "late":
            threading.Timer(3, server.sendto, (answer(query), client)).start()


if __name__ == "__main__":
    main()
