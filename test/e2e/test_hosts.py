"""A host that is switched off, and ways to it that do not exist: the target's fault convicts it, ours never does."""
import pytest
from hosted import HostedWorld, policy_on
from hosts import Host
from waiting import stays, wait_until

pytestmark = pytest.mark.sanitize

# The address, what there is in place of a way to it, the outcome, its verdict and its words.
WAYS = [
    ("10.9.0.77", None, "no_route", "bad", "host unreachable"),
    ("10.9.2.1", "unreachable", "no_route", "bad", "host unreachable"),
    ("10.9.1.1", "blackhole", "local", "unknown", "our system refuses the address, as behind a blackhole route (EINVAL)"),
    ("10.9.3.1", "prohibit", "local", "unknown", "a route, packet filter or file mode here forbids it (EACCES)"),
    ("10.9.4.1", "throw", "network_down", "unknown", "our own network is down (ENETUNREACH)"),
    ("10.10.0.1", None, "network_down", "unknown", "our own network is down (ENETUNREACH)"),
]
KINDS = {"http": "http://{}:{}/", "metrics": "http://{}:{}/", "tcp": "{}:{}"}


class Site:
    """rollbackd on one host, its targets on another."""

    def __init__(self, *behaviours):
        self.home = Host()
        self.away = Host(self.home)
        self.home.connect(self.away)
        self.servers = self.away.serve("10.9.0.2", *behaviours)
        self.world = HostedWorld(self.home)

    def url(self, kind, behaviour):
        return KINDS[kind].format("10.9.0.2", self.servers.ports[behaviour])

    def start(self, *policies):
        """A stable version and a new one of each service, in automatic mode."""
        world = self.world
        for policy in policies:
            world.call("register", policy["service"], "v1", True, "known good")
            world.write_policy(policy)
        world.daemon.start()
        world.wait_known()
        for policy in policies:
            world.call("deploy", policy["service"], "v2", user="ci")
        world.wait(lambda: all(world.service(p["service"])["epoch"] == 2 for p in policies), "the deploys to be seen")

    def wait_outcomes(self, service, *codes):
        """Until every target of a service has one of these outcomes; returns their reports."""
        def look():
            found = self.world.targets(service)
            return found if all(target["outcome"] in codes for target in found.values()) else None
        return wait_until(look, lambda: f"{codes}: {self.world.targets(service)}")

    def stop(self):
        self.home.stop()
        self.away.stop()


@pytest.fixture
def site(request):
    made = Site("ordinary", "drips_chunks", "accepts_and_is_silent")
    yield made
    try:
        if getattr(request.node, "failed", False):
            print(made.world.daemon.log()[-6000:])
            made.world.close()
        else:
            made.world.finish()
    finally:
        made.stop()


def test_ways_that_lead_nowhere(site):
    world, by_address = site.world, {}
    for address, route, *_ in WAYS:
        by_address[address] = "at-" + address.replace(".", "-")
        if route:
            site.home.run("ip", "route", "add", route, address.rsplit(".", 1)[0] + ".0/24")
    site.start(*(policy_on(service, {kind: [form.format(address, 80)] for kind, form in KINDS.items()})
                 for address, service in by_address.items()))
    for address, _, code, state, words in WAYS:
        service = by_address[address]
        for key, target in site.wait_outcomes(service, code).items():
            assert target["words"] == words, f"{service} by {key}: {target}"
        if state == "bad":
            world.wait(lambda: world.value("SELECT rollbackd.active(%s)", service) == "v1", f"{service} to be taken back")
    for address, _, _, state, _ in WAYS:
        if state == "unknown":
            service = by_address[address]
            assert {target["state"] for target in world.targets(service).values()} == {"unknown"}
            assert world.value("SELECT rollbackd.active(%s)", service) == "v2"
    world.open_allowed = True


