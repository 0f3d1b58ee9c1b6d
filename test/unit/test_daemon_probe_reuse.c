/* Connections that are used again, against real servers. A server names in X-Version which of its
 * connections answered, and as which of the answers on it: "1.0" is the first on the second one. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "probe_harness.h"

/* Reads a request. Returns false when there is none; *ret_last: it asks for the connection to be
 * closed. */
static bool hear(int fd, bool *ret_last) {
        char text[4096];
        size_t n = 0;

        do {
                ssize_t k = recv(fd, text + n, sizeof text - 1 - n, 0);

                if (k <= 0)
                        return false;
                n += (size_t)k;
                text[n] = '\0';
        } while (!strstr(text, "\r\n\r\n"));
        *ret_last = strstr(text, "\r\nConnection: close\r\n");
        return true;
}

static void say(int fd, const char *start, unsigned n, unsigned k, bool last, const char *more,
                const char *body) {
        STRBUF(b, 512);

        strbuf_add(&b, start);
        strbuf_add(&b, "\r\nX-Version: ");
        strbuf_add_u64(&b, n);
        strbuf_add_char(&b, '.');
        strbuf_add_u64(&b, k);
        strbuf_add(&b, last ? ".last" : "");
        strbuf_add(&b, more);
        strbuf_add(&b, "\r\nContent-Length: 2\r\n\r\n");
        strbuf_add(&b, body);
        (void)script_send_n(fd, b.text, b.length);
}

#define OK "HTTP/1.1 200 OK"

/* Answers as long as it is asked. */
static void serve_kept(int fd, unsigned n) {
        bool last = false;

        for (unsigned k = 0; !last && hear(fd, &last); k++)
                say(fd, OK, n, k, last, "", "ok");
}

/* The second answer on the first connection is another. */
static void serve_then(int fd, unsigned n, const char *start, const char *more, const char *body) {
        bool last = false;

        for (unsigned k = 0; !last && hear(fd, &last); k++)
                if (n == 0 && k == 1)
                        say(fd, start, n, k, last, more, body);
                else
                        say(fd, OK, n, k, last, "", "ok");
}

static void serve_then_503(int fd, unsigned n) {
        serve_then(fd, n, "HTTP/1.1 503 Service Unavailable", "", "ok");
}

static void serve_then_no(int fd, unsigned n) {
        serve_then(fd, n, OK, "", "no");
}

static void serve_then_close_said(int fd, unsigned n) {
        serve_then(fd, n, OK, "\r\nConnection: close", "ok");
}

