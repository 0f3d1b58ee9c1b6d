"""Databases that a service leans on: while one of them is bad or unknown nobody's release is taken back for it."""
import pytest
from proxy import Proxy
from redis_server import Redis
from secure import make_authority, make_certificate
from test_guards import assert_held
from waiting import stays, wait_until
from world import SERVICE

pytestmark = pytest.mark.sanitize

FAST = {"interval": "200ms", "timeout": "200ms", "rise": 1, "fall": 1, "dependency": True}


@pytest.fixture(autouse=True)
def not_to_its_end(world):
    """How a rollback goes on after its commit is not what these tests are about."""
    world.open_allowed = True


@pytest.fixture
def database(world):
    """A way of its own to the world's server."""
    return world.add(Proxy(str(world.cluster.root / ".s.PGSQL.5432")))


@pytest.fixture
def redis(world):
    return world.add(Redis())


def postgres_at(world, host, port, **more):
    conninfo = f"host={host} port={port} dbname={world.database} user=rollbackd sslmode=disable gssencmode=disable"
    return {"kind": "postgres", "conninfo": conninfo, "password_file": "ledger", **FAST, **more}


def redis_at(host, port, **more):
    return {"kind": "redis", "targets": [f"redis://{host}:{port}"], **FAST, **more}


def target(world, probe):
    return next(p for p in world.service()["probes"] if p["name"] == probe)["targets"][0]


def wait_outcome(world, probe, code):
    wait_until(lambda: target(world, probe)["outcome"] == code, lambda: f"{code}: {target(world, probe)}")
    return target(world, probe)


def test_a_database_that_is_down_holds(world, database):
    world.start(probes={"db": postgres_at(world, "127.0.0.1", database.port, role="primary",
                                          query="SELECT count(*) AS waiting FROM pg_class")})
    world.deploy("v2")
    found = wait_outcome(world, "db", "ok")
    assert found["values"]["in_recovery"] == 0 and found["values"]["waiting"] >= 0 and found["values"]["connect_seconds"] > 0
    assert world.secrets["ledger"] not in str(found)
    database.cut()
    assert "Connection refused" in wait_outcome(world, "db", "refused")["words"]
    world.application.failing["v2"] = 0.3
    assert_held(world, "dependency")
    world.application.failing["v2"] = 0
    database.open()
    wait_outcome(world, "db", "ok")
    world.wait(lambda: world.service()["health"] == "watching", "v2 to be good")
    assert world.changes() == []
    world.application.failing["v2"] = 0.3
    world.wait_active("v1")


def test_a_database_that_hangs_holds(world, database):
    world.start(probes={"db": postgres_at(world, "127.0.0.1", database.port)})
    world.deploy("v2")
    wait_outcome(world, "db", "ok")
    database.stall()
    assert wait_outcome(world, "db", "timeout")["state"] == "bad"
    world.application.failing["v2"] = 0.3
    assert_held(world, "dependency")
    database.flow()


def test_what_is_not_the_databases_fault_is_unknown(world, database):
    place = ("127.0.0.1", database.port)
    stranger = postgres_at(world, *place)
    world.start(probes={"stranger": dict(stranger, conninfo=stranger["conninfo"].replace("user=rollbackd", "user=nobody-there")),
                        "missing": postgres_at(world, *place, password_file="nobody-wrote-it"),
                        "writes": postgres_at(world, *place, query="INSERT INTO users DEFAULT VALUES RETURNING 1 AS n")})
    world.deploy("v2")
    for probe, code, words in (("stranger", "denied", "28000: "), ("missing", "local", "nobody-wrote-it"),
                               ("writes", "local", "25006: ")):
        found = wait_outcome(world, probe, code)
        assert words in found["words"] and found["state"] == "unknown"
    world.application.failing["v2"] = 0.3
    assert_held(world, "dependency")


