/* A list of steps against a server that wants to be spoken to in this order. */
#include <math.h>

#include "http_survey.h"

static void assert_has(const char *text, const char *part) {
        if (!strstr(text, part))
                fail_msg("\"%s\" is not in:\n%s", part, text);
}

/* Reads one request with its body. False: there is none. */
static bool hear(int fd, char *request, size_t size) {
        size_t n = 0;

        for (;;) {
                const char *end, *length;
                ssize_t k = recv(fd, request + n, size - 1 - n, 0);

                if (k <= 0)
                        return false;
                n += (size_t)k;
                request[n] = '\0';
                end = strstr(request, "\r\n\r\n");
                length = strstr(request, "Content-Length: ");
                if (end && strlen(end + 4) >= (length ? strtoul(length + 16, NULL, 10) : 0))
                        return true;
        }
}

static void say(int fd, const char *status, const char *headers, const char *body) {
        STRBUF(b, 16384);

        strbuf_add(&b, "HTTP/1.1 ");
        strbuf_add(&b, status);
        strbuf_add(&b, "\r\n");
        strbuf_add(&b, headers);
        strbuf_add(&b, "Content-Length: ");
        strbuf_add_u64(&b, strlen(body));
        strbuf_add(&b, "\r\n\r\n");
        strbuf_add(&b, body);
        (void)script_send_n(fd, b.text, b.length);
}

#define TOKEN "t\\u006f/ken 1"

/* A shop: a form with a value, a login that wants it, a basket that wants what the login gave. Each
 * answer names the connection that it came over. */
static void serve_shop(int fd, unsigned n) {
        char request[8192];

        while (hear(fd, request, sizeof request)) {
                bool login = strstr(request, "X-CSRF: csrf-1\r\n") &&
                             strstr(request, "Cookie: sid=sid-1\r\n") &&
                             strstr(request, "\r\n\r\nuser=probe&csrf=csrf-1");

                if (strstr(request, "GET /form "))
                        say(fd, "200 OK",
                            "Set-Cookie: sid=sid-1; HttpOnly\r\nSet-Cookie: tls=1; Secure\r\n",
                            "<input name=csrf value=csrf-1>");
                else if (strstr(request, "POST /login "))
                        say(fd, login ? "200 OK" : "403 No",
                            "X-Basket: b-70\r\nSet-Cookie: sid=sid-2\r\n",
                            "{ \"token\": \"" TOKEN "\", \"n\": 3 }");
                else if (strstr(request, "GET /basket/b-70?t=to%2Fken%201&n=3 ") &&
                         strstr(request, "Authorization: Bearer to/ken 1\r\n") &&
                         strstr(request, "Cookie: sid=sid-2\r\n"))
                        say(fd, "200 OK", n == 1 ? "X-Version: second\r\n" : "X-Version: other\r\n",
                            "{ \"items\": 2, \"for\": \"to/ken 1\" }");
                else
                        say(fd, "404 Not Found", "", "{}");
        }
}

#define FORM                                                                                       \
        "{ path = \"/form\"; take = ( { name = \"csrf\"; matches = \"value=([^>]+)>\"; } ); }, "
#define LOGIN                                                                                      \
        "{ path = \"/login\"; method = \"POST\"; body = \"user=probe&csrf=${csrf}\"; "             \
        "headers = ( { name = \"X-CSRF\"; value = \"${csrf}\"; } ); take = ( { name = \"token\"; " \
        "pointer = \"/token\"; }, { name = \"n\"; pointer = \"/n\"; }, { name = \"basket\"; "      \
        "header = \"X-Basket\"; } ); }, "
#define BASKET(expected)                                                                           \
        "{ path = \"/basket/${basket}?t=${token}&n=${n}\"; version_header = \"X-Version\"; "       \
        "headers = ( { name = \"Authorization\"; value = \"Bearer ${token}\"; } ); expect = { "    \
        "json = ( " expected " ); }; }"
#define STEPS(list) "timeout = \"5s\"; steps = ( " list " );"

static double value_of(const ProbeResult *r, const char *name) {
        for (size_t i = 0; i < r->n_values; i++)
                if (streq(r->values[i].name, name))
                        return r->values[i].value;
        return NAN;
}

static void a_journey_takes_and_uses(void **state _unused_) {
        Surveyed s = survey_keys(STEPS(FORM LOGIN BASKET("{ pointer = \"/items\"; value = "
                                                         "\"items\"; equals = \"2\"; }")),
                                 serve_shop);

        assert_string_equal(s.result.words, "");
        assert_string_equal(outcome_code(s.result.outcome), "ok");
        assert_int_equal(s.result.status, 200);
        /* The POST had a connection of its own, and what came then went over it too. */
        assert_string_equal(s.result.version, "second");
        assert_int_equal(s.result.n_values, 4);
        assert_true(value_of(&s.result, "items") == 2);
        for (unsigned i = 1; i <= 3; i++) {
                char name[32];

                (void)snprintf(name, sizeof name, "step_%u_seconds", i);
                assert_true(value_of(&s.result, name) >= 0);
        }
}

