/* schema_pressure.c: the keys of `probes` that kind "pressure" alone has. */
#include "config.h"
#include "config_schema_rows.h"

static const ConfigKey rows[] = {
        { SECTION_PROBE, "cgroup", KIND_CGROUP, AT(ProbeConfig, pressure.cgroup),
          .kinds = BIT(PROBE_PRESSURE),
          .help = "control group on this host; the whole host unless given" },
        { SECTION_PROBE, "disk", KIND_PATH, AT(ProbeConfig, pressure.disk),
          .kinds = BIT(PROBE_PRESSURE),
          .help = "path on the file system whose room is reported; none unless given" },
};

const ConfigTable config_schema_pressure = { rows, ELEMENTSOF(rows) };
