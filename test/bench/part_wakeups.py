"""1,000 targets every 60 s, all due in one second: how often does the daemon wake up in the rest.

strace follows all threads of the daemon for 20 s that begin after the due second; what counts is
every return of a wait that could sleep. The daemon has all that an installed one has: a ledger
with its connection, a watchdog, the API.
"""
import re
import signal
import socket
import time

from bench_checkers import Rollbackd, make_policies, urls_of
from bench_site import BenchError

TARGETS = 1000
SECONDS = 20
SETTLE = 8  # what a start leaves to do is over by then
SPREAD = 'spread = "1s";'
SLEPT = re.compile(r"epoll_p?wait\d?\(\d+,.*, (?:-1|[1-9]\d*)(?:, NULL, \d+)?\) += \d|"
                   r"<\.\.\. epoll_p?wait\d? resumed>.*\) += \d")


def count_wakeups(site, daemon):
    trace = site.root / "strace"
    site.start("strace", ["/usr/bin/strace", "-f", "-tt", "-e", "trace=epoll_wait,epoll_pwait,read,"
                          "sendto,recvfrom,sendmsg,connect", "-o", trace, "-p", daemon.pid])
    time.sleep(SECONDS)
    site.stop("strace", signal.SIGINT)
    return [line for line in trace.read_text().splitlines() if SLEPT.search(line)]


def run(site, figures):
    site.start_postgresql()
    site.make_services("probed-", TARGETS // 100)
    port = site.start_target()
    target = f"http://127.0.0.1:{port}"
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(site.root / "notify"))
    manager.setblocking(False)
    daemon = Rollbackd(site, target, make_policies("probed-", urls_of(target, TARGETS),
                                                   interval="60s", timeout="800ms", keys=SPREAD),
                       environment={"NOTIFY_SOCKET": str(site.root / "notify"),
                                    "WATCHDOG_USEC": "30000000"})
    daemon.wait_for_probes(TARGETS)
    time.sleep(SETTLE)
    daemon.check_counts()
    lines = count_wakeups(site, daemon)
    if daemon.counts()["rollbackd_probes_total"] != TARGETS:
        raise BenchError("something was due in the rest")
    daemon.stop()
    manager.close()
    figures.add("wakeups", f"wake-ups in {SECONDS} s of rest, {TARGETS:,} targets every 60 s",
                len(lines), "", at_most=3)
