/* One bounded queue for what must reach the ledger and for claims, one call at a time and in order:
 * a claim thus sees every result that was given before it. All writes may be repeated. */
#include "ledger_internal.h"

#include <errno.h>

#define QUEUE_DELAY_MAX (15 * USEC_PER_SEC)
#define QUEUE_TRIES_MAX 20 /* of a write whose error a person must mend */

LedgerCall *ledger_call_new(const char *what, const char *sql, size_t n,
                            const char *const values[]) {
        LedgerCall *c = calloc(1, sizeof *c);

        if (!c)
                return NULL;
        *c = (LedgerCall){ .what = what, .sql = sql, .n_values = n };
        for (size_t i = 0; i < n; i++) {
                if (!values[i])
                        continue;
                c->values[i] = strdup(values[i]);
                if (!c->values[i]) {
                        for (size_t j = 0; j < i; j++)
                                free(c->values[j]);
                        free(c);
                        return NULL;
                }
        }
        return c;
}

static void call_free(LedgerCall *c) {
        for (size_t i = 0; i < c->n_values; i++)
                free(c->values[i]);
        free(c);
}

int ledger_enqueue(Ledger *l, LedgerCall *c) {
        if (!c)
                return -ENOMEM;
        if (l->stopping && !c->must) {
                call_free(c);
                return -ECANCELED;
        }
        if (l->n_queued >= LEDGER_QUEUE_MAX) {
                call_free(c);
                return -EAGAIN;
        }
        *l->tail = c;
        l->tail = &c->next;
        l->n_queued++;
        ledger_queue_pump(l);
        return 0;
}

static LedgerCall *pop(Ledger *l) {
        LedgerCall *c = l->head;

        l->head = c->next;
        if (!l->head)
                l->tail = &l->head;
        l->n_queued--;
        return c;
}

/* Ends the head with its answer. */
static void end_head(Ledger *l, const PgFailure *failure, const PgResult *result) {
        LedgerCall *c = pop(l);

        if (c->answer)
                c->answer(l, c, failure, result);
        if (c->must)
                ledger_recent_soon(l);
        call_free(c);
        ledger_queue_pump(l);
}

static void try_again(Ledger *l, LedgerCall *c) {
        usec_t span = c->tries < 5 ? (USEC_PER_SEC / 2) << c->tries : QUEUE_DELAY_MAX;

        c->tries++;
        loop_timer_set(l->queue_timer, usec_add(loop_now(l->loop), usec_jitter(span, &l->seed)));
}

/* Whether a failed write is to be sent again. What the ledger refused is answered; what a person
 * must mend is told, tried for some minutes, and then given up so that it does not keep the others.
 */
static bool is_wanted(Ledger *l, LedgerCall *c, const PgFailure *failure) {
        if (!c->must)
                return false;
        switch (failure->error) {
        case PG_RETRY:
        case PG_HOLD:
        case PG_LOST:
        case PG_IN_DOUBT:
        case PG_TIMEOUT:
                return true;
        case PG_CONFIGURATION:
                if (!c->told && c->tries + 1 < QUEUE_TRIES_MAX) {
                        c->told = true;
                        ledger_tell_trouble(l, c->what, c->values[0], failure);
                }
                if (c->tries + 1 < QUEUE_TRIES_MAX)
                        return true;
                break;
        case PG_OK:
        case PG_REFUSED:
        case _PG_ERROR_MAX:
                break;
        }
        ledger_tell_trouble(l, c->what, c->values[0], failure);
        return false;
}

static void on_answer(void *userdata, const PgFailure *failure, const PgResult *result) {
        Ledger *l = userdata;

        if (l->closing)
                return;
        l->in_flight = false;
        if (failure->error != PG_OK && is_wanted(l, l->head, failure))
                try_again(l, l->head);
        else
                end_head(l, failure, result);
}

void ledger_queue_pump(Ledger *l) {
        LedgerCall *c = l->head;
        int r;

        /* Commits first: the last of them calls again. */
        if (!l->up || l->in_flight || !c || l->n_commits_sent > 0)
                return;
        l->in_flight = true;
        loop_timer_set(l->queue_timer, USEC_INFINITY);
        r = pg_query_prepared(l->pg, c->what, c->sql, c->n_values, (const char *const *)c->values,
                              LEDGER_STATEMENT_TIMEOUT, on_answer, l);
        if (r < 0) {
                l->in_flight = false;
                try_again(l, c);
        }
}

