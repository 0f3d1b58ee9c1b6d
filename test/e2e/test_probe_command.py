"""rollbackctl probe: the probes of a policy, once, with all that went out and came back."""

import http.server
import json
import socket
import threading

import pytest

from world import run_ctl


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = {"/healthz": b"all ok", "/bad": b"all bad\x00\x1b[31m", "/metrics": b"requests_total 7\n"}[self.path]
        self.send_response(200)
        self.send_header("X-Version", "2.4.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def served():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture
def refused():
    """A port of which nobody listens: bound, so that nobody else gets it."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.fixture
def policy(tmp_path, served, refused):
    path = tmp_path / "p.conf"
    path.write_text(f"""
service = "shop";
probes = {{
        live = {{ kind = "http"; targets = [ "http://127.0.0.1:{served}/healthz", "http://127.0.0.1:{served}/bad" ];
                  version_header = "X-Version"; expect = {{ body = "ok"; }}; }};
        red = {{ kind = "metrics"; targets = [ "http://127.0.0.1:{served}/metrics" ]; }};
        door = {{ kind = "tcp"; targets = [ "127.0.0.1:{served}" ]; }};
        shut = {{ kind = "tcp"; targets = [ "127.0.0.1:{refused}" ]; }};
}};
signals = {{ errors = {{ kind = "ratio"; probe = "red"; bad = "errors_total"; total = "requests_total"; }}; }};
""")
    path.chmod(0o600)
    return path


def test_everything_is_shown(policy):
    done = run_ctl("probe", "shop", "--policy", policy)
    assert done.returncode == 1 and done.stderr == ""
    blocks = done.stdout.split("\n\n")
    assert [block.split()[0] for block in blocks[:5]] == ["live", "live", "red", "door", "shut"]
    good, bad, page, door, shut = blocks[:5]
    assert "good     ok, HTTP 200, version 2.4.0" in good
    assert "  > GET /healthz HTTP/1.1" in good and "  < HTTP/1.0 200 OK" in good and "  < all ok" in good
    assert "  timings  " in good and "connect " in good and "first byte " in good and "all " in good
    assert 'bad      bad_body, HTTP 200' in bad and 'body lacks "ok"' in bad
    assert "\x1b" not in done.stdout and "all bad\\x00\\x1b[31m" in bad
    assert "counter  errors_total: not on the page" in page and "counter  requests_total: on the page" in page
    assert "good     ok" in door and "connect " in door and "refused" in shut
    assert done.stdout.endswith("3 of 5 are good\n")


def test_one_probe_of_the_policy(policy):
    done = run_ctl("probe", "shop", "door", "--policy", policy)
    assert done.returncode == 0 and done.stdout.endswith("1 of 1 are good\n")
    done = run_ctl("probe", "shop", "gate", "--policy", policy)
    assert done.returncode == 5 and "has no probe gate; it has live, red, door, shut" in done.stderr


def test_as_json(policy):
    done = run_ctl("probe", "shop", "--policy", policy, "--json")
    whole = json.loads(done.stdout)
    assert whole["service"] == "shop" and done.returncode == 1
    outcomes = [(one["probe"], one["verdict"], one["outcome"]) for one in whole["probes"]]
    assert outcomes == [("live", "good", "ok"), ("live", "bad", "bad_body"), ("red", "good", "ok"),
                        ("door", "good", "ok"), ("shut", "bad", "refused")]
    live = whole["probes"][0]
    assert live["version"] == "2.4.0" and live["status"] == 200 and live["request"].startswith("GET /healthz HTTP/1.1\n")
    assert live["answer"].endswith("\nall ok") and live["answer_cut"] is False
    assert 0 < live["seconds"]["all"] < 60 and live["seconds"]["tls"] is None


def test_a_service_that_no_policy_is_of(world, policy):
    world.write_policy()
    done = world.ctl("probe", "nobody")
    assert done.returncode == 5 and "no policy in " in done.stderr and "nobody" in done.stderr
    done = run_ctl("probe", "other", "--policy", policy)
    assert done.returncode == 5 and "is the policy of shop" in done.stderr
    policy.write_text("nonsense")
    assert run_ctl("probe", "shop", "--policy", policy).returncode == 1


def test_the_policy_in_force_with_the_daemon_dead(world):
    world.write_policy()
    done = world.ctl("probe", "users-api")
    assert done.returncode in (0, 1) and " are good\n" in done.stdout, done.stderr


def test_whole_numbers_are_shown_in_full(tmp_path):
    path = tmp_path / "numbers.conf"
    path.write_text('service = "numbers";\nprobes = { p = { kind = "exec"; '
                    'command = [ "/bin/echo", "OK | bytes=80GB share=0.25" ]; }; };\n')
    path.chmod(0o644)
    shown = run_ctl("probe", "numbers", "--policy", path)
    assert "values   bytes 85899345920, share 0.25\n" in shown.stdout, shown


def test_a_target_that_never_answers(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        path = tmp_path / "p.conf"
        path.write_text(f"""service = "shop"; probes = {{ live = {{ kind = "http"; timeout = "200ms";
            targets = [ "http://127.0.0.1:{silent.getsockname()[1]}/" ]; }}; }};""")
        path.chmod(0o600)
        done = run_ctl("probe", "shop", "--policy", path)
    assert done.returncode == 1 and "timeout" in done.stdout and "no answer within 200 ms" in done.stdout


def test_a_name_that_does_not_exist_beside_one_that_answers(tmp_path, served):
    path = tmp_path / "p.conf"
    path.write_text(f"""service = "shop"; probes = {{ live = {{ kind = "http"; targets = [
        "http://no-such-host.invalid:8080/", "http://127.0.0.1:{served}/healthz" ]; }}; }};""")
    path.chmod(0o600)
    done = run_ctl("probe", "shop", "--policy", path)
    assert done.returncode == 1 and done.stderr == "", done.stderr
    assert "unknown  resolver: cannot resolve no-such-host.invalid: " in done.stdout
    assert done.stdout.endswith("1 of 2 are good\n")


class Guarded(http.server.BaseHTTPRequestHandler):
    """Wants a password and gives a token and a cookie; says what it was asked with, as such servers do."""

    def do_POST(self):
        asked = self.rfile.read(int(self.headers["Content-Length"])).decode()
        token = "t0ken/of+the day" if self.path == "/login" else ""
        body = json.dumps({"token": token, "asked": asked, "key": self.headers["X-Shop-Key"]}).encode()
        self.send_response(200)
        self.send_header("Set-Cookie", "id=c00kie; Path=/")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        body = f"{self.path} {self.headers['X-Token']} all ok".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


SECRETS = ["k3y-of-the-shop", "p4ssword", "t0ken/of+the day", "t0ken%2Fof%2Bthe%20day", "c00kie"]


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_no_secret_is_shown(world, form):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Guarded)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    world.put_secret("shop-key", "k3y-of-the-shop")
    world.put_secret("shop-login", "name=probe&p4ssword")
    login = """method = "POST"; body_file = "shop-login"; content_type = "application/x-www-form-urlencoded";
        headers = ( { name = "X-Shop-Key"; value_file = "shop-key"; } );"""
    world.write_conf()
    path = world.root / "shop.conf"
    path.write_text(f"""service = "shop"; probes = {{
        single = {{ kind = "http"; targets = [ "http://127.0.0.1:{server.server_port}/check" ]; {login} }};
        journey = {{ kind = "http"; targets = [ "http://127.0.0.1:{server.server_port}" ]; steps = (
            {{ path = "/login"; {login} take = ( {{ name = "token"; pointer = "/token"; }} ); }},
            {{ path = "/basket?token=${{token}}"; headers = ( {{ name = "X-Token"; value = "${{token}}"; }} ); }} ); }};
        }};""")
    path.chmod(0o600)
    done = world.ctl("probe", "shop", "--policy", path, *form)
    server.shutdown()
    server.server_close()
    assert done.returncode == 0, done.stdout + done.stderr
    assert [secret for secret in SECRETS if secret in done.stdout + done.stderr] == []
    assert "X-Shop-Key: ***" in done.stdout and "Set-Cookie:***" in done.stdout and "GET /basket?token=*** HTTP" in done.stdout
    assert "all ok" in done.stdout and "asked" in done.stdout
