"""https targets of a whole rollbackd: what a certificate is worth, files that change, and what a person is shown."""
import shutil

import pytest
from secure import Secure, make_authority, make_certificate
from waiting import wait_until
from world import run_ctl

pytestmark = pytest.mark.sanitize


@pytest.fixture
def site(world):
    """A server, and files of which the policy names trusted.pem."""
    make_authority(world.root, "ca")
    make_authority(world.root, "other")
    shutil.copy(world.root / "ca.pem", world.root / "trusted.pem")
    return world.add(Secure(*make_certificate(world.root, "server")))


def policy(world, server, **tls):
    made = world.policy()
    made["probes"]["secure"] = {"kind": "http", "targets": [server.url], "interval": "300ms", "timeout": "300ms", "rise": 1,
                                "fall": 1, "tls": {"ca_file": str(world.root / "trusted.pem"), **tls}}
    return made


def outcome(world, server):
    return world.targets()["secure", server.url]["outcome"]


def wait_outcome(world, server, wanted):
    wait_until(lambda: outcome(world, server) == wanted, lambda: f"{wanted}, not {outcome(world, server)}")


def test_sessions_are_resumed_and_the_days_are_told(world, site):
    world.start(policy(world, site))
    wait_outcome(world, site, "ok")
    wait_until(lambda: len(site.resumed) >= 5, "five answers")
    assert site.resumed[:5] == [False, True, True, True, True]
    target = world.targets()["secure", site.url]
    assert 29 < target["values"]["certificate_days"] <= 30


def test_an_authority_that_was_taken_away_is_noticed_at_a_reload(world, site):
    world.start(policy(world, site))
    wait_outcome(world, site, "ok")
    shutil.copy(world.root / "other.pem", world.root / "trusted.pem")
    world.daemon.reload()
    wait_outcome(world, site, "tls_untrusted")
    (world.root / "trusted.pem").unlink()
    world.daemon.reload()
    wait_outcome(world, site, "local")
    assert "trusted.pem" in world.targets()["secure", site.url]["words"]
    shutil.copy(world.root / "ca.pem", world.root / "trusted.pem")
    world.daemon.reload()
    wait_outcome(world, site, "ok")


def test_our_own_certificate_has_its_key_among_the_secrets(world, site):
    certificate, key = make_certificate(world.root, "probe", names="DNS:probe")
    strict = world.add(Secure(world.root / "server.pem", world.root / "server.key", demands=world.root / "ca.pem"))
    world.start(policy(world, strict))
    wait_outcome(world, strict, "denied")
    world.put_secret("probe.key", key.read_text())
    world.write_policy(policy(world, strict, certificate_file=str(certificate), key_file="probe.key"))
    world.daemon.reload()
    wait_outcome(world, strict, "ok")


def test_a_person_sees_the_handshake(world, site):
    path = world.write_policy(policy(world, site))
    done = run_ctl("probe", "users-api", "secure", "--policy", path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "TLS " in done.stdout and "all ok" in done.stdout and "certificate_days" in done.stdout
