"""5,000 targets once a second, one in ten of which accepts, reads and never answers: is the
schedule of all kept. The peer's is that of all of its servers too."""
from bench_checkers import Haproxy, Rollbackd, make_policies, urls_of
from bench_site import BenchError, fetch

TARGETS = 5000
HANGING = 500
SECONDS = 8
TICK = 0.01  # what is due in one tick may lie on either side of a reading


def count_asked(target):
    return int(fetch(f"{target}/count")) + int(fetch(f"{target}/silent"))


def watch_rollbackd(site, target):
    urls = urls_of(target, TARGETS - HANGING)
    # Every service has its share of them.
    for i, url in enumerate(urls_of(f"{target}/hang", HANGING)):
        urls.insert(i * TARGETS // HANGING, url)
    daemon = Rollbackd(site, target, make_policies("probed-", urls))
    daemon.wait_for_probes(2 * TARGETS)
    *_, seconds, counts = daemon.watched.over(SECONDS)
    asked = count_asked(target) - daemon.before - daemon.silent_before
    ended = daemon.counts()["rollbackd_probes_total"]
    if not 0 <= ended - asked + TARGETS // 2 <= TARGETS // 2 + TARGETS // 50:
        raise BenchError(f"{ended} probes have ended, and {asked} requests were read")
    daemon.check_counts(unanswered=True)
    daemon.stop()
    return (counts["rollbackd_probes_total"] - counts["rollbackd_probes_late_total"] -
            counts["rollbackd_probes_overdue_total"]) / (TARGETS * (seconds - TICK))


def watch_haproxy(site, port, target):
    haproxy = Haproxy(site, port, {"checked": ("/", TARGETS - HANGING),
                                   "hanging": ("/hang", HANGING)})
    haproxy.watched.counts = lambda: {"silent": int(fetch(f"{target}/silent"))}
    haproxy.wait_for_checks(2 * (TARGETS - HANGING))
    answers, _, seconds, counts = haproxy.watched.over(SECONDS)
    haproxy.check_up(TARGETS - HANGING, but=("hanging",))
    haproxy.stop()
    return (answers + counts["silent"]) / (TARGETS * (seconds - TICK))


def run(site, figures):
    site.start_postgresql()
    site.make_services("probed-", TARGETS // 100)
    port = site.start_target()
    target = f"http://127.0.0.1:{port}"
    ours = min(watch_rollbackd(site, target), 1) * 100
    peer = min(watch_haproxy(site, port, target), 1) * 100
    figures.add("hanging", f"schedule kept, {TARGETS:,} targets, {HANGING} of them hanging", ours,
                "%", at_least=99.9, peer="HAProxy, nbthread 1", peer_value=peer)
