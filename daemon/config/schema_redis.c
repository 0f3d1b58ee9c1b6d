/* schema_redis.c: the keys of probes of kind "redis". */
#include "config.h"
#include "config_schema_rows.h"

static const ConfigKey rows[] = {
        { SECTION_PROBE, "user", KIND_TEXT, AT(ProbeConfig, redis.user), .minimum = "1",
          .maximum = "128", .kinds = BIT(PROBE_REDIS),
          .help = "who we are to the server, with password_file; the default user unless given" },
        { SECTION_PROBE, "password_file", KIND_SECRET, AT(ProbeConfig, redis.password_file),
          .kinds = BIT(PROBE_REDIS), .help = "secret that holds the password; none unless given" },
        { SECTION_PROBE, "database", KIND_INTEGER, AT(ProbeConfig, redis.database), .fallback = "0",
          .minimum = "0", .maximum = "65535", .kinds = BIT(PROBE_REDIS),
          .help = "number of the database that must be there" },
        { SECTION_PROBE, "role", KIND_ENUM, AT(ProbeConfig, redis.role), .fallback = "any",
          .words = &config_server_roles, .kinds = BIT(PROBE_REDIS),
          .help = "what the server must be, so as not to be bad" },
};

const ConfigTable config_schema_redis = { rows, ELEMENTSOF(rows) };
