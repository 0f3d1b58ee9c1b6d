"""From one package to the next and back while an operation is open, with the ledger's schema before or after the programs."""
import os
import pathlib
import time

import pytest
import trees
from upgrade_support import STOP_SECONDS, Upgrade, version_of

# Longer than one request for more time lasts, so that it must be asked for again.
HELD_SECONDS = 18
# Where the administrator and the package have both changed a file, dpkg asks, unless it was told before. Elsewhere it has nothing to ask.
KEPT = ["-o", "Dpkg::Options::=--force-confold"]


@pytest.fixture(scope="session")
def next_package():
    """A higher version with a migration more: NEXT_PACKAGE=, or what make deb-next has built."""
    named = os.environ.get("NEXT_PACKAGE")
    built = trees.ROOT / os.environ.get("BUILD", "build/dev") / "next" / "deb"
    found = [pathlib.Path(named)] if named else sorted(built.glob("rollbackd_*.deb"))
    assert len(found) == 1, f"which package? {found}"
    return found[0].resolve()


@pytest.fixture
def upgrade(request, site, package, next_package):
    made = Upgrade(site, package, next_package)
    yield made
    if not getattr(request.node, "failed", False):
        made.assert_all()


def held_longer_than_the_manager_waits(upgrade, apt, seconds=2 * STOP_SECONDS):
    """apt waits for the daemon, the daemon for its step, and systemd is asked for time."""
    site = upgrade.site
    site.wait(lambda: "step 2 (sql) of users-api runs" in site.status_line(), "the daemon to say what it waits for")
    assert site.property("TimeoutStopUSec") == f"{STOP_SECONDS}s"
    till = time.monotonic() + seconds
    while time.monotonic() < till:
        assert site.property("SubState") == "stop-sigterm" and apt.poll() is None and upgrade.step_runs()
        assert site.say("curl -sf http://127.0.0.1:7331/livez") == "ok"


def test_apt_and_then_migrate_with_a_step_under_way(upgrade):
    site, old, new = upgrade.site, upgrade.old, upgrade.new
    upgrade.prepare()
    upgrade.assert_honest(old, ledger=0)
    upgrade.open("v2")
    apt = upgrade.begin(new)
    held_longer_than_the_manager_waits(upgrade, apt, HELD_SECONDS)
    upgrade.let_go("v2")
    assert f"({version_of(old)})" in upgrade.ended(apt)
    upgrade.finish("v2")
    upgrade.assert_honest(new, ledger=0)
    # The daemon learns of the schema by itself.
    main = site.property("MainPID")
    assert "applied 9001_" in upgrade.migrate()
    upgrade.assert_honest(new, ledger=1)
    assert f"the ledger has schema {upgrade.schema + 1} now" in site.journal()
    upgrade.roll_back("v3")
    assert site.property("MainPID") == main
    claimed = "SELECT count(*) FROM rollbackd.step s JOIN rollbackd.operation o ON o.id = s.operation WHERE o.from_version = %s " \
              "AND s.first_claimed_at IS NOT NULL"
    assert site.value(claimed, "v2") == 0 and site.value(claimed, "v3") == 2


def test_there_and_back_while_verifying(upgrade):
    site, old, new = upgrade.site, upgrade.old, upgrade.new
    upgrade.prepare(verify="60s")
    upgrade.change_what_new_ships()
    upgrade.open("v2")
    upgrade.let_go("v2")
    site.wait_state("verifying")
    upgrade.install(new, *KEPT)
    assert site.operations()[-1]["state"] == "verifying"
    upgrade.assert_honest(new, ledger=0)
    upgrade.migrate()
    upgrade.install(old, *KEPT)
    assert site.operations()[-1]["state"] == "verifying"
    upgrade.assert_honest(old, ledger=1)
    upgrade.finish("v2")


def test_back_on_the_new_schema_with_a_step_under_way(upgrade):
    site, old, new = upgrade.site, upgrade.old, upgrade.new
    upgrade.prepare()
    upgrade.install(new)
    upgrade.migrate()
    upgrade.assert_honest(new, ledger=1)
    upgrade.open("v2")
    apt = upgrade.begin(old)
    held_longer_than_the_manager_waits(upgrade, apt)
    upgrade.let_go("v2")
    upgrade.ended(apt)
    upgrade.assert_honest(old, ledger=1)
    upgrade.finish("v2")
    # The older program finds nothing to do, and undoes nothing.
    assert "nothing to do" in upgrade.migrate()
    upgrade.roll_back("v3")
    assert site.value("SELECT version FROM rollbackd.schema") == upgrade.schema + 1


def test_migrate_before_apt_with_a_step_under_way(upgrade):
    site, old, new = upgrade.site, upgrade.old, upgrade.new
    upgrade.prepare()
    upgrade.unpack_new()
    main = site.property("MainPID")
    upgrade.open("v2")
    assert "applied 9001_" in upgrade.migrate_by_unpacked()
    upgrade.finish("v2")
    upgrade.assert_honest(old, ledger=1)
    upgrade.roll_back("v3")
    assert site.property("MainPID") == main
    upgrade.install(new)
    upgrade.assert_honest(new, ledger=1)
    upgrade.roll_back("v4")


def test_a_schema_that_has_given_up_this_daemon(upgrade):
    site, new = upgrade.site, upgrade.new
    upgrade.prepare()
    upgrade.unpack_new()
    upgrade.open("v2")
    upgrade.migrate_too_far()
    words = f"the ledger has schema {upgrade.schema + 2}, which takes daemons built for schema {upgrade.schema + 1} or newer; " \
            f"this one is built for {upgrade.schema}: install the matching rollbackd"
    site.wait(lambda: words in site.status_line(), "STATUS to say what to do")
    assert words in site.ctl("status").stdout
    upgrade.let_go("v2")
    # It observes, and leaves everything to a daemon that knows the ledger.
    probed = site.service()
    site.wait(lambda: site.service() != probed, "the daemon to go on probing")
    assert site.property("ActiveState") == "active" and site.say("curl -sf http://127.0.0.1:7331/livez") == "ok"
    assert site.operations()[-1]["state"] == "effecting"
    upgrade.install(new)
    upgrade.finish("v2")
    upgrade.assert_honest(new, ledger=2)
    upgrade.roll_back("v3")
