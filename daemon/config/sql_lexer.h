/* sql_lexer.h: `:name` parameters in a policy's SQL become $1, $2, ... Each occurrence gets its own number. Strings ('' and E''), quoted identifiers, ::casts, array slices, dollar quotes and
 * comments (nested ones too) stay what they are. Knows nothing of what the names mean beyond the list that it is given. */
#pragma once

#include "strbuf.h"

#define SQL_PARAMETERS_MAX 64
#define SQL_STATEMENT_MAX (64 * 1024)

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

/* Translates. Writes the statement to *b and the parameter of each $n to ret_parameters[n-1]. Refuses more than one statement (a ';' with anything but blanks and comments behind), an unknown
 * name, an unclosed string or comment, a $n of the author's own. Returns 0, or -EINVAL with *reterr_at (offset) and a sentence in *reterr. */
int sql_lex_parameters(const char *statement, StrBuf *b, SqlParameter ret_parameters[static SQL_PARAMETERS_MAX], size_t *ret_n,
                       size_t *reterr_at, StrBuf *reterr) _must_check_;
const char *sql_parameter_to_string(SqlParameter p);
/* The cast to write behind $n so that its type never depends on the context: "::text", "::bigint", "::timestamptz", "::uuid". The lexer appends it. */
const char *sql_parameter_cast(SqlParameter p);
