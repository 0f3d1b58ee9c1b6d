#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "series.h"
#include "usec.h"

#define LABEL_SETS 200
#define OPERANDS 4

/* What counters are, without hashing: one row per label set. */
typedef struct Row {
        bool known, on_page;
        uint32_t operands;
        double last; /* NAN: no base */
} Row;

static SeriesEntry *find_or_add(Series *s, unsigned id, uint32_t operands) {
        char labels[64];
        int n = snprintf(labels, sizeof labels, "code=\"%u\",path=\"/a/%u\"", id % 7, id);
        SeriesEntry *e;
        uint64_t hash, check;

        series_hash((Slice){ "requests_total", 14 }, (Slice){ labels, (size_t)n }, &hash, &check);
        e = series_find(s, hash, check);
        while (!e && !(e = series_add(s, hash, check, operands))) {
                SeriesEntry *old = s->entries, *larger = malloc(2 * s->capacity * sizeof *larger);

                assert_non_null(larger);
                series_move(s, larger, 2 * s->capacity);
                free(old);
        }
        assert_int_equal(e->operands, operands);
        return e;
}

static Series series_new(size_t capacity) {
        Series s;

        series_init(&s, malloc(capacity * sizeof(SeriesEntry)), capacity);
        return s;
}

/* One value of the label set `id`, which feeds operand 0 alone. */
static void take(Series *s, unsigned id, double value) {
        series_take(s, find_or_add(s, id, 1), value);
}

static bool end(Series *s, double *ret) {
        return series_end_page(s, 1, ret);
}

static void any_walk_gives_the_increases_of_a_naive_table(void **state _unused_) {
        uint64_t seed = 7;

        for (int walk = 0; walk < 60; walk++) {
                static Row rows[LABEL_SETS];
                Series s = series_new(4);
                bool based = false;

                for (size_t i = 0; i < LABEL_SETS; i++)
                        rows[i] = (Row){ .operands = (uint32_t)usec_jitter(1 << OPERANDS, &seed),
                                         .last = NAN };
                for (int page = 0; page < 60; page++) {
                        double expected[OPERANDS] = {}, increases[OPERANDS];
                        uint32_t seen = 0;
                        bool abandoned = usec_jitter(12, &seed) == 0;
                        bool not_finite = false, duplicate = false;
                        unsigned resets = 0;

                        series_begin_page(&s);
                        for (unsigned i = 0; i < LABEL_SETS; i++) {
                                Row *row = &rows[i];
                                bool odd = usec_jitter(500, &seed) == 0;
                                double value = odd ? (double)NAN :
                                                     (double)usec_jitter(1000000, &seed),
                                       increase = 0;

                                /* Few stay away, so that none has to be forgotten. */
                                if (usec_jitter(row->known ? 20 : 10, &seed) == 0)
                                        continue;
                                if (!isnan(row->last) && usec_jitter(10, &seed) > 0)
                                        value = odd ? -1 :
                                                      row->last + (double)usec_jitter(100, &seed);
                                series_take(&s, find_or_add(&s, i, row->operands), value);
                                if (usec_jitter(2000, &seed) == 0) {
                                        series_take(&s, find_or_add(&s, i, row->operands),
                                                    value + 5);
                                        duplicate |= row->operands != 0;
                                }
                                seen |= row->operands;
                                if (odd)
                                        not_finite |= row->operands != 0;
                                else {
                                        if (value < row->last) {
                                                increase = value;
                                                resets += row->operands != 0;
                                        } else if (!isnan(row->last))
                                                increase = value - row->last;
                                        else if (!row->known && based)
                                                increase = value;
                                        row->last = value;
                                }
                                row->known = true;
                                for (unsigned o = 0; o < OPERANDS; o++)
                                        if (row->operands >> o & 1)
                                                expected[o] += increase;
                        }
                        assert_int_equal(s.duplicate, duplicate);
                        assert_int_equal(s.not_finite, not_finite);
                        assert_int_equal(s.resets, resets);
                        assert_int_equal(s.seen, seen);
                        if (abandoned) {
                                series_abandon_page(&s);
                                /* A full table was emptied; then every label set is new again, on a
                                 * page that is a base. */
                                for (size_t i = 0; s.used == 0 && i < LABEL_SETS; i++)
                                        rows[i] = (Row){ .operands = rows[i].operands,
                                                         .last = NAN };
                                based = false;
                                continue;
                        }
                        assert_int_equal(series_end_page(&s, OPERANDS, increases), based);
                        for (unsigned o = 0; o < OPERANDS; o++)
                                if (seen >> o & 1)
                                        assert_true(increases[o] == (based ? expected[o] : 0));
                                else
                                        assert_true(isnan(increases[o]));
                        based = true;
                }
                free(s.entries);
        }
}

