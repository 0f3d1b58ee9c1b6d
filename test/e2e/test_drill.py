"""rollbackctl drill: what it proves, each reason for which it fails, and that it has no effect."""
import re
import signal
import subprocess

import pytest
from ledger_support import BIN
from policies import STEPS
from supervisor import BUILD
from waiting import wait_until
from world import SERVICE, run_ctl

ATOMIC = STEPS[0]
INSERTING = dict(ATOMIC, statement="INSERT INTO note (text) SELECT :to FROM generate_series(1, 3)")
WAITING = dict(ATOMIC, statement="SELECT pg_advisory_xact_lock(7)")


def step(statement, **changes):
    return {**ATOMIC, "statement": statement, **changes}


@pytest.fixture
def site(world):
    """v1 stable, v2 active, five users of it, and a policy with every kind of step."""
    world.call("register", SERVICE, "v1", True, "known good")
    world.deploy("v2")
    world.rows("INSERT INTO users SELECT g, 'v2' FROM generate_series(1, 5) g")
    world.rows("INSERT INTO cache VALUES ('us_r%:1', 'v2')")
    world.rows("INSERT INTO session (id, version) VALUES (1, 'v2')")
    put(world, *STEPS)
    return world


def put(world, *steps, **changes):
    world.write_policy(world.policy(rollback={"steps": list(steps)}, **changes))


def dump(world):
    """Every row of the database but what a drill says of itself; sequences aside."""
    text = subprocess.run([BIN / "pg_dump", "--data-only", "--inserts", "-h", world.cluster.root, "-U", "postgres",
                           "--exclude-table-data=rollbackd.drill", world.database],
                          check=True, capture_output=True, text=True).stdout
    return [line for line in text.splitlines()
            if "'drill." not in line and "pg_catalog.setval(" not in line and not line.startswith("\\")]


def drill(world, code, *words):
    """Runs a drill that leaves the data as they are."""
    before = dump(world)
    done = world.ctl("drill", *words)
    assert dump(world) == before
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done


def last(world):
    found = world.rows("SELECT succeeded, succeeded_at IS NOT NULL, report FROM rollbackd.drill_status "
                       "WHERE service = %s", SERVICE, user="rollbackd")
    return found and found[0]


def fails(world, *reasons, code=4, others=("step 2 sql", "step 3 cache", "step 4 session", "notify 1")):
    """A failed drill with exactly these reasons; whatever else there is was checked too."""
    done = drill(world, code)
    told = [line for line in done.stderr.splitlines() if not line.startswith(" ")]
    assert len(told) == len(reasons), done.stderr
    for reason, line in zip(reasons, told):
        assert re.search(reason, line), (reason, line)
    for other in others:
        assert re.search(rf"^  (good|warning) +{other}", done.stdout, re.M), (other, done.stdout)
    count = f"{len(reasons)} reason" + ("s" if len(reasons) > 1 else "")
    assert done.stdout.splitlines()[-1] == f"{SERVICE}: drill failed: {count}"
    assert last(world)[0] is False and last(world)[2]["reasons"] == len(reasons)
    return done


@pytest.mark.sanitize
def test_a_drill_that_succeeds(site):
    put(site, ATOMIC, INSERTING, *STEPS[1:])
    done = drill(site, 0)
    assert not done.stderr
    assert re.search(r"good +step 1 sql, line \d+ +under role site_rollback: 5 rows in [\d.]+ ms$", done.stdout, re.M)
    assert re.search(r"good +step 2 sql, line \d+ +under role site_rollback: 3 rows in", done.stdout, re.M)
    for what in ("ledger +schema 2", "target +v2 -> v1, stable", "step 3 sql", "step 4 cache",
                 "step 5 session", "notify 1 webhook +127.0.0.1 port"):
        assert re.search(rf"^  good +{what}", done.stdout, re.M), (what, done.stdout)
    assert re.fullmatch(SERVICE + r": drill succeeded: v2 -> v1 in \d+ ms", done.stdout.splitlines()[-1])
    succeeded, ever, report = last(site)
    assert succeeded and ever and report["to"] == "v1" and report["epoch"] == 2
    assert [c["rows"] for c in report["checks"] if "rows" in c] == [5, 3]


