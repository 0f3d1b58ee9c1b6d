/* schema_journal.c: the keys of `probes` that kind "journal" alone has. */
#include "config.h"
#include "config_schema_rows.h"

/* In syslog's order, so that a word's index is its number. */
static const char *priority_word(unsigned i) {
        static const char *const words[] = { "emerg",   "alert",  "crit", "err",
                                             "warning", "notice", "info", "debug" };
        return words[i];
}

static const ConfigWords priorities = { 8, priority_word };

static const ConfigKey rows[] = {
        { SECTION_PROBE, "units", KIND_UNITS, ARRAY(ProbeConfig, targets), .minimum = "1",
          .maximum = "16", .required = true, .kinds = BIT(PROBE_JOURNAL),
          .help = "units of systemd on this host whose entries count, each for itself" },
        { SECTION_PROBE, "priority", KIND_ENUM, AT(ProbeConfig, journal.priority),
          .words = &priorities, .fallback = "err", .kinds = BIT(PROBE_JOURNAL),
          .help = "entries of this priority and of more urgent ones count" },
        { SECTION_PROBE, "matches", KIND_TEXT, AT(ProbeConfig, journal.matches), .minimum = "1",
          .maximum = "1024", .kinds = BIT(PROBE_JOURNAL),
          .help = "regular expression that the whole message must match; any unless given" },
};

const ConfigTable config_schema_journal = { rows, ELEMENTSOF(rows) };
