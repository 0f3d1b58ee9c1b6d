"""The proof: what must be true when the story is over, one numbered line each."""
import json

from demo_site import SERVICE, USERS


class Proof:
    """Checks the end of a story and prints each point with ok or FAILED."""

    def __init__(self, story):
        self.story, self.site, self.cast = story, story.site, story.cast
        self.operations = story.operations()
        self.points = 0
        self.failed = 0

    def point(self, holds, text):
        self.points += 1
        self.failed += not holds
        print(f"  {self.points:2}. {'ok    ' if holds else 'FAILED'}  {text}", flush=True)

    def check(self):
        """Prints all points that belong to the part. Returns whether every one holds."""
        print("\nThe proof", flush=True)
        {"": self.check_recovered, "both": self.check_not_recovered, "none": self.check_good,
         "dependency": self.check_held}[self.cast.bad]()
        print(f"\n{self.points - self.failed} of {self.points} points hold.", flush=True)
        return self.failed == 0

    # Parts.

    def check_recovered(self):
        self.point_one_rollback("recovered")
        self.point_pointer(self.cast.old)
        self.point_data()
        self.point_pinned(self.cast.old)
        self.point_notices("rollback.committed", "rollback.recovered")
        self.point_explain()
        self.point_requests()

    def check_not_recovered(self):
        self.point_one_rollback("not_recovered")
        self.point_pointer(self.cast.old)
        self.point_data()
        lifted = self.site.value("SELECT rollbackd.version_for(%s, 'v2')", SERVICE)
        self.point(lifted == self.cast.new, f"{self.cast.new} is not to blame: its quarantine is "
                   f"lifted, v2 is served by {lifted} again")
        self.point_notices("rollback.committed", "rollback.not_recovered")
        self.point_explain()

    def check_good(self):
        self.point_no_rollback()
        self.point_pointer(self.cast.new)
        self.point_untouched()
        failed = sum(not answer.ok for answer in self.story.traffic.all())
        self.point(failed == 0, f"{failed} requests failed")
        earned = self.site.value("SELECT stable_at IS NOT NULL FROM rollbackd.history "
                                 "WHERE service = %s ORDER BY epoch DESC LIMIT 1", SERVICE)
        self.point(earned, f"{self.cast.new} has earned its stable mark: good through its bake")
        self.point_notices("release.deployed")

    def check_held(self):
        held = [s for s in self.story.statuses if s and s["holding"] == "dependency"
                and any(rule["firing"] for rule in s["rules"])]
        self.point(held, f"a rollback was held for {len(held)} s"
                   + (f" ({held[-1]['holding_why']})" if held else ""))
        both = [f"{name}: {answer.status}" for name, answer in self.story.samples.items()]
        self.point(all(a.status == 503 for a in self.story.samples.values()),
                   f"meanwhile both versions failed ({', '.join(both)}): going back would have "
                   "helped nobody")
        alerts = self.story.receiver.of("/oncall", "rollback.held")
        self.point(any(n.signed for n in alerts), "the operators were told that it is held")
        self.point_no_rollback("also after the backend came back: what the outage left in the "
                               "windows was thrown away")
        self.point_pointer(self.cast.new)
        self.point_untouched()
        self.point(self.story.status["health"] == "watching", "the service is watched as before, "
                   f"health {self.story.status['health']}")
        self.point_notices("release.deployed")

    # Points.

    def point_one_rollback(self, state):
        said = [f"{o['from_version']} -> {o['to_version']} ({o['state']})"
                for o in self.operations]
        o = self.operations[0] if self.operations else None
        self.point(
            len(self.operations) == 1 and o["automatic"] and o["kind"] == "rollback"
            and (o["from_version"], o["to_version"]) == (self.cast.new, self.cast.old)
            and o["state"] == state,
            f"exactly one rollback, made by rollbackd itself: {', '.join(said) or 'none'}")
        steps = o["steps"] if o else []
        self.point(len(steps) == 4 and all(step["state"] == "done" for step in steps),
                   "all of its steps are done: " + ", ".join(
                       f"{step['kind']}{' (in the same transaction)' if step['atomic'] else ''} "
                       f"{step['state']}" for step in steps))
        self.point(self.story.before["target"] == self.cast.old,
                   "users_version named the target beforehand: "
                   f"{self.story.before['target']}")

    def point_no_rollback(self, more=""):
        self.point(not self.operations, f"no rollback{', ' + more if more else ''}")

    def point_pointer(self, version):
        pointer = self.site.ctl("active", SERVICE, user="users_app").strip()
        answers = [a for a in self.story.traffic.steady.answers if a.version]
        served = answers[-1].version if answers else None
        self.point(version in pointer.split() and served == version,
                   f"the pointer says {pointer}, and the platform answers with {served}")

    def point_data(self):
        """What the steps have set right, and what they have left alone."""
        old, new, most = self.cast.old, self.cast.new, self.story.most
        rows = dict(self.site.rows("SELECT version, count(*) FROM users GROUP BY version"))
        self.point(most["users"] == USERS and rows == {old: USERS},
                   f"the users' rows are back: {rows.get(old, 0)} of {USERS} are on {old}, "
                   f"{most['users']} were on {new}")
        # A version that is not to blame may serve again once the rollback is over.
        until = self.operations[0]["closed_at"] if self.operations else None
        more = " when it was over" if self.cast.bad == "both" else ""
        left = self.site.value("SELECT count(*) FROM cache WHERE starts_with(key, 'user:') "
                               "AND writer = %s AND (written_at < %s OR %s)", new, until, not more)
        self.point(most["cache"] > 0 and left == 0,
                   f"{left} cache rows user:* written by {new} are left{more}, of {most['cache']}")
        left = self.site.value("SELECT count(*) FROM session WHERE version = %s "
                               "AND (created_at < %s OR %s)", new, until, not more)
        self.point(most["session"] > 0 and left == 0,
                   f"{left} sessions of {new} are left{more}, of {most['session']}")
        self.point_untouched()

    def point_untouched(self):
        before, now = self.story.before["cache"], self.story.foreign_rows()
        self.point(before and now == before, "foreign cache rows are untouched: "
                   + ", ".join(row[0] for row in now))
        before = self.story.before["session"]
        left = before & {row[0] for row in self.site.rows("SELECT id FROM session")}
        self.point(before and left == before, f"sessions older than the release are untouched: "
                   f"{len(left)} of {len(before)}")

    def point_pinned(self, version):
        answers = [a for a in self.story.traffic.pinned.answers if a.version]
        was = sum(answer.version == self.cast.new for answer in answers)
        self.point(was > 0 and answers[-1].version == version and answers[-1].ok,
                   f"the client that insists on ?version=v2 had {was} answers from "
                   f"{self.cast.new}, and is served by {answers[-1].version} now")

    def point_notices(self, *kinds):
        receiver = self.story.receiver
        taken = {kind: [n for n in receiver.of("/rollback", kind) if n.answered == 200]
                 for kind in kinds}
        self.point(all(len({n.id for n in notices}) == 1 for notices in taken.values()),
                   f"the webhook has received {' and '.join(kinds)}")
        everything = receiver.of("/rollback") + receiver.of("/oncall")
        self.point(everything and all(n.signed for n in everything),
                   f"the signatures of all {len(everything)} notices are right")
        refused = receiver.of("/rollback")[:1]
        again = [n for n in receiver.of("/rollback")[1:] if refused and n.id == refused[0].id]
        self.point(again and again[0].answered == 200,
                   "the one that was answered with 500 came again under the same id")

    def point_explain(self):
        if not self.operations:
            self.point(False, "rollbackctl explain: there is no operation")
            return
        identity = self.operations[0]["id"]
        text = self.site.ctl("explain", identity)
        evidence = json.loads(self.site.ctl("explain", identity, "--json"))["operation"].get(
            "evidence", {})
        self.point(evidence.get("rule") == "errors" and evidence.get("verdict") == "bad"
                   and all(version in text for version in (self.cast.new, self.cast.old)),
                   f"the decision can be explained: rollbackctl explain {identity}")
        print("".join(f"              {line}\n" for line in text.splitlines()), end="", flush=True)

    def point_requests(self):
        answers = self.story.traffic.all()
        failed = [a for a in answers if not a.ok]
        since = [a for a in answers if a.at >= self.story.deployed_at]
        lasted = failed[-1].at - self.story.deployed_at if failed else 0
        self.point(failed and all(a.version == self.cast.new for a in failed),
                   f"{len(failed)} of {len(since)} requests since the deploy failed, all of them "
                   f"by {self.cast.new}, the last one {lasted:.1f} s after the deploy")
