"""1,000 targets once a second: is the schedule kept, and what does a check cost.

rollbackd and HAProxy check the same local server in turns, each alone and on one thread, over new
connections. The time of a check is user and system time of the checking process; for rollbackd
that is all that it does, the ledger and the judge included.
"""
import time

from bench_site import cpu_seconds, fetch, median, peak_resident_mib, read_metrics, wait_until

ROUNDS = 3
SERVICES, TARGETS = 10, 100
SECONDS = 10
POLICY = """
service = "%(service)s";
probes = {
        live = { kind = "http"; interval = "1s"; timeout = "800ms"; targets = [ %(targets)s ]; };
};
rules = ( { name = "down"; kind = "down"; probe = "live"; hold = "20s"; response = "rollback"; } );
"""
HAPROXY = """
global
        nbthread 1
        maxconn 1000
defaults
        mode http
        timeout connect 800ms
        timeout client 5s
        timeout server 5s
frontend unused
        bind unix@%(root)s/haproxy.sock
        default_backend checked
backend checked
        option httpchk
        http-check send meth GET uri /
        http-check expect status 200
        timeout check 800ms
%(servers)s
"""


def watch(site, name, target, counts):
    """What a running checker does in SECONDS: answers that the target gave, CPU seconds, what
    counts() tells at the end less what it told at the beginning, and the seconds themselves."""
    pid = site.processes[name].pid
    readings = []
    for _ in range(2):
        if readings:
            time.sleep(SECONDS)
        readings.append((int(fetch(f"{target}/count")), cpu_seconds(pid), time.monotonic(),
                         counts()))
    (answers, cpu, began, first), (answers_then, cpu_then, ended, last) = readings
    return answers_then - answers, cpu_then - cpu, ended - began, \
        {key: last[key] - first[key] for key in first}


def watch_rollbackd(site, target):
    urls = [", ".join(f'"{target}/{i}/{j}"' for j in range(TARGETS)) for i in range(SERVICES)]
    site.start_rollbackd({f"probed-{i}": POLICY % {"service": f"probed-{i}", "targets": urls[i]}
                          for i in range(SERVICES)})
    url = site.find_in_log("rollbackd", r"(http://127\.0\.0\.1:\d+)")
    wait_until(lambda: read_metrics(url)["rollbackd_probes_total"] > 2 * SERVICES * TARGETS,
               "two probes of every target")
    keys = [f"rollbackd_probes_{word}total" for word in ("", "late_", "overdue_")]
    result = watch(site, "rollbackd", target,
                   lambda: {key: read_metrics(url)[key] for key in keys})
    memory = peak_resident_mib(site.processes["rollbackd"].pid)
    site.stop("rollbackd")
    return *result, memory


def watch_haproxy(site, target, port):
    servers = "\n".join(f"        server s{i} 127.0.0.1:{port} check inter 1s"
                        for i in range(SERVICES * TARGETS))
    site.write_file("haproxy.cfg", HAPROXY % {"root": site.root, "servers": servers})
    before = int(fetch(f"{target}/count"))
    site.start("haproxy", ["/usr/sbin/haproxy", "-db", "-f", site.root / "haproxy.cfg"])
    wait_until(lambda: int(fetch(f"{target}/count")) > before + 2 * SERVICES * TARGETS,
               "two checks of every server")
    answers, cpu, seconds, _ = watch(site, "haproxy", target, lambda: {})
    memory = peak_resident_mib(site.processes["haproxy"].pid)
    site.stop("haproxy")
    return answers, cpu, seconds, memory


def run(site, figures):
    site.start_postgresql()
    site.make_services("probed-", SERVICES)
    port = site.start_target()
    target = f"http://127.0.0.1:{port}"
    kept, kept_peer, cost, cost_peer, memory, memory_peer = [], [], [], [], [], []
    for _ in range(ROUNDS):
        answers, cpu, seconds, counts, peak = watch_rollbackd(site, target)
        due = SERVICES * TARGETS * seconds
        in_time = counts["rollbackd_probes_total"] - counts["rollbackd_probes_late_total"] - \
            counts["rollbackd_probes_overdue_total"]
        # Answers that somebody else fetched, such as the count itself, are not counted there.
        kept.append(min(in_time, answers, due) / due * 100)
        cost.append(cpu / answers * 1e6)
        memory.append(peak)
        answers, cpu, seconds, peak = watch_haproxy(site, target, port)
        kept_peer.append(min(answers / (SERVICES * TARGETS * seconds), 1) * 100)
        cost_peer.append(cpu / answers * 1e6)
        memory_peer.append(peak)
    peer = "HAProxy, one thread"
    figures.add("probes", "schedule kept, worst round", min(kept), "%", at_least=99.9, peer=peer,
                peer_value=min(kept_peer))
    figures.add("probes", "peak resident memory", max(memory), "MiB", at_most=32, peer=peer,
                peer_value=max(memory_peer))
    figures.add("probes", "CPU of a check", median(cost), "us", ratio_at_most=0.9, peer=peer,
                peer_value=median(cost_peer))
