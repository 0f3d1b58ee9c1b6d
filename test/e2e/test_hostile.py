"""Targets that misbehave, dozens at once before one rollbackd: each gets the outcome that it has earned and words that name it,
the others stay on schedule, and neither memory, descriptors nor processor time go anywhere."""
import functools
import os
import pathlib
import ssl
import tempfile
import time

import pytest
from hostile import Hostile
from lone_site import Authority
from supervisor import SANITIZED
from waiting import wait_until
from world import SERVICE

pytestmark = pytest.mark.sanitize

BODY_CAP = 64 * 1024
NOT_HTTP = "not an HTTP/1.1 answer: "
OVER_HEADERS = NOT_HTTP + "headers over 32 KiB"
OVER_BODY = "body over max_body, 65536 bytes"
REDIRECT = "a redirect, which a probe does not follow"
LACKS = 'body lacks "ok"'
NO_PAGE = "instead of a page of metrics"
HTTP, METRICS, TCP, HTTPS = ("http",), ("metrics",), ("tcp",), ("https",)
BOTH = HTTP + METRICS

# Behaviour, kinds, outcome, words. What ends by the probe's own deadline:
STUCK = [
    ("accepts_and_is_silent", BOTH, "timeout", "no answer within 300 ms"),
    ("reads_and_is_silent", BOTH, "timeout", "no answer within 300 ms"),
    ("drips", BOTH, "timeout", "no end of the answer within 300 ms"),
    ("drips_headers", BOTH, "timeout", "no end of the answer within 300 ms"),
    ("drips_interim", BOTH, "timeout", "no end of the answer within 300 ms"),
    ("drips_chunks", BOTH, "timeout", "no end of the answer within 300 ms"),
    ("stops_in_the_body", BOTH, "timeout", "no end of the answer within 300 ms"),
    ("stops_in_a_huge_chunk", BOTH, "timeout", "no end of the answer within 300 ms"),
    ("stops_in_the_headers", BOTH, "timeout", "no end of the answer within 300 ms"),
    ("accepts_and_is_silent", TCP, "ok", ""),
    ("serves_every_second", HTTP, "ok", ""),
    ("accepts_and_is_silent", HTTPS, "timeout", "no TLS handshake within 300 ms"),
    ("drips_a_handshake", HTTPS, "timeout", "no TLS handshake within 300 ms"),
    ("accepts_and_is_silent_in_tls", HTTPS, "timeout", "no answer within 300 ms"),
    ("drips_in_tls", HTTPS, "timeout", "no end of the answer within 300 ms"),
    ("drips_headers_in_tls", HTTPS, "timeout", "no end of the answer within 300 ms"),
]

