"""The manual: every example in it is run, and every list in it is compared with what it lists."""
import os
import re
import subprocess

import manual_pages
import pytest
from ledger_support import BIN
from manual_pages import BUILD, PAGES, ROLES, ROOT, SOURCES, examples, items, page_examples, read_page, section
from promises import OPEN
from world import SERVICE

# As on a host, where the configuration and the SQL are at their usual places.
DAEMON = """#!/bin/sh
exec {build}/rollbackd --config {conf} "$@"
"""
CTL = """#!/bin/sh
case "$1" in
help | --*) exec {build}/rollbackctl "$@" ;;
db) verb="$1 $2" places="--directory {root}/sql"; shift 2 ;;
*) verb=$1 places=; shift ;;
esac
! {build}/rollbackctl help $verb | grep -q -e "\\[--config" || places="$places --config {conf}"
exec {build}/rollbackctl $verb $places "$@"
"""
# What differs from run to run, each by the word that stands for it.
VOLATILE = ((r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID"), (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S*", "TIME"),
            (r"\b\d+ (d|h|min|s|ms|us)( \d+ (h|min|s|ms|us))?\b", "DURATION"), (r"\b\d[\d,.]*(%|/s)?", "N"), (r"[ \t]+", " "))


def masked(text):
    for pattern, word in VOLATILE:
        text = re.sub(pattern, word, text)
    return text.strip()


def is_shown(example, output):
    """Whether an example shows this output; three dots stand for anything."""
    return re.fullmatch(".*".join(re.escape(part) for part in masked(example.text).split("...")), masked(output), re.S)


def put_programs(world):
    """A directory for PATH with programs that find the world's configuration."""
    folder = world.root / "bin"
    folder.mkdir()
    for name, wrapper in (("rollbackctl", CTL), ("rollbackd", DAEMON)):
        (folder / name).write_text(wrapper.format(build=BUILD, conf=world.daemon.conf, root=ROOT))
        (folder / name).chmod(0o755)
    (folder / "psql").symlink_to(BIN / "psql")
    return folder


def run_command(world, command, role=None):
    conninfo = f"host={world.cluster.root} dbname={world.database} user={ROLES.get(role, 'stranger')}"
    environment = dict(os.environ, PATH=f"{world.root}/bin:{os.environ['PATH']}", ROLLBACKD_CONNINFO=conninfo)
    return subprocess.run(command, cwd=world.root, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)


def run_shell(world, example):
    return run_command(world, ["sh", "-euc", example.text], example.role)


def run_psql(world, example):
    conninfo = f"host={world.cluster.root} dbname={world.database} user={ROLES[example.role]}"
    return run_command(world, ["psql", "-X", "-v", "ON_ERROR_STOP=1", "-d", conninfo, "-c", example.text])


def run_policy(world, example):
    path = world.root / "example.conf"
    path.write_text(example.text)
    path.chmod(0o644)
    return run_command(world, ["rollbackctl", "check", path])


def run_conf(world, example):
    path = world.root / "example.conf"
    path.write_text(example.text + f'policies = "{world.root}/policies.d";\n')
    return subprocess.run([BUILD / "rollbackd", "--config", path, "--check"], capture_output=True, text=True, timeout=60)


RUNNERS = {"shell": run_shell, "psql": run_psql, "policy": run_policy, "conf": run_conf}


def is_settled(world):
    """The daemon knows what the ledger does, nothing is under way, and every rule is good."""
    if not world.rows("SELECT 1 FROM rollbackd.service WHERE name = %s", SERVICE):
        return True
    seen = world.service()
    under_way = seen.get("operation") or [key for key, state in world.operations_now() if state in OPEN]
    judged = all(rule["verdict"] == "good" for rule in seen["rules"])
    return seen["known"] and seen["epoch"] == world.epoch() and judged and not under_way


def listed_operations(world):
    answer = world.daemon.ask("/api/v1/operations")
    return answer.status == 200 and {(o["id"], o["state"]) for o in answer.json["operations"]}


def settle(world):
    world.wait(lambda: is_settled(world), "the daemon to have seen what was done")
    world.wait(lambda: listed_operations(world) == {(str(key), state) for key, state in world.operations_now()}, "the list of operations")
    # Whatever moved, a person did it.
    world.manual.update(row[0] for row in world.rows("SELECT old_epoch FROM witness.pointer WHERE old_epoch IS NOT NULL"))


