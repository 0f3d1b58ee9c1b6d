/* schema_exec.c: the keys of probes of kind exec. */
#include "config.h"
#include "config_schema_rows.h"

static const char *verdict_word(unsigned i) {
        static const char *const words[] = { "good", "bad" };

        return words[i];
}

static const ConfigWords verdicts = { 2, verdict_word };

static const ConfigKey rows[] = {
        { SECTION_PROBE, "command", KIND_TEXTS, ARRAY_IN(ProbeConfig, exec, command),
          .kinds = BIT(PROBE_EXEC), .minimum = "1", .maximum = "64", .required = true,
          .help = "the program's absolute path and its arguments; no shell reads them" },
        { SECTION_PROBE, "warning", KIND_ENUM, AT(ProbeConfig, exec.warning_is_bad),
          .kinds = BIT(PROBE_EXEC), .fallback = "good", .words = &verdicts,
          .help = "what exit code 1, WARNING, is" },
};

const ConfigTable config_schema_exec = { rows, ELEMENTSOF(rows) };
