#include "pressure.h"

#include <errno.h>
#include <math.h>

#include "number.h"

/* A part of the text that is read from its front. */
typedef struct Rest {
        const char *p, *end;
} Rest;

static bool take_line(Rest *text, Rest *ret) {
        const char *newline;

        if (text->p == text->end)
                return false;
        newline = memchr(text->p, '\n', (size_t)(text->end - text->p));
        *ret = (Rest){ text->p, newline ? newline : text->end };
        text->p = newline ? newline + 1 : text->end;
        return true;
}

/* The next word between blanks, or an empty one at the end. */
static Rest take_word(Rest *line) {
        Rest word;

        while (line->p < line->end && (*line->p == ' ' || *line->p == '\t'))
                line->p++;
        word.p = line->p;
        while (line->p < line->end && *line->p != ' ' && *line->p != '\t')
                line->p++;
        word.end = line->p;
        return word;
}

static size_t length(Rest word) {
        return (size_t)(word.end - word.p);
}

static bool is(Rest word, const char *text) {
        size_t n = strlen(text);

        return length(word) == n && memcmp(word.p, text, n) == 0;
}

/* "avg10=12.34" */
static int parse_average(Rest line, double *ret) {
        static const char key[] = "avg10=";
        Rest word = take_word(&line);
        size_t n = sizeof key - 1;
        double value;

        if (length(word) <= n || memcmp(word.p, key, n) != 0 ||
            number_parse_double(word.p + n, length(word) - n, &value) < 0 || !isfinite(value) ||
            value < 0)
                return -EINVAL;
        *ret = value;
        return 0;
}

int pressure_parse_averages(const char *text, size_t n, PressureAverages *ret) {
        PressureAverages found = { NAN, NAN };
        Rest rest = { text, text + n }, line;

        while (take_line(&rest, &line)) {
                Rest word = take_word(&line);
                double *value = is(word, "some") ? &found.some :
                                is(word, "full") ? &found.full :
                                                   NULL;

                if (value && parse_average(line, value) < 0)
                        return -EINVAL;
        }
        if (isnan(found.some) && isnan(found.full))
                return -EINVAL;
        *ret = found;
        return 0;
}

int pressure_parse_number(const char *text, size_t n, uint64_t *ret) {
        Rest rest = { text, text + n }, line, word;

        if (!take_line(&rest, &line) || rest.p != rest.end)
                return -EINVAL;
        word = take_word(&line);
        if (take_word(&line).p != line.end)
                return -EINVAL;
        if (is(word, "max"))
                return -ENODATA;
        return number_parse_u64(word.p, length(word), ret) < 0 ? -EINVAL : 0;
}

int pressure_parse_keyed(const char *text, size_t n, const char *key, uint64_t *ret) {
        Rest rest = { text, text + n }, line;

        while (take_line(&rest, &line)) {
                Rest word = take_word(&line), value;

                if (length(word) > 0 && word.end[-1] == ':')
                        word.end--;
                if (!is(word, key))
                        continue;
                value = take_word(&line);
                return number_parse_u64(value.p, length(value), ret) < 0 ? -EINVAL : 0;
        }
        return -ENODATA;
}

/* "cpu user nice system idle iowait irq softirq steal guest guest_nice"; what guests use is in
 * user and nice already. */
int pressure_parse_ticks(const char *text, size_t n, PressureTicks *ret) {
        enum { IDLE = 3, IOWAIT = 4, COLUMNS_MIN = 4, COLUMNS = 8 };
        Rest rest = { text, text + n }, line, word;
        PressureTicks ticks = { 0, 0 };
        unsigned i;

        if (!take_line(&rest, &line) || !is(take_word(&line), "cpu"))
                return -EINVAL;
        for (i = 0; i < COLUMNS; i++) {
                uint64_t value;

                word = take_word(&line);
                if (length(word) == 0)
                        break;
                if (number_parse_u64(word.p, length(word), &value) < 0 ||
                    value > UINT64_MAX / COLUMNS)
                        return -EINVAL;
                ticks.all += value;
                ticks.busy += i == IDLE || i == IOWAIT ? 0 : value;
        }
        if (i < COLUMNS_MIN)
                return -EINVAL;
        *ret = ticks;
        return 0;
}
