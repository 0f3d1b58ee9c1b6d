/* schema_probe.c: the keys of `probes`: those of every kind, and of metrics. */
#include "config.h"
#include "config_schema_rows.h"

static const char *probe_kind_word(unsigned i) {
        static const char *const words[_PROBE_KIND_MAX] = {
                [PROBE_HTTP] = "http",       [PROBE_TCP] = "tcp",
                [PROBE_METRICS] = "metrics", [PROBE_UNIT] = "unit",
                [PROBE_JOURNAL] = "journal", [PROBE_PRESSURE] = "pressure",
                [PROBE_REDIS] = "redis",     [PROBE_POSTGRES] = "postgres",
                [PROBE_EXEC] = "exec",       [PROBE_PROMQL] = "promql",
        };
        return words[i];
}

static const ConfigWords probe_kinds = { _PROBE_KIND_MAX, probe_kind_word };

/* Kinds whose targets the file lists; those of others follow from what they ask. */
/* Of the others what takes long is our own host, a program, or a metrics store, and no service. */
#define ANSWERING (TARGETED | BIT(PROBE_POSTGRES))
#define TARGETED (BIT(PROBE_HTTP) | BIT(PROBE_TCP) | BIT(PROBE_METRICS) | BIT(PROBE_REDIS))

static const ConfigKey rows[] = {
        { SECTION_PROBE, "kind", KIND_ENUM, AT(ProbeConfig, kind), .words = &probe_kinds,
          .required = true, .help = "how to probe" },
        { SECTION_PROBE, "targets", KIND_TARGETS, ARRAY(ProbeConfig, targets), .minimum = "1",
          .maximum = "256", .required = true, .kinds = TARGETED,
          .help = "what to probe: URLs, host:port for tcp, unix:/path" },
        { SECTION_PROBE, "interval", KIND_DURATION, AT(ProbeConfig, interval), .pace = true,
          .fallback = "5s", .minimum = "10ms", .maximum = "1h",
          .help = "from the start of one probe to the next" },
        { SECTION_PROBE, "fast_interval", KIND_DURATION, AT(ProbeConfig, fast_interval),
          .pace = true, .minimum = "10ms", .maximum = "1h",
          .help = "the interval of a target that began to deviate; none unless given" },
        { SECTION_PROBE, "spread", KIND_DURATION, AT(ProbeConfig, spread), .pace = true,
          .minimum = "10ms", .maximum = "1h",
          .help = "first starts lie within it, and so do all later ones; the interval unless "
                  "given" },
        { SECTION_PROBE, "timeout", KIND_DURATION, AT(ProbeConfig, timeout), .pace = true,
          .minimum = "1ms", .maximum = "1m",
          .help = "for one probe as a whole; unless given 2s, or the interval if that is shorter" },
        { SECTION_PROBE, "name_ttl", KIND_DURATION, AT(ProbeConfig, name_ttl), .pace = true,
          .kinds = TARGETED, .fallback = "30s", .minimum = "1s", .maximum = "1h",
          .help = "how long the addresses of a target's name are used before it is asked again" },
        { SECTION_PROBE, "rise", KIND_INTEGER, AT(ProbeConfig, rise), .fallback = "2",
          .minimum = "1", .maximum = "100",
          .help = "good samples in a row that turn a target good" },
        { SECTION_PROBE, "fall", KIND_INTEGER, AT(ProbeConfig, fall), .fallback = "3",
          .minimum = "1", .maximum = "100", .help = "bad samples in a row that turn a target bad" },
        { SECTION_PROBE, "dependency", KIND_BOOL, AT(ProbeConfig, dependency), .fallback = "false",
          .help = "true: not the service but what it leans on; while it is bad nothing is rolled "
                  "back" },
        { SECTION_PROBE, "connection", KIND_CONNECTION, AT(ProbeConfig, reuse), .pace = true,
          .kinds = BIT(PROBE_HTTP) | BIT(PROBE_METRICS), .fallback = "fresh",
          .help = "\"fresh\": each probe has its own; \"reuse:10\": ten in a row share one" },
        { SECTION_PROBE, "tls", KIND_SECTION, .inner = SECTION_TLS,
          .kinds = BIT(PROBE_HTTP) | BIT(PROBE_METRICS) | BIT(PROBE_REDIS),
          .help = "how https and rediss targets are spoken to" },
        { SECTION_PROBE, "expect", KIND_SECTION, .inner = SECTION_EXPECT,
          .help = "what a good answer looks like" },
        { SECTION_PROBE, "version_label", KIND_LABEL, AT(ProbeConfig, version_label),
          .kinds = BIT(PROBE_METRICS), .help = "metric.label that names the version" },
        { SECTION_PROBE, "max_body", KIND_BYTES, AT(ProbeConfig, max_body), .pace = true,
          .kinds = BIT(PROBE_HTTP), .fallback = "1MiB", .minimum = "1KiB", .maximum = "64MiB",
          .help = "largest body that is read" },
        { SECTION_PROBE, "max_body", KIND_BYTES, AT(ProbeConfig, max_body), .pace = true,
          .kinds = BIT(PROBE_METRICS), .fallback = "16MiB", .minimum = "1KiB", .maximum = "64MiB",
          .help = "largest page that is read" },

        { SECTION_EXPECT, "latency", KIND_DURATION, AT(ProbeConfig, latency), .minimum = "1ms",
          .maximum = "1m", .kinds = ANSWERING,
          .help = "a good answer that takes longer is bad; any that comes in time unless given" },
        { SECTION_EXPECT, "values", KIND_LIST, ARRAY(ProbeConfig, values), .inner = SECTION_VALUE,
          .maximum = "16", .help = "limits on the values that the probe reports" },
        { SECTION_VALUE, "name", KIND_VALUE, AT(ValueExpectation, name), .required = true,
          .help = "the value" },
        { SECTION_VALUE, "at_least", KIND_NUMBER, AT(ValueExpectation, at_least),
          .help = "bad when below; no limit unless given" },
        { SECTION_VALUE, "at_most", KIND_NUMBER, AT(ValueExpectation, at_most),
          .help = "bad when above; no limit unless given" },
};

const ConfigTable config_schema_probe = { rows, ELEMENTSOF(rows) };
