#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "guarded.h"
#include "number.h"
#include "usec.h"

/* Parses out of guarded bytes, so that every test also shows that nothing behind them is read. */
static int parse_double(const char *text, double *ret) {
        Guarded g = guarded_copy(text, strlen(text));
        int r = number_parse_double(g.bytes, g.n, ret);

        guarded_done(&g);
        return r;
}

static void whole_numbers_take_digits_alone(void **state _unused_) {
        static const struct {
                const char *text;
                int r;
                uint64_t value;
        } rows[] = {
                { "0", 0, 0 },
                { "007", 0, 7 },
                { "18446744073709551615", 0, UINT64_MAX },
                { "18446744073709551616", -ERANGE, 0 },
                { "99999999999999999999999", -ERANGE, 0 },
                { "99999999999999999999999x", -EINVAL, 0 },
                { "", -EINVAL, 0 },
                { "-1", -EINVAL, 0 },
                { "+1", -EINVAL, 0 },
                { " 1", -EINVAL, 0 },
                { "1 ", -EINVAL, 0 },
                { "0x1", -EINVAL, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                Guarded g = guarded_copy(rows[i].text, strlen(rows[i].text));
                uint64_t value = 4711;

                assert_int_equal(number_parse_u64(g.bytes, g.n, &value), rows[i].r);
                assert_true(value == (rows[i].r < 0 ? 4711 : rows[i].value));
                guarded_done(&g);
        }
}

static void signed_numbers_reach_both_ends(void **state _unused_) {
        int64_t value = 0;

        assert_int_equal(number_parse_i64("-9223372036854775808", 20, &value), 0);
        assert_true(value == INT64_MIN);
        assert_int_equal(number_parse_i64("9223372036854775807", 19, &value), 0);
        assert_true(value == INT64_MAX);
        assert_int_equal(number_parse_i64("9223372036854775808", 19, &value), -ERANGE);
        assert_int_equal(number_parse_i64("-9223372036854775809", 20, &value), -ERANGE);
        assert_int_equal(number_parse_i64("-", 1, &value), -EINVAL);
        assert_int_equal(number_parse_i64("--1", 3, &value), -EINVAL);
}

static void floats_are_read_as_the_text_format_writes_them(void **state _unused_) {
        static const struct {
                const char *text;
                double value;
        } rows[] = {
                { "0", 0 },
                { "-0", -0.0 },
                { "+1.5", 1.5 },
                { ".5", 0.5 },
                { "5.", 5 },
                { "1e3", 1000 },
                { "1.458255915e+09", 1458255915 },
                { "1E-3", 0.001 },
                { "1e400", INFINITY },
                { "-1e400", -INFINITY },
                { "1e999999999999999999999", INFINITY },
                { "1e-999999999999999999999", 0 },
                { "0e999999999999999999999", 0 },
                { "1e-400", 0 },
                { "4.9406564584124654e-324", 0x1p-1074 },
                { "2.4703282292062327e-324", 0 },
                { "2.2250738585072011e-308", 0x0.fffffffffffffp-1022 },
                { "1.7976931348623157e308", 0x1.fffffffffffffp+1023 },
                { "1.7976931348623159e308", INFINITY },
                { "9007199254740993", 9007199254740992 },
                { "9007199254740995", 9007199254740996 },
                { "0.30000000000000004", 0.30000000000000004 },
                { "12345678901234567890123", 12345678901234567890123.0 },
                { "Inf", INFINITY },
                { "+inf", INFINITY },
                { "-INF", -INFINITY },
                { "Infinity", INFINITY },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                double value = 4711;

                assert_int_equal(parse_double(rows[i].text, &value), 0);
                if (value != rows[i].value || signbit(value) != signbit(rows[i].value))
                        fail_msg("%s was read as %.17g", rows[i].text, value);
        }
}

static void not_a_number_is_read_as_such(void **state _unused_) {
        double value = 0;

        assert_int_equal(parse_double("NaN", &value), 0);
        assert_true(isnan(value));
        assert_int_equal(parse_double("nan", &value), 0);
        assert_true(isnan(value));
}

static void what_is_no_float_is_refused(void **state _unused_) {
        static const char *const rows[] = { "",        "-",         "+",     ".",     "1,5",
                                            "1.5.5",   "0x10",      "0x1p3", "1e",    "1e+",
                                            "e5",      " 1",        "1 ",    "1\r",   "1_000",
                                            "--1",     "+-1",       "+NaN",  "nano",  "in",
                                            "infinit", "infinityy", "1f",    "1e5.5", "\xd9\xa1" };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                double value = 4711;

                if (parse_double(rows[i], &value) != -EINVAL || value != 4711)
                        fail_msg("'%s' was taken for %.17g", rows[i], value);
        }
        assert_int_equal(number_parse_double("1\0002", 3, &(double){ 0 }), -EINVAL);
}