def test_json_says_the_same(site):
    document = site.ctl_json("drill", SERVICE)
    assert document["api_version"] == 1
    only = document["drills"][0]
    assert only["succeeded"] and only["recorded"] and (only["from"], only["to"]) == ("v2", "v1")
    assert only["policy"].endswith(f"{SERVICE}.conf")
    ran = next(c for c in only["checks"] if c["check"].startswith("step 1"))
    assert ran["result"] == "good" and ran["rows"] == 5 and ran["milliseconds"] > 0
    put(site, step("UPDATE users SET version = :to WHERE 1 / (id - id) = 1"), *STEPS[1:])
    done = site.ctl("drill", "--json")
    assert done.returncode == 4 and "division by zero" in done.stderr and '"succeeded": false' in done.stdout


@pytest.mark.parametrize("prepare, words", [
    ("SELECT rollbackd.ban('users-api', 'v1', 'a hole')", "target: no target: v1 is quarantined"),
    ("SELECT rollbackd.deploy('users-api', 'v3', barrier => true)", "target: no target: v1 is behind a barrier"),
    ("UPDATE rollbackd.version SET stable_at = NULL", "target: no target: no other version is stable"),
    ("DELETE FROM rollbackd.release; DELETE FROM rollbackd.version; DELETE FROM rollbackd.service",
     "facts: the ledger does not know the service"),
])
def test_no_target(site, prepare, words):
    site.rows("SET session_replication_role = replica")
    site.rows(prepare)
    others = ("step 1 sql, line [0-9]+ +can be run", "step 2 sql", "step 3 cache", "notify 1")
    if "facts" in words:
        done = site.ctl("drill")
        assert done.returncode == 4 and words in done.stderr and "the result is not recorded" in done.stderr
        assert "rollbackctl register users-api VERSION" in done.stderr
    else:
        fails(site, words, others=others)


def test_a_schema_that_the_target_does_not_know(world):
    world.call("register", SERVICE, "v1", True, "known good")
    world.deploy("v2", schema_max=3)
    world.call("mark_stable", SERVICE, "v2", "watched it")
    world.rows("UPDATE rollbackd.version SET stable_at = NULL WHERE version = 'v1'")
    world.deploy("v3", schema_min=4)
    put(world, *STEPS)
    fails(world, "target: no target: v2 does not fit the current schema")


@pytest.mark.parametrize("broken, words, advice", [
    (step("DELETE FROM users WHERE version = :from"), "permission denied for table users", "GRANT .* ON users TO"),
    (step("SELECT 1", role="postgres"), "permission denied to set role", "GRANT postgres TO rollbackd;"),
    (step("SELECT 1", role="nobody_there"), 'role "nobody_there" does not exist', "CREATE ROLE nobody_there"),
    (step("UPDATE users SET colour = :to"), 'column "colour" of relation "users" does not exist', None),
    (step("INSERT INTO users VALUES (1, :to)", role="site_rollback"), "permission denied", "GRANT"),
    (step("SELECT 1 / (:to_epoch - :from_epoch - 1)"), "division by zero", None),
    (step("DO $$ BEGIN COMMIT; END $$"), "invalid transaction termination", None),
    (step("SELECT pg_sleep(60)"), "canceling statement due to statement timeout", None),
])
def test_a_statement_that_fails(site, broken, words, advice):
    put(site, broken, ATOMIC, *STEPS[1:])
    done = fails(site, f"step 1 sql, line [0-9]+: under role {broken['role']}: .*{re.escape(words)}",
                 others=("step 2 sql", "step 3 sql", "step 4 cache", "step 5 session", "notify 1"))
    assert "5 rows" in done.stdout, "the next statement is drilled all the same"
    assert not advice or re.search(advice, done.stderr), done.stderr


def test_each_atomic_statement_sees_the_ones_before_it(site):
    put(site, ATOMIC, step("UPDATE users SET version = :from WHERE version = :to"))
    assert drill(site, 0).stdout.count(": 5 rows in") == 2


def test_a_deferred_constraint_fails_inside_its_statement(site):
    site.rows("CREATE TABLE owner (id int8 PRIMARY KEY); INSERT INTO owner SELECT generate_series(1, 5);"
              "ALTER TABLE users ADD FOREIGN KEY (id) REFERENCES owner DEFERRABLE INITIALLY DEFERRED;"
              "GRANT SELECT ON owner TO site_rollback")
    put(site, step("UPDATE users SET id = id + 100 WHERE version = :from"), *STEPS[1:])
    fails(site, "step 1 sql.*violates foreign key constraint")


