"""The platform's users: one client with steady traffic, and one that is pinned to ?version=v2."""
import http.client
import json
import random
import threading
import time

TIMEOUT_SECONDS = 2
ANSWERS_MAX = 100_000  # what is kept of a client that is left running


class Answer:
    """What became of one request."""

    def __init__(self, at, status, version):
        self.at = at            # monotonic
        self.status = status    # 0: no answer
        self.version = version
        self.ok = 200 <= status < 300


def fetch(address, path):
    """One GET over a connection of its own."""
    connection = http.client.HTTPConnection(address, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        content = json.loads(response.read())
        return Answer(time.monotonic(), response.status, content.get("version"))
    except (OSError, http.client.HTTPException, ValueError):
        return Answer(time.monotonic(), 0, None)
    finally:
        connection.close()


class Client(threading.Thread):
    """Asks for random users, so many times a second; what comes too late is left out."""

    def __init__(self, address, rate, users, seed, suffix=""):
        super().__init__(daemon=True)
        self.address = address
        self.interval = 1 / rate
        self.users = users
        self.dice = random.Random(seed)
        self.suffix = suffix
        self.answers = []
        self.over = threading.Event()

    def run(self):
        due = time.monotonic()
        while not self.over.wait(max(0.0, due - time.monotonic())):
            user = self.dice.randint(1, self.users)
            answer = fetch(self.address, f"/api/users/{user}{self.suffix}")
            if len(self.answers) < ANSWERS_MAX:
                self.answers.append(answer)
            due = max(due + self.interval, time.monotonic() - self.interval)

    def stop(self):
        self.over.set()
        self.join()


class Traffic:
    """Both clients, counted together."""

    def __init__(self, address, users, seed):
        self.steady = Client(address, 60, users, f"steady {seed}")
        self.pinned = Client(address, 10, users, f"pinned {seed}", "?version=v2")
        self.counted = {self.steady: 0, self.pinned: 0}

    def start(self):
        self.steady.start()
        self.pinned.start()

    def stop(self):
        self.steady.stop()
        self.pinned.stop()

    def all(self):
        return sorted([*self.steady.answers, *self.pinned.answers], key=lambda a: a.at)

    def count_new(self):
        """Requests ok and failed since the last call."""
        fresh = []
        for client, seen in self.counted.items():
            answers = client.answers[seen:]
            self.counted[client] = seen + len(answers)
            fresh += answers
        ok = sum(answer.ok for answer in fresh)
        return ok, len(fresh) - ok

    def try_version(self, version):
        """One request more, for this version of the API."""
        return fetch(self.steady.address, f"/api/users/1?version={version}")
