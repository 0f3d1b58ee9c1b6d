/* What is sent, and what is expected of an answer, by the words of each policy. */
#include <math.h>

#include "http_survey.h"

#define ANSWER(headers, body) "HTTP/1.1 200 OK\r\n" headers "Connection: close\r\n\r\n" body
#define JSON(body) ANSWER("", body)
#define DOCUMENT                                                                                   \
        "{ \"status\": \"ok\", \"build\": { \"version\": \"2.4.1\" }, \"queue\": 12, "             \
        "\"ready\": true, \"none\": null, \"a/b\": { \"m~n\": [ 1.5, 2 ] } }"

typedef struct Case {
        const char *keys, *answer, *code, *words;
} Case;

static void check(const Case *cases, size_t n) {
        for (size_t i = 0; i < n; i++) {
                Surveyed s = survey_answer(cases[i].keys, cases[i].answer);

                if (!streq(outcome_code(s.result.outcome), cases[i].code) ||
                    !streq(s.result.words, cases[i].words))
                        fail_msg("%s\n%s: %s", cases[i].keys, outcome_code(s.result.outcome),
                                 s.result.words);
        }
}

#define HEADERS(list) "expect = { headers = ( " list " ); };"

static void headers_are_as_expected(void **state _unused_) {
        static const char answer[] = ANSWER("X-A: one\r\nX-B: two\r\nX-B: three\r\nX-C:\r\n", "");
        static const Case cases[] = {
                { HEADERS("{ name = \"x-a\"; }"), answer, "ok", "" },
                { HEADERS("{ name = \"X-C\"; }"), answer, "ok", "" },
                { HEADERS("{ name = \"X-A\"; equals = \"one\"; }"), answer, "ok", "" },
                { HEADERS("{ name = \"X-B\"; equals = \"three\"; }, { name = \"X-B\"; contains = "
                          "\"w\"; }"),
                  answer, "ok", "" },
                { HEADERS("{ name = \"X-B\"; matches = \"^t.*e$\"; }"), answer, "ok", "" },
                { HEADERS("{ name = \"X-D\"; absent = true; }"), answer, "ok", "" },
                { HEADERS("{ name = \"X-D\"; }"), answer, "bad_header", "header X-D is missing" },
                { HEADERS("{ name = \"X-A\"; absent = true; }"), answer, "bad_header",
                  "header X-A is there and should not" },
                { HEADERS("{ name = \"X-A\"; equals = \"on\"; }"), answer, "bad_header",
                  "header X-A is \"one\", not \"on\"" },
                { HEADERS("{ name = \"X-A\"; contains = \"two\"; }"), answer, "bad_header",
                  "header X-A is \"one\" and lacks \"two\"" },
                { HEADERS("{ name = \"X-B\"; matches = \"^four$\"; }"), answer, "bad_header",
                  "header X-B is \"two\" and does not match \"^four$\"" },
        };

        check(cases, ELEMENTSOF(cases));
}

/* Sixteen of them would keep the loop for most of a second. */
static void one_costly_expression_is_all_that_an_answer_gets(void **state _unused_) {
        static const Case cases[] = {
                { HEADERS("{ name = \"X-B\"; matches = \"^y$\"; }, "
                          "{ name = \"X-A\"; matches = \"(a+)+$\"; }"),
                  ANSWER("X-A: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab\r\nX-B: x\r\n", ""),
                  "local", "header X-A takes too long to match; write a simpler expression" },
                { HEADERS("{ name = \"X-B\"; equals = \"y\"; }, "
                          "{ name = \"X-A\"; matches = \"(a+)+$\"; }"),
                  ANSWER("X-A: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab\r\nX-B: x\r\n", ""),
                  "bad_header", "header X-B is another, not \"y\"" },
        };

        check(cases, ELEMENTSOF(cases));
}