static void serve_then_more(int fd, unsigned n) {
        serve_then(fd, n, OK, "", "okHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
}

static void serve_then_old(int fd, unsigned n) {
        serve_then(fd, n, "HTTP/1.0 200 OK", "", "ok");
}

/* Closes after each answer, without having said so. */
static void serve_and_close(int fd, unsigned n) {
        bool last;

        if (hear(fd, &last))
                say(fd, OK, n, 0, last, "", "ok");
}

/* Closes, or resets, when the second request has come on a connection. */
static void serve_one_hear_two(int fd, unsigned n) {
        bool last;

        serve_and_close(fd, n);
        (void)hear(fd, &last);
}

static void serve_one_reset_two(int fd, unsigned n) {
        serve_one_hear_two(fd, n);
        script_reset(fd);
}

/* Serves one request in all, and hangs up on every other one. */
static void serve_one_only(int fd, unsigned n) {
        bool last;

        if (n == 0)
                serve_and_close(fd, n);
        (void)hear(fd, &last);
}

/* Says something unasked when the first answer is long over. */
static void serve_and_babble(int fd, unsigned n) {
        bool last;

        serve_and_close(fd, n);
        (void)script_pace(fd, 30);
        (void)script_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno");
        (void)hear(fd, &last);
}

/* What happens after a number of results, before the next probe. */
typedef void (*Act)(Harness *h, size_t n_results);

static void probe_again(Harness *h, const Result *r _unused_) {
        Act act = (Act)h->extra;

        if (act)
                act(h, h->n_results);
        if (h->n_results < h->wanted)
                prober_probe_now(h->prober, 7, 0);
}

/* Probes n times, one after the other. */
static void probe(Harness *h, ProbeKindId kind, uint32_t reuse, ServerScript script, size_t n,
                  Act act) {
        ScriptedServer s;

        harness_init(h, kind, 0);
        h->probe.reuse = reuse;
        h->probe.http.call.version_header = (char *)"X-Version";
        h->probe.http.call.expect_body = (char *)"ok";
        h->react = probe_again;
        h->extra = (void *)act;
        server_start(&s, script);
        h->targets[0].port = s.port;
        harness_begin(h);
        harness_run(h, n);
        harness_done(h);
        server_stop(&s);
}

static void assert_result(const Result *r, ProbeOutcome outcome, const char *version) {
        assert_string_equal(outcome_code(r->outcome), outcome_code(outcome));
        assert_string_equal(r->version, version);
}

static void assert_versions(const Harness *h, const char *const *versions, size_t n) {
        assert_int_equal(h->n_results, n);
        for (size_t i = 0; i < n; i++)
                assert_result(&h->results[i], OUTCOME_OK, versions[i]);
}

/* Three probes; what the second came to, and who answers the third. */
static void check(ServerScript script, ProbeOutcome second, const char *second_version,
                  const char *third_version) {
        Harness h;

        probe(&h, PROBE_HTTP, 10, script, 3, NULL);
        assert_result(&h.results[0], OUTCOME_OK, "0.0");
        assert_result(&h.results[1], second, second_version);
        assert_result(&h.results[2], OUTCOME_OK, third_version);
}

static void a_connection_is_used_as_often_as_the_policy_says(void **state _unused_) {
        static const char *const versions[] = { "0.0", "0.1",      "0.2.last", "1.0",
                                                "1.1", "1.2.last", "2.0" };
        Harness h;

        probe(&h, PROBE_HTTP, 3, serve_kept, ELEMENTSOF(versions), NULL);
        assert_versions(&h, versions, ELEMENTSOF(versions));
}

static void ask_by_post(Harness *h, _unused_ size_t n_results) {
        h->probe.http.call.method = (char *)"POST";
        assert_int_equal(prober_put_service(h->prober, 7, &h->config), 0);
}

/* The second is a POST, which nobody may have to send again. */
static void a_post_has_a_connection_of_its_own(void **state _unused_) {
        Harness h;

        probe(&h, PROBE_HTTP, 10, serve_kept, 2, ask_by_post);
        assert_result(&h.results[0], OUTCOME_OK, "0.0");
        assert_result(&h.results[1], OUTCOME_OK, "1.0");
}

static void without_reuse_each_probe_has_its_own(void **state _unused_) {
        static const char *const versions[] = { "0.0.last", "1.0.last" };
        Harness h;

        probe(&h, PROBE_HTTP, 0, serve_kept, 2, NULL);
        assert_versions(&h, versions, 2);
}

static void it_is_renewed_after_any_failure(void **state _unused_) {
        check(serve_then_503, OUTCOME_BAD_STATUS, "0.1", "1.0");
        check(serve_then_no, OUTCOME_BAD_BODY, "0.1", "1.0");
}

static void it_is_renewed_when_the_server_says_so(void **state _unused_) {
        check(serve_then_close_said, OUTCOME_OK, "0.1", "1.0");
        check(serve_then_old, OUTCOME_OK, "0.1", "1.0");
}

static void what_an_answer_leaves_behind_answers_nobody(void **state _unused_) {
        check(serve_then_more, OUTCOME_OK, "0.1", "1.0");
}

static void a_server_that_closes_what_is_idle_has_not_failed(void **state _unused_) {
        check(serve_and_close, OUTCOME_OK, "1.0", "2.0");
        check(serve_one_hear_two, OUTCOME_OK, "1.0", "2.0");
        check(serve_one_reset_two, OUTCOME_OK, "1.0", "2.0");
}

static void but_it_has_when_it_closes_the_next_one_too(void **state _unused_) {
        Harness h;

        probe(&h, PROBE_HTTP, 10, serve_one_only, 3, NULL);
        assert_result(&h.results[0], OUTCOME_OK, "0.0");
        assert_result(&h.results[1], OUTCOME_CLOSED, "");
        assert_result(&h.results[2], OUTCOME_CLOSED, "");
}

/* Nothing but the schedule asks for the second probe, after the server's words. */
static void what_comes_unasked_answers_nobody(void **state _unused_) {
        ScriptedServer s;
        Harness h;

        harness_init(&h, PROBE_HTTP, 0);
        h.probe.interval = 300 * USEC_PER_MSEC;
        h.probe.reuse = 10;
        h.probe.http.call.version_header = (char *)"X-Version";
        server_start(&s, serve_and_babble);
        h.targets[0].port = s.port;
        assert_int_equal(prober_put_service(h.prober, 7, &h.config), 0);
        harness_run(&h, 2);
        assert_result(&h.results[0], OUTCOME_OK, "0.0");
        assert_result(&h.results[1], OUTCOME_OK, "1.0");
        harness_done(&h);
        server_stop(&s);
}

static void start_epoch(Harness *h, size_t n_results) {
        if (n_results == 2)
                prober_start_epoch(h->prober, 7);
}

static void a_new_epoch_renews_it(void **state _unused_) {
        static const char *const versions[] = { "0.0", "0.1", "1.0", "1.1" };
        Harness h;

        probe(&h, PROBE_HTTP, 10, serve_kept, ELEMENTSOF(versions), start_epoch);
        assert_versions(&h, versions, ELEMENTSOF(versions));
}

static void read_anew(Harness *h, size_t n_results) {
        if (n_results != 1 && n_results != 2)
                return;
        h->probe.reuse = n_results == 1 ? 0 : 2;
        assert_int_equal(prober_put_service(h->prober, 7, &h->config), 0);
}

static void a_policy_read_anew_may_ask_for_it_no_more(void **state _unused_) {
        static const char *const versions[] = { "0.0", "1.0.last", "2.0", "2.1.last" };
        Harness h;

        probe(&h, PROBE_HTTP, 10, serve_kept, ELEMENTSOF(versions), read_anew);
        assert_versions(&h, versions, ELEMENTSOF(versions));
}

static void serve_page(int fd, unsigned n _unused_) {
        bool last = false;

        for (unsigned k = 0; !last && hear(fd, &last); k++)
                script_send(fd, n == 0 ? "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\na 1\n" :
                                         "HTTP/1.1 500 Oh\r\nContent-Length: 4\r\n\r\na 1\n");
}

static void pages_of_metrics_come_over_one_too(void **state _unused_) {
        Harness h;

        probe(&h, PROBE_METRICS, 3, serve_page, 4, NULL);
        for (size_t i = 0; i < 3; i++)
                assert_result(&h.results[i], OUTCOME_OK, "");
        assert_result(&h.results[3], OUTCOME_BAD_STATUS, "");
}

static void a_unix_socket_is_used_again_too(void **state _unused_) {
        static const char *const versions[] = { "0.0", "0.1", "0.2.last", "1.0" };
        char folder[] = "/tmp/probe-XXXXXX";
        struct sockaddr_un name = { .sun_family = AF_UNIX };
        ScriptedServer s = { .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) };
        Harness h;

        assert_non_null(mkdtemp(folder));
        assert_true(snprintf(name.sun_path, sizeof name.sun_path, "%s/s", folder) > 0);
        assert_int_equal(bind(s.fd, (struct sockaddr *)&name, sizeof name), 0);
        assert_int_equal(listen(s.fd, 16), 0);
        server_serve(&s, serve_kept);
        harness_init(&h, PROBE_HTTP, 80);
        h.targets[0].host = (char *)"localhost";
        h.targets[0].socket = name.sun_path;
        h.probe.reuse = 3;
        h.probe.http.call.version_header = (char *)"X-Version";
        h.react = probe_again;
        harness_begin(&h);
        harness_run(&h, ELEMENTSOF(versions));
        assert_versions(&h, versions, ELEMENTSOF(versions));
        harness_done(&h);
        server_stop(&s);
        assert_int_equal(unlink(name.sun_path), 0);
        assert_int_equal(rmdir(folder), 0);
}