static void what_was_taken_is_shown_nowhere(void **state _unused_) {
        static const char *const secrets[] = { "csrf-1",   "sid-1",    "sid-2", "to/ken",
                                               "to%2Fken", "t\\u006f", "b-70" };
        Surveyed s = survey_keys(
                STEPS(FORM LOGIN BASKET("{ pointer = \"/for\"; equals = \"x\"; }")), serve_shop);

        assert_string_equal(
                s.result.words,
                "step 3 (GET /basket/${basket}?t=${token}&n=$...): /for is \"***\", not "
                "x");
        for (size_t i = 0; i < ELEMENTSOF(secrets); i++)
                if (strstr(s.request, secrets[i]) || strstr(s.answer, secrets[i]))
                        fail_msg("%s is shown:\n%s\n%s", secrets[i], s.request, s.answer);
        assert_has(s.request, "GET /form HTTP/1.1\r\n");
        assert_has(s.request, "GET /basket/***?t=***&n=3 ");
        assert_has(s.answer, "\"items\": 2");
}

typedef struct Case {
        const char *keys, *code, *words;
} Case;

static void a_step_that_fails_is_named(void **state _unused_) {
        static const Case cases[] = {
                { STEPS("{ path = \"/x\"; }, { path = \"/y\"; }"), "bad_status",
                  "step 1 (GET /x): HTTP 404" },
                { STEPS(FORM "{ path = \"/login\"; method = \"POST\"; body = \"x\"; }"),
                  "bad_status", "step 2 (POST /login): HTTP 403" },
                { STEPS("{ path = \"/form\"; take = ( { name = \"a\"; header = \"X-A\"; } ); }"),
                  "bad_header",
                  "step 1 (GET /form): header X-A, which is to be taken, is missing" },
                { STEPS("{ path = \"/form\"; take = ( { name = \"a\"; matches = \"v=(x+)\"; } ); "
                        "}"),
                  "bad_body", "step 1 (GET /form): body does not match \"v=(x+)\", to take a" },
                { STEPS("{ path = \"/form\"; take = ( { name = \"a\"; pointer = \"/a\"; } ); }"),
                  "bad_body", "step 1 (GET /form): body is no JSON: line 1, column 1" },
                { STEPS("{ path = \"/x\"; expect = { status = [ \"404\" ]; }; take = ( { name = "
                        "\"a\"; pointer = \"/a\"; } ); }"),
                  "bad_body", "step 1 (GET /x): /a is missing in the body, to take a" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Surveyed s = survey_keys(cases[i].keys, serve_shop);

                assert_string_equal(s.result.words, cases[i].words);
                assert_string_equal(outcome_code(s.result.outcome), cases[i].code);
        }
}

/* The value of the taken field, whatever it is. */
static const char *taken;

static void serve_taken(int fd, unsigned n _unused_) {
        char request[16384];

        while (hear(fd, request, sizeof request))
                say(fd, "200 OK", "", taken);
}

#define USE                                                                                        \
        STEPS("{ path = \"/a\"; take = ( { name = \"a\"; pointer = \"/a\"; } ); }, { path = "      \
              "\"/b\"; headers = ( { name = \"X-A\"; value = \"${a}${a}\"; } ); }")

static void what_cannot_be_used_is_refused(void **state _unused_) {
        static char longer[8192] = "{ \"a\": \"", fits[8192] = "{ \"a\": \"";
        static const char control[] = "step 1 (GET /a): what is to be taken as a has a control "
                                      "character",
                          kept[] = "step 1 (GET /a): what is to be taken, or its cookies, are more "
                                   "than is kept: 4 KiB each, 32 cookies";
        struct {
                const char *answer, *code, *words;
        } cases[] = {
                { "{ \"a\": \"x\\r\\nX-B: y\" }", "bad_body", control },
                { "{ \"a\": \"\\u007f\" }", "bad_body", control },
                { "{ \"a\": \"x\\u0000y\" }", "local",
                  "step 1 (GET /a): body cannot be read: rollbackd cannot hold it: line 1, column "
                  "17" },
                { "{ \"a\": [] }", "bad_body",
                  "step 1 (GET /a): /a is no text, number, true or false, to take a" },
                { longer, "local", kept },
                { fits, "local",
                  "step 2 (GET /b): the request becomes longer than 8 KiB, or its body than 64 "
                  "KiB, "
                  "by what was taken" },
                { "{ \"a\": true }", "ok", "" },
        };

        memset(longer + strlen(longer), 'x', HTTP_STEPS_MAX * 256 + 1);
        memcpy(longer + strlen(longer), "\" }", 4);
        memset(fits + strlen(fits), 'x', HTTP_STEPS_MAX * 256);
        memcpy(fits + strlen(fits), "\" }", 4);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                taken = cases[i].answer;
                Surveyed s = survey_keys(USE, serve_taken);
                assert_string_equal(s.result.words, cases[i].words);
                assert_string_equal(outcome_code(s.result.outcome), cases[i].code);
        }
}

#define SIGNS "{ \"a\": \"q+/&=%\\\"\\\\ b\" }"