def run_page(world, name):
    done = None
    for example in page_examples(name):
        if example.kind == "output":
            assert is_shown(example, done.stdout + done.stderr), f"{example}: {done.stdout}{done.stderr}"
        if example.kind in RUNNERS:
            done = RUNNERS[example.kind](world, example)
            assert done.returncode == 0, f"{example}:\n{example.text}\n{done.stdout}{done.stderr}"
            settle(world)


def start_observing(world):
    put_programs(world)
    world.write_policy(world.policy(rollback={"mode": "observe"}))
    (world.root / "users-api.conf").write_text((world.root / "policies.d" / "users-api.conf").read_text())
    world.daemon.start()


def release(world, *versions):
    """Registers the first and deploys the others; all but the last are stable."""
    world.call("register", SERVICE, versions[0], True, "known good")
    for before, version in zip(versions, versions[1:]):
        world.call("mark_stable", SERVICE, before, "it ran for a month")
        world.deploy(version)


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_sentence_ends_once(name):
    assert not re.findall(r"^.*[a-z0-9)]\.\.$", read_page(name), re.M)


@pytest.mark.parametrize("name", ["rollbackctl.1", "rollbackd.8", "rollbackd.conf.5"])
def test_the_examples_work(world, name):
    start_observing(world)
    run_page(world, name)


def test_the_examples_for_psql_work(world):
    start_observing(world)
    release(world, "2.2.0", "2.3.0", "2.4.0")
    settle(world)
    with world.cluster.connect() as administrator:
        try:
            run_page(world, "rollbackd-sql.7")
        finally:
            administrator.execute("DROP ROLE IF EXISTS carol, gateway")


def test_the_examples_of_policies_work(world):
    start_observing(world)
    try:
        run_page(world, "rollbackd-policy.5")
        path = world.root / "whole.conf"
        path.write_text(page_examples("rollbackd-policy.5")[1].text)
        path.chmod(0o644)
        done = run_command(world, ["rollbackctl", "check", "--db", path], "administrator")
        assert done.returncode == 0 and "3 of 3" in done.stdout, "what the page grants is what its policy needs: " + done.stderr
    finally:
        world.rows("DROP OWNED BY users_rollback")
        world.rows("DROP ROLE users_rollback")


