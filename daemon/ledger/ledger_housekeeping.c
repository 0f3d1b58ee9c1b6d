/* The heartbeat: that we are there, which schema the ledger has now, and when drills last
 * succeeded. And retention: one batch of prune(). */
#include "ledger_internal.h"
#include "ledger_needs.h"
#include "number.h"

#include <errno.h>
#include <stdlib.h>

#define HOUSEKEEPING_SCHEMA 2 /* the first one with prune() and drill_status */

struct LedgerDrill {
        char service[NAME_SIZE];
        double succeeded_at; /* unix seconds; 0: never */
};

static const char heartbeat_sql[] =
        "SELECT version, oldest_daemon, rollbackd.observer_seen($1::text, $2::text, $3::int) FROM "
        "rollbackd.schema";

/* In the order of strcmp(), so that one is found quickly. */
static const char drills_sql[] =
        "SELECT service, coalesce(extract(epoch FROM succeeded_at), 0)::float8 AS succeeded_at "
        "FROM rollbackd.drill_status ORDER BY service COLLATE \"C\"";

uint64_t ledger_schema(const Ledger *l) {
        return l->schema;
}

static int compare_drill(const void *key, const void *element) {
        return strcmp(key, ((const LedgerDrill *)element)->service);
}

bool ledger_find_drill(const Ledger *l, const char *service, double *ret_succeeded_at) {
        const LedgerDrill *found;

        if (!l->drills_known)
                return false;
        found = bsearch(service, l->drills, l->n_drills, sizeof *l->drills, compare_drill);
        *ret_succeeded_at = found ? found->succeeded_at : 0;
        return true;
}

void ledger_forget_drills(Ledger *l) {
        free(l->drills);
        l->drills = NULL;
        l->n_drills = 0;
        l->drills_known = false;
}

static void on_drills(void *userdata, const PgFailure *failure, const PgResult *result) {
        Ledger *l = userdata;
        LedgerDrill *drills;
        size_t n;

        if (l->closing)
                return;
        if (failure->error != PG_OK) {
                if (failure->error == PG_CONFIGURATION)
                        ledger_tell_trouble(l, "results of drills", NULL, failure);
                return;
        }
        n = pg_rows(result);
        drills = calloc(n > 0 ? n : 1, sizeof *drills);
        if (!drills)
                return;
        for (size_t i = 0; i < n; i++) {
                const char *service = pg_value(result, i, "service");
                const char *at = pg_value(result, i, "succeeded_at");
                StrBuf name;

                strbuf_init(&name, drills[i].service, sizeof drills[i].service);
                strbuf_add(&name, service ? service : "");
                if (name.overflow || number_parse_double(at ? at : "", at ? strlen(at) : 0,
                                                         &drills[i].succeeded_at) < 0) {
                        PgFailure f = ledger_unreadable("a drill's service or time", service);
                        ledger_tell_trouble(l, "results of drills", NULL, &f);
                        free(drills);
                        return;
                }
        }
        ledger_forget_drills(l);
        l->drills = drills;
        l->n_drills = n;
        l->drills_known = true;
        /* Answers come in the order of the questions: these lists were read before. */
        memcpy(l->drills_lists, l->lists, sizeof l->drills_lists);
}

void ledger_ask_drills(Ledger *l) {
        if (l->schema < HOUSEKEEPING_SCHEMA)
                ledger_forget_drills(l);
        else
                /* Not asked now, they are asked at the next poll. */
                (void)!pg_query(l->pg, drills_sql, 0, NULL, LEDGER_STATEMENT_TIMEOUT, on_drills, l);
}

/* What a lost connection gives is told by the connection; the server's own answer is told once,
 * until there is a heartbeat again. */
static void heartbeat_failed(Ledger *l, const PgFailure *failure) {
        if (failure->error == PG_LOST || failure->error == PG_IN_DOUBT ||
            failure->error == PG_TIMEOUT || l->heartbeat_told)
                return;
        l->heartbeat_told = true;
        ledger_tell_trouble(l, "the heartbeat", NULL, failure);
}