def test_a_lock_held_by_somebody(site):
    with site.connect(autocommit=False) as other:
        other.execute("UPDATE users SET version = 'v3' WHERE id = 1")
        fails(site, "step 1 sql.*canceling statement due to lock timeout")
        other.rollback()
    assert drill(site, 0).stdout


def test_a_later_step_that_cannot_run(site):
    site.rows("REVOKE DELETE ON session FROM site_rollback")
    done = fails(site, "step 4 session, line [0-9]+: under role site_rollback: permission denied for table session",
                 others=("step 1 sql", "step 2 sql", "step 3 cache", "notify 1"))
    assert "GRANT SELECT, INSERT, UPDATE, DELETE ON session TO site_rollback;" in done.stderr


def test_a_cache_without_an_index_is_a_warning(site):
    site.rows("ALTER TABLE cache DROP CONSTRAINT cache_pkey")
    done = drill(site, 0)
    assert re.search("^  warning  step 3 cache, line [0-9]+ +no index begins with the key", done.stdout, re.M)
    checked = site.ctl("check", "--db")
    assert checked.returncode == 0 and "warning: no index" in checked.stderr and "CREATE INDEX" in checked.stderr


def test_secrets_and_receivers_of_notices(site):
    secret = site.root / "secrets" / "hook"
    secret.chmod(0o644)
    fails(site, "notify 1 webhook: secret .*hook: may be read or written by others",
          others=("step 1 sql", "step 2 sql", "step 3 cache", "step 4 session"))
    secret.unlink()
    fails(site, "notify 1 webhook: secret .*hook: cannot be opened", others=())
    site.put_secret("hook", "whsec_c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0")
    put(site, *STEPS, notify=[{"kind": "webhook", "url": "http://nobody.invalid/x", "secret_file": "hook"},
                              {"kind": "webhook", "url": "http://127.0.0.1:1/x"}])
    done = drill(site, 0)
    assert re.search("^  warning +notify 1 webhook +nobody.invalid port 80 cannot be resolved", done.stdout, re.M)
    assert re.search("^  warning +notify 2 webhook +127.0.0.1 port 1 does not accept a connection", done.stdout, re.M)
    assert "c2VjcmV0" not in done.stdout + done.stderr


def test_all_that_a_drill_can_find_at_once(site):
    """More reasons than ever, each told: every right, every secret and every receiver. A site's own function of the same
    name has rights of its own."""
    site.rows("CREATE FUNCTION rollbackd.claim_steps() RETURNS int LANGUAGE sql AS 'SELECT 1';"
              "REVOKE EXECUTE ON FUNCTION rollbackd.claim_steps() FROM PUBLIC")
    site.rows("REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA rollbackd FROM rollbackd;"
              "REVOKE SELECT ON rollbackd.history, rollbackd.operation_status, rollbackd.recent_event, "
              "rollbackd.drill_status FROM rollbackd")
    put(site, *[dict(ATOMIC) for _ in range(32)],
        notify=[{"kind": "webhook", "url": f"http://127.0.0.1:1/{i}", "secret_file": f"none-{i}"} for i in range(16)])
    done = site.ctl("drill")
    assert done.returncode == 4, (done.returncode, done.stderr[-2000:])
    assert len(re.findall("rights: no right on", done.stderr)) == 22
    assert len(re.findall("notify [0-9]+ webhook: secret", done.stderr)) == 16
    assert len(re.findall("^  warning +notify [0-9]+ webhook +127.0.0.1 port 1 ", done.stdout, re.M)) == 16


def test_a_right_on_the_ledger_that_is_missing(site):
    site.rows("REVOKE EXECUTE ON FUNCTION rollbackd.earn_stable(text, int8) FROM rollbackd")
    site.rows("REVOKE SELECT ON rollbackd.recent_event FROM rollbackd")
    done = fails(site, r"rights: no right on FUNCTION rollbackd.earn_stable\(text, bigint\)",
                 "rights: no right on TABLE rollbackd.recent_event")
    assert "GRANT EXECUTE ON FUNCTION rollbackd.earn_stable(text, bigint) TO rollbackd;" in done.stderr


def test_the_list_of_rights_is_what_the_daemon_calls(world):
    """What its sources name and what is checked are the same."""
    ledger = BUILD.resolve().parents[1] / "daemon" / "ledger"
    texts = {file.name: re.sub(r'"\s*"', "", file.read_text()) for file in ledger.glob("*.c")}
    named = {name for text in texts.values() for name in re.findall(r"\brollbackd\.(?!conf\b)([a-z_]+)", text)}
    listed = set(re.findall(r'{ "([a-z_]+)", [0-9]+ }', texts["ledger_needs.c"]))
    assert named == listed
    world.call("register", SERVICE, "v1", True, "known good")


