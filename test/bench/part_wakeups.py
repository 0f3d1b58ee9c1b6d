"""1,000 targets every 60 s, all due in one second: how often does the daemon wake up in the rest.

strace follows all threads of the daemon between two due seconds, several times; what counts is
every return of a wait that could sleep, in the 20 s that have most of them, wherever they begin.
The daemon has all that an installed one has: a ledger with its connection, a watchdog, the API.
"""
import re
import signal
import socket
import threading
import time

from bench_checkers import Rollbackd, make_policies, urls_of
from bench_site import BenchError, say

TARGETS = 1000
SECONDS = 20
RESTS = 2
REST = 45  # from SETTLE on, all of it before the next due second
SETTLE = 8  # what the due second leaves to do is over by then
SPREAD = 'spread = "1s";'
SLEPT = re.compile(r"epoll_p?wait\d?\(\d+,.*, (?:-1|[1-9]\d*)(?:, NULL, \d+)?\) += \d|"
                   r"p?(?:poll|select6?)\((?!.*, 0\) ).*\) += \d|"
                   r"<\.\.\. (?:epoll_p?wait\d?|p?poll|p?select6?) resumed>.*\) += \d")


def read_all(manager):
    """What nobody takes from the socket would hold the daemon up."""
    while True:
        manager.recv(4096)


def second_of(line):
    """Of the day, as strace -f -tt writes it behind the thread."""
    hours, minutes, seconds = line.split()[1].split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def find_wakeups(site, daemon, n):
    """The instants of one rest."""
    trace = site.root / f"strace-{n}"
    site.start("strace", ["/usr/bin/strace", "-f", "-tt", "-e", "trace=epoll_wait,epoll_pwait,"
                          "epoll_pwait2,poll,ppoll,select,pselect6,read,sendto,recvfrom,sendmsg,"
                          "connect", "-o", trace, "-p", daemon.pid])
    time.sleep(REST)
    site.stop("strace", signal.SIGINT)
    lines = [line for line in trace.read_text().splitlines() if SLEPT.search(line)]
    return [second_of(line) for line in lines]


def count_worst(instants):
    """Most of them within SECONDS."""
    return max((sum(first <= at < first + SECONDS for at in instants) for first in instants),
               default=0)


def run(site, figures):
    site.start_postgresql()
    site.make_services("probed-", TARGETS // 100)
    port = site.start_target()
    target = f"http://127.0.0.1:{port}"
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(site.root / "notify"))
    threading.Thread(target=read_all, args=(manager,), daemon=True).start()
    daemon = Rollbackd(site, target, make_policies("probed-", urls_of(target, TARGETS),
                                                   interval="60s", timeout="800ms", keys=SPREAD),
                       environment={"NOTIFY_SOCKET": str(site.root / "notify"),
                                    "WATCHDOG_USEC": "30000000"})
    rests = []
    # What a start leaves to do, as preparing its statements, is over after two rounds.
    for rest in (1, 2):
        daemon.wait_for_probes(rest * TARGETS)
        time.sleep(REST)
    for rest in range(3, RESTS + 3):
        daemon.wait_for_probes(rest * TARGETS)
        time.sleep(SETTLE)
        daemon.check_counts()
        rests.append(find_wakeups(site, daemon, rest))
        if daemon.counts()["rollbackd_probes_total"] != rest * TARGETS:
            raise BenchError("something was due in the rest")
    daemon.stop()
    worst = [count_worst(instants) for instants in rests]
    say(f"wakeups: in each rest of {REST} s " + ", ".join(str(len(r)) for r in rests) +
        f", in its busiest {SECONDS} s " + ", ".join(map(str, worst)))
    figures.add("wakeups", f"most wake-ups in {SECONDS} s of rest, {TARGETS:,} targets every 60 s",
                max(worst), "", at_most=3)
