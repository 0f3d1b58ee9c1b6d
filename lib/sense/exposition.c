#include <errno.h>

#include "exposition.h"
#include "number.h"

/* What a byte may be part of. */
enum {
        LABEL_START = 1,  /* [a-zA-Z_] */
        LABEL_REST = 2,   /* and [0-9] */
        METRIC_START = 4, /* [a-zA-Z_:] */
        METRIC_REST = 8,  /* and [0-9] */
};

#define LETTER (LABEL_START | LABEL_REST | METRIC_START | METRIC_REST)

static const unsigned char classes[256] = {
        ['a' ... 'z'] = LETTER,
        ['A' ... 'Z'] = LETTER,
        ['_'] = LETTER,
        [':'] = METRIC_START | METRIC_REST,
        ['0' ... '9'] = LABEL_REST | METRIC_REST,
};

/* A place in a line; every read is checked against `end`. */
typedef struct Cursor {
        const char *p;
        const char *end;
} Cursor;

static void skip_blanks(Cursor *c) {
        while (c->p < c->end && (*c->p == ' ' || *c->p == '\t'))
                c->p++;
}

static bool skip_char(Cursor *c, char wanted) {
        if (c->p >= c->end || *c->p != wanted)
                return false;
        c->p++;
        return true;
}

/* A word whose first byte is of class `start` and the others of class `rest`; empty when there is
 * none. */
static Slice scan_word(Cursor *c, unsigned start, unsigned rest) {
        const char *from = c->p;

        if (c->p < c->end && (classes[(unsigned char)*c->p] & start))
                for (c->p++; c->p < c->end && (classes[(unsigned char)*c->p] & rest); c->p++)
                        ;
        return (Slice){ .p = from, .n = (size_t)(c->p - from) };
}

/* Everything up to the next blank. */
static Slice scan_token(Cursor *c) {
        const char *from = c->p;

        while (c->p < c->end && *c->p != ' ' && *c->p != '\t')
                c->p++;
        return (Slice){ .p = from, .n = (size_t)(c->p - from) };
}

/* A raw value after its opening quote, through the closing one. Returns false with a reason. */
static bool scan_value(Cursor *c, const char **reterr) {
        for (; c->p < c->end; c->p++) {
                if (*c->p == '"') {
                        c->p++;
                        return true;
                }
                if (*c->p == '\0')
                        break;
                if (*c->p != '\\')
                        continue;
                c->p++;
                if (c->p >= c->end || (*c->p != '\\' && *c->p != '"' && *c->p != 'n')) {
                        *reterr = "unknown escape in a label value";
                        return false;
                }
        }
        *reterr = "label value without closing quote";
        return false;
}

static bool is_known(const Slice names[], size_t n, Slice name) {
        for (size_t i = 0; i < n; i++)
                if (names[i].n == name.n && memcmp(names[i].p, name.p, name.n) == 0)
                        return true;
        return false;
}

/* Labels after their opening brace, through the closing one. Returns NULL, or what is wrong. */
static const char *scan_labels(Cursor *c, Slice *ret) {
        Slice names[EXPOSITION_LABELS_MAX];
        const char *from = c->p, *error;
        size_t n = 0;

        for (;;) {
                skip_blanks(c);
                if (skip_char(c, '}'))
                        break;
                if (n == EXPOSITION_LABELS_MAX)
                        return "more labels than 64";
                names[n] = scan_word(c, LABEL_START, LABEL_REST);
                if (names[n].n == 0)
                        return "label name expected";
                if (is_known(names, n, names[n]))
                        return "label name stands twice";
                n++;
                skip_blanks(c);
                if (!skip_char(c, '='))
                        return "= expected after a label name";
                skip_blanks(c);
                if (!skip_char(c, '"'))
                        return "\" expected before a label value";
                if (!scan_value(c, &error))
                        return error;
                skip_blanks(c);
                if (!skip_char(c, ',') && (c->p >= c->end || *c->p != '}'))
                        return "comma or } expected after a label value";
        }
        *ret = (Slice){ .p = from, .n = n > 0 ? (size_t)(c->p - 1 - from) : 0 };
        return NULL;
}

