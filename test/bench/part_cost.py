"""1,000 and 5,000 targets once a second: what does a check cost, what does a target weigh, and is
the schedule kept.

rollbackd and HAProxy check the same local server in turns, each alone, over new connections, and
rollbackd a second time over kept ones. The time of a check is the CPU of all threads of the
checking process; for rollbackd that is all that it does, the ledger and the judge included.
"""
from bench_checkers import Haproxy, Pairs, Rollbackd, make_policies, resident_kib, urls_of

PAIRS = 5
SECONDS = 3
TICK = 0.01  # what is due in one tick may lie on either side of a reading
PEER = "HAProxy, nbthread 1"
ASKED = {1000: 0.9, 5000: 1.0}
REUSED = 'connection = "reuse:10";'


def watch_rollbackd(site, target, n, key=""):
    """Seconds of CPU of a check, the share of the schedule that was kept, resident KiB."""
    daemon = Rollbackd(site, target, make_policies("probed-", urls_of(target, n), keys=key))
    daemon.wait_for_probes(2 * n)
    answers, cpu, seconds, counts = daemon.watched.over(SECONDS)
    due = n * (seconds - TICK)
    in_time = counts["rollbackd_probes_total"] - counts["rollbackd_probes_late_total"] - \
        counts["rollbackd_probes_overdue_total"]
    daemon.check_counts()
    resident = resident_kib(daemon.pid)
    daemon.stop()
    return cpu / answers, min(in_time, answers, due) / due, resident


def watch_haproxy(site, port, n):
    haproxy = Haproxy(site, port, {"checked": ("/", n)})
    haproxy.wait_for_checks(2 * n)
    answers, cpu, seconds, _ = haproxy.watched.over(SECONDS)
    haproxy.check_up(n)
    resident = resident_kib(haproxy.pid)
    haproxy.stop()
    return cpu / answers, min(answers / (n * (seconds - TICK)), 1), resident


def run_size(site, figures, port, n):
    target = f"http://127.0.0.1:{port}"
    cost, reused, kept, resident = Pairs(), Pairs(), Pairs(), Pairs()
    for _ in range(PAIRS):
        ours = watch_rollbackd(site, target, n)
        peer = watch_haproxy(site, port, n)
        cost.add(ours[0] * 1e6, peer[0] * 1e6)
        kept.add(ours[1] * 100, peer[1] * 100)
        resident.add(ours[2], peer[2])
        reused.add(watch_rollbackd(site, target, n, REUSED)[0] * 1e6, peer[0] * 1e6)
    cost.figure(figures, "cost", f"CPU of a check, {n:,} targets", "us", peer=PEER,
                ratio_at_most=ASKED[n])
    reused.figure(figures, "cost", f'CPU of a check, {n:,} targets, "reuse:10"', "us", peer=PEER,
                  ratio_at_most=0.45)
    figures.add("cost", f"schedule kept, {n:,} targets, worst of {PAIRS}", min(kept.ours), "%",
                at_least=99.9, peer=PEER, peer_value=min(kept.peers))
    return resident


def run(site, figures):
    site.start_postgresql()
    site.make_services("probed-", 50)
    port = site.start_target()
    small, large = (run_size(site, figures, port, n) for n in (1000, 5000))
    each = Pairs()
    for i in range(PAIRS):
        each.add((large.ours[i] - small.ours[i]) / 4000, (large.peers[i] - small.peers[i]) / 4000)
    each.figure(figures, "cost", "resident memory of a target, from 1,000 to 5,000", "KiB",
                peer=PEER, at_most=2)
