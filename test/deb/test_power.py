"""The power is cut in the middle of an operation: the host boots, PostgreSQL recovers, rollbackd finishes."""
SLOW = {"kind": "sql", "role": "users_rollback", "statement": "INSERT INTO note (text) SELECT 'slow' FROM pg_sleep(2)"}


def up_again(site):
    site.cut()
    assert site.boot() == "running"
    site.wait_known()


def test_while_verifying(site):
    site.watch(rollback={"verify": "15s"})
    site.release_bad()
    site.wait_active("v1")
    site.wait_state("verifying")
    up_again(site)
    assert site.wait_state("recovered")["automatic"]
    assert site.moves() == [("v2", "v1")] and site.active() == "v1"


def test_while_a_step_runs(site):
    site.watch(rollback={"steps": [SLOW]})
    site.release_bad()
    site.wait_active("v1")
    site.wait(lambda: site.rows("SELECT 1 AS n FROM pg_stat_activity WHERE query LIKE '%%pg_sleep(2)%%' AND state = 'active' "
                                "AND pid <> pg_backend_pid()"), "the step to run")
    up_again(site)
    site.wait_state("recovered")
    assert site.moves() == [("v2", "v1")]
    # Of a step that was cut off nothing is left, and then it was done once.
    assert site.rows("SELECT text FROM note") == [("slow",)]


def test_at_once_after_the_pointer_moved(site):
    site.watch()
    site.release_bad()
    site.wait_active("v1")
    up_again(site)
    site.wait_state("recovered")
    assert site.moves() == [("v2", "v1")]
