"""Probes of kind exec: plugins of Debian as children of the daemon, and what a program may do in the daemon's sandbox and what not."""
from test_host_kinds import shown, watch

PLUGINS = "/usr/lib/nagios/plugins"
# What a program finds, as the numbers of a plugin; of what it tries, 1 is what worked.
LOOK = r"""#!/bin/sh
can() { "$@" >/dev/null 2>&1 && echo 1 || echo 0; }
names=$(env | cut -d= -f1 | sort | tr '\n' ' ')
[ "$names" = "LC_ALL PATH PWD ROLLBACKD_PROBE ROLLBACKD_SERVICE " ] || { echo "$names"; exit 2; }
[ "$PWD" = / ] || { echo "$PWD"; exit 2; }
if read -r line; then echo "input: $line"; exit 2; fi
echo "LOOKED | uid=$(id -u) raised=$(/usr/local/bin/raised -u) rights=$(grep -c '^Cap...:.*[1-9a-f]' /proc/self/status)\
 oom=$(cat /proc/self/oom_score_adj) descriptors=$(ls /proc/self/fd | wc -l) files=$(ulimit -n)\
 secret=$(can cat /etc/rollbackd/secrets/hook) journal=$(journalctl -q -n 1 -o cat _PID=1 | grep -c .) tmp=$(can touch /tmp/of-program)\
 etc=$(can touch /etc/rollbackd/policies.d/of-program) state=$(can touch /var/lib/rollbackd/of-program) home=$(can ls /home/alice)\
 foreign=$(ps -e -o uid= | grep -vcw "$(id -u)") mount=$(can mount -t tmpfs none /tmp) namespace=$(can unshare --user true)"
"""
FOUND = {"rights": 0, "oom": 500, "descriptors": 4, "files": 1024, "secret": 1, "journal": 1, "tmp": 1, "etc": 0, "state": 1, "home": 0,
         "foreign": 0, "mount": 0, "namespace": 0}
# One that leaves its group and does not want to end.
STRAY = """#!/bin/sh
trap '' TERM
setsid sleep 4242 &
sleep 4242
"""


def run(site, **programs):
    """Each a probe that runs these words once, or seldom."""
    watch(site, **{name: {"kind": "exec", "command": words, "timeout": "50s", "interval": "60s"} for name, words in programs.items()})


def result(site, probe):
    return site.wait(lambda: next((t for t in shown(site, probe) if t.get("outcome")), None), f"the end of {probe}")


def test_plugins_of_debian(site):
    run(site, disk=[f"{PLUGINS}/check_disk", "-w", "0%", "-c", "0%", "-p", "/var/lib"],
        page=[f"{PLUGINS}/check_http", "-I", "127.0.0.1", "-p", "8080", "-u", "/healthz"],
        shut=[f"{PLUGINS}/check_tcp", "-H", "127.0.0.1", "-p", "1", "-t", "2"],
        own=[f"{PLUGINS}/check_procs", "-u", "rollbackd"], foreign=[f"{PLUGINS}/check_procs", "-u", "postgres"],
        echo=[f"{PLUGINS}/check_icmp", "127.0.0.1"])
    disk = result(site, "disk")
    assert disk["outcome"] == "ok" and disk["words"].startswith("DISK OK"), disk
    page = result(site, "page")
    assert page["outcome"] == "ok" and 0 < page["values"]["time"] < 10, page
    assert result(site, "shut")["outcome"] == "error" and result(site, "shut")["state"] != "unknown"
    # What the manual says that a plugin does not see or get here is unknown or missing to it, and convicts nobody.
    assert result(site, "own")["values"]["procs"] >= 1
    assert result(site, "foreign")["values"]["procs"] == 0 and site.run("pgrep -u postgres").stdout
    echo = result(site, "echo")
    assert echo["outcome"] == "no_data" and "Operation not permitted" in echo["words"], echo


def test_what_a_program_may_do(site):
    site.put("/usr/local/bin/look", LOOK, mode="0755")
    site.run("cp /usr/bin/id /usr/local/bin/raised && chmod 4755 /usr/local/bin/raised")
    site.run("install -d -m 0755 /home/alice")
    site.put("/etc/rollbackd/secrets/hook", "secret\n", "0640", "root:rollbackd")
    assert site.say("/usr/local/bin/raised -u", user="alice") == "0"
    run(site, look=["/usr/local/bin/look"])
    looked = result(site, "look")
    uid = int(site.say("id -u rollbackd"))
    assert looked["outcome"] == "ok" and looked["values"] == {"uid": uid, "raised": uid, **FOUND}, looked
    assert site.run("test -e /tmp/of-program", check=False).returncode != 0


def test_a_stop_leaves_no_program(site):
    site.put("/usr/local/bin/stray", STRAY, mode="0755")
    run(site, stray=["/usr/local/bin/stray"])
    site.wait(lambda: len(site.run("pgrep -u rollbackd -f 'sleep 4242'", check=False).stdout.split()) == 2, "both to run")
    site.run("systemctl stop rollbackd", seconds=20)
    assert site.property("Result") == "success", site.shown()
    assert site.run("pgrep -u rollbackd", check=False).stdout == ""
