"""The one line of `systemctl status`, and that the API and rollbackctl say the same."""
import pytest
from policies import STEPS, text_of
from waiting import wait_until
from world import SERVICE

pytestmark = pytest.mark.sanitize


def configure(world, **changes):
    """rollbackd.conf without a ledger, with changes."""
    settings = {"http": {"socket": str(world.root / "rollbackd.sock"), "listen": "127.0.0.1:0"},
                "policies": str(world.root / "policies.d"), "secrets": str(world.root / "secrets"), **changes}
    (world.root / "rollbackd.conf").write_text(text_of(settings))


def assert_said(world, *words):
    """The service manager, the API and rollbackctl are told one line, and these words are in it in this order."""
    manager = world.daemon.manager

    def said():
        at = 0
        for word in words:
            at = manager.status().find(word, at)
            if at < 0:
                return False
        return True
    wait_until(said, lambda: f"STATUS= with {words}: {manager.status()}; {world.daemon.log()[-2000:]}")
    wait_until(lambda: world.daemon.get("/api/v1/services")["status"] == manager.status(), "the API to say the same")
    wait_until(lambda: world.ctl("status").stdout.splitlines()[0] == f"rollbackd: {manager.status()}",
               lambda: f"rollbackctl to say the same: {world.ctl('status').stdout}")
    assert len(manager.status().encode()) < 304


def test_a_fresh_installation_says_what_to_do(world):
    configure(world)
    world.daemon.start()
    assert_said(world, f"no ledger: set ledger.conninfo in {world.root}/rollbackd.conf", "nothing rolled back",
                f"no policy: put one into {world.root}/policies.d (see rollbackd-policy(5)), then systemctl reload rollbackd")
    # Each thing is said once, and no table stands without a row.
    said = world.ctl("status").stdout
    assert said.count("no ledger") == 1 and "HEALTH" not in said and len(said.splitlines()) == 1, said
    world.write_policy()
    world.daemon.reload()
    assert_said(world, "no ledger: ", "1 service, 1 new")
    said = world.ctl("status", "users-api").stdout
    assert "HEALTH" in world.ctl("status").stdout and "unknown, unknown" not in said and "rule down: unknown: " in said, said
    assert "no policy" not in world.daemon.manager.status()


def test_refused_files_are_named_with_their_line(world):
    world.start()
    text = text_of(dict(world.policy(), service="x"))
    line = text.count("\n") + 1
    for name in ("a", "b"):
        world.write_policy(text + "nonsense = 1;\n", name=f"{name}.conf")
    world.daemon.reload()
    assert_said(world, f"refused: {world.root}/policies.d/a.conf:{line}: nonsense: ", ", and 1 more file; 1 service, 1 ", "ledger reachable")
    world.write_policy(dict(world.policy(), service="x-api"), name="a.conf")
    (world.root / "policies.d" / "b.conf").unlink()
    world.daemon.reload()
    assert_said(world, "2 services")
    world.call("register", "x-api", "v1", True, "known good")


def test_an_operation_and_what_is_held_are_named(world):
    world.start(rollback={"verify": "3s", "steps": STEPS})
    world.release_bad()
    assert_said(world, f"{SERVICE}: v2 -> v1 verifying; 1 service, 1 ", "ledger reachable")
    world.wait_state("recovered")
    world.call("pause", SERVICE, "1 hour", "audit")
    world.release_bad("v3")
    assert_said(world, f"{SERVICE} is bad, held by pause; 1 service, 1 bad; ledger reachable")


def test_an_unreachable_ledger_is_said_in_its_own_words(world):
    world.start()
    world.proxy.cut()
    assert_said(world, "ledger unreachable: connection refused at the ledger's address", "1 service")
    world.proxy.open()
    assert_said(world, "1 service, 1 watching; ledger reachable")
    # Each connection says once that it is down, whatever the number of its tries, and in one line.
    log = world.daemon.log()
    assert log.count("the connection for steps is down") == 1 and "\\x09" not in log


def test_a_target_that_was_not_probed_yet_says_so(world):
    """Its first probe lies anywhere within the hour."""
    world.start(probes={"seldom": {"kind": "exec", "command": ["/bin/true"], "interval": "1h"}})
    assert "  probe seldom /bin/true: unknown, not probed yet\n" in world.ctl("status", "users-api").stdout
