"""CPU of a check over TLS: new connection, session resumed, certificate verified, 500 targets once
a second, rollbackd beside HAProxy's check-ssl.

The server of both is a third process, another HAProxy that ends TLS before the same target. How
many of its handshakes were resumed is asked of it, for it is what makes the difference.
"""
import re
import socket

from bench_checkers import Haproxy, Pairs, Rollbackd, allow_descriptors, make_policies
from bench_site import BenchError, wait_until
from part_others import free_port

PAIRS = 5
SECONDS = 3
TARGETS = 500
RESUMED_LEAST = 0.9
SERVER = """
global
        nbthread 1
        maxconn 4000
        stats socket %(root)s/tls.sock
defaults
        mode http
        timeout connect 5s
        timeout client 5s
        timeout server 5s
frontend tls
        bind 127.0.0.1:%(port)d ssl crt %(root)s/server.pem
        default_backend target
backend target
        server target 127.0.0.1:%(target)s
"""
KEYS = 'tls = { ca_file = "%s/ca.pem"; };'


def make_certificate(site):
    """A CA, and a certificate of its for 127.0.0.1 together with its key."""
    def openssl(*words):
        site.run(["/usr/bin/openssl", *words], "openssl")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *key, "-subj", "/CN=bench", "-days", "2", "-keyout",
            site.root / "ca.key", "-out", site.root / "ca.pem")
    site.write_file("names", "subjectAltName = IP:127.0.0.1\n")
    openssl("req", *key, "-subj", "/CN=127.0.0.1", "-keyout", site.root / "server.key", "-out",
            site.root / "server.csr")
    openssl("x509", "-req", "-in", site.root / "server.csr", "-CA", site.root / "ca.pem", "-CAkey",
            site.root / "ca.key", "-CAcreateserial", "-days", "2", "-extfile", site.root / "names",
            "-out", site.root / "server.crt")
    site.write_file("server.pem", "".join((site.root / f"server.{part}").read_text()
                                          for part in ("crt", "key")))
    (site.root / "ca.pem").chmod(0o644)


def start_server(site, target):
    port = free_port()
    site.write_file("tls.cfg", SERVER % {"root": site.root, "port": port, "target": target})
    site.start("tls", ["/usr/sbin/haproxy", "-db", "-f", site.root / "tls.cfg"],
               preexec_fn=allow_descriptors)

    def listens():
        if site.processes["tls"].poll() is not None:
            raise BenchError(f"the server of TLS has ended:\n{site.log('tls')}")
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", port)) == 0
    wait_until(listens, "the server of TLS")
    return port


def resumed_share(site):
    """Of the server's last second, by its own count."""
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(site.root / "tls.sock"))
        s.sendall(b"show info\n")
        text = b""
        while part := s.recv(65536):
            text += part
    return int(re.search(rb"SslFrontendSessionReuse_pct: (\d+)", text)[1]) / 100


def watch(site, checker, name):
    """Microseconds of CPU of a check, and the share of handshakes that were resumed at the end."""
    wait_until(lambda: resumed_share(site) >= RESUMED_LEAST, f"{name} to resume its sessions")
    answers, cpu, _, _ = checker.watched.over(SECONDS)
    return cpu / answers * 1e6, resumed_share(site) * 100


def watch_rollbackd(site, target, port):
    urls = [f"https://127.0.0.1:{port}/{i}" for i in range(TARGETS)]
    daemon = Rollbackd(site, target, make_policies("probed-", urls, keys=KEYS % site.root))
    daemon.wait_for_probes(3 * TARGETS)
    cost = watch(site, daemon, "rollbackd")
    # A handshake that fails on a busy machine never gets to what counts.
    daemon.check_counts(unanswered=True)
    daemon.stop()
    return cost


def watch_haproxy(site, target, port):
    words = f"check-ssl verify required ca-file {site.root}/ca.pem verifyhost 127.0.0.1"
    haproxy = Haproxy(site, port, {"checked": ("/", TARGETS)}, words=words, target=target)
    haproxy.wait_for_checks(3 * TARGETS)
    cost = watch(site, haproxy, "HAProxy")
    haproxy.check_up(TARGETS)
    haproxy.stop()
    return cost


def run(site, figures):
    site.start_postgresql()
    site.make_services("probed-", TARGETS // 100)
    make_certificate(site)
    answering = site.start_target()
    target = f"http://127.0.0.1:{answering}"
    port = start_server(site, answering)
    cost, resumed = Pairs(), Pairs()
    for _ in range(PAIRS):
        ours, peer = watch_rollbackd(site, target, port), watch_haproxy(site, target, port)
        cost.add(ours[0], peer[0])
        resumed.add(ours[1], peer[1])
    cost.figure(figures, "tls", f"CPU of a check over TLS, resumed, {TARGETS} targets", "us",
                peer="HAProxy, check-ssl", ratio_at_most=1.1)
    resumed.figure(figures, "tls", "handshakes that were resumed", "%", peer="HAProxy, check-ssl")