/* What a body with the value in it must be, and whether it was. */
static const char *wanted_body;

static void serve_body(int fd, unsigned n _unused_) {
        char request[16384];

        while (hear(fd, request, sizeof request)) {
                const char *body = strstr(request, "\r\n\r\n") + 4;
                bool good = strstr(request, "GET ") || streq(body, wanted_body);

                say(fd, good ? "200 OK" : "400 No", "", SIGNS);
        }
}

static void a_value_stands_in_a_body_as_the_body_wants_it(void **state _unused_) {
        static const struct {
                const char *type, *body, *wanted, *shown;
        } cases[] = {
                { "application/x-www-form-urlencoded; charset=utf-8", "x=1&a=${a}",
                  "x=1&a=q%2B%2F%26%3D%25%22%5C%20b", "x=1&a=***" },
                { "Application/JSON", "{\\\"a\\\":\\\"${a}\\\"}", "{\"a\":\"q+/&=%\\\"\\\\ b\"}",
                  "{\"a\":\"***\"}" },
                { "application/problem+json", "\\\"${a}\\\"", "\"q+/&=%\\\"\\\\ b\"", "\"***\"" },
                { "text/plain", "${a}", "q+/&=%\"\\ b", "***" },
        };
        char keys[1024];

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                wanted_body = cases[i].wanted;
                (void)snprintf(keys, sizeof keys,
                               STEPS("{ path = \"/a\"; take = ( { name = \"a\"; pointer = "
                                     "\"/a\"; } ); }, { path = \"/b\"; method = \"POST\"; "
                                     "content_type = \"%s\"; body = \"%s\"; }"),
                               cases[i].type, cases[i].body);
                Surveyed s = survey_keys(keys, serve_body);
                assert_string_equal(s.result.words, "");
                assert_has(s.request, cases[i].shown);
        }
}

static void serve_cookies(int fd, unsigned n _unused_) {
        char request[16384];

        while (hear(fd, request, sizeof request)) {
                STRBUF(b, 8192);

                for (unsigned i = 0; i < 33; i++) {
                        strbuf_add(&b, "Set-Cookie: c");
                        strbuf_add_u64(&b, i);
                        strbuf_add(&b, "=1\r\n");
                }
                say(fd, "200 OK", b.text, "");
        }
}

static void too_many_cookies_are_our_own_limit(void **state _unused_) {
        Surveyed s = survey_keys(STEPS("{ path = \"/a\"; }"), serve_cookies);

        assert_string_equal(outcome_code(s.result.outcome), "local");
        assert_has(s.result.words, "more than is kept: 4 KiB each, 32 cookies");
}

/* Answers the first request, and closes without a word of it. */
static void serve_one(int fd, unsigned n _unused_) {
        char request[4096];

        if (hear(fd, request, sizeof request))
                say(fd, "200 OK", "", "{ \"a\": 1 }");
}

static void a_server_that_keeps_no_connection_gets_new_ones(void **state _unused_) {
        Surveyed s = survey_keys(USE, serve_one);

        assert_string_equal(s.result.words, "");
        assert_int_equal(s.result.outcome, OUTCOME_OK);
}

static void serve_first_only(int fd, unsigned n _unused_) {
        char request[4096];

        if (hear(fd, request, sizeof request))
                say(fd, "200 OK", "", "{ \"a\": 1 }");
        while (hear(fd, request, sizeof request))
                ;
}

/* One deadline for all steps, and the step that is waited for is named. */
static void the_deadline_is_of_all_steps(void **state _unused_) {
        Harness h;
        StatusRange good = { 200, 299 };
        HttpTakeConfig take = { .name = (char *)"a", .pointer = (char *)"/a" };
        HttpCallConfig steps[] = {
                { .method = (char *)"GET",
                  .path = (char *)"/a",
                  .status = &good,
                  .n_status = 1,
                  .take = &take,
                  .n_take = 1 },
                { .method = (char *)"GET", .path = (char *)"/b", .status = &good, .n_status = 1 },
        };

        harness_init(&h, PROBE_HTTP, 0);
        h.probe.timeout = 2 * USEC_PER_SEC;
        h.probe.http = (HttpProbeConfig){ .steps = steps, .n_steps = 2 };
        const Result *r = harness_probe_once(&h, serve_first_only);
        assert_string_equal(outcome_code(r->outcome), "timeout");
        assert_string_equal(r->words, "no answer in step 2 (GET /b) within 2 s");
        harness_done(&h);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_journey_takes_and_uses),
                cmocka_unit_test(what_was_taken_is_shown_nowhere),
                cmocka_unit_test(a_step_that_fails_is_named),
                cmocka_unit_test(what_cannot_be_used_is_refused),
                cmocka_unit_test(a_value_stands_in_a_body_as_the_body_wants_it),
                cmocka_unit_test(too_many_cookies_are_our_own_limit),
                cmocka_unit_test(a_server_that_keeps_no_connection_gets_new_ones),
                cmocka_unit_test(the_deadline_is_of_all_steps),
        };

        return cmocka_run_group_tests(tests, support_set_up, support_tear_down);
}
