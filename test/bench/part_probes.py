"""1,000 targets once a second: is the schedule kept, and what does a check cost. `make bench-peers`
puts others beside it."""
import part_cost
from bench_site import median

ROUNDS = 3
TARGETS = 1000


def run(site, figures):
    site.start_postgresql()
    site.make_services("probed-", TARGETS // 100)
    target = f"http://127.0.0.1:{site.start_target()}"
    rounds = [part_cost.watch_rollbackd(site, target, TARGETS) for _ in range(ROUNDS)]
    figures.add("probes", "schedule kept, worst round", min(kept for _, kept, _ in rounds) * 100,
                "%", at_least=99.9)
    figures.add("probes", "resident memory", max(kib for _, _, kib in rounds) / 1024, "MiB",
                at_most=32)
    figures.add("probes", "CPU of a check", median(cpu for cpu, _, _ in rounds) * 1e6, "us",
                at_most=150)
