"""Inside the container: one client of rollbackd's socket after another, and a look at the file of rollbackd-follow after each, until
/run/enough is there. Whatever is refused, or not answered with 200, ends it. Then prints, as JSON, how many were answered, how long the
longest waited, and what the file said, one entry per change."""
import http.client
import json
import pathlib
import socket
import sys
import time

FOLLOWED = pathlib.Path("/run/rollbackd-follow/users-api")
PATIENCE = 120


def ask():
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(PATIENCE)
    connection.sock.connect("/run/rollbackd/rollbackd.sock")
    connection.request("GET", "/livez")
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    if answer.status != 200:
        sys.exit(f"{answer.status} {body}")


def main():
    answered, longest, said = 0, 0.0, []
    while not pathlib.Path("/run/enough").exists():
        begun = time.monotonic()
        ask()
        longest = max(longest, time.monotonic() - begun)
        answered += 1
        version = FOLLOWED.read_text()
        if said[-1:] != [version]:
            said.append(version)
        pathlib.Path("/run/begun").touch()
        time.sleep(0.02)
    print(json.dumps({"answered": answered, "longest": longest, "followed": said}))


main()
