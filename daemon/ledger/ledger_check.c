/* After each connect: may we run on this schema, and the call that makes the first commit a fast
 * one. Only then is the ledger up. */
#include "ledger_internal.h"
#include "ledger_needs.h"

#define CHECK_AGAIN (2 * USEC_PER_SEC) /* after a check that the server could not answer */

/* The first call of a function in a session costs milliseconds of planning; a service of this name
 * cannot exist, so this one writes nothing. */
static const char warm_sql[] =
        "SELECT result, detail, epoch FROM rollbackd.commit_operation($1::uuid, $2::text, "
        "$3::text, $4::text, $5::int8, $6::text, "
        "$7::boolean, $8::text, $9::text, $10::text, $11::jsonb, $12::interval, $13::int, "
        "$14::interval, $15::text[], $16::jsonb)";

/* A failure of the check itself: what a lost connection gives is told by on_pg_state(). */
static void check_failed(Ledger *l, const PgFailure *failure) {
        if (!pg_is_up(l->pg))
                return;
        ledger_go_down(l, failure);
        loop_timer_set(l->check_timer, usec_add(loop_now(l->loop), CHECK_AGAIN));
}

static void on_warm(void *userdata, const PgFailure *failure, _unused_ const PgResult *result) {
        Ledger *l = userdata;

        if (l->closing)
                return;
        if (failure->error != PG_OK)
                check_failed(l, failure);
        else if (!l->up)
                ledger_go_up(l);
}

static void warm(Ledger *l) {
        static const char *const values[16] = { "00000000-0000-0000-0000-000000000000",
                                                "",
                                                "rollback",
                                                "",
                                                "0",
                                                "",
                                                "true",
                                                "rollbackd" };

        if (pg_query_prepared(l->pg, "commit_operation", warm_sql, ELEMENTSOF(values), values,
                              LEDGER_STATEMENT_TIMEOUT, on_warm, l) < 0)
                loop_timer_set(l->check_timer, usec_add(loop_now(l->loop), CHECK_AGAIN));
}

void ledger_refuse_schema(Ledger *l, const PgFailure *wrong) {
        l->schema = 0;
        check_failed(l, wrong);
}

static void on_schema(void *userdata, const PgFailure *failure, const PgResult *result) {
        Ledger *l = userdata;
        PgFailure wrong;

        if (l->closing)
                return;
        if (failure->error != PG_OK)
                check_failed(l, failure);
        else if (ledger_check_schema(result, &l->schema, &wrong) < 0)
                ledger_refuse_schema(l, &wrong);
        else
                warm(l);
}

static void ask_schema(Ledger *l) {
        if (pg_query(l->pg, ledger_schema_sql, 0, NULL, LEDGER_STATEMENT_TIMEOUT, on_schema, l) < 0)
                loop_timer_set(l->check_timer, usec_add(loop_now(l->loop), CHECK_AGAIN));
}

/* Names the GRANT for the first thing that is there and may not be used. What is not there is not
 * of this schema, which is asked for next. */
static bool find_missing_right(const PgResult *result, PgFailure *ret) {
        const char *first = NULL;
        size_t n = 0;
        StrBuf b;

        for (size_t i = 0; i < pg_rows(result); i++)
                if (streq(pg_value(result, i, "there") ?: "", "t") && n++ == 0)
                        first = pg_value(result, i, "what");
        if (!first)
                return false;
        *ret = (PgFailure){ .error = PG_CONFIGURATION };
        strbuf_init(&b, ret->message, sizeof ret->message);
        strbuf_add(&b, "the daemon's role lacks a right: as the owner of the ledger type: GRANT ");
        strbuf_add(&b, strncmp(first, "TABLE", 5) == 0 ? "SELECT" : "EXECUTE");
        strbuf_add(&b, " ON ");
        strbuf_add_escaped(&b, first, strlen(first));
        strbuf_add(&b, " TO rollbackd");
        if (n > 1) {
                strbuf_add(&b, ", and ");
                strbuf_add_u64(&b, n - 1);
                strbuf_add(&b, " more, which " ROLLBACKD_SQL_DIRECTORY
                               "/migrations/*_rights.sql grants again");
        }
        return true;
}

static void on_rights(void *userdata, const PgFailure *failure, const PgResult *result) {
        Ledger *l = userdata;
        PgFailure wrong;

        if (l->closing)
                return;
        if (failure->error != PG_OK)
                check_failed(l, failure);
        else if (find_missing_right(result, &wrong))
                check_failed(l, &wrong);
        else
                ask_schema(l);
}

/* Rights, schema, then the warming call: only then is the ledger up. */
void ledger_check(Ledger *l) {
        char functions[LEDGER_NEEDS_SIZE], views[LEDGER_NEEDS_SIZE];
        const char *const values[] = { functions, views };

        (void)ledger_list_needs(LEDGER_SCHEMA, functions, views);
        if (pg_query(l->pg, ledger_rights_sql, ELEMENTSOF(values), values, LEDGER_STATEMENT_TIMEOUT,
                     on_rights, l) < 0)
                loop_timer_set(l->check_timer, usec_add(loop_now(l->loop), CHECK_AGAIN));
}

void ledger_on_check_timer(void *userdata, _unused_ usec_t now) {
        Ledger *l = userdata;

        if (!pg_is_up(l->pg) || l->up)
                return;
        /* Some of a session's settings are those of its beginning: only a new one can be better. */
        if (l->failure.error == PG_HOLD)
                pg_give_up(l->pg, &l->failure);
        else
                ledger_check(l);
}
