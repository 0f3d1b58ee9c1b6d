"""rollbackd and its peers as checkers of one bench_target: how each is configured and started, what
it used, and pairs of measurements that were taken in turns."""
import os
import pathlib
import re
import resource
import socket
import statistics
import subprocess
import time

from bench_site import BenchError, fetch, read_metrics, say, wait_until

DESCRIPTORS = 20000
PER_SERVICE = 100
POLICY = """
service = "%(service)s";
probes = {
        live = { kind = "http"; interval = "%(interval)s"; timeout = "%(timeout)s";
                 expect = { status = [ "200" ]; body = "ok"; };
                 %(keys)s
                 targets = [ %(targets)s ]; };
};
rules = ( { name = "down"; kind = "down"; probe = "live"; hold = "20s"; response = "rollback"; } );
"""
HAPROXY = """
global
        nbthread 1
        maxconn 1000
        stats socket %(root)s/haproxy.sock
        %(globals)s
defaults
        mode http
        timeout connect 5s
        timeout client 5s
        timeout server 5s
        timeout check %(timeout)s
%(backends)s
"""
BACKEND = """
backend %(name)s
        option httpchk
        http-check send meth GET uri %(uri)s ver HTTP/1.1 hdr Host 127.0.0.1 hdr Connection close
        http-check expect status 200
        http-check expect string ok
%(servers)s
"""


def allow_descriptors():
    """As many as this machine's root may have; the installed unit asks for more than are used."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(DESCRIPTORS, hard), hard))


def piped(lines):
    """How a program is started whose words somebody reads."""
    return {"stderr": subprocess.PIPE} if lines else {}


def cpu_of(pids):
    """Seconds of CPU of all threads of these processes, as exactly as the scheduler counts."""
    total = 0
    for pid in pids:
        for stat in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"):
            try:
                total += int(stat.read_text().split()[0])
            except (FileNotFoundError, ProcessLookupError):
                pass  # a thread that has just ended
    return total / 1e9


def resident_kib(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1])


class Pairs:
    """What both sides gave, pair by pair; what counts is the median of the pairs' ratios."""

    def __init__(self):
        self.ours, self.peers = [], []

    def add(self, ours, peer):
        self.ours.append(ours)
        self.peers.append(peer)

    def figure(self, figures, bench, name, unit, **asked):
        ratios = [ours / peer for ours, peer in zip(self.ours, self.peers)]
        figures.add(bench, name, statistics.median(self.ours), unit,
                    peer_value=statistics.median(self.peers), ratio=statistics.median(ratios),
                    ratio_range=[min(ratios), max(ratios)], **asked)


class Watched:
    """A reading of a running checker: answers of the target, CPU, the clock, and own counts."""

    def __init__(self, target, pids, counts=dict):
        self.target, self.pids, self.counts = target, pids, counts

    def read(self):
        return (int(fetch(f"{self.target}/count")), cpu_of(self.pids), time.monotonic(),
                self.counts())

    def over(self, seconds):
        """What happened in so many seconds: answers, CPU seconds, seconds, differences of the
        counts."""
        before = self.read()
        time.sleep(seconds)
        after = self.read()
        return (after[0] - before[0], after[1] - before[1], after[2] - before[2],
                {key: after[3][key] - before[3][key] for key in before[3]})


