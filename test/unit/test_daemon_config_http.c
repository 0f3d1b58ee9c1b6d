/* What the keys of http probes mean to each other, by the words of each mistake. */
#include "config_support.h"

#define PROBE(keys)                                                                                \
        "service = \"s\";\nprobes = { p = { kind = \"http\"; targets = [ \"http://h/\" ]; " keys   \
        " }; };\n"
#define HEADERS(list) PROBE("headers = ( " list " );")
#define STEPS(list) PROBE("steps = ( " list " );")
#define AT "f:2: probes.p."

typedef struct Case {
        const char *text, *mistakes;
} Case;

static void check(const Case *cases, size_t n) {
        for (size_t i = 0; i < n; i++)
                assert_string_equal(support_refused(cases[i].text), cases[i].mistakes);
}

static void requests_that_cannot_be_sent_are_refused(_unused_ void **state) {
        static const Case cases[] = {
                { HEADERS("{ name = \"Content-length\"; value = \"1\"; }"),
                  AT "headers: \"Content-length\" frames the message, which rollbackd does by "
                     "itself; remove it\n" },
                { HEADERS("{ name = \"Expect\"; value = \"1\"; }"),
                  AT "headers: \"Expect\" frames the message, which rollbackd does by itself; "
                     "remove it\n" },
                { HEADERS("{ name = \"accept-encoding\"; value = \"gzip\"; }"),
                  AT "headers: \"accept-encoding\" would ask for what rollbackd does not unpack; "
                     "remove it\n" },
                { HEADERS("{ name = \"Content-Type\"; value = \"a/b\"; }"),
                  AT "headers: \"Content-Type\" has a key of its own; write content_type\n" },
                { HEADERS("{ name = \"X-A\"; }"),
                  AT "headers: \"X-A\" needs one value; write value, or value_file with the name "
                     "of a secret\n" },
                { HEADERS("{ name = \"X-A\"; value = \"a\"; value_file = \"b\"; }"),
                  AT "headers: \"X-A\" needs one value; write value, or value_file with the name "
                     "of a secret\n" },
                { HEADERS("{ name = \"X-A\"; value = \"a\\r\\nX-B: b\"; }"),
                  AT "headers: \"X-A\" has a line end or another control character in its value; "
                     "remove it\n" },
                { HEADERS("{ name = \"X-A\"; value = \"a\"; }, { name = \"x-a\"; value = \"b\"; }"),
                  AT "headers: \"x-a\" is there twice; remove one\n" },
                { PROBE("body = \"x\";"),
                  AT "method: is not \"POST\", and only that has a body; write it\n" },
                { PROBE("method = \"POST\"; body = \"x\"; body_file = \"y\";"),
                  AT "body_file: stands beside body, and both are it; remove one\n" },
                { PROBE("method = \"POST\"; connection = \"reuse:2\";"),
                  "f:2: probes.p.connection: is kept, and a request over one that ends meanwhile "
                  "is sent again, which a POST must not be; write \"fresh\"\n" },
                { PROBE("content_type = \"a/b\";"),
                  AT "content_type: says what no body is; remove it, or add body\n" },
                { PROBE("method = \"POST\"; body = \"x\"; content_type = \"a\\n\";"),
                  AT "content_type: has a line end or another control character; remove it\n" },
        };

        check(cases, ELEMENTSOF(cases));
}