void ledger_queue_free(Ledger *l) {
        while (l->head)
                call_free(pop(l));
}

void ledger_queue_drop_claims(Ledger *l) {
        LedgerCall **place = l->in_flight ? &l->head->next : &l->head;

        while (*place) {
                LedgerCall *c = *place;

                if (c->must) {
                        place = &c->next;
                        continue;
                }
                *place = c->next;
                l->n_queued--;
                call_free(c);
        }
        l->tail = place;
}

size_t ledger_queue_under_way(const Ledger *l) {
        bool stuck = l->head && l->head->told;
        size_t n = l->n_progress;

        for (const LedgerCall *c = l->head; c && !stuck; c = c->next)
                n += c->must || (c == l->head && l->in_flight);
        return n;
}

static int enqueue_write(Ledger *l, LedgerCall *c) {
        if (c)
                c->must = true;
        return ledger_enqueue(l, c);
}

int ledger_move_operation(Ledger *l, const char *id, OperationState state, const char *detail,
                          const char *fields) {
        const char *const values[] = { id, operation_state_to_string(state), detail, fields };

        return enqueue_write(
                l,
                ledger_call_new(
                        "move_operation",
                        "SELECT rollbackd.move_operation($1::uuid, $2::text, $3::text, $4::jsonb)",
                        ELEMENTSOF(values), values));
}

int ledger_record_event(Ledger *l, const char *id, const char *service, const char *kind,
                        const char *operation, const char *actor, const char *fields) {
        const char *const values[] = { service, kind, operation, actor, fields, id };

        return enqueue_write(l, ledger_call_new("record_event",
                                                "SELECT rollbackd.record_event($1::text, $2::text, "
                                                "$3::uuid, $4::text, $5::jsonb, $6::uuid)",
                                                ELEMENTSOF(values), values));
}

int ledger_earn_stable(Ledger *l, const char *service, uint64_t epoch) {
        STRBUF(number, 24);
        const char *const values[] = { service, number.text };

        strbuf_add_u64(&number, epoch);
        return enqueue_write(l, ledger_call_new("earn_stable",
                                                "SELECT rollbackd.earn_stable($1::text, $2::int8)",
                                                ELEMENTSOF(values), values));
}

int ledger_put_subscribers(Ledger *l, const char *service, const char *entries) {
        const char *const values[] = { service, entries };

        return enqueue_write(
                l, ledger_call_new("put_subscribers",
                                   "SELECT rollbackd.put_subscribers($1::text, $2::jsonb)",
                                   ELEMENTSOF(values), values));
}

/* Names of types in full, for the search path may be another's. */
const char ledger_step_ended_sql[] = "SELECT rollbackd.step_result($1::pg_catalog.uuid, "
                                     "$2::pg_catalog.int4, 'done', $3::pg_catalog.text)";

int ledger_step_result(Ledger *l, const char *operation, unsigned n, const char *state,
                       const char *error, usec_t retry_in) {
        char interval[LEDGER_INTERVAL_SIZE];
        STRBUF(number, 24);
        const char *const values[] = { operation, number.text, state, error,
                                       streq(state, "retry") ? ledger_interval(retry_in, interval) :
                                                               NULL };

        strbuf_add_u64(&number, n);
        return enqueue_write(l, ledger_call_new("step_result",
                                                "SELECT rollbackd.step_result($1::uuid, $2::int, "
                                                "$3::text, $4::text, $5::interval)",
                                                ELEMENTSOF(values), values));
}

int ledger_delivery_result(Ledger *l, const char *id, const char *state, usec_t retry_in,
                           const char *error) {
        char interval[LEDGER_INTERVAL_SIZE];
        const char *const values[] = {
                id, state, streq(state, "retry") ? ledger_interval(retry_in, interval) : NULL, error
        };

        return enqueue_write(l, ledger_call_new("delivery_result",
                                                "SELECT rollbackd.delivery_result($1::uuid, "
                                                "$2::text, $3::interval, $4::text)",
                                                ELEMENTSOF(values), values));
}
