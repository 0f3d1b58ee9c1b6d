"""A name server that is silent, slow, wrong or says no: what has such a name is unknown, never down, and nothing else waits."""
import pytest
from hosted import policy_on
from hostile import Hostile
from names import FAILS, GARBAGE
from waiting import stays, wait_until

pytestmark = pytest.mark.sanitize

# How a probe of each kind is pointed at a name and a port: a row is all that a kind needs to be tested here. Those that are
# probed at an address have their names looked up by rollbackd, the others by the library that they speak through.
ADDRESSED = {
    "http": lambda name, port: {"targets": [f"http://{name}:{port}/"]},
    "metrics": lambda name, port: {"targets": [f"http://{name}:{port}/"]},
    "tcp": lambda name, port: {"targets": [f"{name}:{port}"]},
}
BY_LIBRARY = {
    "postgres": lambda name, port: {"conninfo": f"host={name} port={port} dbname=postgres user=postgres"},
    "promql": lambda name, port: {"url": f"http://{name}:{port}", "query": "up"},
}
# What the name server answers, and what is said of the name.
ANSWERS = {
    "silent": (None, "the name server "),
    "fails": (FAILS, "the name server is silent, or says that it failed"),
    "empty": ([], "the name has no address"),
    "garbage": (GARBAGE, "the name server "),
}
UNKNOWN = "the name does not exist"


@pytest.fixture
def servers():
    with Hostile() as made:
        made.serve("page_with_a_counter")
        yield made


def policy_at(service, name, servers, kinds=None):
    """Each kind at one name; when it is down, the service is to be rolled back at once."""
    kinds = kinds or ADDRESSED
    policy = policy_on(service, dict.fromkeys(kinds, ()), interval="500ms", timeout="300ms")
    for kind, place in kinds.items():
        del policy["probes"][kind]["targets"]
        policy["probes"][kind].update(place(name, servers.ports["page_with_a_counter"]))
    return policy


def start(world, *policies):
    for policy in policies:
        world.call("register", policy["service"], "v1", True, "known good")
        world.write_policy(policy)
    world.daemon.start()
    world.wait_known()
    for policy in policies:
        world.call("deploy", policy["service"], "v2", user="ci")
    wait_until(lambda: all(world.service(p["service"])["epoch"] == 2 for p in policies), "the deploys to be seen")


def outcomes(world, service):
    return {target["outcome"] for target in world.targets(service).values()}


def wait_outcome(world, service, code, seconds=30):
    wait_until(lambda: outcomes(world, service) == {code}, lambda: f"{service} to be {code}: {world.targets(service)}", seconds)


def assert_on_schedule(world, service):
    """A look-up that somebody waited for in the loop would have made all of a round late."""
    wait_outcome(world, service, "ok")
    late, probes = (world.daemon.metric(f"rollbackd_probes{end}_total") for end in ("_late", ""))
    assert late <= 0.10 * probes, f"{late} of {probes} late"


def test_names_that_are_not_resolved(world, names, servers):
    names.zone.update({f"{label}.test": addresses for label, (addresses, _) in ANSWERS.items()})
    wanted = {"nx": UNKNOWN, **{label: words for label, (_, words) in ANSWERS.items()}}
    every = {**ADDRESSED, **BY_LIBRARY}
    start(world, *(policy_at(label, f"{label}.test", servers, every) for label in wanted), policy_at("by-number", "127.0.0.1", servers))

    def is_told(label, kind, target):
        """As unknown, and why; a library may still be asking when the probe's time is over."""
        if target["state"] != "unknown" or target["outcome"] not in ("resolver", *(["overdue"] if kind in BY_LIBRARY else [])):
            return False
        return kind in BY_LIBRARY or wanted[label] in target["words"] and f"{label}.test" in target["words"]
    for label in wanted:
        wait_until(lambda label=label: all(is_told(label, kind, target) for (kind, _), target in world.targets(label).items()),
                   lambda label=label: f"{wanted[label]}: {world.targets(label)}")
    asked = servers.accepted["page_with_a_counter"]
    wait_until(lambda: servers.accepted["page_with_a_counter"] >= asked + 12, "four rounds of what has no name")
    assert_on_schedule(world, "by-number")
    stays(lambda: world.operations_now() == [], "nothing done")
    assert all(rule["verdict"] != "bad" for label in wanted for rule in world.service(label)["rules"])


def test_an_answer_after_three_seconds(world, names, servers):
    """It comes too late for the probe that asked, and serves the ones behind it."""
    names.zone["late.test"] = ["127.0.0.1"]
    names.delay = 3
    (world.root / "resolv.conf").write_text((world.root / "resolv.conf").read_text().replace("timeout:2", "timeout:4"))
    start(world, policy_at("web", "late.test", servers))
    wait_outcome(world, "web", "resolver")
    wait_outcome(world, "web", "ok")
    assert world.operations_now() == []


def test_the_ledgers_own_name(world, names, servers):
    """It is told down, everything else goes on, and once the name server answers it is there."""
    conf = world.root / "rollbackd.conf"
    conf.write_text(conf.read_text().replace("host=127.0.0.1 ", "host=ledger.test "))
    names.zone["ledger.test"] = None
    world.call("register", "web", "v1", True, "known good")
    world.write_policy(policy_at("web", "127.0.0.1", servers))
    world.daemon.start()
    wait_until(lambda: world.receiver.find("ledger.down", "/oncall"), "the alert that the ledger is down")
    asked = world.daemon.metric("rollbackd_probes_total")
    wait_until(lambda: world.daemon.metric("rollbackd_probes_total") >= asked + 30, "ten rounds of the probes")
    assert_on_schedule(world, "web")
    assert world.daemon.ask("/readyz").status == 503 and world.daemon.metric("rollbackd_ledger_up") == 0
    wait_until(lambda: "ledger.test" in world.daemon.log(), lambda: f"the name to be told: {world.daemon.log()}")
    names.zone["ledger.test"] = ["127.0.0.1"]
    wait_until(lambda: world.daemon.ask("/readyz").status == 200, "the ledger to be reachable", 60)


def test_a_webhooks_name(world, names, servers):
    """Alerts to a name that is not resolved wait; the probes do not."""
    conf = world.root / "rollbackd.conf"
    conf.write_text(conf.read_text().replace("http://127.0.0.1:", "http://hooks.test:"))
    names.zone["hooks.test"] = None
    world.write_policy("service = \"other\";\nrulez = ();\n", "other.conf")
    start(world, policy_at("web", "127.0.0.1", servers))
    wait_until(lambda: "was not taken by the webhook" in world.daemon.log(), "the first try to have failed", 60)
    assert_on_schedule(world, "web")
    names.zone["hooks.test"] = ["127.0.0.1"]
    wait_until(lambda: world.receiver.find("service.unconfigured", "/oncall"), "the alert that had waited", 60)
