/* The http probe against a real server that behaves as the script says. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "probe_harness.h"

static void answer(int fd, const char *text) {
        script_read_request(fd);
        script_send(fd, text);
}

#define SCRIPT(name, text)                                                                         \
        static void name(int fd, unsigned n _unused_) {                                            \
                answer(fd, text);                                                                  \
        }

SCRIPT(serve_ok, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nX-Version: 2.4.1\r\n\r\nall is ok")
SCRIPT(serve_until_close, "HTTP/1.0 200 OK\r\n\r\nall is ok")
SCRIPT(serve_chunked,
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nall is o\r\n1\r\nk\r\n0\r\n\r\n")
SCRIPT(serve_almost, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\noo no kay")
SCRIPT(serve_503,
       "HTTP/1.1 503 Service Unavailable\r\nX-Version: 2.4.1\r\nContent-Length: 2\r\n\r\nok")
SCRIPT(serve_204, "HTTP/1.1 204 No Content\r\n\r\n")
SCRIPT(serve_nothing, "")
SCRIPT(serve_cut, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nall ")
SCRIPT(serve_http09, "all is ok\n")
SCRIPT(serve_bad_chunk,
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n")
SCRIPT(serve_both_lengths, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: "
                           "chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
SCRIPT(serve_spaced_version,
       "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Version: 2.4 beta\r\n\r\nok")
SCRIPT(serve_redirect, "HTTP/1.1 302 Found\r\nLocation: "
                       "http://169.254.169.254/latest/meta-data\r\nContent-Length: 0\r\n\r\n")

static void serve_reset(int fd, unsigned n _unused_) {
        script_read_request(fd);
        script_reset(fd);
}

static void serve_silence(int fd, unsigned n _unused_) {
        script_read_request(fd);
        script_wait_close(fd);
}

static void serve_drip(int fd, unsigned n _unused_) {
        script_read_request(fd);
        script_send(fd, "HTTP/1.1 200 OK\r\n\r\n");
        while (!script_pace(fd, 20) && script_send(fd, "o"))
                ;
}

static void serve_endless_headers(int fd, unsigned n _unused_) {
        script_read_request(fd);
        script_send(fd, "HTTP/1.1 200 OK\r\n");
        while (script_send(fd, "X-More: and more and more and more\r\n"))
                ;
}

static void serve_endless_chunks(int fd, unsigned n _unused_) {
        script_read_request(fd);
        script_send(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while (script_send(fd, "10\r\n0123456789abcdef\r\n"))
                ;
}

static void serve_nul(int fd, unsigned n _unused_) {
        static const char text[] =
                "HTTP/1.1 200 OK\r\nX-Version: 2.4\0evil\r\nContent-Length: 2\r\n\r\nok";

        script_read_request(fd);
        script_send_n(fd, text, sizeof text - 1);
}

/* Every byte a packet of its own. */
static void serve_split(int fd, unsigned n _unused_) {
        const char *text = "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nall is ooook";

        script_read_request(fd);
        for (; *text; text++) {
                (void)script_pace(fd, 1);
                if (!script_send_n(fd, text, 1))
                        return;
        }
}

/* Says in the body what was asked. */
static void serve_echo(int fd, unsigned n _unused_) {
        char request[4096];
        ssize_t size = recv(fd, request, sizeof request, 0);

        script_send(fd, "HTTP/1.1 200 OK\r\n\r\n");
        if (size > 0)
                script_send_n(fd, request, (size_t)size);
}

typedef struct Case {
        ServerScript script;
        const char *body;
        ProbeOutcome outcome;
        uint16_t status;
        const char *words; /* NULL: any but none */
        const char *version;
} Case;

static void check(const Case *c) {
        Harness h;

        harness_init(&h, PROBE_HTTP, 0);
        h.probe.http.call.expect_body = (char *)c->body;
        h.probe.http.call.version_header = (char *)"X-Version";
        h.probe.max_body = 4096;
        const Result *r = harness_probe_once(&h, c->script);

        assert_string_equal(outcome_code(r->outcome), outcome_code(c->outcome));
        assert_int_equal(r->status, c->status);
        if (c->words)
                assert_string_equal(r->words, c->words);
        else
                assert_true(r->words[0]);
        assert_int_equal(r->has_version, c->version != NULL);
        assert_string_equal(r->version, c->version ? c->version : "");
        assert_int_equal(r->service, 7);
        assert_true(r->started > 0 && r->at >= r->started);
        assert_int_equal(prober_counts(h.prober).probes, 1);
        assert_int_equal(prober_counts(h.prober).in_flight, 0);
        harness_done(&h);
}

static void good_answers_are_good(void **state _unused_) {
        check(&(Case){ serve_ok, "is ok", OUTCOME_OK, 200, "", "2.4.1" });
        check(&(Case){ serve_ok, NULL, OUTCOME_OK, 200, "", "2.4.1" });
        check(&(Case){ serve_until_close, "is ok", OUTCOME_OK, 200, "", NULL });
        check(&(Case){ serve_chunked, "is ok", OUTCOME_OK, 200, "", NULL });
        check(&(Case){ serve_204, NULL, OUTCOME_OK, 204, "", NULL });
}

