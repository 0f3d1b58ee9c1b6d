"""A private PostgreSQL and ledgers in it, for the tests of sql/ by themselves.

One cluster per session (unix socket only, fsync on) and in it one database with the roles and all
migrations, emptied before each test; make_database() copies it for a test that wants its own.
"""
import atexit
import functools
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import uuid

import psycopg
import pytest
from psycopg import sql
from waiting import wait_until

SQL = pathlib.Path(__file__).resolve().parents[2] / "sql"
BIN = pathlib.Path("/usr/lib/postgresql/15/bin")
MEMBERS = {"ci": "rollbackd_deployer", "alice": "rollbackd_operator", "app": "rollbackd_reader"}


class Cluster:
    """A throw-away PostgreSQL, owned by the user postgres when the tests run as root. The server
    is a child that dies with the tests, even when these are killed."""

    def __init__(self, **settings):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="ledger-"))
        self.databases = 0
        self.prefix = ["setpriv", "--pdeathsig=QUIT"]
        if os.getuid() == 0:
            shutil.chown(self.root, "postgres", "postgres")
            self.prefix += ["--reuid=postgres", "--regid=postgres", "--clear-groups"]
        self.run("initdb", "-D", self.root / "data", "-A", "trust", "-U", "postgres", "-N",
                 "-E", "UTF8", "--locale=C.UTF-8")
        self.settings = {"listen_addresses": "", "unix_socket_directories": self.root,
                         "max_connections": 120, "deadlock_timeout": "200ms", "port": 5432, **settings}
        self.start()

    def start(self):
        words = [word for name, value in self.settings.items() for word in ("-c", f"{name}={value}")]
        with open(self.root / "log", "ab") as log:
            self.server = subprocess.Popen([*self.prefix, BIN / "postgres", "-D", self.root / "data", *words],
                                           stdout=log, stderr=log, cwd="/")
        wait_until(self.answers, "PostgreSQL to answer")

    def answers(self):
        assert self.server.poll() is None, (self.root / "log").read_text()
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def run(self, program, *arguments):
        subprocess.run([*self.prefix, BIN / program, *map(str, arguments)], check=True,
                       stdout=subprocess.DEVNULL, cwd="/")

    def connect(self, database="postgres", user="postgres", **keywords):
        return psycopg.connect(host=str(self.root), port=self.settings["port"], dbname=database, user=user,
                               autocommit=keywords.pop("autocommit", True), **keywords)

    def install(self, database):
        """Roles and migrations, each in one transaction, as the migrator does it."""
        with self.connect(database) as administrator:
            administrator.execute((SQL / "roles.sql").read_text())
            for file in sorted((SQL / "migrations").glob("*.sql")):
                with administrator.transaction():
                    administrator.execute("SET LOCAL ROLE rollbackd_owner")
                    administrator.execute(file.read_text())

    def make_ledger(self):
        with self.connect() as administrator:
            administrator.execute("CREATE DATABASE ledger")
        self.install("ledger")
        with self.connect("ledger") as administrator:
            for name, group in MEMBERS.items():
                administrator.execute(f"CREATE ROLE {name} LOGIN IN ROLE {group}")
            administrator.execute("CREATE ROLE stranger LOGIN")
            administrator.execute("CREATE TABLE users (id int8 PRIMARY KEY, version text)")

    def make_database(self):
        self.databases += 1
        name = f"ledger_{self.databases}"
        with self.connect() as administrator:
            administrator.execute(sql.SQL("CREATE DATABASE {} TEMPLATE ledger").format(
                sql.Identifier(name)))
        return name

    def empty(self):
        """Leaves schema and rights as they are, and no row."""
        with self.connect("ledger") as administrator:
            administrator.execute("SET session_replication_role = replica")
            administrator.execute("TRUNCATE rollbackd.service, rollbackd.event, rollbackd.observer, "
                                  "users RESTART IDENTITY CASCADE")

    def quit(self):
        self.server.send_signal(signal.SIGQUIT)
        self.server.wait(30)

    def stop(self):
        self.quit()
        shutil.rmtree(self.root)


