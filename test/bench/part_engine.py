"""Samples a second through the engine, beside a walk of the same memory that judges nothing."""
import json


def run(site, figures):
    result = json.loads(site.run([site.build / "bench/bench_engine"], "bench_engine"))
    figures.add("engine", "samples", result["samples_per_second"], "1/s", at_least=2_000_000,
                peer="walk of the same memory", peer_value=result["floor_visits_per_second"])
    figures.add("engine", "allocations", result["allocations"], "calls", at_most=0)
    figures.add("engine", "memory of a service", result["bytes_per_service"] / 1024, "KiB",
                at_most=16)
