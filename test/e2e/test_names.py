"""Targets that are names: every address counts, names change, name servers are slow or dead; nothing of it convicts anybody."""
import re

import pytest
from names import Instance, NameServer, Network, busy_resolvers
from waiting import stays, wait_until
from world import SERVICE

pytestmark = pytest.mark.sanitize

LIVE = {"kind": "http", "interval": "200ms", "timeout": "200ms", "fall": 3, "rise": 2, "name_ttl": "1s",
        "expect": {"body": "ok"}}


def instances(world, names, n, **more):
    """At so many addresses, on one port."""
    first = world.add(Instance(names.address(1), **more))
    return [first, *(world.add(Instance(names.address(i), first.port, **more)) for i in range(2, n + 1))]


def policy(world, *targets, **probe):
    """The ordinary one on other targets, judged by whether they are all down."""
    made = world.policy(probes={"live": {**LIVE, **probe}})
    made["probes"] = {"live": {**made["probes"]["live"], "targets": list(targets)}}
    made["rules"] = [dict(made["rules"][0], hold="500ms")]
    del made["signals"]
    return made


def targets(world, service=SERVICE, probe="live"):
    """What is said of each address."""
    found = next(p for p in world.service(service)["probes"] if p["name"] == probe)["targets"]
    return {target.get("address"): target for target in found}


def states(world):
    return {address: target["state"] for address, target in targets(world).items()}


def wait_states(world, **wanted):
    wait_until(lambda: states(world) == wanted, lambda: f"{wanted}: {targets(world)}")


def good(*addresses):
    return dict.fromkeys(addresses, "good")


def reading(world):
    return next(rule for rule in world.service()["rules"] if rule["name"] == "down")["reading"]


def test_every_address_counts(world, names):
    three = instances(world, names, 3)
    addresses = [names.address(n) for n in (1, 2, 3)]
    names.zone["web.test"] = addresses
    world.start(policy(world, f"http://web.test:{three[0].port}/"))
    world.deploy("v2")
    wait_states(world, **good(*addresses))
    said = world.ctl("status", SERVICE).stdout
    assert all(f"http://web.test:{three[0].port}/ at {address}: good" in said for address in addresses), said
    for n in (0, 1):
        three[n].is_bad = lambda: world.active() == "v2"
    wait_until(lambda: "2 of 3 targets down" in reading(world), lambda: reading(world))
    # Each look at the name turns the order of its addresses, which means nothing.
    asked = names.asked["web.test"]
    wait_until(lambda: names.asked["web.test"] >= asked + 4, "four answers")
    assert world.changes() == [] and states(world) == {addresses[0]: "bad", addresses[1]: "bad", addresses[2]: "good"}
    three[2].is_bad = three[0].is_bad
    world.wait_active("v1")
    world.wait_state("recovered")


def test_a_name_changes(world, names):
    four = instances(world, names, 4)
    addresses = [names.address(n) for n in (1, 2, 3, 4)]
    names.zone["web.test"] = addresses[:2]
    world.start(policy(world, f"http://web.test:{four[0].port}/"))
    world.deploy("v2")
    wait_states(world, **good(*addresses[:2]))
    # The first one's host goes, and two come: what was known of it goes along.
    four[0].stop()
    names.zone["web.test"] = addresses[1:]
    wait_states(world, **good(*addresses[1:]))
    assert "of 3 targets down" in reading(world)
    # A new policy of the same probe knows them all still.
    changed = policy(world, f"http://web.test:{four[0].port}/")
    changed["rollback"]["cooldown"] = "9m"
    world.write_policy(changed)
    world.daemon.reload()
    assert states(world) == good(*addresses[1:])
    # All of them are others at once.
    names.zone["web.test"] = addresses[1:2]
    wait_states(world, **good(addresses[1]))
    names.zone["web.test"] = addresses[2:3]
    wait_states(world, **good(addresses[2]))
    asked = four[1].requests
    wait_until(lambda: four[2].requests >= 20, "probes of the one address")
    assert four[1].requests <= asked + 1 and world.changes() == []


