"""How many checks a second one core does: new connections beside HAProxy, kept ones beside a floor.

The checker is pinned to one core and the target to another. Whatever else the machine does takes
time off the core, so the figure is checks per second of the checker's own CPU. Over new connections
more is due than can be done, and a checker that leaves its core idle while it had it would be told
by its share. Over kept ones 100,000 a second are due: saturated, checks would time out, and their
connections be new ones. HAProxy keeps none, so the floor is a program that does nothing but send and
receive the same (bench_floor.c).
"""
import os
import statistics

from bench_checkers import Haproxy, Pairs, Rollbackd, Watched, make_policies, urls_of
from bench_site import BenchError, fetch, wait_until

PAIRS = 5
SECONDS = 3
TARGETS = 2000
KEPT_TARGETS = 2000
KEPT_INTERVAL = 20  # ms: 100,000 checks a second
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


def watch_rollbackd(site, target, pin, core):
    daemon = Rollbackd(site, target, make_policies(
        "probed-", urls_of(target, TARGETS), interval=INTERVAL, timeout="50ms"), prefix=pin)
    daemon.wait_for_probes(3 * TARGETS)
    return watch(daemon, core)


def watch_kept(site, target, pin):
    """Checks per CPU second, and per second."""
    interval = f"{KEPT_INTERVAL}ms"
    daemon = Rollbackd(site, target, make_policies(
        "probed-", urls_of(target, KEPT_TARGETS), interval=interval, timeout=interval, keys=KEPT),
        prefix=pin)
    daemon.wait_for_probes(20 * KEPT_TARGETS)
    answers, cpu, seconds, _ = daemon.watched.over(SECONDS)
    daemon.stop()
    return answers / cpu, answers / seconds


def watch_floor(site, target, port, pin):
    before = int(fetch(f"{target}/count"))
    process = site.start("floor", [*pin, site.build / "bench/bench_floor", port, KEPT_TARGETS,
                                   KEPT_INTERVAL])
    wait_until(lambda: int(fetch(f"{target}/count")) >= before + 20 * KEPT_TARGETS,
               "the floor's checks", 60)
    answers, cpu, _, _ = Watched(target, [process.pid]).over(SECONDS)
    site.stop("floor")
    return answers / cpu


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
    fresh, kept, rates = Pairs(), Pairs(), []
    for _ in range(PAIRS):
        fresh.add(watch_rollbackd(site, target, pin, cores[0]),
                  watch_haproxy(site, port, pin, cores[0]))
        ours, rate = watch_kept(site, target, pin)
        kept.add(ours, watch_floor(site, target, port, pin))
        rates.append(rate)
    fresh.figure(figures, "rate", "checks of one core, new connections", "1/s",
                 peer="HAProxy, nbthread 1", ratio_at_least=1.0)
    kept.figure(figures, "rate", "checks of one core, kept connections", "1/s",
                peer="nothing but send and receive", at_least=100_000)
    figures.add("rate", "of 100,000 due a second over kept connections, done",
                statistics.median(rates), "1/s")
