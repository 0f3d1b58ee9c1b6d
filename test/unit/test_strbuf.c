#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>

#include "guarded.h"
#include "strbuf.h"
#include "usec.h"

#define EXPECT(text_, call)                                                                        \
        do {                                                                                       \
                STRBUF(b, 256);                                                                    \
                call;                                                                              \
                assert_string_equal(b.text, text_);                                                \
                assert_int_equal(b.length, strlen(text_));                                         \
                assert_false(b.overflow);                                                          \
        } while (0)

static void whole_numbers_are_written_in_full(void **state _unused_) {
        EXPECT("0", strbuf_add_u64(&b, 0));
        EXPECT("18446744073709551615", strbuf_add_u64(&b, UINT64_MAX));
        EXPECT("-9223372036854775808", strbuf_add_i64(&b, INT64_MIN));
        EXPECT("-1", strbuf_add_i64(&b, -1));
        EXPECT("9223372036854775807", strbuf_add_i64(&b, INT64_MAX));
}

static void doubles_are_rounded_as_printf_rounds_them(void **state _unused_) {
        uint64_t seed = 3;

        for (int i = 0; i < 200000; i++) {
                unsigned decimals = (unsigned)usec_jitter(10, &seed);
                /* Half of them are short binary fractions, where ties are frequent. */
                double value = i % 2 ? (double)usec_jitter(1 << 20, &seed) / 64 :
                                       ldexp((double)usec_jitter(1ULL << 53, &seed),
                                             (int)usec_jitter(60, &seed) - 53);
                char expected[64];

                snprintf(expected, sizeof expected, "%.*f", (int)decimals, value);
                EXPECT(expected, strbuf_add_double(&b, value, decimals));
        }
}

/* Decimal fractions that only look like ties: their double lies a little to one side. */
static void near_ties_are_told_from_ties(void **state _unused_) {
        for (int i = 0; i < 100000; i++) {
                char expected[64];

                snprintf(expected, sizeof expected, "%.2f", i / 1000.0);
                EXPECT(expected, strbuf_add_double(&b, i / 1000.0, 2));
        }
}

static void special_doubles_have_words(void **state _unused_) {
        EXPECT("NaN", strbuf_add_double(&b, NAN, 3));
        EXPECT("+Inf", strbuf_add_double(&b, INFINITY, 3));
        EXPECT("-Inf", strbuf_add_double(&b, -INFINITY, 3));
        EXPECT("0.0", strbuf_add_double(&b, -0.0, 1));
        EXPECT("0.0", strbuf_add_double(&b, -0.01, 1));
        EXPECT("-0.1", strbuf_add_double(&b, -0.06, 1));
        EXPECT("10.0", strbuf_add_double(&b, 9.96, 1));
        EXPECT(">1000000000000000000", strbuf_add_double(&b, 1e300, 3));
        EXPECT("<-1000000000000000000", strbuf_add_double(&b, -1e18, 3));
        EXPECT("999999999999999872", strbuf_add_double(&b, nextafter(1e18, 0), 0));
}

static void percents_show_what_matters(void **state _unused_) {
        EXPECT("0%", strbuf_add_percent(&b, 0));
        EXPECT("<0.01%", strbuf_add_percent(&b, 1e-9));
        EXPECT(">-0.01%", strbuf_add_percent(&b, -1e-9));
        EXPECT("0.05%", strbuf_add_percent(&b, 0.0005));
        EXPECT("0.1%", strbuf_add_percent(&b, 0.00099999));
        EXPECT("7.2%", strbuf_add_percent(&b, 0.072));
        EXPECT("9.9%", strbuf_add_percent(&b, 0.0994));
        EXPECT("10%", strbuf_add_percent(&b, 0.0999));
        EXPECT("43%", strbuf_add_percent(&b, 0.43));
        EXPECT("100%", strbuf_add_percent(&b, 1));
        EXPECT("-3.0%", strbuf_add_percent(&b, -0.03));
        EXPECT("NaN", strbuf_add_percent(&b, NAN));
}

