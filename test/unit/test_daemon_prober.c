/* The prober: its schedule, what is in flight, demand, reload, and an owner that changes everything
 * from within its callbacks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "probe_harness.h"

#define MSEC USEC_PER_MSEC

static unsigned results_of(const Harness *h, uint16_t target) {
        unsigned n = 0;

        for (size_t i = 0; i < h->n_results; i++)
                n += h->results[i].target == target;
        return n;
}

static void targets_that_hang_do_not_hold_the_others_up(void **state _unused_) {
        ScriptedServer silent;
        Harness h;

        /* Nobody accepts: the kernel takes the connection, and no answer ever comes. */
        server_listen(&silent);
        harness_init(&h, PROBE_HTTP, silent.port);
        while (h.probe.n_targets < 40)
                harness_add_target(&h, "127.0.0.1", silent.port);
        ScriptedServer closed;
        server_listen(&closed);
        server_stop(&closed);
        while (h.probe.n_targets < 50)
                harness_add_target(&h, "127.0.0.1", closed.port);
        h.probe.interval = 200 * MSEC;
        h.probe.timeout = 200 * MSEC;
        harness_begin(&h);
        harness_run(&h, 500);

        unsigned least = UINT32_MAX, most = 0;
        for (uint16_t i = 0; i < 50; i++) {
                least = MIN(least, results_of(&h, i));
                most = MAX(most, results_of(&h, i));
        }
        /* Each was asked as often as any other, but for the rounds that a busy machine lost. */
        assert_true(least >= most / 2);
        for (size_t i = 0; i < h.n_results; i++) {
                const Result *r = &h.results[i];

                if (r->target >= 40)
                        assert_int_equal(r->outcome, OUTCOME_REFUSED);
                else
                        assert_true(r->outcome == OUTCOME_TIMEOUT || r->outcome == OUTCOME_OVERDUE);
                /* One in flight: a probe starts after the end of the one before. */
                for (size_t k = 0; k < i; k++)
                        assert_true(h.results[k].target != r->target ||
                                    h.results[k].at <= r->started);
        }
        assert_true(prober_counts(h.prober).in_flight <= 50);
        assert_int_equal(prober_counts(h.prober).targets, 50);
        harness_done(&h);
        server_stop(&silent);
}

static void first_probes_are_spread_over_less_when_the_policy_says_so(void **state _unused_) {
        ScriptedServer closed;
        Harness h;

        server_listen(&closed);
        server_stop(&closed);
        harness_init(&h, PROBE_TCP, closed.port);
        while (h.probe.n_targets < 20)
                harness_add_target(&h, "127.0.0.1", closed.port);
        h.probe.interval = USEC_PER_HOUR;
        h.probe.spread = 50 * MSEC;
        assert_int_equal(prober_put_service(h.prober, 7, &h.config), 0);
        harness_run(&h, 20);
        for (uint16_t i = 0; i < 20; i++)
                assert_int_equal(results_of(&h, i), 1);
        harness_done(&h);
}

static void first_probes_are_spread_over_the_interval(void **state _unused_) {
        ScriptedServer closed;
        Harness h;
        usec_t first = USEC_INFINITY, last = 0;

        server_listen(&closed);
        server_stop(&closed);
        harness_init(&h, PROBE_TCP, closed.port);
        while (h.probe.n_targets < 100)
                harness_add_target(&h, "127.0.0.1", closed.port);
        h.probe.interval = 400 * MSEC;
        assert_int_equal(prober_put_service(h.prober, 7, &h.config), 0);
        harness_run(&h, 100);
        for (size_t i = 0; i < 100; i++) {
                first = MIN(first, h.results[i].started);
                last = MAX(last, h.results[i].started);
        }
        /* Never early: 100 targets at random points of 400 ms leave less than half of it free with
         * a chance of 2^-90. */
        assert_true(last - first > 200 * MSEC);
        harness_done(&h);
}

static void demand_more(Harness *h, const Result *r) {
        if (r->target == 1 && h->n_results == 1) {
                /* Twice is once: target 0 hangs and is asked again when it is free. */
                prober_probe_now(h->prober, 7, 0);
                prober_probe_now(h->prober, 7, 0);
        }
}

