/* status, history, events: tables for people. */
#include "ctl.h"

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

/* Whether the rule's firing would move the pointer by itself. */
static bool acts(const Json *service, const Json *rule) {
        return streq(json_get_text(service, "mode", ""), "automatic") &&
               streq(json_get_text(rule, "response", ""), "rollback");
}

static void print_next(const Json *service, const Json *rule) {
        const Json *operation = json_get(service, "operation");

        if (operation) {
                print_words("", json_get_text(operation, "kind", NULL), " ");
                print_words("", json_get_text(operation, "from", NULL), " -> ");
                print_words("", json_get_text(operation, "to", NULL), ": ");
                print_words("", json_get_text(operation, "state", NULL), "");
                if (json_get(operation, "awaits_dependency"))
                        print_words(", awaits its dependency ",
                                    json_get_text(operation, "awaits_dependency", NULL), "");
        } else if (json_get(service, "holding") &&
                   streq(json_get_text(service, "health", ""), "bad"))
                print_words("held: ", json_get_text(service, "holding_why", NULL), "");
        else if (rule && streq(json_get_text(rule, "verdict", ""), "bad") &&
                 !json_get_bool(rule, "firing", false))
                print_duration(acts(service, rule) ? "acts in " : "fires in ",
                               MAX(0.0, json_get_double(rule, "hold_seconds", 0) -
                                                json_get_double(rule, "bad_for_seconds", 0)));
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
                const Json *refused = json_at(list, i);

                print_paragraph("refused: ", json_get_text(refused, "error", NULL));
                if (json_get_bool(refused, "earlier_in_force", false))
                        print_words("  the last good policy of ",
                                    json_get_text(refused, "service", NULL), " stays in force\n");
                else
                        print_words("  ",
                                    json_get_text(refused, "service", "the service that it names"),
                                    " is not watched\n");
        }
}

static void print_rules(const Json *rules) {
        for (size_t i = 0; i < json_length(rules); i++) {
                const Json *rule = json_at(rules, i);

                print_words("  rule ", json_get_text(rule, "name", NULL), ": ");
                /* An unknown reading says by itself that it is unknown, and why. */
                if (streq(json_get_text(rule, "verdict", ""), "unknown"))
                        print_words("", json_get_text(rule, "reading", NULL), "");
                else {
                        print_words("", json_get_text(rule, "verdict", NULL), ", ");
                        print_words("", json_get_text(rule, "reading", NULL), "; ");
                        print_words("", json_get_text(rule, "why", NULL), "");
                }
                if (json_get_double(rule, "bad_for_seconds", 0) > 0) {
                        print_duration("; bad for ", json_get_double(rule, "bad_for_seconds", 0));
                        print_duration(" of ", json_get_double(rule, "hold_seconds", 0));
                }
                print_words("; response ", json_get_text(rule, "response", NULL), "\n");
        }
}

/* Of a name: which of its addresses this is, and what is missing. */
static void print_address(const Json *target) {
        const char *address = json_get_text(target, "address", "");

        if (!strstr(json_get_text(target, "url", ""), address))
                print_words(" at ", address, "");
        if (json_get(target, "addresses_left_out"))
                printf(" (the name has %lld addresses or more that are not probed)",
                       (long long)json_get_i64(target, "addresses_left_out", 0));
}

static void print_values(const Json *values) {
        const Json *value;
        const char *name;
        void *at = NULL;

        while ((name = json_next(values, &at, &value))) {
                print_words(", ", name, " ");
                if (json_is_number(value))
                        print_number(json_number_value(value));
                else
                        printf("-");
        }
}

