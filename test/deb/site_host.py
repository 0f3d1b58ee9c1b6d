"""A site on a booted host: the package, a database with the ledger, an application that follows the pointer. What tests want to know
comes from systemctl, journalctl, rollbackctl and psql inside."""
import json
import pathlib

from container import Container
from policies import ordinary, text_of
from promises import assert_operations, assert_pointer, watch_pointer
from waiting import wait_until

HERE = pathlib.Path(__file__).parent
SERVICE = "users-api"
PEOPLE = {"alice": "--groups rollbackd-admin", "bob": "", "ci": "", "application": ""}
ROLES = """
CREATE ROLE alice LOGIN IN ROLE rollbackd_operator;
CREATE ROLE ci LOGIN IN ROLE rollbackd_deployer;
CREATE ROLE application LOGIN IN ROLE rollbackd_reader;
CREATE TABLE users (id int8 PRIMARY KEY, version text NOT NULL);
CREATE TABLE note (n int8 GENERATED ALWAYS AS IDENTITY, text text NOT NULL);
CREATE ROLE users_rollback NOLOGIN;
GRANT SELECT, UPDATE ON users TO users_rollback;
GRANT SELECT, INSERT ON note TO users_rollback;
GRANT users_rollback TO rollbackd;
"""
CONNINFO = "host=/var/run/postgresql dbname=site user=rollbackd"
APPLICATION_UNIT = """
[Service]
User=application
ExecStart=/usr/bin/python3 /srv/site/serve.py
Restart=always
[Install]
WantedBy=multi-user.target
"""


class Address:
    url = "http://127.0.0.1:8080"


def literal(value):
    return str(value) if isinstance(value, int) else "'" + str(value).replace("'", "''") + "'"


class Site(Container):
    manual = set()          # epochs that a person took back
    open_allowed = False

    # The way to a working host.

    def install(self, package):
        self.run(f"cd /root && DEBIAN_FRONTEND=noninteractive apt-get install -q -y ./{package.name}")

    def prepare(self):
        """What README says, and the site's own: people, tables, the application."""
        for name, options in PEOPLE.items():
            self.run(f"useradd {options} {name}")
        self.run("createdb site", user="postgres")
        self.run("rollbackctl db init --database site", user="postgres")
        self.psql(ROLES)
        watch_pointer(self)
        for name in ("serve.py", "../e2e/application.py"):
            self.put(f"/srv/site/{pathlib.Path(name).name}", (HERE / name).read_text())
        self.put("/srv/site/failing", "{}", owner="root:root")
        self.put("/etc/systemd/system/application.service", APPLICATION_UNIT)
        self.put("/etc/rollbackd/rollbackd.conf", text_of({"ledger": {"conninfo": CONNINFO}}))
        self.run("systemctl enable --now application")
        self.ctl("register", SERVICE, "v1", "--stable", "--reason", "runs since May", user="ci")

    # Files.

    def policy(self, **changes):
        return ordinary([Address], Address, **{"notify": [], **changes})

    def put_policy(self, policy=None, name=SERVICE, mode="0644", owner="root:root", **changes):
        policy = policy or self.policy(**changes)
        self.put(f"/etc/rollbackd/policies.d/{name}.conf", policy if isinstance(policy, str) else text_of(policy), mode, owner)

    def configure_as_db_init_says(self):
        """Without a user in the conninfo, so that whoever reads it comes as himself."""
        self.put("/etc/rollbackd/rollbackd.conf", text_of({"ledger": {"conninfo": "dbname=site"}}))
        self.run("systemctl restart rollbackd")

    def fail(self, **share):
        """From now on this share of requests fails, by version."""
        self.put("/srv/site/failing", json.dumps(share))

    def drop_in(self, name, text, unit="rollbackd.service"):
        self.put(f"/etc/systemd/system/{unit}.d/{name}.conf", text)
        self.run("systemctl daemon-reload")

    # The database.

    def psql(self, statements, database="site", user="postgres"):
        return self.run(["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", database], user=user, input=statements).stdout

    execute = psql

    def rows(self, statement, *parameters, user="postgres"):
        for parameter in parameters:
            statement = statement.replace("%s", literal(parameter), 1)
        return [tuple(row.values()) for row in self.table(statement, user)]

    def table(self, statement, user="postgres"):
        return json.loads(self.psql(f"SELECT coalesce(json_agg(row_to_json(t)), '[]') FROM ({statement}) AS t;", user=user))

    def value(self, statement, *parameters, user="postgres"):
        return self.rows(statement, *parameters, user=user)[0][0]

    def active(self):
        return self.value("SELECT rollbackd.active(%s)", SERVICE)

    def operations(self):
        return self.table("SELECT * FROM rollbackd.operation_status ORDER BY opened_at")

    def operations_now(self):
        return self.rows("SELECT id, state FROM rollbackd.operation ORDER BY opened_at")

    def moves(self, who="rollbackd"):
        return self.rows("SELECT old_version, new_version FROM witness.pointer WHERE by = %s ORDER BY n", who)

    # rollbackd.

    def ctl(self, *words, user=None, check=True):
        """rollbackctl; ledger verbs of people who log in to the database as themselves name it."""
        where = ["--conninfo", "dbname=site"] if user in ("postgres", "ci") else []
        return self.run(["rollbackctl", *words, *where], user=user, check=check)

    def ctl_json(self, *words, **keywords):
        return json.loads(self.ctl(*words, "--json", **keywords).stdout)

    def property(self, name, unit="rollbackd.service"):
        return self.say(["systemctl", "show", "-P", name, unit])

    def status_line(self):
        return self.property("StatusText")

    def shown(self):
        """systemctl status, as a person sees it."""
        return self.run(["systemctl", "status", "--no-pager", "--full", "rollbackd.service"], check=False).stdout

    def journal(self, *options):
        return self.say(["journalctl", "--no-pager", "-b", "-u", "rollbackd.service", *options])

    def entries(self, *options):
        return [json.loads(row) for row in self.journal("-o", "json", *options).splitlines()]

    def service(self):
        return next(s for s in self.ctl_json("status")["services"] if s["service"] == SERVICE)

    def wait(self, condition, what, seconds=60):
        return wait_until(condition, lambda: f"{what}; {self.describe()}", seconds)

    def wait_known(self):
        """Until the daemon has read the pointer from the ledger."""
        def known():
            done = self.ctl("status", "--json", check=False)
            services = json.loads(done.stdout)["services"] if done.returncode == 0 else []
            return services and all(s["known"] for s in services)
        self.wait(known, "the services' facts")

    def wait_active(self, version):
        self.wait(lambda: self.active() == version, f"{version} to be active")

    def wait_state(self, *states):
        self.wait(lambda: [o for o in self.operations_now() if o[1] in states], f"an operation to be {states}")
        return self.operations()[-1]

    def watch(self, **changes):
        """Puts the policy in force and waits until the service is judged."""
        self.put_policy(**changes)
        self.run("systemctl reload rollbackd")
        self.wait_known()

    def deploy(self, version="v2"):
        self.ctl("deploy", SERVICE, version, user="ci")

    def release_bad(self, version="v2"):
        self.fail(**{version: 0.5})
        self.deploy(version)

    def describe(self):
        """What to read when something was awaited in vain."""
        words = "systemctl --no-pager --full -n 0 status rollbackd; rollbackctl status; journalctl --no-pager -b -n 40"
        return self.run(words, check=False).stdout

    def assert_promises(self):
        assert_pointer(self)
        assert_operations(self)