static void the_first_page_only_sets_a_base(void **state _unused_) {
        Series s = series_new(16);
        double increase = -1;

        series_begin_page(&s);
        take(&s, 1, 1e9);
        assert_false(end(&s, &increase));
        assert_true(increase == 0);
        series_begin_page(&s);
        take(&s, 1, 1e9 + 7);
        assert_true(end(&s, &increase));
        assert_true(increase == 7);
        free(s.entries);
}

static void a_counter_that_fell_counts_from_zero(void **state _unused_) {
        Series s = series_new(16);
        double increase;

        series_begin_page(&s);
        take(&s, 1, 100);
        take(&s, 2, 50);
        end(&s, &increase);
        series_begin_page(&s);
        take(&s, 1, 3);
        take(&s, 2, 51);
        assert_int_equal(s.resets, 1);
        assert_true(end(&s, &increase));
        assert_true(increase == 4);
        free(s.entries);
}

static void a_series_that_is_new_later_counts_from_zero(void **state _unused_) {
        Series s = series_new(16);
        double increase;

        series_begin_page(&s);
        take(&s, 1, 100);
        end(&s, &increase);
        series_begin_page(&s);
        take(&s, 1, 100);
        take(&s, 2, 5); /* the first errors of a new code: none is lost */
        assert_true(end(&s, &increase));
        assert_true(increase == 5);
        free(s.entries);
}

static void a_series_that_comes_back_goes_on_from_its_last_value(void **state _unused_) {
        Series s = series_new(16);
        double increase;

        series_begin_page(&s);
        take(&s, 1, 1000000);
        take(&s, 2, 1);
        end(&s, &increase);
        series_begin_page(&s);
        take(&s, 2, 1);
        end(&s, &increase);
        assert_true(increase == 0);
        series_begin_page(&s);
        take(&s, 1, 1000009);
        take(&s, 2, 1);
        assert_true(end(&s, &increase));
        assert_true(increase == 9);
        free(s.entries);
}

static void a_series_that_is_not_there_is_not_zero(void **state _unused_) {
        Series s = series_new(16);
        double increase;

        series_begin_page(&s);
        take(&s, 1, 5);
        end(&s, &increase);
        series_begin_page(&s);
        assert_true(end(&s, &increase));
        assert_true(isnan(increase));
        free(s.entries);
}

static void a_value_that_is_no_count_is_told_and_not_taken(void **state _unused_) {
        static const double odd[] = { NAN, INFINITY, -INFINITY, -1 };

        for (size_t i = 0; i < ELEMENTSOF(odd); i++) {
                Series s = series_new(16);
                double increase;

                series_begin_page(&s);
                take(&s, 1, 100);
                assert_false(s.not_finite);
                end(&s, &increase);
                series_begin_page(&s);
                take(&s, 1, odd[i]);
                take(&s, 2, odd[i]);
                assert_true(s.not_finite);
                assert_int_equal(s.resets, 0);
                assert_true(end(&s, &increase));
                assert_true(increase == 0);
                /* The known one goes on from its base; the other has none yet, and is no longer
                 * new. */
                series_begin_page(&s);
                assert_false(s.not_finite);
                take(&s, 1, 107);
                take(&s, 2, 1e6);
                assert_true(end(&s, &increase));
                assert_true(increase == 7);
                free(s.entries);
        }
}

static void a_series_that_feeds_nothing_spoils_nothing(void **state _unused_) {
        Series s = series_new(16);

        series_begin_page(&s);
        series_take(&s, find_or_add(&s, 1, 0), NAN);
        series_take(&s, find_or_add(&s, 1, 0), 5);
        assert_false(s.not_finite);
        assert_false(s.duplicate);
        assert_int_equal(s.used, 1);
        free(s.entries);
}