static void a_target_in_flight_is_asked_again_once_it_is_free(void **state _unused_) {
        ScriptedServer silent, closed;
        Harness h;

        server_listen(&silent);
        server_listen(&closed);
        server_stop(&closed);
        harness_init(&h, PROBE_HTTP, silent.port);
        harness_add_target(&h, "127.0.0.1", closed.port);
        h.probe.timeout = 100 * MSEC;
        h.react = demand_more;
        harness_begin(&h);
        harness_run(&h, 4);
        assert_int_equal(results_of(&h, 0), 2);
        assert_int_equal(results_of(&h, 1), 2);
        assert_true(h.results[3].started >= h.results[2].at ||
                    h.results[3].started >= h.results[1].at);
        assert_int_equal(prober_counts(h.prober).in_flight, 0);
        harness_done(&h);
        server_stop(&silent);
}

static void one_of_ten_targets_is_probed_fast_while_it_deviates(void **state _unused_) {
        ScriptedServer closed;
        Harness h;

        server_listen(&closed);
        server_stop(&closed);
        harness_init(&h, PROBE_TCP, closed.port);
        while (h.probe.n_targets < 20)
                harness_add_target(&h, "127.0.0.1", closed.port);
        h.probe.fast_interval = 20 * MSEC;
        h.deviating = 1u << 2 | 1u << 3 | 1u << 4;
        harness_begin(&h);
        harness_run(&h, 30);
        /* Two places for twenty targets: the first two that deviated have them, whoever they are.
         */
        assert_int_equal(results_of(&h, 2) + results_of(&h, 3) + results_of(&h, 4), 3 + 10);
        assert_int_equal(
                (results_of(&h, 2) > 1) + (results_of(&h, 3) > 1) + (results_of(&h, 4) > 1), 2);
        harness_done(&h);
}

static void pass_the_place_on(Harness *h, const Result *r _unused_) {
        if (h->n_results == 2)
                h->deviating = 1;
        else if (h->n_results == 5) {
                /* Target 0 is well again and 1 is not: the only place goes to 1 when both are
                 * asked. */
                h->deviating = 2;
                prober_probe_now(h->prober, 7, 0);
        } else if (h->n_results == 1)
                prober_probe_now(h->prober, 7, 0);
}

static void a_target_that_is_well_again_gives_its_place_back(void **state _unused_) {
        ScriptedServer closed;
        Harness h;

        server_listen(&closed);
        server_stop(&closed);
        harness_init(&h, PROBE_TCP, closed.port);
        harness_add_target(&h, "127.0.0.1", closed.port);
        h.probe.fast_interval = 20 * MSEC;
        h.deviating = 0;
        h.react = pass_the_place_on;
        harness_begin(&h);
        harness_run(&h, 20);
        assert_true(results_of(&h, 1) >= 10);
        assert_true(results_of(&h, 0) <= 8);
        harness_done(&h);
}

/* Target 2 has the only place; 4 deviates next, then 3; then 2 is well again. */
static void deviate_in_turn(Harness *h, const Result *r _unused_) {
        static const uint64_t deviating[] = { [10] = 1u << 2 | 1u << 4,
                                              [20] = 1u << 2 | 1u << 4 | 1u << 3,
                                              [30] = 1u << 4 | 1u << 3 };

        if (h->n_results >= ELEMENTSOF(deviating) || deviating[h->n_results] == 0)
                return;
        h->deviating = deviating[h->n_results];
        if (h->n_results < 30)
                prober_probe_now(h->prober, 7, 0);
}

static void who_waits_longest_gets_the_place_that_is_free(void **state _unused_) {
        ScriptedServer closed;
        Harness h;

        server_listen(&closed);
        server_stop(&closed);
        harness_init(&h, PROBE_TCP, closed.port);
        while (h.probe.n_targets < 5)
                harness_add_target(&h, "127.0.0.1", closed.port);
        h.probe.fast_interval = 20 * MSEC;
        h.deviating = 1u << 2;
        h.react = deviate_in_turn;
        harness_begin(&h);
        harness_run(&h, 60);
        /* Each but 2 was asked three times at most, and then 4 alone at its fast pace, without
         * another result of its own before that. */
        assert_true(results_of(&h, 2) >= 10);
        assert_true(results_of(&h, 4) >= 25);
        assert_true(results_of(&h, 3) <= 3);
        harness_done(&h);
}