static void print_targets(const char *probe, const Json *targets) {
        for (size_t t = 0; t < json_length(targets); t++) {
                const Json *target = json_at(targets, t);

                print_words("  probe ", probe, " ");
                print_words("", json_get_text(target, "url", NULL), "");
                print_address(target);
                print_words(": ", json_get_text(target, "state", NULL), "");
                if (json_get_i64(target, "run", 0) > 0)
                        printf(" %lld/%lld", (long long)json_get_i64(target, "run", 0),
                               (long long)json_get_i64(target, "needed", 0));
                if (json_get(target, "version"))
                        print_words(", version ", json_get_text(target, "version", NULL), "");
                if (!json_get_text(target, "outcome", NULL))
                        printf(", not probed yet");
                if (json_get_text(target, "words", "")[0] != '\0')
                        print_words(", ", json_get_text(target, "words", NULL), "");
                if (json_get(target, "values"))
                        print_values(json_get(target, "values"));
                printf("%s\n", json_get_bool(target, "straggler", false) ?
                                       ", still on another version" :
                                       "");
        }
}

/* What holds an automatic act back now, or would: the guards that do not pass. */
static void print_guards(const Json *guards) {
        for (size_t i = 0; i < json_length(guards); i++) {
                const Json *guard = json_at(guards, i);

                if (streq(json_get_text(guard, "answer", ""), "passes"))
                        continue;
                print_words("  guard ", json_get_text(guard, "guard", NULL), " ");
                print_words("", json_get_text(guard, "answer", NULL), "");
                if (json_get(guard, "left_seconds"))
                        print_duration(", for another ", json_get_double(guard, "left_seconds", 0));
                printf("\n");
        }
}

static void print_release(const Json *s) {
        if (!json_get_bool(s, "known", false)) {
                printf("  release: the ledger does not know this service, or has not been read "
                       "yet\n");
                return;
        }
        printf("  release: epoch %lld, ", (long long)json_get_i64(s, "epoch", 0));
        print_words("", json_get_text(s, "release", NULL), "");
        print_duration(" ", json_get_double(s, "released_for_seconds", 0));
        printf(" ago, %s", json_get_bool(s, "stable", false) ? "stable" : "not stable");
        if (!json_get_bool(s, "stable", false) && json_get_double(s, "bake_left_seconds", 0) > 0)
                print_duration(": good time still wanted ",
                               json_get_double(s, "bake_left_seconds", 0));
        if (!json_get_bool(s, "stable", false) && json_get_double(s, "bake_requests_left", 0) > 0)
                printf(", requests still wanted %.0f", json_get_double(s, "bake_requests_left", 0));
        printf("\n");
}

static void print_service(const Json *s) {
        const Json *probes = json_get(s, "probes");

        print_row(s);
        print_release(s);
        print_words("  target: ", json_get_text(s, "target_why", NULL), "\n");
        print_rules(json_get(s, "rules"));
        print_guards(json_get(s, "guards"));
        for (size_t p = 0; p < json_length(probes); p++)
                print_targets(json_get_text(json_at(probes, p), "name", NULL),
                              json_get(json_at(probes, p), "targets"));
}

static ExitCode get_page(const CommandLine *line, int64_t from, Json **ret) {
        STRBUF(path, 128);

        strbuf_add(&path, "/api/v1/services?limit=50&from=");
        strbuf_add_i64(&path, from);
        return http_call(line, "GET", path.text, NULL, ret);
}

/* All pages as one answer. */
static ExitCode get_services(const CommandLine *line, Json **ret) {
        Json *all = json_new_array();
        int64_t from = 0;

        for (;;) {
                _cleanup_(json_freep) Json *page = NULL;
                ExitCode code = get_page(line, from, &page);

                if (code != EXIT_OK) {
                        json_free(all);
                        return code;
                }
                for (size_t i = 0; i < json_length(json_get(page, "services")); i++)
                        json_add(all, json_copy(json_at(json_get(page, "services"), i)));
                /* It only ever grows, or is the end. */
                if (json_get_i64(page, "next", 0) <= from) {
                        json_set(page, "services", all);
                        *ret = TAKE_PTR(page);
                        return EXIT_OK;
                }
                from = json_get_i64(page, "next", 0);
        }
}

