"""What stands around rollbackd: a scriptable application, and a receiver of webhooks."""
import base64
import hashlib
import hmac
import json
import socket
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, owner, handler, port=0):
        self.owner = owner
        super().__init__(("127.0.0.1", port), handler)
        self.thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def handle_error(self, request, client_address):
        """A client that went away is no news."""

    def stop(self):
        self.shutdown()
        self.server_close()
        self.thread.join()


class ApplicationHandler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.owner.answer(self)


class Application:
    """One instance of the service: /healthz and /metrics, behaving as the version that it runs.

    `version` says which one runs. A version in `down` fails its health check; `failing` is the share of
    requests that fail by version. Each look at /metrics adds `traffic` requests, so that no result
    depends on how fast this machine is.
    """

    def __init__(self, version):
        self.version = version
        self.down = set()
        self.failing = {}
        self.traffic = 100
        self.latency = 0.0
        self.status = None      # of every answer, when set
        self.body = "ok"
        self.reset = False      # close without an answer
        self.stuck = threading.Event()
        self.stuck.set()        # clear it: answers wait
        self.counts = {}
        self.requests = 0
        self.lock = threading.Lock()
        self.server = Server(self, ApplicationHandler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def refuse(self):
        """Nobody listens any more."""
        self.server.stop()

    def listen(self):
        self.server = Server(self, ApplicationHandler, self.port)

    def page(self, version):
        with self.lock:
            good, bad = self.counts.get(version, (0, 0))
            failing = round(self.traffic * self.failing.get(version, 0))
            good, bad = good + self.traffic - failing, bad + failing
            self.counts[version] = good, bad
        return (f'app_build_info{{version="{version}"}} 1\n'
                "# TYPE http_requests_total counter\n"
                f'http_requests_total{{code="200",version="{version}"}} {good}\n'
                f'http_requests_total{{code="500",version="{version}"}} {bad}\n')

    def answer(self, request):
        self.requests += 1
        self.stuck.wait(60)
        if self.latency:
            threading.Event().wait(self.latency)
        if self.reset:
            request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            request.connection.close()
            request.close_connection = True
            return
        version = self.version()
        if request.path == "/metrics":
            status, body = 200, self.page(version)
        else:
            status, body = (503, "down") if version in self.down else (200, self.body)
        request.send_response(self.status or status)
        request.send_header("X-Version", version)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body.encode())

    def stop(self):
        self.stuck.set()
        self.server.stop()


class ReceiverHandler(ApplicationHandler):
    def do_POST(self):
        self.server.owner.receive(self)


class Notice:
    """One POST of a webhook."""

    def __init__(self, request, body):
        self.path = request.path
        self.id = request.headers.get("webhook-id")
        self.timestamp = request.headers.get("webhook-timestamp")
        self.signatures = request.headers.get("webhook-signature", "").split()
        self.content_type = request.headers.get("content-type")
        self.raw = body
        self.json = json.loads(body)
        self.type = self.json["type"]
        self.data = self.json["data"]
        self.status = None

    def is_signed_with(self, secret):
        """Standard Webhooks 1.0.0, computed anew."""
        key = base64.b64decode(secret.removeprefix("whsec_"))
        text = f"{self.id}.{self.timestamp}.".encode() + self.raw
        wanted = "v1," + base64.b64encode(hmac.digest(key, text, hashlib.sha256)).decode()
        return wanted in self.signatures


class Receiver:
    """Keeps every notice; `answers` are the statuses of the next ones by path, then 204. While `flowing` is not set
    nothing is answered."""

    def __init__(self, port=0):
        self.notices = []
        self.answers = {}
        self.flowing = threading.Event()
        self.flowing.set()
        self.lock = threading.Lock()
        self.server = Server(self, ReceiverHandler, port)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def receive(self, request):
        body = request.rfile.read(int(request.headers["Content-Length"]))
        notice = Notice(request, body)
        with self.lock:
            answers = self.answers.get(notice.path)
            notice.status = answers.pop(0) if answers else 204
            self.notices.append(notice)
        self.flowing.wait()
        request.send_response(notice.status)
        if notice.status == 503:
            request.send_header("Retry-After", "1")
        request.send_header("Content-Length", "0")
        request.end_headers()

    def find(self, kind, path=None, **data):
        """The notices of a type, at a path, with these data."""
        with self.lock:
            return [n for n in self.notices if n.type == kind and path in (None, n.path)
                    and all(n.data.get(key) == value for key, value in data.items())]

    def stop(self):
        self.flowing.set()
        self.server.stop()
