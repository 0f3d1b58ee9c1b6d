#include <errno.h>

#include "number.h"
#include "usec.h"

/* Longest first: the order in which a text names them. */
static const struct {
        const char *name;
        usec_t length;
        const char *words;
} units[] = {
        { "d", USEC_PER_DAY, " d" },      { "h", USEC_PER_HOUR, " h" },
        { "m", USEC_PER_MINUTE, " min" }, { "s", USEC_PER_SEC, " s" },
        { "ms", USEC_PER_MSEC, " ms" },   { "us", 1, " us" },
};

usec_t usec_jitter(usec_t span, uint64_t *seed) {
        uint64_t z = *seed += 0x9E3779B97F4A7C15;

        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
        z = (z ^ z >> 27) * 0x94D049BB133111EB;
        z ^= z >> 31;
        return (usec_t)((unsigned __int128)z * span >> 64);
}

/* Index of the unit that the first n bytes of text spell, or ELEMENTSOF(units). */
static size_t unit_find(const char *text, size_t n) {
        size_t i;

        for (i = 0; i < ELEMENTSOF(units); i++)
                if (strlen(units[i].name) == n && strncmp(text, units[i].name, n) == 0)
                        break;
        return i;
}

int usec_parse(const char *text, usec_t *ret) {
        static const char digits[] = "0123456789";
        size_t next = 0; /* the longest unit that may still come */
        bool too_long = false;
        usec_t sum = 0;

        if (*text == '\0')
                return -EINVAL;
        while (*text != '\0') {
                size_t n = strspn(text, digits), letters = strcspn(text + n, digits);
                size_t unit = unit_find(text + n, letters);
                uint64_t count = 0;
                int r;

                if (unit >= ELEMENTSOF(units) || unit < next)
                        return -EINVAL;
                r = number_parse_u64(text, n, &count);
                if (r == -EINVAL)
                        return r;
                too_long |= r < 0 || __builtin_mul_overflow(count, units[unit].length, &count);
                too_long |= __builtin_add_overflow(sum, count, &sum);
                next = unit + 1;
                text += n + letters;
        }
        if (too_long || sum == USEC_INFINITY)
                return -ERANGE;
        *ret = sum;
        return 0;
}

void strbuf_add_usec(StrBuf *b, usec_t t) {
        if (t == USEC_INFINITY)
                return strbuf_add(b, "infinity");
        if (t == 0)
                return strbuf_add(b, "0s");
        for (size_t i = 0; i < ELEMENTSOF(units); i++) {
                if (t < units[i].length)
                        continue;
                strbuf_add_u64(b, t / units[i].length);
                strbuf_add(b, units[i].name);
                t %= units[i].length;
        }
}

void strbuf_add_usec_words(StrBuf *b, usec_t t) {
        size_t i = 0;
        usec_t count, rest;

        if (t == USEC_INFINITY)
                return strbuf_add(b, "forever");
        if (t == 0)
                return strbuf_add(b, "0 s");
        while (t < units[i].length)
                i++;
        count = t / units[i].length;
        rest = t % units[i].length;
        strbuf_add_u64(b, count);
        if (units[i].length == USEC_PER_SEC && count < 10 && rest >= 100 * USEC_PER_MSEC) {
                strbuf_add_char(b, '.');
                strbuf_add_u64(b, rest / (100 * USEC_PER_MSEC));
        }
        strbuf_add(b, units[i].words);
        if (units[i].length > USEC_PER_SEC && rest >= units[i + 1].length) {
                strbuf_add_char(b, ' ');
                strbuf_add_u64(b, rest / units[i + 1].length);
                strbuf_add(b, units[i + 1].words);
        }
}
