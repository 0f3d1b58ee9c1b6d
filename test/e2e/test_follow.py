"""rollbackctl follow: where the pointer goes, the file goes, whatever happens to the connection."""
import os
import stat
import threading

import pytest
from follower import BY_NOTICE, RECORD, follow, open_path  # noqa: F401
from ledger_support import Cluster
from proxy import GATHER, PASS
from waiting import stays
from world import SERVICE

pytestmark = pytest.mark.sanitize


def test_a_deploy_and_both_ways_back(world, follow):
    both = follow("--file", "FILE", "--", "sh", "-c", RECORD, "RUNS")
    both.wait_run(f"{SERVICE} v1 1 []")
    both.wait_ready()
    assert both.says("v1"), "the file comes first"
    world.start()
    world.release_bad("v2")
    both.wait_run(f"{SERVICE} v2 2 [v1]")
    world.wait_state("recovered")
    both.wait_run(f"{SERVICE} v1 3 [v2]")
    both.wait_says("v1")
    world.deploy("v3")
    both.wait_says("v3")
    world.call("rollback", SERVICE, "by hand")
    both.wait_run(f"{SERVICE} v1 5 [v3]")
    both.wait_says("v1")
    both.wait(lambda: f"{SERVICE} v1, epoch 5" in both.manager.status(), "the status line")
    assert len(both.lines()) == 5 and both.manager.count("READY=1") >= 1
    assert both.end() == 0


def test_the_file_is_never_empty_or_partial(world, follow):
    one = follow("--file", "FILE")
    one.wait_says("v1")
    seen, wrong, ended = set(), [], threading.Event()
    versions = ["w" * 50 + str(i) for i in range(30)]
    right = {"v1\n"} | {version + "\n" for version in versions}

    def read():
        while not ended.is_set():
            text = one.file.read_text()
            seen.add(text)
            if text not in right:
                wrong.append(text)
    reader = threading.Thread(target=read)
    reader.start()
    try:
        for version in versions:
            world.deploy(version)
            one.wait_says(version, BY_NOTICE)
    finally:
        ended.set()
        reader.join()
    assert not wrong and len(seen) > 5
    assert [path.name for path in one.folder.iterdir() if "version" in path.name] == ["version"], "nothing is left"


def test_the_file_keeps_its_place(world, follow):
    """0644 less the umask; left alone when it already says so."""
    before = os.umask(0o027)
    try:
        one = follow("--file", "FILE")
    finally:
        os.umask(before)
    one.wait_ready()
    assert stat.S_IMODE(one.file.stat().st_mode) == 0o640
    first = one.file.stat()
    assert one.end() == 0
    two = follow("--file", one.file)
    two.wait_ready()
    assert (one.file.stat().st_ino, one.file.stat().st_mtime_ns) == (first.st_ino, first.st_mtime_ns)


def test_a_file_that_somebody_took_away_is_written_again(world, follow):
    one = follow("--file", "FILE", "--", "sh", "-c", RECORD, "RUNS")
    one.wait_ready()

    def look():
        world.rows("SELECT pg_notify('rollbackd', %s)", f"{SERVICE} 1")
    one.file.unlink()
    one.wait_says("v1")
    one.wait_log(f"{one.file} did not say version v1 any more: written again")
    one.file.write_text("v0\n")
    look()
    one.wait_says("v1")
    one.file.unlink()
    one.file.mkdir()
    look()
    one.wait_log(f"{one.file} does not say version v1 any more, and cannot be written: Is a directory")
    one.wait(lambda: "Is a directory" in one.manager.status(), "the status line")
    look()
    one.file.rmdir()
    look()
    one.wait_says("v1")
    one.wait_log("written again", 3)
    one.wait(lambda: one.manager.status() == f"{SERVICE} v1, epoch 1", "the status line")
    assert one.log().count("Is a directory") == 1, "said once"
    assert len(one.lines()) == 1, "the command has nothing new to do"


