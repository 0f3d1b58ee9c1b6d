"""Figures under the real systemd. They are printed beside what is asked; no test fails for a slow machine."""
import json
import statistics

POLICIES, ROUNDS = 100, 5


def test_from_start_to_ready_with_many_policies(site):
    for n in range(POLICIES):
        site.put_policy(name=f"service-{n}", policy=site.policy(service=f"service-{n}"))
    times = []
    for _ in range(ROUNDS):
        site.run("systemctl stop rollbackd rollbackd.socket && systemctl start rollbackd")
        begun, ready = (int(site.property(name)) for name in ("InactiveExitTimestampMonotonic", "ActiveEnterTimestampMonotonic"))
        times.append((ready - begun) / 1000)
    assert site.property("StatusText").startswith(f"{POLICIES} services") or f"{POLICIES} services" in site.property("StatusText")
    print(json.dumps({"figure": f"systemctl start to READY, {POLICIES} policies", "unit": "ms", "median": round(statistics.median(times), 1),
                      "all": [round(t, 1) for t in times], "asked": 200}))