static void expectations_that_no_answer_meets_are_refused(_unused_ void **state) {
        static const Case cases[] = {
                { PROBE("method = \"HEAD\"; expect = { body = \"ok\"; };"),
                  AT "method: is \"HEAD\", whose answer has no body, but something is wanted of "
                     "the body; write \"GET\"\n" },
                { PROBE("method = \"HEAD\"; version_pointer = \"/v\";"),
                  AT "method: is \"HEAD\", whose answer has no body, but something is wanted of "
                     "the body; write \"GET\"\n" },
                { PROBE("version_pointer = \"/v\"; version_header = \"V\";"),
                  AT "version_pointer: stands beside version_header, and both name the version; "
                     "remove one\n" },
                { PROBE("version_pointer = \"/v\"; max_body = \"2MiB\";"),
                  AT "max_body: is more than is read as JSON; write at most \"1MiB\"\n" },
                { PROBE("expect = { body_matches = \"a(b\"; };"),
                  AT "expect.body_matches: \"a(b\" is wrong at byte 3 (missing closing "
                     "parenthesis); correct it\n" },
                { PROBE("expect = { headers = ( { name = \"A\"; equals = \"a\"; absent = true; } "
                        "); };"),
                  AT "expect.headers: says more than one thing of a header; write one of equals, "
                     "contains, matches and absent, and another entry for more\n" },
                { PROBE("expect = { headers = ( { name = \"A\"; matches = \"*\"; } ); };"),
                  AT "expect.headers: \"*\" is wrong at byte 0 (quantifier does not follow a "
                     "repeatable item); correct it\n" },
                { PROBE("expect = { json = ( { pointer = \"/a\"; absent = true; value = \"a\"; } "
                        "); };"),
                  AT "expect.json: wants something of what must not be there; remove absent, or "
                     "the rest\n" },
                { PROBE("expect = { json = ( { pointer = \"/a\"; at_least = 2; at_most = 1; } ); "
                        "};"),
                  AT "expect.json: wants at least more than at most, which no number is; write "
                     "at_least below at_most\n" },
                { PROBE("expect = { json = ( { pointer = \"/a\"; value = \"v\"; }, { pointer = "
                        "\"/b\"; value = \"v\"; } ); };"),
                  AT "expect.json: \"v\" is the name of another value too; write another\n" },
                { PROBE("expect = { json = ( { pointer = \"/a\"; value = \"certificate_days\"; } "
                        "); };"),
                  AT "expect.json: \"certificate_days\" is the name of another value too; write "
                     "another\n" },
        };

        check(cases, ELEMENTSOF(cases));
}

static void steps_that_do_not_follow_are_refused(_unused_ void **state) {
        static const Case cases[] = {
                { STEPS("{ path = \"a b\"; }"),
                  AT "steps[0].path: \"a b\" is no path; write one that begins with / and has no "
                     "blank, no # and only ASCII, the rest percent-encoded\n" },
                { STEPS("{ path = \"/${a}\"; take = ( { name = \"a\"; pointer = \"/a\"; } ); }"),
                  AT "steps[0].path: \"a\" is taken by no earlier step; add it to the take of "
                     "one\n" },
                { STEPS("{ path = \"/\"; method = \"POST\"; body = \"${x}\"; headers = ( { name = "
                        "\"X-A\"; value = \"${y\"; } ); }"),
                  AT "steps[0].body: \"x\" is taken by no earlier step; add it to the take of "
                     "one\n" AT "steps[0].headers: \"${y\" begins no ${name}; write one, or $${ "
                     "for ${ itself\n" },
                { STEPS("{ path = \"/\"; take = ( { name = \"a\"; } ); }"),
                  AT "steps[0].take: needs one place to take it from; write one of pointer, "
                     "header and matches\n" },
                { STEPS("{ path = \"/\"; take = ( { name = \"a\"; matches = \"a(b)(c)\"; } ); }"),
                  AT "steps[0].take: \"a(b)(c)\" has not one group; write ( ) around what to "
                     "take, and (?: ) for other brackets\n" },
                { STEPS("{ path = \"/\"; take = ( { name = \"a\"; pointer = \"/a\"; } ); }, { path "
                        "= \"/\"; take = ( { name = \"a\"; pointer = \"/a\"; } ); }"),
                  AT "steps[1].take: \"a\" is taken before; write another name\n" },
                { STEPS("{ path = \"/\"; headers = ( { name = \"cookie\"; value = \"a=b\"; } ); "
                        "}"),
                  AT "steps[0].headers: \"cookie\" is written by the steps themselves, from the "
                     "cookies of earlier answers; remove it\n" },
                { STEPS("{ path = \"/\"; version_header = \"A\"; }, { path = \"/\"; "
                        "version_pointer = \"/a\"; }"),
                  AT "steps: name the version that answered more than once; write version_header "
                     "or version_pointer in one step\n" },
                { "service = \"s\";\nprobes = { p = { kind = \"http\"; targets = [ "
                  "\"http://h/a\" ]; steps = ( { path = \"/\"; } ); }; };\n",
                  AT "targets: \"http://h/a\" has a path, and so has each step; write the target "
                     "without it\n" },
                { PROBE("method = \"GET\"; steps = ( { path = \"/\"; } );"),
                  AT "method: is of a single request, and this probe has steps; write it in a "
                     "step\n" },
                { PROBE("expect = { body = \"ok\"; }; steps = ( { path = \"/\"; } );"),
                  AT "expect: says what a single answer must be, and this probe has steps; write "
                     "it in the expect of a step\n" },
        };

        check(cases, ELEMENTSOF(cases));
}

