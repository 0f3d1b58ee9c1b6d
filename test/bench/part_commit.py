"""A decision's way to its committed pointer, beside one statement that writes the same rows.

Five pairs, the sides in turns: the ledger's own code in bench_commit, and pgbench with the peer in
peer_commit.sql, prepared. Both do one operation on an otherwise idle server and then let it rest.
"""
import json
import re

from bench_site import BenchError, POSTGRESQL, HERE, median, percentile

PAIRS = 5
STEADY = 63        # commits of one side in one pair
WARM = 3           # of them, not counted: a new session's first ones are slow, pgbench's too
RECONNECTS = 8     # of one pair
REST = 20_000      # microseconds between what followed from one commit and the next
PEER_RATE = 4      # per second: the pace of the other side, whose lists are read after 200 ms
SUBSCRIBERS = '[{"kind": "webhook", "url": "https://hooks.example.org/rollback"}]'
EVIDENCE_SIZE = 400
EVIDENCE = json.dumps({
    "service": "users-api", "version": "v2", "epoch": 2, "target": "v1", "rule": "errors",
    "rule_kind": "threshold", "signal": "errors", "bad": 412, "total": 5120, "value": 0.080468,
    "lower": 0.073288, "limit": 0.05, "window": 60, "hold": 30, "bad_for": 30.25,
    "since_release": 412.5, "guard": "none", "mode": "automatic",
    "reading": "412 of 5120 samples are bad", "reason": "errors above 5 % for 30 s"})
STEPS = json.dumps([
    {"n": 1, "kind": "cache", "host": None, "atomic": False,
     "spec": {"table": "cache", "key": "key", "prefix": "user:"}},
    {"n": 2, "kind": "session", "host": None, "atomic": False,
     "spec": {"table": "session", "where": "created_at >= :released_at"}},
    {"n": 3, "kind": "sql", "host": None, "atomic": False,
     "spec": {"statement": "UPDATE users SET version = :to WHERE version = :from"}},
    {"n": 4, "kind": "cache", "host": None, "atomic": False, "not_before_seconds": 10,
     "spec": {"table": "cache", "key": "key", "prefix": "user:"}}])


def run_ledger(site, prefix, count, reconnect):
    words = [site.build / "bench/bench_commit", site.conninfo("rollbackd"), prefix, count, REST,
             EVIDENCE, STEPS]
    if reconnect:
        words.append(site.conninfo("postgres"))
    return json.loads(site.run(words, "bench_commit"))


def run_peer(site, prefix, count, rate):
    """Microseconds of each transaction, at a rate (per second) or, without one, back to back. With
    a rate pgbench logs the time since the planned start, and how late it began."""
    log = site.root / f"pgbench-{prefix}"
    output = site.run(
        [POSTGRESQL / "pgbench", "-n", "-M", "prepared", "-c", "1", "-t", count,
         *(["-R", rate] if rate else []), "--log", f"--log-prefix={log}",
         "-D", f"prefix={prefix}", "-D", "number=-1",
         "-D", f"evidence={EVIDENCE}", "-D", f"steps={STEPS}",
         "-f", HERE / "peer_commit.sql", site.conninfo("postgres")], "pgbench")
    if not re.search(rf"processed: {count}/{count}", output):
        raise BenchError(f"pgbench did not do all of its transactions:\n{output}")
    rows = [line.split() for file in site.root.glob(f"pgbench-{prefix}.*")
            for line in file.read_text().splitlines()]
    return [int(row[2]) - (int(row[6]) if rate else 0) for row in rows]


def check_rows(site, prefix):
    """Both sides must leave the same rows: operations, steps, deliveries, releases, quarantined
    versions, events and pointers moved."""
    with site.connect() as administrator:
        counts = administrator.execute("""
            SELECT (SELECT count(*) FROM rollbackd.operation WHERE service LIKE %(p)s
                     AND state = 'committed' AND length(evidence::text) = %(size)s),
                   (SELECT count(*) FROM rollbackd.step s JOIN rollbackd.operation o
                     ON o.id = s.operation WHERE o.service LIKE %(p)s),
                   (SELECT count(*) FROM rollbackd.delivery d JOIN rollbackd.event e
                     ON e.id = d.event WHERE e.service LIKE %(p)s),
                   (SELECT count(*) FROM rollbackd.release WHERE service LIKE %(p)s
                     AND kind = 'rollback'),
                   (SELECT count(*) FROM rollbackd.version WHERE service LIKE %(p)s
                     AND quarantined_until = 'infinity'),
                   (SELECT count(*) FROM rollbackd.event WHERE service LIKE %(p)s
                     AND kind = 'rollback.committed'),
                   (SELECT count(*) FROM rollbackd.service WHERE name LIKE %(p)s
                     AND active = 'v1' AND epoch = 3)""",
            {"p": f"{prefix}%", "size": EVIDENCE_SIZE}).fetchone()
    if counts != (STEADY, 4 * STEADY, *[STEADY] * 5):
        raise BenchError(f"{prefix} did not leave the rows that it was to leave: {counts}")


def run(site, figures):
    site.start_postgresql()
    ours, peers, firsts = [], [], []
    for pair in range(PAIRS):
        for prefix, count in (("ours", STEADY), ("peer", STEADY), ("first", RECONNECTS)):
            site.make_services(f"{prefix}{pair}-", count, SUBSCRIBERS)
        ours += run_ledger(site, f"ours{pair}-", STEADY, False)[WARM:]
        peers += run_peer(site, f"peer{pair}-", STEADY, PEER_RATE)[WARM:]
        firsts += run_ledger(site, f"first{pair}-", RECONNECTS, True)
        check_rows(site, f"ours{pair}-")
        check_rows(site, f"peer{pair}-")
    peer = "one statement, pgbench"
    for share, limit in ((50, 1.4), (99, 1.75)):
        figures.add("commit", f"p{share} of {len(ours)}", percentile(ours, share) / 1000, "ms",
                    ratio_at_most=limit, peer=peer, peer_value=percentile(peers, share) / 1000)
    figures.add("commit", f"first after a reconnect, median of {len(firsts)}",
                median(firsts) / 1000, "ms", ratio_at_most=2.5, peer=peer,
                peer_value=percentile(peers, 50) / 1000)