def test_one_address_under_two_names_and_twice_under_one(world, names):
    one, two = instances(world, names, 2)
    names.zone["a.test"] = [names.address(1), names.address(2), names.address(1)]
    names.zone["b.test"] = [names.address(1)]
    world.start(policy(world, *(f"http://{name}.test:{one.port}/" for name in "ab")))
    wait_until(lambda: "of 3 targets down" in reading(world) and set(states(world).values()) == {"good"},
               lambda: targets(world))
    assert two.requests > 0 and world.service()["probes"][0]["targets"][0]["url"].startswith("http://a.test")


def test_more_addresses_than_are_probed(world, names):
    addresses = [names.address(n) for n in range(1, 21)]
    names.zone["web.test"] = addresses
    port = instances(world, names, 20)[0].port
    world.start(policy(world, f"http://web.test:{port}/"))
    wait_until(lambda: len(states(world)) == 16 and set(states(world).values()) == {"good"}, lambda: targets(world))
    chosen = set(states(world))
    asked = names.asked["web.test"]
    wait_until(lambda: names.asked["web.test"] >= asked + 4, "four answers")
    assert set(states(world)) == chosen
    assert {target["addresses_left_out"] for target in targets(world).values()} == {4}
    words = f"probe live: http://web.test:{port}/ has at least 4 addresses more than the 16 that are probed"
    assert world.daemon.log().count(words) == 1, world.daemon.log()
    assert "(the name has 4 addresses or more that are not probed)" in world.ctl("status", SERVICE).stdout
    names.zone["web.test"] = addresses[4:]
    wait_until(lambda: set(states(world)) == set(addresses[4:]), lambda: targets(world))
    assert "addresses_left_out" not in next(iter(targets(world).values()))


def test_addresses_without_a_route(world, request):
    """In a network of its own, which is lo and nothing else."""
    network = Network()
    request.addfinalizer(network.stop)
    names = world.add(network.run(NameServer))
    one = world.add(network.run(Instance, names.address(1)))
    six = world.add(network.run(Instance, "::1", one.port))
    network.command("ip", "address", "add", "10.9.8.7/32", "dev", "lo")
    far = world.add(network.run(Instance, "10.9.8.7", one.port))
    names.zone = {"web.test": [names.address(1), "2001:db8::1"], "both.test": [names.address(1), "::1"],
                  "six.test": ["2001:db8::2"], "far.test": ["10.9.8.7", names.address(1), "2001:db8::1"]}
    made = policy(world, f"http://web.test:{one.port}/", f"http://[::1]:{one.port}/")
    for name in ("both", "six", "far"):
        made["probes"][name] = dict(made["probes"]["live"], targets=[f"http://{name}.test:{one.port}/"])
    world.write_policy(made)
    world.daemon.prefix = names.enter(world.root)
    network.run(world.daemon.start)

    def wait_found(probe, **wanted):
        wait_until(lambda: {a: t["outcome"] for a, t in targets(world, probe=probe).items()} == wanted,
                   lambda: f"{wanted}: {targets(world, probe=probe)}")
    wait_found("live", **{names.address(1): "ok", "::1": "ok"})
    wait_found("both", **{names.address(1): "ok", "::1": "ok"})
    wait_found("six", **{"2001:db8::2": "network_down"})
    assert targets(world, probe="six")["2001:db8::2"]["state"] == "unknown"
    wait_found("far", **{names.address(1): "ok", "10.9.8.7": "ok"})
    assert six.requests > 0 and far.requests > 0
    # What was reached and has no route any more stays a target: it is our network that has changed.
    network.command("ip", "address", "del", "10.9.8.7/32", "dev", "lo")
    wait_found("far", **{names.address(1): "ok", "10.9.8.7": "network_down"})
    asked = names.asked["far.test"]
    wait_until(lambda: names.asked["far.test"] >= asked + 6, "three answers")
    wait_found("far", **{names.address(1): "ok", "10.9.8.7": "network_down"})
    # And a name that has another one now is done with what was never reached.
    names.zone["six.test"] = ["2001:db8::2", "::1"]
    wait_found("six", **{"::1": "ok"})


