/* config_check_values.c: limits on what probes report: a name that is never reported would leave
 * every sample unknown. */
#include <math.h>

#include "config_check.h"
#include "config_value.h"

#define NAMES_MAX 14

/* What each kind reports by itself. */
static const char *const reported[_PROBE_KIND_MAX][NAMES_MAX] = {
        [PROBE_HTTP] = { "certificate_days" },
        [PROBE_METRICS] = { "certificate_days" },
        [PROBE_POSTGRES] = { "connect_seconds", "in_recovery", "receiving", "lag_seconds",
                             "lag_bytes" },
        [PROBE_REDIS] = { "uptime_seconds", "replicas", "link_up", "lag_seconds",
                          "certificate_days" },
        [PROBE_UNIT] = { "restarts", "active_seconds" },
        [PROBE_JOURNAL] = { "entries", "per_second" },
        [PROBE_PRESSURE] = { "cpu_some_avg10", "memory_some_avg10", "memory_full_avg10",
                             "io_some_avg10", "io_full_avg10", "cpu_percent", "memory_percent",
                             "memory_bytes", "oom_kills", "disk_percent", "disk_free_bytes",
                             "inodes_percent" },
        [PROBE_PROMQL] = { "value" },
};

/* "step_2_seconds" */
static bool is_step_time(const HttpProbeConfig *http, const char *name) {
        for (size_t i = 1; i <= http->n_steps; i++) {
                STRBUF(b, 64);

                strbuf_add(&b, "step_");
                strbuf_add_u64(&b, i);
                strbuf_add(&b, "_seconds");
                if (streq(b.text, name))
                        return true;
        }
        return false;
}

static bool is_of_json(const HttpProbeConfig *http, const char *name) {
        const HttpCallConfig *calls = http->n_steps > 0 ? http->steps : &http->call;

        for (size_t i = 0; i < MAX(http->n_steps, (size_t)1); i++)
                for (size_t j = 0; j < calls[i].n_json; j++)
                        if (calls[i].json[j].value && streq(calls[i].json[j].value, name))
                                return true;
        return false;
}

/* What a program prints, and what a query's columns are called, is not known here. */
static bool may_report(const ProbeConfig *p, const char *name) {
        for (size_t i = 0; i < NAMES_MAX && reported[p->kind][i]; i++)
                if (streq(reported[p->kind][i], name))
                        return true;
        return p->kind == PROBE_EXEC || (p->kind == PROBE_POSTGRES && p->postgres.query) ||
               (p->kind == PROBE_HTTP &&
                (is_step_time(&p->http, name) || is_of_json(&p->http, name)));
}

static void add_reported(const ProbeConfig *p, StrBuf *b) {
        const char *const *names = reported[p->kind];

        strbuf_add(b, " is nothing that this probe reports, so every sample would be unknown; ");
        if (!names[0]) {
                strbuf_add(b, "remove it");
                return;
        }
        strbuf_add(b, "write one of ");
        for (size_t i = 0; i < NAMES_MAX && names[i]; i++) {
                strbuf_add(b, i > 0 ? ", " : "");
                strbuf_add(b, names[i]);
        }
        if (p->kind == PROBE_HTTP)
                strbuf_add(b, ", a `value` of expect.json, and step_1_seconds and so on of steps");
        if (p->kind == PROBE_POSTGRES)
                strbuf_add(b, ", or give it a query");
}

static void refuse(const ProbeConfig *p, const ValueExpectation *v, const char *words,
                   ConfigErrors *e) {
        STRBUF(path, CONFIG_PATH_SIZE);

        strbuf_add(&path, "probes.");
        strbuf_add(&path, p->name);
        strbuf_add(&path, ".expect.values");
        config_errors_add(e, v->line, path.text, words);
}

void config_check_values(const ProbeConfig *p, ConfigErrors *e) {
        for (size_t i = 0; i < p->n_values; i++) {
                const ValueExpectation *v = &p->values[i];
                STRBUF(words, 640);

                if (v->line == 0)
                        continue;
                if (isnan(v->at_least) && isnan(v->at_most))
                        refuse(p, v, "names a value without a limit; write at_least or at_most", e);
                if (v->at_least > v->at_most)
                        refuse(p, v,
                               "wants at least more than at most, which no value is; write "
                               "at_least below at_most",
                               e);
                if (may_report(p, v->name))
                        continue;
                config_add_shown(&words, v->name);
                add_reported(p, &words);
                refuse(p, v, words.text, e);
        }
}
