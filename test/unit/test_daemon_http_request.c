/* The text of a request: what is written, what is refused, what framing says. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http_request.h"

#define AGENT "User-Agent: rollbackd/" ROLLBACKD_VERSION "\r\n"

static const TargetConfig target = { .host = (char *)"10.0.0.11",
                                     .port = 8080,
                                     .path = (char *)"/healthz?all=1" };

static void assert_text(const HttpRequest *r, const char *text) {
        assert_int_equal(r->length, strlen(text));
        assert_memory_equal(r->text, text, r->length);
}

static void assert_built(const HttpRequestParts *parts, const TargetConfig *to, const char *text) {
        HttpRequest r;

        assert_int_equal(http_request_build(&r, to, parts), 0);
        assert_text(&r, text);
        http_request_done(&r);
}

static void a_get_says_who_asks_for_what(void **state _unused_) {
        TargetConfig six = { .host = (char *)"::1", .port = 80, .path = (char *)"/" };

        assert_built(&(HttpRequestParts){ .accept = "*/*" }, &target,
                     "GET /healthz?all=1 HTTP/1.1\r\nHost: 10.0.0.11:8080\r\n" AGENT
                     "Accept: */*\r\nConnection: close\r\n\r\n");
        assert_built(&(HttpRequestParts){ .accept = "*/*", .keep = true }, &six,
                     "GET / HTTP/1.1\r\nHost: [::1]\r\n" AGENT "Accept: */*\r\n\r\n");
}

static void a_body_has_its_length_and_goes_as_it_is(void **state _unused_) {
        static const HttpHeader json = { "Content-Type", "application/json" };

        assert_built(&(HttpRequestParts){ .method = "POST",
                                          .path = "/login",
                                          .accept = "*/*",
                                          .headers = &json,
                                          .n_headers = 1,
                                          .body = { .p = "{\r\n}", .n = 4 } },
                     &target,
                     "POST /login HTTP/1.1\r\nHost: 10.0.0.11:8080\r\n" AGENT
                     "Accept: */*\r\nContent-Type: application/json\r\nContent-Length: "
                     "4\r\nConnection: close\r\n\r\n{\r\n}");
        assert_built(&(HttpRequestParts){ .method = "PUT", .accept = "*/*", .keep = true }, &target,
                     "PUT /healthz?all=1 HTTP/1.1\r\nHost: 10.0.0.11:8080\r\n" AGENT
                     "Accept: */*\r\nContent-Length: 0\r\n\r\n");
}

static void a_header_of_the_caller_replaces_ours(void **state _unused_) {
        static const HttpHeader own[] = { { "host", "users.example.org" },
                                          { "ACCEPT", "text/html" },
                                          { "User-Agent", "curl" } };

        assert_built(&(HttpRequestParts){ .accept = "*/*", .headers = own, .n_headers = 3 },
                     &target,
                     "GET /healthz?all=1 HTTP/1.1\r\nhost: users.example.org\r\nACCEPT: "
                     "text/html\r\nUser-Agent: curl\r\nConnection: close\r\n\r\n");
}

static void the_last_request_of_a_connection_says_so(void **state _unused_) {
        HttpRequest kept, last;

        assert_int_equal(http_request_build(&kept, &target,
                                            &(HttpRequestParts){ .method = "POST",
                                                                 .accept = "*/*",
                                                                 .body = { .p = "x", .n = 1 },
                                                                 .keep = true }),
                         0);
        assert_int_equal(http_request_build_last(&last, &kept), 0);
        assert_text(&last, "POST /healthz?all=1 HTTP/1.1\r\nHost: 10.0.0.11:8080\r\n" AGENT
                           "Accept: */*\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx");
        http_request_done(&kept);
        http_request_done(&last);
}

static void head_is_known_as_such(void **state _unused_) {
        HttpRequest r;

        assert_int_equal(
                http_request_build(&r, &target,
                                   &(HttpRequestParts){ .method = "HEAD", .accept = "*/*" }),
                0);
        assert_true(r.head);
        http_request_done(&r);
}

