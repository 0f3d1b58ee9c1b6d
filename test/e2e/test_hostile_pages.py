"""Pages of metrics that are too large or that lie: memory stays within the cap, and a number that means nothing is no evidence."""
import os
import pathlib
import random
import time

import pytest
from application import Application
from hosted import DOWN
from hostile import Hostile
from supervisor import SANITIZED
from waiting import stays, wait_until

pytestmark = pytest.mark.sanitize

MEGABYTE = 1024 * 1024
NOT_COUNTED = "a counter that a signal reads is negative, infinite or not a number"
NO_NUMBER = "value is not a number"
RULE = {"name": "errors", "kind": "threshold", "signal": "errors", "over": "1h", "enter": "5%", "leave": "2%", "dispersion": 1,
        "min_samples": 30, "min_bad": 5, "hold": "200ms", "response": "rollback"}


def policy_of_pages(service, *targets, **probe):
    return {"service": service, "release": DOWN,
            "probes": {"red": {"kind": "metrics", "interval": "200ms", "timeout": "200ms", **probe, "targets": list(targets)}},
            "signals": {"errors": {"kind": "ratio", "probe": "red", "bad": "bad_total", "total": "all_total"}}, "rules": [RULE],
            "rollback": {"mode": "automatic", "settle": "300ms", "verify": "1s"}}


def start(world, *policies):
    for policy in policies:
        world.call("register", policy["service"], "v1", True, "known good")
        world.write_policy(policy)
    world.daemon.start()
    world.wait_known()
    world.base = {name: world.daemon.metric(name) for name in ("process_open_fds", "process_resident_memory_bytes")}
    for policy in policies:
        world.call("deploy", policy["service"], "v2", user="ci")
    wait_until(lambda: all(world.service(p["service"])["epoch"] == 2 for p in policies), "the deploys to be seen")


# Size.


