"""Steps, deliveries and the daemon's own events: claims, order, leases, idempotence."""
import uuid

import pytest

from ledger_support import ledger, ledger_cluster, refused  # noqa: F401

SERVICE = "users-api"
STEPS = """[{"n": 0, "kind": "cache", "spec": {"prefix": "user:"}}, {"n": 1, "kind": "session"},
            {"n": 2, "kind": "cache", "not_before_seconds": 30}]"""


def start(ledger, steps=STEPS):
    ledger.start()
    key = str(uuid.uuid4())
    assert ledger.commit(id=key, steps=steps)[0] == "committed"
    return key


def claim(ledger, key, host="a", lease="30 s"):
    cursor = ledger.as_role("rollbackd").execute(
        "SELECT * FROM rollbackd.claim_steps(%s, %s, %s)", (key, host, lease))
    row = cursor.fetchone()
    return row and dict(zip((c.name for c in cursor.description), row))


def end(ledger, key, n, state="done", **named):
    return ledger.call("step_result", key, n, state, user="rollbackd", **named)


def test_steps_run_in_order_one_at_a_time(ledger):
    key = start(ledger)
    first = claim(ledger, key)
    assert (first["n"], first["wait_seconds"], first["attempt"]) == (0, 0, 1)
    assert first["spec"] == {"prefix": "user:"} and first["from_version"] == "v2"
    assert first["released_at"] == ledger.value(
        "SELECT at FROM rollbackd.release WHERE epoch = 2")
    other = claim(ledger, key, "b")
    assert other["n"] == 0 and 29 < other["wait_seconds"] <= 30 and other["attempt"] == 1
    assert end(ledger, key, 0)
    assert claim(ledger, key, "b")["n"] == 1
    assert end(ledger, key, 1, "failed", words="no such table")
    last = claim(ledger, key, "b")
    assert last["n"] == 2 and 25 < last["wait_seconds"] <= 30 and last["attempt"] == 0
    ledger.rows("UPDATE rollbackd.step SET not_before = now() - interval '1 s' WHERE n = 2")
    assert claim(ledger, key, "b")["wait_seconds"] == 0
    end(ledger, key, 2)
    over = claim(ledger, key)
    assert over["n"] is None and over["failed"] == 1
    assert claim(ledger, str(uuid.uuid4())) is None


def test_a_lease_that_is_over_is_taken_by_another_worker(ledger):
    key = start(ledger)
    claim(ledger, key, "a", "1 microsecond")
    again = claim(ledger, key, "b")
    assert (again["n"], again["attempt"], again["wait_seconds"]) == (0, 2, 0)


def test_a_worker_resumes_its_own_step_at_once_with_its_progress(ledger):
    key = start(ledger)
    claim(ledger, key, "a")
    assert ledger.call("step_progress", key, 0, '{"rows": 5000}', user="rollbackd")
    again = claim(ledger, key, "a")
    assert (again["n"], again["attempt"], again["progress"]) == (0, 2, {"rows": 5000})
    assert claim(ledger, key, None)["wait_seconds"] > 29


def test_retry_puts_a_step_back_and_holds_later_ones(ledger):
    key = start(ledger)
    claim(ledger, key)
    assert end(ledger, key, 0, "retry", retry_in="20 s", words="lock timeout")
    again = claim(ledger, key)
    assert again["n"] == 0 and 19 < again["wait_seconds"] <= 20
    refused("RB005", end, ledger, key, 0, "retry")
    refused("RB005", end, ledger, key, 0, "perhaps")


def test_a_result_is_written_once(ledger):
    key = start(ledger)
    claim(ledger, key)
    assert end(ledger, key, 0) is True
    assert end(ledger, key, 0, "failed") is False
    assert ledger.call("step_progress", key, 0, "{}", user="rollbackd") is False
    assert ledger.value("SELECT state FROM rollbackd.step WHERE n = 0") == "done"