static void bodies_are_as_expected(void **state _unused_) {
        static const Case cases[] = {
                { "expect = { body_matches = \"^all\\\\s+is (ok|well)$\"; };",
                  ANSWER("", "all  is well\n"), "ok", "" },
                { "expect = { body_matches = \"^is\"; };", ANSWER("", "all is well"), "bad_body",
                  "body does not match \"^is\"" },
                { "expect = { body_matches = \"x\"; };", ANSWER("", ""), "bad_body",
                  "body does not match \"x\"" },
                { "expect = { body_matches = \"\\\\xff\\\\x00\"; };", ANSWER("", "\xff"),
                  "bad_body", "body does not match \"\\xff\\x00\"" },
                { "expect = { body = \"ok\"; };", ANSWER("Content-Encoding: gzip\r\n", "ok"),
                  "protocol", "the body came as Content-Encoding gzip, which nobody asked for" },
                { "", ANSWER("Content-Encoding: gzip\r\n", "ok"), "ok", "" },
                { "expect = { body = \"ok\"; status = [ \"204\" ]; };", ANSWER("", "ok"),
                  "bad_status", "HTTP 200" },
                { "expect = { body_matches = \"(a+)+$\"; };",
                  ANSWER("", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"), "local",
                  "the body takes too long to match; write a simpler expression in body_matches" },
        };

        check(cases, ELEMENTSOF(cases));
}

#define VALUES(list) "expect = { json = ( " list " ); };"

static void values_of_json_are_as_expected(void **state _unused_) {
        static const char answer[] = JSON(DOCUMENT);
        static const Case cases[] = {
                { VALUES("{ pointer = \"\"; }, { pointer = \"/none\"; }"), answer, "ok", "" },
                { VALUES("{ pointer = \"/status\"; equals = \"ok\"; }"), answer, "ok", "" },
                { VALUES("{ pointer = \"/queue\"; equals = \"12.0\"; at_least = 12; at_most = 12; "
                         "}"),
                  answer, "ok", "" },
                { VALUES("{ pointer = \"/ready\"; equals = \"true\"; }, { pointer = \"/none\"; "
                         "equals = \"null\"; }"),
                  answer, "ok", "" },
                { VALUES("{ pointer = \"/a~1b/m~0n/0\"; at_most = 1.5; }"), answer, "ok", "" },
                { VALUES("{ pointer = \"/error\"; absent = true; }"), answer, "ok", "" },
                { VALUES("{ pointer = \"/error\"; }"), answer, "bad_body",
                  "/error is missing in the body" },
                { VALUES("{ pointer = \"/a~1b/m~0n/2\"; }"), answer, "bad_body",
                  "/a~1b/m~0n/2 is missing in the body" },
                { VALUES("{ pointer = \"/a~1b/m~0n/00\"; }"), answer, "bad_body",
                  "/a~1b/m~0n/00 is missing in the body" },
                { VALUES("{ pointer = \"/status\"; absent = true; }"), answer, "bad_body",
                  "/status is \"ok\", and should not be there" },
                { VALUES("{ pointer = \"/status\"; equals = \"o\"; }"), answer, "bad_body",
                  "/status is \"ok\", not o" },
                { VALUES("{ pointer = \"/build\"; equals = \"2.4.1\"; }"), answer, "bad_body",
                  "/build is an object, not 2.4.1" },
                { VALUES("{ pointer = \"/queue\"; at_most = 10; }"), answer, "bad_body",
                  "/queue is \"12\", more than 10" },
                { VALUES("{ pointer = \"/queue\"; at_least = 12.5; }"), answer, "bad_body",
                  "/queue is \"12\", less than 12.5" },
                { VALUES("{ pointer = \"/status\"; value = \"status\"; }"), answer, "bad_body",
                  "/status is \"ok\", which is no number" },
                { VALUES("{ pointer = \"/a\"; }"), JSON("{ \"a\": 1, \"a\": 2 }"), "bad_body",
                  "body is no JSON: line 1, column 13: duplicate object key near '\"a\"'" },
                { VALUES("{ pointer = \"/a\"; }"), JSON("{ \"a\": 1, \"n\": 1e400 }"), "local",
                  "body cannot be read: rollbackd cannot hold it: line 1, column 20: real number "
                  "overflow near '1e400'" },
                { VALUES("{ pointer = \"/a\"; }"), JSON("[ 18446744073709551615 ]"), "local",
                  "body cannot be read: rollbackd cannot hold it: line 1, column 22: too big "
                  "integer near '18446744073709551615'" },
                { VALUES("{ pointer = \"/a\"; }"), JSON("[ \"a\\u0000b\" ]"), "local",
                  "body cannot be read: rollbackd cannot hold it: line 1, column 12: \\u0000 is "
                  "not allowed without JSON_ALLOW_NUL near '\"a\\u0000b\"'" },
                { VALUES("{ pointer = \"/0\"; equals = \"9007199254740993\"; }"),
                  JSON("[ 9007199254740993 ]"), "ok", "" },
                { VALUES("{ pointer = \"/0\"; equals = \"9007199254740993\"; }"),
                  JSON("[ 9007199254740992 ]"), "bad_body",
                  "/0 is \"9007199254740992\", not 9007199254740993" },
                { VALUES("{ pointer = \"/0\"; equals = \"1e20\"; }"),
                  JSON("[ 100000000000000000000.0 ]"), "ok", "" },
                { VALUES("{ pointer = \"/a\"; }"), JSON(""), "bad_body",
                  "body is no JSON: line 1, column 0: unexpected token near end of file" },
                { VALUES("{ pointer = \"/a\"; }"), JSON("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["),
                  "local", "body cannot be read: the JSON nests deeper than 32 levels" },
        };

        check(cases, ELEMENTSOF(cases));
}

static double value_of(const ProbeResult *r, const char *name) {
        for (size_t i = 0; i < r->n_values; i++)
                if (streq(r->values[i].name, name))
                        return r->values[i].value;
        return NAN;
}

static void numbers_are_reported(void **state _unused_) {
        Surveyed s = survey_answer(VALUES("{ pointer = \"/queue\"; value = \"queue\"; }, { pointer "
                                          "= \"/a~1b/m~0n/0\"; value = \"load\"; }"),
                                   JSON(DOCUMENT));

        assert_int_equal(s.result.n_values, 2);
        assert_true(value_of(&s.result, "queue") == 12 && value_of(&s.result, "load") == 1.5);
        s = survey_answer("expect = { json = ( { pointer = \"/queue\"; value = \"queue\"; } ); "
                          "values = ( { name = \"queue\"; at_most = 10; } ); };",
                          JSON(DOCUMENT));
        assert_string_equal(outcome_code(s.result.outcome), "bad_value");
}

static void a_pointer_names_the_version(void **state _unused_) {
        static const struct {
                const char *pointer, *answer, *code, *version, *words;
        } cases[] = {
                { "/build/version", JSON(DOCUMENT), "ok", "2.4.1", "" },
                { "/queue", JSON(DOCUMENT), "ok", "12", "" },
                { "/build", JSON(DOCUMENT), "ok", "", "/build names no version: it is no text" },
                { "/x", JSON(DOCUMENT), "ok", "",
                  "/x names no version: it is missing in the body" },
                { "/x", JSON("ok"), "ok", "", "/x names no version: it is missing in the body" },
                /* Whom a refused answer convicts is decided by its version too. */
                { "/v", "HTTP/1.1 503 X\r\n\r\n{ \"v\": \"2.4.0\" }", "bad_status", "2.4.0",
                  "HTTP 503" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                STRBUF(keys, 256);

                strbuf_add(&keys, "version_pointer = \"");
                strbuf_add(&keys, cases[i].pointer);
                strbuf_add(&keys, "\";");
                Surveyed s = survey_answer(keys.text, cases[i].answer);
                assert_string_equal(outcome_code(s.result.outcome), cases[i].code);
                assert_string_equal(s.result.version, cases[i].version);
                assert_string_equal(s.result.words, cases[i].words);
        }
}

static void assert_has(const char *text, const char *part) {
        if (!strstr(text, part))
                fail_msg("\"%s\" is not in:\n%s", part, text);
}

static void the_request_is_what_the_policy_says(void **state _unused_) {
        Surveyed s = survey_answer(
                "method = \"POST\"; body = \"{ ${x} }\"; content_type = \"text/x\"; "
                "headers = ( { name = \"Host\"; value = \"shop\"; }, { name = \"X-A\"; value = "
                "\"${x}\"; } ); expect = { body = \"ok\"; };",
                ANSWER("", "ok"));

        assert_int_equal(s.result.outcome, OUTCOME_OK);
        assert_has(s.request, "POST /healthz HTTP/1.1\r\n");
        assert_has(s.request, "\r\nHost: shop\r\n");
        assert_has(s.request, "\r\nX-A: ${x}\r\n");
        assert_has(s.request, "\r\nContent-Type: text/x\r\n");
        assert_has(s.request, "\r\nAccept-Encoding: identity\r\n");
        assert_has(s.request, "\r\nContent-Length: 8\r\n");
        assert_has(s.request, "\r\n\r\n{ ${x} }");
        assert_null(strstr(s.request, "127.0.0.1"));
}

static void head_has_no_body_to_wait_for(void **state _unused_) {
        Surveyed s = survey_answer("method = \"HEAD\"; timeout = \"5s\";",
                                   "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n");

        assert_string_equal(s.result.words, "");
        assert_int_equal(s.result.outcome, OUTCOME_OK);
        assert_has(s.request, "HEAD /healthz HTTP/1.1\r\n");
}

/* Says in the body and in a header what it was asked. */
static void serve_echo(int fd, unsigned n _unused_) {
        char request[4096], *key;
        ssize_t size = recv(fd, request, sizeof request - 1, 0);

        assert_true(size > 0);
        request[size] = '\0';
        key = strstr(request, "X-Key: ");
        assert_non_null(key);
        *strchr(key, '\r') = '\0';
        script_send(fd, "HTTP/1.1 200 OK\r\n");
        script_send(fd, key);
        script_send(fd, "\r\nSet-Cookie: sid=abc\r\n\r\n{ \"key\": \"");
        script_send(fd, key + 7);
        script_send(fd, "\" }");
}

#define SECRET_HEADER "headers = ( { name = \"X-Key\"; value_file = \"login\"; } ); "

static void a_secret_is_sent_and_shown_nowhere(void **state _unused_) {
        Surveyed s = survey_keys(SECRET_HEADER "expect = { headers = ( { name = \"X-Key\"; equals "
                                               "= \"" SURVEYED_SECRET "\"; } ); json = ( { pointer "
                                               "= \"/key\"; equals = \"x\"; } ); };",
                                 serve_echo);

        assert_string_equal(s.result.words, "/key is \"***\", not x");
        assert_has(s.request, "X-Key: ***\r\n");
        assert_has(s.answer, "X-Key: ***\r\nSet-Cookie:***\r\n");
        assert_has(s.answer, "{ \"key\": \"***\" }");
        assert_null(strstr(s.answer, SURVEYED_SECRET));

        s = survey_answer("method = \"POST\"; body_file = \"login\";", ANSWER("", ""));
        assert_int_equal(s.result.outcome, OUTCOME_OK);
        assert_has(s.request, "Content-Length: 8\r\n");
        assert_has(s.request, "\r\n\r\n***");
}

static void a_secret_that_is_missing_is_our_own_fault(void **state _unused_) {
        Surveyed s = survey_answer("method = \"POST\"; body_file = \"other\";", ANSWER("", ""));

        assert_string_equal(outcome_code(s.result.outcome), "local");
        assert_has(s.result.words, "/other: cannot be opened");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(headers_are_as_expected),
                cmocka_unit_test(one_costly_expression_is_all_that_an_answer_gets),
                cmocka_unit_test(bodies_are_as_expected),
                cmocka_unit_test(values_of_json_are_as_expected),
                cmocka_unit_test(numbers_are_reported),
                cmocka_unit_test(a_pointer_names_the_version),
                cmocka_unit_test(the_request_is_what_the_policy_says),
                cmocka_unit_test(head_has_no_body_to_wait_for),
                cmocka_unit_test(a_secret_is_sent_and_shown_nowhere),
                cmocka_unit_test(a_secret_that_is_missing_is_our_own_fault),
        };

        return cmocka_run_group_tests(tests, support_set_up, support_tear_down);
}
