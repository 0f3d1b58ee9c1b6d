"""Metrics stores for tests: the real Prometheus, with samples made for it; and one that answers whatever a test likes."""
import http.server
import pathlib
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request

from waiting import wait_until


class Prometheus:
    """Scrapes nothing. Its samples are written into blocks before it starts, with times in seconds before now."""

    def __init__(self, samples):
        self.temporary = tempfile.TemporaryDirectory(prefix="prometheus-")
        root = pathlib.Path(self.temporary.name)
        now = time.time()
        lines = sorted(samples, key=lambda s: s[0].split("{")[0])
        (root / "samples").write_text("".join(f"{series} {value} {now - age:.3f}\n" for series, value, age in lines)
                                      + "# EOF\n")
        subprocess.run(["promtool", "tsdb", "create-blocks-from", "openmetrics", root / "samples", root / "data"],
                       check=True, capture_output=True, timeout=60)
        (root / "prometheus.yml").write_text("")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.log = open(root / "log", "w", encoding="utf-8")
        self.process = subprocess.Popen(
            ["prometheus", f"--config.file={root}/prometheus.yml", f"--storage.tsdb.path={root}/data",
             f"--web.listen-address=127.0.0.1:{self.port}", "--storage.tsdb.retention.time=100d"],
            stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)
        self.url = f"http://127.0.0.1:{self.port}"
        wait_until(self.is_ready, "Prometheus to be ready", 60)

    def is_ready(self):
        assert self.process.poll() is None
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=5) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.log.close()
        self.temporary.cleanup()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        store = self.server.store
        form = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        store.requests.append((self.path, dict(self.headers), form))
        try:
            store.behaviour(self)
        except OSError:
            pass
        self.close_connection = True

    do_GET = do_POST

    def say(self, status, body, headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Store:
    """`behaviour` is a function of the handler of one request."""

    def __init__(self, behaviour=None):
        self.behaviour, self.requests = behaviour, []
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.store = self
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def vector(value, at=None):
    """An answer with one series."""
    return b'{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[%f,"%s"]}]}}' % (
        at or time.time(), str(value).encode())
