"""The promql probe before the real Prometheus, before stores that misbehave, and in the daemon: whatever a store does,
it convicts nobody."""
import base64
import contextlib
import json
import threading
import time

import pytest

from metrics_store import Prometheus, Store, vector
from policies import text_of
from supervisor import SANITIZED
from waiting import wait_until
from world import SERVICE, run_ctl

SAMPLES = [("queue{shard=\"a\"}", 3, 10), ("queue{shard=\"b\"}", 5, 10), ("old", 7, 120), ("broken", "NaN", 10),
           ("endless", "+Inf", 10)]


@pytest.fixture(scope="module")
def prometheus():
    with contextlib.closing(contextlib.ExitStack()) as exits:
        made = Prometheus(SAMPLES)
        exits.callback(made.stop)
        yield made


@pytest.fixture
def store():
    made = Store()
    yield made
    made.stop()


def ask(tmp_path, **keys):
    """The probe, once, as rollbackctl shows it."""
    path = tmp_path / "p.conf"
    path.write_text(text_of({"service": "shop", "probes": {"p": {"kind": "promql", "timeout": "4s", **keys}}}))
    path.chmod(0o600)
    conf = tmp_path / "rollbackd.conf"
    conf.write_text(text_of({"secrets": str(tmp_path)}))
    done = run_ctl("probe", "shop", "--policy", path, "--config", conf, "--json")
    assert done.stderr == "" and done.returncode in (0, 1)
    return json.loads(done.stdout)["probes"][0]


REAL = [
    ("old", {"max_age": "5m"}, "ok", "", 7),
    ("old", {"max_age": "1m"}, "no_data", "the oldest sample is 2 min", None),
    ("old # said so", {"max_age": "1m"}, "no_data", "the oldest sample is 2 min", None),
    ('{__name__=~"old|endless"}', {"reduce": "min", "max_age": "5m"}, "ok",
     "the store cannot tell how old its samples are", 7),
    ('queue{shard="a"}', {}, "ok", "", 3),
    ("queue", {}, "no_data", "2 series; write reduce, or a query for one", None),
    ("queue", {"reduce": "max"}, "ok", "", 5),
    ("queue", {"reduce": "min"}, "ok", "", 3),
    ("queue", {"reduce": "sum"}, "ok", "", 8),
    ("queue", {"reduce": "avg"}, "ok", "", 4),
    ("queue", {"reduce": "count"}, "ok", "", 2),
    ("sum(queue) / 2", {}, "ok", "", 4),
    ("scalar(sum(queue))", {}, "ok", "", 8),
    ("scalar(queue)", {}, "no_data", "not a number (NaN)", None),
    ("nobody", {}, "no_data", "no series: nothing matches, or nothing within max_age", None),
    ("broken", {}, "no_data", "not a number (NaN)", None),
    ("queue[5m]", {}, "local", "the query is not for numbers of one instant; write one that gives an instant vector or a "
     "scalar, not a matrix", None),
    ('"text"', {}, "local", "the query is not for numbers of one instant; write one that gives an instant vector or a "
     "scalar, not a string", None),
    ("queue{", {}, "local", "the query is refused: ", None),
    ("queue + on() group_left() queue", {}, "local", "the query is refused: ", None),
    ("sum(queue)", {"expect": {"values": [{"name": "value", "at_most": 8}]}}, "ok", "", 8),
    ("sum(queue)", {"expect": {"values": [{"name": "value", "at_most": 7}]}}, "bad_value", "value is 8, more than 7", 8),
    ("endless", {"expect": {"values": [{"name": "value", "at_most": 7}]}}, "bad_value", "value is +Inf, more than 7", None),
]


@pytest.mark.parametrize("query, keys, outcome, words, value", REAL, ids=lambda v: str(v)[:20])
def test_prometheus(prometheus, tmp_path, query, keys, outcome, words, value):
    shown = ask(tmp_path, url=prometheus.url + "/", query=query, **keys)
    assert shown["outcome"] == outcome, shown
    assert shown["words"].startswith(words)
    if value is not None:
        assert shown["values"]["value"] == value


def test_what_is_sent(store, tmp_path):
    store.behaviour = lambda handler: handler.say(200, vector(time.time()))
    for name, secret in (("password", "p w:d"), ("token", "t0ken")):
        (tmp_path / name).write_text(secret + "\n")
        (tmp_path / name).chmod(0o600)
    basic = ask(tmp_path, url=store.url + "/prom", query='a{b="c d"} > 1', tenant="shop", user="me",
                password_file="password", max_age="90s", timeout="2s")
    bearer = ask(tmp_path, url=store.url, query="up", token_file="token")
    assert basic["outcome"] == bearer["outcome"] == "ok"
    (path, headers, form), (_, age_headers, age_form), (other_path, other_headers, _), _ = store.requests
    assert age_form == "query=timestamp%28a%7Bb%3D%22c%20d%22%7D%20%3E%201%0A%29&timeout=1950ms&lookback_delta=90000ms"
    assert age_headers["Authorization"] == headers["Authorization"]
    assert path == "/prom/api/v1/query" and other_path == "/api/v1/query"
    assert form == "query=a%7Bb%3D%22c%20d%22%7D%20%3E%201&timeout=1950ms&lookback_delta=90000ms"
    assert headers["X-Scope-OrgID"] == "shop"
    assert headers["Authorization"] == "Basic " + base64.b64encode(b"me:p w:d").decode()
    assert other_headers["Authorization"] == "Bearer t0ken"
    for secret in ("p w:d", "t0ken", base64.b64encode(b"me:p w:d").decode()):
        assert secret not in json.dumps([basic, bearer])
    assert "Authorization: ***" in basic["request"]


