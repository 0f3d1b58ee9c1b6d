/* What keys mean to each other, what becomes of them, and both files as wholes; single keys are in
 * test_daemon_config_schema.c. */
#include "config_support.h"
#include "config_suggest.h"

#define HEAD "service = \"s\";\n"
#define PROBES                                                                                     \
        "probes = { p = { kind = \"http\"; targets = [ \"http://h/\" ]; };"                        \
        " m = { kind = \"metrics\"; targets = [ \"http://h/metrics\" ]; };"                        \
        " d = { kind = \"tcp\"; targets = [ \"h:1\" ]; dependency = true; }; };\n"
#define SIGNALS                                                                                    \
        "signals = { errors = { kind = \"ratio\"; probe = \"m\"; bad = \"b\"; total = \"t\"; };"   \
        " up = { kind = \"availability\"; probe = \"p\"; }; panics = { kind = \"rate\"; probe = "  \
        "\"m\"; bad = \"x\"; }; };\n"
#define VALID HEAD PROBES SIGNALS /* lines 1 to 3 */
#define RULE(keys) VALID "rules = ( { name = \"r\"; " keys " } );\n"
#define THRESHOLD(keys) RULE("kind = \"threshold\"; " keys)
#define STEP(keys) VALID "rollback = { steps = ( { " keys " } ); };\n"
#define ROLLBACK(keys) VALID "rollback = { " keys " };\n"
#define PROBE(keys) HEAD "probes = { p = { " keys " }; };\n"
#define CACHE                                                                                      \
        "kind = \"cache\"; store = \"postgres\"; role = \"o\"; table = \"t\"; key = \"k\"; "       \
        "prefix = \"p\"; "