static void after_an_abandoned_page_the_next_is_a_base(void **state _unused_) {
        Series s = series_new(16);
        double increase;

        series_begin_page(&s);
        take(&s, 1, 100);
        end(&s, &increase);
        series_begin_page(&s);
        take(&s, 1, 1); /* half a number, say */
        series_abandon_page(&s);
        series_begin_page(&s);
        take(&s, 1, 120);
        take(&s, 2, 1e6);
        assert_false(end(&s, &increase));
        assert_true(increase == 0);
        series_begin_page(&s);
        take(&s, 1, 121);
        take(&s, 2, 1e6 + 1);
        assert_true(end(&s, &increase));
        assert_true(increase == 2);
        free(s.entries);
}

/* Every page has other label sets, as with a label that names the request: the table stays small
 * and the increases right. */
static void label_sets_that_left_make_room(void **state _unused_) {
        Series s = series_new(256);
        unsigned next = 1000;
        double increase;

        for (int page = 0; page < 1000; page++) {
                series_begin_page(&s);
                take(&s, 1, page * 3);
                for (int i = 0; i < 40; i++)
                        take(&s, next++, 2);
                assert_int_equal(end(&s, &increase), page > 0);
                assert_true(increase == (page > 0 ? 83 : 0));
                assert_int_equal(s.capacity, 256);
                for (unsigned i = next - 40; i < next;
                     i++) /* those of this page are all still found */
                        assert_true(find_or_add(&s, i, 1)->page == s.page);
        }
        free(s.entries);
}

static void a_table_that_an_abandoned_page_filled_is_emptied(void **state _unused_) {
        SeriesEntry storage[16];
        uint64_t hash = 1;
        double increase;
        Series s;

        series_init(&s, storage, ELEMENTSOF(storage));
        series_begin_page(&s);
        while (series_add(&s, hash, hash, 1))
                hash++;
        assert_int_equal(s.used, 12);
        series_abandon_page(&s);
        assert_int_equal(s.used, 0);
        series_begin_page(&s);
        assert_null(series_find(&s, 1, 1));
        take(&s, 1, 5);
        assert_false(end(&s, &increase));
}

/* Same home for all: what is forgotten in the middle of such a run must not hide what stands behind
 * it. */
static void forgetting_keeps_colliding_label_sets_reachable(void **state _unused_) {
        uint64_t seed = 8;

        for (int walk = 0; walk < 2000; walk++) {
                SeriesEntry storage[32];
                double increase;
                bool keep[24];
                Series s;

                series_init(&s, storage, ELEMENTSOF(storage));
                series_begin_page(&s);
                for (uint64_t i = 0; i < ELEMENTSOF(keep); i++)
                        series_take(
                                &s,
                                series_add(&s, (usec_jitter(4, &seed) + 29) % 32 + 32, i + 1, 1),
                                1);
                end(&s, &increase);
                series_begin_page(&s);
                for (uint64_t i = 0; i < ELEMENTSOF(keep); i++) {
                        keep[i] = usec_jitter(3, &seed) == 0;
                        for (uint64_t home = 0; keep[i] && home < 32; home++) {
                                SeriesEntry *e = series_find(&s, home + 32, i + 1);

                                if (e)
                                        series_take(&s, e, 1);
                        }
                }
                end(&s, &increase);
                for (uint64_t i = 0; i < ELEMENTSOF(keep); i++) {
                        size_t found = 0;

                        for (uint64_t home = 0; home < 32; home++)
                                found += series_find(&s, home + 32, i + 1) != NULL;
                        if (keep[i] || s.used == ELEMENTSOF(keep))
                                assert_int_equal(found, 1);
                        else if (s.used == s.taken)
                                assert_int_equal(found, 0);
                }
        }
}

