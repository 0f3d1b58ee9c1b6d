/* explain: why, in words, from the stored evidence of an operation or event, or from what a
 * service's rules would say now. */
#include "ctl.h"

static bool is_uuid(const char *text) {
        return strlen(text) == 36 && strspn(text, "0123456789abcdefABCDEF-") == 36;
}

static void say(const char *label, const char *text) {
        if (!text || text[0] == '\0')
                return;
        printf("  %-13s ", label);
        print_text(text, 0);
        printf("\n");
}

/* Words in one line, NULL standing for a text of the answer that is not there. */
static void print_words(const char *const words[], size_t n) {
        for (size_t i = 0; i < n; i++)
                print_text(words[i], 0);
        printf("\n");
}
#define PRINT_WORDS(...)                                                                           \
        print_words((const char *const[]){ __VA_ARGS__ },                                          \
                    ELEMENTSOF(((const char *const[]){ __VA_ARGS__ })))

static void say_seconds(const char *label, double seconds) {
        STRBUF(b, 64);

        strbuf_add_usec_words(&b, (usec_t)(MAX(0.0, seconds) * (double)USEC_PER_SEC));
        say(label, b.text);
}

/* The numbers that the verdict came from. */
static void print_statistic(const Json *e) {
        if (!streq(json_get_text(e, "rule_kind", ""), "threshold") ||
            json_get_double(e, "total", 0) <= 0)
                return;
        printf("  %-13s %.0f bad of %.0f; dispersion %.3g; lower bound %.3g against the limit "
               "%.3g\n",
               "statistic", json_get_double(e, "bad", 0), json_get_double(e, "total", 0),
               json_get_double(e, "dispersion", 1), json_get_double(e, "lower", 0),
               json_get_double(e, "limit", 0));
        if (json_get_double(e, "fewer", 0) > 0)
                printf("  %-13s %.0f bad ones fewer, and it would not have been bad\n", "otherwise",
                       json_get_double(e, "fewer", 0));
}

/* What a person asked for while no rule was bad has none. */
static void print_rule(const Json *e) {
        if (streq(json_get_text(e, "rule", ""), ""))
                return;
        PRINT_WORDS("rule ", json_get_text(e, "rule", NULL), ": ",
                    json_get_text(e, "verdict", NULL));
        say("reading", json_get_text(e, "reading", NULL));
        say("why", json_get_text(e, "why", NULL));
        print_statistic(e);
        if (json_get(e, "hold")) {
                say_seconds("bad for", json_get_double(e, "bad_for", 0));
                say_seconds("of hold", json_get_double(e, "hold", 0));
        }
        if (json_get_i64(e, "targets", 0) > 0)
                printf("  %-13s %lld of %lld down, %lld unknown, %lld still on another version\n",
                       "targets", (long long)json_get_i64(e, "targets_down", 0),
                       (long long)json_get_i64(e, "targets", 0),
                       (long long)json_get_i64(e, "targets_unknown", 0),
                       (long long)json_get_i64(e, "stragglers", 0));
}

/* Without target and reason: an operation and a service have said their own before. */
static void print_evidence(const Json *e) {
        print_rule(e);
        say("dependencies", json_get_text(e, "dependencies", NULL));
        say("guards", json_get_text(e, "guards", NULL));
}

static void print_steps(const Json *steps) {
        for (size_t i = 0; i < json_length(steps); i++) {
                const Json *step = json_at(steps, i);
                const char *words = json_get_text(step, "words", NULL);

                printf("  step %lld ", (long long)json_get_i64(step, "n", 0));
                PRINT_WORDS(json_get_text(step, "kind", NULL), ": ",
                            json_get_text(step, "state", NULL), words ? ", " : "", words ?: "");
        }
}

static void print_operation(const Json *o) {
        PRINT_WORDS(json_get_text(o, "kind", NULL), " ", json_get_text(o, "from_version", NULL),
                    " -> ", json_get_text(o, "to_version", NULL), " of ",
                    json_get_text(o, "service", NULL), ": ", json_get_text(o, "state", NULL));
        say("by", json_get_text(o, "actor", NULL));
        say("because", json_get_text(o, "reason", NULL));
        say("opened", json_get_text(o, "opened_at", NULL));
        say("closed", json_get_text(o, "closed_at", NULL));
        say("outcome", json_get_text(o, "detail", NULL));
        if (json_get(o, "label"))
                say("judged", json_get_bool(o, "label", false) ? "right, by a person" :
                                                                 "a false alarm, by a person");
        say("note", json_get_text(o, "label_note", NULL));
        print_steps(json_get(o, "steps"));
        if (json_get_text(json_get(o, "evidence"), "rule", NULL))
                print_evidence(json_get(o, "evidence"));
}

static void print_event(const Json *e) {
        PRINT_WORDS("event ", json_get_text(e, "kind", NULL), " of ",
                    json_get_text(e, "service", NULL), " at ", json_get_text(e, "at", NULL));
        say("by", json_get_text(e, "actor", NULL));
        say("operation", json_get_text(e, "operation", NULL));
        say("outcome", json_get_text(json_get(e, "fields"), "detail", NULL));
        if (!json_get_text(json_get(e, "fields"), "rule", NULL))
                return;
        print_evidence(json_get(e, "fields"));
        say("target", json_get_text(json_get(e, "fields"), "target", NULL));
        say("reason", json_get_text(json_get(e, "fields"), "reason", NULL));
}

static void print_service(const Json *s) {
        const Json *evidence = json_get(s, "evidence");

        PRINT_WORDS(json_get_text(s, "service", NULL), " is ", json_get_text(s, "health", NULL),
                    " on version ", json_get_text(s, "version", NULL), "; mode ",
                    json_get_text(s, "mode", NULL));
        say("target", json_get_text(s, "target_why", NULL));
        say("held by", json_get_text(s, "holding_why", NULL));
        for (size_t i = 0; i < json_length(evidence); i++)
                print_evidence(json_at(evidence, i));
}

ExitCode run_explain(const Verb *verb _unused_, const CommandLine *line) {
        _cleanup_(json_freep) Json *reply = NULL;
        STRBUF(path, 256);
        ExitCode code;

        strbuf_add(&path,
                   is_uuid(line->arguments[0]) ? "/api/v1/operations/" : "/api/v1/services/");
        url_add_name(&path, line->arguments[0]);
        if (!is_uuid(line->arguments[0]))
                strbuf_add(&path, "/explain");
        code = http_call(line, "GET", path.text, NULL, &reply);
        if (code != EXIT_OK)
                return code;
        if (line->values[OPTION_JSON])
                print_json(reply);
        else if (json_get(reply, "operation") &&
                 json_get(json_get(reply, "operation"), "from_version"))
                print_operation(json_get(reply, "operation"));
        else if (json_get(reply, "event"))
                print_event(json_get(reply, "event"));
        else
                print_service(reply);
        return EXIT_OK;
}
