#include "sql_lexer.h"

#include <errno.h>

#include "sql_refusal.h"

#define SHOWN_MAX 64 /* bytes of an author's name in a message */

typedef struct ParameterRow {
        const char *name;
        const char *cast;
} ParameterRow;

static const ParameterRow parameter_rows[_SQL_PARAMETER_MAX] = {
        [SQL_SERVICE] = { "service", "::text" },
        [SQL_FROM] = { "from", "::text" },
        [SQL_TO] = { "to", "::text" },
        [SQL_FROM_EPOCH] = { "from_epoch", "::bigint" },
        [SQL_TO_EPOCH] = { "to_epoch", "::bigint" },
        [SQL_RELEASED_AT] = { "released_at", "::timestamptz" },
        [SQL_OPERATION] = { "operation", "::uuid" },
};

typedef struct Lexer {
        SqlForm form;
        const char *text;
        size_t n, at;
        StrBuf *out;
        SqlParameter *parameters;
        size_t n_parameters;
        unsigned brackets;  /* open [ */
        size_t parentheses; /* open ( */
        size_t open_at;     /* the outermost of them */
        char before;        /* last byte that is neither blank nor comment; 0 at the start */
        bool ended;         /* a ';' was seen */
        bool anything;      /* a byte other than blanks, comments and ';' was seen */
        size_t first_at;    /* the first of them */
        size_t *reterr_at;
        StrBuf *reterr;
} Lexer;

const char *sql_parameter_to_string(SqlParameter p) {
        return p < _SQL_PARAMETER_MAX ? parameter_rows[p].name : NULL;
}

const char *sql_parameter_cast(SqlParameter p) {
        return p < _SQL_PARAMETER_MAX ? parameter_rows[p].cast : NULL;
}

static bool is_blank(char c) {
        return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

static bool is_digit(char c) {
        return c >= '0' && c <= '9';
}

static bool is_name_start(char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80);
}

static bool is_name(char c) {
        return is_name_start(c) || is_digit(c) || c == '$';
}

/* The byte `ahead` of the present one, NUL behind the end. */
static char peek(const Lexer *l, size_t ahead) {
        return l->at + ahead < l->n ? l->text[l->at + ahead] : '\0';
}

static void copy(Lexer *l, size_t n) {
        strbuf_add_n(l->out, l->text + l->at, n);
        l->at += n;
}

static int fail(Lexer *l, size_t at, const char *words) {
        strbuf_add(l->reterr, words);
        *l->reterr_at = at;
        return -EINVAL;
}

static void lex_line_comment(Lexer *l) {
        size_t n = 0;

        while (l->at + n < l->n && peek(l, n) != '\n' && peek(l, n) != '\r')
                n++;
        copy(l, n);
}

static int lex_block_comment(Lexer *l) {
        size_t start = l->at, depth = 0;

        do {
                if (l->at >= l->n)
                        return fail(l, start, "a comment is not closed; write */ at its end");
                if (peek(l, 0) == '/' && peek(l, 1) == '*') {
                        depth++;
                        copy(l, 2);
                } else if (peek(l, 0) == '*' && peek(l, 1) == '/') {
                        depth--;
                        copy(l, 2);
                } else
                        copy(l, 1);
        } while (depth > 0);
        return 0;
}

/* A string goes on in the same mode behind blanks and -- comments with a line break among them: 'a'
 * <line break> 'b'. Returns the distance to the next quote, or 0. */
static size_t string_goes_on(const Lexer *l) {
        size_t n = 0;
        bool line_break = false;

        for (;;) {
                char c = peek(l, n);
                if (is_blank(c)) {
                        line_break |= c == '\n' || c == '\r';
                        n++;
                } else if (c == '-' && peek(l, n + 1) == '-') {
                        while (l->at + n < l->n && peek(l, n) != '\n' && peek(l, n) != '\r')
                                n++;
                } else
                        return line_break && c == '\'' ? n : 0;
        }
}

/* From the opening quote to behind the closing one. `escapes`: a backslash takes the next byte with
 * it. */
