"""A site that goes from one package to another and back while an operation is open, and what must hold of it whatever the order."""
import json
import pathlib
import re
import shutil

from site_host import SERVICE
from policies import text_of

HERE = pathlib.Path(__file__).parent
NEWEST = HERE.parent / "upgrade" / "newest" / "migrations"
SECRET = "whsec_dGhpcnR5LXR3byBvY3RldHMgbWFrZSBhIGdvb2Qga2V5"
NOTIFY = [{"kind": "webhook", "url": "http://127.0.0.1:8081/notify", "secret_file": "hook"}]
RECEIVER_UNIT = """
[Service]
ExecStart=/usr/bin/python3 /srv/site/receive.py
StandardOutput=append:/srv/site/notices
"""
# A statement that ends when the test says so.
WAITING = """
CREATE TABLE go (version text NOT NULL);
GRANT SELECT ON go TO users_rollback;
CREATE FUNCTION wait_for(what text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
        WHILE NOT EXISTS (SELECT FROM go WHERE version = what) LOOP
                PERFORM pg_sleep(0.02);
        END LOOP;
        RETURN true;
END
$$;
"""
# Every step says that it was done; the one in the middle waits.
STEPS = [
    {"kind": "sql", "atomic": True, "role": "users_rollback", "statement": "INSERT INTO note (text) VALUES ('atomic ' || :from::text)"},
    {"kind": "sql", "timeout": "5m", "role": "users_rollback",
     "statement": "INSERT INTO note (text) SELECT 'slow ' || :from::text WHERE wait_for(:from::text)"},
    {"kind": "sql", "role": "users_rollback", "statement": "INSERT INTO note (text) VALUES ('last ' || :from::text)"},
]
# Shorter than what a step takes here: it is the daemon that asks the service manager for more.
STOP_SECONDS = 2
# Without a user's name: daemon and follower log in as who they are.
CONNINFO = "host=/var/run/postgresql dbname=site"
CONF = "/etc/rollbackd/rollbackd.conf"
NEXT_TREE = "/srv/next"


def version_of(package):
    return package.name.split("_")[1]


