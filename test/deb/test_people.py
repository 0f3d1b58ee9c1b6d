"""Who may do what, by the account of the host that asks."""
from site_host import SERVICE


def test_a_member_of_the_group_rolls_back_and_the_event_names_him(site):
    site.watch()
    site.deploy("v2")
    site.wait(lambda: site.service()["version"] == "v2", "the deploy to be seen")
    site.manual = {site.value("SELECT epoch FROM rollbackd.service")}
    done = site.ctl("rollback", SERVICE, "--reason", "the search is empty", "--yes", user="alice")
    site.wait_active("v1")
    operation = site.wait_state("recovered", "unverified")
    assert operation["id"] in done.stdout and not operation["automatic"]
    uid = site.say("id -u alice")
    assert f"uid:{uid}" in operation["actor"], operation["actor"]
    assert site.value("SELECT actor FROM rollbackd.event WHERE operation = %s ORDER BY seq LIMIT 1", operation["id"]) == operation["actor"]


def test_a_user_outside_the_group_may_read_and_not_write(site):
    site.watch()
    site.deploy("v2")
    done = site.ctl("rollback", SERVICE, "--reason", "I should not", "--yes", user="bob", check=False)
    assert done.returncode == 7 and "rollbackd-admin" in done.stderr, done.stderr
    assert site.active() == "v2" and site.operations() == []
    # A read as well, for the socket is one; and the ledger says how to become somebody.
    done = site.ctl("status", user="bob", check=False)
    assert done.returncode == 7 and "usermod -aG rollbackd-admin" in done.stderr, done.stderr
    done = site.run("rollbackctl active users-api --conninfo dbname=site", user="bob", check=False)
    assert done.returncode == 7 and "rollbackctl db init --database site --operator bob" in done.stderr, done.stderr
    assert site.say(f"curl -sf http://127.0.0.1:7331/api/v1/services/{SERVICE}", user="bob").startswith("{")
    refused = site.say(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Content-Type: application/json", "-d",
                        '{"reason": "I should not"}', f"http://127.0.0.1:7331/api/v1/services/{SERVICE}/rollback"], user="bob")
    assert refused == "403"
    assert site.active() == "v2"