static int lex_quoted(Lexer *l, char quote, bool escapes) {
        size_t start = l->at;

        copy(l, 1);
        for (;;) {
                char c = peek(l, 0);
                if (l->at >= l->n)
                        return fail(
                                l, start,
                                quote == '"' ?
                                        "a quoted identifier is not closed; write \" at its end" :
                                        "a string is not closed; write ' at its end");
                if (escapes && c == '\\' && l->at + 1 < l->n)
                        copy(l, 2);
                else if (c == quote && peek(l, 1) == quote)
                        copy(l, 2);
                else if (c == quote) {
                        size_t gap;
                        copy(l, 1);
                        gap = quote == '\'' ? string_goes_on(l) : 0;
                        if (gap == 0)
                                break;
                        copy(l, gap + 1);
                } else
                        copy(l, 1);
        }
        l->before = quote;
        return 0;
}

/* $tag$ ... $tag$, or a refused $n, or a lone $. */
static int lex_dollar(Lexer *l) {
        size_t start = l->at, tag = 1;

        if (is_digit(peek(l, 1)))
                return fail(l, start,
                            "$n cannot be written here; write a parameter by name, such as :from");
        if (is_name_start(peek(l, 1)))
                while (is_name(peek(l, tag)) && peek(l, tag) != '$')
                        tag++;
        if (peek(l, tag) != '$') {
                copy(l, 1);
                l->before = '$';
                return 0;
        }
        tag++;
        copy(l, tag);
        while (l->at + tag <= l->n) {
                if (memcmp(l->text + l->at, l->text + start, tag) == 0) {
                        copy(l, tag);
                        l->before = '$';
                        return 0;
                }
                copy(l, 1);
        }
        return fail(l, start, "a dollar-quoted string is not closed; repeat its tag at its end");
}

static void lex_name(Lexer *l) {
        size_t n = 1;

        while (is_name(peek(l, n)))
                n++;
        l->before = l->text[l->at + n - 1];
        copy(l, n);
}

static int find_parameter(const char *name, size_t n) {
        for (int p = 0; p < _SQL_PARAMETER_MAX; p++)
                if (strlen(parameter_rows[p].name) == n &&
                    memcmp(parameter_rows[p].name, name, n) == 0)
                        return p;
        return -EINVAL;
}

static int fail_unknown_parameter(Lexer *l, size_t n) {
        strbuf_add(l->reterr, "unknown parameter ");
        strbuf_add_escaped(l->reterr, l->text + l->at, n > SHOWN_MAX ? SHOWN_MAX : n);
        strbuf_add(l->reterr, n > SHOWN_MAX ? "...; write one of" : "; write one of");
        for (size_t i = 0; i < _SQL_PARAMETER_MAX; i++) {
                strbuf_add(l->reterr, i > 0 ? ", :" : " :");
                strbuf_add(l->reterr, parameter_rows[i].name);
        }
        *l->reterr_at = l->at;
        return -EINVAL;
}

/* Inside brackets a ':' behind an operand parts the bounds of a slice. */
static bool is_slice(const Lexer *l, bool known) {
        char c = l->before;

        if (l->brackets == 0)
                return false;
        if (is_name(c) || c == ')' || c == ']' || c == '\'' || c == '"')
                return true;
        return c == '[' && !known;
}

static int lex_colon(Lexer *l) {
        size_t n = 1;
        int p;

        if (peek(l, 1) == ':' || peek(l, 1) == '=') {
                l->before = peek(l, 1);
                copy(l, 2);
                return 0;
        }
        if (is_name_start(peek(l, 1)))
                while (is_name(peek(l, n)))
                        n++;
        p = find_parameter(l->text + l->at + 1, n - 1);
        if (n == 1 || is_slice(l, p >= 0)) {
                copy(l, 1);
                l->before = ':';
                return 0;
        }
        if (p < 0)
                return fail_unknown_parameter(l, n);
        if (l->n_parameters >= SQL_PARAMETERS_MAX)
                return fail(l, l->at,
                            "more than 64 parameters; write each value once, in a WITH query");
        l->parameters[l->n_parameters++] = (SqlParameter)p;
        strbuf_add_char(l->out, '$');
        strbuf_add_u64(l->out, l->n_parameters);
        strbuf_add(l->out, parameter_rows[p].cast);
        l->at += n;
        l->before = 'a';
        return 0;
}

static int lex_other(Lexer *l) {
        char c = peek(l, 0);

        if (c == '(' && l->parentheses++ == 0)
                l->open_at = l->at;
        if (c == ')' && l->parentheses-- == 0)
                return fail(l, l->at, "a parenthesis is closed that was not opened; remove it");
        if (c == '[')
                l->brackets++;
        else if (c == ']' && l->brackets > 0)
                l->brackets--;
        l->before = c;
        copy(l, 1);
        return 0;
}

