/* The examples of RFC 6901, and what leads nowhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "json.h"

static const char document[] =
        "{ \"foo\": [\"bar\", \"baz\"], \"\": 0, \"a/b\": 1, \"c%d\": 2, \"e^f\": 3, \"g|h\": 4, "
        "\"i\\\\j\": 5, \"k\\\"l\": 6, \" \": 7, \"m~n\": 8, \"none\": null, \"~1\": 9 }";

static void pointers_lead_where_the_rfc_says(void **state) {
        static const struct {
                const char *pointer, *text; /* NULL: nowhere */
        } rows[] = {
                { "/foo", "[\"bar\",\"baz\"]" },
                { "/foo/0", "\"bar\"" },
                { "/foo/1", "\"baz\"" },
                { "/", "0" },
                { "/a~1b", "1" },
                { "/c%d", "2" },
                { "/e^f", "3" },
                { "/g|h", "4" },
                { "/i\\j", "5" },
                { "/k\"l", "6" },
                { "/ ", "7" },
                { "/m~0n", "8" },
                { "/~01", "9" },
                { "/none", "null" },
                { "/foo/2", NULL },
                { "/foo/-", NULL },
                { "/foo/00", NULL },
                { "/foo/01", NULL },
                { "/foo/ 1", NULL },
                { "/foo/18446744073709551616", NULL },
                { "/foo/0/0", NULL },
                { "/none/x", NULL },
                { "/fo", NULL },
                { "foo", NULL },
                { "//", NULL },
                { "/a~2b", NULL },
                { "/a~", NULL },
        };
        STRBUF(error, 128);
        Json *j = json_parse(document, sizeof document - 1, &error);

        (void)state;
        assert_non_null(j);
        assert_ptr_equal(json_at_pointer(j, ""), j);
        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                const Json *found = json_at_pointer(j, rows[i].pointer);
                _cleanup_(freep) char *text = found ? json_text(found) : NULL;

                if (!text != !rows[i].text)
                        fail_msg("%s", rows[i].pointer);
                if (text)
                        assert_string_equal(text, rows[i].text);
        }
        json_free(j);
}

static void a_name_beyond_the_limit_leads_nowhere(void **state) {
        char pointer[JSON_POINTER_MAX + 3];
        STRBUF(error, 128);
        Json *j = json_parse("{}", 2, &error);

        (void)state;
        memset(pointer, 'x', sizeof pointer);
        pointer[0] = '/';
        pointer[sizeof pointer - 1] = '\0';
        assert_null(json_at_pointer(j, pointer));
        json_free(j);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(pointers_lead_where_the_rfc_says),
                cmocka_unit_test(a_name_beyond_the_limit_leads_nowhere),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
