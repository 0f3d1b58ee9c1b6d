/* schema_promql.c: the keys of probes of kind promql. */
#include "config.h"
#include "config_schema_rows.h"

static const char *reduction_word(unsigned i) {
        static const char *const words[_REDUCE_MAX] = {
                [REDUCE_NONE] = "none", [REDUCE_MAX] = "max", [REDUCE_MIN] = "min",
                [REDUCE_SUM] = "sum",   [REDUCE_AVG] = "avg", [REDUCE_COUNT] = "count",
        };
        return words[i];
}

static const ConfigWords reductions = { _REDUCE_MAX, reduction_word };

#define PROMQL(member) AT(ProbeConfig, promql.member), .kinds = BIT(PROBE_PROMQL)

static const ConfigKey rows[] = {
        { SECTION_PROBE, "url", KIND_URL, PROMQL(url), .required = true,
          .help = "of the metrics store, without /api/v1/query" },
        { SECTION_PROBE, "query", KIND_TEXT, PROMQL(query), .required = true, .minimum = "1",
          .maximum = "16384", .help = "in PromQL, for one number" },
        { SECTION_PROBE, "reduce", KIND_ENUM, PROMQL(reduce), .fallback = "none",
          .words = &reductions, .help = "how several series become one number; none refuses them" },
        { SECTION_PROBE, "max_age", KIND_DURATION, PROMQL(max_age), .fallback = "5m",
          .minimum = "1s", .maximum = "1d", .help = "older samples and older answers are no data" },
        { SECTION_PROBE, "tenant", KIND_TEXT, PROMQL(tenant), .minimum = "1", .maximum = "256",
          .help = "sent as X-Scope-OrgID; none unless given" },
        { SECTION_PROBE, "user", KIND_TEXT, PROMQL(user), .minimum = "1", .maximum = "256",
          .help = "of Basic authentication; none unless given" },
        { SECTION_PROBE, "password_file", KIND_SECRET, PROMQL(password_file),
          .help = "secret that holds the user's password" },
        { SECTION_PROBE, "token_file", KIND_SECRET, PROMQL(token_file),
          .help = "secret that holds a bearer token; none unless given" },
};

const ConfigTable config_schema_promql = { rows, ELEMENTSOF(rows) };
