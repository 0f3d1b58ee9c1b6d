#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "guarded.h"
#include "selector.h"
#include "usec.h"

/* Parses one sample line that is known to be good. `page` must outlive the line. */
static ExpositionLine line_of(const char *page) {
        ExpositionLine line;
        Exposition x;

        assert_int_equal(exposition_init(&x, page, strlen(page)), 0);
        assert_int_equal(exposition_next(&x, &line), 1);
        return line;
}

static void parse(const char *text, Selector *ret) {
        const char *why = NULL;
        size_t at = 0;

        if (selector_parse(text, ret, &at, &why) < 0)
                fail_msg("'%s' refused at %zu: %s", text, at, why);
}

static void every_kind_of_matcher_is_read(void **state _unused_) {
        Selector s;

        parse(" http_requests_total { code =~ \"5..\" , a=\"x\\\"y\\\\z\\n\",b!=\"\", c!~\"q|r\", "
              "} ",
              &s);
        assert_string_equal(s.name, "http_requests_total");
        assert_int_equal(s.n_matchers, 4);
        assert_int_equal(s.matchers[0].kind, MATCHER_REGEX);
        assert_string_equal(s.matchers[0].label, "code");
        assert_string_equal(s.matchers[0].value, "5..");
        assert_int_equal(s.matchers[1].kind, MATCHER_EQUAL);
        assert_string_equal(s.matchers[1].value, "x\"y\\z\n");
        assert_int_equal(s.matchers[2].kind, MATCHER_NOT_EQUAL);
        assert_string_equal(s.matchers[2].value, "");
        assert_int_equal(s.matchers[3].kind, MATCHER_NOT_REGEX);
        assert_string_equal(s.matchers[3].value, "q|r");

        parse("job:errors:rate", &s);
        assert_string_equal(s.name, "job:errors:rate");
        assert_int_equal(s.n_matchers, 0);
        parse("up{}", &s);
        assert_int_equal(s.n_matchers, 0);
}

static void errors_say_where_and_what(void **state _unused_) {
        static const struct {
                const char *text;
                size_t at;
                const char *why;
        } rows[] = {
                { "", 0, "metric name expected" },
                { "{a=\"1\"}", 0, "metric name expected" },
                { "1up", 0, "metric name expected" },
                { "up down", 3, "{ or the end of the selector expected" },
                { "up{", 3, "label name or } expected" },
                { "up{,}", 3, "label name or } expected" },
                { "up{a:b=\"1\"}", 4, "one of = != =~ !~ expected" },
                { "up{a>\"1\"}", 4, "one of = != =~ !~ expected" },
                { "up{a=5}", 5, "a value in double quotes expected" },
                { "up{a='5'}", 5, "a value in double quotes expected" },
                { "up{a=\"5}", 8, "value without closing quote" },
                { "up{a=\"5\\.\"}", 7,
                  "unknown escape: write \\\\ for a backslash, \\\" for a quote, \\n for a line "
                  "end" },
                { "up{a=\"5\\", 7,
                  "unknown escape: write \\\\ for a backslash, \\\" for a quote, \\n for a line "
                  "end" },
                { "up{a=\"5\"b=\"6\"}", 8, "comma or } expected" },
                { "up{a=\"5\"", 8, "comma or } expected" },
                { "up{a=\"5\"} > 3", 10, "text after the selector" },
                { "up[5m]", 2, "{ or the end of the selector expected" },
                { "rate(up)", 4, "{ or the end of the selector expected" },
                { "u{a=\"\",b=\"\",c=\"\",d=\"\",e=\"\",f=\"\",g=\"\",h=\"\",i=\"\"}", 42,
                  "more than 8 matchers" },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                Guarded g = guarded_copy(rows[i].text, strlen(rows[i].text) + 1);
                const char *why = NULL;
                size_t at = 4711;
                Selector s;

                assert_int_equal(selector_parse(g.bytes, &s, &at, &why), -EINVAL);
                assert_string_equal(why, rows[i].why);
                assert_int_equal(at, rows[i].at);
                guarded_done(&g);
        }
}

static void a_selector_has_at_most_511_bytes(void **state _unused_) {
        for (size_t n = SELECTOR_TEXT_MAX - 1; n <= SELECTOR_TEXT_MAX; n++) {
                char text[SELECTOR_TEXT_MAX + 1];
                const char *why = NULL;
                size_t at = 0;
                Selector s;

                /* As dense as a selector gets: nothing kept may overrun its room. */
                memset(text, 'v', sizeof text);
                memcpy(text, "u{a=\"", 5);
                memcpy(text + n - 2, "\"}", 3);
                assert_int_equal(selector_parse(text, &s, &at, &why),
                                 n < SELECTOR_TEXT_MAX ? 0 : -EINVAL);
                if (n < SELECTOR_TEXT_MAX)
                        assert_int_equal(strlen(s.matchers[0].value), n - 7);
                else
                        assert_string_equal(why, "longer than 511 bytes");
        }
}