def test_no_port_of_ours_is_left(site):
    """Two ports for four targets of one server that keep theirs."""
    # A port that was used is free again after a second.
    site.home.run("sh", "-c", "cd /proc/sys/net/ipv4; echo 50000 50001 >ip_local_port_range; echo 1 >tcp_tw_reuse")
    url = site.url("http", "accepts_and_is_silent")
    site.start(policy_on("web", {"http": [f"{url}{n}" for n in range(4)]}, interval="2s", timeout="900ms", fall=1))
    world = site.world
    seen = set()

    def both():
        seen.update((t["outcome"], t["state"], t["words"]) for t in world.targets("web").values() if t["outcome"])
        return any(code == "network_down" for code, *_ in seen) and any(code == "timeout" for code, *_ in seen)
    wait_until(both, lambda: str(seen))
    assert {words for code, _, words in seen if code == "network_down"} == {"no address or port of ours is left for it (EADDRNOTAVAIL)"}
    world.open_allowed = True


def test_a_host_is_switched_off(site):
    """In the middle of its answers, too: it convicts its own service, and nobody else's."""
    world = site.world
    local = site.home.serve("127.0.0.1", "ordinary")
    beside = f"http://127.0.0.1:{local.ports['ordinary']}/"
    site.start(policy_on("web", {kind: [site.url(kind, "ordinary")] for kind in ("http", "tcp")}),
               policy_on("slow", {"http": [site.url("http", "drips_chunks")]}, interval="2s", timeout="1900ms"),
               policy_on("beside", {"http": [beside]}))
    site.wait_outcomes("web", "ok")
    site.wait_outcomes("beside", "ok")
    wait_until(lambda: site.servers.accepted("drips_chunks") > 0, "an answer to have begun")
    site.away.run("ip", "link", "set", "cable", "down")
    for key, target in site.wait_outcomes("web", "timeout", "no_route").items():
        assert target["words"] in ("host unreachable", "no connection within 200 ms", "no answer within 200 ms"), f"{key}: {target}"
    site.wait_outcomes("slow", "timeout", "no_route")
    world.wait(lambda: world.value("SELECT rollbackd.active('web')") == "v1", "its service to be taken back")
    assert {t["outcome"] for t in world.targets("beside").values()} == {"ok"}
    assert world.value("SELECT rollbackd.active('beside')") == "v2"
    world.open_allowed = True


def test_our_own_network_is_dead(site):
    """Every service fails at once, and none of them is to blame."""
    world, names = site.world, ("one", "two", "three")
    site.start(*(policy_on(name, {kind: [site.url(kind, "ordinary") + f"{'' if kind == 'tcp' else name}"] for kind in ("http", "tcp")})
                 for name in names))
    for name in names:
        site.wait_outcomes(name, "ok")
    site.home.run("ip", "link", "set", "cable", "down")
    for name in names:
        for target in site.wait_outcomes(name, "network_down").values():
            assert target["words"] == "our own network is down (ENETUNREACH)"
    stays(lambda: world.operations_now() == [] and
          {world.value("SELECT rollbackd.active(%s)", name) for name in names} == {"v2"}, "nothing done", 2)
    assert all(rule["verdict"] != "bad" for name in names for rule in world.service(name)["rules"])
    site.home.run("ip", "link", "set", "cable", "up")
    for name in names:
        site.wait_outcomes(name, "ok")
    world.wait(lambda: all(world.service(name)["health"] == "watching" for name in names), "all of them to be well")


def test_servers_that_stand_still(site):
    """SIGSTOP in the middle of answers: the kernel goes on accepting, nobody answers."""
    world = site.world
    site.start(policy_on("web", {"http": [site.url("http", "ordinary")]}, fall=100),
               policy_on("slow", {"http": [site.url("http", "drips_chunks")]}, fall=100))
    site.wait_outcomes("web", "ok")
    site.servers.freeze()
    assert next(iter(site.wait_outcomes("web", "timeout").values()))["words"] == "no answer within 200 ms"
    assert next(iter(site.wait_outcomes("slow", "timeout").values()))["words"].endswith("within 200 ms")
    site.servers.thaw()
    site.wait_outcomes("web", "ok")
    assert world.operations_now() == []
