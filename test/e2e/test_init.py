"""rollbackctl db init, and its dry run, against servers that hold nothing yet."""
import atexit
import functools
import getpass
import re
import subprocess

import psycopg
import pytest
from ledger_support import BIN, Cluster
from supervisor import ROOT
from waiting import wait_until
from world import run_ctl

ODD = """it's "a" \\ na=me"""
RULES = "local all postgres trust\n"


@functools.lru_cache(maxsize=None)
def shared_server(name):
    made = Cluster()
    atexit.register(made.stop)
    return made


@pytest.fixture
def server():
    return shared_server("one")


def init(server, *words, user="postgres", database=None, code=0):
    where = f"host={server.root} user={user}"
    said = ("--database", database) if database else ()
    done = run_ctl("db", "init", "--directory", ROOT / "sql", "--conninfo", where, *said, *words)
    assert done.returncode == code, (done.stdout[-2000:], done.stderr)
    return done.stdout if code == 0 else done.stderr


def dump(server, database):
    """The whole catalog that a site would see: schema, rights, roles, and what was applied."""
    where = ["-h", str(server.root), "-U", "postgres"]
    def run(program, *words):
        done = subprocess.run([BIN / program, *where, *words], check=True, capture_output=True, text=True)
        return re.sub(r"^(--.*|\\(un)?restrict .*)\n", "", done.stdout, flags=re.M)
    with server.connect(database) as administrator:
        applied = administrator.execute("SELECT number, name, checksum FROM rollbackd.migration ORDER BY 1").fetchall()
        rights = administrator.execute("SELECT datacl::text FROM pg_database WHERE datname = current_database()")
        return run("pg_dump", "--schema-only", "-d", f"dbname='{quoted(database)}'"), \
            run("pg_dumpall", "--globals-only"), applied, rights.fetchall()


def quoted(text):
    return text.replace("\\", "\\\\").replace("'", "\\'")


def statements(text):
    return [line for line in text.splitlines() if line and not line.startswith("--")]


def test_a_dry_run_fed_to_psql_makes_what_init_makes(server):
    other = shared_server("two")
    plan = init(other, "--dry-run", database=ODD)
    with other.connect() as administrator:
        assert administrator.execute("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'rollbackd%'").fetchone() == (0,)
        assert administrator.execute("SELECT count(*) FROM pg_database WHERE datname = %s", [ODD]).fetchone() == (0,)
    script = subprocess.run([BIN / "psql", "-X", "-v", "ON_ERROR_STOP=1", "-h", str(other.root), "-U", "postgres"],
                            input=plan, capture_output=True, text=True, check=False)
    assert script.returncode == 0, script.stderr
    done = init(server, database=ODD)
    assert "created the database it's" in done and "applied 0013_rights.sql" in done
    assert dump(other, ODD) == dump(server, ODD)
    for made in (server, other):
        assert not statements(init(made, "--dry-run", database=ODD))
        assert init(made, database=ODD).startswith("nothing to do\n")
    assert dump(other, ODD) == dump(server, ODD)


def test_only_what_is_missing_is_done(server):
    init(server, database="partly")
    whole = dump(server, "partly")
    with server.connect("partly") as administrator:
        administrator.execute("ALTER ROLE rollbackd NOLOGIN")
    changed = dump(server, "partly")
    plan = init(server, "--dry-run", database="partly")
    assert "ALTER ROLE rollbackd LOGIN" in plan and "CREATE DATABASE" not in plan and "migration" not in "\n".join(
        statements(plan))
    assert dump(server, "partly") == changed != whole
    done = init(server, database="partly")
    assert "made the ledger's roles" in done and "nothing to do" not in done and "applied" not in done
    assert dump(server, "partly") == whole
    # A database of the site's own that has no ledger yet.
    with server.connect() as administrator:
        administrator.execute("CREATE DATABASE own")
    assert "created the database" not in init(server, database="own")


@pytest.mark.parametrize("words", [
    (), ("--conninfo", "host=/nowhere"), ("--conninfo", "service=site"), ("--database", ""), ("--database", "x" * 64),
    ("--database", "a\nb"), ("--conninfo", "no conninfo", "--database", "a")])
def test_a_database_that_nobody_named_is_never_taken(words):
    done = run_ctl("db", "init", "--directory", ROOT / "sql", *words)
    assert done.returncode == 2 and not done.stdout, done
    assert "rollbackctl db init: " in done.stderr


def test_the_database_may_stand_in_the_conninfo(server):
    done = run_ctl("db", "init", "--directory", ROOT / "sql", "--conninfo",
                   f"postgresql://postgres@/uri?host={server.root}")
    assert done.returncode == 0 and "created the database uri" in done.stdout, done.stderr