# What the target ends, or what is refused as soon as it is seen:
WRONG = [
    ("ordinary", HTTP + TCP, "ok", ""),
    ("answers_twice", HTTP, "ok", ""),
    ("answers_bad_then_good", HTTP, "bad_body", LACKS),
    ("answers_unasked", HTTP, "ok", ""),
    ("answers_then_resets", HTTP, "ok", ""),
    ("nul_in_body", HTTP, "ok", ""),
    ("endless_headers", BOTH, "protocol", OVER_HEADERS),
    ("endless_header", BOTH, "protocol", OVER_HEADERS),
    ("endless_interim", BOTH, "protocol", OVER_HEADERS),
    ("endless_trailers", BOTH, "protocol", OVER_HEADERS),
    ("hundred_thousand_headers", BOTH, "protocol", OVER_HEADERS),
    ("version_of_a_megabyte", BOTH, "protocol", OVER_HEADERS),
    ("endless_chunk_line", BOTH, "protocol", NOT_HTTP + "chunk size line longer than 1024 bytes"),
    ("endless_chunk_extension", BOTH, "protocol", NOT_HTTP + "chunk size line longer than 1024 bytes"),
    ("endless_chunks", BOTH, "too_large", OVER_BODY),
    ("chunk_of_half_the_numbers", BOTH, "too_large", OVER_BODY),
    ("ten_gigabytes", BOTH, "too_large", OVER_BODY),
    ("endless_body", BOTH, "too_large", OVER_BODY),
    ("endless_line", METRICS, "too_large", OVER_BODY),
    ("gzip_unasked", HTTP, "protocol", "the body came as Content-Encoding gzip, which nobody asked for"),
    ("gzip_unasked", METRICS, "no_data", "the page came as Content-Encoding gzip, which nobody asked for"),
    ("ordinary", METRICS, "no_data", "line 1: blank or { expected after the metric name"),
    ("version_too_long", HTTP, "ok", "the version that it names is no plain text of 1 to 63 characters: not used"),
    ("version_twice", HTTP, "ok", "the answer names more than one version: none is used"),
    ("nul_in_status_line", BOTH, "protocol", NOT_HTTP + "NUL byte in the headers"),
    ("nul_in_header", BOTH, "protocol", NOT_HTTP + "NUL byte in the headers"),
    ("http_0_9", BOTH, "protocol", NOT_HTTP + 'it begins "<html>ok</html>"'),
    ("ssh", BOTH, "protocol", NOT_HTTP + 'it begins "SSH-2.0-OpenSSH_9.2p1 De"'),
    ("tls_alert", BOTH, "protocol", NOT_HTTP + "it speaks TLS; write https://"),
    ("noise", BOTH, "protocol", NOT_HTTP),
    ("noise_at_once", BOTH, "protocol", NOT_HTTP),
    ("status_99", BOTH, "protocol", NOT_HTTP + "status outside 100..599"),
    ("status_600", BOTH, "protocol", NOT_HTTP + "status outside 100..599"),
    ("status_2000", BOTH, "protocol", NOT_HTTP + 'malformed status line'),
    ("status_101", BOTH, "protocol", NOT_HTTP + "status 101: nobody asked for another protocol"),
    ("status_503", HTTP, "bad_status", "HTTP 503"),
    ("status_503", METRICS, "bad_status", "HTTP 503 " + NO_PAGE),
    ("length_twice", BOTH, "protocol", NOT_HTTP + "Content-Length stands twice"),
    ("length_negative", BOTH, "protocol", NOT_HTTP + "Content-Length is not a whole number"),
    ("length_beyond_numbers", BOTH, "protocol", NOT_HTTP + "Content-Length over 64 bits"),
    ("coding_twice", BOTH, "protocol", NOT_HTTP + "Transfer-Encoding stands twice"),
    ("coding_and_length", BOTH, "protocol", NOT_HTTP + "Content-Length beside Transfer-Encoding"),
    ("coding_unknown", BOTH, "protocol", NOT_HTTP + "Transfer-Encoding other than chunked"),
    ("lone_return_in_header", BOTH, "protocol", NOT_HTTP + "carriage return inside a line"),
    ("lone_return_in_chunk", BOTH, "protocol", NOT_HTTP + "carriage return inside a line"),
    ("chunk_without_number", BOTH, "protocol", NOT_HTTP + "malformed chunk size"),
    ("chunk_beyond_numbers", BOTH, "protocol", NOT_HTTP + "chunk size over 64 bits"),
    ("chunk_too_long", BOTH, "protocol", NOT_HTTP + "chunk longer than its size"),
    ("folded_header", BOTH, "protocol", NOT_HTTP + "header folded over two lines"),
    ("redirects_to_itself", HTTP, "bad_status", "HTTP 302, " + REDIRECT),
    ("redirects_to_a_file", HTTP, "bad_status", "HTTP 302, " + REDIRECT),
    ("redirects_to_the_cloud", HTTP, "bad_status", "HTTP 307, " + REDIRECT),
    ("redirects_to_a_file", METRICS, "bad_status", "HTTP 302 " + NO_PAGE),
    ("redirects_to_the_cloud", METRICS, "bad_status", "HTTP 307 " + NO_PAGE),
    ("resets_at_once", BOTH, "reset", "connection reset"),
    ("resets_on_request", BOTH, "reset", "connection reset"),
    ("resets_in_the_body", BOTH, "reset", "connection reset"),
    ("closes_its_side", BOTH, "closed", "closed without an answer"),
    ("closes_without_answer", BOTH, "closed", "closed without an answer"),
    ("closes_in_the_headers", BOTH, "closed", "closed before the end of the answer"),
    ("closes_in_the_body", BOTH, "closed", "closed before the end of the answer"),
    ("closes_in_a_chunk", BOTH, "closed", "closed before the end of the answer"),
    ("ordinary_in_tls", HTTPS, "ok", ""),
    ("answers_unasked_in_tls", HTTPS, "ok", ""),
    ("answers_twice_in_tls", HTTPS, "ok", ""),
    ("answers_unasked", HTTPS, "tls", "this port speaks plain HTTP, not TLS"),
    ("noise_at_once", HTTPS, "tls", "this port does not speak TLS"),
    ("ssh_at_once", HTTPS, "tls", "this port does not speak TLS"),
    ("refuses_the_handshake", HTTPS, "tls", "the TLS handshake failed: "),
    ("record_beyond_its_limit", HTTPS, "tls", "the TLS handshake failed: "),
    ("endless_handshake", HTTPS, "tls", "the server's TLS handshake has no end"),
    ("resets_at_once", HTTPS, "reset", "connection reset"),
    ("resets_in_the_handshake", HTTPS, "reset", "connection reset"),
    ("closes_in_the_handshake", HTTPS, "tls", "closed during the TLS handshake"),
    ("resets_on_request_in_tls", HTTPS, "reset", "connection reset"),
    ("closes_without_answer_in_tls", HTTPS, "closed", "closed without an answer"),
    ("closes_in_the_body_in_tls", HTTPS, "closed", "closed before the end of the answer"),
    ("endless_headers_in_tls", HTTPS, "protocol", OVER_HEADERS),
    ("ten_gigabytes_in_tls", HTTPS, "too_large", OVER_BODY),
    ("endless_chunks_in_tls", HTTPS, "too_large", OVER_BODY),
    ("http_0_9_in_tls", HTTPS, "protocol", NOT_HTTP + 'it begins "<html>ok</html>"'),
]

