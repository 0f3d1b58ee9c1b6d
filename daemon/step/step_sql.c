/* The step kind sql: one statement of the policy's author. */
#include <errno.h>

#include "step_kinds.h"

static void sql_write_spec(const StepConfig *step, Json *spec) {
        json_set_text(spec, "statement", step->statement);
}

static int sql_build(const Json *spec, StepStatement *ret, StrBuf *reterr) {
        const char *statement = step_spec_text(spec, "statement", reterr);
        _cleanup_(freep) char *storage = malloc(SQL_LEXED_SIZE);
        StrBuf sql;
        size_t at;
        int r;

        if (!statement)
                return -EINVAL;
        if (!storage) {
                strbuf_add(reterr, "out of memory");
                return -ENOMEM;
        }
        strbuf_init(&sql, storage, SQL_LEXED_SIZE);
        r = sql_lex_parameters(SQL_STATEMENT, statement, &sql, ret->parameters, &ret->n_parameters,
                               &at, reterr);
        if (r < 0)
                return r;
        return step_copy(sql.text, &ret->sql, reterr);
}

const StepKind step_kind_sql = {
        .name = "sql",
        .id = STEP_SQL,
        .write_spec = sql_write_spec,
        .build = sql_build,
        .check = step_check_statement,
};