static void plain_matchers_agree_as_in_prometheus(void **state _unused_) {
        static const char page[] = "req{code=\"500\",path=\"C:\\\\a\\n\\\"b\\\"\",empty=\"\"} 1\n";
        static const struct {
                const char *selector;
                bool matches;
        } rows[] = {
                { "req", true },
                { "req{}", true },
                { "reqs", false },
                { "re", false },
                { "req{code=\"500\"}", true },
                { "req{code=\"50\"}", false },
                { "req{code=\"5000\"}", false },
                { "req{code!=\"500\"}", false },
                { "req{code!=\"200\"}", true },
                { "req{path=\"C:\\\\a\\n\\\"b\\\"\"}", true },
                { "req{path=\"C:\\\\a\\n\\\"b\"}", false },
                { "req{absent=\"\"}", true },
                { "req{absent!=\"\"}", false },
                { "req{absent!=\"x\"}", true },
                { "req{absent=\"x\"}", false },
                { "req{empty=\"\"}", true },
                { "req{empty!=\"\"}", false },
                { "req{cod=\"500\"}", false },
                { "req{codes=\"500\"}", false },
                { "req{code=~\"2..\"}", true }, /* not decided here */
                { "req{code!~\"5..\"}", true },
                { "req{code=\"500\",empty!=\"\"}", false },
                { "req{code!=\"200\",code!=\"500\"}", false },
        };
        Guarded g = guarded_copy(page, sizeof page);
        ExpositionLine line = line_of(g.bytes);

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                Selector s;

                parse(rows[i].selector, &s);
                if (selector_matches_plain(&s, &line) != rows[i].matches)
                        fail_msg("%s", rows[i].selector);
        }
        guarded_done(&g);
}

static void a_line_without_labels_has_empty_ones(void **state _unused_) {
        ExpositionLine bare = line_of("up 1\n"), braces = line_of("up{ } 1\n");
        Selector s;

        parse("up{a=\"\"}", &s);
        assert_true(selector_matches_plain(&s, &bare));
        assert_true(selector_matches_plain(&s, &braces));
        assert_int_equal(selector_label(&bare, "a").n, 0);
        parse("up{a=\"1\"}", &s);
        assert_false(selector_matches_plain(&s, &bare));
}

static void a_label_is_found_by_its_whole_name(void **state _unused_) {
        ExpositionLine line = line_of("m{ ab = \"1\" , a=\"2\",b=\"a=\\\"3\\\"\"} 1\n");

        assert_memory_equal(selector_label(&line, "a").p, "2", 1);
        assert_memory_equal(selector_label(&line, "ab").p, "1", 1);
        assert_int_equal(selector_label(&line, "b").n, 7);
        assert_int_equal(selector_label(&line, "c").n, 0);
        assert_int_equal(selector_label(&line, "").n, 0);
}

/* Random matchers against random lines; what it should come to is told from the parts, not from the
 * text. */
static void equality_is_decided_by_meaning(void **state _unused_) {
        static const struct {
                const char *escaped, *meaning;
        } values[] = { { "", "" },      { "a", "a" },     { "b", "b" },
                       { "ab", "ab" },  { "\\\\", "\\" }, { "\\\"", "\"" },
                       { "\\n", "\n" }, { "n", "n" },     { "a\\\\n", "a\\n" } };
        uint64_t seed = 11;

        for (int i = 0; i < 20000; i++) {
                size_t has_x = usec_jitter(ELEMENTSOF(values), &seed),
                       has_y = usec_jitter(ELEMENTSOF(values), &seed);
                size_t wants_x = usec_jitter(ELEMENTSOF(values), &seed),
                       wants_y = usec_jitter(ELEMENTSOF(values), &seed);
                bool with_y = usec_jitter(2, &seed) == 0, not_x = usec_jitter(2, &seed) == 0,
                     not_y = usec_jitter(2, &seed) == 0;
                char page[128], text[128];
                Selector s;

                snprintf(page, sizeof page, with_y ? "m{x=\"%s\",y=\"%s\"} 1\n" : "m{x=\"%s\"} 1\n",
                         values[has_x].escaped, values[has_y].escaped);
                snprintf(text, sizeof text, "m{x%s\"%s\",y%s\"%s\"}", not_x ? "!=" : "=",
                         values[wants_x].escaped, not_y ? "!=" : "=", values[wants_y].escaped);
                ExpositionLine line = line_of(page);
                parse(text, &s);
                assert_string_equal(s.matchers[0].value, values[wants_x].meaning);
                assert_int_equal(selector_matches_plain(&s, &line),
                                 (has_x == wants_x) != not_x &&
                                         ((with_y ? has_y : 0) == wants_y) != not_y);
        }
}

static void a_label_path_has_two_halves(void **state _unused_) {
        static const char *const bad[] = { "",
                                           ".",
                                           "a",
                                           "a.",
                                           ".b",
                                           "a.b.c",
                                           "a.1b",
                                           "1a.b",
                                           "a .b",
                                           "a.b ",
                                           "a.b:c",
                                           "a..b",
                                           "metric_too_long_.b",
                                           "a.label_too_long__" };
        char metric[16], label[16];

        assert_int_equal(selector_parse_label_path("app:build_info.version", (char[32]){}, 32,
                                                   label, sizeof label),
                         0);
        assert_string_equal(label, "version");
        assert_int_equal(selector_parse_label_path("metric_15_bytes.label_of_15_byt", metric,
                                                   sizeof metric, label, sizeof label),
                         0);
        assert_string_equal(metric, "metric_15_bytes");
        assert_string_equal(label, "label_of_15_byt");
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                Guarded g = guarded_copy(bad[i], strlen(bad[i]) + 1);

                if (selector_parse_label_path(g.bytes, metric, sizeof metric, label,
                                              sizeof label) != -EINVAL)
                        fail_msg("'%s' was taken", bad[i]);
                guarded_done(&g);
        }
        assert_string_equal(metric, "metric_15_bytes");
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_kind_of_matcher_is_read),
                cmocka_unit_test(errors_say_where_and_what),
                cmocka_unit_test(a_selector_has_at_most_511_bytes),
                cmocka_unit_test(plain_matchers_agree_as_in_prometheus),
                cmocka_unit_test(a_line_without_labels_has_empty_ones),
                cmocka_unit_test(a_label_is_found_by_its_whole_name),
                cmocka_unit_test(equality_is_decided_by_meaning),
                cmocka_unit_test(a_label_path_has_two_halves),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
