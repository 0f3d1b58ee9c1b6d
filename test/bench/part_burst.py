"""200 services go bad at once: from the first bad answer to the last committed pointer.

One target process turns from 200 to 503 for everybody; every service is probed ten times a second
and acts on the first bad answer. What is measured begins with the order to turn, which comes
before the first verdict, and ends with the server's own time of the last commit. The peer is the
work that PostgreSQL cannot be spared: the same rows, one after the other, in single statements.
"""
import time

import part_commit
from bench_site import BenchError, fetch, median, read_metrics, wait_until

ROUNDS = 3
SERVICES = 200
POLICY = """
service = "%(service)s";
release = { warmup = "0s"; watch = "1d"; bake = { time = "1h"; }; };
probes = {
        live = { kind = "http"; interval = "100ms"; timeout = "90ms"; rise = 1; fall = 1;
                 targets = [ "%(url)s" ]; };
};
rules = ( { name = "down"; kind = "down"; probe = "live"; hold = "0s"; response = "rollback"; } );
rollback = {
        mode = "automatic"; settle = "10m"; verify = "10m"; cooldown = "0s";
        steps = ( { kind = "sql"; role = "bench_steps"; statement = "SELECT :to"; } );
};
"""


def count_health(url, word):
    return fetch(f"{url}/metrics").count(f'health="{word}"}} 1\n')


def measure_round(site, prefix, port):
    """Seconds from the turn to the last commit, and of CPU of the loop's longest turn."""
    target = f"http://127.0.0.1:{port}"
    names = [f"{prefix}{i}" for i in range(SERVICES)]
    fetch(f"{target}/answer/200")
    site.make_services(prefix, SERVICES)
    site.start_rollbackd({n: POLICY % {"service": n, "url": f"{target}/{n}"} for n in names})
    url = site.find_in_log("rollbackd", r"(http://127\.0\.0\.1:\d+)")
    wait_until(lambda: count_health(url, "watching") == SERVICES, "all services to be watched")
    with site.connect() as administrator:
        def commits():
            return administrator.execute(
                "SELECT count(*), extract(epoch FROM max(pg_xact_commit_timestamp(xid::xid)))"
                "::float8, sum((automatic AND to_version = 'v1')::int) "
                "FROM rollbackd.operation WHERE service LIKE %s", (f"{prefix}%",)).fetchone()
        began = time.time()
        fetch(f"{target}/answer/503")
        # The question is asked rarely, so that it does not slow down what it asks for.
        end = time.monotonic() + 30
        while (row := commits())[0] < SERVICES:
            if time.monotonic() > end:
                raise BenchError(f"{row[0]} of {SERVICES} services were rolled back in 30 s; "
                                 f"rollbackd's last words:\n{site.log('rollbackd')[-3000:]}")
            time.sleep(0.5)
    longest_turn = read_metrics(url)["rollbackd_loop_longest_turn_seconds"]
    site.stop("rollbackd")
    if row[0] != row[2]:
        raise BenchError(f"{row[0]} operations, of which {row[2]} are what was to happen")
    return row[1] - began, longest_turn


def run(site, figures):
    site.start_postgresql()
    with site.connect() as administrator:
        administrator.execute("CREATE ROLE bench_steps; GRANT bench_steps TO rollbackd")
    port = site.start_target()
    ours, turns, peers = [], [], []
    for i in range(ROUNDS):
        seconds, longest_turn = measure_round(site, f"burst{i}-", port)
        ours.append(seconds)
        turns.append(longest_turn)
        site.make_services(f"serial{i}-", SERVICES)
        peers.append(sum(part_commit.run_peer(site, f"serial{i}-", SERVICES, None)) / 1e6)
    figures.add("burst", f"{SERVICES} rollbacks, median of {ROUNDS}", median(ours), "s",
                at_most=0.5, peer="single statements, serial", peer_value=median(peers))
    figures.add("burst", "CPU of the longest turn of the loop, worst of all rounds", max(turns), "s", at_most=0.05)
