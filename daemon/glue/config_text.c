#include <errno.h>
#include <math.h>

#include "config_text.h"
#include "number.h"

#define NUMBER_SHOWN_MAX 40 /* characters of a number that a message repeats */

typedef struct Scan {
        const char *text;
        size_t size, at;
        unsigned line, depth;
        StrBuf *error;
} Scan;

static bool is_digit(char c) {
        return c >= '0' && c <= '9';
}

static bool is_hex_digit(char c) {
        return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_name_start(char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '*';
}

static bool is_name(char c) {
        return is_name_start(c) || is_digit(c) || c == '-' || c == '_';
}

/* The character `ahead` places on, or NUL behind the end. */
static char peek(const Scan *s, size_t ahead) {
        return s->at + ahead < s->size ? s->text[s->at + ahead] : '\0';
}

static void advance(Scan *s) {
        if (s->text[s->at] == '\n')
                s->line++;
        s->at++;
}

static int refuse(Scan *s, const char *words) {
        strbuf_add(s->error, words);
        return -EINVAL;
}

static int scan_string(Scan *s) {
        unsigned opened = s->line;

        advance(s);
        while (s->at < s->size && peek(s, 0) != '"') {
                if (peek(s, 0) != '\\') {
                        advance(s);
                        continue;
                }
                if ((peek(s, 1) == 'x' || peek(s, 1) == 'X') && peek(s, 2) == '0' &&
                    peek(s, 3) == '0')
                        return refuse(s, "a NUL in a text; remove \\x00");
                advance(s);
                if (s->at < s->size)
                        advance(s);
        }
        if (s->at >= s->size) {
                s->line = opened;
                return refuse(s, "a text is opened here and never closed; write the missing \"");
        }
        advance(s);
        return 0;
}

static int scan_comment(Scan *s) {
        unsigned opened = s->line;

        if (peek(s, 1) != '*') {
                while (s->at < s->size && peek(s, 0) != '\n')
                        advance(s);
                return 0;
        }
        s->at += 2;
        while (s->at < s->size && !(peek(s, 0) == '*' && peek(s, 1) == '/'))
                advance(s);
        if (s->at >= s->size) {
                s->line = opened;
                return refuse(s, "a comment is opened here and never closed; write the missing */");
        }
        s->at += 2;
        return 0;
}

static int refuse_number(Scan *s, const char *number, size_t n, const char *words) {
        strbuf_add(s->error, "the number ");
        strbuf_add_escaped(s->error, number, MIN(n, (size_t)NUMBER_SHOWN_MAX));
        strbuf_add(s->error, n > NUMBER_SHOWN_MAX ? "... " : " ");
        return refuse(s, words);
}

static int check_hexadecimal(Scan *s, const char *number, size_t n) {
        size_t first = 2, end = n;

        while (end > 2 && number[end - 1] == 'L')
                end--;
        while (first < end && number[first] == '0')
                first++;
        if (n == 2 || end - first > (end < n ? 15 : 7))
                return refuse_number(s, number, n,
                                     "is too large in hexadecimal; write it in decimal");
        return 0;
}

static int check_float(Scan *s, const char *number, size_t n) {
        double value;

        if (number[0] == '+') {
                number++;
                n--;
        }
        if (number_parse_double(number, n, &value) < 0)
                return refuse_number(s, number, n, "is not understood; write it like 1.5");
        if (!isfinite(value))
                return refuse_number(s, number, n, "is too large; write a smaller one");
        return 0;
}

/* libconfig keeps the low 32 bits of an integer without an L, and of one with it the low 64. */
static int check_integer(Scan *s, const char *number, size_t n) {
        size_t digits = n, skip = number[0] == '+' ? 1 : 0;
        int64_t value;
        bool wide;

        while (digits > 0 && number[digits - 1] == 'L')
                digits--;
        wide = digits < n;
        if (n - digits > 2 || number_parse_i64(number + skip, digits - skip, &value) < 0)
                return refuse_number(s, number, n,
                                     "is not a whole number of 64 bits; write a smaller one");
        if (!wide && (value > INT32_MAX || value < INT32_MIN))
                return refuse_number(
                        s, number, n,
                        "does not fit in 32 bits; write a smaller one, or an L behind it");
        return 0;
}

/* Numbers as libconfig delimits them: a sign only at the start or behind an exponent. */
static int scan_number(Scan *s) {
        const char *number = s->text + s->at;
        bool is_float = false,
             is_hexadecimal = peek(s, 0) == '0' && (peek(s, 1) == 'x' || peek(s, 1) == 'X');
        size_t n = 0;

        for (;; n++) {
                char c = peek(s, n), before = n > 0 ? number[n - 1] : '\0';

                if (is_hexadecimal ? n < 2 || is_hex_digit(c) || c == 'L' : is_digit(c) || c == 'L')
                        continue;
                if (is_hexadecimal)
                        break;
                if ((c == '+' || c == '-') && (n == 0 || before == 'e' || before == 'E'))
                        continue;
                if (c != '.' && c != 'e' && c != 'E')
                        break;
                is_float = true;
        }
        s->at += n;
        if (is_hexadecimal)
                return check_hexadecimal(s, number, n);
        return is_float ? check_float(s, number, n) : check_integer(s, number, n);
}

static int scan_bracket(Scan *s) {
        char c = peek(s, 0);

        advance(s);
        if (c == '}' || c == ')' || c == ']') {
                s->depth -= s->depth > 0 ? 1 : 0;
                return 0;
        }
        if (++s->depth > CONFIG_FILE_DEPTH_MAX)
                return refuse(s,
                              "groups and lists are nested more than 16 deep; write fewer levels");
        return 0;
}

static int scan_token(Scan *s) {
        char c = peek(s, 0);

        if (c == '"')
                return scan_string(s);
        if (c == '#' || (c == '/' && (peek(s, 1) == '/' || peek(s, 1) == '*')))
                return scan_comment(s);
        if (c == '@')
                return refuse(s, "@include is not supported; write everything into this file");
        if (strchr("{}()[]", c))
                return scan_bracket(s);
        if (is_digit(c) || c == '+' || c == '-' || c == '.')
                return scan_number(s);
        if (!is_name_start(c)) {
                advance(s);
                return 0;
        }
        while (s->at < s->size && is_name(peek(s, 0)))
                s->at++;
        return 0;
}

int config_text_check(const char *text, size_t size, unsigned *reterr_line, StrBuf *reterr) {
        Scan s = { .text = text, .size = size, .line = 1, .error = reterr };
        const char *nul = memchr(text, '\0', size);

        /* Before everything else, since a NUL would end a string or a comment for libconfig but not
         * for us. */
        if (nul) {
                for (const char *p = text; p < nul; p++)
                        s.line += *p == '\n' ? 1 : 0;
                *reterr_line = s.line;
                return refuse(&s, "a NUL byte; write the file anew as plain text");
        }
        while (s.at < size) {
                int r = scan_token(&s);

                if (r < 0) {
                        *reterr_line = s.line;
                        return r;
                }
        }
        return 0;
}
