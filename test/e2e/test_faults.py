"""What is lost on the way between rollbackd and PostgreSQL happens once all the same."""
import pytest
from proxy import HOLD, SWALLOW

pytestmark = pytest.mark.sanitize

NOTE = {"kind": "sql", "role": "site_rollback", "statement": "INSERT INTO note (text) VALUES (:from || '>' || :to)"}


def start_bad_release(world, matches, verdict):
    """A rollback with one statement after it, until the request that matches."""
    world.start(rollback={"steps": [NOTE]})
    world.proxy.catch(matches, verdict)
    world.release_bad()
    world.wait(world.proxy.caught.is_set, "the request")


def expect_one_note(world):
    operation = world.wait_state("recovered")
    assert [step["state"] for step in operation["steps"]] == ["done"]
    assert world.rows("SELECT text FROM note") == [("v2>v1",)]


def test_a_statement_whose_result_was_not_told_any_more_is_not_run_again(world):
    start_bad_release(world, lambda sql: "step_result" in sql and "interval" in sql, HOLD)
    world.daemon.kill()
    world.restart()
    expect_one_note(world)


def test_a_statement_whose_commit_was_not_answered_is_not_run_again(world):
    start_bad_release(world, lambda sql: sql == "COMMIT", SWALLOW)
    world.proxy.drop()
    expect_one_note(world)


def test_a_statement_that_was_not_committed_is_run_again(world):
    start_bad_release(world, lambda sql: sql == "COMMIT", HOLD)
    world.daemon.kill()
    world.restart()
    expect_one_note(world)
