/* The poll: a net for what nobody told us, and a sign that we are there. A loop at rest is woken by
 * it twice, for the question and for the answer, which is why it is one statement: facts, the
 * heartbeat, when a delivery is due, and hashes of the lists, which are read when they changed. */
#include "ledger_internal.h"

#include <stdlib.h>

/* One row at least, whatever load() answers. */
static const char poll_sql[] =
        "SELECT l.*, p.* FROM (SELECT s.version AS schema_version, s.oldest_daemon, "
        "rollbackd.observer_seen($4::text, $5::text, $6::int), "
        "rollbackd.next_delivery_in() AS next_delivery, "
        "(SELECT hash FROM (" LEDGER_OPERATIONS ") o) || ' ' || "
        "(SELECT hash FROM (" LEDGER_EVENTS ") e) AS lists FROM rollbackd.schema s) p "
        "LEFT JOIN rollbackd.load($1::text[], $2::interval[], $3::interval[]) l ON true";

void ledger_poll_later(Ledger *l) {
        loop_timer_set_within(l->poll_timer, usec_add(loop_now(l->loop), LEDGER_POLL),
                              LEDGER_POLL_SLACK);
}

/* The same in statements of their own, so that one that fails takes no other with it, and is told
 * under its own name. */
static void ask_one_by_one(Ledger *l) {
        loop_timer_set(l->poll_timer, usec_add(loop_now(l->loop), LEDGER_POLL_AGAIN));
        ledger_mark_all(l);
        ledger_load_dirty(l);
        ledger_recent_soon(l);
        ledger_heartbeat(l);
}

static void look_at_lists(Ledger *l, const char *lists) {
        if (!streq(lists, l->lists))
                ledger_recent_soon(l);
        /* A drill that ends is an event. */
        if (!l->drills_known || !streq(lists, l->drills_lists))
                ledger_ask_drills(l);
}

static void tell_next_delivery(Ledger *l, const char *cell) {
        usec_t next = USEC_INFINITY;

        if (cell && ledger_parse_seconds(cell, &next) < 0) {
                PgFailure f = ledger_unreadable("next_delivery_in() cannot be read", cell);
                ledger_tell_trouble(l, "deliveries", NULL, &f);
        } else if (l->owner.on_next_delivery)
                l->owner.on_next_delivery(l->owner.userdata, next);
}

static void on_polled(void *userdata, const PgFailure *failure, const PgResult *result) {
        _cleanup_(freep) LedgerBatch *b = userdata;
        Ledger *l = b->ledger;

        if (l->closing || !l->up)
                return;
        if (failure->error != PG_OK) {
                ask_one_by_one(l);
                return;
        }
        if (!ledger_heartbeat_taken(l, pg_value(result, 0, "schema_version"),
                                    pg_value(result, 0, "oldest_daemon")))
                return;
        ledger_batch_give(b, result);
        look_at_lists(l, pg_value(result, 0, "lists") ?: "");
        tell_next_delivery(l, pg_value(result, 0, "next_delivery"));
}

static bool send_poll(Ledger *l) {
        size_t at = 0;
        LedgerBatch *b = ledger_batch_new(l, &at);
        STRBUF(schema, 24);
        const char *values[] = { NULL, NULL, NULL, l->host, ROLLBACKD_VERSION, schema.text };

        if (!b)
                return false;
        strbuf_add_u64(&schema, LEDGER_SCHEMA);
        values[0] = b->names;
        values[1] = b->cooldowns;
        values[2] = b->periods;
        if (pg_query_prepared(l->pg, "poll", poll_sql, ELEMENTSOF(values), values,
                              LEDGER_STATEMENT_TIMEOUT, on_polled, b) == 0)
                return true;
        free(b);
        return false;
}

void ledger_on_poll_timer(void *userdata, _unused_ usec_t now) {
        Ledger *l = userdata;

        /* Once it is up again, everything is read and the timer is armed. */
        if (!l->up)
                return;
        ledger_poll_later(l);
        ledger_mark_all(l);
        /* Commits first: what is asked one by one waits for them. */
        if (l->n_commits_sent > 0 || !send_poll(l)) {
                ask_one_by_one(l);
                return;
        }
        /* Of more services than one statement takes. */
        ledger_load_dirty(l);
}
