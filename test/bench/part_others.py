"""CPU of a check of monit, and of Prometheus with blackbox_exporter, beside rollbackd at the size
that they can do: 500 targets once a second, new connections, status and body compared.

monit checks one after the other and then sleeps for a second, so that it does not reach the rate;
Prometheus asks blackbox_exporter for each target, and the CPU is that of both processes.
"""
import re
import socket

from bench_checkers import Pairs, Rollbackd, Watched, make_policies, urls_of
from bench_site import BenchError, fetch, wait_until

PAIRS = 3
SECONDS = 4
TARGETS = 500
MONIT = """
set daemon 1
set log %(root)s/monit-checks.log
set pidfile %(root)s/monit.pid
set idfile %(root)s/monit.id
set statefile %(root)s/monit.state
%(hosts)s
"""
HOST = """check host t%(i)d with address 127.0.0.1
    if failed port %(port)s protocol http request "/%(i)d" status = 200 content = "ok"
    with timeout 1 seconds then alert
"""
BLACKBOX = """
modules:
  ok:
    prober: http
    timeout: 800ms
    http:
      valid_status_codes: [200]
      fail_if_body_not_matches_regexp: ["ok"]
"""
PROMETHEUS = """
global: { scrape_interval: 1s, scrape_timeout: 1s }
scrape_configs:
  - job_name: probed
    metrics_path: /probe
    params: { module: [ok] }
    static_configs: [ { targets: [ %(targets)s ] } ]
    relabel_configs:
      - { source_labels: [__address__], target_label: __param_target }
      - { source_labels: [__param_target], target_label: instance }
      - { target_label: __address__, replacement: "127.0.0.1:%(port)d" }
"""


def free_port():
    """A port that nobody listens on just now."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def cost_of(site, target, names):
    """CPU seconds of a check of running programs, and their checks in a second."""
    before = int(fetch(f"{target}/count"))

    def checked():
        for name in names:
            if site.processes[name].poll() is not None:
                raise BenchError(f"{name} has ended:\n{site.log(name)[-2000:]}")
        return int(fetch(f"{target}/count")) >= before + 2 * TARGETS
    wait_until(checked, "two checks of every target")
    pids = [site.processes[name].pid for name in names]
    answers, cpu, seconds, _ = Watched(target, pids).over(SECONDS)
    return cpu / answers * 1e6, answers / seconds


def watch_rollbackd(site, target):
    daemon = Rollbackd(site, target, make_policies("probed-", urls_of(target, TARGETS)))
    daemon.wait_for_probes(2 * TARGETS)
    answers, cpu, _, _ = daemon.watched.over(SECONDS)
    daemon.check_counts()
    daemon.stop()
    return cpu / answers * 1e6


def watch_monit(site, target, port):
    hosts = "".join(HOST % {"i": i, "port": port} for i in range(TARGETS))
    site.write_file("monitrc", MONIT % {"root": site.root, "hosts": hosts})
    (site.root / "monitrc").chmod(0o600)
    site.start("monit", ["/usr/bin/monit", "-I", "-c", site.root / "monitrc"])
    cost = cost_of(site, target, ["monit"])
    failed = (site.root / "monit-checks.log").read_text().count("failed")
    site.stop("monit")
    if failed:
        raise BenchError(f"{failed} checks failed for monit")
    return cost


def watch_prometheus(site, target):
    blackbox, port = free_port(), free_port()
    site.write_file("blackbox.yml", BLACKBOX)
    site.write_file("prometheus.yml", PROMETHEUS % {
        "port": blackbox, "targets": ", ".join(f'"{url}"' for url in urls_of(target, TARGETS))})
    site.start("blackbox", ["/usr/bin/prometheus-blackbox-exporter",
                            f"--config.file={site.root}/blackbox.yml", "--log.level=warn",
                            f"--web.listen-address=127.0.0.1:{blackbox}"])
    site.start("prometheus", ["/usr/bin/prometheus", f"--config.file={site.root}/prometheus.yml",
                              f"--storage.tsdb.path={site.root}/tsdb", "--log.level=warn",
                              f"--web.listen-address=127.0.0.1:{port}"])
    cost = cost_of(site, target, ["prometheus", "blackbox"])
    good = fetch(f"http://127.0.0.1:{port}/api/v1/query?query=sum(probe_success)")
    site.stop("prometheus")
    site.stop("blackbox")
    # A busy machine makes single scrapes late.
    if int(re.search(r'"(\d+)"\]', good)[1]) < 0.98 * TARGETS:
        raise BenchError(f"not every check succeeded for Prometheus: {good}")
    return cost


def run(site, figures):
    site.start_postgresql()
    site.make_services("probed-", TARGETS // 100)
    port = site.start_target()
    target = f"http://127.0.0.1:{port}"
    rates = {}
    costs = {"monit": Pairs(), "Prometheus and blackbox_exporter": Pairs()}
    for _ in range(PAIRS):
        ours = watch_rollbackd(site, target)
        for (name, pairs), watch in zip(costs.items(), (
                lambda: watch_monit(site, target, port),
                lambda: watch_prometheus(site, target))):
            cost, rate = watch()
            pairs.add(ours, cost)
            rates[name] = rate
    for name, pairs in costs.items():
        pairs.figure(figures, "others", f"CPU of a check, {TARGETS} targets", "us",
                     peer=f"{name}, {rates[name]:.0f}/s")
