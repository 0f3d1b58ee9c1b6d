/* status, history, events: tables for people. */
#include "ctl.h"

void print_json(const Json *value) {
        _cleanup_(freep) char *text = json_text_pretty(value);

        printf("%s\n", text ?: "");
}

void print_text(const char *text, int width) {
        STRBUF(b, 2048);

        strbuf_add_escaped(&b, text ?: "-", strlen(text ?: "-"));
        printf("%-*s", width, b.text);
}

static void print_words(const char *before, const char *text, const char *after) {
        printf("%s", before);
        print_text(text, 0);
        printf("%s", after);
}

static void print_duration(const char *before, double seconds) {
        STRBUF(b, 64);

        strbuf_add_usec_words(&b, (usec_t)(seconds * (double)USEC_PER_SEC));
        printf("%s%s", before, b.text);
}

/* The rule that matters most: firing, then bad, then unknown, then the first. */
static const Json *worst_rule(const Json *rules) {
        static const char *const order[] = { "bad", "unknown", "good" };

        for (size_t o = 0; o < ELEMENTSOF(order); o++)
                for (size_t i = 0; i < json_length(rules); i++)
                        if (streq(json_get_text(json_at(rules, i), "verdict", ""), order[o]))
                                return json_at(rules, i);
        return NULL;
}

static void print_next(const Json *service, const Json *rule) {
        const Json *operation = json_get(service, "operation");

        if (operation) {
                print_words("", json_get_text(operation, "kind", NULL), " ");
                print_words("", json_get_text(operation, "from", NULL), " -> ");
                print_words("", json_get_text(operation, "to", NULL), ": ");
                print_words("", json_get_text(operation, "state", NULL), "");
        } else if (json_get(service, "holding") && streq(json_get_text(service, "health", ""), "bad"))
                print_words("held: ", json_get_text(service, "holding_why", NULL), "");
        else if (rule && streq(json_get_text(rule, "verdict", ""), "bad"))
                print_duration("acts in ", MAX(0.0, json_get_double(rule, "hold_seconds", 0) - json_get_double(rule, "bad_for_seconds", 0)));
        else
                printf("-");
}

static void print_row(const Json *service) {
        const Json *rule = worst_rule(json_get(service, "rules"));

        print_text(json_get_text(service, "service", NULL), 20);
        printf(" ");
        print_text(json_get_text(service, "health", NULL), 9);
        printf(" ");
        print_text(json_get_text(service, "version", NULL), 14);
        printf(" ");
        print_text(json_get_text(service, "target", NULL), 14);
        printf(" ");
        print_text(json_get_text(service, "mode", NULL), 10);
        printf(" ");
        if (rule) {
                print_words("", json_get_text(rule, "name", NULL), ": ");
                print_words("", json_get_text(rule, "reading", NULL), "  ");
        }
        print_next(service, rule);
        printf("\n");
}

static void print_unconfigured(const Json *list) {
        for (size_t i = 0; i < json_length(list); i++) {
                print_words("refused: ", json_get_text(json_at(list, i), "error", NULL),
                            json_get_bool(json_at(list, i), "earlier_in_force", false) ? " (its last good policy stays in force)\n" : " (not watched)\n");
        }
}

static void print_service(const Json *s) {
        const Json *probes = json_get(s, "probes");

        print_row(s);
        print_words("  target: ", json_get_text(s, "target_why", NULL), "\n");
        for (size_t i = 0; i < json_length(json_get(s, "rules")); i++) {
                const Json *rule = json_at(json_get(s, "rules"), i);

                print_words("  rule ", json_get_text(rule, "name", NULL), ": ");
                print_words("", json_get_text(rule, "verdict", NULL), ", ");
                print_words("", json_get_text(rule, "reading", NULL), "; ");
                print_words("", json_get_text(rule, "why", NULL), "\n");
        }
        for (size_t p = 0; p < json_length(probes); p++)
                for (size_t t = 0; t < json_length(json_get(json_at(probes, p), "targets")); t++) {
                        const Json *target = json_at(json_get(json_at(probes, p), "targets"), t);

                        print_words("  probe ", json_get_text(json_at(probes, p), "name", NULL), " ");
                        print_words("", json_get_text(target, "url", NULL), ": ");
                        print_words("", json_get_text(target, "state", NULL), "");
                        if (json_get_i64(target, "run", 0) > 0)
                                printf(" %lld/%lld", (long long)json_get_i64(target, "run", 0), (long long)json_get_i64(target, "needed", 0));
                        print_words(", ", json_get_text(target, "words", NULL), json_get_bool(target, "straggler", false) ? ", still on another version\n" : "\n");
                }
}

