#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "window.h"

#define INCREMENTS_MAX 5000

/* What a window is, without buckets: a list of increments, summed by looking at each. */
typedef struct Model {
        usec_t bucket, span, since, head;
        size_t n;
        struct {
                usec_t at;
                double bad, total;
        } increments[INCREMENTS_MAX];
} Model;

static usec_t bucket_end(usec_t t, usec_t bucket) {
        return (t + bucket - 1) / bucket * bucket;
}

static void model_clear(Model *m, usec_t now) {
        m->n = 0;
        m->since = now;
        m->head = bucket_end(now, m->bucket);
}

static usec_t model_start(const Model *m) {
        return usec_sub(m->head, m->bucket * m->span);
}

static bool model_add(Model *m, usec_t at, double bad, double total) {
        if (at <= m->since)
                return false;
        m->head = MAX(m->head, bucket_end(at, m->bucket));
        if (at <= model_start(m) && m->head >= m->bucket * m->span)
                return false;
        assert_true(m->n < INCREMENTS_MAX);
        m->increments[m->n].at = at;
        m->increments[m->n].bad = bad;
        m->increments[m->n++].total = total;
        return true;
}

static WindowSums model_read(Model *m, usec_t now) {
        WindowSums sums = {};

        m->head = MAX(m->head, bucket_end(now, m->bucket));
        for (size_t i = 0; i < m->n; i++)
                if (bucket_end(m->increments[i].at, m->bucket) > model_start(m)) {
                        sums.bad += m->increments[i].bad;
                        sums.total += m->increments[i].total;
                }
        sums.covered = usec_sub(now, MAX(model_start(m), m->since));
        return sums;
}

static void assert_sums_equal(WindowSums a, WindowSums b) {
        assert_true(a.bad == b.bad);
        assert_true(a.total == b.total);
        assert_true(a.covered == b.covered);
}

/* Whole numbers, so that sums are exact and equality is asked for. */
static void any_walk_gives_the_sums_of_a_naive_list(void **state _unused_) {
        static Model m;
        static const usec_t overs[] = { USEC_PER_MSEC,       1001,
                                        250 * USEC_PER_MSEC, USEC_PER_SEC,
                                        7 * USEC_PER_SEC,    60 * USEC_PER_SEC,
                                        USEC_PER_HOUR,       60000001 };
        uint64_t seed = 6;

        for (int walk = 0; walk < 400; walk++) {
                usec_t over = overs[usec_jitter(ELEMENTSOF(overs), &seed)],
                       now = usec_jitter(2 * over, &seed);
                Window w;

                window_init(&w, over, now);
                m.bucket = w.bucket;
                m.span = w.span;
                model_clear(&m, now);
                for (int step = 0; step < 400; step++) {
                        usec_t late = usec_jitter(4, &seed) == 0 ? usec_jitter(2 * over, &seed) : 0;
                        double bad = (double)usec_jitter(10, &seed),
                               total = bad + (double)usec_jitter(100, &seed);

                        now += usec_jitter(1ULL << usec_jitter(3, &seed) * 4, &seed) * over / 300;
                        switch (usec_jitter(40, &seed)) {
                        case 0:
                                window_clear(&w, now);
                                model_clear(&m, now);
                                break;
                        case 1:
                                now += usec_jitter(3 * over, &seed);
                                break;
                        }
                        assert_int_equal(window_add(&w, usec_sub(now, late), bad, total),
                                         model_add(&m, usec_sub(now, late), bad, total));
                        if (usec_jitter(3, &seed) == 0)
                                assert_sums_equal(window_read(&w, now), model_read(&m, now));
                }
        }
}

static void buckets_divide_every_whole_number_of_milliseconds(void **state _unused_) {
        for (usec_t over = USEC_PER_MSEC; over < USEC_PER_HOUR;
             over += over / 7 / USEC_PER_MSEC * USEC_PER_MSEC + USEC_PER_MSEC) {
                Window w;

                window_init(&w, over, 0);
                assert_true(w.bucket * w.span == over);
                assert_in_range(w.span, 50, WINDOW_BUCKETS);
        }
        for (usec_t over = USEC_PER_MSEC; over < 20000; over++) {
                Window w;

                window_init(&w, over, 0);
                assert_true(w.bucket * w.span <= over);
                assert_in_range(w.span, 50, WINDOW_BUCKETS);
        }
}

static void an_increment_counts_for_nearly_over_and_never_longer(void **state _unused_) {
        usec_t over = 60 * USEC_PER_SEC;

        for (usec_t at = 100 * USEC_PER_SEC; at < 102 * USEC_PER_SEC; at += 99999) {
                Window w;

                window_init(&w, over, 50 * USEC_PER_SEC);
                assert_true(window_add(&w, at, 1, 2));
                assert_true(window_read(&w, at).bad == 1);
                assert_true(window_read(&w, at + over - USEC_PER_SEC).bad == 1);
                assert_true(window_read(&w, at + over).bad == 0);
                assert_true(window_read(&w, at + over).total == 0);
        }
}

