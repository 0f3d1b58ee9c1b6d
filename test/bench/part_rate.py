"""How many checks a second one core does, of rollbackd and of HAProxy, both saturated.

The checker is pinned to one core and the target to another; more is due than can be done. Whatever
else the machine does takes time off the core, so the figure is checks per second of the checker's
own CPU, and a checker that leaves its core idle while it had it would be told by its share.
"""
import os

from bench_checkers import Haproxy, Pairs, Rollbackd, make_policies, urls_of
from bench_site import BenchError

PAIRS = 5
SECONDS = 3
TARGETS = 2000
KEPT_TARGETS = 8000
INTERVAL = "50ms"
KEPT = 'connection = "reuse:1000000";'
IDLE_MOST = 0.05


def idle_seconds(core):
    """What the core was idle for so far."""
    with open("/proc/stat", encoding="ascii") as stat:
        for line in stat:
            if line.startswith(f"cpu{core} "):
                words = line.split()
                return (int(words[4]) + int(words[5])) / os.sysconf("SC_CLK_TCK")
    raise BenchError(f"there is no core {core}")


def watch(checker, core):
    """Checks per CPU second. A core that idles means that the checker was not saturated."""
    before = idle_seconds(core)
    answers, cpu, seconds, _ = checker.watched.over(SECONDS)
    idle = (idle_seconds(core) - before) / seconds
    checker.stop()
    if idle > IDLE_MOST:
        raise BenchError(f"the core was idle for {idle:.0%}: the checker was not saturated")
    return answers / cpu


def watch_rollbackd(site, target, pin, core, n, key=""):
    daemon = Rollbackd(site, target, make_policies(
        "probed-", urls_of(target, n), interval=INTERVAL, timeout="50ms", keys=key), prefix=pin)
    daemon.wait_for_probes(3 * n)
    return watch(daemon, core)


def watch_haproxy(site, port, pin, core):
    haproxy = Haproxy(site, port, {"checked": ("/", TARGETS)}, inter=INTERVAL, prefix=pin)
    haproxy.wait_for_checks(3 * TARGETS)
    return watch(haproxy, core)


def run(site, figures):
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise BenchError("this part needs two cores")
    pin = ["taskset", "--cpu-list", cores[0]]
    site.start_postgresql()
    site.make_services("probed-", KEPT_TARGETS // 100)
    site.start("target", ["taskset", "--cpu-list", cores[1], site.build / "bench/bench_target"])
    port = site.find_in_log("target", r"target (\d+)\n")
    target = f"http://127.0.0.1:{port}"
    fresh, kept = Pairs(), Pairs()
    for _ in range(PAIRS):
        ours = watch_rollbackd(site, target, pin, cores[0], TARGETS)
        peer = watch_haproxy(site, port, pin, cores[0])
        fresh.add(ours, peer)
        kept.add(watch_rollbackd(site, target, pin, cores[0], KEPT_TARGETS, KEPT), peer)
    peer = "HAProxy, nbthread 1, new connections"
    fresh.figure(figures, "rate", "checks of one core, new connections", "1/s", peer=peer,
                 ratio_at_least=1.0)
    kept.figure(figures, "rate", "checks of one core, kept connections", "1/s", peer=peer,
                at_least=100_000)
