/* The step kind cache (store postgres): deletes the rows whose key begins with a prefix, in batches by key, so that readers and writers of the table are never long in its way.
 *
 * A prefix ends at a delimiter: "user" with the delimiter ":" means "user" itself and everything below "user:", and never "username". */
#include <errno.h>

#include "step_kinds.h"
#include "pg.h"

#define CACHE_SQL_MAX 8192

static void cache_write_spec(const StepConfig *step, Json *spec) {
        json_set_text(spec, "table", step->table);
        json_set_text(spec, "key", step->key);
        json_set_text(spec, "prefix", step->prefix);
        json_set_text(spec, "delimiter", step->delimiter);
        json_set_u64(spec, "batch", step->batch);
}

static bool ends_with(const char *text, const char *end) {
        size_t n = strlen(text), m = strlen(end);

        return n >= m && memcmp(text + n - m, end, m) == 0;
}

/* The LIKE pattern of everything below `prefix` and `delimiter`. */
static int write_pattern(const char *prefix, const char *delimiter, char **ret, StrBuf *reterr) {
        size_t size = 2 * (strlen(prefix) + strlen(delimiter)) + 2;
        _cleanup_(freep) char *storage = malloc(size);
        const char *parts[] = { prefix, delimiter };
        StrBuf b;

        if (!storage) {
                strbuf_add(reterr, "out of memory");
                return -ENOMEM;
        }
        strbuf_init(&b, storage, size);
        for (size_t i = 0; i < ELEMENTSOF(parts); i++)
                for (const char *c = parts[i]; *c; c++) {
                        if (*c == '%' || *c == '_' || *c == '\\')
                                strbuf_add_char(&b, '\\');
                        strbuf_add_char(&b, *c);
                }
        strbuf_add_char(&b, '%');
        *ret = TAKE_PTR(storage);
        return 0;
}

/* Picks the next keys in the order of their bytes, which an index with text_pattern_ops serves together with LIKE, and deletes them. $1 is the pattern, $2 the key reached so far. */
static void write_batch(const char *table, const char *key, uint32_t batch, StrBuf *b) {
        strbuf_add(b, "WITH picked AS MATERIALIZED (SELECT ");
        strbuf_add(b, key);
        strbuf_add(b, " AS k FROM ");
        strbuf_add(b, table);
        strbuf_add(b, " WHERE ");
        strbuf_add(b, key);
        strbuf_add(b, " LIKE $1::text AND ($2::text IS NULL OR ");
        strbuf_add(b, key);
        strbuf_add(b, " ~>~ $2::text) ORDER BY ");
        strbuf_add(b, key);
        strbuf_add(b, " USING ~<~ LIMIT ");
        strbuf_add_u64(b, batch);
        strbuf_add(b, "), gone AS (DELETE FROM ");
        strbuf_add(b, table);
        strbuf_add(b, " WHERE ");
        strbuf_add(b, key);
        strbuf_add(b, " = ANY (ARRAY(SELECT k FROM picked)) RETURNING 1) SELECT (SELECT count(*) FROM picked), "
                      "(SELECT count(*) FROM gone), (SELECT max(k COLLATE \"C\") FROM picked)");
}

static int write_first(const char *table, const char *key, const char *prefix, StepStatement *ret, StrBuf *reterr) {
        STRBUF(sql, CACHE_SQL_MAX);
        int r;

        strbuf_add(&sql, "WITH gone AS (DELETE FROM ");
        strbuf_add(&sql, table);
        strbuf_add(&sql, " WHERE ");
        strbuf_add(&sql, key);
        strbuf_add(&sql, " = $1::text RETURNING 1) SELECT count(*), count(*), NULL FROM gone");
        r = step_copy(sql.text, &ret->first_sql, reterr);
        return r < 0 ? r : step_copy(prefix, &ret->first_own, reterr);
}

static int cache_build(const Json *spec, StepStatement *ret, StrBuf *reterr) {
        const char *table = step_spec_text(spec, "table", reterr);
        const char *key = table ? step_spec_text(spec, "key", reterr) : NULL;
        const char *prefix = key ? step_spec_text(spec, "prefix", reterr) : NULL;
        const char *delimiter = json_get_text(spec, "delimiter", "");
        STRBUF(quoted_table, 1100);
        STRBUF(quoted_key, 550);
        STRBUF(sql, CACHE_SQL_MAX);
        int r;

        if (!prefix)
                return -EINVAL;
        if (ret->batch == 0) {
                strbuf_add(reterr, "the row's spec has no \"batch\"");
                return -EINVAL;
        }
        r = step_quote_table(table, &quoted_table, reterr);
        if (r < 0)
                return r;
        if (strlen(key) > 255 || pg_quote_identifier(key, &quoted_key) < 0) {
                strbuf_add(reterr, "\"key\" is not the name of a column");
                return -EINVAL;
        }
        if (!ends_with(prefix, delimiter)) {
                r = write_first(quoted_table.text, quoted_key.text, prefix, ret, reterr);
                if (r < 0)
                        return r;
        } else
                delimiter = "";
        write_batch(quoted_table.text, quoted_key.text, ret->batch, &sql);
        ret->keyset = true;
        ret->n_own = 2;
        r = write_pattern(prefix, delimiter, &ret->own[0], reterr);
        return r < 0 ? r : step_copy(sql.text, &ret->sql, reterr);
}

const StepKind step_kind_cache = {
        .name = "cache",
        .id = STEP_CACHE,
        .write_spec = cache_write_spec,
        .build = cache_build,
};