/* Says what is wrong with 14 steps that report so many values. */
static const char *refuse_values(const char *scheme, unsigned values) {
        static char text[8192];
        _cleanup_(service_config_freep) ServiceConfig *c = NULL;
        StrBuf b;

        strbuf_init(&b, text, sizeof text);
        strbuf_add(&b, "service = \"s\";\nprobes = { p = { kind = \"http\"; targets = [ \"");
        strbuf_add(&b, scheme);
        strbuf_add(&b, "://h\" ]; steps = ( ");
        for (unsigned i = 0; i < 13; i++)
                strbuf_add(&b, "{ path = \"/\"; }, ");
        strbuf_add(&b, "{ path = \"/\"; expect = { json = ( ");
        for (unsigned i = 0; i < values; i++) {
                strbuf_add(&b, i > 0 ? ", { pointer = \"/a\"; value = \"v" :
                                       "{ pointer = \"/a\"; value = \"v");
                strbuf_add_u64(&b, i);
                strbuf_add(&b, "\"; }");
        }
        strbuf_add(&b, " ); }; } ); }; };\n");
        return support_mistakes(text, &c);
}

static void values_have_room_with_the_times_of_steps(_unused_ void **state) {
        static const char refused[] = AT
                "steps: make more values than the 16 that a probe reports, with the time of "
                "each step and, of https, the days of the certificate; write fewer\n";

        assert_string_equal(refuse_values("http", 2), "");
        assert_string_equal(refuse_values("http", 3), refused);
        assert_string_equal(refuse_values("https", 1), "");
        assert_string_equal(refuse_values("https", 2), refused);
}

/* What a probe with steps does is shown as it is, and is read again. */
static void a_dump_says_the_same(_unused_ void **state) {
        ServiceConfig *c = NULL, *again = NULL;
        _cleanup_(freep) char *dump = NULL, *second = NULL;

        assert_string_equal(
                support_mistakes(STEPS("{ path = \"/\"; take = ( { name = \"a\"; pointer = "
                                       "\"/a\"; } ); }, { path = \"/$${${a}\"; expect = { headers "
                                       "= ( { name = \"A\"; absent = true; } ); }; }"),
                                 &c),
                "");
        dump = config_dump_service(c);
        assert_non_null(strstr(dump, "path = \"/$${${a}\""));
        assert_string_equal(support_mistakes(dump, &again), "");
        second = config_dump_service(again);
        assert_string_equal(second, dump);
        service_config_free(c);
        service_config_free(again);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(requests_that_cannot_be_sent_are_refused),
                cmocka_unit_test(expectations_that_no_answer_meets_are_refused),
                cmocka_unit_test(steps_that_do_not_follow_are_refused),
                cmocka_unit_test(values_have_room_with_the_times_of_steps),
                cmocka_unit_test(a_dump_says_the_same),
        };

        return cmocka_run_group_tests(tests, support_set_up, support_tear_down);
}