static int lex_token(Lexer *l) {
        char c = peek(l, 0);

        if (c == '\'')
                return lex_quoted(l, c, false);
        if (c == '"')
                return lex_quoted(l, c, false);
        if ((c == 'e' || c == 'E') && peek(l, 1) == '\'') {
                copy(l, 1);
                return lex_quoted(l, '\'', true);
        }
        if (c == '$')
                return lex_dollar(l);
        if (c == ':')
                return lex_colon(l);
        if (!is_name_start(c))
                return lex_other(l);
        lex_name(l);
        return 0;
}

/* One token, comment or run of blanks. */
static int lex_next(Lexer *l) {
        char c = peek(l, 0);

        if (is_blank(c)) {
                copy(l, 1);
                return 0;
        }
        if (c == '-' && peek(l, 1) == '-') {
                lex_line_comment(l);
                return 0;
        }
        if (c == '/' && peek(l, 1) == '*')
                return lex_block_comment(l);
        if (l->ended)
                return fail(l, l->at,
                            "more than one statement; write each one as a step of its own");
        if (c == ';' && l->form == SQL_CONDITION)
                return fail(l, l->at, "a condition is not a statement; remove the ;");
        if (c == ';') {
                l->ended = true;
                copy(l, 1);
                return 0;
        }
        if (!l->anything)
                l->first_at = l->at;
        l->anything = true;
        return lex_token(l);
}

/* What can be said only of the whole. */
static int check_whole(Lexer *l) {
        const char *first = l->text + l->first_at, *words;
        size_t n = 0;

        if (!l->anything)
                return fail(l, 0,
                            l->form == SQL_STATEMENT ?
                                    "there is no statement; write one, or remove the step" :
                                    "there is no condition; write true for every row");
        if (l->parentheses > 0)
                return fail(l, l->open_at, "a parenthesis is not closed; write ) at its end");
        while (l->first_at + n < l->n && is_name(first[n]))
                n++;
        words = l->form == SQL_STATEMENT ? sql_refusal(first, n) : NULL;
        if (words) {
                strbuf_add_n(l->reterr, first, n);
                strbuf_add_char(l->reterr, ' ');
                return fail(l, l->first_at, words);
        }
        return 0;
}

int sql_lex_parameters(SqlForm form, const char *text, StrBuf *b,
                       SqlParameter ret_parameters[static SQL_PARAMETERS_MAX], size_t *ret_n,
                       size_t *reterr_at, StrBuf *reterr) {
        SqlParameter parameters[SQL_PARAMETERS_MAX];
        Lexer l = {
                .form = form,
                .text = text,
                .n = strlen(text),
                .out = b,
                .parameters = parameters,
                .reterr_at = reterr_at,
                .reterr = reterr,
        };
        int r;

        if (l.n > SQL_STATEMENT_MAX)
                return fail(&l, SQL_STATEMENT_MAX,
                            "a statement has at most 65536 bytes; call a function instead");
        while (l.at < l.n) {
                r = lex_next(&l);
                if (r < 0)
                        return r;
        }
        r = check_whole(&l);
        if (r < 0)
                return r;
        if (b->overflow)
                return fail(
                        &l, 0,
                        "the statement with its parameters is too long; call a function instead");
        memcpy(ret_parameters, parameters, l.n_parameters * sizeof parameters[0]);
        *ret_n = l.n_parameters;
        return 0;
}

int sql_check(SqlForm form, const char *text, StrBuf *reterr) {
        _cleanup_(freep) char *storage = malloc(SQL_LEXED_SIZE);
        SqlParameter parameters[SQL_PARAMETERS_MAX];
        STRBUF(words, 512);
        size_t n, at;
        StrBuf lexed;
        int r;

        if (!storage) {
                strbuf_add(reterr, "out of memory");
                return -ENOMEM;
        }
        strbuf_init(&lexed, storage, SQL_LEXED_SIZE);
        r = sql_lex_parameters(form, text, &lexed, parameters, &n, &at, &words);
        if (r == 0)
                return 0;
        if (at > 0) {
                strbuf_add(reterr, "byte ");
                strbuf_add_u64(reterr, at + 1);
                strbuf_add(reterr, ": ");
        }
        strbuf_add(reterr, words.text);
        return r;
}
