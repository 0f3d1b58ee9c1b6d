/* Text from outside on its way to a terminal: whole, and with nothing in it that the terminal would
 * obey. */
#include <math.h>

#include "ctl.h"

/* To be freed; NULL without memory. */
static char *escape(const char *text, size_t n) {
        char *storage = malloc(4 * n + 1);
        StrBuf b;

        if (!storage)
                return NULL;
        strbuf_init(&b, storage, 4 * n + 1);
        strbuf_add_escaped(&b, text, n);
        return storage;
}

static void print_escaped(FILE *f, const char *text, size_t n, int width) {
        _cleanup_(freep) char *escaped = escape(text, n);

        fprintf(f, "%-*s", width, escaped ?: "?");
}

void print_text(const char *text, int width) {
        text = text ?: "-";
        print_escaped(stdout, text, strlen(text), width);
}

void print_number(double value) {
        /* Bytes and counts in full: up to there a double holds every whole number. */
        printf(fabs(value) < 1e15 && trunc(value) == value ? "%.0f" : "%g", value);
}

static void print_lines(FILE *f, const char *before, const char *text) {
        do {
                size_t n = strcspn(text, "\n");

                fputs(before, f);
                print_escaped(f, text, n, 0);
                fputc('\n', f);
                text += n + (text[n] == '\n');
        } while (*text != '\0');
}

void print_paragraph(const char *before, const char *text) {
        print_lines(stdout, before, text ?: "-");
}

void print_failure(const char *before, const char *text) {
        print_lines(stderr, before, text ?: "-");
}

void print_bytes(const char *before, const char *data, size_t n, size_t lines_max) {
        for (size_t lines = 0; n > 0; lines++) {
                const char *end = memchr(data, '\n', n);
                size_t length = end ? (size_t)(end - data) : n;

                if (lines == lines_max) {
                        printf("%s... and %zu bytes more\n", before, n);
                        return;
                }
                fputs(before, stdout);
                print_escaped(stdout, data, length - (length > 0 && data[length - 1] == '\r'), 0);
                fputc('\n', stdout);
                data += length + (end ? 1 : 0);
                n -= length + (end ? 1 : 0);
        }
}

void print_json(const Json *value) {
        _cleanup_(freep) char *text = json_text_pretty(value);

        if (text)
                printf("%s\n", text);
        else
                fputs("rollbackctl: out of memory\n", stderr);
}
