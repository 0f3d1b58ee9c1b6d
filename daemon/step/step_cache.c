/* The step kind cache (store postgres): deletes the rows whose key begins with a prefix, in batches
 * by key, so that readers and writers of the table are never long in its way.
 *
 * A prefix ends at a delimiter: "user" with the delimiter ":" means "user" itself and everything
 * below "user:", and never "username".
 *
 * Batches follow an index of the key, which is looked up once: sorting the table again for each
 * batch took 0.1 to 0.2 s at 500,000 rows. An index in the order of bytes (text_pattern_ops, or the
 * collation C) gives the prefix as a range. In any other collation a prefix is no range: there the
 * whole index is gone through once, a bounded piece at a time. */
#include <errno.h>

#include "step_kinds.h"
#include "pg.h"

#define CACHE_SQL_MAX 16384
/* Times the batch: keys that one statement looks at where a prefix is no range. */
#define CACHE_WALK 4

typedef enum CacheOrder { CACHE_PATTERN, CACHE_BYTES, CACHE_WALKED } CacheOrder;

/* How the keys are gone through. */
typedef struct CacheWay {
        CacheOrder order;
        const char *table, *key; /* quoted */
        const char *collation;   /* of the index, quoted; NULL for CACHE_PATTERN */
        uint32_t batch;
} CacheWay;

/* The best index whose first column is the key. $1 is the table, quoted, $2 the key's name. */
static const char ask_sql[] =
        "SELECT how, detail FROM (SELECT CASE WHEN f.opfname = 'text_pattern_ops' THEN 'pattern' "
        "WHEN c.collcollate IN ('C', 'POSIX') OR c.collprovider = 'd' AND "
        "d.datlocprovider = 'c' AND d.datcollate IN ('C', 'POSIX') THEN 'bytes' ELSE 'walk' END AS "
        "how, "
        "pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.collname) AS detail "
        "FROM pg_catalog.pg_index i "
        "JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] "
        "JOIN pg_catalog.pg_opclass o ON o.oid = i.indclass[0] "
        "JOIN pg_catalog.pg_opfamily f ON f.oid = o.opcfamily "
        "JOIN pg_catalog.pg_am m ON m.oid = o.opcmethod "
        "JOIN pg_catalog.pg_collation c ON c.oid = i.indcollation[0] "
        "JOIN pg_catalog.pg_namespace n ON n.oid = c.collnamespace "
        "JOIN pg_catalog.pg_database d ON d.datname = pg_catalog.current_database() "
        "WHERE i.indrelid = $1::pg_catalog.regclass AND a.attname = $2::text AND i.indisvalid AND "
        "i.indpred IS NULL "
        /* ASC NULLS LAST, or the same read backwards. */
        "AND i.indoption[0] IN (0, 3) AND m.amname = 'btree' AND f.opfname IN ('text_pattern_ops', "
        "'text_ops') "
        ") ways ORDER BY how = 'walk', how, detail LIMIT 1";

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

static void add_expression(const CacheWay *w, StrBuf *b) {
        strbuf_add(b, w->key);
        if (w->order == CACHE_PATTERN)
                return;
        strbuf_add(b, " COLLATE ");
        strbuf_add(b, w->collation);
}

/* The next keys in the order of the index behind $2, the key reached so far, which those that are
 * told apart by $1, the pattern, may be among. */
static void add_keys(const CacheWay *w, StrBuf *b) {
        strbuf_add(b, "SELECT ");
        add_expression(w, b);
        strbuf_add(b, " AS k FROM ");
        strbuf_add(b, w->table);
        strbuf_add(b, " WHERE ");
        if (w->order != CACHE_WALKED) {
                add_expression(w, b);
                strbuf_add(b, " LIKE $1::text AND ");
        }
        strbuf_add(b, "($2::text IS NULL OR ");
        add_expression(w, b);
        strbuf_add(b, w->order == CACHE_PATTERN ? " ~>~ $2::text) ORDER BY " :
                                                  " > $2::text) ORDER BY ");
        add_expression(w, b);
        strbuf_add(b, w->order == CACHE_PATTERN ? " USING ~<~ LIMIT " : " LIMIT ");
}

/* Where to go on: behind the last key picked by a full batch; else, where all keys are looked at,
 * behind the last one of a full look. NULL: this was the end. */
static void add_after(const CacheWay *w, StrBuf *b) {
        strbuf_add(b, "CASE WHEN (SELECT count(*) FROM picked) = ");
        strbuf_add_u64(b, w->batch);
        strbuf_add(b, w->order == CACHE_PATTERN ?
                              " THEN (SELECT max(k COLLATE pg_catalog.\"C\") FROM picked)" :
                              " THEN (SELECT max(k) FROM picked)");
        if (w->order == CACHE_WALKED) {
                strbuf_add(b, " ELSE (");
                add_keys(w, b);
                strbuf_add(b, "1 OFFSET ");
                strbuf_add_u64(b, CACHE_WALK * w->batch - 1);
                strbuf_add(b, ")");
        }
        strbuf_add(b, " END");
}

