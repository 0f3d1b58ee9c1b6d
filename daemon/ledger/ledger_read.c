/* Reads for the API: the latest operations and events as lists, one of either by its id. A list's
 * text is bounded in the statement. */
#include "ledger_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define RECENT_DELAY (200 * USEC_PER_MSEC) /* many changes at once make one read */

static const char operations_sql[] = LEDGER_OPERATIONS;
static const char events_sql[] = LEDGER_EVENTS;

static const char find_sql[] = "SELECT to_jsonb(o), 'operation' AS what FROM "
                               "rollbackd.operation_status o WHERE o.id = $1::uuid "
                               "UNION ALL SELECT to_jsonb(e), 'event' FROM "
                               "rollbackd.recent_event e WHERE e.id = $1::uuid LIMIT 1";

typedef struct Find {
        Ledger *ledger;
        LedgerFindCallback callback;
        void *userdata;
} Find;

void ledger_recent_soon(Ledger *l) {
        if (l->recent_in_flight || l->recent_again) {
                l->recent_again = true;
                return;
        }
        l->recent_again = true;
        loop_timer_set(l->recent_timer, usec_add(loop_now(l->loop), RECENT_DELAY));
}

static Json *parse_cell(const PgResult *r, StrBuf *reterr) {
        const char *cell = pg_rows(r) > 0 ? pg_cell(r, 0, 0) : NULL;

        return cell ? json_parse(cell, strlen(cell), reterr) : NULL;
}

/* The pair was read, or could not be: what changed meanwhile is read next. */
static void recent_done(Ledger *l) {
        l->recent_in_flight = false;
        if (!l->recent_again)
                return;
        l->recent_again = false;
        ledger_recent_soon(l);
}

static void recent_failed(Ledger *l, const PgFailure *failure) {
        l->recent_operations = json_free(l->recent_operations);
        if (failure->error == PG_CONFIGURATION || failure->error == PG_REFUSED)
                ledger_tell_trouble(l, "lists for the API", NULL, failure);
        recent_done(l);
}

static void on_events(void *userdata, const PgFailure *failure, const PgResult *result) {
        Ledger *l = userdata;
        Json *events;
        STRBUF(error, 128);

        if (l->closing)
                return;
        events = failure->error == PG_OK ? parse_cell(result, &error) : NULL;
        if (!events) {
                PgFailure f = failure->error == PG_OK ?
                                      ledger_unreadable("the list of events", error.text) :
                                      *failure;
                recent_failed(l, &f);
                return;
        }
        snprintf(l->lists, sizeof l->lists, "%s %s", l->operations_hash,
                 pg_value(result, 0, "hash") ?: "");
        l->owner.on_recent(l->owner.userdata, TAKE_PTR(l->recent_operations), events);
        recent_done(l);
}

static void on_operations(void *userdata, const PgFailure *failure, const PgResult *result) {
        Ledger *l = userdata;
        STRBUF(error, 128);

        if (l->closing)
                return;
        l->recent_operations = failure->error == PG_OK ? parse_cell(result, &error) : NULL;
        if (!l->recent_operations) {
                PgFailure f = failure->error == PG_OK ?
                                      ledger_unreadable("the list of operations", error.text) :
                                      *failure;
                recent_failed(l, &f);
                return;
        }
        snprintf(l->operations_hash, sizeof l->operations_hash, "%s",
                 pg_value(result, 0, "hash") ?: "");
        if (pg_query_prepared(l->pg, "recent_events", events_sql, 0, NULL, LEDGER_STATEMENT_TIMEOUT,
                              on_events, l) < 0) {
                l->recent_operations = json_free(l->recent_operations);
                recent_done(l);
        }
}

void ledger_recent_now(Ledger *l) {
        l->recent_again = false;
        if (!l->up || l->recent_in_flight)
                return;
        l->recent_in_flight = pg_query_prepared(l->pg, "recent_operations", operations_sql, 0, NULL,
                                                LEDGER_STATEMENT_TIMEOUT, on_operations, l) == 0;
}

static void on_found(void *userdata, const PgFailure *failure, const PgResult *result) {
        _cleanup_(freep) Find *f = userdata;
        Json *record = NULL;
        STRBUF(error, 128);

        if (f->ledger->closing)
                return;
        if (failure->error == PG_OK && pg_rows(result) > 0) {
                record = parse_cell(result, &error);
                if (!record) {
                        PgFailure unreadable = ledger_unreadable("the record cannot be shown",
                                                                 error.text);
                        f->callback(f->userdata, &unreadable, NULL, NULL);
                        return;
                }
        }
        f->callback(f->userdata, failure, record ? pg_value(result, 0, "what") : NULL, record);
}

static bool is_uuid(const char *id) {
        size_t i = 0;

        for (; id[i]; i++) {
                bool dash = i == 8 || i == 13 || i == 18 || i == 23;
                bool hex = (id[i] >= '0' && id[i] <= '9') || (id[i] >= 'a' && id[i] <= 'f') ||
                           (id[i] >= 'A' && id[i] <= 'F');
                if (i >= OPERATION_ID_SIZE - 1 || (dash ? id[i] != '-' : !hex))
                        return false;
        }
        return i == OPERATION_ID_SIZE - 1;
}

int ledger_find(Ledger *l, const char *id, LedgerFindCallback callback, void *userdata) {
        const char *const values[] = { id };
        Find *f;
        int r;

        if (!is_uuid(id))
                return -EINVAL;
        if (!l->up)
                return -ENOTCONN;
        f = calloc(1, sizeof *f);
        if (!f)
                return -ENOMEM;
        *f = (Find){ .ledger = l, .callback = callback, .userdata = userdata };
        r = pg_query_prepared(l->pg, "find", find_sql, ELEMENTSOF(values), values,
                              LEDGER_STATEMENT_TIMEOUT, on_found, f);
        if (r < 0)
                free(f);
        return r;
}
