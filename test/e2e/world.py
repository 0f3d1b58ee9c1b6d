"""A whole small site for one test: a database with the ledger and the users' tables, an application
that follows the pointer, a receiver of webhooks, a proxy in front of PostgreSQL, and rollbackd.

The tests' own database connections do not go through the proxy, so that they see what rollbackd does not.
"""
import base64
import contextlib
import functools
import json
import os
import pathlib
import secrets
import subprocess
import tempfile
import threading

import psycopg
from application import Application, Receiver
from ledger_support import shared_cluster
from policies import ordinary, text_of
from promises import assert_promises, watch_pointer
from proxy import Proxy
from supervisor import BUILD, ROOT, SANITIZED, Daemon
from waiting import wait_until

SERVICE = "users-api"
USERS = """
CREATE TABLE users (id int8 PRIMARY KEY, version text NOT NULL);
CREATE TABLE cache (key text PRIMARY KEY, writer text NOT NULL);
CREATE TABLE session (id int8 PRIMARY KEY, version text NOT NULL, created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE note (n int8 GENERATED ALWAYS AS IDENTITY, text text NOT NULL);
DO $$ BEGIN
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'site_rollback') THEN
                CREATE ROLE site_rollback NOLOGIN;
        END IF;
END $$;
GRANT SELECT, UPDATE ON users TO site_rollback;
GRANT SELECT, DELETE ON cache, session TO site_rollback;
GRANT SELECT, INSERT ON note TO site_rollback;
GRANT site_rollback TO rollbackd;
"""


def run_ctl(*words, cwd="/", environment=None):
    """rollbackctl with stdin closed."""
    return subprocess.run([str(word) for word in [BUILD / "rollbackctl", *words]], cwd=cwd, text=True,
                          env={**os.environ, **(environment or {})}, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)


@functools.lru_cache(maxsize=None)
def shared_site():
    """The database that every world is a copy of: migrated by rollbackctl, as a site does it."""
    cluster = shared_cluster()
    conninfo = f"host={cluster.root} dbname=site user=postgres"
    done = run_ctl("db", "init", "--directory", ROOT / "sql", "--conninfo", conninfo)
    assert done.returncode == 0, done.stderr
    with cluster.connect("site") as administrator:
        administrator.execute(USERS)
        # Several worlds live in one cluster.
        administrator.execute("ALTER ROLE rollbackd CONNECTION LIMIT 64")
        watch_pointer(administrator)
    return cluster