static void a_text_cut_into_packets_is_found(void **state _unused_) {
        check(&(Case){ serve_split, "oook", OUTCOME_OK, 200, "", NULL });
        check(&(Case){ serve_split, "oooook", OUTCOME_BAD_BODY, 200, "body lacks \"oooook\"",
                       NULL });
}

static void wrong_answers_are_bad(void **state _unused_) {
        check(&(Case){ serve_503, "ok", OUTCOME_BAD_STATUS, 503, "HTTP 503", "2.4.1" });
        check(&(Case){ serve_almost, "ok", OUTCOME_BAD_BODY, 200, "body lacks \"ok\"", NULL });
        check(&(Case){ serve_204, "ok", OUTCOME_BAD_BODY, 204, "body lacks \"ok\"", NULL });
        check(&(Case){ serve_endless_chunks, NULL, OUTCOME_TOO_LARGE, 200,
                       "body over max_body, 4096 bytes", NULL });
}

static void a_redirect_is_not_followed(void **state _unused_) {
        check(&(Case){ serve_redirect, NULL, OUTCOME_BAD_STATUS, 302,
                       "HTTP 302, a redirect, which a probe does not follow", NULL });
}

static void broken_transports_have_their_names(void **state _unused_) {
        check(&(Case){ serve_reset, NULL, OUTCOME_RESET, 0, NULL, NULL });
        check(&(Case){ serve_nothing, NULL, OUTCOME_CLOSED, 0, "closed without an answer", NULL });
        check(&(Case){ serve_cut, NULL, OUTCOME_CLOSED, 200, "closed before the end of the answer",
                       NULL });
        check(&(Case){ serve_http09, NULL, OUTCOME_PROTOCOL, 0, NULL, NULL });
        check(&(Case){ serve_bad_chunk, NULL, OUTCOME_PROTOCOL, 200, NULL, NULL });
        check(&(Case){ serve_both_lengths, NULL, OUTCOME_PROTOCOL, 200, NULL, NULL });
        check(&(Case){ serve_endless_headers, NULL, OUTCOME_PROTOCOL, 200, NULL, NULL });
}

static void a_nul_in_the_headers_names_no_version(void **state _unused_) {
        Harness h;

        harness_init(&h, PROBE_HTTP, 0);
        h.probe.http.call.version_header = (char *)"X-Version";
        const Result *r = harness_probe_once(&h, serve_nul);
        assert_false(r->has_version);
        assert_true(r->words[0]);
        harness_done(&h);
}

static void a_version_with_a_blank_is_not_used_and_said(void **state _unused_) {
        check(&(Case){ serve_spaced_version, "ok", OUTCOME_OK, 200,
                       "the version that it names is no plain text of 1 to 63 characters: not used",
                       NULL });
}

static void check_timeout(ServerScript script, const char *words) {
        Harness h;

        harness_init(&h, PROBE_HTTP, 0);
        h.probe.timeout = 300 * USEC_PER_MSEC;
        const Result *r = harness_probe_once(&h, script);
        assert_string_equal(outcome_code(r->outcome), outcome_code(OUTCOME_TIMEOUT));
        assert_string_equal(r->words, words);
        assert_true(r->at - r->started >= 300 * USEC_PER_MSEC);
        harness_done(&h);
}

static void the_deadline_is_total(void **state _unused_) {
        check_timeout(serve_silence, "no answer within 300 ms");
        check_timeout(serve_drip, "no end of the answer within 300 ms");
}

static void the_request_says_who_asks_for_what(void **state _unused_) {
        static const char *const wanted[] = {
                "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:",
                "\r\nUser-Agent: rollbackd/" ROLLBACKD_VERSION "\r\n",
                "\r\nAccept: */*\r\n",
                "\r\nConnection: close\r\n\r\n",
        };

        for (size_t i = 0; i < ELEMENTSOF(wanted); i++)
                check(&(Case){ serve_echo, wanted[i], OUTCOME_OK, 200, "", NULL });
}

static void a_target_that_would_write_the_request_anew_is_refused(void **state _unused_) {
        static const char *const paths[] = { "/a b", "/a\r\nX: y", "a", "/\x7f" };

        for (size_t i = 0; i < ELEMENTSOF(paths); i++) {
                Harness h;

                harness_init(&h, PROBE_HTTP, 1);
                h.targets[0].path = (char *)paths[i];
                assert_int_equal(prober_put_service(h.prober, 7, &h.config), -EINVAL);
                assert_int_equal(prober_counts(h.prober).targets, 0);
                harness_done(&h);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(good_answers_are_good),
                cmocka_unit_test(a_text_cut_into_packets_is_found),
                cmocka_unit_test(wrong_answers_are_bad),
                cmocka_unit_test(a_redirect_is_not_followed),
                cmocka_unit_test(broken_transports_have_their_names),
                cmocka_unit_test(a_nul_in_the_headers_names_no_version),
                cmocka_unit_test(a_version_with_a_blank_is_not_used_and_said),
                cmocka_unit_test(the_deadline_is_total),
                cmocka_unit_test(the_request_says_who_asks_for_what),
                cmocka_unit_test(a_target_that_would_write_the_request_anew_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
