"""A world whose rollbackd runs on a host of its own. The files and sockets of this machine are its too, so that the ledger and
the API are at hand; the network is not."""
from world import World

DOWN = {"warmup": "200ms", "watch": "1h", "bake": {"time": "1h"}}


class HostedWorld(World):
    def __init__(self, host):
        super().__init__()
        self.daemon.prefix = host.prefix

    def conninfo(self, user="rollbackd"):
        return f"host={self.cluster.root} dbname={self.database} user={user}"

    def describe(self):
        return self.daemon.log()[-3000:]


def policy_on(service, targets, **probe):
    """A probe for each kind, `targets` by kind; when any is down, the service is to be rolled back at once."""
    probes = {kind: {"kind": kind, "interval": "300ms", "timeout": "200ms", "fall": 2, **probe, "targets": list(of_kind)}
              for kind, of_kind in targets.items()}
    rules = [{"name": kind, "kind": "down", "probe": kind, "at_least": "1%", "hold": "300ms", "response": "rollback"}
             for kind in probes]
    return {"service": service, "release": DOWN, "probes": probes, "rules": rules,
            "rollback": {"mode": "automatic", "settle": "300ms", "verify": "1s"}}