static void serve_kept_badly(int fd, unsigned n) {
        bool last = false;

        for (unsigned k = 0; !last && hear(fd, &last); k++)
                say(fd, "HTTP/1.1 500 Oh", n, k, last, "", "ok");
}

static void stop_when_both_are_found(Harness *h, const Result *r) {
        unsigned *found = h->extra;

        found[r->outcome == OUTCOME_OK]++;
        assert_true(r->outcome == OUTCOME_OK || r->outcome == OUTCOME_BAD_STATUS);
        if (found[0] >= 3 && found[1] >= 3)
                loop_exit(h->loop, 0);
        else
                prober_probe_now(h->prober, 7, 0);
}

/* Two processes listen on one port, one of them bad. */
static void check_two(uint32_t reuse) {
        ScriptedServer good, bad;
        unsigned found[2] = {};
        Harness h;

        server_listen(&good);
        bad = good;
        server_serve(&good, serve_kept);
        server_serve(&bad, serve_kept_badly);
        bad.fd = dup(bad.fd);
        harness_init(&h, PROBE_HTTP, good.port);
        h.probe.reuse = reuse;
        h.react = stop_when_both_are_found;
        h.extra = found;
        harness_begin(&h);
        harness_run(&h, HARNESS_RESULTS_MAX);
        assert_true(found[0] >= 3 && found[1] >= 3);
        harness_done(&h);
        server_stop(&good);
        server_stop(&bad);
}

static void two_processes_behind_one_port_are_both_found(void **state _unused_) {
        check_two(0);
        check_two(5);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_connection_is_used_as_often_as_the_policy_says),
                cmocka_unit_test(a_post_has_a_connection_of_its_own),
                cmocka_unit_test(without_reuse_each_probe_has_its_own),
                cmocka_unit_test(it_is_renewed_after_any_failure),
                cmocka_unit_test(it_is_renewed_when_the_server_says_so),
                cmocka_unit_test(what_an_answer_leaves_behind_answers_nobody),
                cmocka_unit_test(a_server_that_closes_what_is_idle_has_not_failed),
                cmocka_unit_test(but_it_has_when_it_closes_the_next_one_too),
                cmocka_unit_test(what_comes_unasked_answers_nobody),
                cmocka_unit_test(a_new_epoch_renews_it),
                cmocka_unit_test(a_policy_read_anew_may_ask_for_it_no_more),
                cmocka_unit_test(pages_of_metrics_come_over_one_too),
                cmocka_unit_test(a_unix_socket_is_used_again_too),
                cmocka_unit_test(two_processes_behind_one_port_are_both_found),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