static void short_decimals_are_rounded_as_strtod_rounds_them(void **state _unused_) {
        uint64_t seed = 1;

        for (int i = 0; i < 200000; i++) {
                unsigned digits = 1 + (unsigned)usec_jitter(19, &seed);
                uint64_t limit = 1;
                char text[64];
                double value;

                for (unsigned d = 0; d < digits; d++)
                        limit *= 10;
                snprintf(text, sizeof text, "%llue%d",
                         (unsigned long long)usec_jitter(limit, &seed),
                         (int)usec_jitter(55, &seed) - 27);
                assert_int_equal(number_parse_double(text, strlen(text), &value), 0);
                if (value != strtod(text, NULL))
                        fail_msg("%s was read as %.17g", text, value);
        }
}

/* Where the quotient is short, one in some thousand looks like a tie but for the remainder. */
static void the_remainder_of_a_division_decides_near_ties(void **state _unused_) {
        uint64_t seed = 14;

        for (int i = 0; i < 400000; i++) {
                char text[64];
                double value;

                snprintf(text, sizeof text, "%llue-27",
                         (unsigned long long)usec_jitter(10000000000000000000ULL, &seed));
                assert_int_equal(number_parse_double(text, strlen(text), &value), 0);
                if (value != strtod(text, NULL))
                        fail_msg("%s was read as %.17g", text, value);
        }
}

static void any_double_comes_back_within_the_last_place(void **state _unused_) {
        uint64_t seed = 2;

        for (int i = 0; i < 200000; i++) {
                uint64_t bits = usec_jitter(UINT64_MAX, &seed);
                double value, back;
                char text[64];

                memcpy(&value, &bits, sizeof value);
                if (!isfinite(value))
                        continue;
                snprintf(text, sizeof text, "%.*e", (int)usec_jitter(25, &seed), value);
                value = strtod(text, NULL);
                assert_int_equal(number_parse_double(text, strlen(text), &back), 0);
                if (back != value && back != nextafter(value, INFINITY) &&
                    back != nextafter(value, -INFINITY))
                        fail_msg("%s was read as %.17g", text, back);
        }
}

static void percents_need_their_unit_and_end_at_a_hundred(void **state _unused_) {
        static const struct {
                const char *text;
                int r;
                double value;
        } rows[] = {
                { "5%", 0, 0.05 },      { "0.5%", 0, 0.005 },   { "7.2%", 0, 0.072 },
                { "100%", 0, 1 },       { "0%", 0, 0 },         { "100.1%", -ERANGE, 0 },
                { "1e2%", -EINVAL, 0 }, { "5", -EINVAL, 0 },    { "%", -EINVAL, 0 },
                { "5 %", -EINVAL, 0 },  { "-5%", -EINVAL, 0 },  { "5%%", -EINVAL, 0 },
                { ".5%", -EINVAL, 0 },  { "5.%", -EINVAL, 0 },  { "0,5%", -EINVAL, 0 },
                { "", -EINVAL, 0 },     { "inf%", -EINVAL, 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                double value = 4711;

                assert_int_equal(number_parse_percent(rows[i].text, &value), rows[i].r);
                assert_true(value == (rows[i].r < 0 ? 4711 : rows[i].value));
        }
}

static void byte_counts_need_their_unit(void **state _unused_) {
        static const struct {
                const char *text;
                int r;
                uint64_t value;
        } rows[] = {
                { "1048576B", 0, 1048576 },
                { "16KiB", 0, 16384 },
                { "16MiB", 0, 16777216 },
                { "1GiB", 0, 1073741824 },
                { "16", -EINVAL, 0 },
                { "16kB", -EINVAL, 0 },
                { "16 MiB", -EINVAL, 0 },
                { "MiB", -EINVAL, 0 },
                { "-1B", -EINVAL, 0 },
                { "1.5GiB", -EINVAL, 0 },
                { "18446744073709551616B", -ERANGE, 0 },
                { "17179869184GiB", -ERANGE, 0 },
                { "17179869183GiB", 0, 17179869183ULL << 30 },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                uint64_t value = 4711;

                assert_int_equal(number_parse_bytes(rows[i].text, &value), rows[i].r);
                assert_true(value == (rows[i].r < 0 ? 4711 : rows[i].value));
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(whole_numbers_take_digits_alone),
                cmocka_unit_test(signed_numbers_reach_both_ends),
                cmocka_unit_test(floats_are_read_as_the_text_format_writes_them),
                cmocka_unit_test(not_a_number_is_read_as_such),
                cmocka_unit_test(what_is_no_float_is_refused),
                cmocka_unit_test(short_decimals_are_rounded_as_strtod_rounds_them),
                cmocka_unit_test(the_remainder_of_a_division_decides_near_ties),
                cmocka_unit_test(any_double_comes_back_within_the_last_place),
                cmocka_unit_test(percents_need_their_unit_and_end_at_a_hundred),
                cmocka_unit_test(byte_counts_need_their_unit),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
