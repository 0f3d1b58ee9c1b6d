#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "strbuf.h"
#include "template.h"

static void texts_are_taken_apart(void **state _unused_) {
        static const struct {
                const char *text, *pieces;
                int r;
        } rows[] = {
                { "", "", 0 },
                { "plain", "'plain'", 0 },
                { "${a}", "<a>", 0 },
                { "/x/${a.b-c_d+1}?y=${z}&", "'/x/'<a.b-c_d+1>'?y='<z>'&'", 0 },
                { "${a}${b}", "<a><b>", 0 },
                { "$${a}", "'${a}'", 0 },
                { "x$${a}${b}", "'x''${a}'<b>", 0 },
                { "$$${a}", "'$''${a}'", 0 },
                { "$", "'$'", 0 },
                { "$$", "'$$'", 0 },
                { "5$ {a}", "'5$ {a}'", 0 },
                { "${}", "", -EINVAL },
                { "${a", "", -EINVAL },
                { "x${a b}", "'x'", -EINVAL },
                { "${${a}}", "", -EINVAL },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                const char *rest = rows[i].text;
                TemplatePiece piece;
                STRBUF(b, 256);
                int r;

                while ((r = template_next(&rest, &piece)) > 0) {
                        strbuf_add_char(&b, piece.name ? '<' : '\'');
                        strbuf_add_n(&b, piece.text.p, piece.text.n);
                        strbuf_add_char(&b, piece.name ? '>' : '\'');
                }
                assert_int_equal(r, rows[i].r);
                assert_string_equal(b.text, rows[i].pieces);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = { cmocka_unit_test(texts_are_taken_apart) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
