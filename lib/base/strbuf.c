#include <math.h>

#include "strbuf.h"

void strbuf_init(StrBuf *b, char *storage, size_t size) {
        assert(size >= 1);
        *b = (StrBuf){ .text = storage, .size = size };
        storage[0] = '\0';
}

void strbuf_add_n(StrBuf *b, const char *text, size_t n) {
        size_t room = b->size - 1 - b->length;

        if (b->overflow)
                return;
        if (n > room) {
                b->overflow = true;
                n = room;
                while (n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80)
                        n--; /* never half a character */
        }
        if (n > 0)
                memcpy(b->text + b->length, text, n);
        b->length += n;
        b->text[b->length] = '\0';
}

void strbuf_add(StrBuf *b, const char *text) {
        strbuf_add_n(b, text, strlen(text));
}

void strbuf_add_char(StrBuf *b, char c) {
        strbuf_add_n(b, &c, 1);
}

/* Adds all n bytes or none of them: half a number or half an escape would read as something else.
 */
static void add_whole(StrBuf *b, const char *text, size_t n) {
        if (n > b->size - 1 - b->length)
                b->overflow = true;
        else
                strbuf_add_n(b, text, n);
}

/* Writes decimal digits, at least `width` of them, so that they end before `end`. Returns their
 * start. */
static char *digits_before(char *end, uint64_t value, unsigned width) {
        do {
                *--end = (char)('0' + value % 10);
                value /= 10;
                if (width > 0)
                        width--;
        } while (value > 0 || width > 0);
        return end;
}

void strbuf_add_u64(StrBuf *b, uint64_t value) {
        char storage[24], *end = storage + sizeof storage;
        char *start = digits_before(end, value, 1);

        add_whole(b, start, (size_t)(end - start));
}

void strbuf_add_i64(StrBuf *b, int64_t value) {
        char storage[24], *end = storage + sizeof storage;
        char *start = digits_before(end, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, 1);

        if (value < 0)
                *--start = '-';
        add_whole(b, start, (size_t)(end - start));
}

/* Rounds fraction * scale half to even, exactly: the product's rounding error decides what looks
 * like a tie. */
static uint64_t round_scaled(double fraction, double scale) {
        double product = fraction * scale, error = fma(fraction, scale, -product);
        double whole = floor(product), rest = product - whole;
        uint64_t n = (uint64_t)whole;

        if (rest > 0.5 || (rest == 0.5 && (error > 0 || (error == 0 && n % 2 == 1))))
                n++;
        return n;
}

void strbuf_add_double(StrBuf *b, double value, unsigned decimals) {
        static const uint32_t scales[] = { 1,      10,      100,      1000,      10000,
                                           100000, 1000000, 10000000, 100000000, 1000000000 };
        char storage[48], *end = storage + sizeof storage, *start = end;
        double whole = trunc(fabs(value));
        uint64_t integer, fraction;

        assert(decimals < ELEMENTSOF(scales));
        if (isnan(value))
                return add_whole(b, "NaN", 3);
        if (isinf(value))
                return add_whole(b, value > 0 ? "+Inf" : "-Inf", 4);
        if (fabs(value) >= 1e18)
                return value > 0 ? add_whole(b, ">1000000000000000000", 20) :
                                   add_whole(b, "<-1000000000000000000", 21);

        integer = (uint64_t)whole;
        fraction = round_scaled(fabs(value) - whole, scales[decimals]);
        if (decimals == 0) { /* the tie rule looks at the whole number */
                fraction = 0;
                integer = (uint64_t)rint(fabs(value));
        } else if (fraction >= scales[decimals]) {
                fraction -= scales[decimals];
                integer++;
        }
        if (decimals > 0) {
                start = digits_before(end, fraction, decimals);
                *--start = '.';
        }
        start = digits_before(start, integer, 1);
        if (value < 0 && (integer > 0 || fraction > 0))
                *--start = '-';
        add_whole(b, start, (size_t)(end - start));
}

void strbuf_add_percent(StrBuf *b, double ratio) {
        double percent = 100 * ratio, size = fabs(percent);

        if (!isfinite(percent))
                return strbuf_add_double(b, percent, 0);
        if (size == 0)
                return add_whole(b, "0%", 2);
        if (size < 0.005) /* never "0.00%" for what happened */
                return percent > 0 ? add_whole(b, "<0.01%", 6) : add_whole(b, ">-0.01%", 7);
        strbuf_add_double(b, percent, size < 0.0995 ? 2 : size < 9.95 ? 1 : 0);
        strbuf_add_char(b, '%');
}

/* Length of the valid UTF-8 sequence at p, 0 when there is none; *ret is its code point. */
static size_t utf8_decode(const unsigned char *p, size_t n, uint32_t *ret) {
        static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
        size_t length = p[0] < 0x80           ? 1 :
                        (p[0] & 0xE0) == 0xC0 ? 2 :
                        (p[0] & 0xF0) == 0xE0 ? 3 :
                        (p[0] & 0xF8) == 0xF0 ? 4 :
                                                0;
        uint32_t code;

        if (length == 0 || length > n)
                return 0;
        code = length == 1 ? p[0] : p[0] & (0x7FU >> length);
        for (size_t i = 1; i < length; i++) {
                if ((p[i] & 0xC0) != 0x80)
                        return 0;
                code = code << 6 | (p[i] & 0x3FU);
        }
        if (code < least[length] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
                return 0;
        *ret = code;
        return length;
}

/* Code points that control a terminal, break a line or turn the direction of the text around them.
 */
static bool is_control(uint32_t code) {
        return code < 0x20 || (code >= 0x7F && code < 0xA0) || code == 0x61C || code == 0x200E ||
               code == 0x200F || (code >= 0x2028 && code <= 0x202E) ||
               (code >= 0x2066 && code <= 0x2069);
}

void strbuf_add_escaped(StrBuf *b, const char *text, size_t n) {
        static const char hex[] = "0123456789abcdef";
        const unsigned char *p = (const unsigned char *)text;
        uint32_t code;

        for (size_t i = 0; i < n && !b->overflow;) {
                size_t length = utf8_decode(p + i, n - i, &code);

                if (length > 0 && !is_control(code)) {
                        add_whole(b, text + i, length);
                        i += length;
                        continue;
                }
                for (size_t end = i + MAX(length, (size_t)1); i < end; i++)
                        add_whole(b, (char[]){ '\\', 'x', hex[p[i] >> 4], hex[p[i] & 15] }, 4);
        }
}
