"""Every usual way to reach a ledger, for the daemon and for rollbackctl: peer, TLS, service file, passfile, credential."""
import atexit
import functools
import getpass
import re

import pytest
from lone_site import Authority, Server, Site, can_log_in
from policies import ordinary, text_of
from supervisor import ROOT
from waiting import wait_until
from world import run_ctl

PASSWORD = "correct-horse"
TLS_ONLY = "hostssl all all 127.0.0.1/32 scram-sha-256\n"
ANY = "host all all 127.0.0.1/32 scram-sha-256\n"


@functools.lru_cache(maxsize=None)
def shared_server():
    made = Server()
    atexit.register(made.stop)
    made.sql(f"ALTER ROLE rollbackd PASSWORD '{PASSWORD}'")
    return made


@functools.lru_cache(maxsize=None)
def authority():
    return Authority(shared_server().root / "ca")


@pytest.fixture
def server():
    return shared_server()


@pytest.fixture
def site(server):
    made = Site(server)
    made.put_secret(PASSWORD)
    yield made
    made.close()


def tcp(server, host="localhost", **more):
    words = {"host": host, "port": server.port, "dbname": "platform", "user": "rollbackd", **more}
    return " ".join(f"{name}={value}" for name, value in words.items())


def verified(server, host="localhost", **more):
    return tcp(server, host, sslmode="verify-full", sslrootcert=authority().certificate, **more)


def offer_tls(server, host="localhost", by=None):
    """The server's certificate is for this host, and it takes nothing but TLS."""
    certificate, key = server.root / "data" / "server.crt", server.root / "data" / "server.key"
    (by or authority()).issue(host, certificate, key)
    server.give(certificate)
    server.give(key)
    server.set_rules(TLS_ONLY)
    server.set(ssl="on")


def assert_works(site, tls=None):
    site.wait_up()
    done = site.ctl()
    assert done.returncode == 5 and "nobody" in done.stderr, done
    if tls is not None:
        with site.server.connect("platform") as administrator:
            rows = administrator.execute(
                "SELECT s.ssl FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) "
                "WHERE a.usename = 'rollbackd'").fetchall()
        assert rows and all(row[0] == tls for row in rows)
    assert PASSWORD not in site.daemon.log()


def assert_refused(site, *words):
    said = site.wait_words(*words)
    done = site.ctl()
    assert done.returncode in (3, 7) and words[0] in done.stderr, done
    assert PASSWORD not in said + done.stderr + site.daemon.log()


def test_a_unix_socket_by_peer(server, site):
    """The daemon of a host is the system's user rollbackd; here a map stands for that."""
    ident = server.root / "data" / "pg_ident.conf"
    ident.write_text(f"daemon {getpass.getuser()} rollbackd\n")
    server.set_rules("local all rollbackd peer map=daemon\n")
    site.start(f"host={server.root} port={server.port} dbname=platform user=rollbackd")
    assert_works(site)
    # Somebody else's name is not believed.
    server.set_rules("local all rollbackd peer\n")
    server.cut()
    assert_refused(site, "the server does not believe that this is rollbackd", "with peer in pg_hba.conf")
    server.set_rules("local all rollbackd peer map=daemon\n")
    site.wait_up()


def test_tls_with_a_verified_name(server, site):
    offer_tls(server)
    site.start(verified(server), "ledger")
    assert_works(site, tls=True)


def test_a_drill_over_tls(server, site):
    """Its second session ends as orderly as the first, which the other process of the drill has used."""
    server.sql("SELECT rollbackd.register('users-api', 'v1', true, 'known good')", "SELECT rollbackd.deploy('users-api', 'v2')",
               "CREATE ROLE sleeper", "GRANT sleeper TO rollbackd")
    try:
        offer_tls(server)
        policy = site.root / "policies.d" / "users-api.conf"
        policy.write_text(text_of({**ordinary([site.application], site.receiver), "notify": [], "rollback": {"steps": [
            {"kind": "sql", "atomic": True, "role": "sleeper", "statement": "SELECT pg_sleep(0.5)"}]}}))
        site.configure(verified(server), "ledger")
        begin = (server.root / "log").stat().st_size
        done = run_ctl("drill", "--config", site.conf)
        assert done.returncode == 0 and "drill succeeded" in done.stdout, done
        wait_until(lambda: not server.count("rollbackctl"), "the end of both sessions")
        log = (server.root / "log").read_text()[begin:]
        assert " LOG: " not in log and "FATAL" not in log, log
    finally:
        server.sql("SET session_replication_role = replica", "TRUNCATE rollbackd.service, rollbackd.event CASCADE", "DROP ROLE sleeper")


def test_a_certificate_for_another_name(server, site):
    offer_tls(server, "elsewhere.example")
    site.start(verified(server), "ledger")
    assert_refused(site, "the server's certificate is for another name", "host=")
    offer_tls(server)
    site.wait_up()


