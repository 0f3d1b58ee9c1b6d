#include <errno.h>
#include <math.h>

#include "number.h"

typedef unsigned __int128 uint128;

#define SIGNIFICANT_DIGITS_MAX 19      /* that many always fit 64 bits */
#define POWER_STEP 27                  /* 5^27 is the greatest power of five below 2^64 */
#define EXACT_INTEGER_MAX (1ULL << 53) /* up to here every integer is a double */
#define EXACT_POWER_MAX 22             /* 10^22 is the greatest power of ten that is a double */
#define EXPONENT_MAX 1000000           /* far past every double; larger ones are clamped here */

static bool is_digit(char c) {
        return c >= '0' && c <= '9';
}

int number_parse_u64(const char *text, size_t n, uint64_t *ret) {
        uint64_t value = 0;
        bool too_large = false;

        if (n == 0)
                return -EINVAL;
        for (size_t i = 0; i < n; i++) {
                if (!is_digit(text[i]))
                        return -EINVAL;
                too_large |= __builtin_mul_overflow(value, 10, &value);
                too_large |= __builtin_add_overflow(value, (uint64_t)(text[i] - '0'), &value);
        }
        if (too_large)
                return -ERANGE;
        *ret = value;
        return 0;
}

int number_parse_i64(const char *text, size_t n, int64_t *ret) {
        bool negative = n > 0 && text[0] == '-';
        uint64_t size;
        int r;

        r = number_parse_u64(text + negative, n - negative, &size);
        if (r < 0)
                return r;
        if (size > (uint64_t)INT64_MAX + negative)
                return -ERANGE;
        *ret = negative ? (int64_t)(0 - size) : (int64_t)size;
        return 0;
}

/* A decimal number before it becomes a double: digits * 10^exponent. */
typedef struct Decimal {
        uint64_t digits;
        int exponent;
} Decimal;

/* Reads "12", "1.5", ".5", "5." from the front. Returns the bytes read, 0 when there is no digit.
 */
static size_t decimal_scan(const char *text, size_t n, Decimal *ret) {
        size_t i, kept = 0, read = 0;
        int64_t exponent = 0;
        bool point = false;
        uint64_t digits = 0;

        for (i = 0; i < n && (is_digit(text[i]) || (text[i] == '.' && !point)); i++) {
                if (text[i] == '.') {
                        point = true;
                        continue;
                }
                read++;
                if (kept < SIGNIFICANT_DIGITS_MAX) {
                        digits = digits * 10 + (uint64_t)(text[i] - '0');
                        kept += digits > 0;
                        exponent -= point;
                } else
                        exponent += !point;
        }
        if (read == 0)
                return 0;
        *ret = (Decimal){ .digits = digits,
                          .exponent = (int)MAX(MIN(exponent, EXPONENT_MAX), -EXPONENT_MAX) };
        return i;
}

/* Reads "e-5" from the front into the exponent. Returns the bytes read, 0 when it is not there
 * whole. */
static size_t exponent_scan(const char *text, size_t n, Decimal *d) {
        size_t i = 1, start;
        int exponent = 0;
        bool negative = false;

        if (n < 2 || (text[0] != 'e' && text[0] != 'E'))
                return 0;
        if (text[1] == '+' || text[1] == '-')
                negative = text[i++] == '-';
        for (start = i; i < n && is_digit(text[i]); i++)
                exponent = MIN(exponent * 10 + (text[i] - '0'), EXPONENT_MAX);
        if (i == start)
                return 0;
        d->exponent += negative ? -exponent : exponent;
        return i;
}

/* m * 2^e with the top bit of m set, rounded half to even to the nearest double. */
static double round_to_double(uint128 m, int e) {
        int top = e + 127, keep = top >= -1022 ? 53 : 53 - (-1022 - top);
        uint128 rest, half;
        uint64_t kept;

        if (keep < 0)
                return 0;
        kept = keep == 0 ? 0 : (uint64_t)(m >> (128 - keep));
        half = (uint128)1 << (127 - keep);
        rest = m & (half | (half - 1));
        if (rest > half || (rest == half && kept % 2 == 1))
                kept++;
        return ldexp((double)kept, e + 128 - keep);
}

