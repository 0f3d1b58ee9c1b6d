/* probe: makes the probes of a policy once, from here and now, and shows what went out, what came
 * back and when. Asks no daemon: it works before a policy is in force, and with the daemon dead. */
#include <errno.h>

#include "config_schema.h"
#include "ctl.h"
#include "survey.h"

#define WORKERS 4
#define TASKS 1024
#define ANSWER_LINES 40 /* of an answer that are shown; --json has it whole */

typedef struct Session {
        Loop *loop;
        Poller *poller;
        Children *children;
        Offload *offload;
        Bus *bus;
        Survey *survey;
        bool done;
} Session;

static void session_done(Session *s) {
        survey_free(s->survey);
        bus_free(s->bus);
        children_free(s->children);
        poller_free(s->poller);
        offload_free(s->offload);
        loop_free(s->loop);
}

static void on_done(void *userdata) {
        ((Session *)userdata)->done = true;
}

static int session_run(Session *s, const char *secrets, const ServiceConfig *config, size_t probe) {
        int r = loop_new(&s->loop);

        if (r >= 0)
                r = offload_new(&s->offload, s->loop, WORKERS, TASKS);
        if (r >= 0)
                r = poller_new(&s->poller, s->loop, NULL, NULL);
        if (r >= 0)
                r = bus_new(&s->bus, s->loop);
        if (r >= 0)
                r = children_new(&s->children, s->poller);
        if (r >= 0)
                r = survey_new(&s->survey,
                               &(ProbeTools){ .loop = s->loop,
                                              .poller = s->poller,
                                              .offload = s->offload,
                                              .secrets = secrets,
                                              .bus = s->bus,
                                              .children = s->children },
                               config, probe, on_done, s);
        return r < 0 ? r : loop_run_until(s->loop, &s->done);
}

/* Seconds from one moment to a later one; NAN when either did not come. */
static double between(const ProbeTrace *t, ProbeMoment from, ProbeMoment to) {
        if (t->moments[from] == 0 || t->moments[to] == 0)
                return __builtin_nan("");
        return (double)usec_sub(t->moments[to], t->moments[from]) / (double)USEC_PER_SEC;
}

/* What a probe spends its time on: each from the end of the one before. */
static const struct {
        const char *name, *key;
        ProbeMoment from, to;
} phases[] = {
        { "resolve", "resolve", MOMENT_STARTED, MOMENT_RESOLVED },
        { "connect", "connect", MOMENT_BEGUN, MOMENT_CONNECTED },
        { "TLS", "tls", MOMENT_CONNECTED, MOMENT_TLS },
        { "first byte", "first_byte", MOMENT_SENT, MOMENT_FIRST_BYTE },
        { "all", "all", MOMENT_STARTED, MOMENT_DONE },
};

static void print_timings(const ProbeTrace *t) {
        const char *before = "  timings  ";

        for (size_t i = 0; i < ELEMENTSOF(phases); i++) {
                double seconds = between(t, phases[i].from, phases[i].to);

                if (seconds >= 0) {
                        printf("%s%s %.2f ms", before, phases[i].name, seconds * 1e3);
                        before = ", ";
                }
        }
        printf("\n");
}

static void print_values(const ProbeResult *result) {
        for (size_t i = 0; i < result->n_values; i++) {
                printf("%s", i == 0 ? "  values   " : ", ");
                print_text(result->values[i].name, 0);
                printf(" ");
                print_number(result->values[i].value);
        }
        if (result->n_values > 0)
                printf("\n");
}

/* Whether the page of metrics has what the signals read; a single page tells no increase. */
static void print_operands(const SurveyEntry *e) {
        for (size_t i = 0; i < e->probe->n_operands; i++) {
                bool there = i < e->result.n_increases && !__builtin_isnan(e->result.increases[i]);

                printf("  counter  ");
                print_text(e->probe->operands[i]->text, 0);
                printf("%s\n", there ? ": on the page" : ": not on the page");
        }
}