ExitCode run_status(const Verb *verb _unused_, const CommandLine *line) {
        _cleanup_(json_freep) Json *reply = NULL;
        STRBUF(path, 256);
        ExitCode code;

        strbuf_add(&path, "/api/v1/services");
        if (line->n_arguments > 0) {
                strbuf_add_char(&path, '/');
                strbuf_add(&path, line->arguments[0]);
        }
        code = http_call(line, "GET", path.text, NULL, &reply);
        if (code != EXIT_OK)
                return code;
        if (line->values[OPTION_JSON])
                print_json(reply);
        else if (line->n_arguments > 0)
                print_service(reply);
        else {
                print_words("rollbackd: ", json_get_text(reply, "status", NULL), "\n");
                printf("%-20s %-9s %-14s %-14s %-10s %s\n", "SERVICE", "HEALTH", "VERSION", "TARGET", "MODE", "WORST RULE, AND WHAT IS NEXT");
                for (size_t i = 0; i < json_length(json_get(reply, "services")); i++)
                        print_row(json_at(json_get(reply, "services"), i));
                print_unconfigured(json_get(reply, "unconfigured"));
        }
        return EXIT_OK;
}

static ExitCode run_list(const CommandLine *line, const char *name, void (*print)(const Json *row)) {
        _cleanup_(json_freep) Json *reply = NULL;
        STRBUF(path, 256);
        ExitCode code;

        strbuf_add(&path, "/api/v1/");
        strbuf_add(&path, name);
        strbuf_add(&path, "?limit=");
        strbuf_add(&path, line->values[OPTION_LIMIT] ?: "50");
        if (line->values[OPTION_SERVICE]) {
                strbuf_add(&path, "&service=");
                strbuf_add(&path, line->values[OPTION_SERVICE]);
        }
        code = http_call(line, "GET", path.text, NULL, &reply);
        if (code != EXIT_OK)
                return code;
        if (line->values[OPTION_JSON])
                print_json(reply);
        else
                for (size_t i = 0; i < json_length(json_get(reply, name)); i++)
                        print(json_at(json_get(reply, name), i));
        return EXIT_OK;
}

static void print_operation(const Json *row) {
        print_words("", json_get_text(row, "opened_at", NULL), "  ");
        print_text(json_get_text(row, "service", NULL), 20);
        print_words(" ", json_get_text(row, "kind", NULL), " ");
        print_words("", json_get_text(row, "from_version", NULL), " -> ");
        print_words("", json_get_text(row, "to_version", NULL), "  ");
        print_words("", json_get_text(row, "state", NULL), "  by ");
        print_words("", json_get_text(row, "actor", NULL), ": ");
        print_words("", json_get_text(row, "reason", NULL), "  ");
        print_words("", json_get_text(row, "id", NULL), "\n");
}

static void print_event(const Json *row) {
        print_words("", json_get_text(row, "at", NULL), "  ");
        print_text(json_get_text(row, "service", NULL), 20);
        printf(" ");
        print_text(json_get_text(row, "kind", NULL), 24);
        print_words(" by ", json_get_text(row, "actor", NULL), "  ");
        print_words("", json_get_text(row, "id", NULL), "\n");
}

ExitCode run_history(const Verb *verb _unused_, const CommandLine *line) {
        return run_list(line, "operations", print_operation);
}

ExitCode run_events(const Verb *verb _unused_, const CommandLine *line) {
        return run_list(line, "events", print_event);
}
