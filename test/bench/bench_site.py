"""What every part of a bench needs: processes that end by their ids, a private PostgreSQL with a
ledger, and figures."""
import json
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

import psycopg

HERE = pathlib.Path(__file__).resolve().parent
SQL = HERE.parents[1] / "sql"
POSTGRESQL = pathlib.Path("/usr/lib/postgresql/15/bin")


class BenchError(Exception):
    """A bench could not run; its text is for people."""


def wait_until(condition, what, seconds=30):
    """Returns the condition's first true value; gives up with what was awaited."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise BenchError(f"waited {seconds} s in vain for {what}")
        time.sleep(0.02)
    return value


def percentile(values, share):
    """The smallest value that at least this share of all does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * share // 100) - 1)]


def shorten(cell):
    """Five digits are more than any figure is worth."""
    if isinstance(cell, list):
        return [shorten(part) for part in cell]
    return float(f"{cell:.5g}") if isinstance(cell, float) else cell


class Figures:
    """Collects figures; each is a line of JSON at once, and a row of the table at the end."""

    def __init__(self):
        self.rows = []

    def add(self, bench, figure, value, unit, *, at_most=None, at_least=None, ratio_at_most=None,
            ratio_at_least=None, peer=None, peer_value=None, ratio=None, ratio_range=None):
        """Exactly what was asked, if anything: a limit of the value, or of its ratio to the
        peer's. `ratio`: where it is not that of both values, but of pairs of them."""
        ratio = ratio if ratio or not peer_value else value / peer_value
        asked = met = None
        if at_most is not None:
            asked, met = f"<= {at_most:,} {unit}", value <= at_most
        elif at_least is not None:
            asked, met = f">= {at_least:,} {unit}", value >= at_least
        elif ratio_at_most is not None:
            asked, met = f"<= {ratio_at_most} x", ratio <= ratio_at_most
        elif ratio_at_least is not None:
            asked, met = f">= {ratio_at_least} x", ratio >= ratio_at_least
        row = {"bench": bench, "figure": figure, "value": value, "unit": unit, "asked": asked,
               "peer": peer, "peer_value": peer_value, "ratio": ratio,
               "ratio_range": ratio_range, "met": met}
        self.rows.append(row)
        print(json.dumps({key: shorten(cell) for key, cell in row.items()}), flush=True)

    def table(self):
        """All rows as text."""
        def cell(value):
            if value is None:
                return "-"
            if isinstance(value, list):
                return " to ".join(f"{part:.3g}" for part in value)
            return f"{value:.4g}" if isinstance(value, float) else str(value)
        verdicts = {True: "met", False: "MISSED", None: "-"}
        lines = [("bench", "figure", "value", "unit", "asked", "peer", "peer's", "ratio", "range", "")]
        lines += [(r["bench"], r["figure"], cell(r["value"]), r["unit"], cell(r["asked"]),
                   cell(r["peer"]), cell(r["peer_value"]), cell(r["ratio"]),
                   cell(r["ratio_range"]), verdicts[r["met"]])
                  for r in self.rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
        return "\n".join("  ".join(word.ljust(width) for word, width in zip(line, widths)).rstrip()
                         for line in lines)


class Site:
    """The temporary directory and the processes of one run."""

    def __init__(self, build):
        self.build = pathlib.Path(build).resolve()
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="rollbackd-bench-"))
        self.root.chmod(0o711)
        self.processes = {}
        self.sockets = self.root / "postgresql"

    def start(self, name, command, **keywords):
        """Starts a program in a session of its own; its output goes to NAME.log."""
        with open(self.root / f"{name}.log", "ab") as log:
            keywords.setdefault("stderr", log)
            self.processes[name] = subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log,
                start_new_session=True, cwd="/", **keywords)
        return self.processes[name]

    def run(self, command, what):
        """Runs a program to its end; returns its output."""
        result = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL,
                                capture_output=True, text=True, check=False, cwd="/")
        if result.returncode != 0:
            raise BenchError(f"{what} failed ({result.returncode}): {result.stderr}")
        return result.stdout

    def log(self, name):
        return (self.root / f"{name}.log").read_text(errors="replace")

    def find_in_log(self, name, pattern):
        """Waits for a program's words; returns the pattern's group."""
        def look():
            if self.processes[name].poll() is not None:
                raise BenchError(f"{name} has ended:\n{self.log(name)}")
            return re.findall(pattern, self.log(name))
        return wait_until(look, f"{name} to say {pattern}")[-1]

    def stop(self, name, number=signal.SIGTERM):
        process = self.processes.pop(name, None)
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(number)
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def stop_all(self):
        for name in [name for name in self.processes if name != "postgresql"]:
            self.stop(name)
        self.stop("postgresql", signal.SIGINT)
        shutil.rmtree(self.root, ignore_errors=True)

    # PostgreSQL.

    def start_postgresql(self):
        """A cluster with fsync on, as the user postgres when we are root, and the ledger in it."""
        prefix = []
        self.sockets.mkdir(mode=0o711)
        if os.getuid() == 0:
            shutil.chown(self.sockets, "postgres", "postgres")
            prefix = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        self.run([*prefix, POSTGRESQL / "initdb", "-D", self.sockets / "data", "-U", "postgres",
                  "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"], "initdb")
        settings = {"listen_addresses": "", "track_commit_timestamp": "on", "autovacuum": "on"}
        self.start("postgresql", [
            *prefix, POSTGRESQL / "postgres", "-D", self.sockets / "data", "-k", self.sockets,
            *(word for name, value in settings.items() for word in ("-c", f"{name}={value}"))])
        wait_until(self.answers, "PostgreSQL to start")
        self.run([self.build / "rollbackctl", "db", "init", "--directory", SQL, "--conninfo",
                  self.conninfo("postgres")], "rollbackctl db init")

    def answers(self):
        if self.processes["postgresql"].poll() is not None:
            raise BenchError(f"PostgreSQL has ended:\n{self.log('postgresql')}")
        try:
            self.connect("postgres").close()
        except psycopg.OperationalError:
            return False
        return True

    def connect(self, database="bench"):
        return psycopg.connect(host=str(self.sockets), dbname=database, user="postgres",
                               autocommit=True)

    def conninfo(self, user):
        return f"host={self.sockets} dbname=bench user={user}"

    def make_services(self, prefix, count, subscribers="[]"):
        """PREFIX0, PREFIX1, ...: v1 stable, v2 active at epoch 2."""
        with self.connect() as administrator:
            administrator.execute(
                "SELECT count(rollbackd.register(n, 'v1', true, 'bench')), "
                "count(rollbackd.deploy(n, 'v2')), count(rollbackd.put_subscribers(n, %s)::text) "
                "FROM (SELECT %s || i AS n FROM generate_series(0, %s) i) s",
                (subscribers, prefix, count - 1))
            administrator.execute("VACUUM ANALYZE")
            administrator.execute("CHECKPOINT")

    # The other programs.

    def start_target(self):
        """Returns the port of a bench_target."""
        self.start("target", [self.build / "bench/bench_target"])
        return self.find_in_log("target", r"target (\d+)\n")

    def write_file(self, path, text):
        path = self.root / path
        path.parent.mkdir(mode=0o755, exist_ok=True)
        path.write_text(text)
        path.chmod(0o644)

    def start_rollbackd(self, policies, prefix=(), **keywords):
        """The daemon on these policies, {service: text}; returns its process. What was there of an
        earlier one is replaced. `prefix`: the command that runs it."""
        shutil.rmtree(self.root / "policies.d", ignore_errors=True)
        (self.root / "rollbackd.log").unlink(missing_ok=True)
        (self.root / "policies.d").mkdir(mode=0o755)
        for service, text in policies.items():
            self.write_file(f"policies.d/{service}.conf", text)
        self.write_file("rollbackd.conf", f"""
ledger = {{ conninfo = "{self.conninfo('rollbackd')}"; }};
http = {{ socket = ""; listen = "127.0.0.1:0"; }};
policies = "{self.root}/policies.d";
secrets = "{self.root}/secrets";
""")
        process = self.start("rollbackd", [*prefix, self.build / "rollbackd", "--foreground", "--config",
                                           self.root / "rollbackd.conf"], **keywords)
        return process


def fetch(url):
    """The body of an answer, as text."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


def read_metrics(url):
    """The samples without labels of a /metrics page."""
    return {name: float(value) for name, value in
            re.findall(r"^(\w+) ([-+0-9.e]+)$", fetch(f"{url}/metrics"), re.MULTILINE)}


def median(values):
    return statistics.median(values)


def say(words):
    print(f"bench: {words}", file=sys.stderr, flush=True)