class World:
    names = iter(range(1, 1_000_000))

    def __init__(self):
        self.cluster = shared_site()
        self.database = f"world_{next(self.names)}"
        with self.cluster.connect() as administrator:
            administrator.execute(f"CREATE DATABASE {self.database} TEMPLATE site")
        self.connections, self.lock = {}, threading.RLock()
        self.temporary = tempfile.TemporaryDirectory(prefix="world-")
        self.root = pathlib.Path(self.temporary.name)
        self.exits = contextlib.ExitStack()
        self.proxy = self.add(Proxy(str(self.cluster.root / ".s.PGSQL.5432")))
        self.receiver = self.add(Receiver())
        self.applications = [self.add(Application(self.active))]
        self.secrets = {}
        self.manual = set()         # epochs that a person took back through rollbackd
        self.open_allowed = False   # an operation may still be open at the end
        self.base = None
        for folder in ("policies.d", "secrets"):
            (self.root / folder).mkdir(mode=0o755)
        for name in ("hook", "oncall"):
            self.put_secret(name, "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode())
        self.put_secret("ledger", secrets.token_hex(16))
        self.daemon = Daemon(self.write_conf(), self.root)

    def add(self, thing):
        """Something that is stopped at the end."""
        self.exits.callback(thing.stop)
        return thing

    @property
    def application(self):
        return self.applications[0]

    # Files.

    def put_secret(self, name, text):
        self.secrets[name] = text
        path = self.root / "secrets" / name
        path.write_text(text + "\n")
        path.chmod(0o640)

    def conninfo(self, user="rollbackd"):
        return f"host=127.0.0.1 port={self.proxy.port} dbname={self.database} user={user} sslmode=disable " \
               "gssencmode=disable"

    def settings(self):
        """rollbackd.conf, as a value."""
        return {
            "ledger": {"conninfo": self.conninfo(), "password_file": "ledger"},
            "http": {"socket": str(self.root / "rollbackd.sock"), "listen": "127.0.0.1:0"},
            "alerts": [{"kind": "webhook", "url": f"{self.receiver.url}/oncall", "secret_file": "oncall"}],
            "policies": str(self.root / "policies.d"),
            "secrets": str(self.root / "secrets")}

    def write_conf(self):
        path = self.root / "rollbackd.conf"
        path.write_text(text_of(self.settings()))
        path.chmod(0o644)
        return path

    def policy(self, **changes):
        return ordinary(self.applications, self.receiver, **changes)

    def write_policy(self, policy=None, name=None, mode=0o644):
        policy = policy or self.policy()
        text = policy if isinstance(policy, str) else text_of(policy)
        path = self.root / "policies.d" / (name or f"{policy['service']}.conf")
        path.write_text(text)
        path.chmod(mode)
        return path

    # The database.

    def rows(self, statement, *parameters, user="postgres"):
        with self.lock:
            if user not in self.connections:
                self.connections[user] = self.cluster.connect(self.database, user)
            cursor = self.connections[user].execute(statement, parameters or None)
            return cursor.fetchall() if cursor.description else []

    def value(self, statement, *parameters, user="postgres"):
        return self.rows(statement, *parameters, user=user)[0][0]

    def call(self, function, *arguments, user="alice", **named):
        """Calls rollbackd.FUNCTION as a person does."""
        places = ["%s"] * len(arguments) + [f'"{name}" => %s' for name in named]
        return self.value(f"SELECT rollbackd.{function}({', '.join(places)})", *arguments, *named.values(), user=user)

    def connect(self, user="postgres", **keywords):
        return self.exits.enter_context(contextlib.closing(self.cluster.connect(self.database, user, **keywords)))

    def active(self):
        return self.value("SELECT rollbackd.active(%s)", SERVICE, user="app")

    def epoch(self):
        return self.value("SELECT epoch FROM rollbackd.service WHERE name = %s", SERVICE)

    def deploy(self, version, **named):
        return self.call("deploy", SERVICE, version, user="ci", **named)

    def operations(self):
        cursor = self.connect().execute("SELECT * FROM rollbackd.operation_status ORDER BY opened_at")
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row)) for row in cursor.fetchall()]

    def events(self, kind):
        return [row[0] for row in self.rows("SELECT fields FROM rollbackd.event WHERE kind = %s ORDER BY seq", kind)]

    def changes(self, who="rollbackd"):
        """Pointer changes by a login role, as the test's own trigger saw them: (from, to)."""
        return self.rows("SELECT old_version, new_version FROM witness.pointer WHERE by = %s ORDER BY n", who)

    # rollbackd.

    def start(self, policy=None, stable="v1", **changes):
        """Registers the stable version if there is none, and starts rollbackd with a policy."""
        if not self.rows("SELECT 1 FROM rollbackd.service WHERE name = %s", SERVICE):
            self.call("register", SERVICE, stable, True, "known good")
        self.write_policy(policy or self.policy(**changes))
        self.daemon.start()
        self.wait_known()
        self.wait(lambda: self.value("SELECT count(*) FROM rollbackd.subscriber") >= 1, "the policy's subscribers")
        if self.base is None:
            self.base = {name: self.daemon.metric(name) for name in
                         ("process_open_fds", "process_resident_memory_bytes")}

    def restart(self):
        self.daemon.start()
        self.wait_known()

    def wait_known(self):
        wait_until(lambda: self.daemon.ask("/readyz").status == 200, "the ledger to be reachable")
        wait_until(lambda: all(s["known"] for s in self.daemon.get("/api/v1/services")["services"]),
                   "the services' facts")

    def service(self, name=SERVICE):
        return self.daemon.get(f"/api/v1/services/{name}")

    def targets(self, service=SERVICE):
        """What is said of each target, by probe and URL."""
        return {(probe["name"], target["url"]): target
                for probe in self.service(service)["probes"] for target in probe["targets"]}

    def guard(self, name):
        return next(g for g in self.service()["guards"] if g["guard"] == name)["answer"]

    def describe(self):
        """What to read when something was awaited in vain."""
        log = self.daemon.log()[-3000:] if self.daemon.log_path.exists() else ""
        return f"active {self.active()}, operations " \
               f"{[(o['id'], o['state'], o['detail']) for o in self.operations()]}\n{log}"

    def wait(self, condition, what, seconds=30):
        return wait_until(condition, lambda: f"{what}; {self.describe()}", seconds)

    def wait_active(self, version):
        self.wait(lambda: self.active() == version, f"{version} to be active")

    def wait_state(self, state, count=1):
        """Waits until so many operations are in a state; returns the newest."""
        def look():
            found = [o for o in self.operations_now() if o[1] == state]
            return len(found) >= count and found[-1]
        key = self.wait(look, f"{count} operations to be {state}")[0]
        return next(o for o in self.operations() if o["id"] == key)

    def operations_now(self):
        return self.rows("SELECT id, state FROM rollbackd.operation ORDER BY opened_at")

    def wait_alert(self, kind, **data):
        """Waits for an alert of rollbackd.conf's webhook."""
        return self.wait(lambda: self.receiver.find(kind, "/oncall", **data), f"the alert {kind} {data}")[-1]

    def wait_notice(self, kind, **data):
        """Waits for a notice of the policy's webhook."""
        return self.wait(lambda: self.receiver.find(kind, "/notify", **data), f"the notice {kind} {data}")[-1]

    def wait_sampled(self, n=5):
        """Waits until the application was asked so many times more."""
        goal = self.application.requests + n
        self.wait(lambda: self.application.requests >= goal, f"{n} more probes")

    def release_bad(self, version="v2", share=0.3, **named):
        self.application.failing[version] = share
        return self.deploy(version, **named)

    def ask_operation(self, verb, headers=None, local=True, **body):
        """POST rollback or restore; the epoch is noted as taken back by a person."""
        self.manual.add(self.epoch())
        return self.daemon.ask(f"/api/v1/services/{SERVICE}/{verb}", "POST", body, headers, local)

    def ctl(self, *words, user=None):
        """rollbackctl, to the daemon or, with a user, to the ledger."""
        where = ["--conninfo", f"host={self.cluster.root} dbname={self.database} user={user}"] if user else \
            ["--config", self.daemon.conf]
        return run_ctl(*words, *where)

    def ctl_json(self, *words, **keywords):
        done = self.ctl(*words, "--json", **keywords)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    # The end.

    def finish(self):
        """The promises, then everything is taken down."""
        try:
            if self.daemon.process:
                assert_promises(self, SANITIZED)
        except BaseException:
            print(self.daemon.log()[-6000:])
            raise
        finally:
            self.close()

    def close(self):
        self.daemon.close()
        self.exits.close()
        for connection in self.connections.values():
            with contextlib.suppress(psycopg.Error):
                connection.close()
        with self.cluster.connect() as administrator:
            administrator.execute(f"DROP DATABASE {self.database} WITH (FORCE)")
        self.temporary.cleanup()
