"""What happens, told as it happens: a line per second, and a line for each act and notice."""
import dataclasses
import random
import time

from demo_site import SERVICE, DemoError

LIMIT_SECONDS = 38


@dataclasses.dataclass
class Cast:
    """What the seed decides, and which part the run plays."""
    seed: int
    bad: str

    def __post_init__(self):
        dice = random.Random(self.seed)
        major, minor, patch = dice.randint(1, 9), dice.randint(0, 19), dice.randint(0, 9)
        self.old = f"{major}.{minor}.{patch}"
        self.new = f"{major}.{minor + 1}.0"
        self.percent = dice.randint(30, 60)

    def faults(self):
        """What the platform is told: which version fails how often, from which release on."""
        new, old = f"{self.new}={self.percent}", f"{self.old}={self.percent}@2"
        return {"": [new], "both": [new, old]}.get(self.bad, [])

    def introduction(self):
        return {
            "": f"{self.new} will fail {self.percent} % of its requests.",
            "none": f"{self.new} is a good release.",
            "both": f"{self.new} will fail {self.percent} % of its requests, and from then on "
                    f"{self.old} does so too.",
            "dependency": f"{self.new} is a good release, but the backend that both versions need "
                          "will be stopped.",
        }[self.bad]


class Story:
    """Lets time pass, watches, and prints."""

    def __init__(self, site, receiver, traffic, cast):
        self.site, self.receiver, self.traffic, self.cast = site, receiver, traffic, cast
        self.began = time.monotonic()
        self.seconds = 0
        self.status = None
        self.statuses = []
        self.deployed_at = None
        self.before = {}
        self.most = {"users": 0, "cache": 0, "session": 0}
        self.samples = {}

    def begin(self):
        print("\n  time  ok  failed  health    version   what rollbackd sees", flush=True)
        self.traffic.start()

    def tell(self, text):
        print(f"        >> {text}", flush=True)

    def tell_notices(self):
        for notice in self.receiver.fresh():
            answer = "" if notice.answered == 200 else f", answered with {notice.answered}"
            if notice.path == "/oncall":
                self.tell(f"operators are told: {notice.data.get('text', notice.type)}{answer}")
            else:
                self.tell(f"webhook: {notice.type}{answer}")

    def pass_second(self):
        """Waits for the next whole second and tells what it was like."""
        self.seconds += 1
        time.sleep(max(0.0, self.began + self.seconds - time.monotonic()))
        self.status = self.site.status()
        self.statuses.append(self.status)
        self.tell_notices()
        self.look_at_tables()
        ok, failed = self.traffic.count_new()
        health = self.status["health"] if self.status else "?"
        version = self.status["version"] if self.status else "?"
        print(f"  {self.seconds:3} s {ok:3}  {failed or '-':>6}  {health:<8}  {version:<8}  "
              f"{describe(self.status)}".rstrip(), flush=True)

    def look_at_tables(self):
        """How much the new version has left behind so far."""
        counts = self.site.rows(
            "SELECT (SELECT count(*) FROM users WHERE version = %s), "
            "(SELECT count(*) FROM cache WHERE writer = %s), "
            "(SELECT count(*) FROM session WHERE version = %s)", *[self.cast.new] * 3)[0]
        for name, count in zip(self.most, counts):
            self.most[name] = max(self.most[name], count)

    def pass_seconds(self, n):
        for _ in range(n):
            self.pass_second()

    def pass_until(self, condition, what):
        """Passes seconds until the condition holds; the story has a limit."""
        while not condition():
            if self.seconds >= LIMIT_SECONDS:
                raise DemoError(f"after {self.seconds} s there is still no {what}")
            self.pass_second()

    # What rollbackd did, from the ledger.

    def operations(self):
        names = ("id", "kind", "automatic", "from_version", "to_version", "state", "closed_at",
                 "steps")
        return [dict(zip(names, row)) for row in self.site.rows(
            "SELECT id::text, kind, automatic, from_version, to_version, state, "
            "closed_at, steps FROM rollbackd.operation_status "
            "WHERE service = %s ORDER BY opened_at", SERVICE)]

    def has_closed(self):
        return any(operation["closed_at"] for operation in self.operations())

    def has_told(self, kind):
        """Whether the policy's receiver has taken a notice of this type."""
        return any(n.answered == 200 for n in self.receiver.of("/rollback", kind))

    # What people do.

    def deploy(self):
        """What a pipeline does: migrate the users' rows, then move the pointer."""
        cast, site = self.cast, self.site
        self.before["session"] = {row[0] for row in site.rows("SELECT id FROM session")}
        self.before["cache"] = self.foreign_rows()
        site.rows("UPDATE users SET version = %s", cast.new, user="users_pipeline")
        site.ctl("deploy", SERVICE, cast.new, "--api-version", "v2", "--source", "demo",
                 user="users_pipeline")
        self.deployed_at = time.monotonic()
        self.before["target"] = site.value("SELECT version FROM users_version "
                                           "WHERE is_stable = 1 ORDER BY id DESC LIMIT 1")
        self.tell(f"rollbackctl deploy {SERVICE} {cast.new}: all users' rows are migrated, "
                  "the pointer moves")

    def foreign_rows(self):
        return self.site.rows("SELECT key, value::text, writer, written_at FROM cache "
                              "WHERE NOT starts_with(key, 'user:') ORDER BY key")

    def stop_backend(self):
        self.site.stop("backend")
        self.tell("the backend is stopped: no version can answer")

    def start_backend(self):
        self.site.start_backend(self.site.addresses["backend"])
        self.tell("the backend is back")


