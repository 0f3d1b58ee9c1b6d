/* sql_lexer.h: `:name` parameters in a policy's SQL become $1, $2, ... Each occurrence gets its own
 * number. Strings ('' and E''), quoted identifiers, ::casts, array slices, dollar quotes and
 * comments (nested ones too) stay what they are. Knows nothing of what the names mean beyond the
 * list that it is given. */
#pragma once

#include "strbuf.h"

#define SQL_PARAMETERS_MAX 64
#define SQL_STATEMENT_MAX (64 * 1024)
/* Room for every statement in its translated form. */
#define SQL_LEXED_SIZE (SQL_STATEMENT_MAX + 16 * SQL_PARAMETERS_MAX + 1)

typedef enum SqlParameter {
        SQL_SERVICE,
        SQL_FROM,
        SQL_TO,
        SQL_FROM_EPOCH,
        SQL_TO_EPOCH,
        SQL_RELEASED_AT,
        SQL_OPERATION,
        _SQL_PARAMETER_MAX,
} SqlParameter;

/* A whole statement, which runs in a transaction of ours; or a condition, which is put in
 * parentheses. */
typedef enum SqlForm { SQL_STATEMENT, SQL_CONDITION } SqlForm;

/* Translates. Writes the text to *b and the parameter of each $n to ret_parameters[n-1]. Refuses an
 * unknown name, an unclosed string, comment or parenthesis, a $n of the author's own; a statement
 * that is more than one (a ';' with anything but blanks and comments behind), or that sql_refusal.h
 * names; a ';' in a condition. Returns 0, or -EINVAL with *reterr_at (offset) and a sentence in
 * *reterr. */
int sql_lex_parameters(SqlForm form, const char *text, StrBuf *b,
                       SqlParameter ret_parameters[static SQL_PARAMETERS_MAX], size_t *ret_n,
                       size_t *reterr_at, StrBuf *reterr) _must_check_;
/* Whether it can be translated, in one sentence with the place: for configuration as it is loaded.
 * Returns 0, -EINVAL or -ENOMEM. */
int sql_check(SqlForm form, const char *text, StrBuf *reterr) _must_check_;
const char *sql_parameter_to_string(SqlParameter p);
/* The cast to write behind $n so that its type never depends on the context: "::text", "::bigint",
 * "::timestamptz", "::uuid". The lexer appends it. */
const char *sql_parameter_cast(SqlParameter p);
