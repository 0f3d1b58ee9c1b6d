"""A synthetic user's journey: rollbackd logs in, takes a token and uses it; and the version that answered is a value of the JSON."""
import json
import socketserver
import ssl
import threading
from http.server import BaseHTTPRequestHandler

import pytest
from application import Server
from secure import make_authority, make_certificate
from world import SERVICE

pytestmark = pytest.mark.sanitize

PASSWORD = "hunter-two"


class ShopHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def say(self, status, body, **headers):
        text = json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self):
        self.server.owner.get(self)

    def do_POST(self):
        self.server.owner.post(self)


class UnixServer(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


class Shop:
    """One instance of a shop that wants a login. A version in `broken` does not take its own tokens."""

    def __init__(self, version):
        self.version = version      # called, says which one runs
        self.broken = set()
        self.n = 0
        self.sessions = {}          # token -> cookie
        self.baskets = 0            # looked at with token and cookie
        self.attributes = "; Path=/; HttpOnly"
        self.lock = threading.Lock()
        self.server = Server(self, ShopHandler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def speak_tls(self, certificate, key):
        """From now on https; its cookies are for TLS alone."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = self.url.replace("http:", "https:")
        self.attributes += "; Secure"

    def post(self, request):
        body = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
        if request.path != "/login" or body != {"user": "probe", "password": PASSWORD}:
            request.say(403, {})
            return
        with self.lock:
            self.n += 1
            token, cookie = f"token-{self.n}", f"session-{self.n}"
            self.sessions[token] = cookie
        request.say(200, {"token": token}, Set_Cookie=f"sid={cookie}{self.attributes}")

    def get(self, request):
        token = (request.headers["Authorization"] or "").removeprefix("Bearer ")
        with self.lock:
            known = request.headers["Cookie"] == f"sid={self.sessions.get(token)}"
        version = self.version()
        if not known or version in self.broken:
            request.say(401, {"build": {"version": version}})
            return
        self.baskets += 1
        request.say(200, {"items": 3, "build": {"version": version}})

    def stop(self):
        self.server.stop()


def journey(*shops, **changes):
    return {"kind": "http", "interval": "500ms", "timeout": "500ms", "fall": 2,
            "targets": [shop.url for shop in shops],
            "steps": [
                {"path": "/login", "method": "POST", "content_type": "application/json", "body_file": "login",
                 "take": [{"name": "token", "pointer": "/token"}]},
                {"path": "/basket", "headers": [{"name": "Authorization", "value": "Bearer ${token}"}],
                 "version_pointer": "/build/version",
                 "expect": {"json": [{"pointer": "/items", "at_least": 1, "value": "items"}]}},
            ], **changes}


def start(world, *shops, **changes):
    world.put_secret("login", json.dumps({"user": "probe", "password": PASSWORD}))
    policy = world.policy()
    policy["probes"]["journey"] = journey(*shops, **changes)
    policy["rules"] = [{"name": "login", "kind": "down", "probe": "journey", "at_least": "100%", "hold": "300ms",
                        "response": "rollback"}]
    world.start(policy)


def target(world, shop):
    return world.targets(SERVICE)["journey", shop.url]


def test_a_release_that_nobody_can_log_in_to_is_taken_back(world):
    shop = world.add(Shop(world.active))
    shop.broken.add("v2")
    start(world, shop)
    world.wait(lambda: shop.baskets >= 3 and target(world, shop)["state"] == "good", "journeys that go well")
    found = target(world, shop)
    values = found["values"]
    assert values["items"] == 3 and {"step_1_seconds", "step_2_seconds"} <= set(values), found
    world.deploy("v2")
    world.wait_active("v1")
    operation = world.wait_state("recovered")
    assert operation["from_version"] == "v2"
    log = world.daemon.log()
    assert PASSWORD not in log and "token-" not in log and "session-" not in log


def test_an_instance_that_still_answers_the_old_version_convicts_nobody(world):
    """It does not take tokens either, and says in its refusal which version it is."""
    old = world.add(Shop(lambda: "v1"))
    new = world.add(Shop(world.active))
    start(world, old, new)
    world.wait(lambda: old.baskets and new.baskets, "journeys through both")
    world.deploy("v2")
    old.broken.add("v1")
    seen = new.baskets
    world.wait(lambda: target(world, old).get("version") == "v1" and "step 2 (GET /basket): HTTP 401" in json.dumps(target(world, old)),
               "the straggler to be seen")
    world.wait(lambda: new.baskets > seen + 5, "journeys through the new one")
    assert world.active() == "v2" and not world.operations()
    straggling = [t for t in world.service()["probes"] if t["name"] == "journey"][0]
    assert any(t.get("straggler") for t in straggling["targets"] if t["url"] == old.url), straggling


def test_over_tls_cookies_for_tls_alone_go_back(world):
    shop = world.add(Shop(world.active))
    ca = make_authority(world.root, "ca")
    shop.speak_tls(*make_certificate(world.root, "shop"))
    start(world, shop, tls={"ca_file": str(ca)})
    world.wait(lambda: shop.baskets >= 2 and target(world, shop)["state"] == "good", "journeys over TLS")
    assert 28 <= target(world, shop)["values"]["certificate_days"] <= 30


def test_over_a_unix_socket(world):
    shop = world.add(Shop(world.active))
    path = world.root / "shop.sock"
    unix = UnixServer(str(path), ShopHandler)
    unix.owner = shop
    thread = threading.Thread(target=unix.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    shop.url = f"http://unix:{path}"
    try:
        start(world, shop)
        world.wait(lambda: shop.baskets >= 2 and target(world, shop)["state"] == "good", "journeys over a socket")
    finally:
        unix.shutdown()
        unix.server_close()
        thread.join()
