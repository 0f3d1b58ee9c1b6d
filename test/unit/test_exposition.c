#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "exposition.h"
#include "guarded.h"
#include "usec.h"

static bool slice_is(Slice s, const char *text) {
        return s.n == strlen(text) && memcmp(s.p, text, s.n) == 0;
}

/* Reads to the end or to the first malformed line, labels too. Returns the sample lines, or
 * -EBADMSG. */
static int read_all(const char *text, size_t n, Exposition *x) {
        ExpositionLine line;
        int r, lines = 0;

        if (exposition_init(x, text, n) < 0)
                return -EBADMSG;
        while ((r = exposition_next(x, &line)) > 0) {
                Slice name, value;
                size_t position = 0;

                while (exposition_next_label(line.labels, &position, &name, &value) > 0) {
                        char storage[64];

                        assert_true(name.n > 0);
                        assert_true(value.p + value.n < line.labels.p + line.labels.n);
                        assert_true(exposition_unescape(value, storage, sizeof storage) <=
                                    (ssize_t)value.n);
                }
                lines++;
        }
        assert_true(r == 0 || r == -EBADMSG);
        assert_true((r < 0) == (x->error != NULL));
        return r < 0 ? r : lines;
}

static const char whole_page[] =
        "# HELP http_requests_total The total number of HTTP requests.\n"
        "# TYPE http_requests_total counter\n"
        "http_requests_total{method=\"post\",code=\"200\"} 1027 1395066363000\n"
        "http_requests_total{method=\"post\",code=\"400\"}    3 1395066363000\n"
        "\n"
        "# Escaping in label values:\n"
        "msdos_file_access_time_seconds{path=\"C:\\\\DIR\\\\FILE.TXT\",error=\"Cannot find "
        "file:\\n\\\"FILE.TXT\\\"\"} 1.458255915e9\n"
        "metric_without_timestamp_and_labels 12.47\n"
        "something_weird{problem=\"division by zero\"} +Inf -3982045\n"
        " \t indented { a = \"1\" , b=\"2\" , } \t 0x0\n";

/* A page of good lines: the last one of whole_page is malformed. */
#define GOOD_SIZE                                                                                  \
        (sizeof whole_page - 1 - sizeof " \t indented { a = \"1\" , b=\"2\" , } \t 0x0\n" + 1)

static void the_page_of_the_formats_own_description_is_read(void **state _unused_) {
        Guarded g = guarded_copy(whole_page, GOOD_SIZE);
        ExpositionLine line;
        Slice name, value;
        size_t position = 0;
        char text[64];
        Exposition x;

        assert_int_equal(exposition_init(&x, g.bytes, g.n), 0);
        assert_int_equal(exposition_next(&x, &line), 1);
        assert_int_equal(x.line, 3);
        assert_true(slice_is(line.name, "http_requests_total"));
        assert_true(slice_is(line.labels, "method=\"post\",code=\"200\""));
        assert_true(line.value == 1027);
        assert_true(line.has_timestamp && line.timestamp_ms == 1395066363000);
        assert_int_equal(exposition_next(&x, &line), 1);
        assert_true(line.value == 3);

        assert_int_equal(exposition_next(&x, &line), 1);
        assert_int_equal(x.line, 7);
        assert_true(line.value == 1458255915);
        assert_false(line.has_timestamp);
        assert_int_equal(exposition_next_label(line.labels, &position, &name, &value), 1);
        assert_true(slice_is(name, "path"));
        assert_int_equal(exposition_unescape(value, text, sizeof text), 15);
        assert_memory_equal(text, "C:\\DIR\\FILE.TXT", 15);
        assert_int_equal(exposition_next_label(line.labels, &position, &name, &value), 1);
        assert_true(slice_is(name, "error"));
        assert_int_equal(exposition_unescape(value, text, sizeof text), 28);
        assert_memory_equal(text, "Cannot find file:\n\"FILE.TXT\"", 28);
        assert_int_equal(exposition_next_label(line.labels, &position, &name, &value), 0);

        assert_int_equal(exposition_next(&x, &line), 1);
        assert_int_equal(line.labels.n, 0);
        assert_true(line.value == 12.47);
        assert_int_equal(exposition_next(&x, &line), 1);
        assert_true(isinf(line.value) && line.timestamp_ms == -3982045);
        assert_int_equal(exposition_next(&x, &line), 0);
        assert_int_equal(exposition_next(&x, &line), 0);
        guarded_done(&g);
}