PROBES = {
    "http": {"kind": "http", "expect": {"body": "ok"}, "version_header": "X-Version", "max_body": "64KiB"},
    "metrics": {"kind": "metrics", "max_body": "64KiB"},
    "tcp": {"kind": "tcp"},
    # Whether a certificate is to be believed is not what this is about.
    "https": {"kind": "http", "expect": {"body": "ok"}, "max_body": "64KiB", "tls": {"verify": False}},
}


@functools.lru_cache(maxsize=None)
def server_side():
    """A context of TLS with a certificate of its own."""
    with tempfile.TemporaryDirectory(prefix="tls-") as folder:
        authority = Authority(pathlib.Path(folder))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority.certificate, authority.key)
    return context


@pytest.fixture
def servers():
    with Hostile(tls=server_side()) as made:
        yield made


def url(kind, port):
    return f"127.0.0.1:{port}" if kind == "tcp" else f"{'https' if kind == 'https' else 'http'}://127.0.0.1:{port}/"


def hostile_policy(servers, rows, **schedule):
    """One probe for each kind, on its behaviours; nothing in it asks for a rollback."""
    probes = {}
    for name, kinds, *_ in rows:
        for kind in kinds:
            probe = probes.setdefault(kind, {**PROBES[kind], **schedule, "targets": []})
            probe["targets"].append(url(kind, servers.serve(name)))
    rules = [{"name": kind, "kind": "down", "probe": kind, "response": "notify"} for kind in probes]
    return {"service": "hostile", "probes": probes, "rules": rules, "rollback": {"mode": "observe"}}


def start(world, policy):
    """Beside the hostile service an ordinary one whose good new version is watched."""
    world.call("register", "hostile", "v1", True, "known good")
    world.write_policy(policy)
    world.start()
    world.deploy("v2")
    world.wait(lambda: world.service()["epoch"] == 2, "the deploy to be seen")