def test_the_probes_of_the_readme_are_of_every_kind_and_taken(tmp_path):
    chapter = re.search(r"^## What can be probed\n(.*?)^## ", (ROOT / "README.md").read_text(), re.M | re.S)[1]
    probes = "\n".join(line for line in chapter.splitlines() if line.startswith("    "))
    policy = tmp_path / "readme.conf"
    policy.write_text(f'service = "readme";\nprobes = {{\n{probes}\n}};\n')
    policy.chmod(0o644)
    check = [BUILD / "rollbackctl", "check", policy]
    done = subprocess.run(check, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    policy.write_text('service = "readme";\nprobes = { p = { kind = "none"; }; };\n')
    kinds = subprocess.run(check, capture_output=True, text=True).stderr.partition("write one of")[2]
    assert set(re.findall(r'kind = "(\w+)"', probes)) == set(re.findall(r'"(\w+)"', kinds)) != set()


def test_the_example_of_a_receiver_works(world):
    world.start()
    world.deploy("v2")
    notice = world.wait_notice("release.deployed")
    (example,) = examples("python")
    names = {}
    exec(example.text, names)
    headers = {"webhook-id": notice.id, "webhook-timestamp": notice.timestamp, "webhook-signature": " ".join(notice.signatures)}
    secret = world.secrets["hook"]
    assert names["verify"](secret, headers, notice.raw)
    assert names["verify"](secret, {**headers, "webhook-signature": "v1,AAAA " + headers["webhook-signature"]}, notice.raw)
    assert not names["verify"](secret, headers, notice.raw + b" ")
    assert not names["verify"](secret, {**headers, "webhook-timestamp": str(int(notice.timestamp) - 301)}, notice.raw)
    assert not names["verify"](world.secrets["oncall"], headers, notice.raw)


def test_each_page_has_examples():
    for name in PAGES:
        assert page_examples(name), name
    for kind in set(manual_pages.KINDS) - {"output"}:
        assert examples(kind), kind


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_read_in_eighty_columns(name):
    done = subprocess.run(["mandoc", "-T", "ascii", "-O", "width=80", PAGES[name]], capture_output=True, text=True, check=True)
    lines = [re.sub(".\b", "", line) for line in done.stdout.splitlines()]
    assert len(lines) > 100 and not [line for line in lines if len(line) > 80]


# The lists that are made from tables cover these whole.

def generator(option):
    return subprocess.run([BUILD / "manual", option], capture_output=True, text=True, check=True).stdout.splitlines()


def directives(word):
    return {match for source in SOURCES for match in re.findall(rf'^\.\\" @{word} (.+)$', source.read_text(), re.M)}


def test_no_verb_is_described_twice():
    names = [name for source in SOURCES for name in re.findall(r'^\.\\" @verb (.+)$', source.read_text(), re.M)]
    assert len(names) == len(set(names)), sorted(name for name in set(names) if names.count(name) > 1)


def test_every_section_of_the_configuration_is_in_a_page():
    assert directives("keys") == set(generator("--sections"))


def test_every_verb_has_a_paragraph():
    assert directives("verb") == set(generator("--verbs")), "write what it does below a line .\\\" @verb NAME in rollbackctl.1.in"


def test_every_word_of_a_verb_is_an_option_that_exists():
    page = read_page("rollbackctl.1")
    listed = {line.split()[2] for line in section("rollbackctl.1", "OPTIONS") if line.startswith(".It Fl -")}
    assert listed == set(re.findall(r"Fl (-[a-z][a-z-]+)", page)) - {"-version"}
    for verb in generator("--verbs"):
        usage = subprocess.run([BUILD / "rollbackctl", "help", *verb.split()], capture_output=True, text=True, check=True).stdout
        assert set(re.findall(r"\[-(-[a-z-]+)", usage)) <= listed, usage


def test_the_daemons_options_are_those_of_its_help():
    usage = subprocess.run([BUILD / "rollbackd", "--help"], capture_output=True, text=True, check=True).stdout
    page = "\n".join(line for line in section("rollbackd.8", "DESCRIPTION") if line.startswith(".It Fl"))
    assert set(re.findall(r"Fl -([a-z-]+)", page)) == set(re.findall(r"--([a-z-]+)", usage))


# The lists that a live system has.

def listed_functions():
    """Name: (arguments, roles), of the page's items."""
    found, lines = {}, read_page("rollbackd-sql.7").splitlines()
    for n, line in enumerate(lines):
        if item := re.fullmatch(r"\.It Fn rollbackd\.(\w+)(.*)", line):
            roles = next(lines[i + 1] for i in range(n, len(lines)) if lines[i] == "Roles:")
            assert item[1] not in found, f"{item[1]} is listed twice"
            found[item[1]] = re.findall(r'"([^"]*)"', item[2]), set(re.findall(r"rollbackd\w*", roles))
    return found


ROLE_NAMES = ["rollbackd_reader", "rollbackd_deployer", "rollbackd_operator", "rollbackd"]
FUNCTIONS = """
SELECT p.proname, array(SELECT format('%%s%%s %%s', CASE WHEN m = 'o' THEN 'OUT ' END, n, t::regtype)
                          FROM unnest(coalesce(p.proargnames, '{}'),
                                      coalesce(p.proallargtypes, p.proargtypes::oid[]),
                                      coalesce(p.proargmodes, array_fill('i'::"char", ARRAY[p.pronargs::int])))
                               WITH ORDINALITY a (n, t, m, i) WHERE m <> 't' ORDER BY i),
       p.pronargdefaults, array(SELECT r FROM unnest(%s::text[]) r WHERE has_function_privilege(r, p.oid, 'EXECUTE'))
  FROM pg_proc p WHERE p.pronamespace = 'rollbackd'::regnamespace
"""


def test_the_functions_are_those_of_the_ledger(world):
    listed = listed_functions()
    there = {name: (arguments, defaults, set(roles)) for name, arguments, defaults, roles in world.rows(FUNCTIONS, ROLE_NAMES) if roles}
    assert set(listed) == set(there)
    for name, (arguments, roles) in listed.items():
        wanted, defaults, granted = there[name]
        bare = [argument.split(" DEFAULT ")[0] for argument in arguments]
        typed = [f"{a.rsplit(' ', 1)[0]} {world.value('SELECT %s::regtype::text', a.rsplit(' ', 1)[1])}" for a in bare]
        assert typed == wanted, name
        assert sum(" DEFAULT " in argument for argument in arguments) == defaults, name
        assert roles == granted, name


def test_the_views_are_those_of_the_ledger(world):
    page = section("rollbackd-sql.7", "VIEWS")
    listed = {line.split(".")[-1]: set(re.findall(r"rollbackd\w*", page[page.index("Roles:", n) + 1]))
              for n, line in enumerate(page) if line.startswith(".It Vt")}
    there = world.rows("SELECT viewname, array(SELECT r FROM unnest(%s::text[]) r WHERE has_table_privilege(r, 'rollbackd.' || viewname, "
                       "'SELECT')) FROM pg_views WHERE schemaname = 'rollbackd'", ROLE_NAMES)
    assert listed == {name: set(roles) for name, roles in there if roles}


def test_the_refusals_are_those_of_the_ledger(world):
    raised = {code for row in world.rows("SELECT prosrc FROM pg_proc WHERE pronamespace = 'rollbackd'::regnamespace")
              for code in re.findall(r"'(RB\d\d\d)'", row[0])}
    assert items("rollbackd-sql.7", "REFUSALS") == sorted(raised)


def test_the_kinds_of_events_are_those_of_the_ledger(world):
    written = {kind for row in world.rows("SELECT prosrc FROM pg_proc WHERE pronamespace = 'rollbackd'::regnamespace")
               for call in re.findall(r"write_event\([^;]*", row[0]) for kind in re.findall(r"'([a-z]+\.[a-z_]+)'", call)}
    assert "drill.failed" in written and written <= set(re.findall(r"[a-z]+\.[a-z_]+", "\n".join(section("rollbackd.8", "EVENTS"))))


def test_the_metrics_are_those_of_the_daemon(world):
    world.start()
    there = re.findall(r"^# HELP (\S+) (.*)\n# TYPE \S+ (\S+)$", world.daemon.ask("/metrics").text, re.M)
    page = "\n".join(section("rollbackd.8", "METRICS"))
    listed = re.findall(r"^\.It Cm (\S+) Pq (\S+)\n(.*)$", page, re.M)
    assert [(name, kind, words) for name, words, kind in there] == listed


def test_every_part_of_the_status_line_is_explained():
    literals = re.findall(r'"((?:[^"\\\n]|\\.)*)"', (ROOT / "daemon/status_line.c").read_text())
    words = [literal.strip(" ;:,") for literal in literals if re.search("[a-z]{3}", literal) and not literal.endswith(".h")]
    done = subprocess.run(["mandoc", "-T", "ascii", PAGES["rollbackd.8"]], capture_output=True, text=True, check=True)
    page = " ".join(re.sub(".\b", "", done.stdout).split("DIAGNOSTICS")[1].split()).lower()
    assert len(words) > 10 and not [word for word in words if word not in page]


def test_the_guards_are_those_of_the_daemon(world):
    world.start()
    assert items("rollbackd-policy.5", "Guards") == [guard["guard"] for guard in world.service()["guards"]]


def test_the_healths_are_those_of_the_daemon(world):
    world.start()
    there = re.findall(r'rollbackd_service_health\{service="users-api",health="(\w+)"\}', world.daemon.ask("/metrics").text)
    assert items("rollbackd-policy.5", "Health") == there


def test_the_certainty_is_that_of_the_judge():
    """The numbers of bad ones that the page names are the first at which Wilson's lower end is above 5 %."""
    def lower(k, n, z=3.29):
        p, z2n = k / n, z * z / n
        return (p + z2n / 2 - z * (p * (1 - p) / n + z2n / (4 * n)) ** 0.5) / (1 + z2n)
    page = " ".join(section("rollbackd-policy.5", "Rules"))
    for n, bad in re.findall(r"([\d,]+) requests (?:in the window )?must hold (\d+)", page):
        n = int(n.replace(",", ""))
        assert next(k for k in range(n) if k >= 50 and lower(k / 5, n / 5) > 0.05) == int(bad)
