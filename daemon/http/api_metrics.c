/* /metrics, in the Prometheus text format 0.0.4: families one by one, each with HELP and TYPE,
 * names and units as Prometheus asks. */
#include <stdio.h>
#include <unistd.h>

#include "api_internal.h"
#include "process_stat.h"

static void family(StrBuf *b, const char *name, const char *type, const char *help) {
        strbuf_add(b, "# HELP ");
        strbuf_add(b, name);
        strbuf_add_char(b, ' ');
        strbuf_add(b, help);
        strbuf_add(b, "\n# TYPE ");
        strbuf_add(b, name);
        strbuf_add_char(b, ' ');
        strbuf_add(b, type);
        strbuf_add_char(b, '\n');
}

static void add_label(StrBuf *b, const char *name, const char *value, bool first) {
        strbuf_add_char(b, first ? '{' : ',');
        strbuf_add(b, name);
        strbuf_add(b, "=\"");
        for (; *value != '\0'; value++) {
                if (*value == '\\' || *value == '"')
                        strbuf_add_char(b, '\\');
                if (*value == '\n')
                        strbuf_add(b, "\\n");
                else
                        strbuf_add_char(b, *value);
        }
        strbuf_add_char(b, '"');
}

/* One sample; a NULL label name ends the labels. */
static void sample(StrBuf *b, const char *name, const char *label1, const char *value1,
                   const char *label2, const char *value2, double value) {
        char number[40];

        strbuf_add(b, name);
        if (label1)
                add_label(b, label1, value1, true);
        if (label2)
                add_label(b, label2, value2, false);
        if (label1)
                strbuf_add_char(b, '}');
        snprintf(number, sizeof number, " %.15g\n", value);
        strbuf_add(b, number);
}

static void single(StrBuf *b, const char *name, const char *type, const char *help, double value) {
        family(b, name, type, help);
        sample(b, name, NULL, NULL, NULL, NULL, value);
}

static void add_process(StrBuf *b, const ApiStatus *status) {
        ProcessStat p = process_stat_read();

        family(b, "rollbackd_build_info", "gauge", "The version that runs.");
        sample(b, "rollbackd_build_info", "version", ROLLBACKD_VERSION, NULL, NULL, 1);
        single(b, "process_start_time_seconds", "gauge",
               "Start of the process in seconds since 1970.", status->started_at);
        single(b, "process_cpu_seconds_total", "counter", "CPU time of all threads.",
               p.cpu_seconds);
        single(b, "process_resident_memory_bytes", "gauge", "Resident memory.", p.resident_bytes);
        single(b, "process_open_fds", "gauge", "Open descriptors.", p.open_fds);
        single(b, "process_max_fds", "gauge", "Limit of open descriptors.", p.max_fds);
        single(b, "rollbackd_loop_longest_turn_seconds", "gauge",
               "Longest CPU time of one turn of the loop.",
               (double)status->longest_turn / USEC_PER_SEC);
}

static void add_work(StrBuf *b, const ApiStatus *status) {
        single(b, "rollbackd_config_last_reload_successful", "gauge",
               "Whether every policy file was good when they were last read.", status->reload_ok);
        single(b, "rollbackd_config_last_reload_success_timestamp_seconds", "gauge",
               "When every policy file was last good.", status->reloaded_at);
        single(b, "rollbackd_ledger_up", "gauge", "Whether the ledger can be reached.",
               status->ledger_up);
        single(b, "rollbackd_targets", "gauge", "Targets under probe.", (double)status->targets);
        single(b, "rollbackd_probes_total", "counter", "Probes that came to an end.",
               (double)status->probes);
        single(b, "rollbackd_probes_late_total", "counter",
               "Probes that started later than a tenth of their interval.", (double)status->late);
        single(b, "rollbackd_probes_overdue_total", "counter",
               "Probes whose result our own lateness made worthless.", (double)status->overdue);
        single(b, "rollbackd_commits_total", "counter", "Operations committed.",
               (double)status->commits);
        single(b, "rollbackd_commits_failed_total", "counter",
               "Operations given up before their commit.", (double)status->commits_failed);
        single(b, "rollbackd_deliveries_done_total", "counter", "Notices of policies delivered.",
               (double)status->deliveries_done);
        single(b, "rollbackd_deliveries_dead_total", "counter", "Notices of policies given up.",
               (double)status->deliveries_dead);
        single(b, "rollbackd_alerts_dropped_total", "counter",
               "Operator alerts that did not fit the queue.", (double)status->alerts_dropped);
        single(b, "rollbackd_log_lost_total", "counter",
               "Log messages that the journal did not take.", (double)status->log_lost);
}

