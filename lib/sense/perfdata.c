#include <errno.h>
#include <math.h>

#include "number.h"
#include "perfdata.h"
#include "strbuf.h"

static bool is_blank(char c) {
        return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_digit(char c) {
        return c >= '0' && c <= '9';
}

/* The first of its kind, or the end. */
static const char *find(const char *p, const char *end, char c) {
        const char *found = p < end ? memchr(p, c, (size_t)(end - p)) : NULL;

        return found ?: end;
}

Slice perfdata_words(const char *text, size_t n) {
        const char *end = find(text, text + n, '\n');

        end = find(text, end, '|');
        while (text < end && is_blank(*text))
                text++;
        while (end > text && is_blank(end[-1]))
                end--;
        return (Slice){ text, (size_t)(end - text) };
}

void perfdata_init(Perfdata *p, const char *text, size_t n) {
        const char *end = text + n, *line = find(text, end, '\n');

        *p = (Perfdata){ .end = line, .later_end = end };
        p->p = find(text, line, '|');
        p->p += p->p < line;
        p->later = find(line, end, '|');
        p->later += p->later < end;
}

/* The end of the label, where its '=' should be. In quotes anything may stand, a quote twice; one
 * that is never closed takes everything. */
static const char *skip_label(const char *p, const char *end) {
        if (p < end && *p == '\'') {
                for (p++; p < end; p++)
                        if (*p == '\'' && (++p == end || *p != '\''))
                                break;
                return p;
        }
        while (p < end && *p != '=' && *p != '\'' && !is_blank(*p))
                p++;
        return p;
}

static const char *skip_value(const char *p, const char *end) {
        while (p < end && !is_blank(*p))
                p++;
        return p;
}

/* How many of the n characters are a number; an 'e' without digits behind it belongs to the unit.
 */
static size_t number_length(const char *p, size_t n) {
        size_t i = n > 0 && (*p == '-' || *p == '+'), digits = 0, j;

        for (; i < n && (is_digit(p[i]) || p[i] == '.'); i++)
                digits += is_digit(p[i]);
        if (digits == 0 || i >= n || (p[i] != 'e' && p[i] != 'E'))
                return digits > 0 ? i : 0;
        j = i + 1;
        j += j < n && (p[j] == '-' || p[j] == '+');
        if (j >= n || !is_digit(p[j]))
                return i;
        while (j < n && is_digit(p[j]))
                j++;
        return j;
}

/* What one of the unit is; others, "c" and "%" among them, leave the number as it is. */
static double factor(const char *unit, size_t n) {
        static const struct {
                const char *unit;
                double factor;
        } units[] = {
                { "ms", 1e-3 },           { "us", 1e-6 },          { "\xc2\xb5s", 1e-6 },
                { "\xce\xbcs", 1e-6 },    { "ns", 1e-9 },          { "KB", 1024 },
                { "kB", 1024 },           { "MB", 1024.0 * 1024 }, { "GB", 0x1p30 },
                { "TB", 0x1p40 },         { "PB", 0x1p50 },        { "KiB", 1024 },
                { "MiB", 1024.0 * 1024 }, { "GiB", 0x1p30 },       { "TiB", 0x1p40 },
                { "PiB", 0x1p50 },
        };

        for (size_t i = 0; i < ELEMENTSOF(units); i++)
                if (strlen(units[i].unit) == n && memcmp(units[i].unit, unit, n) == 0)
                        return units[i].factor;
        return 1;
}

static bool is_unit(const char *p, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (is_digit(p[i]) || p[i] == '.' || p[i] == '-' || p[i] == '+' || p[i] == '=' ||
                    p[i] == ',')
                        return false;
        return true;
}

/* `value[unit]`, what stands behind ';' being thresholds, which are not ours to apply. */
static int parse_value(const char *p, const char *end, double *ret) {
        double value;
        size_t n;

        end = find(p, end, ';');
        if (end - p == 1 && *p == 'U') {
                *ret = NAN;
                return 0;
        }
        n = number_length(p, (size_t)(end - p));
        if (n == 0 || !is_unit(p + n, (size_t)(end - p) - n) ||
            number_parse_double(p, n, &value) < 0)
                return -EBADMSG;
        value *= factor(p + n, (size_t)(end - p) - n);
        if (!isfinite(value))
                return -EBADMSG;
        *ret = value;
        return 0;
}

static char name_char(char c) {
        bool allowed = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) ||
                       (c != '\0' && strchr("_./%-", c));

        return allowed ? c : '_';
}

/* The label without its quotes. Returns false when nothing is left of it. */
static bool make_name(const char *p, const char *end, char *ret, size_t size) {
        bool quoted = p < end && *p == '\'';
        StrBuf b;

        p += quoted;
        end -= quoted;
        strbuf_init(&b, ret, size);
        for (; p < end; p++) {
                /* of two quotes only the second */
                if (quoted && *p == '\'' && p + 1 < end)
                        p++;
                strbuf_add_char(&b, name_char(*p));
        }
        return b.length > 0;
}

int perfdata_next(Perfdata *p, PerfValue *ret) {
        const char *start, *equals, *end;
        bool has_value;

        for (;;) {
                while (p->p < p->end && is_blank(*p->p))
                        p->p++;
                if (p->p < p->end)
                        break;
                if (p->later == p->later_end)
                        return 0;
                p->p = p->later;
                p->end = p->later_end;
                p->later = p->later_end;
        }
        start = p->p;
        equals = skip_label(start, p->end);
        has_value = equals < p->end && *equals == '=';
        end = skip_value(equals, p->end);
        p->p = end;
        ret->text = (Slice){ start, (size_t)(end - start) };
        if (!has_value || parse_value(equals + 1, end, &ret->value) < 0)
                return -EBADMSG;
        return make_name(start, equals, ret->name, sizeof ret->name) ? 1 : -EBADMSG;
}
