/* test_daemon_json.c: both directions, the limits, and that a memory failure yields no half text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <locale.h>
#include <math.h>

#include "json.h"

/* jansson's own, whose header defines macros of our names. */
void json_set_alloc_funcs(void *(*allocate)(size_t), void (*release)(void *));

static void expect_text(Json *j, const char *want) {
        _cleanup_(freep) char *text = json_text(j);

        assert_non_null(text);
        assert_string_equal(text, want);
        json_free(j);
}

static void expect_refused(const char *text, const char *want) {
        STRBUF(why, 200);

        assert_null(json_parse(text, strlen(text), &why));
        if (!strstr(why.text, want))
                fail_msg("\"%s\" has no \"%s\"", why.text, want);
}

static void writes_every_type(void **state) {
        Json *j = json_new_object(), *a = json_new_array();

        (void)state;
        json_set_text(j, "text", "a\"\n\x01");
        json_set_text(j, "none", NULL);
        json_set_u64(j, "u", 18446744073709551615ULL);
        json_set_u64(j, "v", 9223372036854775807ULL);
        json_set_i64(j, "i", -5);
        json_set_double(j, "d", 0.05);
        json_set_double(j, "nan", NAN);
        json_set_double(j, "inf", (double)INFINITY);
        json_set_bool(j, "b", true);
        json_set_null(j, "n");
        json_add_text(a, "x");
        json_add(a, json_new_object());
        json_set(j, "a", a);
        expect_text(j, "{\"text\":\"a\\\"\\n\\u0001\",\"none\":null,\"u\":null,\"v\":"
                       "9223372036854775807,\"i\":-5,\"d\":0.05,\"nan\":null,\"inf\":null,"
                       "\"b\":true,\"n\":null,\"a\":[\"x\",{}]}");
}

static void invalid_utf8_is_escaped(void **state) {
        Json *j = json_new_object();

        (void)state;
        json_set_text(j, "k", "a\xff\xc3\xa4");
        json_set_text(j, "\xfe", "v");
        expect_text(j, "{\"k\":\"a\\\\xff\xc3\xa4\",\"\\\\xfe\":\"v\"}");
}

static void reads_with_fallbacks(void **state) {
        STRBUF(why, 200);
        const char *text = "{\"t\":\"x\",\"i\":3,\"d\":1.5,\"b\":true,\"n\":null,\"a\":[1,\"y\"]}";
        _cleanup_(json_freep) Json *j = json_parse(text, strlen(text), &why);
        const Json *a, *value;
        const char *key;
        void *iterator = NULL;
        char keys[16] = "";

        (void)state;
        assert_non_null(j);
        assert_true(json_is_object(j));
        assert_string_equal(json_get_text(j, "t", "f"), "x");
        assert_string_equal(json_get_text(j, "i", "f"), "f");
        assert_int_equal(json_get_i64(j, "i", 9), 3);
        assert_int_equal(json_get_i64(j, "d", 9), 9);
        assert_int_equal(json_get_i64(j, "missing", 9), 9);
        assert_true(json_get_double(j, "d", 0) == 1.5 && json_get_double(j, "i", 0) == 3 &&
                    json_get_double(j, "t", 7) == 7);
        assert_true(json_get_bool(j, "b", false) && !json_get_bool(j, "t", false));
        assert_null(json_get(j, "n"));
        a = json_get(j, "a");
        assert_true(json_is_array(a) && json_is_number(json_at(a, 0)) &&
                    json_is_text(json_at(a, 1)));
        assert_int_equal(json_length(a), 2);
        assert_null(json_at(a, 2));
        assert_null(json_text_value(json_at(a, 0)));
        while ((key = json_next(j, &iterator, &value)))
                strncat(keys, key, 1);
        assert_string_equal(keys, "tidbna");
}

