"""rollbackd --check and --dump-config: what an operator sees of good and bad configuration, and the exit codes."""
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = ROOT / os.environ.get("BUILD", "build/dev") / "rollbackd"
EXAMPLE = (ROOT / "etc/policies.d/users-api.conf.example").read_text()


class Site:
    """A rollbackd.conf with its policies in a directory of their own."""

    def __init__(self, path):
        self.path = path
        self.conf = path / "rollbackd.conf"
        self.policies = path / "policies.d"
        self.policies.mkdir(mode=0o755)
        self.write(self.conf, f'policies = "{self.policies}";\nsecrets = "{path}";\n')

    @staticmethod
    def write(path, text, mode=0o644):
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(mode)

    def policy(self, name, text, mode=0o644):
        self.write(self.policies / name, text, mode)
        return self.policies / name

    def run(self, action):
        return subprocess.run([PROGRAM, "--config", self.conf, action], capture_output=True, text=True, timeout=60)


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def test_good_files_pass(site):
    path = site.policy("users-api.conf", EXAMPLE)
    done = site.run("--check")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{path}: good, service users-api\n" in done.stdout


def test_a_bad_policy_is_told_beside_the_good_ones(site):
    good = site.policy("a.conf", EXAMPLE)
    bad = site.policy("b.conf", 'service = "b";\nprobes = { p = { kind = "tcp"; targets = [ "h:1" ];\n intervall = "1s"; }; };\n')
    done = site.run("--check")
    assert done.returncode == 78
    assert f"{good}: good" in done.stdout
    assert f'{bad}:3: probes.p.intervall: unknown key; did you mean "interval"?\n' in done.stderr


@pytest.mark.parametrize(
    "step, message",
    [
        ('kind = "sql"; statement = "ROLLBACK";',
         "statement: ROLLBACK controls the transaction, which is rollbackd's own; remove it"),
        ('kind = "sql"; statement = "UPDATE t SET v = :tu";', "statement: byte 18: unknown parameter :tu; write one of :service, "),
        ('kind = "session"; store = "postgres"; table = "t"; where = "true; DROP TABLE t";',
         "where: byte 5: a condition is not a statement; remove the ;"),
    ],
)
def test_the_sql_of_a_step_is_told_before_it_is_needed(site, step, message):
    bad = site.policy("b.conf", 'service = "b";\nprobes = { p = { kind = "tcp"; targets = [ "h:1" ]; }; };\n'
                                'rollback = { steps = (\n { role = "o"; ' + step + " } ); };\n")
    expected = f"{bad}:4: rollback.steps[0].{message}"
    done = site.run("--check")
    assert done.returncode == 78
    assert expected in done.stderr
    done = subprocess.run([PROGRAM.with_name("rollbackctl"), "check", bad], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert expected in done.stdout + done.stderr


@pytest.mark.parametrize(
    "text, message",
    [
        ("nonsense = 1;", ":1: nonsense: unknown key; write one of ledger, http, alerts, policies, secrets"),
        ("ledger = {", ":1: syntax error"),
        ('@include "/etc"\n', ":1: @include is not supported; write everything into this file"),
        (b"http = { };\0", ":1: a NUL byte"),
        (b" " * (1024 * 1024 + 1), ": is larger than 1MiB"),
        ('ledger = { conninfo = "host=h password=hunter2"; };', ":1: ledger.conninfo: the text may contain a password"),
    ],
    ids=["unknown-key", "syntax", "include", "nul", "too-large", "password"],
)
def test_a_bad_rollbackd_conf_exits_78(site, text, message):
    site.write(site.conf, text)
    for action in ("--check", "--dump-config"):
        done = site.run(action)
        assert done.returncode == 78
        assert f"{site.conf}{message}" in done.stderr
        assert "hunter2" not in done.stdout + done.stderr


def test_files_that_others_could_have_written_are_refused(site):
    path = site.policy("a.conf", EXAMPLE, mode=0o664)
    done = site.run("--check")
    assert done.returncode == 78
    assert f"{path}: may be written by group or others; type: chmod go-w FILE" in done.stderr
    site.write(site.conf, "", mode=0o666)
    assert site.run("--check").returncode == 78


def test_a_fifo_among_the_policies_stops_nobody(site):
    os.mkfifo(site.policies / "a.conf", 0o600)
    done = site.run("--check")
    assert done.returncode == 78
    assert "a.conf: is not a regular file" in done.stderr


def test_the_dump_is_configuration_again(site):
    site.policy("users-api.conf", EXAMPLE)
    first = site.run("--dump-config")
    assert (first.returncode, first.stderr) == (0, "")
    head = f"# {site.policies}/users-api.conf, with every default"
    conf, policy = first.stdout.split(head)
    site.write(site.conf, conf)
    site.policy("users-api.conf", head + policy)
    second = site.run("--dump-config")
    assert (second.returncode, second.stderr) == (0, "")
    assert second.stdout == first.stdout
    for default in ('listen = "127.0.0.1:7331";', 'interval = "5s";', "min_bad = 10;", 'cooldown = "10m";'):
        assert default in first.stdout