def test_two_workers_claim_a_step_once(ledger):
    key = start(ledger)
    first = ledger.connect("rollbackd", autocommit=False)
    second = ledger.connect("rollbackd")
    statement = "SELECT n, wait_seconds FROM rollbackd.claim_steps(%s, %s, '30 s')"
    assert first.execute(statement, (key, "a")).fetchone() == (0, 0)
    second.execute("SET lock_timeout = '50ms'")
    refused("55P03", second.execute, statement, (key, "b"))
    first.commit()
    n, wait = second.execute(statement, (key, "b")).fetchone()
    assert n == 0 and wait > 29


def test_a_step_of_another_host_is_left_to_it(ledger):
    key = start(ledger, '[{"n": 0, "kind": "unit", "host": "web1"}]')
    assert claim(ledger, key, "a")["wait_seconds"] > 0
    assert claim(ledger, key, "web1")["wait_seconds"] == 0


def test_steps_of_a_superseded_operation_go_on(ledger):
    key = start(ledger)
    ledger.call("deploy", SERVICE, "v3")
    left = ledger.rows("SELECT id::text, state FROM rollbackd.leftover_operations(%s)", [SERVICE],
                       user="rollbackd")
    assert left == [(key, "superseded")]
    assert claim(ledger, key)["n"] == 0
    for n in range(3):
        end(ledger, key, n, "dropped")
    assert ledger.rows("SELECT FROM rollbackd.leftover_operations(%s)", [SERVICE],
                       user="rollbackd") == []


def deliveries(ledger, most=10, lease="30 s", user="rollbackd"):
    return ledger.rows("SELECT id, subscriber, kind, attempt, spec, service FROM "
                       "rollbackd.claim_deliveries(%s, %s)", most, lease, user=user)


def settle(ledger, key, state="done", **named):
    return ledger.call("delivery_result", key, state, user="rollbackd", **named)


def subscribe(ledger, *urls, service=SERVICE):
    entries = ", ".join(f'{{"url": "{url}"}}' for url in urls)
    return ledger.call("put_subscribers", service, f"[{entries}]", user="rollbackd")


def test_deliveries_keep_their_order_and_their_id(ledger):
    ledger.start()
    assert subscribe(ledger, "http://a") == 1
    ledger.call("deploy", SERVICE, "v3")
    ledger.call("deploy", SERVICE, "v4")
    first = deliveries(ledger)
    assert [(d[1], d[2], d[3], d[4]) for d in first] == [
        ("policy:users-api:1", "release.deployed", 1, {"url": "http://a"})]
    assert deliveries(ledger) == [], "a later one must not overtake"
    assert settle(ledger, first[0][0], "retry", retry_in="1 microsecond", error="500")
    again = deliveries(ledger)
    assert again[0][0] == first[0][0] and again[0][3] == 2
    assert settle(ledger, again[0][0]) is True
    assert settle(ledger, again[0][0], "dead") is False
    second = deliveries(ledger)
    assert len(second) == 1 and second[0][0] != first[0][0]
    settle(ledger, second[0][0], "dead", error="410")
    assert deliveries(ledger) == []
    assert [r[0] for r in ledger.rows("SELECT state FROM rollbackd.delivery_status ORDER BY seq")
            ] == ["done", "dead"]


def test_a_retry_holds_only_its_own_subscriber(ledger):
    ledger.start()
    subscribe(ledger, "http://a", "http://b")
    ledger.call("deploy", SERVICE, "v3")
    ledger.call("deploy", SERVICE, "v4")
    first = {d[1]: d[0] for d in deliveries(ledger)}
    assert sorted(first) == ["policy:users-api:1", "policy:users-api:2"]
    settle(ledger, first["policy:users-api:1"], "retry", retry_in="1 hour")
    settle(ledger, first["policy:users-api:2"])
    assert [d[1] for d in deliveries(ledger)] == ["policy:users-api:2"]
    assert 25 < ledger.call("next_delivery_in", user="rollbackd") <= 30
    refused("RB005", settle, ledger, first["policy:users-api:1"], "retry")


def test_without_a_pending_delivery_there_is_no_next_one(ledger):
    def next_in():
        return ledger.call("next_delivery_in", user="rollbackd")

    assert next_in() is None, "an empty ledger"
    ledger.start()
    subscribe(ledger, "http://a", "http://b")
    assert next_in() is None, "subscribers alone"
    ledger.call("deploy", SERVICE, "v3")
    assert next_in() == 0
    first, second = deliveries(ledger)
    settle(ledger, first[0])
    assert 25 < next_in() <= 30, "the other one is claimed"
    settle(ledger, second[0], "dead", error="410")
    assert next_in() is None, "nothing is left"