def test_a_refused_file_is_a_failed_drill(site):
    for smuggled in ("COMMIT", "/* x */ rollback", "UPDATE users SET version = :to; COMMIT",
                     "PREPARE TRANSACTION 'x'", "SET ROLE postgres", "COMMIT AND CHAIN", "END"):
        put(site, step(smuggled), *STEPS[1:])
        done = drill(site, 4)
        assert f"{SERVICE}: policy: " in done.stderr and "rollback.steps[0].statement" in done.stderr, done.stderr
        assert last(site)[0] is False
    put(site, {"kind": "nonsense"}, {"kind": "nonsense too"})
    done = drill(site, 4)
    assert len(re.findall("^  failed   policy .*nonsense", done.stdout, re.M)) == 2 and "x0a" not in done.stdout, done.stdout
    site.write_policy("nonsense", name="broken.conf")
    put(site, *STEPS)
    done = drill(site, 4)
    assert "broken.conf: policy: " in done.stderr and f"{SERVICE}: drill succeeded" in done.stdout
    assert last(site)[0] is True
    assert drill(site, 0, SERVICE).stdout


def test_exit_codes(site, tmp_path):
    assert drill(site, 5, "nobody").stdout == ""
    assert site.ctl("drill", "no body").returncode == 2
    lost = ["--conninfo", f"host={tmp_path} dbname=x user=rollbackd"]
    assert run_ctl("drill", "--config", site.daemon.conf, *lost).returncode == 3
    site.rows("CREATE OR REPLACE VIEW rollbackd.schema AS SELECT 99 AS version, 99 AS oldest_daemon")
    assert "ledger: the ledger has schema 99" in drill(site, 4).stderr
    (site.root / "policies.d" / f"{SERVICE}.conf").unlink()
    assert drill(site, 0).stdout == "no policy: nothing to drill\n"
    assert site.ctl_json("drill") == {"api_version": 1, "drills": []}


def test_a_ledger_that_keeps_no_results(site):
    """Schema 1, on which the daemon runs."""
    site.rows("DROP FUNCTION rollbackd.drill_result, rollbackd.prune; DROP VIEW rollbackd.drill_status;"
              "CREATE OR REPLACE VIEW rollbackd.schema AS SELECT 1 AS version, 1 AS oldest_daemon")
    done = drill(site, 1)
    assert "drill succeeded" in done.stdout and "not recorded" in done.stderr and "db migrate" in done.stderr


def test_in_another_role_it_refuses_and_records_nothing(site):
    drill(site, 0)
    before = last(site)
    done = run_ctl("drill", "--config", site.daemon.conf, "--conninfo",
                   f"host={site.cluster.root} dbname={site.database} user=postgres")
    assert done.returncode == 7 and done.stdout == "", done.stdout
    assert "this is postgres: type: runuser -u rollbackd -- rollbackctl drill" in done.stderr
    assert last(site) == before


