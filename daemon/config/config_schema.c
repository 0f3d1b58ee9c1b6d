#include "config.h"
#include "config_schema_rows.h"

static const ConfigTable *const tables[] = {
        &config_schema_service,  &config_schema_probe,   &config_schema_http,
        &config_schema_unit,     &config_schema_journal, &config_schema_pressure,
        &config_schema_postgres, &config_schema_redis,   &config_schema_exec,
        &config_schema_promql,   &config_schema_judge,   &config_schema_tls,
        &config_schema_step,     &config_schema_daemon,
};

#define NO_LINE SIZE_MAX

static const struct {
        const char *path;
        size_t line; /* offset of the line number in the section's struct, or NO_LINE */
        /* the section around it whose struct it shares, and whose `kind` says which keys it has */
        ConfigSection outer;
} sections[_SECTION_MAX] = {
        [SECTION_SERVICE] = { "", NO_LINE, SECTION_SERVICE },
        [SECTION_RELEASE] = { "release", NO_LINE, SECTION_RELEASE },
        [SECTION_BAKE] = { "release.bake", NO_LINE, SECTION_BAKE },
        [SECTION_PROBE] = { "probes.*", offsetof(ProbeConfig, line), SECTION_PROBE },
        [SECTION_EXPECT] = { "probes.*.expect", NO_LINE, SECTION_PROBE },
        [SECTION_TLS] = { "probes.*.tls", NO_LINE, SECTION_PROBE },
        [SECTION_VALUE] = { "probes.*.expect.values[]", offsetof(ValueExpectation, line),
                            SECTION_VALUE },
        [SECTION_REQUEST_HEADER] = { "probes.*.headers[], probes.*.steps[].headers[]",
                                     offsetof(HttpHeaderConfig, line), SECTION_REQUEST_HEADER },
        [SECTION_EXPECT_HEADER] = { "probes.*.expect.headers[], probes.*.steps[].expect.headers[]",
                                    offsetof(HttpHeaderExpectation, line), SECTION_EXPECT_HEADER },
        [SECTION_EXPECT_JSON] = { "probes.*.expect.json[], probes.*.steps[].expect.json[]",
                                  offsetof(HttpJsonExpectation, line), SECTION_EXPECT_JSON },
        [SECTION_HTTP_STEP] = { "probes.*.steps[]", offsetof(HttpCallConfig, line),
                                SECTION_HTTP_STEP },
        [SECTION_HTTP_STEP_EXPECT] = { "probes.*.steps[].expect", NO_LINE, SECTION_HTTP_STEP },
        [SECTION_TAKE] = { "probes.*.steps[].take[]", offsetof(HttpTakeConfig, line),
                           SECTION_TAKE },
        [SECTION_SIGNAL] = { "signals.*", offsetof(SignalConfig, line), SECTION_SIGNAL },
        [SECTION_RULE] = { "rules[]", offsetof(RuleConfig, line), SECTION_RULE },
        [SECTION_ROLLBACK] = { "rollback", NO_LINE, SECTION_ROLLBACK },
        [SECTION_BUDGET] = { "rollback.budget", NO_LINE, SECTION_BUDGET },
        [SECTION_STEP] = { "rollback.steps[]", offsetof(StepConfig, line), SECTION_STEP },
        [SECTION_CHANNEL] = { "notify[], alerts[]", offsetof(ChannelConfig, line),
                              SECTION_CHANNEL },
        [SECTION_DAEMON] = { "", NO_LINE, SECTION_DAEMON },
        [SECTION_LEDGER] = { "ledger", NO_LINE, SECTION_LEDGER },
        [SECTION_HTTP] = { "http", NO_LINE, SECTION_HTTP },
};

const ConfigKey *config_schema_next(const ConfigKey *k) {
        if (!k)
                return tables[0]->rows;
        for (size_t i = 0; i < ELEMENTSOF(tables); i++)
                if (k >= tables[i]->rows && k < tables[i]->rows + tables[i]->n) {
                        if (k + 1 < tables[i]->rows + tables[i]->n)
                                return k + 1;
                        return i + 1 < ELEMENTSOF(tables) ? tables[i + 1]->rows : NULL;
                }
        return NULL;
}

const ConfigKey *config_schema_find(ConfigSection section, const char *key, unsigned kind) {
        CONFIG_SCHEMA_FOREACH (k)
                if (k->section == section && streq(k->key, key) &&
                    (kind == 0 || k->kinds == 0 || (k->kinds & kind)))
                        return k;
        return NULL;
}

const char *config_section_path(ConfigSection section) {
        return sections[section].path;
}

const ConfigWords *config_section_kinds(ConfigSection section) {
        const ConfigKey *k = config_schema_find(section, "kind", 0);

        return k && k->kind == KIND_ENUM ? k->words : NULL;
}

ConfigSection config_section_outer(ConfigSection section) {
        return sections[section].outer;
}

size_t config_section_line(ConfigSection section) {
        return sections[section].line;
}