static void single_mistakes_read_as_written_here(_unused_ void **state) {
        static const struct {
                const char *text, *mistakes;
        } cases[] = {
                { PROBES, "f:1: service: is missing; write a name in quotes: at most 63 letters, "
                          "digits and . _ + -, the first a letter or digit\n" },
                { HEAD,
                  "f:1: probes: is missing; write a group of named groups { name = { ... }; }\n" },
                { HEAD "probes = { };", "f:2: probes: 0 entries are too few; write at least 1\n" },
                { VALID "rulez = ();", "f:4: rulez: unknown key; did you mean \"rules\"?\n" },
                { VALID "prober = { };", "f:4: prober: unknown key; did you mean \"probes\"?\n" },
                { VALID "zzz = 1;", "f:4: zzz: unknown key; write one of service, unknown_after, "
                                    "release, probes, signals, rules, rollback, notify\n" },
                { PROBE("kind = \"http\"; targets = [ \"http://h/\" ]; interval = 1;"),
                  "f:2: probes.p.interval: is a whole number; write a duration in quotes with its "
                  "unit (us, ms, s, m, h, d), such as \"30s\"\n" },
                { PROBE("kind = \"http\"; targets = [ \"http://h/\" ]; interval = \"5ms\";"),
                  "f:2: probes.p.interval: \"5ms\" is too small; write at least 10ms\n" },
                { PROBE("kind = \"http\"; targets = [ \"http://h/\" ]; rise = -1;"),
                  "f:2: probes.p.rise: -1 is not understood; write a whole number without quotes, "
                  "such as 3\n" },
                { PROBE("kind = \"icmp\"; targets = [ \"h\" ];"),
                  "f:2: probes.p.kind: \"icmp\" is not understood; write one of \"http\", \"tcp\", "
                  "\"metrics\", \"postgres\", \"redis\", \"unit\", \"journal\", \"pressure\", "
                  "\"exec\", \"promql\"\n" },
                { PROBE("kind = \"tcp\"; targets = [ \"h:1\" ]; "
                        "expect = { body = \"x\"; };"),
                  "f:2: probes.p.expect.body: is no key of kind \"tcp\"; remove it\n" },
                { PROBE("kind = \"http\"; targets = [ \"http://u:p@h/\" ];"),
                  "f:2: probes.p.targets: \"http://***@h/\" names a user; write the URL without "
                  "user and password\n" },
                { PROBE("kind = \"http\"; targets = [ \"http://h/#x\" ];"),
                  "f:2: probes.p.targets: \"http://h/#x\" has a fragment; write the URL without # "
                  "and what follows\n" },
                { PROBE("kind = \"http\"; targets = [ \"http://h/a b\" ];"),
                  "f:2: probes.p.targets: \"http://h/a b\" has a blank or a byte that is not "
                  "ASCII; write it percent-encoded\n" },
                { PROBE("kind = \"http\"; targets = [ \"http://h/\", \"http://H:80/\" ];"),
                  "f:2: probes.p.targets: \"http://H:80/\" is there twice; remove one\n" },
                { PROBE("kind = \"http\"; targets = [ \"h:1\" ];"),
                  "f:2: probes.p.targets: \"h:1\" is no http URL; write http://host:port/path or "
                  "https://host/path\n" },
                { PROBE("kind = \"tcp\"; targets = [ \"http://h/\" ];"),
                  "f:2: probes.p.targets: \"http://h/\" is no target of kind \"tcp\"; write "
                  "host:port\n" },
                { PROBE("kind = \"tcp\"; targets = [ \"h:1\" ]; interval = \"1s\"; timeout = "
                        "\"1001ms\";"),
                  "f:2: probes.p.timeout: is longer than the interval; a target is probed once at "
                  "a time, write at most the interval\n" },
                { PROBE("kind = \"tcp\"; targets = [ \"h:1\" ]; interval = \"1s\"; spread = "
                        "\"2s\";"),
                  "f:2: probes.p.spread: is longer than the interval; write at most the "
                  "interval\n" },
                { PROBE("kind = \"tcp\"; targets = [ \"h:1\" ]; interval = \"1s\"; fast_interval = "
                        "\"1s\";"),
                  "f:2: probes.p.fast_interval: is not shorter than the interval; write a shorter "
                  "one, or remove it\n" },
                { HEAD "probes = { p = 1; };",
                  "f:2: probes.p: is a whole number; write a group { ... }\n" },
                { HEAD "probes = { *p = { kind = \"tcp\"; targets = [ \"h:1\" ]; }; };",
                  "f:2: probes.*p: is no name; write at most 63 letters, digits and _ -, the first "
                  "a letter\n" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_string_equal(support_refused(cases[i].text), cases[i].mistakes);
}

static void rules_and_signals_must_fit_together(_unused_ void **state) {
        static const struct {
                const char *text, *mistakes;
        } cases[] = {
                { THRESHOLD("signal = \"erors\"; enter = \"5%\"; leave = \"2%\";"),
                  "f:4: rules[0].signal: there is no signal \"erors\"; did you mean "
                  "\"errors\"?\n" },
                { THRESHOLD("signal = \"latency\"; enter = \"5%\"; leave = \"2%\";"),
                  "f:4: rules[0].signal: there is no signal \"latency\"\n" },
                { RULE("kind = \"down\"; probe = \"q\";"),
                  "f:4: rules[0].probe: there is no probe \"q\"\n" },
                { RULE("kind = \"down\"; probe = \"d\";"),
                  "f:4: rules[0].probe: is a dependency, which is no evidence about this service; "
                  "name a probe of the service itself\n" },
                { THRESHOLD("signal = \"errors\"; enter = \"5%\"; leave = \"6%\";"),
                  "f:4: rules[0].leave: is above enter; write at most enter\n" },
                { THRESHOLD("signal = \"errors\"; enter = \"100%\"; leave = \"6%\";"),
                  "f:4: rules[0].enter: can never be exceeded; write less than 100%\n" },
                { THRESHOLD("signal = \"errors\"; enter = \"5%\"; leave = \"0%\";"),
                  "f:4: rules[0].leave: can never be fallen below; write more than 0\n" },
                { THRESHOLD("signal = \"errors\"; enter = \"20/s\"; leave = \"2%\";"),
                  "f:4: rules[0].enter: is a rate, but the signal is a share; write a share such "
                  "as \"5%\"\n" },
                { THRESHOLD("signal = \"panics\"; enter = \"20/s\"; leave = \"2%\";"),
                  "f:4: rules[0].leave: is a share, but the signal is a rate; write events per "
                  "second such as \"20/s\"\n" },
                { THRESHOLD("signal = \"panics\"; enter = \"20/s\"; leave = \"2/s\"; min_samples = "
                            "5;"),
                  "f:4: rules[0].min_samples: has no meaning for a rate; remove it\n" },
                { THRESHOLD(
                          "signal = \"errors\"; enter = \"5%\"; leave = \"2%\"; dispersion = 0.5;"),
                  "f:4: rules[0].dispersion: 0.5 is too small; write at least 1\n" },
                { HEAD PROBES
                  "signals = { a = { kind = \"rate\"; probe = \"p\"; bad = \"x\"; }; };",
                  "f:3: signals.a.probe: is not of kind \"metrics\", and only those have counters; "
                  "name a metrics probe\n" },
                { HEAD PROBES
                  "signals = { a = { kind = \"rate\"; probe = \"m\"; bad = \"x{\"; }; };",
                  "f:3: signals.a.bad: \"x{\": label name or } expected; write a series selector "
                  "in quotes, such as \"requests_total{code=~\\\"5..\\\"}\"\n" },
                { HEAD PROBES "signals = { a = { kind = \"rate\"; probe = \"m\"; bad = "
                              "\"x{a!~\\\"5(\\\"}\"; }; };",
                  "f:3: signals.a.bad: the regular expression \"5(\" is wrong at byte 2 (missing "
                  "closing parenthesis); correct it\n" },
                { HEAD PROBES "signals = { a = { kind = \"availability\"; probe = \"d\"; }; };",
                  "f:3: signals.a.probe: is a dependency, which is no evidence about this service; "
                  "name a probe of the service itself\n" },
                { HEAD PROBES "signals = { a = { kind = \"availability\"; probe = \"pp\"; }; };",
                  "f:3: signals.a.probe: there is no probe \"pp\"\n" },
                { VALID "rules = ( { name = \"r\"; kind = \"down\"; probe = \"p\"; },\n{ name = "
                        "\"r\"; kind = \"down\"; probe = \"m\"; } );",
                  "f:5: rules[1].name: is the name of an earlier rule too; write another\n" },
                { VALID "rules = ( 1 );",
                  "f:4: rules[0]: is a whole number; write a group { ... }\n" },
                /* What could not be read is named once, and what refers to it finds its name. */
                { HEAD PROBES
                  "signals = { a = (); b = { kind = \"rate\"; probe = \"m\"; bad = \"x\"; }; };\n"
                  "rules = ( { name = \"r\"; kind = \"threshold\"; signal = \"b\"; enter = "
                  "\"9/s\"; leave = \"2/s\"; }, "
                  "{ name = \"q\"; kind = \"threshold\"; signal = \"a\"; enter = \"5%\"; leave = "
                  "\"2%\"; } );",
                  "f:3: signals.a: is a list; write a group { ... }\n" },
                { HEAD "probes = { p = \"x\"; m = { kind = \"tcp\"; targets = [ \"h:1\" ]; }; }; "
                       "rules = ( { name = \"r\"; kind = \"down\"; probe = \"m\"; } );",
                  "f:2: probes.p: is a text; write a group { ... }\n" },
                { HEAD PROBES "release = { bake = { requests = 5; }; };",
                  "f:3: release.bake.requests: needs a signal of kind \"ratio\" that counts "
                  "requests; add one, or remove it\n" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_string_equal(support_refused(cases[i].text), cases[i].mistakes);
}

static void a_rollback_and_its_steps_must_be_whole(_unused_ void **state) {
        static const struct {
                const char *text, *mistakes;
        } cases[] = {
                { ROLLBACK("mode = \"automatic\";"),
                  "f:4: rollback.mode: is \"automatic\", but no rule asks for a rollback; write "
                  "response = \"rollback\" in a rule\n" },
                { ROLLBACK("strategy = \"version\";"),
                  "f:4: rollback.version: is missing; strategy \"version\" needs the version to go "
                  "back to\n" },
                { ROLLBACK("version = \"1\";"),
                  "f:4: rollback.version: is only for strategy \"version\"; remove it, or write "
                  "strategy = \"version\"\n" },
                { STEP("kind = \"sql\"; statement = \"SELECT 1\";"),
                  "f:4: rollback.steps[0].role: is missing; write the PostgreSQL role that the "
                  "statement runs as\n" },
                { STEP("kind = \"sql\"; statement = \"SELECT 1\"; role = \"o\"; on_error = "
                       "\"abort\";"),
                  "f:4: rollback.steps[0].on_error: is \"abort\", but the step runs after the "
                  "pointer has moved; write atomic = true too, or remove it\n" },
                { STEP("kind = \"sql\"; statement = \"SELECT 1\"; role = \"o\"; atomic = true; "
                       "timeout = "
                       "\"4s\";"),
                  "f:4: rollback.steps[0].timeout: is not 5s, the time of every atomic statement, "
                  "which holds the service's row; remove it\n" },
                { STEP(CACHE "atomic = true;"),
                  "f:4: rollback.steps[0].atomic: is no key of kind \"cache\"; remove it\n" },
                { STEP("kind = \"cache\"; store = \"redis\"; generation = \"g\";"),
                  "f:4: rollback.steps[0].store: \"redis\" is not understood; write "
                  "\"postgres\"\n" },
                { STEP("kind = \"cache\"; generation = \"g\"; table = \"t\";"),
                  "f:4: rollback.steps[0].table: has no meaning beside generation, which stands "
                  "alone; remove one of them\n" },
                { STEP("kind = \"cache\"; store = \"postgres\"; role = \"o\"; table = \"t\"; "
                       "prefix = \"p\";"),
                  "f:4: rollback.steps[0].key: is missing; write the column of the cache key\n" },
                { STEP("kind = \"cache\"; store = \"postgres\"; role = \"o\"; table = \"t\"; key = "
                       "\"k\";"),
                  "f:4: rollback.steps[0].prefix: is missing; write what the keys to delete start "
                  "with\n" },
                { STEP("kind = \"session\"; store = \"postgres\"; role = \"o\"; table = \"t\";"),
                  "f:4: rollback.steps[0].where: is missing; write the SQL condition of the "
                  "sessions to delete\n" },
                { STEP("kind = \"session\"; store = \"postgres\"; table = \"t\"; where = "
                       "\"true\";"),
                  "f:4: rollback.steps[0].role: is missing; write the PostgreSQL role that "
                  "deletes\n" },
                { STEP("kind = \"session\"; role = \"o\"; table = \"t\"; where = \"true\";"),
                  "f:4: rollback.steps[0].store: is missing; write \"postgres\", or generation "
                  "alone\n" },
                { STEP("kind = \"session\"; role = \"o\"; store = \"postgres\"; where = \"true\";"),
                  "f:4: rollback.steps[0].table: is missing; write the table to delete from\n" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_string_equal(support_refused(cases[i].text), cases[i].mistakes);
}

#define SQL(statement) STEP("kind = \"sql\"; role = \"o\"; statement = \"" statement "\";")
#define SESSION(where)                                                                             \
        STEP("kind = \"session\"; store = \"postgres\"; role = \"o\"; table = \"t\"; where = "     \
             "\"" where "\";")

static void the_sql_of_steps_is_read_at_load(_unused_ void **state) {
        static const struct {
                const char *text, *mistakes;
        } cases[] = {
                { SQL("UPDATE t SET v = :frm"),
                  "f:4: rollback.steps[0].statement: byte 18: unknown parameter :frm; write one of "
                  ":service, :from, :to, :from_epoch, :to_epoch, :released_at, :operation\n" },
                { SQL("UPDATE t SET v = 'x"), "f:4: rollback.steps[0].statement: byte 18: a string "
                                              "is not closed; write ' at its end\n" },
                { SQL("SELECT 1; SELECT 2"),
                  "f:4: rollback.steps[0].statement: byte 11: more than one statement; write each "
                  "one as a step of its own\n" },
                { SQL("SELECT $1"), "f:4: rollback.steps[0].statement: byte 8: $n cannot be "
                                    "written here; write a parameter by name, such as :from\n" },
                { SQL("COMMIT"), "f:4: rollback.steps[0].statement: COMMIT controls the "
                                 "transaction, which is rollbackd's own; remove it\n" },
                { SQL("/* x */ set role r"),
                  "f:4: rollback.steps[0].statement: byte 9: set changes the connection, which all "
                  "steps share; remove it, or put what needs it in a function and call that\n" },
                { VALID
                  "rollback = { steps = ( { kind = \"sql\"; role = \"o\"; statement = \"SELECT "
                  "1\"; },\n{ kind = \"sql\"; role = \"o\";\n statement = \" ;\"; } ); };\n",
                  "f:6: rollback.steps[1].statement: there is no statement; write one, or remove "
                  "the step\n" },
                { SESSION("a = 1;"), "f:4: rollback.steps[0].where: byte 6: a condition is not a "
                                     "statement; remove the ;\n" },
                { SESSION("true) OR (true"), "f:4: rollback.steps[0].where: byte 5: a parenthesis "
                                             "is closed that was not opened; remove it\n" },
                { SESSION("f(a"), "f:4: rollback.steps[0].where: byte 2: a parenthesis is not "
                                  "closed; write ) at its end\n" },
                { SESSION("v = :too"),
                  "f:4: rollback.steps[0].where: byte 5: unknown parameter :too; write one of "
                  ":service, :from, :to, :from_epoch, :to_epoch, :released_at, :operation\n" },
                { SESSION("-- none"), "f:4: rollback.steps[0].where: there is no condition; write "
                                      "true for every row\n" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_string_equal(support_refused(cases[i].text), cases[i].mistakes);
}

static void all_mistakes_of_a_file_are_told_at_once(_unused_ void **state) {
        assert_string_equal(
                support_refused(HEAD "probes = {\n p = { kind = \"tcp\"; targets = [ \"h:1\" ];\n  "
                                     "rise = 0;\n  fall = \"x\";\n  colour = 1; };\n};\n"
                                     "rules = ( { name = \"a\"; kind = \"down\"; probe = \"q\"; "
                                     "},\n { kind = \"up\"; } );\n"),
                "f:4: probes.p.rise: 0 is too small; write at least 1\n"
                "f:5: probes.p.fall: is a text; write a whole number without quotes, such as 3\n"
                "f:6: probes.p.colour: unknown key; write one of kind, targets, interval, "
                "fast_interval, spread, timeout, name_ttl, rise, fall, dependency, expect\n"
                "f:9: rules[1].kind: \"up\" is not understood; write one of \"down\", "
                "\"threshold\"\n"
                "f:8: rules[0].probe: there is no probe \"q\"\n");
}

static void mistakes_beyond_twenty_are_counted(_unused_ void **state) {
        STRBUF(text, 4096);
        const char *mistakes;
        size_t n = 0;

        strbuf_add(&text, VALID);
        for (unsigned i = 0; i < 25; i++) {
                strbuf_add(&text, "unheard_of_");
                strbuf_add_u64(&text, i);
                strbuf_add(&text, " = 1;\n");
        }
        mistakes = support_refused(text.text);
        for (const char *p = mistakes; *p; p++)
                n += *p == '\n' ? 1 : 0;
        assert_int_equal(n, 21);
        assert_non_null(strstr(mistakes, "f:23: unheard_of_19: "));
        assert_null(strstr(mistakes, "unheard_of_20"));
        assert_non_null(strstr(mistakes, "\nf: and 5 more; correct these first\n"));
}

static ServiceConfig *take(const char *text) {
        ServiceConfig *c = NULL;

        assert_string_equal(support_mistakes(text, &c), "");
        assert_non_null(c);
        return c;
}

static void defaults_are_those_of_the_manual(_unused_ void **state) {
        _cleanup_(service_config_freep) ServiceConfig *c = take(
                THRESHOLD("signal = \"errors\"; enter = \"5%\"; leave = \"2%\";"));
        const RulePolicy *r = &c->policy.rules[0];

        assert_int_equal(c->policy.release.warmup, 60 * USEC_PER_SEC);
        assert_int_equal(c->policy.release.watch, 24 * USEC_PER_HOUR);
        assert_int_equal(c->policy.release.bake_time, 30 * USEC_PER_MINUTE);
        assert_int_equal(c->policy.release.bake_requests, 0);
        assert_int_equal(c->policy.unknown_after, 60 * USEC_PER_SEC);
        assert_int_equal(c->policy.rollback.mode, MODE_OBSERVE);
        assert_int_equal(c->policy.rollback.strategy, STRATEGY_LAST_STABLE);
        assert_null(c->policy.rollback.version);
        assert_int_equal(c->policy.rollback.settle, 10 * USEC_PER_SEC);
        assert_int_equal(c->policy.rollback.verify, 2 * USEC_PER_MINUTE);
        assert_int_equal(c->policy.rollback.cooldown, 10 * USEC_PER_MINUTE);
        assert_int_equal(c->policy.rollback.budget_count, 2);
        assert_int_equal(c->policy.rollback.budget_per, 24 * USEC_PER_HOUR);
        assert_int_equal(c->probes[0].interval, 5 * USEC_PER_SEC);
        assert_int_equal(c->probes[0].timeout, 2 * USEC_PER_SEC);
        assert_int_equal(c->probes[0].fast_interval, 0);
        assert_int_equal(c->probes[0].spread, 0);
        assert_int_equal(c->probes[0].rise, 2);
        assert_int_equal(c->probes[0].fall, 3);
        assert_int_equal(c->probes[0].http.call.n_status, 1);
        assert_int_equal(c->probes[0].http.call.status[0].low, 200);
        assert_int_equal(c->probes[0].http.call.status[0].high, 299);
        assert_int_equal(c->probes[0].max_body, 1024 * 1024);
        assert_int_equal(c->probes[1].max_body, 16 * 1024 * 1024);
        assert_int_equal(r->hold, 30 * USEC_PER_SEC);
        assert_int_equal(r->response, RESPONSE_NOTIFY);
        assert_int_equal(r->over, 60 * USEC_PER_SEC);
        assert_true(r->dispersion == 5 && r->min_samples == 100 && r->min_bad == 10);
        assert_true(r->enter == 0.05 && r->leave == 0.02);
}

static void the_timeout_is_never_longer_than_a_short_interval(_unused_ void **state) {
        _cleanup_(service_config_freep) ServiceConfig *c = take(
                PROBE("kind = \"tcp\"; targets = [ \"h:1\" ]; interval = \"300ms\";"));

        assert_int_equal(c->probes[0].timeout, 300 * USEC_PER_MSEC);
}

static void equal_selectors_of_a_probe_are_one_operand(_unused_ void **state) {
        _cleanup_(service_config_freep) ServiceConfig *c = take(
                HEAD PROBES "signals = { a = { kind = \"ratio\"; probe = \"m\"; bad = "
                            "\"b{c=\\\"1\\\"}\"; total = \"t\"; };"
                            " z = { kind = \"ratio\"; probe = \"m\"; bad = \"t\"; total = "
                            "\"b{c=\\\"1\\\"}\"; };"
                            " r = { kind = \"rate\"; probe = \"m\"; bad = \"other\"; }; };");

        assert_int_equal(c->policy.n_signals, 3);
        assert_int_equal(c->probes[1].n_operands, 3);
        assert_int_equal(c->policy.probes[1].n_operands, 3);
        assert_string_equal(c->probes[1].operands[0]->text, "b{c=\"1\"}");
        assert_string_equal(c->probes[1].operands[0]->selector.name, "b");
        assert_int_equal(c->policy.signals[0].bad, 0);
        assert_int_equal(c->policy.signals[0].total, 1);
        assert_int_equal(c->policy.signals[1].bad, 1);
        assert_int_equal(c->policy.signals[1].total, 0);
        assert_int_equal(c->policy.signals[2].bad, 2);
        assert_int_equal(c->policy.signals[2].probe, 1);
}

static void a_seventeenth_operand_is_refused(_unused_ void **state) {
        STRBUF(text, 8192);

        strbuf_add(&text, HEAD PROBES "signals = {\n");
        for (unsigned i = 0; i < 17; i++) {
                char line[128];

                (void)snprintf(line, sizeof line,
                               "s%u = { kind = \"rate\"; probe = \"m\"; bad = \"x%u\"; };\n", i, i);
                strbuf_add(&text, line);
        }
        strbuf_add(&text, "};");
        assert_string_equal(
                support_refused(text.text),
                "f:20: signals.s16: its probe would have to report more than 16 different counters;"
                " write a second metrics probe for some signals\n");
}

typedef struct Identities {
        uint64_t probe, rule;
} Identities;

static Identities identities(const char *probe_keys, const char *rule_keys) {
        char text[1024];

        (void)snprintf(text, sizeof text,
                       HEAD
                       "probes = { p = { kind = \"http\"; targets = [ \"http://h/\" ]; %s }; };"
                       "signals = { s = { kind = \"availability\"; probe = \"p\"; }; };"
                       "rules = ( { name = \"r\"; kind = \"threshold\"; signal = \"s\"; %s } );",
                       probe_keys, rule_keys);
        _cleanup_(service_config_freep) ServiceConfig *c = take(text);

        return (Identities){ c->policy.probes[0].identity, c->policy.rules[0].identity };
}

/* What a window survives on reload. */
static void identities_change_with_what_is_measured_and_with_nothing_else(_unused_ void **state) {
        static const char limits[] = "enter = \"5%\"; leave = \"2%\";";
        static const char *const kept[] = { "interval = \"1s\";", "timeout = \"1s\";",
                                            "fast_interval = \"100ms\";", "max_body = \"2MiB\";" };
        static const char *const changed[] = {
                "rise = 3;",
                "fall = 4;",
                "expect = { body = \"x\"; };",
                "expect = { latency = \"1s\"; };",
                "expect = { values = ( { name = \"certificate_days\"; at_most = 1; } ); };",
                "expect = { status = [ \"200\" ]; };",
                "version_header = \"V\";"
        };
        Identities before = identities("", limits);

        for (size_t i = 0; i < ELEMENTSOF(kept); i++) {
                Identities after = identities(kept[i], limits);

                assert_true(after.probe == before.probe && after.rule == before.rule);
        }
        for (size_t i = 0; i < ELEMENTSOF(changed); i++) {
                Identities after = identities(changed[i], limits);

                assert_true(after.probe != before.probe && after.rule != before.rule);
        }
        assert_true(identities("", "enter = \"7%\"; leave = \"1%\"; hold = \"5s\"; response = "
                                   "\"rollback\"; min_bad = 3; min_samples = 7;")
                            .rule == before.rule);
        assert_true(identities("", "enter = \"5%\"; leave = \"2%\"; over = \"2m\";").rule !=
                    before.rule);
        assert_true(identities("", "enter = \"5%\"; leave = \"2%\"; dispersion = 2;").rule !=
                    before.rule);
}

static void a_distance_counts_changed_added_dropped_and_swapped_letters(_unused_ void **state) {
        assert_int_equal(config_distance("interval", "interval", 9), 0);
        assert_int_equal(config_distance("intreval", "interval", 9), 1);
        assert_int_equal(config_distance("intervall", "interval", 9), 1);
        assert_int_equal(config_distance("intrval", "interval", 9), 1);
        assert_int_equal(config_distance("kitten", "sitting", 9), 3);
        assert_int_equal(config_distance("", "abc", 9), 3);
        assert_int_equal(config_distance("abc", "xyz", 2), 2);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(single_mistakes_read_as_written_here),
                cmocka_unit_test(rules_and_signals_must_fit_together),
                cmocka_unit_test(a_rollback_and_its_steps_must_be_whole),
                cmocka_unit_test(the_sql_of_steps_is_read_at_load),
                cmocka_unit_test(all_mistakes_of_a_file_are_told_at_once),
                cmocka_unit_test(mistakes_beyond_twenty_are_counted),
                cmocka_unit_test(defaults_are_those_of_the_manual),
                cmocka_unit_test(the_timeout_is_never_longer_than_a_short_interval),
                cmocka_unit_test(equal_selectors_of_a_probe_are_one_operand),
                cmocka_unit_test(a_seventeenth_operand_is_refused),
                cmocka_unit_test(identities_change_with_what_is_measured_and_with_nothing_else),
                cmocka_unit_test(a_distance_counts_changed_added_dropped_and_swapped_letters),
        };

        return cmocka_run_group_tests(tests, support_set_up, support_tear_down);
}
