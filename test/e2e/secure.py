"""An https server whose certificate the openssl command has made: `world.add(Secure(directory))`."""
import ssl
import subprocess
from http.server import BaseHTTPRequestHandler

from application import Server

CURVE = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


def openssl(*words):
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


def make_authority(directory, name):
    """NAME.pem and NAME.key, an authority that signs for a month."""
    openssl("req", "-x509", *CURVE, "-keyout", directory / f"{name}.key", "-out", directory / f"{name}.pem", "-days", 30,
            "-subj", f"/CN={name}")
    return directory / f"{name}.pem"


def make_certificate(directory, name, authority="ca", names="IP:127.0.0.1,DNS:localhost", days=30):
    """NAME.pem and NAME.key, signed by that authority."""
    request, path, key = (directory / f"{name}{ending}" for ending in (".csr", ".pem", ".key"))
    openssl("req", *CURVE, "-keyout", key, "-out", request, "-subj", f"/CN={name}", "-addext", f"subjectAltName={names}")
    openssl("x509", "-req", "-in", request, "-CA", directory / f"{authority}.pem", "-CAkey", directory / f"{authority}.key",
            "-days", days, "-copy_extensions", "copyall", "-out", path)
    return path, key


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.owner.resumed.append(self.connection.session_reused)
        body = b"all ok"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Secure(Server):
    """`resumed` has one entry for each answer: whether its session was one from before."""

    def __init__(self, certificate, key, demands=None):
        self.resumed = []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        if demands:
            context.load_verify_locations(demands)
            context.verify_mode = ssl.CERT_REQUIRED
        super().__init__(self, Handler)
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.server_address[1]
        self.url = f"https://127.0.0.1:{self.port}/"