class Upgrade:
    """`old` is installed and at work, `new` lies in /root. `schema` is the one that the old daemon is built for."""

    def __init__(self, site, old, new):
        self.site, self.old, self.new = site, old, new
        self.schema = site.value("SELECT version FROM rollbackd.schema")
        self.client, self.conf = None, None
        self.taken_back = []

    def prepare(self, **rollback):
        """A policy with notices, an administrator's own settings, a follower, and clients that never stop asking."""
        site = self.site
        # The root directory as PID 1 inside sees it.
        shutil.copy(self.new, f"/proc/{site.leader}/root/root/{self.new.name}")
        for name in ("receive.py", "watch.py"):
            site.put(f"/srv/site/{name}", (HERE / name).read_text())
        site.put("/etc/systemd/system/receiver.service", RECEIVER_UNIT)
        site.put("/etc/rollbackd/secrets/hook", SECRET + "\n", "0640", "root:rollbackd")
        self.conf = "/* ours */\n" + text_of({"ledger": {"conninfo": CONNINFO}})
        site.put(CONF, self.conf)
        site.drop_in("ours", f"[Service]\nTimeoutStopSec={STOP_SECONDS}s\n")
        site.psql(WAITING)
        site.run(f"systemctl start receiver && systemctl enable --now rollbackd-follow@{SERVICE}")
        site.run("systemctl restart rollbackd")
        site.watch(notify=NOTIFY, rollback={"steps": STEPS, **rollback})
        self.client = site.start(["python3", "/srv/site/watch.py"])
        site.wait(lambda: self.client.poll() is None and site.run("test -e /run/begun", check=False).returncode == 0, "the first answer")

    # Packages.

    def begin(self, package, *options):
        """apt, as an administrator runs it; nobody is there to answer a question."""
        return self.site.start(f"cd /root && apt-get install -q -y --allow-downgrades {' '.join(options)} ./{package.name}")

    def ended(self, apt):
        out, _ = apt.communicate(timeout=180)
        assert apt.returncode == 0, out
        return out

    def install(self, package, *options):
        return self.ended(self.begin(package, *options))

    def change_what_new_ships(self):
        """From now on the new package brings another rollbackd.conf than the old one."""
        self.site.run(f"dpkg-deb -R /root/{self.new.name} /srv/changed && echo '/* shipped */' >>/srv/changed{CONF} && "
                      f"dpkg-deb -b /srv/changed /root/{self.new.name}")

    def unpack_new(self):
        """The new package's files beside those of the installed one."""
        self.site.run(f"dpkg-deb -x /root/{self.new.name} {NEXT_TREE}")

    def migrate(self, program="rollbackctl", *options):
        return self.site.run([program, "db", "migrate", "--conninfo", "dbname=site", *options], user="postgres").stdout

    def migrate_by_unpacked(self):
        return self.migrate(f"{NEXT_TREE}/usr/bin/rollbackctl", "--directory", f"{NEXT_TREE}/usr/share/rollbackd/sql")

    def migrate_too_far(self):
        """The ledger goes where only a daemon built for the next schema can go too."""
        self.site.run(f"cp -r {NEXT_TREE}/usr/share/rollbackd/sql /srv/newest")
        for path in NEWEST.glob("*.sql"):
            self.site.put(f"/srv/newest/migrations/{path.name}", path.read_text())
        return self.migrate(f"{NEXT_TREE}/usr/bin/rollbackctl", "--directory", "/srv/newest")

    # Operations.

    def open(self, version):
        """A bad release, and its rollback up to the step that waits."""
        site = self.site
        site.release_bad(version)
        self.taken_back.append(version)
        site.wait(lambda: self.step_runs(), "the step that waits")
        assert site.operations()[-1]["state"] == "effecting"

    def step_runs(self):
        return self.site.value("SELECT count(*) FROM pg_stat_activity WHERE usename = 'rollbackd' AND state = 'active' "
                               "AND query LIKE '%wait_for(%'")

    def let_go(self, version):
        self.site.psql(f"INSERT INTO go VALUES ('{version}')")

    def finish(self, version):
        """The rollback from this version ends well."""
        site = self.site
        self.let_go(version)
        site.wait(lambda: [o for o in site.operations() if o["from_version"] == version and o["state"] == "recovered"],
                  f"the rollback from {version} to have recovered")
        assert site.active() == "v1"

    def roll_back(self, version):
        self.open(version)
        self.finish(version)

    # What must hold.

    def assert_honest(self, package, ledger):
        """Every place that names a version names the same one; `ledger`: how far the ledger is ahead of the old daemon."""
        site, version = self.site, version_of(package)
        built_for = self.schema + (package == self.new)
        assert re.search(rf"^Version: {re.escape(version)}$", site.say("dpkg -s rollbackd"), re.M)
        assert site.say("rollbackctl --version") == f"rollbackctl {version}" and site.say("rollbackd --version") == f"rollbackd {version}"
        assert site.say("readlink /proc/$(systemctl show -P MainPID rollbackd)/exe") == "/usr/sbin/rollbackd"
        site.wait(lambda: site.rows("SELECT program_version, schema FROM rollbackd.observer_status") == [(version, built_for)],
                  f"the observer to be {version}, built for schema {built_for}")
        assert site.value("SELECT version FROM rollbackd.schema") == self.schema + ledger
        found = self.schema + ledger
        behind = [f"the ledger has schema {found}, one behind: run rollbackctl db migrate"] if built_for > found else []
        site.wait(lambda: re.findall(r"the ledger has schema [^;]*", site.status_line()) == behind, f"STATUS to say {behind}")
        assert site.say("curl -sf http://127.0.0.1:7331/livez") == "ok"
        assert site.property("NRestarts") == "0" and site.property("ActiveState") == "active"

    def assert_followed(self):
        """The unit goes on with the program that is installed now."""
        site, unit = self.site, f"rollbackd-follow@{SERVICE}.service"
        site.wait(lambda: site.property("ActiveState", unit) == "active" and site.say(
            f"readlink /proc/$(systemctl show -P MainPID {unit})/exe", check=False) == "/usr/bin/rollbackctl", "the follower")

    def assert_all(self):
        """Nothing lost, nothing doubled, nobody refused, over all that has happened."""
        site = self.site
        assert site.get(CONF) == self.conf
        self.assert_followed()
        self.assert_followers_file()
        self.assert_done_once()
        self.assert_told()
        assert not re.search(r"Killing|timed out|Watchdog timeout|Failed with result", site.journal()), site.journal()

    def assert_followers_file(self):
        site = self.site
        expected = ["v1\n"]
        for version in self.taken_back:
            expected += [f"{version}\n", "v1\n"]
        site.wait(lambda: site.get(f"/run/rollbackd-follow/{SERVICE}") == "v1\n", "the follower's file")
        site.run("touch /run/enough")
        out, err = self.client.communicate(timeout=120)
        assert self.client.returncode == 0, err
        seen = json.loads(out)
        assert seen["answered"] > 0 and seen["followed"] == expected
        print(json.dumps({"figure": "longest wait of a client of the socket", "seconds": seen["longest"], "clients": seen["answered"]}))

    def assert_done_once(self):
        site = self.site
        expected = [(f"{name} {version}",) for version in self.taken_back for name in ("atomic", "slow", "last")]
        assert site.rows("SELECT text FROM note ORDER BY n") == expected
        assert site.moves() == [(version, "v1") for version in self.taken_back]
        for operation in site.operations():
            assert [(s["n"], s["state"]) for s in operation["steps"]] == [(n, "done") for n in range(1, len(STEPS) + 1)], operation

    def assert_told(self):
        """The events tell one whole story per operation; each reached the receiver under its own id."""
        site = self.site
        for operation in site.operations():
            kinds = [row[0] for row in site.rows("SELECT kind FROM rollbackd.event WHERE operation = %s::uuid ORDER BY seq", operation["id"])]
            assert kinds == ["rollback.committed", "rollback.effecting", "rollback.verifying", "rollback.recovered"], kinds
        site.wait(lambda: site.value("SELECT count(*) FROM rollbackd.delivery WHERE state = 'pending'") == 0, "every notice to be delivered")
        wanted = site.rows("SELECT id, kind FROM rollbackd.delivery_status ORDER BY seq")
        assert {kind for _, kind in wanted} >= {"release.deployed", "rollback.committed", "rollback.recovered"}
        assert site.value("SELECT count(*) FROM rollbackd.delivery WHERE state <> 'done'") == 0
        received = [json.loads(row) for row in site.get("/srv/site/notices").splitlines()]
        first = {}
        for notice in received:
            assert first.setdefault(notice["id"], notice) == notice, "one id, one content"
        assert [(id, notice["type"]) for id, notice in first.items()] == wanted