typedef void (*ServiceSamples)(StrBuf *b, const char *name, const ServiceSnapshot *s);

static void health_samples(StrBuf *b, const char *name, const ServiceSnapshot *s) {
        for (int h = 0; h < _HEALTH_MAX; h++)
                sample(b, name, "service", s->policy->service, "health",
                       health_to_string((Health)h), s->health == (Health)h);
}

static void version_samples(StrBuf *b, const char *name, const ServiceSnapshot *s) {
        if (s->known)
                sample(b, name, "service", s->policy->service, "version", s->facts.version, 1);
}

static void epoch_samples(StrBuf *b, const char *name, const ServiceSnapshot *s) {
        if (s->known)
                sample(b, name, "service", s->policy->service, NULL, NULL, (double)s->facts.epoch);
}

static void automatic_samples(StrBuf *b, const char *name, const ServiceSnapshot *s) {
        sample(b, name, "service", s->policy->service, NULL, NULL,
               s->policy->rollback.mode == MODE_AUTOMATIC && s->known && s->facts.automatic);
}

static void target_samples(StrBuf *b, const char *name, const ServiceSnapshot *s) {
        sample(b, name, "service", s->policy->service, NULL, NULL, s->target.candidate != NULL);
}

static void holding_samples(StrBuf *b, const char *name, const ServiceSnapshot *s) {
        if (s->health == HEALTH_BAD && s->holding >= 0)
                sample(b, name, "service", s->policy->service, "guard",
                       guard_to_string(s->guards[s->holding].guard), 1);
}

static void operation_samples(StrBuf *b, const char *name, const ServiceSnapshot *s) {
        sample(b, name, "service", s->policy->service, NULL, NULL,
               s->operation_state != OPERATION_NONE);
}

static void rule_bad_samples(StrBuf *b, const char *name, const ServiceSnapshot *s) {
        for (size_t i = 0; i < s->n_rules; i++)
                sample(b, name, "service", s->policy->service, "rule", s->rules[i].policy->name,
                       s->rules[i].verdict.tri == TRI_BAD);
}

static void rule_unknown_samples(StrBuf *b, const char *name, const ServiceSnapshot *s) {
        for (size_t i = 0; i < s->n_rules; i++)
                sample(b, name, "service", s->policy->service, "rule", s->rules[i].policy->name,
                       s->rules[i].verdict.tri == TRI_UNKNOWN);
}

static void rule_value_samples(StrBuf *b, const char *name, const ServiceSnapshot *s) {
        for (size_t i = 0; i < s->n_rules; i++)
                if (s->rules[i].verdict.n > 0)
                        sample(b, name, "service", s->policy->service, "rule",
                               s->rules[i].policy->name, s->rules[i].verdict.value);
}

