/* schema_unit.c: the keys of `probes` that kind "unit" alone has. */
#include "config.h"
#include "config_schema_rows.h"

static const ConfigKey rows[] = {
        { SECTION_PROBE, "units", KIND_UNITS, ARRAY(ProbeConfig, targets), .minimum = "1",
          .maximum = "64", .required = true, .kinds = BIT(PROBE_UNIT),
          .help = "units of systemd on this host, with their suffix" },
};

const ConfigTable config_schema_unit = { rows, ELEMENTSOF(rows) };
