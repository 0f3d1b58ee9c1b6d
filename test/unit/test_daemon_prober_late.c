/* The prober when it is late itself: stalls of the loop, and more probes than places. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "probe_harness.h"

#define MSEC USEC_PER_MSEC

static unsigned results_of(const Harness *h, uint16_t target) {
        unsigned n = 0;

        for (size_t i = 0; i < h->n_results; i++)
                n += h->results[i].target == target;
        return n;
}

static void block(void *userdata _unused_, usec_t now _unused_) {
        (void)poll(NULL, 0, 600);
}

static void what_our_own_loop_was_late_for_is_unknown(void **state _unused_) {
        ScriptedServer silent;
        LoopTimer *blocker;
        Harness h;

        server_listen(&silent);
        harness_init(&h, PROBE_HTTP, silent.port);
        h.probe.interval = 100 * MSEC;
        h.probe.timeout = 100 * MSEC;
        harness_begin(&h);
        assert_int_equal(loop_add_timer(h.loop, block, NULL, "blocker", &blocker), 0);
        loop_timer_set(blocker, loop_now(h.loop) + MSEC);
        harness_run(&h, 1);
        assert_int_equal(h.results[0].outcome, OUTCOME_OVERDUE);
        assert_int_equal(outcome_verdict(h.results[0].outcome), TRI_UNKNOWN);
        assert_non_null(strstr(h.results[0].words, "late"));
        assert_int_equal(prober_counts(h.prober).overdue, 1);
        /* The rounds that were lost are one late start, not many at once. */
        assert_true(prober_counts(h.prober).late <= 1);
        loop_timer_free(blocker);
        harness_done(&h);
        server_stop(&silent);
}

static void block_for_less(void *userdata _unused_, usec_t now _unused_) {
        (void)poll(NULL, 0, 120);
}

static void what_our_own_loop_took_the_target_gets_back(void **state _unused_) {
        ScriptedServer silent;
        LoopTimer *blocker;
        Harness h;

        server_listen(&silent);
        harness_init(&h, PROBE_HTTP, silent.port);
        h.probe.timeout = 400 * MSEC;
        harness_begin(&h);
        assert_int_equal(loop_add_timer(h.loop, block_for_less, NULL, "blocker", &blocker), 0);
        loop_timer_set(blocker, loop_now(h.loop) + 50 * MSEC);
        harness_run(&h, 1);
        assert_true(h.results[0].at - h.results[0].started >= (400 + 120) * MSEC);
        /* A machine that stalls for the rest of the timeout too makes it unknown. */
        if (h.results[0].outcome != OUTCOME_OVERDUE) {
                assert_int_equal(h.results[0].outcome, OUTCOME_TIMEOUT);
                assert_string_equal(h.results[0].words, "no answer within 400 ms");
        }
        loop_timer_free(blocker);
        harness_done(&h);
        server_stop(&silent);
}

