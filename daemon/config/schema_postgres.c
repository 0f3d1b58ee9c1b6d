/* schema_postgres.c: the keys of probes of kind "postgres". */
#include "config.h"
#include "config_schema_rows.h"

static const char *role_word(unsigned i) {
        static const char *const words[_ROLE_MAX] = {
                [ROLE_ANY] = "any",
                [ROLE_PRIMARY] = "primary",
                [ROLE_REPLICA] = "replica",
        };
        return words[i];
}

const ConfigWords config_server_roles = { _ROLE_MAX, role_word };

static const ConfigKey rows[] = {
        { SECTION_PROBE, "conninfo", KIND_CONNINFO, AT(ProbeConfig, postgres.conninfo),
          .required = true, .kinds = BIT(PROBE_POSTGRES),
          .help = "connection string of libpq, of one server, without password" },
        { SECTION_PROBE, "password_file", KIND_SECRET, AT(ProbeConfig, postgres.password_file),
          .kinds = BIT(PROBE_POSTGRES),
          .help = "secret that holds the password; none unless given" },
        { SECTION_PROBE, "query", KIND_TEXT, AT(ProbeConfig, postgres.query), .minimum = "1",
          .maximum = "4096", .kinds = BIT(PROBE_POSTGRES),
          .help = "one statement that reads one row, whose numbers become values; none unless "
                  "given" },
        { SECTION_PROBE, "role", KIND_ENUM, AT(ProbeConfig, postgres.role), .fallback = "any",
          .words = &config_server_roles, .kinds = BIT(PROBE_POSTGRES),
          .help = "what the server must be, so as not to be bad" },
};

const ConfigTable config_schema_postgres = { rows, ELEMENTSOF(rows) };