def test_two_workers_share_the_deliveries(ledger):
    ledger.start()
    subscribe(ledger, *[f"http://{i}" for i in range(6)])
    ledger.call("deploy", SERVICE, "v3")
    worker = ledger.connect("rollbackd", autocommit=False)
    statement = "SELECT id FROM rollbackd.claim_deliveries(%s, '30 s')"
    held = {row[0] for row in worker.execute(statement, (4,))}
    rest = {d[0] for d in deliveries(ledger)}
    worker.commit()
    assert len(held) == 4 and len(rest) == 2 and not held & rest


def test_deliveries_of_a_removed_subscriber_die(ledger):
    ledger.start()
    subscribe(ledger, "http://a", "http://b")
    ledger.call("deploy", SERVICE, "v3")
    assert subscribe(ledger, "http://c") == 1
    rows = ledger.rows("SELECT subscriber, state, error FROM rollbackd.delivery_status ORDER BY 1")
    assert rows == [("policy:users-api:1", "pending", None),
                    ("policy:users-api:2", "dead", "the subscriber was removed from the policy")]
    assert deliveries(ledger)[0][4] == {"url": "http://c"}
    refused("RB005", subscribe, ledger, *["http://x"] * 33)
    refused("RB001", subscribe, ledger, "http://a", service="nobody")


def test_record_event_once_per_id(ledger):
    ledger.start()
    subscribe(ledger, "http://a")
    key = str(uuid.uuid4())
    for _ in range(2):
        assert str(ledger.call("record_event", SERVICE, "rollback.held", None, "rollbackd",
                               '{"guard": "pin"}', key, user="rollbackd")) == key
    assert ledger.kinds().count("rollback.held") == 1
    assert len(deliveries(ledger)) == 1
    assert ledger.load()["cooldown_left"] == 0
    ledger.call("record_event", None, "ledger.down", None, "rollbackd", "{}", user="rollbackd")
    refused("RB001", ledger.call, "record_event", "nobody", "x", None, "d", "{}", user="rollbackd")
    refused("23514", ledger.call, "record_event", SERVICE, "No Kind", None, "d", "{}",
            user="rollbackd")
    refused("23514", ledger.call, "record_event", SERVICE, "x", None, "d",
            '{"x": "%s"}' % ("y" * 82000), user="rollbackd")


@pytest.mark.parametrize("kind", ["rollback.would", "rollback.confirm"])
def test_a_would_have_event_starts_the_cooldown_once(ledger, kind):
    ledger.start()
    key = str(uuid.uuid4())
    record = lambda: ledger.call("record_event", SERVICE, kind, None, "rollbackd", "{}", key,
                                 user="rollbackd")
    record()
    ledger.rows("UPDATE rollbackd.service SET cooldown_from = cooldown_from - interval '5 min'")
    record()
    assert 290 < ledger.load()["cooldown_left"] <= 300


def test_load_serves_a_thousand_services(ledger):
    ledger.rows("SET client_min_messages = error")
    ledger.rows("SELECT rollbackd.register('s' || i, 'v1', true, 'x') "
                "FROM generate_series(1, 1000) i")
    ledger.rows("SELECT rollbackd.deploy('s' || i, 'v2') FROM generate_series(1, 1000) i")
    rows = ledger.rows(
        "SELECT service, candidates FROM rollbackd.load("
        "(SELECT array_agg('s' || i) FROM generate_series(0, 1000) i), "
        "array_fill('10 min'::interval, ARRAY[1001]), array_fill('1 day'::interval, ARRAY[1001]))",
        user="rollbackd")
    assert len(rows) == 1000 and all(len(r[1]) == 1 for r in rows)


def test_observer(ledger):
    for version in ("0.1", "0.2"):
        ledger.call("observer_seen", "host1", version, 1, user="rollbackd")
    assert ledger.rows("SELECT name, program_version, schema FROM rollbackd.observer_status",
                       user="app") == [("host1", "0.2", 1)]
