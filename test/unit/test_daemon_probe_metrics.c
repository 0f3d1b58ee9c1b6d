/* The metrics probe: pages of a real server, one after the other, and the increases between them.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "probe_harness.h"

#define BAD "http_requests_total{code=~\"5..\"}"
#define TOTAL "http_requests_total"

static void send_text_page(int fd, const char *page) {
        char head[128];

        (void)snprintf(head, sizeof head,
                       "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n",
                       strlen(page));
        script_send(fd, head);
        script_send(fd, page);
}

static void send_page(int fd, const char *page) {
        script_read_request(fd);
        send_text_page(fd, page);
}

#define PAGES(name, ...)                                                                           \
        static void name(int fd, unsigned n) {                                                     \
                static const char *const pages[] = { __VA_ARGS__ };                                \
                                                                                                   \
                send_page(fd, pages[MIN((size_t)n, ELEMENTSOF(pages) - 1)]);                       \
        }

#define R(code, value) "http_requests_total{code=\"" code "\"} " value "\n"
#define V(version) "app_build_info{version=\"" version "\"} 1\n"

static void ask_again(Harness *h, const Result *r _unused_) {
        if (h->n_results < h->wanted)
                prober_probe_now(h->prober, 7, 0);
}

/* Takes n pages, one probe each. */
static void take_pages(Harness *h, ServerScript script, size_t n) {
        ScriptedServer server;

        server_start(&server, script);
        h->targets[0].port = server.port;
        if (!h->react)
                h->react = ask_again;
        harness_begin(h);
        harness_run(h, n);
        server_stop(&server);
}

static void init(Harness *h, const char *version_label) {
        harness_init(h, PROBE_METRICS, 0);
        harness_add_operand(h, BAD);
        harness_add_operand(h, TOTAL);
        h->probe.version_label = (char *)version_label;
}

static void assert_base(const Result *r) {
        assert_int_equal(r->outcome, OUTCOME_OK);
        assert_int_equal(r->since, 0);
        assert_int_equal(r->n_increases, 2);
}

static void assert_increases(const Result *r, const Result *before, double bad, double total) {
        assert_int_equal(r->outcome, OUTCOME_OK);
        assert_string_equal(r->words, "");
        assert_int_equal(r->since, before->at);
        assert_int_equal(r->n_increases, 2);
        assert_true(isnan(bad) ? isnan(r->increases[0]) : r->increases[0] == bad);
        assert_true(isnan(total) ? isnan(r->increases[1]) : r->increases[1] == total);
}

static void assert_no_data(const Result *r, const char *words) {
        assert_string_equal(outcome_code(r->outcome), outcome_code(OUTCOME_NO_DATA));
        assert_int_equal(outcome_verdict(r->outcome), TRI_UNKNOWN);
        assert_int_equal(r->since, 0);
        assert_int_equal(r->n_increases, 2);
        assert_true(isnan(r->increases[0]) && isnan(r->increases[1]));
        assert_non_null(strstr(r->words, words));
}

PAGES(serve_growing, R("200", "100") R("500", "5"), R("200", "110") R("500", "7"),
      R("200", "3") R("500", "9"), R("200", "3") R("500", "9") R("503", "4") R("404", "6"),
      R("200", "4"), "other_total 1\n")

static void counters_grow_fall_and_appear(void **state _unused_) {
        Harness h;

        init(&h, NULL);
        take_pages(&h, serve_growing, 6);
        assert_base(&h.results[0]);
        assert_increases(&h.results[1], &h.results[0], 2, 12);
        /* A reset counts from zero. */
        assert_increases(&h.results[2], &h.results[1], 2, 5);
        /* What was not there before counts from zero too; the expression sees the new label sets.
         */
        assert_increases(&h.results[3], &h.results[2], 4, 10);
        assert_increases(&h.results[4], &h.results[3], NAN, 1);
        /* A page without any of them is a page all the same. */
        assert_increases(&h.results[5], &h.results[4], NAN, NAN);
        harness_done(&h);
}

PAGES(serve_broken, R("200", "100") R("500", "5"),
      R("200", "110") "http_requests_total{code=\"500\"", R("200", "120") R("500", "6"),
      R("200", "130") R("500", "7"), R("200", "140") R("500", "NaN"),
      R("200", "150") R("200", "150"), R("200", "-1"),
      R("200", "1") "http_requests_total{code=500} 1\n", "", "HTTP")

static void a_page_that_is_no_page_tells_nothing(void **state _unused_) {
        Harness h;

        init(&h, NULL);
        take_pages(&h, serve_broken, 9);
        assert_base(&h.results[0]);
        assert_no_data(&h.results[1], "cut short");
        /* What grew meanwhile was not seen, so that this one is only a base. */
        assert_base(&h.results[2]);
        assert_increases(&h.results[3], &h.results[2], 1, 11);
        assert_no_data(&h.results[4], "negative, infinite or not a number");
        assert_no_data(&h.results[5], "twice");
        assert_no_data(&h.results[6], "negative, infinite or not a number");
        assert_no_data(&h.results[7], "line 2: ");
        assert_no_data(&h.results[8], "empty");
        harness_done(&h);
}

PAGES(serve_versions, V("1.0") R("500", "5"), V("1.0") R("500", "6"), V("1.1") R("500", "9"),
      V("1.1") R("500", "11"), V("1.1") V("1.2") R("500", "12"), V("bad version") R("500", "13"),
      "app_build_info{version=\"2\"} 0\n" R("500", "14"))