static void print_entry(const SurveyEntry *e) {
        ProbeOutcome outcome = e->result.outcome;

        print_text(e->probe->name, 0);
        printf("  ");
        print_text(e->target->url, 0);
        if (e->address[0] && !streq(e->address, e->target->host))
                printf("  at %s", e->address);
        printf("\n  %-8s %s", tri_to_string(outcome_verdict(outcome)), outcome_code(outcome));
        if (e->result.status > 0)
                printf(", HTTP %u", e->result.status);
        if (e->result.version[0])
                printf(", version %s", e->result.version);
        printf(": ");
        print_text(e->result.words[0] ? e->result.words : outcome_words(outcome), 0);
        printf("\n");
        print_timings(&e->trace);
        print_values(&e->result);
        if (outcome == OUTCOME_OK)
                print_operands(e);
        if (e->trace.request.length > 0)
                print_bytes("  > ", e->trace.request.text, e->trace.request.length, ANSWER_LINES);
        if (e->trace.answer.length > 0)
                print_bytes("  < ", e->trace.answer.text, e->trace.answer.length, ANSWER_LINES);
        if (e->trace.answer.overflow)
                printf("  < ... the rest was read and is not kept\n");
        printf("\n");
}

/* Line by line, for JSON takes no byte that is not UTF-8. */
static void set_escaped(Json *j, const char *key, const StrBuf *text) {
        static char escaped[4 * PROBE_TRACE_TEXT_MAX + 1];
        StrBuf b;

        strbuf_init(&b, escaped, sizeof escaped);
        for (size_t at = 0; at < text->length;) {
                const char *line = text->text + at, *end = memchr(line, '\n', text->length - at);
                size_t n = end ? (size_t)(end - line) : text->length - at;

                strbuf_add_escaped(&b, line, n - (n > 0 && line[n - 1] == '\r'));
                strbuf_add(&b, end ? "\n" : "");
                at += n + (end ? 1 : 0);
        }
        json_set_text(j, key, text->length > 0 ? b.text : NULL);
}

static Json *entry_json(const SurveyEntry *e) {
        Json *j = json_new_object(), *seconds = json_new_object(), *values = json_new_object();

        json_set_text(j, "probe", e->probe->name);
        json_set_text(j, "target", e->target->url);
        json_set_text(j, "address", e->address[0] ? e->address : NULL);
        json_set_text(j, "verdict", tri_to_string(outcome_verdict(e->result.outcome)));
        json_set_text(j, "outcome", outcome_code(e->result.outcome));
        json_set_text(j, "words",
                      e->result.words[0] ? e->result.words : outcome_words(e->result.outcome));
        if (e->result.status > 0)
                json_set_u64(j, "status", e->result.status);
        json_set_text(j, "version", e->result.version[0] ? e->result.version : NULL);
        for (size_t i = 0; i < e->result.n_values; i++)
                json_set_double(values, e->result.values[i].name, e->result.values[i].value);
        json_set(j, "values", values);
        for (size_t i = 0; i < ELEMENTSOF(phases); i++)
                json_set_double(seconds, phases[i].key,
                                between(&e->trace, phases[i].from, phases[i].to));
        json_set(j, "seconds", seconds);
        set_escaped(j, "request", &e->trace.request);
        set_escaped(j, "answer", &e->trace.answer);
        json_set_bool(j, "answer_cut", e->trace.answer.overflow);
        return j;
}

/* Returns whether everything is good. */
static bool show(const CommandLine *line, const ServiceConfig *config, const Survey *survey) {
        Json *list = line->values[OPTION_JSON] ? json_new_array() : NULL;
        size_t n = survey_length(survey), good = 0;

        for (size_t i = 0; i < n; i++) {
                const SurveyEntry *e = survey_entry(survey, i);

                good += outcome_verdict(e->result.outcome) == TRI_GOOD;
                if (list)
                        json_add(list, entry_json(e));
                else
                        print_entry(e);
        }
        if (list) {
                _cleanup_(json_freep) Json *whole = json_new_object();

                json_set_text(whole, "service", config->service);
                json_set(whole, "probes", list);
                print_json(whole);
        } else
                printf("%zu of %zu are good\n", good, n);
        return good == n;
}

