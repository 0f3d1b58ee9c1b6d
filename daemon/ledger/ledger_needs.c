#include "ledger_needs.h"

#include <errno.h>

#include "ledger.h"
#include "ledger_facts.h"

typedef struct Need {
        const char *name;
        uint64_t schema; /* the first that has it; before, the daemon does without */
} Need;

static const Need functions[] = {
        { "adopt_operation", 1 },
        { "atomic_result", 1 },
        { "claim_deliveries", 1 },
        { "claim_steps", 1 },
        { "commit_operation", 1 },
        { "delivery_result", 1 },
        { "earn_stable", 1 },
        { "leftover_operations", 1 },
        { "load", 1 },
        { "move_operation", 1 },
        { "next_delivery_in", 1 },
        { "observer_seen", 1 },
        { "put_subscribers", 1 },
        { "record_event", 1 },
        { "step_progress", 1 },
        { "step_result", 1 },
        { "prune", 2 },
};
static const Need views[] = {
        { "history", 1 }, { "operation_status", 1 }, { "recent_event", 1 },
        { "schema", 1 },  { "service_status", 1 },   { "drill_status", 2 },
};

const char ledger_schema_sql[] = "SELECT version, oldest_daemon FROM rollbackd.schema";

const char ledger_rights_sql[] =
        "SELECT 'FUNCTION rollbackd.' || n.name || coalesce('(' || "
        "pg_catalog.oidvectortypes(p.proargtypes) || ')', '') AS what, p.oid IS NOT NULL AS there "
        "FROM pg_catalog.unnest($1::text[]) n (name) "
        "LEFT JOIN pg_catalog.pg_proc p ON p.proname = n.name AND p.pronamespace = "
        "pg_catalog.to_regnamespace('rollbackd') "
        "WHERE p.oid IS NULL OR NOT pg_catalog.has_function_privilege(p.oid, 'EXECUTE') "
        "UNION ALL "
        "SELECT 'TABLE rollbackd.' || n.name, c.oid IS NOT NULL FROM "
        "pg_catalog.unnest($2::text[]) n (name) "
        "LEFT JOIN pg_catalog.pg_class c ON c.relname = n.name AND c.relnamespace = "
        "pg_catalog.to_regnamespace('rollbackd') "
        "WHERE c.oid IS NULL OR NOT pg_catalog.has_table_privilege(c.oid, 'SELECT') ORDER BY 1";

/* Older, it lacks what we need; newer, it has given up what we know. */
static PgFailure wrong_schema(const char *version, const char *oldest, bool newer) {
        PgFailure f = { .error = PG_CONFIGURATION };
        StrBuf b;

        strbuf_init(&b, f.message, sizeof f.message);
        strbuf_add(&b, "the ledger has schema ");
        strbuf_add(&b, version ? version : "none");
        if (newer) {
                strbuf_add(&b, ", which takes daemons built for schema ");
                strbuf_add(&b, oldest);
                strbuf_add(&b, " or newer");
        }
        strbuf_add(&b, newer ? "; this one is built for " : ", this rollbackd is built for ");
        strbuf_add_u64(&b, LEDGER_SCHEMA);
        strbuf_add(&b, newer ? ": install the matching rollbackd" : ": run rollbackctl db migrate");
        return f;
}

int ledger_judge_schema(const char *version, const char *oldest, uint64_t *ret_version,
                        PgFailure *reterr) {
        uint64_t v = 0, o = 0;

        if (ledger_parse_u64(version, &v) < 0 || ledger_parse_u64(oldest, &o) < 0 ||
            v + 1 < LEDGER_SCHEMA || o > LEDGER_SCHEMA) {
                *reterr = wrong_schema(version, oldest, o > LEDGER_SCHEMA);
                return -EINVAL;
        }
        *ret_version = v;
        return 0;
}

int ledger_check_schema(const PgResult *answer, uint64_t *ret_version, PgFailure *reterr) {
        return ledger_judge_schema(pg_value(answer, 0, "version"),
                                   pg_value(answer, 0, "oldest_daemon"), ret_version, reterr);
}

static size_t list(const Need needs[], size_t n, uint64_t schema,
                   char ret[static LEDGER_NEEDS_SIZE]) {
        size_t listed = 0;
        StrBuf b;

        strbuf_init(&b, ret, LEDGER_NEEDS_SIZE);
        for (size_t i = 0; i < n; i++) {
                if (needs[i].schema > schema)
                        continue;
                ledger_array_add(&b, needs[i].name);
                listed++;
        }
        strbuf_add(&b, listed > 0 ? "}" : "{}");
        assert(!b.overflow);
        return listed;
}

size_t ledger_list_needs(uint64_t schema, char ret_functions[static LEDGER_NEEDS_SIZE],
                         char ret_views[static LEDGER_NEEDS_SIZE]) {
        return list(functions, ELEMENTSOF(functions), schema, ret_functions) +
               list(views, ELEMENTSOF(views), schema, ret_views);
}