def test_a_certificate_of_another_authority(server, site):
    offer_tls(server, by=Authority(server.root / "other", "other CA"))
    site.start(verified(server), "ledger")
    assert_refused(site, "the server's certificate is not from the CA that this side trusts", "sslrootcert")
    offer_tls(server)
    site.wait_up()


def test_an_authority_that_is_not_there(server, site):
    offer_tls(server)
    site.start(tcp(server, sslmode="verify-full", sslrootcert=site.root / "ca.crt"), "ledger")
    assert_refused(site, "the CA's certificate cannot be read", "sslrootcert")
    (site.root / "ca.crt").write_text(authority().certificate.read_text())
    site.wait_up()


def test_a_server_without_tls(server, site):
    offer_tls(server)
    server.set(ssl="off")
    server.set_rules(ANY)
    site.start(verified(server), "ledger")
    assert_refused(site, "the server offers no TLS", "set ssl = on")
    server.set(ssl="on")
    site.wait_up()


@pytest.mark.parametrize("how", ["PGSERVICEFILE", "PGSYSCONFDIR"])
def test_a_service_file(server, site, how):
    """The file itself, or the directory that stands for /etc/postgresql-common."""
    offer_tls(server)
    file = site.root / "pg_service.conf"
    environment = {how: str(file if how == "PGSERVICEFILE" else site.root)}
    file.write_text("[other]\nhost=nowhere\n")
    site.start("service=rollbackd", "ledger", **environment)
    assert_refused(site, "the service that", "is not defined")
    file.write_text("[rollbackd]\n" + verified(server).replace(" ", "\n") + "\n")
    assert_works(site, tls=True)


def test_a_passfile(server, site):
    offer_tls(server)
    passfile = site.root / "passfile"
    passfile.write_text(f"localhost:{server.port}:platform:rollbackd:{PASSWORD}\n")
    passfile.chmod(0o640)
    site.start(verified(server, passfile=passfile))
    assert_refused(site, "the server asks rollbackd for a password", "a passfile that group or others may read is ignored")
    # libpq's own warning reaches the log too.
    assert f'password file "{passfile}" has group or world access' in site.daemon.log()
    passfile.chmod(0o600)
    assert_works(site, tls=True)


def test_a_credential_wins_over_the_secret(server, site):
    offer_tls(server)
    credentials = site.root / "credentials"
    credentials.mkdir()
    site.put_secret("battery-staple")
    (credentials / "ledger").write_text(PASSWORD)
    (credentials / "ledger").chmod(0o400)
    site.start(verified(server), "ledger", CREDENTIALS_DIRECTORY=str(credentials))
    assert_works(site, tls=True)
    # A wrong one is named by its own path; it is a copy that is made at the start only.
    (credentials / "ledger").chmod(0o600)
    (credentials / "ledger").write_text("battery-staple")
    site.put_secret(PASSWORD)
    server.cut()
    assert_refused(site, "password authentication failed for rollbackd", f"{credentials}/ledger",
                   "systemctl restart rollbackd")


def test_what_init_prints_over_tcp_lets_the_daemon_in(server, site):
    offer_tls(server)
    server.set_rules("hostssl all postgres samehost trust\n")
    def init():
        done = run_ctl("db", "init", "--directory", ROOT / "sql", "--database", "platform", "--conninfo",
                       f"host=localhost port={server.port} user=postgres")
        assert done.returncode == 0, done.stderr
        return done.stdout
    server.sql("ALTER ROLE rollbackd PASSWORD NULL")
    assert "\\password rollbackd" in init()
    server.sql(f"ALTER ROLE rollbackd PASSWORD '{PASSWORD}'")
    said = init()
    line = re.search(r"^ +(hostssl platform rollbackd 127.0.0.1/32 scram-sha-256)$", said, re.M)[1]
    printed = re.search(r'ledger = { conninfo = "(.*)"; password_file = "ledger"; };', said)[1]
    assert "\\password" not in said and "sslmode=verify-full" in printed
    server.set_rules("hostssl all postgres samehost trust\n" + line + "\n")
    said = init()
    assert re.search(r"Line 3 of \S+ lets rollbackd in already: hostssl platform rollbackd 127.0.0.1 255.255.255.255 scram",
                     said), said
    site.start(re.sub("sslrootcert=\\S+", f"sslrootcert={authority().certificate}", printed) + " user=rollbackd", "ledger")
    assert_works(site, tls=True)


def test_a_changed_password_is_taken_at_the_next_attempt(server, site):
    offer_tls(server)
    site.start(verified(server), "ledger")
    assert_works(site)
    server.sql("ALTER ROLE rollbackd PASSWORD 'battery-staple'")
    server.cut()
    try:
        assert_refused(site, "password authentication failed", "ledger, then: systemctl reload rollbackd")
        site.put_secret("battery-staple")
        site.wait_up()
        wait_until(lambda: can_log_in(server, host="127.0.0.1", dbname="platform", user="rollbackd",
                                      password="battery-staple"), "the new password to be good")
    finally:
        server.sql(f"ALTER ROLE rollbackd PASSWORD '{PASSWORD}'")