def test_a_cut_off_follower_stays_and_catches_up(world, follow):
    one = follow("--file", "FILE", "--", "sh", "-c", RECORD, "RUNS")
    one.wait_ready()
    world.proxy.cut()
    one.wait_log("the ledger is away, all stays as it is")
    one.wait(lambda: "the ledger is away" in one.manager.status(), "the status line")
    world.deploy("v2")
    world.deploy("v3")
    stays(lambda: one.says("v1") and one.process.poll() is None, "the file, and the follower", 3)
    world.proxy.open()
    one.wait_says("v3")
    one.wait_run(f"{SERVICE} v3 3 [v1]")
    one.wait_log("the ledger is back")
    assert one.log().count("the ledger is away") == 1, "said once"
    assert len(one.lines()) == 2
    world.proxy.drop()
    one.wait_log("the ledger is back", 2)
    assert len(one.lines()) == 2, "a lost connection is no reason to act"


def test_a_server_that_restarts(follow):
    cluster = Cluster()
    try:
        cluster.make_ledger()

        def call(function, *arguments, user="ci"):
            with cluster.connect("ledger", user) as connection:
                places = ", ".join(["%s"] * len(arguments))
                connection.execute(f"SELECT rollbackd.{function}({places})", arguments)
        call("register", SERVICE, "v1", True, "known good", user="alice")
        one = follow("--file", "FILE", conninfo=f"host={cluster.root} dbname=ledger user=app")
        one.wait_says("v1")
        cluster.quit()
        one.wait_log("the ledger is away")
        cluster.start()
        call("deploy", SERVICE, "v2")
        one.wait_says("v2")
        one.wait_log("the ledger is back")
    finally:
        cluster.stop()


def test_a_silent_connection_is_given_up(world, follow):
    one = follow("--file", "FILE")
    one.wait_says("v1")
    world.proxy.stall()
    one.wait_log("the ledger is away", seconds=60)
    world.deploy("v2")
    world.proxy.drop()
    world.proxy.flow()
    one.wait_says("v2", 60)


def test_a_missed_notice_is_found_by_reading_again(world, follow):
    """The pointer is moved without a notice; ten seconds later it is read again."""
    one = follow("--file", "FILE")
    one.wait_ready()
    world.rows("CREATE FUNCTION pg_temp.silent() RETURNS void LANGUAGE sql AS $$"
               "INSERT INTO rollbackd.release SELECT (jsonb_populate_record(r, jsonb_build_object("
               "'epoch', r.epoch + 1, 'version', 'v2'))).* FROM rollbackd.release r;"
               "UPDATE rollbackd.service SET epoch = epoch + 1, active = 'v2' $$")
    world.rows("SET session_replication_role = replica")
    world.rows("SELECT pg_temp.silent()")
    world.rows("RESET session_replication_role")
    one.wait_says("v2")


def test_a_notice_that_comes_with_an_answer(world, follow):
    """In one piece behind an answer that is older than it."""
    one = follow("--file", "FILE")
    one.wait_ready()
    caught = []

    def gather(connection, sql):
        if caught or "service_status" not in sql:
            return PASS
        caught.append(connection)
        return GATHER
    world.proxy.hook = gather
    world.rows("SELECT pg_notify('rollbackd', %s)", f"{SERVICE} 1")
    one.wait(lambda: caught and (caught[0].gathered or b"")[-6:-1] == b"Z\0\0\0\5", "the answer")
    world.deploy("v2")
    one.wait(lambda: f"{SERVICE} 2".encode() in caught[0].gathered, "the notice")
    caught[0].release()
    one.wait_says("v2", BY_NOTICE)


def test_an_older_ledger_is_followed_too(world, follow):
    one = follow("--file", "FILE", "--", "sh", "-c", RECORD, "RUNS")
    one.wait_ready()
    world.deploy("v2")
    one.wait_run(f"{SERVICE} v2 2 [v1]")
    world.rows("SET session_replication_role = replica")
    world.rows("DELETE FROM rollbackd.release WHERE epoch = 2")
    world.rows("UPDATE rollbackd.service SET epoch = 1, active = 'v1'")
    world.rows("RESET session_replication_role")
    world.rows("SELECT pg_notify('rollbackd', %s)", f"{SERVICE} 1")
    one.wait_run(f"{SERVICE} v1 1 [v2]")
    assert one.says("v1") and "the epoch went back from 2 to 1" in one.log()