def describe(status):
    """The most telling thing of a status: the operation, what holds it, or the worst rule."""
    if status is None:
        return ""
    operation = status["operation"]
    if operation:
        return f"{operation['kind']} {operation['from']} -> {operation['to']}: {operation['state']}"
    for verdict in ("bad", "unknown"):
        for rule in status["rules"]:
            if rule["verdict"] != verdict:
                continue
            text = f"rule {rule['name']}: {rule['reading']}"
            if verdict == "bad" and rule["firing"] and status["holding"]:
                return f"held: {status['holding_why']}"
            if verdict == "bad":
                text += (f", for {min(rule['bad_for_seconds'], rule['hold_seconds']):.1f} of "
                         f"{rule['hold_seconds']:g} s")
            return text
    return ""


def play(story):
    """The part of the seed and of BAD=. Returns when all of it has happened."""
    story.begin()
    story.pass_seconds(3)
    story.deploy()
    if story.cast.bad == "none":
        play_good(story)
    elif story.cast.bad == "dependency":
        play_dependency(story)
    else:
        play_rollback(story)


def play_rollback(story):
    end = "not_recovered" if story.cast.bad == "both" else "recovered"
    story.pass_until(story.has_closed, "end of a rollback")
    story.pass_until(lambda: story.has_told(f"rollback.{end}"), f"notice rollback.{end}")
    # Nothing more may follow; on the bad side that is worth a look.
    story.pass_seconds(6 if story.cast.bad == "both" else 1)


def play_good(story):
    story.pass_seconds(15)
    story.pass_until(lambda: story.has_told("release.deployed"), "notice release.deployed")


def play_dependency(story):
    story.pass_seconds(3)
    story.stop_backend()
    story.pass_until(lambda: story.status and story.status["holding"] == "dependency"
                     and story.status["health"] == "bad", "hold by the dependency")
    story.pass_seconds(4)
    story.samples = {name: story.traffic.try_version(name)
                     for name in (story.cast.old, story.cast.new)}
    story.start_backend()
    story.pass_until(lambda: story.status and story.status["health"] == "watching", "good health")
    story.pass_seconds(5)
    story.pass_until(lambda: story.has_told("release.deployed"), "notice release.deployed")