def start_waiting(world):
    """A drill whose statement waits for the lock that `holder` has; its backend's number."""
    child = world.exits.enter_context(subprocess.Popen(
        [BUILD / "rollbackctl", "drill", "--config", world.daemon.conf], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
    return child, wait_until(lambda: waiting(world) or child.poll() is not None, "the drill to wait")


def waiting(world):
    return world.rows("SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
                      "AND application_name = 'rollbackctl' AND wait_event_type = 'Lock'")


def test_it_takes_no_lock_on_the_service(site):
    put(site, ATOMIC, WAITING)
    holder = site.connect()
    holder.execute("SELECT pg_advisory_lock(7)")

    def deploy_beside_it():
        child, _ = start_waiting(site)
        with site.connect(autocommit=False) as other:
            other.execute("SELECT * FROM rollbackd.service FOR UPDATE NOWAIT")
            seen = waiting(site)
            other.rollback()
        child.communicate(timeout=60)
        return seen
    wait_until(deploy_beside_it, "a look at the service while a drill was under way")


def test_it_makes_way_for_whoever_waits_for_its_locks(site):
    put(site, ATOMIC, WAITING, INSERTING)
    holder = site.connect()
    holder.execute("SELECT pg_advisory_lock(7)")

    def write_beside_it():
        child, seen = start_waiting(site)
        with site.connect(autocommit=False) as other:
            other.execute("UPDATE users SET version = 'v3' WHERE id = 1")
            other.rollback()
        out, err = child.communicate(timeout=60)
        return seen and "lock timeout" not in err and (child.returncode, out, err)
    code, out, err = wait_until(write_beside_it, "a drill that holds somebody up")
    assert code == 4 and ": 5 rows in" in out and "step 3 cache" not in out
    assert len(re.findall("step [23] sql, line [0-9]+: given up, for somebody waited for a lock", err)) == 2, err
    assert site.rows("SELECT version, count(*) FROM users GROUP BY 1") == [("v2", 5)]


def test_interrupted_it_rolls_back_and_records_nothing(site):
    put(site, ATOMIC, WAITING)
    holder = site.connect()
    holder.execute("SELECT pg_advisory_lock(7)")
    before = dump(site)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        def interrupt():
            child, seen = start_waiting(site)
            child.send_signal(number)
            out, err = child.communicate(timeout=60)
            return seen and "lock timeout" not in out and not last(site) and (child.returncode, out + err)
        code, words = wait_until(interrupt, "a drill that is interrupted while it waits")
        assert code == (-9 if number == signal.SIGKILL else 1)
        assert number == signal.SIGKILL or "stopped: everything is rolled back" in words
        wait_until(lambda: not waiting(site), "its session to end")
    assert dump(site) == before and last(site) == []


def test_beside_an_open_operation(world):
    world.open_allowed = True
    world.start(rollback={"verify": "1h", "steps": STEPS})
    world.rows("INSERT INTO users SELECT g, 'v2' FROM generate_series(1, 5) g")
    world.call("mark_stable", SERVICE, "v1", "known good")
    world.deploy("v1b")
    world.call("mark_stable", SERVICE, "v1b", "known good")
    world.release_bad("v2")
    world.wait_state("verifying")
    before = world.operations()
    done = world.ctl("drill")
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert re.search("^  warning  operation +a rollback is open: v2 -> v1b, verifying", done.stdout, re.M)
    assert "drill succeeded: v1b -> v1" in done.stdout
    assert world.operations() == before and world.active() == "v1b"


ENTRY = re.compile(r"^\S+ \S+ \S+ \[(\d+)\] \w+:  (.*)$")
AROUND = "SELECT rollbackd.atomic_result("


def transactions(log):
    """What each session ran from its SET CONSTRAINTS to its last RESET ROLE, with the parameters."""
    by_pid, pid = {}, None
    for line in log.splitlines():
        entry = ENTRY.match(line)
        if entry:
            pid = entry[1]
            by_pid.setdefault(pid, []).append(entry[2])
        elif pid:
            by_pid[pid][-1] += line
    found = []
    for lines in by_pid.values():
        kept, about = [], False
        for line in lines:
            if not line.startswith("parameters:"):
                about = AROUND in line
            if not about:
                kept.append(line)
        begin = [i for i, line in enumerate(kept) if line.endswith("SET CONSTRAINTS ALL IMMEDIATE")]
        end = [i for i, line in enumerate(kept) if line.endswith("RESET ROLE")]
        if begin:
            found.append(kept[begin[0]:end[-1] + 1])
    return found


def test_what_is_drilled_is_what_the_daemon_runs(world):
    steps = [step("UPDATE users SET version = :to WHERE version = :from AND :released_at > '2020-01-01'"),
             step("INSERT INTO note (text)\n SELECT :service || :from_epoch || :to_epoch -- all of it")]
    world.start(rollback={"mode": "observe", "steps": steps})
    world.rows("INSERT INTO users SELECT g, 'v2' FROM generate_series(1, 5) g")
    world.deploy("v2")
    world.wait(lambda: world.service()["epoch"] == 2, "the deploy to be seen")
    world.rows(f"ALTER DATABASE {world.database} SET log_statement = 'all'")
    world.daemon.stop()
    world.restart()
    begin = (world.cluster.root / "log").stat().st_size
    assert world.ctl("drill").returncode == 0
    assert world.active() == "v2" and world.value("SELECT count(*) FROM note") == 0
    world.manual.add(2)
    assert world.ctl("rollback", SERVICE, "--reason", "complaints", "--yes").returncode == 0
    world.wait_state("recovered")
    assert world.value("SELECT count(*) FROM note") == 1
    drilled, done = transactions((world.cluster.root / "log").read_text()[begin:])
    assert drilled == done and len(drilled) > 2 * 4
