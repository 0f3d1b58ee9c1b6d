"""From the first bad answer to the verdict: fall 3, every 100 ms once it deviates, among 5,000.

The victims are 20 of 5,000 targets that are checked once a second, each with a rule (a backend) of
its own. All turn bad at once, and are asked when their turn comes. The target notes when it first
sent each a bad answer; the verdict is the line that the checker writes, at the instant at which it
is read here.
"""
import re
import threading
import time

from bench_checkers import Haproxy, Rollbackd, make_policies, urls_of
from bench_site import BenchError, fetch, percentile, wait_until

VICTIMS = 20
ROUNDS = 6
TARGETS = 5000
POLICY = """
service = "%(service)s";
release = { warmup = "0s"; };
probes = {
        live = { kind = "http"; interval = "1s"; fast_interval = "100ms"; timeout = "800ms";
                 rise = 2; fall = 3; expect = { status = [ "200" ]; body = "ok"; };
                 targets = [ "%(url)s" ]; };
};
rules = ( { name = "down"; kind = "down"; probe = "live"; hold = "0s"; response = "notify"; } );
"""
ROLLBACKD_WORDS = (r"\bvictim-(\d+): rule down is bad", r"\bvictim-(\d+): rule down is no longer bad")
HAPROXY_WORDS = (r"Server victim-(\d+)/s0 is DOWN", r"Server victim-(\d+)/s0 is UP")


class Lines:
    """What a program says, with the instant at which each line was read."""

    def __init__(self, site, name):
        self.lines = []
        self.log = open(site.root / f"{name}.log", "ab", buffering=0)
        self.source = site.processes[name].stderr
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        for line in iter(self.source.readline, b""):
            self.lines.append((time.monotonic(), line.decode(errors="replace")))
            self.log.write(line)

    def find(self, pattern, after):
        """{victim: instant} of the first such line of each since an instant."""
        found = {}
        for at, line in list(self.lines):
            match = re.search(pattern, line)
            if match and at >= after:
                found.setdefault(int(match[1]), at)
        return found


def turn(target, status):
    for i in range(VICTIMS):
        fetch(f"{target}/turn/{i}/{status}")


def measure(target, lines, words):
    """Milliseconds from the first bad answer to the verdict, of each trial."""
    trials = []
    for _ in range(ROUNDS):
        began = time.monotonic()
        turn(target, 503)
        wait_until(lambda: len(lines.find(words[0], began)) == VICTIMS, "all victims to be bad")
        for victim, at in lines.find(words[0], began).items():
            first = int(fetch(f"{target}/noted/{victim}"))
            if not 0 < first / 1e6 < at:
                raise BenchError(f"victim {victim}: a verdict at {at}, before {first}")
            trials.append((at - first / 1e6) * 1000)
        began = time.monotonic()
        turn(target, 200)
        wait_until(lambda: len(lines.find(words[1], began)) == VICTIMS, "all victims to be good")
    return trials


def measure_rollbackd(site, target):
    policies = make_policies("probed-", urls_of(target, TARGETS - VICTIMS),
                             keys='fast_interval = "100ms";')
    policies |= {f"victim-{i}": POLICY % {"service": f"victim-{i}", "url": f"{target}/victim/{i}"}
                 for i in range(VICTIMS)}
    daemon = Rollbackd(site, target, policies, lines=Lines)
    daemon.wait_for_probes(3 * TARGETS)
    trials = measure(target, daemon.lines, ROLLBACKD_WORDS)
    daemon.check_counts()
    daemon.stop()
    return trials


def measure_haproxy(site, port, target):
    backends = {"checked": ("/", TARGETS - VICTIMS)}
    backends |= {f"victim-{i}": (f"/victim/{i}", 1) for i in range(VICTIMS)}
    haproxy = Haproxy(site, port, backends, words="fastinter 100ms fall 3 rise 2", lines=Lines)
    haproxy.wait_for_checks(3 * TARGETS)
    haproxy.check_up(TARGETS)
    trials = measure(target, haproxy.lines, HAPROXY_WORDS)
    haproxy.stop()
    return trials


def run(site, figures):
    site.start_postgresql()
    site.make_services("probed-", TARGETS // 100)
    site.make_services("victim-", VICTIMS)
    port = site.start_target()
    target = f"http://127.0.0.1:{port}"
    ours, peers = measure_rollbackd(site, target), measure_haproxy(site, port, target)
    for share, limit in ((50, 205), (99, 215)):
        figures.add("verdict", f"first bad answer to verdict, p{share} of {len(ours)}",
                    percentile(ours, share), "ms", at_most=limit, peer="HAProxy, fastinter 100ms",
                    peer_value=percentile(peers, share))