class Rollbackd:
    """The daemon on so many services of PER_SERVICE targets each, checking the target."""

    COUNTS = [f"rollbackd_{word}_total" for word in ("probes", "probes_late", "probes_overdue",
                                                    "samples")]

    def __init__(self, site, target, policies, prefix=(), environment=None, lines=None):
        """`lines`: what reads the daemon's log, if anybody does."""
        self.site, self.target = site, target
        self.targets = sum(text.count('"http') - 1 for text in policies.values())
        self.before = int(fetch(f"{target}/count"))
        self.silent_before = int(fetch(f"{target}/silent"))
        site.start_rollbackd(policies, prefix=prefix, preexec_fn=allow_descriptors,
                             env={**os.environ, **(environment or {})}, **piped(lines))
        self.lines = lines and lines(site, "rollbackd")
        self.pid = site.processes["rollbackd"].pid
        self.url = site.find_in_log("rollbackd", r"(http://127\.0\.0\.1:\d+)")
        self.watched = Watched(target, [self.pid], self.counts)

    def counts(self):
        metrics = read_metrics(self.url)
        return {key: metrics[key] for key in self.COUNTS}

    def wait_for_probes(self, n):
        wait_until(lambda: self.counts()["rollbackd_probes_total"] >= n, f"{n} probes", 60)

    def check_counts(self, unanswered=0):
        """Every result of a probe has reached the judge, and nothing was counted that the target
        did not answer: at some instant at which nothing is in flight all counts are the same.
        `unanswered`: whether some targets never answer: those time out, and are not compared."""
        def agree():
            first = int(fetch(f"{self.target}/count"))
            counts = self.counts()
            last = int(fetch(f"{self.target}/count"))
            seen.append((first - self.before, counts["rollbackd_probes_total"],
                         counts["rollbackd_samples_total"], last - self.before))
            return len(set(seen[-1])) == 1
        seen = []
        if unanswered:
            counts = self.counts()
            if counts["rollbackd_probes_total"] != counts["rollbackd_samples_total"]:
                raise BenchError(f"probes that the judge did not get: {counts}")
            return
        try:
            wait_until(agree, "equal counts", 15)
        except BenchError as error:
            words = f"{error}: target, probes, judge, target: {seen[-5:]}"
            # A machine that is too busy has always something in flight: one for each target at
            # most, which the target has counted and we have not.
            if not all(probes == judge and 0 <= last - probes and first - probes <= self.targets
                       for first, probes, judge, last in seen):
                raise BenchError(words) from error
            say(f"never was nothing in flight, so the counts are compared less strictly; {words}")

    def stop(self):
        self.site.stop("rollbackd")


def make_policies(prefix, urls, interval="1s", timeout="800ms", keys=""):
    """{service: text}, PER_SERVICE targets for each, the last with what is left."""
    parts = [urls[i:i + PER_SERVICE] for i in range(0, len(urls), PER_SERVICE)]
    return {f"{prefix}{i}": POLICY % {"service": f"{prefix}{i}", "interval": interval,
                                      "timeout": timeout, "keys": keys,
                                      "targets": ", ".join(f'"{url}"' for url in part)}
            for i, part in enumerate(parts)}


class Haproxy:
    """HAProxy on one thread. Backends: {name: (path, count)}."""

    def __init__(self, site, port, backends, inter="1s", timeout="800ms", words="", globals_="",
                 prefix=(), lines=None, target=None):
        """`target`: the URL of what counts, when it is not what is checked."""
        self.site = site
        target = target or f"http://127.0.0.1:{port}"
        texts = []
        for name, (uri, count) in backends.items():
            servers = "\n".join(f"        server s{i} 127.0.0.1:{port} check inter {inter} {words}"
                                for i in range(count))
            texts.append(BACKEND % {"name": name, "uri": uri, "servers": servers})
        site.write_file("haproxy.cfg", HAPROXY % {
            "root": site.root, "timeout": timeout, "globals": globals_,
            "backends": "".join(texts)})
        (site.root / "haproxy.log").unlink(missing_ok=True)
        self.before = int(fetch(f"{target}/count"))
        self.target = target
        site.start("haproxy", [*prefix, "/usr/sbin/haproxy", "-db", "-f",
                               site.root / "haproxy.cfg"], preexec_fn=allow_descriptors, **piped(lines))
        self.lines = lines and lines(site, "haproxy")
        self.pid = site.processes["haproxy"].pid
        self.watched = Watched(target, [self.pid])

    def wait_for_checks(self, n):
        def done():
            if self.site.processes["haproxy"].poll() is not None:
                raise BenchError(f"HAProxy has ended:\n{self.site.log('haproxy')}")
            return int(fetch(f"{self.target}/count")) >= self.before + n
        wait_until(done, f"{n} checks", 60)

    def ask(self, command):
        """An answer of the stats socket."""
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(self.site.root / "haproxy.sock"))
            s.sendall(f"{command}\n".encode())
            text = b""
            while part := s.recv(65536):
                text += part
        return text.decode()

    def check_up(self, n, but=()):
        """All of its checks must succeed, or it did another work than rollbackd."""
        rows = [row.split(",") for row in self.ask("show stat").splitlines() if row]
        up = sum(row[17].startswith("UP") for row in rows[1:]
                 if row[1] not in ("BACKEND", "FRONTEND") and row[0] not in but)
        if up != n:
            raise BenchError(f"{up} of {n} servers are up for HAProxy:\n"
                             f"{self.site.log('haproxy')[-2000:]}")

    def stop(self):
        self.site.stop("haproxy")


def urls_of(target, n, path=""):
    return [f"{target}{path}/{i}" for i in range(n)]