static void what_comes_from_outside_is_made_harmless(void **state _unused_) {
        static const struct {
                const char *text, *expected;
        } rows[] = {
                { "plain ~ \"text\"", "plain ~ \"text\"" },
                { "Gr\xc3\xbc\xc3\x9f"
                  "e \xe2\x82\xac \xf0\x9f\x98\x80",
                  "Gr\xc3\xbc\xc3\x9f"
                  "e \xe2\x82\xac \xf0\x9f\x98\x80" },
                { "a\nb\tc\x7f\x1b[31m", "a\\x0ab\\x09c\\x7f\\x1b[31m" },
                { "\xc2\x85", "\\xc2\\x85" }, /* a C1 control */
                { "\xe2\x80\xae"
                  "gpj",
                  "\\xe2\\x80\\xaegpj" }, /* right-to-left override */
                { "\xe2\x81\xa6", "\\xe2\\x81\\xa6" },
                { "\xd8\x9c", "\\xd8\\x9c" },
                { "\xe2\x80\xa8", "\\xe2\\x80\\xa8" }, /* line separator */
                { "\xc0\x80", "\\xc0\\x80" },          /* overlong */
                { "\xc0\xaf\xe0\x80\xaf", "\\xc0\\xaf\\xe0\\x80\\xaf" },
                { "\xed\xa0\x80", "\\xed\\xa0\\x80" }, /* surrogate */
                { "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80" },
                { "\xff\xfe", "\\xff\\xfe" },
                { "\xe2\x82", "\\xe2\\x82" }, /* cut short */
                { "\xe2"
                  "a",
                  "\\xe2"
                  "a" },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                Guarded g = guarded_copy(rows[i].text, strlen(rows[i].text));

                EXPECT(rows[i].expected, strbuf_add_escaped(&b, g.bytes, g.n));
                guarded_done(&g);
        }
        EXPECT("\\x00", strbuf_add_escaped(&b, "", 1));
}

static void add_everything(StrBuf *b) {
        strbuf_add(b, "Gr\xc3\xbc\xc3\x9f"
                      "e");
        strbuf_add_char(b, ' ');
        strbuf_add_u64(b, 123456);
        strbuf_add_escaped(b, "\xe2\x82\xac\n", 4);
        strbuf_add_i64(b, -42);
        strbuf_add_double(b, 2.5, 3);
        strbuf_add(b, "end");
}

static void a_text_that_does_not_fit_is_a_beginning_of_the_whole(void **state _unused_) {
        STRBUF(whole, 128);

        add_everything(&whole);
        assert_false(whole.overflow);
        for (size_t size = 1; size <= whole.length + 2; size++) {
                char storage[128];
                StrBuf b;

                memset(storage, '#', sizeof storage);
                strbuf_init(&b, storage, size);
                add_everything(&b);
                assert_int_equal(b.overflow, size <= whole.length);
                assert_int_equal(strlen(b.text), b.length);
                assert_true(b.length < size);
                assert_memory_equal(b.text, whole.text, b.length);
                /* Never half a character, number or escape. */
                assert_true(((unsigned char)whole.text[b.length] & 0xC0) != 0x80);
                assert_true(b.length <= 8 || b.length >= 14);
                for (size_t i = size; i < sizeof storage; i++)
                        assert_int_equal(storage[i], '#');
        }
}

static void overflow_stays(void **state _unused_) {
        STRBUF(b, 4);

        strbuf_add(&b, "abcd");
        assert_true(b.overflow);
        assert_string_equal(b.text, "abc");
        strbuf_init(&b, b_storage, sizeof b_storage);
        strbuf_add(&b, "a");
        strbuf_add_u64(&b, 12345);
        strbuf_add(&b, "z");
        assert_true(b.overflow);
        assert_string_equal(b.text, "a");
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(whole_numbers_are_written_in_full),
                cmocka_unit_test(doubles_are_rounded_as_printf_rounds_them),
                cmocka_unit_test(near_ties_are_told_from_ties),
                cmocka_unit_test(special_doubles_have_words),
                cmocka_unit_test(percents_show_what_matters),
                cmocka_unit_test(what_comes_from_outside_is_made_harmless),
                cmocka_unit_test(a_text_that_does_not_fit_is_a_beginning_of_the_whole),
                cmocka_unit_test(overflow_stays),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
