"""The demo's site: a throw-away PostgreSQL, the platform and its backend, and rollbackd.

Everything lives in one temporary directory and in processes of its own, which are ended by their
ids. Nothing listens beyond this machine.
"""
import base64
import json
import os
import pathlib
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time

import psycopg

HERE = pathlib.Path(__file__).resolve().parent
SQL = HERE.parents[1] / "sql"
POSTGRESQL = pathlib.Path("/usr/lib/postgresql/15/bin")
SERVICE = "users-api"
USERS = 200


class DemoError(Exception):
    """Something that the demo needs did not work; its text is for people."""


def wait_until(condition, what, seconds=15):
    """Returns the condition's first true value; gives up with what was awaited."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise DemoError(f"waited {seconds} s in vain for {what}")
        time.sleep(0.02)
    return value


class Site:
    """All processes, files and addresses of one run of the demo."""

    def __init__(self, build, seed):
        self.build = pathlib.Path(build).resolve()
        self.seed = seed
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="rollbackd-demo-"))
        self.root.chmod(0o711)
        self.processes = {}
        self.connections = {}
        self.secrets = {}
        self.addresses = {}

    # Processes.

    def start(self, name, command, **keywords):
        """Starts a program in a session of its own, so that Ctrl-C reaches only the demo."""
        log = open(self.root / f"{name}.log", "ab")
        with log:
            self.processes[name] = subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, cwd="/", **keywords)

    def log(self, name):
        return (self.root / f"{name}.log").read_text(errors="replace")

    def find_in_log(self, name, pattern):
        """Waits for a line of a program's output; returns the pattern's group."""
        def look():
            if self.processes[name].poll() is not None:
                raise DemoError(f"{name} has ended:\n{self.log(name)}")
            return re.findall(pattern, self.log(name))
        return wait_until(look, f"{name} to say {pattern}")[-1]

    def stop(self, name, number=signal.SIGTERM):
        process = self.processes.pop(name, None)
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(number)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def stop_all(self):
        for connection in self.connections.values():
            connection.close()
        for name in ("rollbackd", "platform", "backend"):
            self.stop(name)
        self.stop("postgresql", signal.SIGINT)
        shutil.rmtree(self.root, ignore_errors=True)

    # PostgreSQL.

    def start_postgresql(self):
        prefix = []
        home = self.root / "postgresql"
        home.mkdir(mode=0o711)
        if os.getuid() == 0:
            shutil.chown(home, "postgres", "postgres")
            prefix = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        result = subprocess.run(
            [*prefix, POSTGRESQL / "initdb", "-D", home / "data", "-U", "postgres", "-A", "trust",
             "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"], cwd="/", text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if result.returncode != 0:
            raise DemoError(f"initdb failed:\n{result.stdout}")
        self.start("postgresql", [
            *prefix, POSTGRESQL / "postgres", "-D", home / "data", "-k", home,
            "-c", "listen_addresses="])
        self.socket_directory = home
        wait_until(self.try_connect, "PostgreSQL to start")

    def try_connect(self):
        if self.processes["postgresql"].poll() is not None:
            raise DemoError(f"PostgreSQL has ended:\n{self.log('postgresql')}")
        try:
            self.connect("postgres", database="postgres").close()
        except psycopg.OperationalError:
            return False
        return True

    def connect(self, user, database="site"):
        return psycopg.connect(host=str(self.socket_directory), dbname=database, user=user,
                               autocommit=True)

    def conninfo(self, user):
        return f"host={self.socket_directory} dbname=site user={user}"

    def rows(self, statement, *parameters, user="postgres"):
        if user not in self.connections:
            self.connections[user] = self.connect(user)
        cursor = self.connections[user].execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []

    def value(self, statement, *parameters):
        return self.rows(statement, *parameters)[0][0]

    # rollbackctl and rollbackd.

    def ctl(self, *words, user=None, check=True):
        """Runs rollbackctl; with a user it speaks SQL to the ledger, else HTTP to the daemon."""
        where = ["--conninfo", self.conninfo(user)] if user else \
                ["--config", self.root / "rollbackd.conf"]
        try:
            result = subprocess.run(
                [str(word) for word in [self.build / "rollbackctl", *words, *where]],
                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise DemoError(f"rollbackctl could not be run: {error}") from error
        if check and result.returncode != 0:
            raise DemoError(f"rollbackctl {' '.join(map(str, words))} answered "
                            f"{result.returncode}: {result.stderr}{result.stdout}")
        return result.stdout

    def status(self):
        """What rollbackd says of the service, or None while it does not know it."""
        text = self.ctl("status", SERVICE, "--json", check=False)
        status = json.loads(text) if text else None
        return status if status and status.get("known") else None

    def install_ledger(self):
        self.ctl("db", "init", "--directory", SQL, user="postgres")
        administrator = self.connect("postgres")
        with administrator:
            administrator.execute((HERE / "platform.sql").read_text())

    def fill_tables(self, version):
        """Users, and rows that no rollback may touch: neighbours of the prefix, old sessions."""
        self.rows("INSERT INTO users SELECT i, 'user ' || i, %s FROM generate_series(1, %s) i",
                  version, USERS)
        self.rows("INSERT INTO cache (key, value, writer) VALUES ('order:1', '{}', 'orders'), "
                  "('users:1', '{}', 'directory'), ('user', '1', 'counters'), "
                  "('userx:1', '{}', 'others')")
        self.rows("INSERT INTO session (user_id, version, created_at) SELECT i, %s, "
                  "now() - interval '1 day' FROM generate_series(1, 20) i", version)

    def start_platform(self, faults):
        self.start_backend(0)
        self.start("platform", [
            self.build / "demo/platform", "--conninfo", self.conninfo("users_app"),
            "--backend", self.addresses["backend"], "--seed", self.seed,
            *(word for fault in faults for word in ("--fault", fault))])
        self.addresses["platform"] = self.find_in_log("platform", r"platform (\S+)\n")
        self.find_in_log("platform", r"serving version (\S+)")

    def start_backend(self, port):
        self.start("backend", [self.build / "demo/platform", "--serve-backend", port])
        self.addresses["backend"] = self.find_in_log("backend", r"backend (\d+)\n")

    def write_file(self, path, text, mode=0o644):
        path = self.root / path
        path.parent.mkdir(mode=0o755, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def fill_in(self, name):
        words = {"PLATFORM": self.addresses["platform"], "BACKEND": self.addresses["backend"],
                 "RECEIVER": self.addresses["receiver"], "DIRECTORY": str(self.root),
                 "DAEMON_CONNINFO": self.conninfo("rollbackd")}
        return re.sub(r"@([A-Z_]+)@", lambda m: words[m[1]], (HERE / name).read_text())

    def make_secrets(self):
        for name in ("users-hook", "oncall"):
            self.secrets[name] = secrets.token_bytes(32)

    def start_rollbackd(self):
        # "whsec_" and base64: the form in which webhook receivers hand out their secrets.
        for name, key in self.secrets.items():
            self.write_file(f"secrets/{name}", f"whsec_{base64.b64encode(key).decode()}\n", 0o600)
        self.write_file("rollbackd.conf", self.fill_in("rollbackd.conf.in"))
        self.write_file("policies.d/users-api.conf", self.fill_in("users-api.conf.in"))
        self.ctl("check", "--db")
        self.start("rollbackd", [self.build / "rollbackd", "--foreground", "--config",
                                 self.root / "rollbackd.conf"])
        wait_until(self.rollbackd_is_ready, "rollbackd to know the service")
        self.addresses["rollbackd"] = self.find_in_log("rollbackd", r"http://(127\.0\.0\.1:\d+)")

    def rollbackd_is_ready(self):
        if self.processes["rollbackd"].poll() is not None:
            raise DemoError(f"rollbackd has ended:\n{self.log('rollbackd')}")
        return self.status()
