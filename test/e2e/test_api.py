"""The HTTP interface against good, wrong and rude requests; the metrics page by its format."""
import contextlib
import math
import re
import socket

import pytest
from waiting import wait_until
from world import SERVICE, World

pytestmark = pytest.mark.sanitize

SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*",?)*\})? (\S+)')
TYPES = {"counter", "gauge", "histogram", "summary", "untyped"}


@pytest.fixture(scope="module")
def shared():
    """One world for all requests that change nothing."""
    world = World()
    try:
        world.start()
        yield world
    finally:
        world.finish()


def assert_exposition(text):
    """Prometheus' text format 0.0.4, strictly: HELP and TYPE once and before their samples, families not torn, every
    series once, counters named _total, a newline at the end."""
    assert text.endswith("\n") and not text.endswith("\n\n")
    helps, types, series, closed, family = {}, {}, set(), set(), None
    for line in text.splitlines():
        if line.startswith("# HELP "):
            _, _, name, words = line.split(" ", 3)
            assert name not in helps and words, line
            closed.add(family)
            family, helps[name] = name, words
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name == family and name not in types and kind in TYPES, line
            types[name] = kind
            assert (kind == "counter") == name.endswith("_total"), line
        else:
            found = SAMPLE.fullmatch(line)
            assert found, line
            assert found[1] == family and family in types and family not in closed, line
            assert (found[1], found[2]) not in series, line
            series.add((found[1], found[2]))
            assert math.isfinite(float(found[3])), line
    assert len(series) > 30 and set(helps) == set(types)


def test_the_metrics_page_keeps_to_the_format(world):
    world.start()
    assert_exposition(world.daemon.ask("/metrics").text)
    world.release_bad()
    world.wait_state("recovered")
    page = world.daemon.ask("/metrics", local=False)
    assert page.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert_exposition(page.text)
    assert f'rollbackd_service_health{{service="{SERVICE}",health="watching"}}' in page.text
    assert world.daemon.metric("rollbackd_commits_total") == 1


@pytest.mark.parametrize("text", [
    "# HELP a b\n# TYPE a gauge\na 1", "# TYPE a gauge\na 1\n", "# HELP a b\n# TYPE a gauge\na 1\na 1\n",
    "# HELP a b\n# TYPE a counter\na 1\n", '# HELP a b\n# TYPE a gauge\na{b="c"d"} 1\n'])
def test_the_format_check_can_fail(text):
    with pytest.raises(AssertionError):
        assert_exposition(text)


def test_reads_have_their_shapes(world):
    world.start()
    world.release_bad()
    operation = world.wait_state("recovered")
    daemon = world.daemon
    assert [s["service"] for s in daemon.get("/api/v1/services")["services"]] == [SERVICE]
    service = world.service()
    assert (service["version"], service["epoch"], service["release"]) == ("v1", 3, "rollback")
    assert {g["answer"] for g in service["guards"]} <= {"passes", "holds", "waits"}
    world.wait(lambda: daemon.get("/api/v1/operations")["operations"], "the operation in the list")
    key = str(operation["id"])
    assert daemon.get(f"/api/v1/operations/{key}")["operation"]["to_version"] == "v1"
    events = daemon.get("/api/v1/events?limit=2")["events"]
    assert len(events) == 2
    assert daemon.get(f"/api/v1/operations/{events[0]['id']}")["event"]["kind"] == events[0]["kind"]
    assert daemon.get("/api/v1/events?service=nobody")["events"] == []
    assert len(daemon.get(f"/api/v1/services/{SERVICE}/explain")["evidence"]) == 2
    assert "[+]ledger ok" in daemon.ask("/readyz?verbose").text