def test_a_person_becomes_an_operator_once(server):
    def member(name):
        with server.connect() as administrator:
            return administrator.execute("SELECT rolcanlogin, pg_has_role(rolname, 'rollbackd_operator', 'member') FROM pg_roles "
                                         "WHERE rolname = %s", [name]).fetchone()
    assert statements(init(server, "--operator", "first.last", "--dry-run", database="people"))[-1] == \
        'CREATE ROLE "first.last" LOGIN IN ROLE rollbackd_operator;'
    assert member("first.last") is None
    assert "made an operator of the role first.last" in init(server, "--operator", "first.last", database="people")
    assert member("first.last") == (True, True)
    assert init(server, "--operator", "first.last", database="people").startswith("nothing to do\n")
    with server.connect() as administrator:
        administrator.execute("CREATE ROLE bob NOLOGIN")
    init(server, "--operator", "bob", database="people")
    assert member("bob") == (False, True)
    assert "is a role of the ledger's own" in init(server, "--operator", "rollbackd", database="early", code=2)
    with server.connect() as administrator:
        assert administrator.execute("SELECT FROM pg_database WHERE datname = 'early'").fetchall() == [], "nothing was done"


def test_nobody_in_the_database_can_lead_the_administrator(server):
    """Whoever may create in public can put an operator there that fits better than the one meant."""
    with server.connect() as administrator:
        administrator.execute("CREATE DATABASE shared")
        administrator.execute("CREATE ROLE mallory LOGIN")
    with server.connect("shared") as administrator:
        administrator.execute("GRANT CREATE ON SCHEMA public TO mallory; CREATE TABLE public.caught (who text);"
                              "GRANT INSERT ON public.caught TO PUBLIC")
    with server.connect("shared", user="mallory") as mallory:
        for left, right in (("name", "name"), ("text", "name"), ("name", "varchar"), ("oid", "int8"), ("text", "varchar")):
            for operator, word in (("~~", "like"), ("=", "is"), ("||", "with"), ("~", "matches")):
                returns = "text" if word == "with" else "boolean"
                mallory.execute(f"CREATE FUNCTION public.lead_{word}({left}, {right}) RETURNS {returns} LANGUAGE plpgsql AS $$"
                                "BEGIN INSERT INTO public.caught SELECT current_user; RETURN true; END $$;"
                                f"CREATE OPERATOR public.{operator} (FUNCTION = public.lead_{word}, LEFTARG = {left},"
                                f" RIGHTARG = {right})")
    init(server, "--operator", "somebody", "--dry-run", database="shared")
    init(server, "--operator", "somebody", database="shared")
    done = run_ctl("db", "migrate", "--directory", ROOT / "sql", "--conninfo",
                   f"host={server.root} user=postgres dbname=shared")
    assert done.returncode == 0, done.stderr
    with server.connect("shared") as administrator:
        assert administrator.execute("SELECT * FROM public.caught").fetchall() == []


def test_a_schema_of_somebody_else_is_left_alone(server):
    """What he has put there would be run with the administrator's rights."""
    with server.connect() as administrator:
        administrator.execute("CREATE DATABASE taken")
        administrator.execute("CREATE ROLE eve LOGIN")
    with server.connect("taken") as administrator:
        administrator.execute("CREATE TABLE public.caught (who text); GRANT INSERT ON public.caught TO PUBLIC;"
                              "CREATE SCHEMA rollbackd AUTHORIZATION eve")
    with server.connect("taken", user="eve") as eve:
        eve.execute("CREATE FUNCTION rollbackd.trap() RETURNS text LANGUAGE plpgsql AS $$"
                    "BEGIN INSERT INTO public.caught SELECT session_user; RETURN ''; END $$;"
                    "CREATE VIEW rollbackd.migration AS SELECT 1 AS number, rollbackd.trap() AS checksum")
    init(server, database="first")
    def state():
        with server.connect("taken") as administrator:
            return administrator.execute("SELECT datacl::text, (SELECT count(*) FROM pg_class), (SELECT nspacl::text FROM pg_namespace "
                                         "WHERE nspname = 'rollbackd') FROM pg_database WHERE datname = 'taken'").fetchall()
    before = state()
    where = f"host={server.root} user=postgres dbname=taken"
    for said in (init(server, database="taken", code=4), init(server, "--dry-run", database="taken", code=4),
                 run_ctl("db", "migrate", "--directory", ROOT / "sql", "--conninfo", where).stderr):
        assert "the schema rollbackd of this database belongs to the role eve" in said, said
    assert state() == before
    with server.connect("taken") as administrator:
        assert administrator.execute("SELECT * FROM public.caught").fetchall() == []


