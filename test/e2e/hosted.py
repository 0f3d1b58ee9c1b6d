"""A world whose rollbackd runs on a host of its own. The files and sockets of this machine are its too, so that the ledger and
the API are at hand; the network is not."""
import sys

from hosts import HERE
from world import World

DOWN = {"warmup": "200ms", "watch": "1h", "bake": {"time": "1h"}}


class HostedWorld(World):
    def __init__(self, host, **settings):
        """`settings` take the place of those of rollbackd.conf."""
        self.host, self.changes = host, settings
        super().__init__()
        self.daemon.prefix = host.prefix

    def conninfo(self, user="rollbackd", host=None, port=5432):
        return f"host={host or self.cluster.root} port={port} dbname={self.database} user={user} sslmode=disable " \
               "gssencmode=disable"

    def settings(self):
        return {**super().settings(), **self.changes}

    def relay(self):
        """A port of the host's that leads to the ledger's server."""
        program = self.host.start(sys.executable, "-c", f"import sys; sys.path.insert(0, '{HERE}'); from proxy import Proxy; "
                                  f"print(Proxy('{self.cluster.root}/.s.PGSQL.5432').port, flush=True); sys.stdin.read()")
        return int(program.stdout.readline())

    def targets(self, service):
        """What is said of each target, by probe and URL."""
        return {(probe["name"], target["url"]): target
                for probe in self.service(service)["probes"] for target in probe["targets"]}


def policy_on(service, targets, **probe):
    """A probe for each kind, `targets` by kind; when any is down, the service is to be rolled back at once."""
    probes = {kind: {"kind": kind, "interval": "300ms", "timeout": "200ms", "fall": 2, **probe, "targets": list(of_kind)}
              for kind, of_kind in targets.items()}
    rules = [{"name": kind, "kind": "down", "probe": kind, "at_least": "1%", "hold": "300ms", "response": "rollback"}
             for kind in probes]
    return {"service": service, "release": DOWN, "probes": probes, "rules": rules,
            "rollback": {"mode": "automatic", "settle": "300ms", "verify": "1s"}}
