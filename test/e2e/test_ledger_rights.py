"""Least privilege: every function by every role, tables, and search_path."""
import pytest

from ledger_support import ledger, ledger_cluster, refused  # noqa: F401

EVERYBODY = {"ci", "alice", "app", "rollbackd"}
RIGHTS = {
    "active": EVERYBODY, "version_for": EVERYBODY, "generation_of": EVERYBODY,
    "register": {"ci", "alice"}, "deploy": {"ci", "alice"}, "deploy_done": {"ci", "alice"},
    **dict.fromkeys(["mark_stable", "ban", "unban", "pin", "unpin", "pause", "resume", "ack",
                     "rollback", "restore"], {"alice"}),
    **dict.fromkeys(["load", "commit_operation", "atomic_result", "adopt_operation",
                     "move_operation", "claim_steps", "step_progress", "step_result",
                     "leftover_operations", "record_event", "earn_stable", "put_subscribers",
                     "claim_deliveries", "delivery_result", "next_delivery_in", "observer_seen",
                     "prune"],
                    {"rollbackd"}),
    "drill_result": {"rollbackd", "alice"},
}
# Called by commit_operation() alone, which has fixed the search_path for them; nobody may execute
# them, so they need no rights of their own.
HELPERS = {"refuse_automatic", "refuse_target", "write_operation"}
VIEWS = ["service_status", "history", "candidate", "operation_status", "recent_event",
         "delivery_status", "observer_status", "drill_status"]
TABLES = ["service", "version", "release", "operation", "step", "event", "subscriber", "delivery",
          "generation", "observer", "migration", "drill"]


def functions(ledger):
    return ledger.rows("SELECT oid, proname, pg_get_function_identity_arguments(oid) "
                       "FROM pg_proc WHERE pronamespace = 'rollbackd'::regnamespace")


def test_who_may_execute_what(ledger):
    wrong = []
    names = set()
    for oid, name, _ in functions(ledger):
        names.add(name)
        for role in (*EVERYBODY, "stranger"):
            allowed = ledger.value("SELECT has_function_privilege(%s, %s::oid, 'EXECUTE')",
                                   role, oid)
            if allowed != (role in RIGHTS.get(name, set())):
                wrong.append((name, role, allowed))
    assert wrong == []
    assert set(RIGHTS) <= names


def test_a_call_without_the_right_is_refused(ledger):
    ledger.start()
    # Really called, with NULL for every argument: the answer is 42501 before anything else.
    for _, name, arguments in functions(ledger):
        if name == "refuse_event_change":
            continue
        types = [a.strip() for a in arguments.split(",") if a.strip() and not a.startswith("OUT")]
        nulls = ", ".join(f"NULL::{type_of(t)}" for t in types if not t.startswith("OUT "))
        for role in (*EVERYBODY, "stranger"):
            if role not in RIGHTS.get(name, set()):
                refused("42501", ledger.rows, f"SELECT rollbackd.{name}({nulls})", user=role)


def type_of(argument):
    """The type in "name type", as pg_get_function_identity_arguments writes it."""
    return argument.split(" ", 1)[1]


def test_nobody_touches_a_table(ledger):
    ledger.start()
    for role in (*EVERYBODY, "stranger"):
        for table in TABLES:
            for statement in ("SELECT FROM {}", "DELETE FROM {}", "TRUNCATE {}",
                              "COPY {} TO STDOUT"):
                refused("42501", ledger.rows, statement.format(f"rollbackd.{table}"), user=role)


def test_the_daemon_alone_cannot_touch_the_application(ledger):
    for statement in ("SELECT FROM users", "UPDATE users SET version = 'v1'", "DELETE FROM users",
                      "INSERT INTO users VALUES (1, 'v1')", "SET ROLE rollbackd_owner"):
        refused("42501", ledger.rows, statement, user="rollbackd")
    refused("42501", ledger.rows, "CREATE TABLE rollbackd.mine (x int)", user="rollbackd")


def test_a_granted_role_is_used_only_by_set_role(ledger):
    ledger.rows("CREATE ROLE users_rollback")
    try:
        ledger.rows("GRANT SELECT, UPDATE ON users TO users_rollback")
        ledger.rows("GRANT users_rollback TO rollbackd")
        refused("42501", ledger.rows, "UPDATE users SET version = 'v1'", user="rollbackd")
        connection = ledger.connect("rollbackd", autocommit=False)
        connection.execute("SET LOCAL ROLE users_rollback")
        connection.execute("UPDATE users SET version = 'v1'")
        connection.rollback()
    finally:
        ledger.rows("DROP OWNED BY users_rollback")
        ledger.rows("DROP ROLE users_rollback")