static void page_numbers_may_wrap_around(void **state _unused_) {
        Series s = series_new(16);
        double increase;

        s.page = UINT32_MAX - 2;
        for (int page = 0; page < 6; page++) {
                series_begin_page(&s);
                take(&s, 1, page);
                if (page != 2)
                        take(&s, 2, 10);
                take(&s, 100 + (unsigned)page, 0); /* new on each page */
                assert_false(s.duplicate);
                assert_int_equal(end(&s, &increase), page > 0);
                assert_true(increase == (page > 0 ? 1 : 0));
        }
        free(s.entries);
}

static void hashes_depend_on_every_byte_and_on_where_the_name_ends(void **state _unused_) {
        static const char text[] = "http_requests_total{method=\"GET\",code=\"200\"}";
        uint64_t one, two, other_one, other_two;

        for (size_t n = 0; n < sizeof text; n++)
                for (size_t name = 0; name <= n; name++) {
                        series_hash((Slice){ text, name }, (Slice){ text + name, n - name }, &one,
                                    &two);
                        assert_true(one != 0 && two != 0 && one != two);
                        series_hash((Slice){ text, name }, (Slice){ text + name, n - name },
                                    &other_one, &other_two);
                        assert_true(one == other_one && two == other_two);
                        if (name > 0) {
                                series_hash((Slice){ text, name - 1 },
                                            (Slice){ text + name - 1, n - name + 1 }, &other_one,
                                            &other_two);
                                assert_true(one != other_one && two != other_two);
                        }
                        for (size_t i = 0; i < n; i++) {
                                char copy[sizeof text];

                                memcpy(copy, text, sizeof text);
                                copy[i] ^= 1;
                                series_hash((Slice){ copy, name }, (Slice){ copy + name, n - name },
                                            &other_one, &other_two);
                                assert_true(one != other_one && two != other_two);
                        }
                }
        series_hash((Slice){ "ab", 2 }, (Slice){ "c\0", 1 }, &one, &two);
        series_hash((Slice){ "ab", 2 }, (Slice){ "c\0", 2 }, &other_one, &other_two);
        assert_true(one != other_one && two != other_two);
}

/* A hundred thousand neighbours in a table of 2^18: a poor hash would cluster, and searches would
 * be long. */
static void similar_label_sets_spread_evenly(void **state _unused_) {
        enum { BINS = 1 << 10, SETS = 100000 };
        static unsigned bins[2][BINS];
        double chi[2] = {};

        for (unsigned i = 0; i < SETS; i++) {
                char labels[32];
                int n = snprintf(labels, sizeof labels, "id=\"%u\"", i);
                uint64_t hash, check;

                series_hash((Slice){ "x", 1 }, (Slice){ labels, (size_t)n }, &hash, &check);
                bins[0][hash % BINS]++;
                bins[1][check % BINS]++;
        }
        for (int lane = 0; lane < 2; lane++)
                for (int i = 0; i < BINS; i++) {
                        double expected = (double)SETS / BINS, off = bins[lane][i] - expected;

                        chi[lane] += off * off / expected;
                }
        /* Chi-squared of 1023 degrees of freedom: 1023 +- 45. */
        assert_true(chi[0] < 1023 + 6 * 45 && chi[1] < 1023 + 6 * 45);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(any_walk_gives_the_increases_of_a_naive_table),
                cmocka_unit_test(the_first_page_only_sets_a_base),
                cmocka_unit_test(a_counter_that_fell_counts_from_zero),
                cmocka_unit_test(a_series_that_is_new_later_counts_from_zero),
                cmocka_unit_test(a_series_that_comes_back_goes_on_from_its_last_value),
                cmocka_unit_test(a_series_that_is_not_there_is_not_zero),
                cmocka_unit_test(a_value_that_is_no_count_is_told_and_not_taken),
                cmocka_unit_test(a_series_that_feeds_nothing_spoils_nothing),
                cmocka_unit_test(after_an_abandoned_page_the_next_is_a_base),
                cmocka_unit_test(label_sets_that_left_make_room),
                cmocka_unit_test(a_table_that_an_abandoned_page_filled_is_emptied),
                cmocka_unit_test(forgetting_keeps_colliding_label_sets_reachable),
                cmocka_unit_test(page_numbers_may_wrap_around),
                cmocka_unit_test(hashes_depend_on_every_byte_and_on_where_the_name_ends),
                cmocka_unit_test(similar_label_sets_spread_evenly),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
