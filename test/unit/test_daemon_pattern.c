/* test_daemon_pattern.c: anchoring as Prometheus does it, and the limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "pattern.h"

static int match(const char *pattern, const char *text, size_t n) {
        _cleanup_(pattern_freep) Pattern *p = NULL;

        assert_int_equal(pattern_new(&p, pattern, NULL, NULL, 0), 0);
        return pattern_match(p, text, n);
}

static void whole_text_must_match(void **state) {
        (void)state;
        assert_int_equal(match("5..", "503", 3), 1);
        assert_int_equal(match("5..", "5033", 4), 0);
        assert_int_equal(match("5..", "1503", 4), 0);
        assert_int_equal(match("a|ab", "ab", 2), 1);
        assert_int_equal(match("", "", 0), 1);
        assert_int_equal(match("", NULL, 0), 1);
        assert_int_equal(match(".*", "a\nb", 3), 1);
        assert_int_equal(match("a$", "a\n", 2), 0);
        assert_int_equal(match("\xc3\xa4.", "\xc3\xa4\xc3\xb6", 4), 1);
        assert_int_equal(match("a.*", "a\xff", 2), 0);
}

static void errors_say_where_and_why(void **state) {
        Pattern *p = NULL;
        char why[100], tiny[4], longer[1100];
        size_t at = 0;

        (void)state;
        assert_int_equal(pattern_new(&p, "ab(c", &at, why, sizeof why), -EINVAL);
        assert_int_equal(at, 4);
        assert_string_equal(why, "missing closing parenthesis");
        assert_int_equal(pattern_new(&p, "ab(c", &at, tiny, sizeof tiny), -EINVAL);
        assert_string_equal(tiny, "mis");
        memset(longer, 'a', sizeof longer - 1);
        longer[sizeof longer - 1] = '\0';
        assert_int_equal(pattern_new(&p, longer, &at, why, sizeof why), -EINVAL);
        assert_string_equal(why, "longer than 1024 bytes");
        assert_null(p);
}

static void runaway_patterns_reach_a_limit(void **state) {
        char text[64];

        (void)state;
        memset(text, 'a', sizeof text);
        text[sizeof text - 1] = 'b';
        assert_int_equal(match("(a+)+c?", text, sizeof text), -E2BIG);
        assert_int_equal(match("(a|a)*", text, sizeof text), -E2BIG);
        /* A pattern cannot raise the limit. */
        assert_int_equal(match("(*LIMIT_MATCH=4000000000)(a+)+c?", text, sizeof text), -E2BIG);
}

/* What a search for the pattern comes to; what its group matched is in *group. */
static int search(const char *pattern, const char *text, size_t n, char group[static 64]) {
        _cleanup_(pattern_freep) Pattern *p = NULL;
        Slice found = {};
        int r;

        assert_int_equal(pattern_new_search(&p, pattern, NULL, NULL, 0), 0);
        r = pattern_search(p, text, n, &found);
        memcpy(group, found.p ? found.p : "", found.n);
        group[found.n] = '\0';
        return r;
}

static void a_search_finds_it_anywhere(void **state) {
        static const struct {
                const char *pattern, *text, *group;
                int r;
        } rows[] = {
                { "b", "abc", "", 1 },
                { "^b", "abc", "", 0 },
                { "c$", "abc\n", "", 1 },
                { "^$", "", "", 1 },
                { "a.c", "a\nc", "", 0 },
                { "(?s)a.c", "a\nc", "", 1 },
                { "x=([^;]+);", "a\nx=1;x=2;", "1", 1 },
                { "x(y)?z", "xz", "", 1 },
                { "a|b", "xb", "", 1 },
                { "(a)|b", "b", "", 1 },
                { "\xc3.", "\xc3\xa9", "", 1 },
        };
        char group[64];

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                assert_int_equal(search(rows[i].pattern, rows[i].text, strlen(rows[i].text), group),
                                 rows[i].r);
                assert_string_equal(group, rows[i].group);
        }
}

static void a_search_is_bounded(void **state) {
        static char text[PATTERN_SEARCH_MAX + 1];
        char group[64], why[100];
        Pattern *p = NULL;
        size_t at = 0;

        (void)state;
        memset(text, 'a', sizeof text);
        text[PATTERN_SEARCH_MAX] = 'b';
        assert_int_equal(search("b", text, sizeof text, group), 0);
        text[PATTERN_SEARCH_MAX - 1] = 'b';
        assert_int_equal(search("b", text, sizeof text, group), 1);
        /* The limit is of the whole search, not of each place where a match may begin. */
        assert_int_equal(search("(a+)+$", text, sizeof text, group), -E2BIG);
        assert_int_equal(search("aaaa[^b]{99}c", text, sizeof text, group), 0);
        /* What only our own brackets would make an expression is none. */
        assert_int_equal(pattern_new_search(&p, "a)(b", &at, why, sizeof why), -EINVAL);
        assert_int_equal(at, 1);
        assert_int_equal(pattern_new_search(&p, "(*LIMIT_MATCH=9)a", &at, why, sizeof why),
                         -EINVAL);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(whole_text_must_match),
                cmocka_unit_test(errors_say_where_and_why),
                cmocka_unit_test(runaway_patterns_reach_a_limit),
                cmocka_unit_test(a_search_finds_it_anywhere),
                cmocka_unit_test(a_search_is_bounded),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
