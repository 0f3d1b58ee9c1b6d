/* The keys of probes of kind exec and promql: what they mean to each other, and that they survive
 * the dump. */
#include "config_support.h"

#define PROBE(keys) "service = \"s\";\nprobes = { p = { " keys " }; };\n"
#define EXEC(command) PROBE("kind = \"exec\"; command = " command ";")
#define PROMQL(keys) PROBE("kind = \"promql\"; query = \"up\"; " keys)
#define STORE "url = \"http://h:9090\"; "

static void mistakes_read_as_written_here(_unused_ void **state) {
        static const struct {
                const char *text, *mistakes;
        } cases[] = {
                { EXEC("[ \"check_disk\", \"-w\" ]"),
                  "f:2: probes.p.command: \"check_disk\" is no absolute path; no shell looks for "
                  "the program, write /usr/lib/nagios/plugins/... or where else it is\n" },
                { EXEC("[ \"\" ]"),
                  "f:2: probes.p.command: \"\" is no absolute path; no shell looks for the "
                  "program, write /usr/lib/nagios/plugins/... or where else it is\n" },
                { EXEC("( \"/bin/true\", 7 )"),
                  "f:2: probes.p.command: is a whole number; write a list of texts in quotes, " },
                { PROMQL(STORE "user = \"me\";"),
                  "f:2: probes.p.password_file: is missing; write user and password_file, or "
                  "neither\n" },
                { PROMQL(STORE "password_file = \"x\";"),
                  "f:2: probes.p.user: is missing; write user and password_file, or neither\n" },
                { PROMQL(STORE "user = \"a:b\"; password_file = \"x\";"),
                  "f:2: probes.p.user: has a colon, which Basic authentication cannot carry; write "
                  "it without\n" },
                { PROMQL(STORE "user = \"me\"; password_file = \"x\"; token_file = \"y\";"),
                  "f:2: probes.p.token_file: and user are two ways to say who asks; remove one\n" },
                { PROMQL(STORE "tenant = \"a\\nX-Evil: b\";"),
                  "f:2: probes.p.tenant: has a control character; write it without\n" },
                { PROMQL("url = \"http://h:9090/?a=b\";"),
                  "f:2: probes.p.url: has a query or a fragment; write the URL of the store up to "
                  "/api/v1/query alone\n" },
                { PROMQL("url = \"http://h:9090/prometheus/api/v1/query\";"),
                  "f:2: probes.p.url: ends with what rollbackd itself puts behind it; write the "
                  "URL "
                  "of the store up to /api/v1/query\n" },
                { PROMQL("url = \"http://u:p@h:9090/\";"), "f:2: probes.p.url: " },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const char *mistakes = support_refused(cases[i].text);

                if (strncmp(mistakes, cases[i].mistakes, strlen(cases[i].mistakes)) != 0)
                        assert_string_equal(mistakes, cases[i].mistakes);
        }
}

static void a_word_of_4096_bytes_is_the_longest(_unused_ void **state) {
        static char text[8192];

        for (size_t n = 4096; n <= 4097; n++) {
                _cleanup_(service_config_freep) ServiceConfig *c = NULL;
                StrBuf b;

                strbuf_init(&b, text, sizeof text);
                strbuf_add(&b,
                           "service = \"s\"; probes = { p = { kind = \"exec\"; command = [ \"/");
                for (size_t i = 1; i < n; i++)
                        strbuf_add_char(&b, 'x');
                strbuf_add(&b, "\" ]; }; };");
                const char *mistakes = support_mistakes(text, &c);
                if (n == 4096)
                        assert_string_equal(mistakes, "");
                else
                        assert_non_null(strstr(mistakes, "is longer than 4096 bytes"));
        }
}

static void what_is_written_is_kept_and_dumped(_unused_ void **state) {
        _cleanup_(service_config_freep) ServiceConfig *c = NULL, *again = NULL;
        _cleanup_(freep) char *dump = NULL, *second = NULL;
        const char *text =
                "service = \"s\"; probes = {"
                " e = { kind = \"exec\"; command = [ \"/bin/x\", \"\", \"a b\", \"\\\"$(id)\\n\" ];"
                " warning = \"bad\"; };"
                " q = { kind = \"promql\"; url = \"http://h/p\"; query = \"max(up)\";"
                " reduce = \"avg\"; max_age = \"2m\"; tenant = \"t\"; token_file = \"k\"; }; };";

        assert_string_equal(support_mistakes(text, &c), "");
        const ProbeConfig *e = &c->probes[0], *q = &c->probes[1];
        assert_int_equal(e->exec.n_command, 4);
        assert_string_equal(e->exec.command[1], "");
        assert_string_equal(e->exec.command[3], "\"$(id)\n");
        assert_true(e->exec.warning_is_bad);
        assert_int_equal(e->n_targets, 1);
        assert_int_equal(e->targets[0].scheme, TARGET_NAMED);
        assert_string_equal(e->targets[0].url, "/bin/x");
        assert_int_equal(q->promql.reduce, REDUCE_AVG);
        assert_int_equal(q->promql.max_age, 120 * USEC_PER_SEC);
        assert_string_equal(q->targets[0].url, "http://h/p");
        dump = config_dump_service(c);
        assert_non_null(dump);
        assert_string_equal(support_mistakes(dump, &again), "");
        second = config_dump_service(again);
        assert_string_equal(dump, second);
        assert_string_equal(again->probes[0].exec.command[3], "\"$(id)\n");
        assert_int_equal(c->policy.probes[0].identity, again->policy.probes[0].identity);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(mistakes_read_as_written_here),
                cmocka_unit_test(a_word_of_4096_bytes_is_the_longest),
                cmocka_unit_test(what_is_written_is_kept_and_dumped),
        };

        return cmocka_run_group_tests(tests, support_set_up, support_tear_down);
}