static void a_trace_shows_no_secret(void **state _unused_) {
        static const HttpHeader headers[] = { { "authorization", "Bearer s3cret" },
                                              { "Cookie", "id=s3cret" },
                                              { "X-Trace", "1" } };
        static char sent[4096];
        ProbeTrace trace = {};
        HttpRequest r;

        strbuf_init(&trace.request, sent, sizeof sent);
        assert_int_equal(http_request_build(&r, &target,
                                            &(HttpRequestParts){ .method = "POST",
                                                                 .accept = "*/*",
                                                                 .headers = headers,
                                                                 .n_headers = 3,
                                                                 .body = { .p = "x", .n = 1 } }),
                         0);
        http_request_show(&r, &trace);
        assert_string_equal(sent, "POST /healthz?all=1 HTTP/1.1\r\nHost: 10.0.0.11:8080\r\n" AGENT
                                  "Accept: */*\r\nauthorization: ***\r\nCookie: ***\r\nX-Trace: "
                                  "1\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx");
        http_request_done(&r);
}

/* A policy that is valid has a request: nothing says any more that it has none. */
static void the_longest_request_of_a_policy_fits(void **state _unused_) {
        static char host[254], path[HTTP_PATH_MAX + 1], value[HTTP_HEADERS_SIZE_MAX + 1], type[129];
        HttpHeader headers[HTTP_HEADERS_SENT_MAX + 2];
        TargetConfig longest = { .host = host, .port = 65535, .path = path };
        HttpRequest r;

        memset(host, 'h', sizeof host - 1);
        memset(path, '/', sizeof path - 1);
        memset(type, 't', sizeof type - 1);
        memset(value, 'v', sizeof value - 1 - HTTP_HEADERS_SENT_MAX);
        for (size_t i = 0; i < HTTP_HEADERS_SENT_MAX; i++)
                headers[i] = (HttpHeader){ "X", i == 0 ? value : "" };
        headers[HTTP_HEADERS_SENT_MAX] = (HttpHeader){ "Content-Type", type };
        headers[HTTP_HEADERS_SENT_MAX + 1] = (HttpHeader){ "Accept-Encoding", "identity" };
        assert_int_equal(http_request_build(&r, &longest,
                                            &(HttpRequestParts){ .method = "POST",
                                                                 .accept = "*/*",
                                                                 .headers = headers,
                                                                 .n_headers = ELEMENTSOF(headers),
                                                                 .body = { .p = "x", .n = 1 } }),
                         0);
        http_request_done(&r);
}

static void what_would_write_the_request_anew_is_refused(void **state _unused_) {
        static const HttpHeader headers[] = {
                { "X-A", "b\r\nX-C: d" }, { "X A", "b" },        { "", "b" },
                { "X-A:", "b" },          { "connection", "b" }, { "Content-Length", "7" },
                { "X-A", "\x7f" },        { "Upgrade", "h2c" },  { "Transfer-Encoding", "x" },
        };
        HttpRequest r;

        for (size_t i = 0; i < ELEMENTSOF(headers); i++)
                assert_int_equal(http_request_build(&r, &target,
                                                    &(HttpRequestParts){ .accept = "*/*",
                                                                         .headers = &headers[i],
                                                                         .n_headers = 1 }),
                                 -EINVAL);
        assert_int_equal(http_request_build(&r, &target,
                                            &(HttpRequestParts){ .method = "GET /", .accept = "" }),
                         -EINVAL);
        assert_int_equal(
                http_request_build(&r, &target, &(HttpRequestParts){ .path = "x", .accept = "" }),
                -EINVAL);
}

static void what_is_too_long_is_refused(void **state _unused_) {
        static char body[HTTP_REQUEST_BODY_MAX + 1];
        char value[HTTP_REQUEST_MAX];
        HttpHeader header = { "X-A", value };
        HttpRequest r;

        memset(value, 'a', sizeof value - 1);
        value[sizeof value - 1] = '\0';
        assert_int_equal(
                http_request_build(
                        &r, &target,
                        &(HttpRequestParts){ .accept = "*/*", .headers = &header, .n_headers = 1 }),
                -E2BIG);
        assert_int_equal(
                http_request_build(&r, &target,
                                   &(HttpRequestParts){ .accept = "*/*",
                                                        .body = { .p = body, .n = sizeof body } }),
                -E2BIG);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_get_says_who_asks_for_what),
                cmocka_unit_test(a_body_has_its_length_and_goes_as_it_is),
                cmocka_unit_test(a_header_of_the_caller_replaces_ours),
                cmocka_unit_test(the_last_request_of_a_connection_says_so),
                cmocka_unit_test(head_is_known_as_such),
                cmocka_unit_test(a_trace_shows_no_secret),
                cmocka_unit_test(the_longest_request_of_a_policy_fits),
                cmocka_unit_test(what_would_write_the_request_anew_is_refused),
                cmocka_unit_test(what_is_too_long_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