static void blanks_and_trailing_commas_are_allowed_where_the_format_has_them(
        void **state _unused_) {
        static const char *const rows[] = {
                "a 1\n",
                "a\t1\n",
                "a  1  2 \n",
                "  a 1\n",
                "a{} 1\n",
                "a{ } 1\n",
                "a {x=\"1\"} 1\n",
                "a{x=\"1\",} 1\n",
                "a{x=\"1\"}1\n",
                "a{ x = \"1\" } 1\n",
                "a{x=\"\"} 1\n",
                "a:b{x=\"}\"} 1\n",
                "_ 1\n",
                ":a 1\n",
                "a{x=\" \"} 1\n",
                "a{x=\"\xff\"} 1\n",
                "a{x=\"a\tb\"} 1\n",
                "a 1\n# EOF\n",
                "#\n a 1\n",
                "\n\n \t\na 1\n",
                "a NaN 0\n",
                "a{x=\"1\",y=\"1\"} -1\n",
                "a{x=\"a,b=\\\"c\\\"\"} 1\n",
                "a{x=\"\\\\\"} 1e5\n",
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                Guarded g = guarded_copy(rows[i], strlen(rows[i]));
                Exposition x;

                if (read_all(g.bytes, g.n, &x) != 1)
                        fail_msg("refused: %s%s", rows[i], x.error);
                guarded_done(&g);
        }
}

static void malformed_lines_are_told_with_their_number(void **state _unused_) {
        static const struct {
                const char *line, *error;
        } rows[] = {
                { "1a 1\n", "metric name expected" },
                { "{x=\"1\"} 1\n", "metric name expected" },
                { "\xc3\xbc 1\n", "metric name expected" },
                { "a\n", "blank or { expected after the metric name" },
                { "a-b 1\n", "blank or { expected after the metric name" },
                { "a=1\n", "blank or { expected after the metric name" },
                { "a \n", "value missing" },
                { "a{x=\"1\"}\n", "value missing" },
                { "a 1,5\n", "value is not a number" },
                { "a 0x10\n", "value is not a number" },
                { "a 1\r\n", "value is not a number" },
                { "a one\n", "value is not a number" },
                { "a 1 2.5\n", "timestamp is not a whole number of milliseconds" },
                { "a 1 2s\n", "timestamp is not a whole number of milliseconds" },
                { "a 1 99999999999999999999\n", "timestamp is not a whole number of milliseconds" },
                { "a 1 2 3\n", "text after the timestamp" },
                { "a{ 1\n", "label name expected" },
                { "a{,} 1\n", "label name expected" },
                { "a{x=\"1\",,} 1\n", "label name expected" },
                { "a{1x=\"1\"} 1\n", "label name expected" },
                { "a{x:y=\"1\"} 1\n", "= expected after a label name" },
                { "a{x} 1\n", "= expected after a label name" },
                { "a{x==\"1\"} 1\n", "\" expected before a label value" },
                { "a{x=1} 1\n", "\" expected before a label value" },
                { "a{x='1'} 1\n", "\" expected before a label value" },
                { "a{x=\"1} 1\n", "label value without closing quote" },
                { "a{x=\"1\\\"} 1\n", "label value without closing quote" },
                { "a{x=\"1\\t\"} 1\n", "unknown escape in a label value" },
                { "a{x=\"1\\\n\"} 1\n", "unknown escape in a label value" },
                { "a{x=\"1\"y=\"2\"} 1\n", "comma or } expected after a label value" },
                { "a{x=\"1\"\n", "comma or } expected after a label value" },
                { "a{x=\"1\",y=\"2\",x=\"1\"} 1\n", "label name stands twice" },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                char page[256];
                Exposition x;

                snprintf(page, sizeof page, "# c\ngood 1\n%s", rows[i].line);
                Guarded g = guarded_copy(page, strlen(page));
                assert_int_equal(read_all(g.bytes, g.n, &x), -EBADMSG);
                assert_string_equal(x.error, rows[i].error);
                assert_int_equal(x.line, 3);
                guarded_done(&g);
        }
}

static void a_nul_byte_is_malformed_wherever_it_stands(void **state _unused_) {
        static const char line[] = "a{x=\"1\"} 1 2\n";

        for (size_t i = 0; i + 1 < sizeof line - 1; i++) {
                char page[sizeof line];
                Exposition x;

                memcpy(page, line, sizeof line);
                page[i] = '\0';
                assert_int_equal(read_all(page, sizeof line - 1, &x), -EBADMSG);
        }
}

