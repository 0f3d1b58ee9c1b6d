/* What plugins print: the line for people and the numbers behind it. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guarded.h"
#include "perfdata.h"

#define BAD "?" /* a name that says: malformed */

typedef struct Wanted {
        const char *name;
        double value;
} Wanted;

static void expect(const char *text, const Wanted *wanted, size_t n) {
        Guarded g = guarded_copy(text, strlen(text));
        PerfValue v;
        Perfdata p;

        perfdata_init(&p, g.bytes, g.n);
        for (size_t i = 0; i < n; i++) {
                int r = perfdata_next(&p, &v);

                if (streq(wanted[i].name, BAD)) {
                        assert_int_equal(r, -EBADMSG);
                        assert_true(v.text.n > 0);
                        continue;
                }
                assert_int_equal(r, 1);
                assert_string_equal(v.name, wanted[i].name);
                if (isnan(wanted[i].value))
                        assert_true(isnan(v.value));
                else
                        assert_true(fabs(v.value - wanted[i].value) <= 1e-12 * fabs(v.value));
        }
        assert_int_equal(perfdata_next(&p, &v), 0);
        assert_int_equal(perfdata_next(&p, &v), 0);
        guarded_done(&g);
}

#define EXPECT(text, ...)                                                                          \
        do {                                                                                       \
                const Wanted _wanted[] = { __VA_ARGS__ };                                          \
                expect(text, _wanted, ELEMENTSOF(_wanted));                                        \
        } while (false)

static void what_plugins_print_is_read(void **state _unused_) {
        EXPECT("DISK OK - free space: / 3326 MB (56%); | /=2643MB;5948;5958;0;5968",
               { "/", 2643.0 * 1024 * 1024 });
        EXPECT("OK - load average: 0.11, 0.13, 0.10|load1=0.110;5.000;10.000;0; load5=0.13;;;0; ",
               { "load1", 0.11 }, { "load5", 0.13 });
        EXPECT("PING OK | rta=0.087000ms;100.0;500.0;0.000000 pl=0%;20;60;0", { "rta", 0.000087 },
               { "pl", 0 });
        EXPECT("OK | time=12us size=3KB b=7B s=1.5s n=5ns c=12c x=3W t=2TB g=1GiB",
               { "time", 12e-6 }, { "size", 3072 }, { "b", 7 }, { "s", 1.5 }, { "n", 5e-9 },
               { "c", 12 }, { "x", 3 }, { "t", 0x1p41 }, { "g", 0x1p30 });
}

static void numbers_are_told_from_units(void **state _unused_) {
        EXPECT("OK | a=1e3 b=1E3s c=1EB d=-4 e=+5 f=.5 g=5. h=1e h2=1e+", { "a", 1000 },
               { "b", 1000 }, { "c", 1 }, { "d", -4 }, { "e", 5 }, { "f", 0.5 }, { "g", 5 },
               { "h", 1 }, { BAD, 0 });
        EXPECT("OK | a=U b=U;1;2 c=UU d=1\xc2\xb5s", { "a", NAN }, { "b", NAN }, { BAD, 0 },
               { "d", 1e-6 });
}

static void labels_become_names(void **state _unused_) {
        EXPECT("OK | 'free space'=1 'it''s'=2 'a=b'=3 '/var/log'=4 temp_C=5", { "free_space", 1 },
               { "it_s", 2 }, { "a_b", 3 }, { "/var/log", 4 }, { "temp_C", 5 });
        EXPECT("OK | caf\xc3\xa9=1 'a|b'=2", { "caf__", 1 }, { "a_b", 2 });
        EXPECT("OK | abcdefghijklmnopqrstuvwxyz0123456789=1",
               { "abcdefghijklmnopqrstuvwxyz01234", 1 });
}

static void later_lines_have_numbers_too(void **state _unused_) {
        EXPECT("OK | a=1\nmore words\nand more | b=2\nc=3 d=4\n", { "a", 1 }, { "b", 2 },
               { "c", 3 }, { "d", 4 });
        EXPECT("OK\nwords a=1 | b=2", { "b", 2 });
        EXPECT("OK |\n|\n|", { BAD, 0 });
}

static void what_is_malformed_is_told_and_passed_over(void **state _unused_) {
        EXPECT("OK | =1 a b=1", { BAD, 0 }, { BAD, 0 }, { "b", 1 });
        EXPECT("OK | ''=1 b=1", { BAD, 0 }, { "b", 1 });
        EXPECT("OK | a= b=x c=1,5 d=1.2.3 e=0x10 f=nan g=1=2 h=--1 i=1", { BAD, 0 }, { BAD, 0 },
               { BAD, 0 }, { BAD, 0 }, { BAD, 0 }, { BAD, 0 }, { BAD, 0 }, { BAD, 0 }, { "i", 1 });
        EXPECT("OK | 'never closed=1 b=2\nx | c=3", { BAD, 0 }, { "c", 3 });
        EXPECT("OK | a=1e400 b=1e308TB c=1e308B", { BAD, 0 }, { BAD, 0 }, { "c", 1e308 });
        EXPECT("OK | 'a'b=1 c=2", { BAD, 0 }, { "c", 2 });
        EXPECT("OK | '", { BAD, 0 });
        EXPECT("OK | a'b=1", { BAD, 0 });
}

static void without_numbers_there_are_none(void **state _unused_) {
        PerfValue v;
        Perfdata p;

        static const char *const texts[] = { "", "|", "OK", "OK |", "OK |  \n\n", "\n\n\n", " | " };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                Guarded g = guarded_copy(texts[i], strlen(texts[i]));

                perfdata_init(&p, g.bytes, g.n);
                assert_int_equal(perfdata_next(&p, &v), 0);
                guarded_done(&g);
        }
}

static void the_line_for_people_ends_at_the_bar(void **state _unused_) {
        static const struct {
                const char *text, *words;
        } cases[] = {
                { "DISK OK - fine | a=1\nmore", "DISK OK - fine" },
                { "  OK\r\nx | y", "OK" },
                { "| a=1", "" },
                { "", "" },
                { "\nsecond", "" },
                { "one", "one" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Guarded g = guarded_copy(cases[i].text, strlen(cases[i].text));
                Slice s = perfdata_words(g.bytes, g.n);

                assert_int_equal(s.n, strlen(cases[i].words));
                assert_memory_equal(s.p, cases[i].words, s.n);
                guarded_done(&g);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_plugins_print_is_read),
                cmocka_unit_test(numbers_are_told_from_units),
                cmocka_unit_test(labels_become_names),
                cmocka_unit_test(later_lines_have_numbers_too),
                cmocka_unit_test(what_is_malformed_is_told_and_passed_over),
                cmocka_unit_test(without_numbers_there_are_none),
                cmocka_unit_test(the_line_for_people_ends_at_the_bar),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
