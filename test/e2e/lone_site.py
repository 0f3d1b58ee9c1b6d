"""A PostgreSQL whose doors a test opens and shuts, and rollbackd before them: how it connects, and what it says when it
cannot."""
import contextlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile

import psycopg
from application import Application, Receiver
from ledger_support import Cluster
from policies import ordinary, text_of
from supervisor import ROOT, Daemon
from waiting import wait_until
from world import run_ctl

OPEN = "local all all trust\n"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server(Cluster):
    """With the ledger in its database platform, made by rollbackctl; listens on 127.0.0.1 too."""

    def __init__(self, database="platform"):
        super().__init__(listen_addresses="127.0.0.1", port=free_port())
        self.set_rules(OPEN)
        if database:
            self.init(database)

    @property
    def port(self):
        return self.settings["port"]

    def init(self, database):
        done = run_ctl("db", "init", "--directory", ROOT / "sql", "--database", database, "--conninfo",
                       f"host={self.root} port={self.port} user=postgres")
        assert done.returncode == 0, done.stderr
        return done.stdout

    def sql(self, *statements, database="platform"):
        with self.connect(database) as administrator:
            for statement in statements:
                administrator.execute(statement)

    def set_rules(self, text):
        """pg_hba.conf; the administrator always comes in."""
        (self.root / "data" / "pg_hba.conf").write_text("local all postgres trust\n" + text)
        self.reload()

    def reload(self):
        before = self.loaded()
        self.sql("SELECT pg_reload_conf()", database="postgres")
        wait_until(lambda: self.loaded() > before, "the server to have read its configuration")

    def loaded(self):
        with self.connect() as administrator:
            return administrator.execute("SELECT pg_conf_load_time()").fetchone()[0]

    def set(self, **settings):
        for name, value in settings.items():
            self.sql(f"ALTER SYSTEM SET {name} = '{value}'", database="postgres")
        self.reload()

    def count(self, program):
        """How many sessions a program has."""
        with self.connect() as administrator:
            return administrator.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = %s",
                                         [program]).fetchone()[0]

    def give(self, path, mode=0o600):
        """A file to the server's user, who reads keys only of his own."""
        path.chmod(mode)
        if os.getuid() == 0:
            shutil.chown(path, "postgres", "postgres")

    def cut(self):
        """Ends every connection of the daemon."""
        self.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'rollbackd'",
                 database="postgres")


class Site:
    """rollbackd with one policy on an application, and a receiver of its alerts."""

    def __init__(self, server):
        self.server = server
        self.exits = contextlib.ExitStack()
        self.root = pathlib.Path(self.exits.enter_context(tempfile.TemporaryDirectory(prefix="site-")))
        for folder in ("policies.d", "secrets"):
            (self.root / folder).mkdir()
        self.application = Application(lambda: "v1")
        self.exits.callback(self.application.stop)
        self.receiver = Receiver()
        self.exits.callback(self.receiver.stop)
        policy = self.root / "policies.d" / "users-api.conf"
        policy.write_text(text_of({**ordinary([self.application], self.receiver), "notify": []}))
        policy.chmod(0o644)
        self.conf = self.root / "rollbackd.conf"
        self.daemon = Daemon(self.conf, self.root)
        self.exits.callback(self.daemon.close)

    def conninfo(self, database="platform"):
        return f"host={self.server.root} port={self.server.port} dbname={database} user=rollbackd"

    def put_secret(self, text, name="ledger", mode=0o640):
        path = self.root / "secrets" / name
        path.write_text(text + "\n")
        path.chmod(mode)
        return path

    def configure(self, conninfo, password_file=None):
        ledger = {"conninfo": conninfo, **({"password_file": password_file} if password_file else {})}
        self.conf.write_text(text_of({
            "ledger": ledger, "http": {"socket": str(self.root / "rollbackd.sock"), "listen": "127.0.0.1:0"},
            "alerts": [{"kind": "webhook", "url": f"{self.receiver.url}/oncall"}],
            "policies": str(self.root / "policies.d"), "secrets": str(self.root / "secrets")}))
        self.conf.chmod(0o644)

    def start(self, conninfo, password_file=None, **environment):
        self.configure(conninfo, password_file)
        self.daemon.environment = environment
        self.daemon.start()

    def ctl(self):
        """rollbackctl by the same configuration: 5 says that the ledger answered, for it knows no such service."""
        return run_ctl("active", "nobody", "--config", self.conf, environment=self.daemon.environment)

    def words(self):
        """What rollbackctl status says of the ledger."""
        done = run_ctl("status", "--json", "--config", self.conf)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout).get("ledger") or ""

    def wait_up(self):
        wait_until(lambda: self.daemon.ask("/readyz").status == 200,
                   lambda: f"the ledger to be up: {self.words()}\n{self.daemon.log()[-2000:]}")
        assert self.words() == ""

    def wait_words(self, *words):
        """Until status says so; then STATUS= begins to as well, the alert says it, and all else goes on."""
        wait_until(lambda: all(word in self.words() for word in words),
                   lambda: f"{words}: {self.words()}\n{self.daemon.log()[-3000:]}")
        said = self.words()
        wait_until(lambda: said[:60] in self.daemon.manager.status(),
                   lambda: f"{said} in {self.daemon.manager.status()}")
        assert said[:60] in self.daemon.ask("/readyz?verbose").text
        alerts = self.receiver.find("ledger.unusable", "/oncall") + self.receiver.find("ledger.down", "/oncall")
        wait_until(lambda: alerts or self.receiver.find("ledger.down") or self.receiver.find("ledger.unusable"),
                   "an alert about the ledger")
        goal = self.application.requests + 5
        wait_until(lambda: self.application.requests > goal, "probes to go on")
        assert self.daemon.get("/api/v1/services/users-api")["service"] == "users-api"
        return said

    def alert_kind(self):
        return {n.type for n in self.receiver.notices}

    def close(self):
        assert self.daemon.process is None or self.daemon.process.poll() is None, "the daemon has ended"
        unanswered = self.daemon.unanswered
        self.exits.close()
        assert not unanswered


class Authority:
    """A certification authority of the test's own, by openssl."""

    def __init__(self, folder, name="test CA"):
        self.folder = folder
        self.certificate = folder / "ca.crt"
        self.key = folder / "ca.key"
        folder.mkdir(exist_ok=True)
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                     "-subj", f"/CN={name}", "-keyout", self.key, "-out", self.certificate)

    @staticmethod
    def openssl(*words):
        subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, cwd="/")

    def issue(self, host, certificate, key):
        request, extensions = self.folder / "request", self.folder / "extensions"
        extensions.write_text(f"subjectAltName = DNS:{host}\n")
        self.openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                     f"/CN={host}", "-keyout", key, "-out", request)
        self.openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-days", "2",
                     "-CAcreateserial", "-extfile", extensions, "-out", certificate)


def can_log_in(server, **where):
    try:
        psycopg.connect(port=server.port, **where).close()
    except psycopg.OperationalError:
        return False
    return True