static void increases_are_of_one_version(void **state _unused_) {
        Harness h;

        init(&h, "app_build_info.version");
        take_pages(&h, serve_versions, 7);
        assert_base(&h.results[0]);
        assert_string_equal(h.results[0].version, "1.0");
        assert_increases(&h.results[1], &h.results[0], 1, 1);
        assert_string_equal(h.results[1].version, "1.0");
        assert_base(&h.results[2]);
        assert_string_equal(h.results[2].version, "1.1");
        assert_increases(&h.results[3], &h.results[2], 2, 2);
        assert_base(&h.results[4]);
        assert_false(h.results[4].has_version);
        assert_non_null(strstr(h.results[4].words, "more than one version"));
        assert_false(h.results[5].has_version);
        assert_non_null(strstr(h.results[5].words, "not used"));
        assert_false(h.results[6].has_version);
        harness_done(&h);
}

static void release_after_two(Harness *h, const Result *r) {
        if (h->n_results == 2)
                prober_start_epoch(h->prober, 7);
        ask_again(h, r);
}

PAGES(serve_plain, R("500", "5"), R("500", "6"), R("500", "7"), R("500", "8"))
PAGES(serve_one_version, V("1.0") R("500", "5"), V("1.0") R("500", "6"), V("1.0") R("500", "7"),
      V("1.0") R("500", "8"))

static void a_release_starts_a_new_base_unless_the_version_stayed(void **state _unused_) {
        Harness h;

        init(&h, NULL);
        h.react = release_after_two;
        take_pages(&h, serve_plain, 4);
        assert_increases(&h.results[1], &h.results[0], 1, 1);
        assert_base(&h.results[2]);
        assert_increases(&h.results[3], &h.results[2], 1, 1);
        harness_done(&h);

        init(&h, "app_build_info.version");
        h.react = release_after_two;
        take_pages(&h, serve_one_version, 4);
        assert_increases(&h.results[2], &h.results[1], 1, 1);
        assert_increases(&h.results[3], &h.results[2], 1, 1);
        harness_done(&h);
}

static void serve_late(int fd, unsigned n) {
        static const char *const pages[] = { R("500", "5"), R("500", "6"), R("500", "7") };

        /* The third page comes more than ten intervals after the second. */
        script_read_request(fd);
        if (n == 2)
                (void)script_pace(fd, 300);
        send_text_page(fd, pages[MIN(n, 2u)]);
}

static void a_long_gap_starts_a_new_base(void **state _unused_) {
        Harness h;

        init(&h, NULL);
        h.probe.interval = 20 * USEC_PER_MSEC;
        take_pages(&h, serve_late, 3);
        assert_base(&h.results[0]);
        assert_base(&h.results[2]);
        assert_true(h.results[2].at - h.results[1].at > 10 * h.probe.interval);
        harness_done(&h);
}

static void serve_many(int fd, unsigned n) {
        static char page[8 * 1024 * 1024];
        size_t size = 0;

        for (unsigned i = 0; i < 40000; i++)
                size += (size_t)snprintf(page + size, sizeof page - size,
                                         "http_requests_total{path=\"/p/%u\",code=\"%u\"} %u\n", i,
                                         i % 10 ? 200 : 500, n + 1);
        for (unsigned i = 0; i < 40000; i++)
                size += (size_t)snprintf(page + size, sizeof page - size,
                                         "other_seconds_bucket{path=\"/p/%u\",le=\"0.5\"} %u\n", i,
                                         i);
        send_page(fd, page);
}

static void a_large_page_is_read_in_turns(void **state _unused_) {
        Harness h;

        init(&h, NULL);
        h.probe.max_body = 16 * 1024 * 1024;
        take_pages(&h, serve_many, 2);
        assert_base(&h.results[0]);
        assert_increases(&h.results[1], &h.results[0], 4000, 40000);
        harness_done(&h);
}

static void serve_too_many(int fd, unsigned n _unused_) {
        static char page[8 * 1024 * 1024];
        size_t size = 0;

        for (unsigned i = 0; i < 70000; i++)
                size += (size_t)snprintf(page + size, sizeof page - size,
                                         "http_requests_total{id=\"%u\"} 1\n", i);
        send_page(fd, page);
}

static void a_page_of_too_many_series_is_refused(void **state _unused_) {
        Harness h;

        init(&h, NULL);
        h.probe.max_body = 16 * 1024 * 1024;
        take_pages(&h, serve_too_many, 1);
        assert_no_data(&h.results[0], "65536 entries");
        harness_done(&h);
}

static void serve_404(int fd, unsigned n _unused_) {
        script_read_request(fd);
        script_send(fd, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
}

static void a_target_without_a_page_is_bad(void **state _unused_) {
        Harness h;

        init(&h, NULL);
        take_pages(&h, serve_404, 1);
        assert_int_equal(h.results[0].outcome, OUTCOME_BAD_STATUS);
        assert_string_equal(h.results[0].words, "HTTP 404 instead of a page of metrics");
        assert_int_equal(h.results[0].status, 404);
        assert_true(isnan(h.results[0].increases[0]));
        harness_done(&h);

        init(&h, NULL);
        h.probe.max_body = 16;
        take_pages(&h, serve_growing, 1);
        assert_int_equal(h.results[0].outcome, OUTCOME_TOO_LARGE);
        harness_done(&h);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(counters_grow_fall_and_appear),
                cmocka_unit_test(a_page_that_is_no_page_tells_nothing),
                cmocka_unit_test(increases_are_of_one_version),
                cmocka_unit_test(a_release_starts_a_new_base_unless_the_version_stayed),
                cmocka_unit_test(a_long_gap_starts_a_new_base),
                cmocka_unit_test(a_large_page_is_read_in_turns),
                cmocka_unit_test(a_page_of_too_many_series_is_refused),
                cmocka_unit_test(a_target_without_a_page_is_bad),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