class Watch:
    """Looks on while the targets are probed: what each was found to be, and the daemon's sockets."""

    def __init__(self, world):
        self.world, self.pid = world, world.daemon.process.pid
        self.found = {}
        self.most_open = {}
        self.strange = set()
        self.began, self.cpu, self.asked = time.monotonic(), self.processor_time(), world.application.requests
        self.probes, self.late = (world.daemon.metric(f"rollbackd_probes{end}_total") for end in ("", "_late"))

    def processor_time(self):
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def sockets(self):
        """(remote address, port) of each TCP connection of the daemon that stands or is being made."""
        own = set()
        for fd in pathlib.Path(f"/proc/{self.pid}/fd").iterdir():
            try:
                own.add(os.readlink(fd))
            except FileNotFoundError:
                continue
        found = {}
        # By inode: a table that changes while it is read may name a socket twice.
        for line in pathlib.Path(f"/proc/{self.pid}/net/tcp").read_text().splitlines()[1:]:
            _, _, remote, state, *rest = line.split()
            if state in ("01", "02", "08") and f"socket:[{rest[5]}]" in own:
                address, port = remote.split(":")
                found[rest[5]] = address, int(port, 16)
        return found.values()

    def look(self):
        opened = {}
        for address, port in self.sockets():
            opened[port] = opened.get(port, 0) + 1
            if address != "0100007F":
                self.strange.add(address)
        for port, n in opened.items():
            self.most_open[port] = max(n, self.most_open.get(port, 0))
        for key, target in self.world.targets("hostile").items():
            if "words" in target and target["outcome"]:
                self.found.setdefault(key, set()).add((target["outcome"], target["words"]))
        return self.found

    def share_of_processor(self):
        return (self.processor_time() - self.cpu) / (time.monotonic() - self.began)

    def assert_harmless(self, servers):
        assert not self.strange, f"connections to {self.strange}"
        for name, port in servers.ports.items():
            kinds = sum(address.endswith((f":{port}", f":{port}/")) for _, address in self.found)
            assert self.most_open.get(port, 0) <= kinds, f"{name}: {self.most_open[port]} connections at once by {kinds} probes"
        world = self.world
        # The service beside them is asked every 200 and every 100 ms.
        assert world.application.requests - self.asked >= 15 * (time.monotonic() - self.began) * 0.5
        late = world.daemon.metric("rollbackd_probes_late_total") - self.late
        assert late <= 0.10 * (world.daemon.metric("rollbackd_probes_total") - self.probes), f"{late} probes late"
        assert world.changes() == [] and world.service()["health"] in ("warming", "watching")


def expected(servers, rows):
    return {(kind, url(kind, servers.ports[name])): (name, code, words)
            for name, kinds, code, words in rows for kind in kinds}


def watch_until_found(world, servers, rows, rounds):
    """Until every target has been found to be what it is, and has been asked so many times."""
    watch, wanted = Watch(world), expected(servers, rows)
    goal = {name: servers.accepted[name] for name in servers.ports}
    for name, kinds, *_ in rows:
        goal[name] += rounds * len(kinds)

    def missing():
        found = watch.look()
        return {key: (row, found.get(key)) for key, row in wanted.items()
                if not any(code == row[1] and said.startswith(row[2]) and bool(said) == bool(row[2])
                           for code, said in found.get(key, ()))}
    wait_until(lambda: not missing(), lambda: "\n".join(map(str, missing().values())), 60)
    wait_until(lambda: watch.look() and all(servers.accepted[name] >= goal[name] for name in goal),
               lambda: f"{rounds} rounds: {servers.accepted}")
    for key, (name, code, _) in wanted.items():
        for seen, said in watch.found[key]:
            # A busy machine may be slow to answer or to ask, but nothing that is wrong was ever good, nor good wrong.
            assert seen in (code, "timeout", "overdue"), f"{name} by {key[0]}: {seen} ({said})"
    return watch


def test_targets_that_keep_rollbackd_waiting(world, servers):
    start(world, hostile_policy(servers, STUCK, interval="600ms", timeout="300ms"))
    watch = watch_until_found(world, servers, STUCK, 4)
    watch.assert_harmless(servers)
    second = "http", url("http", servers.ports["serves_every_second"])
    wait_until(lambda: {code for code, _ in watch.look()[second]} >= {"ok", "timeout"}, "each connection judged by itself")
    if not SANITIZED:
        assert watch.share_of_processor() < 0.10, "a busy loop"


def test_targets_whose_answers_are_wrong(world, servers):
    start(world, hostile_policy(servers, WRONG, interval="3s", timeout="3s"))
    watch = watch_until_found(world, servers, WRONG, 1)
    watch.assert_harmless(servers)
    # Nothing was fetched from where a redirect points: one request for each connection.
    for name in ("redirects_to_itself", "redirects_to_a_file", "redirects_to_the_cloud"):
        assert servers.requests[name] <= servers.accepted[name]
