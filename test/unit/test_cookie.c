#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "cookie.h"
#include "guarded.h"
#include "strbuf.h"

static void cookies_are_read_as_browsers_do(void **state _unused_) {
        static const struct {
                const char *header, *pair; /* NULL: no cookie */
                bool secure;
        } rows[] = {
                { "a=b", "a=b", false },
                { "a=b; Path=/; HttpOnly", "a=b", false },
                { " a = b c ;secure", "a=b c", true },
                { "a=b; SECURE ; Max-Age=0", "a=b", true },
                { "a=b; secure=1; insecure; securex", "a=b", false },
                { "a=", "a=", false },
                { "a=b=c==", "a=b=c==", false },
                { "a=\"b\";", "a=\"b\"", false },
                { "a=b\xff", "a=b\xff", false },
                { "", NULL, false },
                { "a", NULL, false },
                { "=b", NULL, false },
                { " =b", NULL, false },
                { "; a=b", NULL, false },
                { "a=b\tc", NULL, false },
                { "a=b\x7f", NULL, false },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                size_t n = strlen(rows[i].header);
                Guarded g = guarded_copy(rows[i].header, n);
                Cookie c;
                int r = cookie_parse((Slice){ .p = g.bytes, .n = n }, &c);
                STRBUF(b, 64);

                assert_int_equal(r, rows[i].pair ? 0 : -EINVAL);
                if (rows[i].pair) {
                        strbuf_add_n(&b, c.name.p, c.name.n);
                        strbuf_add_char(&b, '=');
                        strbuf_add_n(&b, c.value.p, c.value.n);
                        assert_string_equal(b.text, rows[i].pair);
                        assert_int_equal(c.secure, rows[i].secure);
                }
                guarded_done(&g);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = { cmocka_unit_test(cookies_are_read_as_browsers_do) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