class Ledger:
    """One database with a ledger, and one connection per role that is used."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.database = "ledger"
        self.connections = []
        self.by_role = {}

    def connect(self, user, **keywords):
        connection = self.cluster.connect(self.database, user, **keywords)
        self.connections.append(connection)
        return connection

    def as_role(self, user):
        if user not in self.by_role:
            self.by_role[user] = self.connect(user)
        return self.by_role[user]

    def rows(self, statement, *parameters, user="postgres"):
        cursor = self.as_role(user).execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []

    def value(self, statement, *parameters, user="postgres"):
        return self.rows(statement, *parameters, user=user)[0][0]

    def call(self, function, *arguments, user="alice", **named):
        """Calls rollbackd.FUNCTION as a role and returns its value."""
        return call(self.as_role(user), function, *arguments, **named)

    def start(self, service="users-api"):
        """A service with v1 stable and v2 deployed: epoch 2."""
        self.call("register", service, "v1", True, "known good")
        return self.call("deploy", service, "v2", user="ci")

    def load(self, service="users-api", cooldown="10 min", budget_per="1 day"):
        cursor = self.as_role("rollbackd").execute(
            "SELECT * FROM rollbackd.load(%s, %s::interval[], %s::interval[])",
            ([service], [cooldown], [budget_per]))
        row = cursor.fetchone()
        return row and dict(zip((c.name for c in cursor.description), row))

    def commit(self, service="users-api", connection=None, **changes):
        return commit(connection or self.as_role("rollbackd"), service, **changes)

    def kinds(self, service="users-api"):
        return [row[0] for row in self.rows(
            "SELECT kind FROM rollbackd.recent_event WHERE service = %s ORDER BY seq", service)]

    def is_waiting(self, connection):
        """Whether the backend of a connection waits for a lock."""
        return self.value("SELECT wait_event_type FROM pg_stat_activity WHERE pid = %s",
                          connection.info.backend_pid) == "Lock"

    def close(self):
        for connection in self.connections:
            connection.close()


def call(connection, function, *arguments, **named):
    places = ["%s"] * len(arguments) + [f'"{name}" => %s' for name in named]
    statement = f"SELECT rollbackd.{function}({', '.join(places)})"
    return connection.execute(statement, (*arguments, *named.values())).fetchone()[0]


COMMIT_TYPES = {
    "id": "uuid", "service": "text", "kind": "text", "expect_version": "text",
    "expect_epoch": "int8", "target": "text", "automatic": "bool", "actor": "text",
    "reason": "text", "policy_hash": "text", "evidence": "jsonb", "cooldown": "interval",
    "budget_count": "int", "budget_per": "interval", "generations": "text[]", "steps": "jsonb"}


def commit(connection, service, **changes):
    """commit_operation with the arguments of an ordinary automatic rollback v2 -> v1."""
    values = {"id": str(uuid.uuid4()), "service": service, "kind": "rollback",
              "expect_version": "v2", "expect_epoch": 2, "target": "v1", "automatic": True,
              "actor": "rollbackd", "reason": "errors above 5%", "policy_hash": "abc",
              "evidence": '{"rule": "errors"}', "cooldown": "10 min", "budget_count": 2,
              "budget_per": "1 day", "generations": ["user"], "steps": "[]", **changes}
    places = ", ".join(f"{name} => %s::{COMMIT_TYPES[name]}" for name in values)
    return connection.execute(f"SELECT * FROM rollbackd.commit_operation({places})",
                              list(values.values())).fetchone()


def refused(code, function, *arguments, **named):
    """Asserts that a call raises this SQLSTATE with a hint; returns the error."""
    with pytest.raises(psycopg.Error) as caught:
        function(*arguments, **named)
    assert caught.value.sqlstate == code, caught.value
    if code.startswith("RB"):
        assert caught.value.diag.message_hint, "a refusal says what to type"
    return caught.value


@functools.lru_cache(maxsize=None)
def shared_cluster():
    """One for all test files: each file that imports the fixture makes a fixture of its own."""
    cluster = Cluster()
    atexit.register(cluster.stop)
    cluster.make_ledger()
    return cluster


@pytest.fixture(scope="session")
def ledger_cluster():
    return shared_cluster()


@pytest.fixture
def ledger(ledger_cluster):
    ledger_cluster.empty()
    made = Ledger(ledger_cluster)
    yield made
    made.close()
