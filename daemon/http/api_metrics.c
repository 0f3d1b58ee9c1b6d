/* /metrics, in the Prometheus text format 0.0.4: families one by one, each with HELP and TYPE,
 * names and units as Prometheus asks. */
#include <stdio.h>
#include <unistd.h>

#include "api_metrics.h"
#include "process_stat.h"

void metrics_begin_family(StrBuf *b, const char *name, const char *type, const char *help) {
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

void metrics_add_sample(StrBuf *b, const char *name, const char *label1, const char *value1,
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
        metrics_begin_family(b, name, type, help);
        metrics_add_sample(b, name, NULL, NULL, NULL, NULL, value);
}

static void add_process(StrBuf *b, const ApiStatus *status) {
        ProcessStat p = process_stat_read();

        metrics_begin_family(b, "rollbackd_build_info", "gauge", "The version that runs.");
        metrics_add_sample(b, "rollbackd_build_info", "version", ROLLBACKD_VERSION, NULL, NULL, 1);
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
        single(b, "rollbackd_ledger_schema", "gauge",
               "The ledger's schema as it last said; 0: not known.", (double)status->ledger_schema);
        single(b, "rollbackd_heartbeat_timestamp_seconds", "gauge",
               "When the ledger last took a heartbeat; 0: not since the start.",
               status->heartbeat_at);
        single(b, "rollbackd_retention_last_success_timestamp_seconds", "gauge",
               "When retention last came to its end; 0: not since the start.",
               status->retention_at);
        single(b, "rollbackd_policies_refused", "gauge",
               "Policy files that were refused when they were last read.",
               (double)status->policies_refused);
        single(b, "rollbackd_targets", "gauge", "Targets under probe.", (double)status->targets);
        single(b, "rollbackd_probes_total", "counter", "Probes that came to an end.",
               (double)status->probes);
        single(b, "rollbackd_samples_total", "counter", "Results of probes that the judge took.",
               (double)status->samples);
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

/* A line's name, two labels with every byte of their values escaped, and its number. */
#define LINE_MAX 384

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
        _cleanup_(freep) char *storage = malloc(API_METRICS_HEAD_MAX +
                                                METRICS_SERVICE_FAMILIES * each);
        StrBuf texts[1 + METRICS_SERVICE_FAMILIES];
        ApiStatus status;
        char *body = NULL;

        if (storage) {
                strbuf_init(&texts[0], storage, API_METRICS_HEAD_MAX);
                for (size_t f = 0; f < METRICS_SERVICE_FAMILIES; f++)
                        strbuf_init(&texts[1 + f], storage + API_METRICS_HEAD_MAX + f * each, each);
                a->owner.status(a->owner.userdata, &status);
                add_process(&texts[0], &status);
                add_work(&texts[0], &status);
                metrics_write_services(a, &texts[1]);
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