static int leading_zeros(uint128 m) {
        uint64_t high = (uint64_t)(m >> 64);

        return high > 0 ? __builtin_clzll(high) : 64 + __builtin_clzll((uint64_t)m);
}

static const double powers[] = {
        1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
        1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
};

/* Multiplies or divides by five step by step in 128 bits; a single step is exact but for a sticky
 * last bit, each further one costs less than 2^-62 of the value. The powers of two go into the
 * exponent. */
static double decimal_to_double(Decimal d) {
        int e10 = d.exponent, e = d.exponent;
        uint128 m = d.digits;

        /* One operation on two exact doubles rounds once. */
        if (d.digits <= EXACT_INTEGER_MAX && e10 >= -EXACT_POWER_MAX && e10 <= EXACT_POWER_MAX)
                return e10 < 0 ? (double)d.digits / powers[-e10] : (double)d.digits * powers[e10];
        if (m == 0 || e10 < -400)
                return 0;
        if (e10 > 400)
                return (double)INFINITY;
        for (bool first = true; first || e10 != 0; first = false) {
                int step = MIN(e10 < 0 ? -e10 : e10, POWER_STEP), shift = leading_zeros(m);
                uint64_t power = 1;

                for (int i = 0; i < step; i++)
                        power *= 5;
                m <<= shift;
                e -= shift;
                if (e10 > 0) {
                        m = (m >> 64) * power;
                        e += 64;
                } else if (e10 < 0)
                        m = m / power | (m % power != 0);
                e10 += e10 > 0 ? -step : step;
                shift = leading_zeros(m);
                m <<= shift;
                e -= shift;
        }
        return round_to_double(m, e);
}

static bool is_word(const char *text, size_t n, const char *lower) {
        size_t i;

        for (i = 0; i < n && lower[i] != '\0'; i++)
                if ((text[i] | 0x20) != lower[i])
                        return false;
        return i == n && lower[i] == '\0';
}

int number_parse_double(const char *text, size_t n, double *ret) {
        size_t sign = n > 0 && (text[0] == '-' || text[0] == '+'), used;
        const char *body = text + sign;
        size_t size = n - sign;
        double value;
        Decimal d;

        used = decimal_scan(body, size, &d);
        if (used > 0) {
                used += exponent_scan(body + used, size - used, &d);
                if (used != size)
                        return -EINVAL;
                value = decimal_to_double(d);
        } else if (is_word(body, size, "inf") || is_word(body, size, "infinity"))
                value = (double)INFINITY;
        else if (sign == 0 && is_word(body, size, "nan"))
                value = (double)NAN;
        else
                return -EINVAL;
        *ret = sign > 0 && text[0] == '-' ? -value : value;
        return 0;
}

int number_parse_percent(const char *text, double *ret) {
        size_t n = strlen(text), used;
        double value;
        Decimal d;

        used = decimal_scan(text, n, &d);
        if (used == 0 || text[0] == '.' || text[used - 1] == '.' || used + 1 != n ||
            text[used] != '%')
                return -EINVAL;
        d.exponent -= 2;
        value = decimal_to_double(d);
        if (value > 1)
                return -ERANGE;
        *ret = value;
        return 0;
}

int number_parse_bytes(const char *text, uint64_t *ret) {
        static const struct {
                const char *name;
                uint64_t bytes;
        } units[] = {
                { "B", 1 },
                { "KiB", 1024 },
                { "MiB", 1024 * 1024 },
                { "GiB", 1024 * 1024 * 1024 },
        };
        size_t digits = strspn(text, "0123456789");
        uint64_t count;
        int r;

        for (size_t i = 0; i < ELEMENTSOF(units); i++) {
                if (!streq(text + digits, units[i].name))
                        continue;
                r = number_parse_u64(text, digits, &count);
                if (r < 0)
                        return r;
                if (__builtin_mul_overflow(count, units[i].bytes, &count))
                        return -ERANGE;
                *ret = count;
                return 0;
        }
        return -EINVAL;
}