static void answer_ok(int fd, unsigned n _unused_) {
        script_read_request(fd);
        script_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

static int asks[2], tells[2];

static void answer_when_asked(int fd, unsigned n _unused_) {
        char byte;

        script_read_request(fd);
        (void)!read(asks[0], &byte, 1);
        script_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        (void)!write(tells[1], "x", 1);
}

static void have_it_answered(void *userdata _unused_, usec_t now _unused_) {
        char byte;

        assert_int_equal(write(asks[1], "x", 1), 1);
        assert_int_equal(read(tells[0], &byte, 1), 1);
}

/* One callback lasts until the deadline has passed; the answer comes within the next one, when the
 * loop has already seen that the deadline is due. */
static void what_came_while_our_own_loop_was_away_counts(void **state _unused_) {
        LoopTimer *blocker, *answerer;
        ScriptedServer server;
        Harness h;

        assert_int_equal(pipe(asks), 0);
        assert_int_equal(pipe(tells), 0);
        server_start(&server, answer_when_asked);
        harness_init(&h, PROBE_HTTP, server.port);
        h.probe.timeout = 100 * MSEC;
        harness_begin(&h);
        assert_int_equal(loop_add_timer(h.loop, block_for_less, NULL, "block", &blocker), 0);
        assert_int_equal(loop_add_timer(h.loop, have_it_answered, NULL, "answer", &answerer), 0);
        loop_timer_set(blocker, loop_now(h.loop) + 20 * MSEC);
        loop_timer_set(answerer, loop_now(h.loop) + 30 * MSEC);
        harness_run(&h, 1);
        assert_int_equal(h.results[0].outcome, OUTCOME_OK);
        loop_timer_free(blocker);
        loop_timer_free(answerer);
        harness_done(&h);
        server_stop(&server);
        for (unsigned i = 0; i < 2; i++) {
                close(asks[i]);
                close(tells[i]);
        }
}

/* Nobody but the probes may be short of descriptors. */
static void look_for_descriptors(void *userdata, usec_t now) {
        Harness *h = userdata;
        LoopTimer **again = h->extra;
        int ends[2];

        assert_true(prober_counts(h->prober).in_flight <= 16);
        assert_int_equal(pipe(ends), 0);
        close(ends[0]);
        close(ends[1]);
        loop_timer_set(*again, now + 10 * MSEC);
}

static void start_with_few_descriptors(Harness *h, LoopTimer **timer, rlim_t *all, uint16_t port,
                                       usec_t timeout) {
        struct rlimit limit;

        assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
        *all = limit.rlim_cur;
        limit.rlim_cur = 64;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        harness_init(h, PROBE_HTTP, port);
        while (h->probe.n_targets < 100)
                harness_add_target(h, "127.0.0.1", port);
        assert_int_equal(loop_add_timer(h->loop, look_for_descriptors, h, "look", timer), 0);
        h->extra = timer;
        h->probe.timeout = timeout;
        harness_begin(h);
        loop_timer_set(*timer, loop_now(h->loop) + 10 * MSEC);
}

static void end_with_few_descriptors(Harness *h, LoopTimer *timer, rlim_t all) {
        struct rlimit limit;

        loop_timer_free(timer);
        harness_done(h);
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
        limit.rlim_cur = all;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void probes_without_a_place_are_unknown_and_leave_others_theirs(void **state _unused_) {
        ScriptedServer silent;
        LoopTimer *timer;
        unsigned waited = 0;
        rlim_t all;
        Harness h;

        server_listen(&silent);
        start_with_few_descriptors(&h, &timer, &all, silent.port, 200 * MSEC);
        harness_run(&h, 100);
        for (size_t i = 0; i < 100; i++)
                if (strstr(h.results[i].words, "of the 16 descriptors")) {
                        assert_int_equal(h.results[i].outcome, OUTCOME_OVERDUE);
                        waited++;
                } else
                        assert_true(h.results[i].outcome == OUTCOME_TIMEOUT ||
                                    strstr(h.results[i].words, "late"));
        assert_true(waited > 0 && waited <= 88);
        assert_true(prober_counts(h.prober).overdue >= waited);
        assert_int_equal(prober_counts(h.prober).in_flight, 0);
        end_with_few_descriptors(&h, timer, all);
        server_stop(&silent);
}

static void who_waits_for_a_place_gets_it_in_turn(void **state _unused_) {
        ScriptedServer server;
        LoopTimer *timer;
        rlim_t all;
        Harness h;

        server_start(&server, answer_ok);
        start_with_few_descriptors(&h, &timer, &all, server.port, 20 * USEC_PER_SEC);
        harness_run(&h, 100);
        for (size_t i = 0; i < 100; i++) {
                assert_int_equal(h.results[i].outcome, OUTCOME_OK);
                assert_int_equal(results_of(&h, (uint16_t)i), 1);
        }
        /* All were due together, and places came free one after the other. */
        assert_true(h.results[99].started > h.results[0].started);
        end_with_few_descriptors(&h, timer, all);
        server_stop(&server);
}

static void a_late_start_is_counted(void **state _unused_) {
        ScriptedServer closed;
        LoopTimer *blocker;
        ProbeDetail detail;
        Harness h;

        server_listen(&closed);
        server_stop(&closed);
        harness_init(&h, PROBE_TCP, closed.port);
        h.probe.interval = 100 * MSEC;
        assert_int_equal(prober_put_service(h.prober, 7, &h.config), 0);
        assert_int_equal(loop_add_timer(h.loop, block, NULL, "blocker", &blocker), 0);
        loop_timer_set(blocker, loop_now(h.loop));
        harness_run(&h, 1);
        assert_int_equal(prober_counts(h.prober).late, 1);
        assert_true(prober_detail(h.prober, 7, 0, 0, &detail));
        assert_int_equal(detail.late, 1);
        assert_int_equal(detail.probes, 1);
        assert_string_equal(detail.words, h.results[0].words);
        assert_false(prober_detail(h.prober, 7, 0, 1, &detail));
        assert_false(prober_detail(h.prober, 7, 1, 0, &detail));
        assert_false(prober_detail(h.prober, 8, 0, 0, &detail));
        loop_timer_free(blocker);
        harness_done(&h);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_our_own_loop_was_late_for_is_unknown),
                cmocka_unit_test(what_our_own_loop_took_the_target_gets_back),
                cmocka_unit_test(what_came_while_our_own_loop_was_away_counts),
                cmocka_unit_test(probes_without_a_place_are_unknown_and_leave_others_theirs),
                cmocka_unit_test(who_waits_for_a_place_gets_it_in_turn),
                cmocka_unit_test(a_late_start_is_counted),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