static void a_page_that_was_cut_short_is_refused_whole(void **state _unused_) {
        Exposition x;

        assert_int_equal(exposition_init(&x, "", 0), -EBADMSG);
        assert_string_equal(x.error, "the page is empty");
        for (size_t n = 1; n <= GOOD_SIZE; n++) {
                Guarded g = guarded_copy(whole_page, n);
                bool whole = whole_page[n - 1] == '\n';

                assert_int_equal(exposition_init(&x, g.bytes, g.n), whole ? 0 : -EBADMSG);
                assert_int_equal(read_all(g.bytes, g.n, &x) >= 0, whole);
                guarded_done(&g);
        }
}

static void reading_may_go_on_behind_a_malformed_line(void **state _unused_) {
        static const char page[] = "a 1\nb\nc 3\n";
        ExpositionLine line;
        Exposition x;

        assert_int_equal(exposition_init(&x, page, sizeof page - 1), 0);
        assert_int_equal(exposition_next(&x, &line), 1);
        assert_int_equal(exposition_next(&x, &line), -EBADMSG);
        assert_true(line.value == 1); /* nothing was written */
        assert_int_equal(exposition_next(&x, &line), 1);
        assert_true(line.value == 3);
        assert_null(x.error);
        assert_int_equal(x.line, 3);
        assert_int_equal(exposition_next(&x, &line), 0);
}

static void a_line_has_at_most_64_kib(void **state _unused_) {
        char *page = malloc(2 * EXPOSITION_LINE_MAX);
        ExpositionLine line;
        Exposition x;

        assert_non_null(page);
        for (size_t extra = 0; extra < 2; extra++) {
                size_t n = EXPOSITION_LINE_MAX + extra;

                memset(page, 'v', 2 * EXPOSITION_LINE_MAX);
                memcpy(page, "a{x=\"", 5);
                memcpy(page + n - 4, "\"} 1\nb 2\n", 9);
                Guarded g = guarded_copy(page, n + 5);
                assert_int_equal(exposition_init(&x, g.bytes, g.n), 0);
                assert_int_equal(exposition_next(&x, &line), extra == 0 ? 1 : -EBADMSG);
                assert_int_equal(x.line, 1);
                if (extra > 0)
                        assert_string_equal(x.error, "line longer than 64 KiB");
                assert_int_equal(exposition_next(&x, &line), 1);
                assert_true(line.value == 2);
                guarded_done(&g);
        }
        free(page);
}

static void a_line_has_at_most_64_labels(void **state _unused_) {
        for (unsigned labels = EXPOSITION_LABELS_MAX; labels <= EXPOSITION_LABELS_MAX + 1;
             labels++) {
                STRBUF(b, 4096);
                Exposition x;

                strbuf_add(&b, "a{");
                for (unsigned i = 0; i < labels; i++) {
                        strbuf_add(&b, "l");
                        strbuf_add_u64(&b, i);
                        strbuf_add(&b, "=\"v\",");
                }
                strbuf_add(&b, "} 1\n");
                assert_false(b.overflow);
                assert_int_equal(read_all(b.text, b.length, &x),
                                 labels > EXPOSITION_LABELS_MAX ? -EBADMSG : 1);
        }
}

static void unescaping_never_writes_past_its_room(void **state _unused_) {
        Guarded raw = guarded_copy("a\\\\b\\\"c\\nd", 10);

        for (size_t size = 0; size <= 7; size++) {
                Guarded room = guarded_copy("#######", size);

                assert_int_equal(exposition_unescape((Slice){ raw.bytes, raw.n }, room.bytes, size),
                                 size < 7 ? -ENOSPC : 7);
                if (size == 7)
                        assert_memory_equal(room.bytes, "a\\b\"c\nd", 7);
                guarded_done(&room);
        }
        assert_int_equal(exposition_unescape((Slice){ NULL, 0 }, NULL, 0), 0);
        guarded_done(&raw);
}

/* Appends a value with its escapes, and keeps what it means. */
static void random_value(StrBuf *page, StrBuf *meaning, uint64_t *seed) {
        static const char bytes[] = "ab ,=}{\"\\\n#";

        for (usec_t n = usec_jitter(8, seed); n > 0; n--) {
                char c = bytes[usec_jitter(sizeof bytes - 1, seed)];

                strbuf_add_char(meaning, c);
                if (c == '"' || c == '\\' || c == '\n')
                        strbuf_add_char(page, '\\');
                strbuf_add_char(page, c == '\n' ? 'n' : c);
        }
}