def test_what_there_is_without_a_ledger(server):
    with server.connect() as administrator:
        administrator.execute("CREATE DATABASE bare")
    where = ("--conninfo", f"host={server.root} user=postgres dbname=bare")
    for words in (("prune", "--older-than", "400d"), ("migrate", "--directory", ROOT / "sql")):
        done = run_ctl("db", *words, *where)
        assert done.returncode == 1 and "rollbackctl db init --database bare" in done.stderr, done


def test_a_limit_that_the_site_has_set_stays(server):
    init(server, database="limits")
    with server.connect("limits") as administrator:
        administrator.execute("ALTER ROLE rollbackd_follow CONNECTION LIMIT 500; ALTER ROLE rollbackd CONNECTION LIMIT 32")
        assert init(server, database="limits").startswith("nothing to do\n")
        assert administrator.execute("SELECT rolconnlimit FROM pg_roles WHERE rolname IN ('rollbackd', 'rollbackd_follow') "
                                     "ORDER BY rolname").fetchall() == [(32,), (500,)]
        administrator.execute("ALTER ROLE rollbackd_follow CONNECTION LIMIT 64; ALTER ROLE rollbackd CONNECTION LIMIT 16")


def test_without_the_right_it_says_who_could(server):
    with server.connect() as administrator:
        administrator.execute("CREATE ROLE nobody_special LOGIN")
        administrator.execute("CREATE DATABASE theirs")
    for database in ("unmade", "theirs"):
        words = init(server, user="nobody_special", database=database, code=7)
        assert "rollbackctl: db init needs the rights" in words and "runuser -u postgres -- rollbackctl db init" in words


def set_rules(server, text):
    (server.root / "data" / "pg_hba.conf").write_text(text)
    with server.connect() as administrator:
        administrator.execute("SELECT pg_reload_conf()")
    wait_until(lambda: allowed(server, "postgres"), "the administrator to be let in")


def allowed(server, user, **where):
    """Whether the server lets a role in; the class of its refusal is not that of its words."""
    try:
        psycopg.connect(host=str(server.root), dbname="postgres", user=user, **where).close()
    except psycopg.OperationalError:
        return False
    return True


@pytest.fixture
def rules():
    """A server whose pg_hba.conf a test may change."""
    made = shared_server("rules")
    init(made, database="platform")
    yield made
    set_rules(made, "local all all trust\n")


def test_it_says_which_line_lets_rollbackd_in(rules):
    said = init(rules, database="platform")
    assert re.search(r"- Line \d+ of \S*pg_hba.conf lets rollbackd in already: local all all trust\n", said), said
    assert 'dbname=platform"; };' in said and "GRANT users_rollback TO rollbackd" in said and "password" not in said
    set_rules(rules, RULES + 'local "platform" +rollbackd_reader trust\nlocal other rollbackd trust\n')
    said = init(rules, database="platform")
    assert "pg_hba.conf, then: SELECT pg_reload_conf();\n    local platform rollbackd peer\n" in said
    # The line as it is printed is then found.
    line = re.search(r"^ +(local .*)$", said, re.M)[1]
    set_rules(rules, RULES + line + "\n")
    assert f"Line 2 of {rules.root}/data/pg_hba.conf lets rollbackd in already: local platform rollbackd peer" in \
        init(rules, database="platform")


def test_a_line_that_refuses_stands_above(rules):
    set_rules(rules, RULES + "local all all reject\nlocal platform rollbackd peer\n")
    said = init(rules, database="platform")
    assert "above line 2 (local all all reject)" in said and "\n    local platform rollbackd peer\n" in said


def test_names_that_pg_hba_would_take_for_words(rules):
    for name, line in (("all", '"all"'), (ODD, '"it\'s ""a"" \\ na=me"')):
        init(rules, database=name)
        set_rules(rules, RULES)
        said = init(rules, database=name)
        printed = re.search(r"^ +(local .*)$", said, re.M)[1]
        assert printed == f"local {line} rollbackd peer"
        set_rules(rules, RULES + printed.replace("peer", "trust") + "\n")
        psycopg.connect(host=str(rules.root), dbname=name, user="rollbackd").close()
        set_rules(rules, "local all all trust\n")


def test_the_printed_configuration_is_one(rules, tmp_path):
    """What is to be written into rollbackd.conf is read as it was meant, and reaches the database."""
    line = re.search(r"^ +(ledger = .*)$", init(rules, database=ODD), re.M)[1]
    conf = tmp_path / "rollbackd.conf"
    conf.write_text(line + "\n")
    conf.chmod(0o644)
    with rules.connect() as administrator:
        administrator.execute(f"CREATE ROLE {getpass.getuser()} LOGIN IN ROLE rollbackd_reader")
    done = run_ctl("active", "users-api", "--config", conf)
    assert done.returncode == 5 and "users-api" in done.stderr, done
