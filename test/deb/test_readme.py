"""The README's five minutes, copied line by line into a fresh host."""
import re

from trees import ROOT


def lines_of(heading):
    """The indented block below a heading, as a person would copy it."""
    section = re.search(rf"^## {heading}\n(.*?)^## ", (ROOT / "README.md").read_text(), re.M | re.S)[1]
    return "".join(line[4:] + "\n" for line in section.splitlines() if line.startswith("    "))


def test_five_minutes_on_a_host(bare):
    script = lines_of("Five minutes on a host")
    assert "db init" in script and "rollbackctl drill users-api" in script
    done = bare.run(["bash", "-e", "-c", f"export DEBIAN_FRONTEND=noninteractive; cd /root\n{script}"])
    assert "users-api: drill succeeded: 2.4.0 -> 2.3.0" in done.stdout
    bare.wait(lambda: bare.get("/run/rollbackd-follow/users-api") == "2.4.0\n", "the follower")
    bare.wait(lambda: "users-api" in bare.ctl("status").stdout, "the service in rollbackctl status")
    assert bare.run("systemctl --failed --no-legend").stdout == "" and bare.state() == "running"
    # Nothing serves: observe mode keeps what it would have done, and moves nothing.
    where = ["psql", "-X", "-A", "-t", "-d", "platform", "-c"]
    bare.wait(lambda: bare.say(where + ["SELECT rollbackd.active('users-api')"], user="postgres") == "2.4.0", "the pointer")
    assert bare.say(where + ["SELECT count(*) FROM rollbackd.operation"], user="postgres") == "0"
    # The commands that the table offers are there.
    bare.ctl("rollback", "users-api", "--yes", "--reason", "tried by hand")
    bare.wait(lambda: bare.get("/run/rollbackd-follow/users-api") == "2.3.0\n", "the follower")
