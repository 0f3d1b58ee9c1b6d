/* Any bytes as a cookie, and as a template: pieces lie in what was given, and a template is read to
 * its end. */
#include <stdlib.h>

#include "cookie.h"
#include "template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool lies_in(Slice piece, const char *text, size_t n) {
        return piece.n == 0 || (piece.p >= text && piece.p + piece.n <= text + n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        char *text = malloc(size + 1);
        const char *rest = text;
        TemplatePiece piece;
        Cookie cookie;

        if (!text)
                return 0;
        if (size > 0)
                memcpy(text, data, size);
        text[size] = '\0';
        if (cookie_parse((Slice){ .p = (const char *)data, .n = size }, &cookie) >= 0 &&
            (cookie.name.n == 0 || !lies_in(cookie.name, (const char *)data, size) ||
             !lies_in(cookie.value, (const char *)data, size)))
                abort();
        for (size_t n = 0; template_next(&rest, &piece) > 0; n++)
                if (n > size || piece.text.n == 0 || !lies_in(piece.text, text, size))
                        abort();
        free(text);
        return 0;
}