def test_a_secret_that_is_missing_or_odd(store, tmp_path):
    store.behaviour = lambda handler: handler.say(200, vector(1))
    missing = ask(tmp_path, url=store.url, query="up", token_file="nothing")
    assert missing["outcome"] == "local" and "nothing" in missing["words"]
    (tmp_path / "lines").write_text("a\nX-Evil: b\n")
    (tmp_path / "lines").chmod(0o600)
    odd = ask(tmp_path, url=store.url, query="up", token_file="lines")
    assert odd["outcome"] == "local" and "more than one line" in odd["words"]
    assert store.requests == []


def flood(handler):
    handler.send_response(200)
    handler.end_headers()
    for _ in range(100):
        handler.wfile.write(b"[" * 1_000_000)


def drip(handler):
    handler.send_response(200)
    handler.end_headers()
    while not threading.Event().wait(0.05):
        handler.wfile.write(b" ")
        handler.wfile.flush()


def hold(_):
    threading.Event().wait(20)


HOSTILE = [
    (flood, "no_data", "the answer of the metrics store is larger than 1 MiB; ask for fewer series"),
    (drip, "no_data", "the metrics store does not answer: no whole answer in time (450 ms)"),
    (hold, "no_data", "the metrics store does not answer: no whole answer in time (450 ms)"),
    (lambda h: h.say(200, b"[" * 1_000_000), "no_data",
     "the metrics store answered HTTP 200 without a result: the JSON nests deeper than 32 levels"),
    (lambda h: h.say(200, vector(1)[:-2]), "no_data", "the metrics store answered HTTP 200 without a result: "),
    (lambda h: h.say(200, vector(1, 1e9)), "no_data", "the answer of the metrics store is "),
    (lambda h: h.say(302, b"", [("Location", "file:///etc/passwd")]), "local",
     "the metrics store answered HTTP 302, a redirect"),
    (lambda h: h.say(302, b"", [("Location", "http://169.254.169.254/")]), "local",
     "the metrics store answered HTTP 302, a redirect"),
    (lambda h: h.say(200, vector(1)[:10], [("Content-Encoding", "gzip")]), "no_data",
     "the metrics store answered HTTP 200 without a result: "),
    (lambda h: h.say(503, b""), "no_data", "the metrics store answered HTTP 503"),
    (lambda h: h.say(401, b""), "denied", "the metrics store answered HTTP 401"),
    (lambda h: h.wfile.write(b"SSH-2.0-x\r\n"), "no_data", "the metrics store does not answer: "),
    (lambda h: None, "no_data", "the metrics store does not answer: the connection was closed without an answer"),
]


@pytest.mark.parametrize("behaviour, outcome, words", HOSTILE, ids=range(len(HOSTILE)))
def test_a_store_that_misbehaves(store, tmp_path, behaviour, outcome, words):
    store.behaviour = behaviour
    shown = ask(tmp_path, url=store.url, query="up", timeout="500ms")
    assert shown["verdict"] == "unknown"
    assert (shown["outcome"], shown["words"][:len(words)]) == (outcome, words)
    assert len(store.requests) == 1


def test_nobody_there(store, tmp_path):
    store.stop()
    shown = ask(tmp_path, url=store.url, query="up")
    assert (shown["outcome"], shown["words"]) == (
        "no_data", "the metrics store does not answer: connection refused")
    shown = ask(tmp_path, url="http://nobody.invalid", query="up")
    assert (shown["verdict"], shown["outcome"]) == ("unknown", "resolver"), shown


def values(n):
    """A store whose samples are of now."""
    def answer(handler):
        asked = handler.server.store.requests[-1][2]
        handler.say(200, vector(time.time() if "timestamp" in asked else n))
    return answer


@pytest.mark.sanitize
def test_the_daemon(world, store):
    """A bad value convicts; a store that then hangs, floods or is gone does not, and costs the daemon nothing."""
    store.behaviour = values(5)
    world.start(probes={"backlog": {"kind": "promql", "url": store.url, "query": "queue", "interval": "200ms",
                                    "timeout": "200ms", "rise": 1, "fall": 1,
                                    "expect": {"values": [{"name": "value", "at_most": 10}]}}})

    def sampled(outcome):
        probe = next(p for p in world.service()["probes"] if p["name"] == "backlog")
        return probe["targets"][0].get("outcome") == outcome and probe["targets"][0]

    world.wait(lambda: sampled("ok"), "a good value")
    store.behaviour = values(50)
    assert world.wait(lambda: sampled("bad_value"), "a bad value")["words"] == "value is 50, more than 10"
    for behaviour in (hold, flood, drip):
        store.behaviour = behaviour
        world.wait(lambda: sampled("no_data"), "no data")
    store.behaviour = values(5)
    world.wait(lambda: sampled("ok"), "a good value again")
    wait_until(lambda: world.daemon.metric("process_open_fds") <= world.base["process_open_fds"] + 8,
               "the descriptors to be back")
    assert SANITIZED or world.daemon.metric("process_resident_memory_bytes") < \
        world.base["process_resident_memory_bytes"] + 16 * 1024 * 1024
    assert world.operations_now() == [] and SERVICE