@pytest.mark.parametrize("method, path, headers, body, status", [
    ("GET", "/nothing", {}, None, 404),
    ("GET", "/api/v1/services/nobody", {}, None, 404),
    ("GET", "/api/v1/services/" + "x" * 300, {}, None, 404),
    ("GET", "/api/v1/services/..%2f..%2fetc", {}, None, 404),
    ("GET", "/api/v1/operations/nothing", {}, None, 404),
    ("GET", "/api/v1/events?limit=0", {}, None, 400),
    ("GET", "/api/v1/events?limit=99999", {}, None, 400),
    ("GET", "/api/v1/events?limit=x", {}, None, 400),
    ("DELETE", "/livez", {}, None, 405),
    ("POST", "/metrics", {}, "x", 405),
    ("GET", f"/api/v1/services/{SERVICE}/rollback", {}, None, 405),
    ("POST", f"/api/v1/services/{SERVICE}/rollback", {"Content-Type": "text/plain"}, "{}", 415),
    ("POST", f"/api/v1/services/{SERVICE}/rollback", {"Content-Type": "application/json"}, "{", 400),
    ("POST", f"/api/v1/services/{SERVICE}/rollback", {"Content-Type": "application/json"}, "[" * 5000, 400),
    ("POST", f"/api/v1/services/{SERVICE}/rollback", {"Content-Type": "application/json", "If-Match": "1"}, '{"reason":"x"}', 400),
    ("POST", "/api/v1/services/nobody/rollback", {"Content-Type": "application/json"}, '{"reason":"x"}', 404)])
def test_wrong_requests_are_answered_with_a_problem(shared, method, path, headers, body, status):
    answer = shared.daemon.ask(path, method, body, headers)
    assert answer.status == status, answer.text
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json["status"] == status and answer.json["detail"]
    if status == 405:
        assert answer.headers["Allow"]


RUDE = {
    "a URL of 1 MB": b"GET /" + b"x" * 1_000_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a header of 64 kB": b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 65536 + b"\r\n\r\n",
    "many headers": b"GET /livez HTTP/1.1\r\nHost: localhost\r\n" + b"A: b\r\n" * 20_000 + b"\r\n",
    "a big POST": b"POST /api/v1/services/users-api/rollback HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                  b"Content-Length: 50000000\r\n\r\n" + b"z" * 500_000,
    "a length without end": b"POST /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    "garbage": bytes(range(256)) * 40,
    "a NUL": b"GET /live\0z HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "TLS": bytes.fromhex("160301020001") + b"\0" * 512,
    "no host": b"GET /livez HTTP/1.1\r\n\r\n",
    "two lengths": b"POST /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nContent-Length: 30\r\n\r\nabc",
}


@pytest.mark.parametrize("words", RUDE)
@pytest.mark.parametrize("local", [True, False], ids=["socket", "loopback"])
def test_rude_clients_are_answered_or_closed(shared, words, local):
    daemon = shared.daemon
    end = socket.socket(socket.AF_UNIX) if local else socket.socket()
    with end:
        end.settimeout(30)
        end.connect(str(daemon.socket) if local else ("127.0.0.1", daemon.port))
        answer = b""
        with contextlib.suppress(ConnectionError):
            end.sendall(RUDE[words])
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_WR)
            while data := end.recv(65536):
                answer += data
    assert not answer or re.match(rb"HTTP/1\.[01] (4\d\d|5\d\d) ", answer), answer[:200]
    assert daemon.ask("/livez").status == 200


def test_slow_clients_do_not_keep_others_out(world):
    world.start()
    with contextlib.ExitStack() as slow:
        for _ in range(100):
            end = slow.enter_context(socket.create_connection(("127.0.0.1", world.daemon.port)))
            end.sendall(b"GET /livez HTTP/1.1\r\nHost: loc")
        assert world.daemon.ask("/livez").status == 200
        world.release_bad()
        world.wait_active("v1")
        # Each has a deadline, after which the door is open again.
        wait_until(lambda: is_served(world.daemon), "a connection over loopback", 60)


def is_served(daemon):
    try:
        return daemon.ask("/livez", local=False, timeout=1).status == 200
    except OSError:
        return False
