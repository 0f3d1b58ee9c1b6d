/* What is dirty is asked of load(), many services at once. A row that does not parse in full is
 * trouble that is told, never a default: its service keeps its old facts, which grow stale and hold
 * automatic acts. */
#include "ledger_internal.h"

#include <stdlib.h>

static void give_service(const LedgerBatch *b, size_t i, const PgResult *result) {
        Ledger *l = b->ledger;
        ServiceFacts facts = { 0 };
        const char *column = NULL;
        size_t row = 0;

        while (row < pg_rows(result)) {
                const char *name = pg_value(result, row, "service");
                if (name && streq(name, b->services[i]))
                        break;
                row++;
        }
        if (row == pg_rows(result))
                l->owner.on_facts(l->owner.userdata, b->services[i], NULL, b->sent);
        else if (ledger_facts_parse(result, row, loop_now(l->loop), &facts, &column) == 0)
                l->owner.on_facts(l->owner.userdata, b->services[i], &facts, b->sent);
        else {
                PgFailure f = ledger_unreadable("column of load() that this rollbackd cannot read",
                                                column);
                ledger_tell_trouble(l, "facts of", b->services[i], &f);
        }
}

void ledger_batch_give(const LedgerBatch *b, const PgResult *result) {
        for (size_t i = 0; i < b->n; i++)
                give_service(b, i, result);
}

static void on_loaded(void *userdata, const PgFailure *failure, const PgResult *result) {
        _cleanup_(freep) LedgerBatch *b = userdata;
        Ledger *l = b->ledger;

        if (l->closing)
                return;
        if (failure->error == PG_OK) {
                ledger_batch_give(b, result);
                return;
        }
        /* A lost connection is told as such, and everything is read anew after it. What a person
         * must mend is told; the next poll asks again. */
        if (failure->error == PG_CONFIGURATION || failure->error == PG_REFUSED)
                ledger_tell_trouble(l, "facts", NULL, failure);
        /* A right or the schema itself may be gone: the check tells them apart. */
        if (failure->error == PG_CONFIGURATION && l->up)
                ledger_check(l);
}

static void end_array(StrBuf *b) {
        strbuf_add(b, b->length == 0 ? "{}" : "}");
        assert(!b->overflow);
}

LedgerBatch *ledger_batch_new(Ledger *l, size_t *at) {
        LedgerBatch *b = calloc(1, sizeof *b);
        StrBuf names, cooldowns, periods;

        if (!b)
                return NULL;
        b->ledger = l;
        b->sent = loop_now(l->loop);
        strbuf_init(&names, b->names, sizeof b->names);
        strbuf_init(&cooldowns, b->cooldowns, sizeof b->cooldowns);
        strbuf_init(&periods, b->periods, sizeof b->periods);
        for (; *at < l->n_watched && b->n < LEDGER_LOAD_BATCH; ++*at) {
                LedgerWatched *w = &l->watched[*at];
                char interval[LEDGER_INTERVAL_SIZE];

                if (!w->dirty)
                        continue;
                w->dirty = false;
                memcpy(b->services[b->n++], w->service, NAME_SIZE);
                ledger_array_add(&names, w->service);
                ledger_array_add(&cooldowns, ledger_interval(w->cooldown, interval));
                ledger_array_add(&periods, ledger_interval(w->budget_per, interval));
        }
        end_array(&names);
        end_array(&cooldowns);
        end_array(&periods);
        return b;
}

/* Sends the next batch of dirty services. Returns false when none is left, or when it could not be
 * sent: the next poll marks all again. */
static bool send_batch(Ledger *l, size_t *at) {
        LedgerBatch *b = ledger_batch_new(l, at);
        const char *values[3];

        if (!b)
                return false;
        values[0] = b->names;
        values[1] = b->cooldowns;
        values[2] = b->periods;
        if (b->n > 0 && pg_query_prepared(l->pg, "load", ledger_load_sql, ELEMENTSOF(values),
                                          values, LEDGER_STATEMENT_TIMEOUT, on_loaded, b) == 0)
                return true;
        free(b);
        return false;
}

void ledger_load_dirty(Ledger *l) {
        size_t at = 0;

        /* Commits first: the last of them calls again. */
        if (l->n_commits_sent > 0)
                return;
        while (send_batch(l, &at))
                ;
}