static ExitCode get_service(const CommandLine *line, Json **ret) {
        STRBUF(path, 256);

        strbuf_add(&path, "/api/v1/services/");
        url_add_name(&path, line->arguments[0]);
        return http_call(line, "GET", path.text, NULL, ret);
}

static void print_services(const Json *reply) {
        const Json *services = json_get(reply, "services");
        const char *status = json_get_text(reply, "status", ""),
                   *ledger = json_get_text(reply, "ledger", "");

        print_words("rollbackd: ", status, "\n");
        /* The line before is short. */
        if (ledger[0] != '\0' && !strstr(status, ledger))
                print_words("ledger: ", ledger, "\n");
        if (json_length(services) > 0)
                printf("%-20s %-9s %-14s %-14s %-10s %s\n", "SERVICE", "HEALTH", "VERSION",
                       "TARGET", "MODE", "WORST RULE, AND WHAT IS NEXT");
        for (size_t i = 0; i < json_length(services); i++)
                print_row(json_at(services, i));
        print_unconfigured(json_get(reply, "unconfigured"));
}

ExitCode run_status(const Verb *verb _unused_, const CommandLine *line) {
        _cleanup_(json_freep) Json *reply = NULL;
        ExitCode code = line->n_arguments > 0 ? get_service(line, &reply) :
                                                get_services(line, &reply);

        if (code != EXIT_OK)
                return code;
        if (line->values[OPTION_JSON])
                print_json(reply);
        else if (line->n_arguments > 0)
                print_service(reply);
        else
                print_services(reply);
        return EXIT_OK;
}

static ExitCode run_list(const CommandLine *line, const char *name,
                         void (*print)(const Json *row)) {
        _cleanup_(json_freep) Json *reply = NULL;
        STRBUF(path, 256);
        ExitCode code;

        strbuf_add(&path, "/api/v1/");
        strbuf_add(&path, name);
        strbuf_add(&path, "?limit=");
        strbuf_add(&path, line->values[OPTION_LIMIT] ?: "50");
        if (line->values[OPTION_SERVICE]) {
                strbuf_add(&path, "&service=");
                url_add_name(&path, line->values[OPTION_SERVICE]);
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

/* Microseconds are written without their last noughts. */
#define TIME_WIDTH 32

static void print_operation(const Json *row) {
        STRBUF(change, 256);

        strbuf_add(&change, json_get_text(row, "kind", "-"));
        strbuf_add(&change, " ");
        strbuf_add(&change, json_get_text(row, "from_version", "-"));
        strbuf_add(&change, " -> ");
        strbuf_add(&change, json_get_text(row, "to_version", "-"));
        print_text(json_get_text(row, "opened_at", NULL), TIME_WIDTH);
        printf("  ");
        print_text(json_get_text(row, "service", NULL), 20);
        printf(" ");
        print_text(change.text, 28);
        printf(" ");
        print_text(json_get_text(row, "state", NULL), 13);
        printf(" by ");
        print_words("", json_get_text(row, "actor", NULL), ": ");
        print_words("", json_get_text(row, "reason", NULL), "  ");
        print_words("", json_get_text(row, "id", NULL), "\n");
}

static void print_event(const Json *row) {
        print_text(json_get_text(row, "at", NULL), TIME_WIDTH);
        printf("  ");
        print_text(json_get_text(row, "service", NULL), 20);
        printf(" ");
        print_text(json_get_text(row, "kind", NULL), 24);
        printf(" by ");
        print_text(json_get_text(row, "actor", NULL), 20);
        print_words(" ", json_get_text(row, "id", NULL), "\n");
}

ExitCode run_history(const Verb *verb _unused_, const CommandLine *line) {
        return run_list(line, "operations", print_operation);
}

ExitCode run_events(const Verb *verb _unused_, const CommandLine *line) {
        return run_list(line, "events", print_event);
}