bool ledger_heartbeat_taken(Ledger *l, const char *version, const char *oldest_daemon) {
        PgFailure wrong;

        l->heartbeat_told = false;
        if (ledger_judge_schema(version, oldest_daemon, &l->schema, &wrong) < 0) {
                ledger_refuse_schema(l, &wrong);
                return false;
        }
        if (l->owner.on_heartbeat)
                l->owner.on_heartbeat(l->owner.userdata);
        return true;
}

/* Only a schema that we may not run on takes the ledger down: whatever else is wrong is for the
 * connection, or for the work itself, to find. */
static void on_heartbeat(void *userdata, const PgFailure *failure, const PgResult *result) {
        Ledger *l = userdata;

        if (l->closing || !l->up)
                return;
        if (failure->error != PG_OK)
                heartbeat_failed(l, failure);
        else if (ledger_heartbeat_taken(l, pg_value(result, 0, "version"),
                                        pg_value(result, 0, "oldest_daemon")))
                ledger_ask_drills(l);
}

void ledger_heartbeat(Ledger *l) {
        STRBUF(schema, 24);
        const char *const values[] = { l->host, ROLLBACKD_VERSION, schema.text };

        strbuf_add_u64(&schema, LEDGER_SCHEMA);
        l->unseen = false;
        /* Lost, it is said again with the next one. */
        (void)!pg_query(l->pg, heartbeat_sql, ELEMENTSOF(values), values, LEDGER_STATEMENT_TIMEOUT,
                        on_heartbeat, l);
}

typedef struct Prune {
        LedgerPruneCallback callback;
        void *userdata;
} Prune;

static bool add_count(const PgResult *r, size_t row, LedgerPruned *p) {
        static const char *const kinds[] = { "operations", "steps", "deliveries", "events" };
        uint64_t *const counts[] = { &p->operations, &p->steps, &p->deliveries, &p->events };
        const char *what = pg_value(r, row, "what");

        for (size_t i = 0; what && i < ELEMENTSOF(kinds); i++)
                if (streq(what, kinds[i]))
                        return ledger_parse_u64(pg_value(r, row, "n"), counts[i]) >= 0;
        return false;
}

bool ledger_read_pruned(const PgResult *answer, LedgerPruned *ret, PgFailure *reterr) {
        LedgerPruned pruned = { 0 };

        for (size_t i = 0; i < pg_rows(answer); i++)
                if (!add_count(answer, i, &pruned)) {
                        *reterr = ledger_unreadable("the answer of prune()",
                                                    pg_value(answer, i, "what"));
                        return false;
                }
        *ret = pruned;
        return true;
}

static void on_pruned(void *userdata, const PgFailure *failure, const PgResult *result) {
        Prune *p = userdata;
        LedgerPruned pruned = { 0 };
        PgFailure unreadable;

        if (failure->error == PG_OK && !ledger_read_pruned(result, &pruned, &unreadable))
                failure = &unreadable;
        p->callback(p->userdata, failure, &pruned);
        free(p);
}

int ledger_prune(const Ledger *l, Pg *over, usec_t older_than, uint32_t most,
                 LedgerPruneCallback callback, void *userdata) {
        char interval[LEDGER_INTERVAL_SIZE];
        STRBUF(limit, 24);
        const char *const values[] = { ledger_interval(older_than, interval), limit.text };
        Prune *p;
        int r;

        if (!l->up)
                return -ENOTCONN;
        if (l->schema < HOUSEKEEPING_SCHEMA)
                return -EOPNOTSUPP;
        p = malloc(sizeof *p);
        if (!p)
                return -ENOMEM;
        *p = (Prune){ callback, userdata };
        strbuf_add_u64(&limit, most);
        r = pg_query(over, "SELECT what, n FROM rollbackd.prune($1::interval, $2::int)",
                     ELEMENTSOF(values), values, LEDGER_STATEMENT_TIMEOUT, on_pruned, p);
        if (r < 0)
                free(p);
        return r;
}

void ledger_pruned_add(LedgerPruned *sum, const LedgerPruned *p) {
        sum->operations += p->operations;
        sum->steps += p->steps;
        sum->deliveries += p->deliveries;
        sum->events += p->events;
}

uint64_t ledger_pruned_sum(const LedgerPruned *p) {
        return p->operations + p->steps + p->deliveries + p->events;
}
