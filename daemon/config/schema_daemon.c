/* schema_daemon.c: the keys of rollbackd.conf. */
#include "config.h"
#include "config_schema_rows.h"

static const ConfigKey rows[] = {
        { SECTION_DAEMON, "ledger", KIND_SECTION, .inner = SECTION_LEDGER, .help = "the database" },
        { SECTION_DAEMON, "http", KIND_SECTION, .inner = SECTION_HTTP, .help = "where to listen" },
        { SECTION_DAEMON, "alerts", KIND_LIST, ARRAY(DaemonConfig, alerts),
          .inner = SECTION_CHANNEL, .maximum = "1",
          .help = "who is told when rollbackd itself needs a person" },
        { SECTION_DAEMON, "policies", KIND_PATH, AT(DaemonConfig, policies),
          .fallback = "/etc/rollbackd/policies.d", .help = "directory of the policy files" },
        { SECTION_DAEMON, "secrets", KIND_PATH, AT(DaemonConfig, secrets),
          .fallback = "/etc/rollbackd/secrets", .help = "directory of the secrets" },
        { SECTION_DAEMON, "retention", KIND_DURATION, AT(DaemonConfig, retention),
          .fallback = "400d", .minimum = "30d", .maximum = "3650d",
          .help = "age at which events, deliveries and closed operations go from the ledger" },

        { SECTION_LEDGER, "conninfo", KIND_CONNINFO, AT(DaemonConfig, conninfo),
          .help = "how to connect, as libpq takes it; without it nothing is recorded and nothing "
                  "done" },
        { SECTION_LEDGER, "password_file", KIND_SECRET, AT(DaemonConfig, password_file),
          .help = "name of the secret that is the password" },

        { SECTION_HTTP, "socket", KIND_SOCKET, AT(DaemonConfig, socket),
          .fallback = "/run/rollbackd/rollbackd.sock",
          .help = "unix socket, reads and writes; empty: none" },
        { SECTION_HTTP, "listen", KIND_LISTEN, AT(DaemonConfig, listen),
          .fallback = "127.0.0.1:7331", .help = "loopback address, reads only; empty: none" },
};

const ConfigTable config_schema_daemon = { rows, ELEMENTSOF(rows) };
