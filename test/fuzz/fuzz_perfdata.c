/* Any output of a plugin: what is read lies inside it, names are names, and the end comes. */
#include <math.h>
#include <stdlib.h>

#include "perfdata.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *text, size_t size, const PerfValue *v, bool good) {
        if (v->text.n == 0 || v->text.p < text || v->text.p + v->text.n > text + size)
                abort();
        if (!good)
                return;
        if (!memchr(v->name, '\0', sizeof v->name) || !*v->name || isinf(v->value))
                abort();
        for (const char *p = v->name; *p; p++)
                if (*p <= ' ' || *p > '~' || strchr("=;'|\"", *p))
                        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(freep) char *text = malloc(size + 1);
        size_t n = 0;
        PerfValue v;
        Perfdata p;
        int r;

        if (!text)
                return 0;
        memcpy(text, data, size);
        Slice words = perfdata_words(text, size);
        if (words.p < text || words.p + words.n > text + size)
                abort();
        perfdata_init(&p, text, size);
        while ((r = perfdata_next(&p, &v)) != 0) {
                check(text, size, &v, r > 0);
                if (++n > size)
                        abort();
        }
        return 0;
}
