#include <errno.h>

#include "selector.h"

/* Where the parser stands in the text, and where the next NUL-terminated piece of it is kept. */
typedef struct Parser {
        const char *text;
        const char *p;
        char *store;
        const char *why; /* static text, once something is wrong */
} Parser;

static bool is_start(char c, bool metric) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (metric && c == ':');
}

static size_t name_length(const char *text, bool metric) {
        size_t n = 0;

        if (is_start(text[0], metric))
                for (n = 1; is_start(text[n], metric) || (text[n] >= '0' && text[n] <= '9'); n++)
                        ;
        return n;
}

static void skip_blanks(Parser *x) {
        x->p += strspn(x->p, " \t");
}

static bool skip_char(Parser *x, char wanted) {
        if (*x->p != wanted)
                return false;
        x->p++;
        return true;
}

/* Keeps a metric or label name. Returns NULL when there is none. */
static const char *take_name(Parser *x, bool metric, const char *why) {
        size_t n = name_length(x->p, metric);
        char *kept = x->store;

        if (n == 0) {
                x->why = why;
                return NULL;
        }
        memcpy(kept, x->p, n);
        kept[n] = '\0';
        x->store += n + 1;
        x->p += n;
        return kept;
}

/* Keeps a quoted value, unescaped. Returns NULL when it is malformed. */
static const char *take_value(Parser *x) {
        char *kept = x->store;

        if (!skip_char(x, '"')) {
                x->why = "a value in double quotes expected";
                return NULL;
        }
        for (; *x->p != '"'; x->p++) {
                char c = *x->p;

                if (c == '\0') {
                        x->why = "value without closing quote";
                        return NULL;
                }
                if (c == '\\') {
                        c = x->p[1];
                        if (c != '\\' && c != '"' && c != 'n') {
                                x->why = "unknown escape: write \\\\ for a backslash, \\\" for a "
                                         "quote, \\n for a line end";
                                return NULL;
                        }
                        c = c == 'n' ? '\n' : c;
                        x->p++;
                }
                *x->store++ = c;
        }
        x->p++;
        *x->store++ = '\0';
        return kept;
}

static bool take_kind(Parser *x, MatcherKind *ret) {
        static const struct {
                const char *sign;
                MatcherKind kind;
        } signs[] = {
                { "=~", MATCHER_REGEX },
                { "!~", MATCHER_NOT_REGEX },
                { "!=", MATCHER_NOT_EQUAL },
                { "=", MATCHER_EQUAL },
        };

        for (size_t i = 0; i < ELEMENTSOF(signs); i++)
                if (strncmp(x->p, signs[i].sign, strlen(signs[i].sign)) == 0) {
                        x->p += strlen(signs[i].sign);
                        *ret = signs[i].kind;
                        return true;
                }
        x->why = "one of = != =~ !~ expected";
        return false;
}

static bool take_matcher(Parser *x, Selector *s) {
        Matcher *m = &s->matchers[s->n_matchers];

        if (s->n_matchers == SELECTOR_MATCHERS_MAX) {
                x->why = "more than 8 matchers";
                return false;
        }
        m->label = take_name(x, false, "label name or } expected");
        if (!m->label)
                return false;
        skip_blanks(x);
        if (!take_kind(x, &m->kind))
                return false;
        skip_blanks(x);
        m->value = take_value(x);
        if (!m->value)
                return false;
        s->n_matchers++;
        skip_blanks(x);
        if (skip_char(x, ',') || *x->p == '}')
                return true;
        x->why = "comma or } expected";
        return false;
}

static bool take_selector(Parser *x, Selector *s) {
        skip_blanks(x);
        s->name = take_name(x, true, "metric name expected");
        if (!s->name)
                return false;
        skip_blanks(x);
        if (skip_char(x, '{'))
                for (skip_blanks(x); !skip_char(x, '}'); skip_blanks(x))
                        if (!take_matcher(x, s))
                                return false;
        skip_blanks(x);
        if (*x->p == '\0')
                return true;
        x->why = s->n_matchers > 0 ? "text after the selector" :
                                     "{ or the end of the selector expected";
        return false;
}

int selector_parse(const char *text, Selector *ret, size_t *reterr_at, const char **reterr_why) {
        Parser x = { .text = text, .p = text, .store = ret->text };

        *ret = (Selector){};
        if (strlen(text) >= sizeof ret->text) {
                *reterr_at = sizeof ret->text - 1;
                *reterr_why = "longer than 511 bytes";
                return -EINVAL;
        }
        /* What is kept is never longer than what was read: each piece ends where a sign stood. */
        if (take_selector(&x, ret))
                return 0;
        *reterr_at = (size_t)(x.p - text);
        *reterr_why = x.why;
        return -EINVAL;
}

static bool slice_is(Slice s, const char *text) {
        return strlen(text) == s.n && memcmp(s.p, text, s.n) == 0;
}

Slice selector_label(const ExpositionLine *line, const char *label) {
        size_t position = 0;
        Slice name, value;

        while (exposition_next_label(line->labels, &position, &name, &value) > 0)
                if (slice_is(name, label))
                        return value;
        return (Slice){ .p = "" };
}

/* Whether a raw label value means `text`. */
static bool raw_is(Slice raw, const char *text) {
        for (size_t i = 0; i < raw.n; i++, text++) {
                char c = raw.p[i];

                if (c == '\\' && i + 1 < raw.n) {
                        c = raw.p[++i];
                        if (c == 'n')
                                c = '\n';
                }
                if (c != *text)
                        return false;
        }
        return *text == '\0';
}

bool selector_matches_plain(const Selector *s, const ExpositionLine *line) {
        if (!slice_is(line->name, s->name))
                return false;
        for (size_t i = 0; i < s->n_matchers; i++) {
                const Matcher *m = &s->matchers[i];

                if (m->kind != MATCHER_EQUAL && m->kind != MATCHER_NOT_EQUAL)
                        continue;
                if (raw_is(selector_label(line, m->label), m->value) != (m->kind == MATCHER_EQUAL))
                        return false;
        }
        return true;
}

int selector_parse_label_path(const char *text, char *metric, size_t metric_size, char *label,
                              size_t label_size) {
        size_t n_metric = name_length(text, true), n_label;
        const char *second = text + n_metric + 1;

        if (n_metric == 0 || text[n_metric] != '.')
                return -EINVAL;
        n_label = name_length(second, false);
        if (n_label == 0 || second[n_label] != '\0' || n_metric >= metric_size ||
            n_label >= label_size)
                return -EINVAL;
        memcpy(metric, text, n_metric);
        metric[n_metric] = '\0';
        memcpy(label, second, n_label + 1);
        return 0;
}