static void what_was_written_by_the_rules_is_read_back(void **state _unused_) {
        uint64_t seed = 9;

        for (int i = 0; i < 20000; i++) {
                STRBUF(page, 1024);
                STRBUF(meanings, 256);
                unsigned labels = (unsigned)usec_jitter(5, &seed);
                int64_t value = (int64_t)usec_jitter(UINT64_MAX, &seed) >>
                                (usec_jitter(52, &seed) + 11);
                bool stamped = usec_jitter(2, &seed) == 0;
                char text[256];
                size_t position = 0, meant = 0;
                ExpositionLine line;
                Slice name, raw;
                Exposition x;

                strbuf_add(&page, "# c\nmetric:name_1");
                for (unsigned l = 0; l < labels; l++) {
                        strbuf_add(&page, l == 0 ? "{l" : ",l");
                        strbuf_add_u64(&page, l);
                        strbuf_add(&page, "=\"");
                        random_value(&page, &meanings, &seed);
                        strbuf_add_char(&page, '"');
                }
                strbuf_add(&page, labels > 0 ? "} " : " ");
                strbuf_add_i64(&page, value);
                if (stamped) {
                        strbuf_add_char(&page, ' ');
                        strbuf_add_i64(&page, value);
                }
                strbuf_add_char(&page, '\n');
                Guarded g = guarded_copy(page.text, page.length);
                assert_int_equal(exposition_init(&x, g.bytes, g.n), 0);
                assert_int_equal(exposition_next(&x, &line), 1);
                assert_true(slice_is(line.name, "metric:name_1"));
                assert_true(line.value == (double)value);
                assert_int_equal(line.has_timestamp, stamped);
                assert_true(!stamped || line.timestamp_ms == value);
                for (unsigned l = 0; l < labels; l++) {
                        assert_int_equal(exposition_next_label(line.labels, &position, &name, &raw),
                                         1);
                        assert_int_equal(name.p[1] - '0', l);
                        ssize_t n = exposition_unescape(raw, text, sizeof text);
                        assert_true(n >= 0 && meant + (size_t)n <= meanings.length);
                        assert_memory_equal(text, meanings.text + meant, n);
                        meant += (size_t)n;
                }
                assert_int_equal(exposition_next_label(line.labels, &position, &name, &raw), 0);
                assert_int_equal(meant, meanings.length);
                assert_int_equal(exposition_next(&x, &line), 0);
                guarded_done(&g);
        }
}

static void no_page_makes_the_scanner_read_past_its_end(void **state _unused_) {
        uint64_t seed = 10;
        size_t good = 0;

        for (int i = 0; i < 100000; i++) {
                static const char bytes[] = "\n\"\\{}=, #1a\t\r+-.e_:\0\xff";
                char page[sizeof whole_page];
                size_t from = usec_jitter(sizeof page - 1, &seed),
                       n = 1 + usec_jitter(sizeof page - 1 - from, &seed);
                Exposition x;

                memcpy(page, whole_page + from, n);
                for (usec_t changes = usec_jitter(4, &seed); changes > 0; changes--)
                        page[usec_jitter(n, &seed)] = bytes[usec_jitter(sizeof bytes - 1, &seed)];
                page[n - 1] = '\n';
                if (i % 20 == 0) {
                        Guarded g = guarded_copy(page, n);

                        good += read_all(g.bytes, g.n, &x) >= 0;
                        guarded_done(&g);
                } else
                        good += read_all(page, n, &x) >= 0;
        }
        assert_true(good > 1000 && good < 99000); /* both kinds came up */
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_page_of_the_formats_own_description_is_read),
                cmocka_unit_test(blanks_and_trailing_commas_are_allowed_where_the_format_has_them),
                cmocka_unit_test(malformed_lines_are_told_with_their_number),
                cmocka_unit_test(a_nul_byte_is_malformed_wherever_it_stands),
                cmocka_unit_test(a_page_that_was_cut_short_is_refused_whole),
                cmocka_unit_test(reading_may_go_on_behind_a_malformed_line),
                cmocka_unit_test(a_line_has_at_most_64_kib),
                cmocka_unit_test(a_line_has_at_most_64_labels),
                cmocka_unit_test(unescaping_never_writes_past_its_room),
                cmocka_unit_test(what_was_written_by_the_rules_is_read_back),
                cmocka_unit_test(no_page_makes_the_scanner_read_past_its_end),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
