#include <math.h>

#include "config.h"
#include "config_value.h"

void config_add_quoted(StrBuf *b, const char *text) {
        static const char digits[] = "0123456789abcdef";

        strbuf_add_char(b, '"');
        for (; *text; text++) {
                unsigned char c = (unsigned char)*text;

                if (c == '"' || c == '\\')
                        strbuf_add_char(b, '\\');
                if (c >= ' ' && c != 0x7f) {
                        strbuf_add_char(b, *text);
                        continue;
                }
                strbuf_add(b, "\\x");
                strbuf_add_char(b, digits[c >> 4]);
                strbuf_add_char(b, digits[c & 15]);
        }
        strbuf_add_char(b, '"');
}

void config_add_number(StrBuf *b, double value) {
        STRBUF(digits, 64);

        strbuf_add_double(&digits, value, 9);
        while (digits.length > 0 && digits.text[digits.length - 1] == '0')
                digits.text[--digits.length] = '\0';
        if (digits.length > 0 && digits.text[digits.length - 1] == '.')
                digits.text[--digits.length] = '\0';
        strbuf_add(b, digits.text);
}

static void add_bytes(StrBuf *b, uint64_t value) {
        static const char *const units[] = { "B", "KiB", "MiB", "GiB" };
        size_t unit = 0;

        for (; value > 0 && value % 1024 == 0 && unit + 1 < ELEMENTSOF(units); unit++)
                value /= 1024;
        strbuf_add_u64(b, value);
        strbuf_add(b, units[unit]);
}

static uint64_t load_integer(const ConfigKey *k, const char *slot) {
        uint64_t wide;
        uint32_t narrow;

        if (k->size == 1)
                return *(const uint8_t *)slot;
        if (k->size == sizeof narrow) {
                memcpy(&narrow, slot, sizeof narrow);
                return narrow;
        }
        memcpy(&wide, slot, sizeof wide);
        return wide;
}

static double load_number(const char *slot) {
        double value;

        memcpy(&value, slot, sizeof value);
        return value;
}

/* Zero where the least is more: it was never given a value. */
static bool is_unset(const ConfigKey *k, uint64_t value) {
        return value == 0 && k->minimum && *k->minimum != '0';
}

bool config_value_absent(const ConfigKey *k, const void *base) {
        const char *slot = (const char *)base + k->offset;
        const char *text;
        usec_t duration;

        switch (config_value_form(k)) {
        case FORM_TEXT:
                memcpy(&text, slot, sizeof text);
                return !text;
        case FORM_NUMBER:
        case FORM_LIMIT: /* the value comes first */
                return isnan(load_number(slot));
        case FORM_LIST:
                return *(const size_t *)((const char *)base + k->offset_n) == 0;
        case FORM_DURATION:
                memcpy(&duration, slot, sizeof duration);
                return is_unset(k, duration);
        case FORM_INTEGER:
                return is_unset(k, load_integer(k, slot));
        case FORM_NONE:
        case FORM_BOOL:
                break;
        }
        return false;
}

static void add_list(const ConfigKey *k, const void *base, StrBuf *b) {
        size_t n = *(const size_t *)((const char *)base + k->offset_n);
        const void *array;

        memcpy(&array, (const char *)base + k->offset, sizeof array);
        strbuf_add(b, "[ ");
        for (size_t i = 0; i < n; i++) {
                const StatusRange *range = (const StatusRange *)array + i;

                strbuf_add(b, i > 0 ? ", " : "");
                if (k->kind == KIND_TARGETS || k->kind == KIND_UNITS) {
                        config_add_quoted(b, ((const TargetConfig *)array)[i].url);
                        continue;
                }
                if (k->kind == KIND_TEXTS) {
                        config_add_quoted(b, ((char *const *)array)[i]);
                        continue;
                }
                strbuf_add_char(b, '"');
                strbuf_add_u64(b, range->low);
                strbuf_add(b, range->high > range->low ? "-" : "");
                if (range->high > range->low)
                        strbuf_add_u64(b, range->high);
                strbuf_add_char(b, '"');
        }
        strbuf_add(b, " ]");
}

static void add_integer(const ConfigKey *k, uint64_t value, StrBuf *b) {
        if (k->kind == KIND_ENUM) {
                config_add_quoted(b, k->words->word((unsigned)value));
        } else if (k->kind == KIND_CONNECTION) {
                strbuf_add(b, value > 0 ? "\"reuse:" : "\"fresh");
                if (value > 0)
                        strbuf_add_u64(b, value);
                strbuf_add_char(b, '"');
        } else if (k->kind == KIND_BYTES) {
                strbuf_add_char(b, '"');
                add_bytes(b, value);
                strbuf_add_char(b, '"');
        } else {
                strbuf_add_u64(b, value);
                /* libconfig keeps 32 bits of a number without it. */
                strbuf_add(b, value > INT32_MAX ? "L" : "");
        }
}

static void add_share(double value, const char *unit, StrBuf *b) {
        strbuf_add_char(b, '"');
        config_add_number(b, value);
        strbuf_add(b, unit);
        strbuf_add_char(b, '"');
}

void config_value_add(const ConfigKey *k, const void *base, StrBuf *b) {
        const char *slot = (const char *)base + k->offset;
        const char *text;
        usec_t duration;
        Limit limit;

        switch (config_value_form(k)) {
        case FORM_TEXT:
                memcpy(&text, slot, sizeof text);
                config_add_quoted(b, text);
                return;
        case FORM_DURATION:
                memcpy(&duration, slot, sizeof duration);
                strbuf_add_char(b, '"');
                strbuf_add_usec(b, duration);
                strbuf_add_char(b, '"');
                return;
        case FORM_INTEGER:
                add_integer(k, load_integer(k, slot), b);
                return;
        case FORM_NUMBER:
                if (k->kind == KIND_PERCENT)
                        add_share(load_number(slot) * 100, "%", b);
                else
                        config_add_number(b, load_number(slot));
                return;
        case FORM_BOOL:
                strbuf_add(b, *(const bool *)slot ? "true" : "false");
                return;
        case FORM_LIMIT:
                memcpy(&limit, slot, sizeof limit);
                add_share(limit.per_second ? limit.value : limit.value * 100,
                          limit.per_second ? "/s" : "%", b);
                return;
        case FORM_LIST:
                add_list(k, base, b);
                return;
        case FORM_NONE:
                break;
        }
}
