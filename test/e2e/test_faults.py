"""What is lost on the way to PostgreSQL happens once all the same; what no rollbackd would answer or nobody would type is said."""
import socket
import tempfile
import threading

import pytest
from proxy import HOLD, SWALLOW
from world import run_ctl

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


@pytest.mark.parametrize("words", [["status"], ["status", "web"], ["explain", "web"], ["history"], ["events"],
                                   ["rollback", "web", "--reason", "x", "--yes"]])
@pytest.mark.parametrize("body", ["null", "[]", "7", "{", ""])
def test_an_answer_that_is_no_rollbackds_is_a_failure(words, body):
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{folder}/socket")
        listener.listen()

        def answer():
            client, _ = listener.accept()
            with client:
                client.recv(65536)
                client.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        thread = threading.Thread(target=answer)
        thread.start()
        done = run_ctl(*words, "--socket", f"{folder}/socket")
        thread.join()
    assert done.returncode == 1 and "not its JSON" in done.stderr and done.stdout == "", done


@pytest.mark.parametrize("words", [["active", "\x1b[31m"], ["status", "web", "\x1b[31m"], ["status", "--\x1b[31m"],
                                   ["pause", "web", "--for", "\x1b[31m" * 500, "--reason", "x"], ["\x1b[31m"]])
def test_what_was_typed_is_repeated_without_its_control_characters(words):
    done = run_ctl(*words)
    assert done.returncode == 2 and "\\x1b[31m" in done.stderr and "\x1b" not in done.stderr, done