def test_a_redis_that_is_down_holds(world, redis):
    world.start(probes={"cache": redis_at("127.0.0.1", redis.port, role="primary")})
    world.deploy("v2")
    found = wait_outcome(world, "cache", "ok")
    assert found["values"]["replicas"] == 0 and found["values"]["uptime_seconds"] >= 0
    redis.kill()
    wait_outcome(world, "cache", "refused")
    world.application.failing["v2"] = 0.3
    assert_held(world, "dependency")
    world.application.failing["v2"] = 0
    redis.start()
    wait_outcome(world, "cache", "ok")
    world.wait(lambda: world.service()["health"] == "watching", "v2 to be good")
    assert world.changes() == []
    world.application.failing["v2"] = 0.3
    world.wait_active("v1")


def test_a_redis_behind_tls(world):
    make_authority(world.root, "ca")
    make_authority(world.root, "other")
    certificate, key = make_certificate(world.root, "server")
    redis = world.add(Redis("--tls-cert-file", str(certificate), "--tls-key-file", str(key), "--tls-auth-clients", "no",
                            "--tls-port", "0"))
    # The plain port is given up, and TLS takes it.
    assert redis.ask("CONFIG SET port 0") == redis.ask(f"CONFIG SET tls-port {redis.port}") == "+OK\r\n"
    secure = {**redis_at("127.0.0.1", redis.port), "targets": [f"rediss://127.0.0.1:{redis.port}"], "timeout": "1s", "interval": "1s"}
    world.start(probes={"trusted": {**secure, "tls": {"ca_file": str(world.root / "ca.pem")}},
                        "untrusted": {**secure, "tls": {"ca_file": str(world.root / "other.pem")}},
                        "plain": redis_at("127.0.0.1", redis.port)})
    world.deploy("v2")
    found = wait_outcome(world, "trusted", "ok")
    assert found["values"]["replicas"] == 0 and 29 < found["values"]["certificate_days"] <= 30
    wait_outcome(world, "untrusted", "tls_untrusted")
    wait_until(lambda: target(world, "plain")["outcome"] in ("closed", "reset") and target(world, "plain")["state"] == "bad",
               lambda: str(target(world, "plain")))


def test_names_that_are_not_resolved(world, names, database, redis):
    """More of them than there are workers: they are unknown, and those by number go on."""
    names.zone.update({"silent.test": None})
    lost = {f"lost{n}": postgres_at(world, "silent.test", database.port) for n in range(8)}
    world.start(probes={**lost, "nowhere": postgres_at(world, "nx.test", database.port),
                        "cache": redis_at("silent.test", redis.port), "near": redis_at("127.0.0.1", redis.port)})
    world.deploy("v2")
    for probe in (*lost, "nowhere", "cache"):
        assert wait_outcome(world, probe, "resolver")["state"] == "unknown"
    assert wait_outcome(world, "near", "ok")["state"] == "good"
    asked = world.daemon.metric("rollbackd_probes_total")
    wait_until(lambda: world.daemon.metric("rollbackd_probes_total") >= asked + 60, "some rounds of the probes")
    assert world.daemon.ask("/readyz").status == 200
    stays(lambda: target(world, "near")["outcome"] == "ok" and world.changes() == [], "the near one to be good", 1)


def test_a_single_probe_shows_no_secret(world, database, redis):
    redis.ask("CONFIG SET requirepass " + world.secrets["oncall"])
    world.write_policy(world.policy(probes={
        "db": postgres_at(world, "127.0.0.1", database.port, query="SELECT 7 AS waiting", timeout="5s", interval="5s"),
        "cache": redis_at("127.0.0.1", redis.port, password_file="oncall", timeout="5s", interval="5s")}))
    done = world.ctl("probe", SERVICE, "db")
    assert done.returncode == 0 and "SELECT 7 AS waiting" in done.stdout and "waiting = 7" in done.stdout, done.stdout
    done = world.ctl("probe", SERVICE, "cache")
    assert done.returncode == 0 and "AUTH ***" in done.stdout and "role:master" in done.stdout, done.stdout
    for secret in world.secrets.values():
        assert secret not in done.stdout