class Process:
    """What the daemon has used so far, from /proc."""

    def __init__(self, pid):
        self.folder = pathlib.Path(f"/proc/{pid}")
        (self.folder / "clear_refs").write_text("5")
        self.before, self.code, self.cpu = self.memory("VmRSS"), self.memory("RssFile"), self.processor_time()

    def memory(self, name):
        line = next(line for line in (self.folder / "status").read_text().splitlines() if line.startswith(name))
        return int(line.split()[1]) * 1024

    def growth(self):
        """The most that it has had since the beginning, beyond what it had then and the code that it has used first since."""
        return self.memory("VmHWM") - self.before - (self.memory("RssFile") - self.code)

    def processor_time(self):
        fields = (self.folder / "stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(world, servers, kind, names, code, words, **probe):
    """Starts with a small page, and goes over to these. Returns the process and how many of them it has read, when all have been
    read so many times."""
    def policy(targets):
        made = policy_of_pages("big", *(f"http://127.0.0.1:{servers.serve(name)}/" for name in targets), kind=kind, **probe)
        if kind == "http":
            made["probes"]["red"]["expect"] = {"body": "never"}
            del made["signals"]
            made["rules"] = [{"name": "down", "kind": "down", "probe": "red", "response": "notify"}]
            made["rollback"] = {"mode": "observe"}
        return made
    start(world, policy(["page_with_a_counter"]))
    wait_until(lambda: servers.accepted["page_with_a_counter"] >= 2, "a round of small ones")
    process = Process(world.daemon.process.pid)
    world.write_policy(policy(names))
    world.daemon.reload()
    wait_until(lambda: all(servers.accepted[name] >= 3 for name in names), lambda: str(servers.accepted))

    def found():
        targets = world.targets("big").values()
        return all(target["outcome"] == code and words in target["words"] for target in targets)
    wait_until(found, lambda: f"{code}: {world.targets('big')}")
    return process, sum(servers.accepted[name] for name in names)


@pytest.fixture
def servers():
    with Hostile() as made:
        yield made


@pytest.mark.parametrize("kind, names, cap", [
    ("http", ["ten_gigabytes", "endless_body", "endless_chunks", "chunk_of_half_the_numbers"], 1),
    ("metrics", ["endless_body"], 16),
    ("metrics", ["page_of_a_million_lines"], 16),
])
def test_memory_stays_within_the_cap(world, servers, kind, names, cap):
    words = f"body over max_body, {cap * MEGABYTE} bytes"
    process, _ = measure(world, servers, kind, names, "too_large", words, interval="2s", timeout="2s")
    if not SANITIZED:
        assert process.growth() <= (cap + 1) * MEGABYTE


def test_a_page_of_a_million_lines_is_read_in_passing(world, servers):
    """As far as a page may be at all: 64 MiB, of which the signals want nothing."""
    process, pages = measure(world, servers, "metrics", ["page_below_64_mib"], "ok", "", interval="4s", timeout="4s", max_body="64MiB")
    if not SANITIZED:
        assert process.growth() <= 65 * MEGABYTE
        assert (process.processor_time() - process.cpu) / pages <= 2, "seconds for a page"
    assert world.daemon.metric("rollbackd_probes_late_total") <= 1


# Numbers.


class Pages(Application):
    """A page of metrics that is another one each time."""

    def __init__(self, text_of):
        self.text_of, self.fetched = text_of, 0
        super().__init__(lambda: "v2")

    def page(self, version):
        self.fetched += 1
        return self.text_of(self.fetched)


def counters(bad, total):
    return f"bad_total {bad}\nall_total {total}\n"


def between(wicked):
    """Every second page is a wicked one; over all of them the errors rise to nine of ten requests."""
    return lambda n: wicked if n % 2 else counters(n * 90, n * 100)


NO_DATA = [
    ("nan", between(counters("NaN", "1e3")), NOT_COUNTED),
    ("nan-total", between(counters("9", "nan")), NOT_COUNTED),
    ("infinite", between(counters("+Inf", "1e3")), NOT_COUNTED),
    ("infinite-total", between(counters("9", "Inf")), NOT_COUNTED),
    ("minus-infinite", between(counters("-Inf", "1e3")), NOT_COUNTED),
    ("beyond-numbers", between(counters("1e400", "1e3")), NOT_COUNTED),
    ("negative", between(counters("-1", "1e3")), NOT_COUNTED),
    ("hexadecimal", between(counters("0x1p3", "1e3")), NO_NUMBER),
    ("comma", between(counters("1,5", "1e3")), NO_NUMBER),
    ("thousands", between(counters("1.000.000", "1e3")), NO_NUMBER),
    ("twice", between("bad_total 9\nbad_total 9\nall_total 10\n"), "stands twice on the page"),
    ("no-time", between("bad_total 9 1.5\nall_total 10\n"), "timestamp is not a whole number of milliseconds"),
    ("nul", between("bad_total 9\0\nall_total 10\n"), NO_NUMBER),
    ("cut", between("bad_total 9\nall_total 1"), "the page is cut short"),
    ("empty", between(""), "the page is empty"),
]
DEFINED = [
    ("minus-nothing", lambda n: counters("-0", n * 100)),
    ("reset", lambda n: counters(0, 100 * (n % 5))),
    ("from-1970", lambda n: f"bad_total 0 1000\nall_total {n * 100} 1000\n"),
    ("from-tomorrow", lambda n: f"bad_total 0 99999999999999\nall_total {n * 100} 99999999999999\n"),
    ("huge", lambda n: counters(0, f"{n % 2 * 1.7e308}")),
    ("plus", lambda n: counters("+0", f"+{n * 100}.")),
]


def test_numbers_that_mean_nothing(world):
    applications = {name: world.add(Pages(text_of)) for name, text_of, *_ in NO_DATA + DEFINED}
    start(world, *(policy_of_pages(name, f"{application.url}/metrics") for name, application in applications.items()))
    wanted, seen = {name: words for name, _, words in NO_DATA}, {}

    def look():
        for name in applications:
            for target in world.targets(name).values():
                seen.setdefault(name, set()).add((target["outcome"], target["words"]))
        return all(any(code == "no_data" and words in said for code, said in seen[name]) and ("ok", "") in seen[name]
                   for name, words in wanted.items()) and all(a.fetched >= 20 for a in applications.values())
    wait_until(look, lambda: str({name: seen[name] for name in applications}))
    for name in wanted:
        rule = world.service(name)["rules"][0]
        # No two good pages follow each other: nothing was counted, least of all nine errors in ten.
        assert (rule["verdict"], rule["bad"], rule["total"]) == ("unknown", 0, 0), f"{name}: {rule}"
    for name, _ in DEFINED:
        assert {code for code, _ in seen[name]} <= {"ok", None}, f"{name}: {seen[name]}"
        rule = world.service(name)["rules"][0]
        # More than a number can hold is none, and still no error among them.
        total = float("inf") if rule["total"] is None else rule["total"]
        assert rule["verdict"] == "good" and rule["bad"] == 0 and total >= 100, f"{name}: {rule}"
    stays(lambda: world.operations_now() == [], "nothing done", 0.5)


class Model:
    """Counters that grow, restart, come and go at random, and what they have grown by since the first page."""

    def __init__(self, seed):
        self.seed, self.random, self.values, self.moving = seed, random.Random(seed), {n: 1000 for n in range(5)}, False
        self.grown, self.pages = 0, 0

    def move(self):
        for n in list(self.values):
            kind = self.random.random()
            if kind < 0.1:
                # A restart counts from nothing; one that is above what was there already cannot be told from growth.
                before, self.values[n] = self.values[n], self.random.randrange(50)
                self.grown += self.values[n] - (before if self.values[n] >= before else 0)
            elif kind < 0.8:
                step = self.random.randrange(1000) / 8
                self.values[n] += step
                self.grown += step
        if self.random.random() < 0.3:
            self.values[len(self.values)] = first = self.random.randrange(100)
            self.grown += first

    def text(self, _):
        self.pages += 1
        if self.moving and self.pages <= self.moving:
            self.move()
        lines = [f'all_total{{n="{n}"}} {value}' for n, value in self.values.items()]
        self.random.shuffle(lines)
        return "\n".join([*lines, "bad_total 0", ""])


def test_counters_are_added_up_as_a_model_does(world):
    models = [Model(time.time_ns() % 10**9 + i) for i in range(4)]
    applications = [world.add(Pages(model.text)) for model in models]
    policies = [policy_of_pages(f"model-{i}", f"{application.url}/metrics") for i, application in enumerate(applications)]
    start(world, *policies)
    wait_until(lambda: all(world.service(p["service"])["health"] == "watching" for p in policies), "the warm-up to be over")
    for model in models:
        wait_until(lambda model=model: model.pages >= 10, "a base")
        model.moving = model.pages + 25
    wait_until(lambda: all(model.pages >= model.moving + 4 for model in models), "the pages", 60)
    for i, model in enumerate(models):
        rule = world.service(f"model-{i}")["rules"][0]
        assert rule["total"] == pytest.approx(model.grown), f"seed {model.seed}: {rule}"