static void bad_input_is_refused(void **state) {
        char deep[80] = "", *large = malloc(JSON_INPUT_MAX + 2);
        STRBUF(why, 200);
        Json *fits;

        (void)state;
        expect_refused("", "line 1");
        expect_refused("{\"a\":1,\"a\":2}", "duplicate");
        expect_refused("{\"a\":1} x", "line 1");
        expect_refused("\"\xff\"", "decode byte 0xff");
        expect_refused("\"\\u0000\"", "\\u0000");
        expect_refused("9223372036854775808", "too big");
        expect_refused("1e999", "real number overflow");
        expect_refused("[NaN]", "invalid");
        memset(deep, '[', 33);
        expect_refused(deep, "deeper than 32");
        memset(deep + 32, ']', 32);
        fits = json_parse(deep, strlen(deep), &why);
        assert_non_null(fits);
        json_free(fits);
        fits = json_parse("\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"", 42, &why);
        assert_non_null(fits);
        json_free(fits);
        assert_non_null(large);
        memset(large, ' ', JSON_INPUT_MAX + 2);
        assert_null(json_parse(large, JSON_INPUT_MAX + 1, &why));
        assert_string_equal(why.text, "the JSON is longer than 1 MiB");
        free(large);
}

static void numbers_ignore_the_locale(void **state) {
        STRBUF(why, 200);
        Json *j;

        (void)state;
        /* Where no locale with a decimal comma is installed, the C locale is what is tested. */
        (void)setlocale(LC_ALL, "de_DE.UTF-8");
        j = json_parse("1.5", 3, &why);
        assert_true(json_number_value(j) == 1.5);
        expect_text(j, "1.5");
        (void)setlocale(LC_ALL, "C");
}

static unsigned allocation_that_fails;

/* One failure, after which there is memory again: what was lost by then must not be forgotten. */
static void *allocate_but_one(size_t n) {
        return allocation_that_fails-- == 0 ? NULL : malloc(n);
}

static Json *build(void) {
        Json *root = json_new_object(), *inner = json_new_object(), *list = json_new_array();

        json_set_u64(inner, "epoch", 7);
        for (unsigned i = 0; i < 12; i++)
                json_add_text(list, "a longer text");
        json_set(inner, "list", list);
        json_set(root, "inner", inner);
        json_set_text(root, "bad", "\xff");
        json_set_double(root, "d", 0.5);
        return root;
}

static void memory_failure_yields_no_half_text(void **state) {
        _cleanup_(freep) char *want = NULL;
        Json *whole = build();
        unsigned failures = 0;

        (void)state;
        want = json_text(whole);
        json_free(whole);
        json_set_alloc_funcs(allocate_but_one, free);
        for (unsigned n = 0; n < 200; n++) {
                _cleanup_(freep) char *text = NULL;
                Json *j;

                allocation_that_fails = n;
                j = build();
                text = json_text(j);
                json_free(j);
                failures += !text;
                if (text)
                        assert_string_equal(text, want);
        }
        json_set_alloc_funcs(malloc, free);
        assert_true(failures >= 8);
        assert_true(failures < 200);
}

static void evidence_follows_its_table(void **state) {
        Evidence e = { .service = "users",
                       .epoch = 12,
                       .bad = 40,
                       .lower = 0.0625,
                       .hold = 1500 * USEC_PER_MSEC,
                       .window = USEC_INFINITY,
                       .why = "why" };
        _cleanup_(json_freep) Json *j = json_from_evidence(&e);
        const char *key;
        void *iterator = NULL;
        size_t n = 0;

        (void)state;
        while ((key = json_next(j, &iterator, NULL)))
                assert_string_equal(key, evidence_fields[n++].name);
        assert_int_equal(n, evidence_fields_n);
        for (size_t i = 0; i < evidence_fields_n; i++) {
                const EvidenceField *f = &evidence_fields[i];

                if (f->offset == offsetof(Evidence, hold))
                        assert_true(json_get_double(j, f->name, 0) == 1.5);
                if (f->offset == offsetof(Evidence, window))
                        assert_null(json_get(j, f->name));
                if (f->offset == offsetof(Evidence, why))
                        assert_string_equal(json_get_text(j, f->name, ""), "why");
                if (f->offset == offsetof(Evidence, epoch))
                        assert_int_equal(json_get_i64(j, f->name, 0), 12);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(writes_every_type),
                cmocka_unit_test(invalid_utf8_is_escaped),
                cmocka_unit_test(reads_with_fallbacks),
                cmocka_unit_test(bad_input_is_refused),
                cmocka_unit_test(numbers_ignore_the_locale),
                cmocka_unit_test(memory_failure_yields_no_half_text),
                cmocka_unit_test(evidence_follows_its_table),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