static void reload_within(Harness *h, const Result *r _unused_) {
        ProbeConfig *later = h->extra;
        ProbeDetail detail;

        if (h->n_results == 3) {
                h->config.probes = later;
                assert_int_equal(prober_put_service(h->prober, 7, &h->config), 0);
                assert_true(prober_detail(h->prober, 7, 0, 0, &detail));
                assert_int_equal(detail.probes, 3);
                h->policy.identity = 2;
                assert_int_equal(prober_put_service(h->prober, 7, &h->config), 0);
                assert_true(prober_detail(h->prober, 7, 0, 0, &detail));
                assert_int_equal(detail.probes, 0);
                assert_string_equal(detail.words, "");
        }
        if (h->n_results < h->wanted)
                prober_probe_now(h->prober, 7, 0);
}

static void a_reload_keeps_what_kept_its_identity(void **state _unused_) {
        ScriptedServer closed;
        ProbeConfig later;
        Harness h;

        server_listen(&closed);
        server_stop(&closed);
        harness_init(&h, PROBE_TCP, closed.port);
        later = h.probe;
        later.interval = 5 * USEC_PER_SEC;
        h.extra = &later;
        h.react = reload_within;
        harness_begin(&h);
        harness_run(&h, 6);
        assert_int_equal(prober_counts(h.prober).targets, 1);
        assert_int_equal(prober_counts(h.prober).probes, 6);
        harness_done(&h);
}

static void remove_within(Harness *h, const Result *r _unused_) {
        if (h->n_results == 2) {
                prober_remove_service(h->prober, 7);
                prober_remove_service(h->prober, 7);
                assert_int_equal(prober_counts(h->prober).targets, 0);
                assert_int_equal(prober_counts(h->prober).in_flight, 0);
                prober_probe_now(h->prober, 7, 0);
                prober_start_epoch(h->prober, 7);
                loop_exit(h->loop, 0);
        }
}

static void a_service_may_go_within_its_own_sample(void **state _unused_) {
        ScriptedServer silent, closed;
        Harness h;

        server_listen(&silent);
        server_listen(&closed);
        server_stop(&closed);
        harness_init(&h, PROBE_HTTP, closed.port);
        harness_add_target(&h, "127.0.0.1", closed.port);
        harness_add_target(&h, "127.0.0.1", silent.port);
        h.react = remove_within;
        harness_begin(&h);
        harness_run(&h, 100);
        assert_int_equal(h.n_results, 2);
        harness_done(&h);
        server_stop(&silent);
}

static void hang_once(int fd, unsigned n) {
        if (n == 0) {
                script_wait_close(fd);
                return;
        }
        script_read_request(fd);
        script_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

static void release_within(Harness *h, const Result *r) {
        if (r->target == 1 && h->n_results == 1)
                prober_start_epoch(h->prober, 7);
}

static void a_release_cancels_what_is_in_flight_and_asks_anew(void **state _unused_) {
        ScriptedServer server, closed;
        Harness h;

        server_start(&server, hang_once);
        server_listen(&closed);
        server_stop(&closed);
        harness_init(&h, PROBE_HTTP, server.port);
        harness_add_target(&h, "127.0.0.1", closed.port);
        h.react = release_within;
        harness_begin(&h);
        harness_run(&h, 2);
        assert_int_equal(h.results[0].target, 1);
        assert_int_equal(h.results[1].target, 0);
        assert_int_equal(h.results[1].outcome, OUTCOME_OK);
        assert_true(h.results[1].started >= h.results[0].at);
        assert_int_equal(prober_counts(h.prober).probes, 2);
        harness_done(&h);
        server_stop(&server);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(targets_that_hang_do_not_hold_the_others_up),
                cmocka_unit_test(first_probes_are_spread_over_the_interval),
                cmocka_unit_test(first_probes_are_spread_over_less_when_the_policy_says_so),
                cmocka_unit_test(a_target_in_flight_is_asked_again_once_it_is_free),
                cmocka_unit_test(one_of_ten_targets_is_probed_fast_while_it_deviates),
                cmocka_unit_test(a_target_that_is_well_again_gives_its_place_back),
                cmocka_unit_test(who_waits_longest_gets_the_place_that_is_free),
                cmocka_unit_test(a_reload_keeps_what_kept_its_identity),
                cmocka_unit_test(a_service_may_go_within_its_own_sample),
                cmocka_unit_test(a_release_cancels_what_is_in_flight_and_asks_anew),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
