"""Connections that are used again: what one of two processes behind a port does wrong is still found, a connection is renewed
after as many probes as the policy says, and a release renews it."""
import pytest
from pair import Pair
from waiting import wait_until
from world import SERVICE

pytestmark = pytest.mark.sanitize


def start(world, connection):
    """One more probe of the service, whose results nobody acts on."""
    pair = world.add(Pair())
    url = f"http://127.0.0.1:{pair.port}/"
    policy = world.policy()
    policy["probes"]["pair"] = {"kind": "http", "targets": [url], "interval": "50ms", "timeout": "50ms", "rise": 1, "fall": 1,
                                "connection": connection}
    world.start(policy)
    return pair, lambda: world.targets()["pair", url]


@pytest.mark.parametrize("connection", ["fresh", "reuse:5"])
def test_a_bad_process_behind_a_good_one_is_found(world, connection):
    pair, target = start(world, connection)
    for _ in range(3):
        wait_until(lambda: target()["state"] == "bad", "the bad process to be found")
        wait_until(lambda: target()["state"] == "good", "the good process to be found")
    assert all(count["answered"] >= 3 for count in pair.counts())


def test_a_connection_is_renewed_after_as_many_probes_as_the_policy_says(world):
    pair, _ = start(world, "reuse:5")
    wait_until(lambda: pair.counts()[0]["asked_to_close"] >= 3, "three connections to be used up")
    good, bad = pair.counts()
    # A good answer lets the connection live for five; a bad one ends it at once.
    assert good["answered"] >= 5 * good["asked_to_close"]
    assert good["answered"] <= 5 * good["accepted"]
    assert bad["answered"] <= bad["accepted"] and bad["asked_to_close"] == 0


def test_a_new_connection_for_each_probe_unless_the_policy_says_otherwise(world):
    pair, _ = start(world, "fresh")
    wait_until(lambda: sum(count["answered"] for count in pair.counts()) >= 10, "ten answers")
    for count in pair.counts():
        # The last one may be looked at between its answer and its end.
        assert count["asked_to_close"] <= count["answered"] <= count["asked_to_close"] + 1


def test_a_release_renews_it(world):
    pair, target = start(world, "reuse:1000000")
    # It stays on the good process for ever, once it has found it.
    wait_until(lambda: target()["state"] == "good" and pair.counts()[0]["answered"] > 10, "a connection to the good process")
    before = sum(count["accepted"] for count in pair.counts())
    answered = pair.counts()[0]["answered"]
    wait_until(lambda: pair.counts()[0]["answered"] > answered + 5, "five more answers")
    assert sum(count["accepted"] for count in pair.counts()) == before
    world.deploy("v2")
    wait_until(lambda: sum(count["accepted"] for count in pair.counts()) > before, "a new connection")
    world.wait(lambda: world.service(SERVICE)["epoch"] == 2, "the deploy to be seen")