static ExitCode read_policy(const CommandLine *line, const char *policies, ServiceConfig **ret) {
        const char *service = line->arguments[0], *path = line->values[OPTION_POLICY];
        STRBUF(error, CONFIG_ERROR_SIZE);
        PolicyFile *files = NULL;
        ExitCode code = EXIT_NOT_FOUND;
        size_t n = 0;
        int r;

        if (path) {
                r = config_read_service(path, ret, &error);
                if (r >= 0 && !streq((*ret)->service, service)) {
                        fprintf(stderr, "rollbackctl: %s is the policy of %s\n", path,
                                (*ret)->service);
                        return EXIT_NOT_FOUND;
                }
                if (r < 0)
                        print_failure("", error.text);
                return r < 0 ? EXIT_FAILED : EXIT_OK;
        }
        if (config_read_directory(policies, &files, &n, &error) < 0) {
                print_failure("", error.text);
                return EXIT_FAILED;
        }
        for (size_t i = 0; i < n && code == EXIT_NOT_FOUND; i++) {
                if (!files[i].service || !streq(files[i].service, service))
                        continue;
                code = files[i].config ? EXIT_OK : EXIT_FAILED;
                *ret = TAKE_PTR(files[i].config);
                if (!*ret)
                        print_failure("", files[i].error);
        }
        policy_files_free(files, n);
        if (code == EXIT_NOT_FOUND)
                fprintf(stderr, "rollbackctl: no policy in %s is of the service %s\n", policies,
                        service);
        return code;
}

static ExitCode find_probe(const CommandLine *line, const ServiceConfig *config, size_t *ret) {
        *ret = SURVEY_ALL;
        if (line->n_arguments < 2)
                return EXIT_OK;
        for (size_t i = 0; i < config->n_probes; i++)
                if (streq(config->probes[i].name, line->arguments[1])) {
                        *ret = i;
                        return EXIT_OK;
                }
        fprintf(stderr, "rollbackctl: the policy of %s has no probe %s; it has", config->service,
                line->arguments[1]);
        for (size_t i = 0; i < config->n_probes; i++)
                fprintf(stderr, "%s %s", i > 0 ? "," : "", config->probes[i].name);
        fprintf(stderr, "\n");
        return EXIT_NOT_FOUND;
}

/* Without rollbackd.conf a policy can be tried on the machine where it is written. */
static const char *fallback(const char *key) {
        return config_schema_find(SECTION_DAEMON, key, 0)->fallback;
}

ExitCode run_probe(_unused_ const Verb *verb, const CommandLine *line) {
        _cleanup_(service_config_freep) ServiceConfig *config = NULL;
        _cleanup_(daemon_config_freep) DaemonConfig *daemon = NULL;
        _cleanup_(session_done) Session session = {};
        size_t probe;
        ExitCode code = command_config(line, &daemon);
        int r;

        if (code == EXIT_OK)
                code = read_policy(line, daemon ? daemon->policies : fallback("policies"), &config);
        if (code == EXIT_OK)
                code = find_probe(line, config, &probe);
        if (code != EXIT_OK)
                return code;
        r = session_run(&session, daemon ? daemon->secrets : fallback("secrets"), config, probe);
        if (r < 0) {
                fprintf(stderr, "rollbackctl: the probes could not be made: %s\n",
                        strerrordesc_np(-r) ?: "unknown error");
                return EXIT_FAILED;
        }
        return show(line, config, session.survey) ? EXIT_OK : EXIT_FAILED;
}
