#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "usec.h"

static void durations_need_units_in_falling_order(void **state _unused_) {
        static const struct {
                const char *text;
                int r;
                usec_t value;
        } rows[] = {
                { "250ms", 0, 250000 },
                { "30s", 0, 30000000 },
                { "0s", 0, 0 },
                { "1us", 0, 1 },
                { "5m", 0, 300000000 },
                { "1h30m", 0, 5400000000 },
                { "2d", 0, 2 * USEC_PER_DAY },
                { "1d2h3m4s5ms6us", 0,
                  USEC_PER_DAY + 2 * USEC_PER_HOUR + 3 * USEC_PER_MINUTE + 4005006 },
                { "18446744073709551614us", 0, USEC_INFINITY - 1 },
                { "18446744073709551615us", -ERANGE, 0 },
                { "18446744073709551616us", -ERANGE, 0 },
                { "213503983d", -ERANGE, 0 },
                { "213503982d20h", -ERANGE, 0 },
                { "", -EINVAL, 0 },
                { "30", -EINVAL, 0 },
                { "s", -EINVAL, 0 },
                { "30 s", -EINVAL, 0 },
                { " 30s", -EINVAL, 0 },
                { "30s ", -EINVAL, 0 },
                { "-30s", -EINVAL, 0 },
                { "1.5s", -EINVAL, 0 },
                { "30m1h", -EINVAL, 0 },
                { "1s1s", -EINVAL, 0 },
                { "1w", -EINVAL, 0 },
                { "1H", -EINVAL, 0 },
                { "1h30", -EINVAL, 0 },
                { "infinity", -EINVAL, 0 },
                { "99999999999999999999us1x", -EINVAL, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                usec_t value = 4711;

                if (usec_parse(rows[i].text, &value) != rows[i].r ||
                    value != (rows[i].r < 0 ? 4711 : rows[i].value))
                        fail_msg("'%s' was read as %llu", rows[i].text, (unsigned long long)value);
        }
}

static void what_is_written_is_read_back(void **state _unused_) {
        uint64_t seed = 4;

        for (int i = 0; i < 100000; i++) {
                usec_t value = usec_jitter(USEC_INFINITY, &seed) >> usec_jitter(64, &seed), back;
                STRBUF(b, 64);

                strbuf_add_usec(&b, value);
                assert_false(b.overflow);
                assert_int_equal(usec_parse(b.text, &back), 0);
                assert_true(back == value);
        }
}

static void words_have_at_most_two_units(void **state _unused_) {
        static const struct {
                usec_t value;
                const char *words;
        } rows[] = {
                { 0, "0 s" },
                { 7, "7 us" },
                { 999, "999 us" },
                { 250000, "250 ms" },
                { 1000000, "1 s" },
                { 1500000, "1.5 s" },
                { 1050000, "1 s" },
                { 9990000, "9.9 s" },
                { 42300000, "42 s" },
                { 12 * USEC_PER_MINUTE + 40 * USEC_PER_SEC + 999, "12 min 40 s" },
                { 5 * USEC_PER_MINUTE, "5 min" },
                { 5 * USEC_PER_HOUR + 30 * USEC_PER_SEC, "5 h" },
                { 3 * USEC_PER_DAY + 4 * USEC_PER_HOUR, "3 d 4 h" },
                { USEC_INFINITY, "forever" },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                STRBUF(b, 64);

                strbuf_add_usec_words(&b, rows[i].value);
                assert_string_equal(b.text, rows[i].words);
        }
        STRBUF(b, 64);
        strbuf_add_usec(&b, USEC_INFINITY);
        assert_string_equal(b.text, "infinity");
}

static void sums_stop_at_infinity_and_differences_at_zero(void **state _unused_) {
        assert_true(usec_add(1, 2) == 3);
        assert_true(usec_add(USEC_INFINITY - 1, 1) == USEC_INFINITY);
        assert_true(usec_add(USEC_INFINITY - 1, 2) == USEC_INFINITY);
        assert_true(usec_add(USEC_INFINITY, 5) == USEC_INFINITY);
        assert_true(usec_add(5, USEC_INFINITY) == USEC_INFINITY);
        assert_true(usec_sub(5, 3) == 2);
        assert_true(usec_sub(3, 5) == 0);
        assert_true(usec_sub(USEC_INFINITY, 5) == USEC_INFINITY);
}

static void jitter_is_even_repeatable_and_below_its_span(void **state _unused_) {
        uint64_t one = 5, two = 5;
        unsigned counts[10] = {};

        for (int i = 0; i < 100000; i++) {
                usec_t delay = usec_jitter(10, &one);

                assert_true(delay < 10);
                assert_true(usec_jitter(10, &two) == delay);
                counts[delay]++;
        }
        /* Each of ten has 10,000 expected, with a standard deviation of 95. */
        for (size_t i = 0; i < ELEMENTSOF(counts); i++)
                assert_in_range(counts[i], 9500, 10500);
        assert_true(usec_jitter(0, &one) == 0);
        assert_true(usec_jitter(1, &one) == 0);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(durations_need_units_in_falling_order),
                cmocka_unit_test(what_is_written_is_read_back),
                cmocka_unit_test(words_have_at_most_two_units),
                cmocka_unit_test(sums_stop_at_infinity_and_differences_at_zero),
                cmocka_unit_test(jitter_is_even_repeatable_and_below_its_span),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
