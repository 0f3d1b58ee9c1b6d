"""Who is told: a webhook receiver that verifies what it gets by the Standard Webhooks rules.

The first delivery of the policy's webhook is answered with 500, as receivers do now and then: it
must come again under the same id.
"""
import base64
import hashlib
import hmac
import http.server
import json
import threading
import time

TOLERANCE_SECONDS = 300
BODY_MAX = 64 * 1024
NOTICES_MAX = 1000  # what is kept when the demo is left running


class Notice:
    """One POST as it came, and whether its signature is right."""

    def __init__(self, path, headers, body, key):
        self.path = path
        self.id = headers.get("webhook-id", "")
        self.signed = self.verify(headers, body, key)
        content = json.loads(body)
        self.type = content["type"]
        self.data = content["data"]
        self.answered = None

    def verify(self, headers, body, key):
        """Whether one of the signatures is ours and the time is about now."""
        stamp = headers.get("webhook-timestamp", "")
        if not stamp.isdigit() or abs(time.time() - int(stamp)) > TOLERANCE_SECONDS:
            return False
        signed = b".".join([self.id.encode(), stamp.encode(), body])
        expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        return any(hmac.compare_digest(signature, f"v1,{expected}")
                   for signature in headers.get("webhook-signature", "").split())


class Receiver:
    """Listens on a loopback port of the kernel's choice; paths have a key each."""

    def __init__(self, keys):
        self.keys = keys
        self.notices = []
        self.printed = 0
        self.lock = threading.Lock()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            """Answers 200, 400 to what is not signed, and 500 to the first delivery."""
            timeout = 10

            def do_POST(self):
                status = receiver.receive(self)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                """Quiet: the story tells what came."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = f"127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def receive(self, request):
        length = request.headers.get("Content-Length", "")
        if request.path not in self.keys or not length.isdigit() or int(length) > BODY_MAX:
            return 404
        body = request.rfile.read(int(length))
        try:
            notice = Notice(request.path, request.headers, body, self.keys[request.path])
        except (ValueError, KeyError, TypeError):
            return 400
        with self.lock:
            first = request.path == "/rollback" and not self.of("/rollback")
            notice.answered = 500 if first else 200 if notice.signed else 400
            if len(self.notices) < NOTICES_MAX:
                self.notices.append(notice)
        return notice.answered

    def of(self, path, kind=None):
        """What came to a path, oldest first."""
        return [n for n in list(self.notices)
                if n.path == path and kind in (None, n.type)]

    def fresh(self):
        """What came since the last call."""
        with self.lock:
            fresh = self.notices[self.printed:]
            self.printed = len(self.notices)
        return fresh

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
