"""What is wrong with the ledger: each is named in status, STATUS= and an alert with what to do, nothing else stops, and
once it is mended the ledger comes up by itself."""
import atexit
import functools
import re

import pytest
from lone_site import OPEN, Server, Site

PASSWORD = OPEN.replace("trust", "scram-sha-256")


@functools.lru_cache(maxsize=None)
def shared_server():
    made = Server()
    atexit.register(made.stop)
    made.sql("ALTER ROLE rollbackd PASSWORD 'correct-horse'")
    return made


@pytest.fixture
def server():
    return shared_server()


@pytest.fixture
def site(server):
    made = Site(server)
    yield made
    server.set_rules(OPEN)
    made.close()


def test_no_postgresql(server, site):
    server.quit()
    site.start(site.conninfo())
    site.wait_words("nothing listens at the ledger's socket", "is PostgreSQL running? systemctl status postgresql")
    server.start()
    site.wait_up()
    assert site.alert_kind() == {"ledger.down"}


def test_a_wrong_password_is_corrected_by_a_reload(server, site):
    server.set_rules(PASSWORD)
    path = site.put_secret("battery-staple")
    site.start(site.conninfo(), "ledger")
    said = site.wait_words("password authentication failed for rollbackd: put the right password into ", "systemctl reload")
    assert f"into {path}, then: systemctl reload rollbackd" in said
    assert site.alert_kind() == {"ledger.unusable"} and "staple" not in said
    site.put_secret("correct-horse")
    site.daemon.reload()
    site.wait_up()
    log = site.daemon.log()
    assert "horse" not in log and "staple" not in log and site.ctl().returncode == 5


def test_a_password_is_asked_for_that_nobody_gave(server, site):
    server.set_rules(PASSWORD)
    site.start(site.conninfo())
    site.wait_words("the server asks rollbackd for a password", "ledger.password_file")
    server.set_rules(OPEN)
    site.wait_up()


@pytest.mark.parametrize("mode", [None, 0o644])
def test_an_unreadable_secret_is_a_reason_and_is_tried_again(server, site, mode):
    server.set_rules(PASSWORD)
    path = site.root / "secrets" / "ledger"
    if mode:
        site.put_secret("correct-horse", mode=mode)
    site.start(site.conninfo(), "ledger")
    said = site.wait_words(str(path), "chmod o-rwx" if mode else "write it there")
    assert site.alert_kind() == {"ledger.unusable"} and "horse" not in said
    # Without a reload: the next attempt finds it.
    site.put_secret("correct-horse")
    site.wait_up()


def test_an_unknown_database(server, site):
    site.start(site.conninfo("an odd one").replace("dbname=an odd one", "dbname='an odd one'"))
    said = site.wait_words("the database 'an odd one' does not exist: run: runuser -u postgres -- rollbackctl db init --database "
                           "'an odd one'")
    assert "ledger.conninfo" in said and site.alert_kind() == {"ledger.unusable"}
    server.init("an odd one")
    site.wait_up()


def test_a_role_that_is_missing():
    bare = Server(database=None)
    site = Site(bare)
    try:
        bare.sql("CREATE DATABASE platform", database="postgres")
        site.start(site.conninfo())
        site.wait_words("the role rollbackd does not exist or may not log in: run: ", "db init --database platform")
        bare.init("platform")
        site.wait_up()
    finally:
        site.close()
        bare.stop()


def test_a_role_that_may_not_log_in(server, site):
    server.sql("ALTER ROLE rollbackd NOLOGIN")
    site.start(site.conninfo())
    site.wait_words("the role rollbackd does not exist or may not log in: run: ", "db init --database platform")
    server.init("platform")
    site.wait_up()


def test_no_line_of_pg_hba(server, site):
    server.set_rules("local other all trust\n")
    site.start(site.conninfo())
    site.wait_words("no line of the server's pg_hba.conf lets rollbackd into platform: add the one that",
                    "rollbackctl db init --database platform prints")
    line = re.search(r"^ +(local platform rollbackd) peer$", server.init("platform"), re.M)[1]
    server.set_rules(f"{line} trust\n")
    site.wait_up()


def test_a_database_without_a_ledger(server, site):
    server.sql("CREATE DATABASE bare", database="postgres")
    site.start(site.conninfo("bare"))
    site.wait_words("the database bare has no schema rollbackd: run: runuser -u postgres -- rollbackctl db init --database bare")
    done = site.ctl()
    assert done.returncode == 1 and "rollbackctl db init --database bare" in done.stderr, done
    server.init("bare")
    site.wait_up()


def test_a_function_that_may_not_be_executed(server, site):
    server.sql("REVOKE EXECUTE ON FUNCTION rollbackd.load FROM rollbackd")
    site.start(site.conninfo())
    said = site.wait_words("lacks a right", "GRANT EXECUTE ON FUNCTION rollbackd.load(")
    assert "more, which" not in said
    server.sql(re.search(r"GRANT .* TO rollbackd", said)[0])
    site.wait_up()
    # And while it is up.
    server.sql("REVOKE SELECT ON rollbackd.schema FROM rollbackd",
               "REVOKE EXECUTE ON FUNCTION rollbackd.load FROM rollbackd")
    server.sql("SELECT pg_notify('rollbackd', 'users-api 1')")
    said = site.wait_words("GRANT EXECUTE ON FUNCTION rollbackd.load(", "and 1 more, which ", "_rights.sql grants again")
    server.sql("SET ROLE rollbackd_owner", "GRANT EXECUTE ON FUNCTION rollbackd.load TO rollbackd",
               "GRANT SELECT ON rollbackd.schema TO rollbackd")
    site.wait_up()


def test_a_schema_that_may_not_be_used(server, site):
    server.sql("REVOKE USAGE ON SCHEMA rollbackd FROM rollbackd")
    site.start(site.conninfo())
    said = site.wait_words("may not use the schema rollbackd", "GRANT USAGE ON SCHEMA rollbackd TO rollbackd")
    server.sql(re.search(r"GRANT .* TO rollbackd", said)[0])
    site.wait_up()


def test_a_database_that_may_not_be_connected_to(server, site):
    server.sql("REVOKE CONNECT ON DATABASE platform FROM PUBLIC, rollbackd")
    site.start(site.conninfo())
    site.wait_words("the role rollbackd may not connect to platform: run: ", "db init --database platform")
    server.init("platform")
    site.wait_up()


def test_too_many_connections(server, site):
    server.sql("ALTER ROLE rollbackd CONNECTION LIMIT 0")
    site.start(site.conninfo())
    site.wait_words("the server has no connection left for rollbackd", "the limit of the role")
    assert site.alert_kind() == {"ledger.down"}
    server.sql("ALTER ROLE rollbackd CONNECTION LIMIT 16")
    site.wait_up()


def test_a_read_only_database(server, site):
    server.sql("ALTER DATABASE platform SET default_transaction_read_only = on")
    site.start(site.conninfo())
    site.wait_words("the server is a standby, or platform is read-only", "target_session_attrs=read-write")
    server.sql("ALTER DATABASE platform RESET default_transaction_read_only", database="postgres")
    site.wait_up()


def test_a_server_in_recovery(server, site):
    server.quit()
    (server.root / "data" / "standby.signal").touch()
    server.give(server.root / "data" / "standby.signal")
    server.start()
    site.start(site.conninfo())
    site.wait_words("the server is a standby, or platform is read-only", "target_session_attrs=read-write")
    server.sql("SELECT pg_promote()")
    site.wait_up()