static void write_batch(const CacheWay *w, StrBuf *b) {
        strbuf_add(b, "WITH picked AS MATERIALIZED (");
        if (w->order == CACHE_WALKED) {
                strbuf_add(b, "SELECT k FROM (");
                add_keys(w, b);
                strbuf_add_u64(b, CACHE_WALK * w->batch);
                strbuf_add(b, ") seen WHERE k LIKE $1::text ORDER BY k LIMIT ");
        } else
                add_keys(w, b);
        strbuf_add_u64(b, w->batch);
        strbuf_add(b, "), gone AS (DELETE FROM ");
        strbuf_add(b, w->table);
        strbuf_add(b, " WHERE ");
        add_expression(w, b);
        strbuf_add(b, " = ANY (ARRAY(SELECT k FROM picked)) RETURNING 1) SELECT (SELECT count(*) "
                      "FROM picked), (SELECT count(*) FROM gone), ");
        add_after(w, b);
}

/* Replaces the statement and its order by those of the way. */
static int take_way(const CacheWay *w, StepStatement *s, StrBuf *reterr) {
        _cleanup_(freep) char *statement = NULL, *order = NULL;
        STRBUF(sql, CACHE_SQL_MAX);

        write_batch(w, &sql);
        if (sql.overflow) {
                strbuf_add(reterr, "the names of table, key and collation are too long");
                return -EINVAL;
        }
        if (step_copy(sql.text, &statement, reterr) < 0 ||
            step_copy(w->collation ? w->collation : "pattern", &order, reterr) < 0)
                return -ENOMEM;
        free(s->sql);
        free(s->order);
        s->sql = TAKE_PTR(statement);
        s->order = TAKE_PTR(order);
        return 0;
}

/* Without an index of the key it stays with the order of bytes, and sorts. */
static int cache_learn(StepStatement *s, const char *how, const char *detail, StrBuf *reterr) {
        STRBUF(key, 550);
        CacheWay way = {
                .order = CACHE_PATTERN, .table = s->ask_own[0], .key = key.text, .batch = s->batch
        };

        if (pg_quote_identifier(s->ask_own[1], &key) < 0)
                return -EINVAL;
        if (how && detail && !streq(how, "pattern")) {
                way.order = streq(how, "bytes") ? CACHE_BYTES : CACHE_WALKED;
                way.collation = detail;
        }
        return take_way(&way, s, reterr);
}

static int write_first(const char *table, const char *key, const char *prefix, StepStatement *ret,
                       StrBuf *reterr) {
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
        CacheWay way;
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
        way = (CacheWay){ .order = CACHE_PATTERN,
                          .table = quoted_table.text,
                          .key = quoted_key.text,
                          .batch = ret->batch };
        ret->keyset = true;
        ret->n_own = 2;
        r = write_pattern(prefix, delimiter, &ret->own[0], reterr);
        if (r == 0)
                r = step_copy(ask_sql, &ret->ask_sql, reterr);
        if (r == 0)
                r = step_copy(quoted_table.text, &ret->ask_own[0], reterr);
        if (r == 0)
                r = step_copy(key, &ret->ask_own[1], reterr);
        return r < 0 ? r : take_way(&way, ret, reterr);
}

static PgResult *ask_way(const StepStatement *s, PgSync *site, PgFailure *reterr) {
        const char *values[STEP_OWN_PARAMETERS_MAX] = { s->ask_own[0], s->ask_own[1] };
        PgResult *way = step_check_begin(site, s->role, reterr);

        if (way) {
                pg_result_free(way);
                way = pg_sync_statement(site, s->ask_sql, ELEMENTSOF(values), values, reterr);
        }
        pg_result_free(pg_sync_script(site, "ROLLBACK", &(PgFailure){ 0 }));
        return way;
}

static void advise_index(const StepStatement *s, StepFinding *ret) {
        StrBuf b;

        ret->health = STEP_DOUBTFUL;
        strbuf_init(&b, ret->words, sizeof ret->words);
        strbuf_add(&b, "no index begins with the key, so each batch reads the whole table ");
        strbuf_add(&b, s->ask_own[0]);
        strbuf_init(&b, ret->advice, sizeof ret->advice);
        strbuf_add(&b, "as the owner, type: CREATE INDEX CONCURRENTLY ON ");
        strbuf_add(&b, s->ask_own[0]);
        strbuf_add(&b, " (");
        (void)!pg_quote_identifier(s->ask_own[1], &b);
        strbuf_add(&b, " text_pattern_ops);");
}

static void cache_check(const StepStatement *s, PgSync *site, StepFinding *ret) {
        _cleanup_(pg_result_freep) PgResult *way = NULL;
        PgFailure failure;

        step_check_statement(s, site, ret);
        if (ret->health == STEP_SOUND && s->first_sql)
                step_check_plan(site, s->role, s->first_sql, 1, ret);
        if (ret->health != STEP_SOUND)
                return;
        way = ask_way(s, site, &failure);
        if (!way)
                step_check_broken(s->role, &failure, ret);
        else if (pg_rows(way) == 0)
                advise_index(s, ret);
}

const StepKind step_kind_cache = {
        .name = "cache",
        .id = STEP_CACHE,
        .write_spec = cache_write_spec,
        .build = cache_build,
        .learn = cache_learn,
        .check = cache_check,
};