static const struct {
        const char *name, *help;
        ServiceSamples samples;
} service_families[] = {
        { "rollbackd_service_health", "1 for the health that the service has.", health_samples },
        { "rollbackd_service_version_info", "The active version.", version_samples },
        { "rollbackd_service_epoch", "Pointer changes of the service so far.", epoch_samples },
        { "rollbackd_service_automatic", "Whether rollbackd may act on the service by itself.",
          automatic_samples },
        { "rollbackd_service_has_target", "Whether a rollback would have somewhere to go.",
          target_samples },
        { "rollbackd_service_held", "1 while a bad service is held back, by which guard.",
          holding_samples },
        { "rollbackd_service_operation", "1 while an operation is in flight.", operation_samples },
        { "rollbackd_rule_bad", "1 while the rule's verdict is bad.", rule_bad_samples },
        { "rollbackd_rule_unknown", "1 while the rule's verdict is unknown.",
          rule_unknown_samples },
        { "rollbackd_rule_value", "What the rule reads: a share from 0 to 1, or events per second.",
          rule_value_samples },
};

/* A line's name, two labels with every byte of their values escaped, and its number. */
#define LINE_MAX 384
#define N_FAMILIES ELEMENTSOF(service_families)

/* Room for one family of all services: one line per rule or per health, whichever is more. */
static size_t family_size(const Api *a) {
        size_t lines = 2; /* HELP and TYPE */

        for (size_t i = 0; i < engine_service_slots(a->owner.engine); i++) {
                const ServiceConfig *config = a->owner.config(a->owner.userdata, (uint32_t)i);

                if (config)
                        lines += MAX(config->policy.n_rules, (size_t)_HEALTH_MAX);
        }
        return lines * LINE_MAX;
}

/* Each family into a text of its own, so that each service is looked at once: ten looks at
 * thousands of services would hold the loop. */
static void write_families(Api *a, StrBuf families[static N_FAMILIES]) {
        usec_t now = a->owner.now(a->owner.userdata);

        for (size_t f = 0; f < N_FAMILIES; f++)
                family(&families[f], service_families[f].name, "gauge", service_families[f].help);
        for (size_t i = 0; i < engine_service_slots(a->owner.engine); i++)
                if (engine_snapshot_service(a->owner.engine, (uint32_t)i, now, &a->snapshot))
                        for (size_t f = 0; f < N_FAMILIES; f++)
                                service_families[f].samples(&families[f], service_families[f].name,
                                                            &a->snapshot);
}

/* The texts behind each other, to be freed; NULL when memory is short or something did not fit. */
static char *join(const StrBuf texts[], size_t n, size_t *ret_size) {
        size_t size = 0, at = 0;
        char *joined;

        for (size_t i = 0; i < n; i++) {
                if (texts[i].overflow)
                        return NULL;
                size += texts[i].length;
        }
        joined = malloc(size + 1);
        if (!joined)
                return NULL;
        for (size_t i = 0; i < n; i++) {
                memcpy(joined + at, texts[i].text, texts[i].length);
                at += texts[i].length;
        }
        joined[size] = '\0';
        *ret_size = size;
        return joined;
}

void api_get_metrics(Api *a, const HttpCall *call _unused_, const char *argument _unused_,
                     HttpAnswer *ret) {
        size_t each = family_size(a), size = 0;
        /* Only what is written costs memory. */
        _cleanup_(freep) char *storage = malloc(API_METRICS_HEAD_MAX + N_FAMILIES * each);
        StrBuf texts[1 + N_FAMILIES];
        ApiStatus status;
        char *body = NULL;

        if (storage) {
                strbuf_init(&texts[0], storage, API_METRICS_HEAD_MAX);
                for (size_t f = 0; f < N_FAMILIES; f++)
                        strbuf_init(&texts[1 + f], storage + API_METRICS_HEAD_MAX + f * each, each);
                a->owner.status(a->owner.userdata, &status);
                add_process(&texts[0], &status);
                add_work(&texts[0], &status);
                write_families(a, &texts[1]);
                body = join(texts, ELEMENTSOF(texts), &size);
        }
        if (body)
                *ret = (HttpAnswer){ .status = 200,
                                     .content_type = "text/plain; version=0.0.4; charset=utf-8",
                                     .body = body,
                                     .body_size = size };
        else
                api_answer_problem(ret, 500, "there is not enough memory for the metrics page");
}
