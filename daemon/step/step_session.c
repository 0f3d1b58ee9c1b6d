/* The step kind session (store postgres): deletes the rows that the policy's condition names, in
 * batches by their place in the table. */
#include <errno.h>

#include "step_kinds.h"

static void session_write_spec(const StepConfig *step, Json *spec) {
        json_set_text(spec, "table", step->table);
        json_set_text(spec, "where", step->where);
        json_set_u64(spec, "batch", step->batch);
}

/* The condition is asked again at the delete: a row may have changed meanwhile, and places are told
 * apart only within one partition. The line break ends a comment of the author's. */
static void write_batch(const char *table, const char *where, uint32_t batch, StrBuf *b) {
        strbuf_add(b, "WITH picked AS MATERIALIZED (SELECT ctid AS place FROM ");
        strbuf_add(b, table);
        strbuf_add(b, " WHERE (");
        strbuf_add(b, where);
        strbuf_add(b, "\n) LIMIT ");
        strbuf_add_u64(b, batch);
        strbuf_add(b, "), gone AS (DELETE FROM ");
        strbuf_add(b, table);
        strbuf_add(b, " WHERE ctid = ANY (ARRAY(SELECT place FROM picked)) AND (");
        strbuf_add(b, where);
        strbuf_add(b, "\n) RETURNING 1) SELECT (SELECT count(*) FROM picked), (SELECT count(*) "
                      "FROM gone), NULL");
}

static int session_build(const Json *spec, StepStatement *ret, StrBuf *reterr) {
        const size_t size = 2 * SQL_LEXED_SIZE +
                            4096; /* twice the condition, and what stands around it */
        const char *table = step_spec_text(spec, "table", reterr);
        const char *where = table ? step_spec_text(spec, "where", reterr) : NULL;
        _cleanup_(freep) char *condition = malloc(SQL_LEXED_SIZE);
        _cleanup_(freep) char *storage = malloc(size);
        STRBUF(quoted_table, 1100);
        StrBuf lexed, sql;
        size_t at;
        int r;

        if (!where)
                return -EINVAL;
        if (!condition || !storage) {
                strbuf_add(reterr, "out of memory");
                return -ENOMEM;
        }
        if (ret->batch == 0) {
                strbuf_add(reterr, "the row's spec has no \"batch\"");
                return -EINVAL;
        }
        r = step_quote_table(table, &quoted_table, reterr);
        if (r < 0)
                return r;
        strbuf_init(&lexed, condition, SQL_LEXED_SIZE);
        r = sql_lex_parameters(SQL_CONDITION, where, &lexed, ret->parameters, &ret->n_parameters,
                               &at, reterr);
        if (r < 0)
                return r;
        strbuf_init(&sql, storage, size);
        write_batch(quoted_table.text, lexed.text, ret->batch, &sql);
        if (sql.overflow) {
                strbuf_add(reterr, "the condition is too long");
                return -EINVAL;
        }
        return step_copy(sql.text, &ret->sql, reterr);
}

const StepKind step_kind_session = {
        .name = "session",
        .id = STEP_SESSION,
        .write_spec = session_write_spec,
        .build = session_build,
        .check = step_check_statement,
};