static void the_left_end_is_open_and_the_right_end_closed(void **state _unused_) {
        usec_t over = 60 * USEC_PER_SEC, edge = 120 * USEC_PER_SEC;
        Window w;

        window_init(&w, over, 0);
        assert_true(window_add(&w, edge - over, 1, 1));     /* just outside at `edge` */
        assert_true(window_add(&w, edge - over + 1, 2, 2)); /* just inside */
        assert_true(window_add(&w, edge, 4, 4));
        assert_true(window_read(&w, edge).bad == 6);
        assert_true(window_read(&w, edge).covered == over);
}

static void nothing_from_before_the_evidence_counts(void **state _unused_) {
        usec_t start = 500 * USEC_PER_SEC;
        Window w;

        window_init(&w, 60 * USEC_PER_SEC, start);
        assert_false(window_add(&w, start - 1, 1, 1));
        assert_false(window_add(&w, start, 1, 1));
        assert_true(window_add(&w, start + 1, 1, 1));
        assert_true(window_read(&w, start + 1).bad == 1);
        assert_true(window_read(&w, start + 10).covered == 10);
        window_clear(&w, start + 20);
        assert_false(window_add(&w, start + 20, 1, 1));
        assert_true(window_read(&w, start + 25).total == 0);
        assert_true(window_read(&w, start + 25).covered == 5);
}

static void evidence_may_begin_in_the_future(void **state _unused_) {
        Window w;

        window_init(&w, 60 * USEC_PER_SEC, 10 * USEC_PER_SEC);
        window_clear(&w, 100 * USEC_PER_SEC);
        assert_false(window_add(&w, 50 * USEC_PER_SEC, 1, 1));
        assert_true(window_read(&w, 50 * USEC_PER_SEC).covered == 0);
        assert_true(window_add(&w, 101 * USEC_PER_SEC, 1, 1));
        assert_true(window_read(&w, 101 * USEC_PER_SEC).bad == 1);
}

static void what_is_no_count_is_refused_whole(void **state _unused_) {
        static const double rows[] = { NAN, -NAN, INFINITY, -INFINITY, -1, -1e-300 };
        Window w;

        window_init(&w, 60 * USEC_PER_SEC, 0);
        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                assert_false(window_add(&w, USEC_PER_SEC, rows[i], 1));
                assert_false(window_add(&w, USEC_PER_SEC, 1, rows[i]));
        }
        assert_true(window_add(&w, USEC_PER_SEC, 0, -0.0));
        assert_true(window_read(&w, USEC_PER_SEC).total == 0);
        assert_true(window_read(&w, USEC_PER_SEC).bad == 0);
}

static void times_near_infinity_do_not_wrap(void **state _unused_) {
        Window w;

        window_init(&w, 60 * USEC_PER_SEC, 0);
        assert_true(window_add(&w, USEC_PER_SEC, 1, 1));
        assert_false(window_add(&w, USEC_INFINITY, 1, 1));
        assert_false(window_add(&w, USEC_INFINITY - 1, 1, 1));
        assert_true(window_read(&w, USEC_PER_SEC).bad == 1);
        assert_true(window_read(&w, USEC_INFINITY).bad ==
                    1); /* no such time: the window stays where it is */
}

/* Fractions that have no exact binary form: after a hundred thousand turns the sum is still that of
 * the window alone. */
static void rounding_does_not_add_up(void **state _unused_) {
        usec_t now = 0;
        Window w;

        window_init(&w, 60 * USEC_PER_SEC, now);
        for (int i = 0; i < 100000; i++) {
                now += USEC_PER_SEC;
                assert_true(window_add(&w, now, i < 50000 ? 1e15 + 0.1 : 0.1,
                                       i < 50000 ? 1e15 + 0.3 : 0.3));
        }
        assert_true(fabs(window_read(&w, now).bad - 6) < 1e-12);
        assert_true(fabs(window_read(&w, now).total - 18) < 1e-12);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(any_walk_gives_the_sums_of_a_naive_list),
                cmocka_unit_test(buckets_divide_every_whole_number_of_milliseconds),
                cmocka_unit_test(an_increment_counts_for_nearly_over_and_never_longer),
                cmocka_unit_test(the_left_end_is_open_and_the_right_end_closed),
                cmocka_unit_test(nothing_from_before_the_evidence_counts),
                cmocka_unit_test(evidence_may_begin_in_the_future),
                cmocka_unit_test(what_is_no_count_is_refused_whole),
                cmocka_unit_test(times_near_infinity_do_not_wrap),
                cmocka_unit_test(rounding_does_not_add_up),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