/* Scans a sample line, leading blanks passed. Returns NULL, or what is wrong. */
static const char *scan_line(Cursor c, ExpositionLine *ret) {
        ExpositionLine line = { .name = scan_word(&c, METRIC_START, METRIC_REST) };
        const char *error;
        Slice token;

        if (line.name.n == 0)
                return "metric name expected";
        line.labels = (Slice){ .p = c.p };
        token = (Slice){ .p = c.p };
        skip_blanks(&c);
        if (skip_char(&c, '{')) {
                error = scan_labels(&c, &line.labels);
                if (error)
                        return error;
                skip_blanks(&c);
        } else if (c.p == token.p)
                return "blank or { expected after the metric name";
        token = scan_token(&c);
        if (token.n == 0)
                return "value missing";
        if (number_parse_double(token.p, token.n, &line.value) < 0)
                return "value is not a number";
        skip_blanks(&c);
        token = scan_token(&c);
        line.has_timestamp = token.n > 0;
        if (line.has_timestamp && number_parse_i64(token.p, token.n, &line.timestamp_ms) < 0)
                return "timestamp is not a whole number of milliseconds";
        skip_blanks(&c);
        if (c.p < c.end)
                return "text after the timestamp";
        *ret = line;
        return NULL;
}

int exposition_init(Exposition *x, const char *text, size_t size) {
        *x = (Exposition){ .text = text, .size = size };
        if (size == 0)
                x->error = "the page is empty";
        else if (text[size - 1] != '\n')
                x->error = "the last line has no end: the page was cut short";
        return x->error ? -EBADMSG : 0;
}

/* Takes the next line, without its end, off the page. Returns false when it is too long. */
static bool take_line(Exposition *x, Cursor *ret) {
        const char *from = x->text + x->position, *end = memchr(from, '\n', x->size - x->position);

        assert(end);
        x->position = (size_t)(end + 1 - x->text);
        x->line++;
        *ret = (Cursor){ .p = from, .end = end };
        return end - from <= EXPOSITION_LINE_MAX;
}

int exposition_next(Exposition *x, ExpositionLine *ret) {
        Cursor c;

        while (x->position < x->size) {
                if (!take_line(x, &c)) {
                        x->error = "line longer than 64 KiB";
                        return -EBADMSG;
                }
                skip_blanks(&c);
                if (c.p == c.end || *c.p == '#')
                        continue;
                x->error = scan_line(c, ret);
                return x->error ? -EBADMSG : 1;
        }
        return 0;
}

int exposition_next_label(Slice labels, size_t *position, Slice *ret_name, Slice *ret_raw_value) {
        Cursor c = { .p = labels.p + *position, .end = labels.p + labels.n };
        const char *error, *from;
        Slice name;

        for (skip_blanks(&c); skip_char(&c, ','); skip_blanks(&c))
                ;
        name = scan_word(&c, LABEL_START, LABEL_REST);
        skip_blanks(&c);
        if (name.n == 0 || !skip_char(&c, '='))
                return 0;
        skip_blanks(&c);
        from = c.p + 1;
        if (!skip_char(&c, '"') || !scan_value(&c, &error))
                return 0;
        *position = (size_t)(c.p - labels.p);
        *ret_name = name;
        *ret_raw_value = (Slice){ .p = from, .n = (size_t)(c.p - 1 - from) };
        return 1;
}

ssize_t exposition_unescape(Slice raw, char *storage, size_t size) {
        size_t length = 0;

        for (size_t i = 0; i < raw.n; i++) {
                char c = raw.p[i];

                if (length == size)
                        return -ENOSPC;
                if (c == '\\' && i + 1 < raw.n) {
                        c = raw.p[++i];
                        if (c == 'n')
                                c = '\n';
                }
                storage[length++] = c;
        }
        return (ssize_t)length;
}