def test_who_may_read_what(ledger):
    ledger.start()
    for view in VIEWS:
        for role in ("rollbackd", "alice", "app"):
            ledger.rows(f"SELECT * FROM rollbackd.{view}", user=role)
        for role in ("ci", "stranger"):
            refused("42501", ledger.rows, f"SELECT * FROM rollbackd.{view}", user=role)


def test_no_view_shows_a_subscribers_address(ledger):
    ledger.start()
    ledger.call("put_subscribers", "users-api", '[{"url": "http://hooks/TOKEN"}]', user="rollbackd")
    ledger.call("deploy", "users-api", "v3")
    for view in VIEWS:
        assert "TOKEN" not in str(ledger.rows(f"SELECT * FROM rollbackd.{view}", user="app"))


def test_every_function_is_closed_and_pinned(ledger):
    rows = ledger.rows(
        "SELECT p.proname, p.prosecdef, p.proconfig, l.lanname, d.description IS NOT NULL, "
        "       p.proacl IS NOT NULL AND NOT EXISTS (SELECT FROM aclexplode(p.proacl) a "
        "               WHERE a.grantee = 0), pg_get_userbyid(p.proowner) "
        "FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang "
        "LEFT JOIN pg_description d ON d.objoid = p.oid "
        "WHERE p.pronamespace = 'rollbackd'::regnamespace")
    assert len(rows) > 40
    for name, definer, config, language, commented, closed, owner in rows:
        if name in HELPERS:
            assert not definer and name not in RIGHTS, f"{name} runs in its caller's rights"
        else:
            assert definer, f"{name} is not SECURITY DEFINER"
            assert "search_path=pg_catalog, rollbackd, pg_temp" in config, name
        assert language == "plpgsql" and commented and closed, name
        assert owner == "rollbackd_owner", name


def test_a_new_function_is_closed_by_default(ledger):
    owner = ledger.connect("postgres", autocommit=False)
    owner.execute("SET LOCAL ROLE rollbackd_owner")
    owner.execute("CREATE FUNCTION rollbackd.later() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    owner.execute("SET LOCAL SESSION AUTHORIZATION app")
    refused("42501", owner.execute, "SELECT rollbackd.later()")


def test_temporary_tables_of_the_caller_are_not_read(ledger):
    ledger.start()
    app = ledger.as_role("app")
    app.execute("CREATE TEMP TABLE service (name text, active text)")
    app.execute("INSERT INTO service VALUES ('users-api', 'EVIL')")
    app.execute("GRANT ALL ON service TO PUBLIC")
    app.execute("SET search_path = pg_temp, rollbackd")
    assert ledger.call("active", "users-api", user="app") == "v2"
    ci = ledger.as_role("ci")
    ci.execute("CREATE TEMP TABLE version (service text, version text, epoch int8, "
               "quarantined_until timestamptz, banned_until timestamptz)")
    ledger.call("deploy", "users-api", "v3", user="ci")
    assert ledger.call("active", "users-api", user="app") == "v3"
    assert ci.execute("SELECT count(*) FROM pg_temp.version").fetchone()[0] == 0


def test_the_actor_is_the_login_not_the_owner(ledger):
    ledger.start()
    ledger.call("pause", "users-api", "1 hour", "x")
    actors = ledger.rows("SELECT kind, actor FROM rollbackd.recent_event ORDER BY seq")
    assert actors == [("release.registered", "alice"), ("release.deployed", "ci"),
                      ("service.paused", "alice")]


def test_roles_can_be_run_again(ledger_cluster, ledger):
    from ledger_support import SQL

    def limits():
        return ledger.rows("SELECT rolname, rolconnlimit FROM pg_roles WHERE rolname LIKE 'rollbackd%%' ORDER BY 1")
    before = limits()
    with ledger_cluster.connect(ledger.database) as administrator:
        administrator.execute((SQL / "roles.sql").read_text())
    rows = ledger.rows("SELECT rolname, rolcanlogin, rolinherit FROM pg_roles WHERE rolname LIKE 'rollbackd%%' ORDER BY 1")
    assert rows == [("rollbackd", True, False), ("rollbackd_deployer", False, True), ("rollbackd_follow", True, True),
                    ("rollbackd_operator", False, True), ("rollbackd_owner", False, True), ("rollbackd_reader", False, True)]
    # A limit that the site has changed is the site's.
    assert limits() == before