def test_a_slow_name_server_makes_no_check_late(world, names):
    one = instances(world, names, 1)[0]
    names.zone["web.test"] = [names.address(1)]
    world.start(policy(world, f"http://web.test:{one.port}/"))
    world.deploy("v2")
    wait_states(world, **good(names.address(1)))
    names.delay = 1.5
    asked, requests, late = names.asked["web.test"], one.requests, world.daemon.metric("rollbackd_probes_late_total")
    probes = world.daemon.metric("rollbackd_probes_total")
    resolver = []

    def look():
        resolver.extend(t["words"] for t in targets(world).values() if t["outcome"] == "resolver")
        return names.asked["web.test"] >= asked + 6
    wait_until(look, "three slow answers")
    assert not resolver and one.requests > requests
    late = world.daemon.metric("rollbackd_probes_late_total") - late
    assert late <= 0.05 * (world.daemon.metric("rollbackd_probes_total") - probes), f"{late} late"
    assert states(world) == good(names.address(1))


def test_a_dead_name_server_convicts_nobody(world, names):
    """Names that were good, names that never were, and one that does not exist, beside an address."""
    one, other = instances(world, names, 2)
    names.zone["web.test"] = [names.address(1)]
    for n in range(20):
        names.zone[f"dead{n}.test"] = None
    world.start(policy(world, f"http://web.test:{one.port}/"))
    made = policy(world, f"http://{names.address(2)}:{other.port}/", f"http://none.test:{other.port}/",
                  *(f"http://dead{n}.test:{other.port}/" for n in range(20)))
    made["probes"]["port"] = {"kind": "tcp", "interval": "200ms", "timeout": "200ms", "targets": [f"dead0.test:{other.port}"]}
    made["probes"]["page"] = {"kind": "metrics", "interval": "200ms", "timeout": "200ms",
                              "targets": [f"http://dead1.test:{other.port}/metrics"]}
    world.write_policy(dict(made, service="others"))
    world.call("register", "others", "v1", True, "known good")
    world.daemon.reload()
    world.deploy("v2")
    wait_states(world, **good(names.address(1)))
    names.zone["web.test"] = None
    most = 0

    def unknown():
        nonlocal most
        most = max(most, busy_resolvers(world.daemon.process.pid))
        found = [t for p in world.service("others")["probes"] for t in p["targets"] if t.get("address") != names.address(2)]
        found += targets(world).values()
        return all(t["outcome"] == "resolver" and t["state"] == "unknown" for t in found) and len(found) == 24
    wait_until(unknown, lambda: (targets(world), targets(world, "others")), 60)
    assert 1 <= most <= 2, f"{most} look-ups at once"
    def words():
        return {re.sub(r"cannot resolve \S+: ", "", t["words"]) for t in world.service("others")["probes"][0]["targets"]}
    wait_until(lambda: words() >= {"", "the name does not exist", "the name server is silent, or says that it failed"}, words, 60)
    probes, late = (world.daemon.metric(f"rollbackd_probes{end}_total") for end in ("", "_late"))
    before = other.requests
    stays(lambda: busy_resolvers(world.daemon.process.pid) <= 2 and
          targets(world, "others")[names.address(2)]["state"] == "good", "two look-ups at most", 2)
    assert other.requests >= before + 8
    probes = world.daemon.metric("rollbackd_probes_total") - probes
    assert world.daemon.metric("rollbackd_probes_late_total") - late <= 0.05 * probes
    assert world.changes() == []
    names.zone["web.test"] = [names.address(1)]
    names.zone.update({f"dead{n}.test": [names.address(2)] for n in range(20)})
    wait_states(world, **good(names.address(1)))
    wait_until(lambda: [t["state"] for t in world.service("others")["probes"][0]["targets"]].count("good") == 21,
               lambda: world.service("others")["probes"], 60)
    assert world.changes() == []
