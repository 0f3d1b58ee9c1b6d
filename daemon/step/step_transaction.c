/* One transaction of a row, under the row's role: which statement follows which answer, and how it
 * ends without a commit. */
#include <errno.h>

#include "number.h"
#include "step_run_internal.h"

/* Ours over the server's limit: other services' batches take their turn on the same connection. */
#define STEP_GRACE USEC_PER_MINUTE

static int parse_cell(const PgResult *result, size_t column, uint64_t *ret) {
        const char *cell = pg_cell(result, 0, column);

        return cell ? number_parse_u64(cell, strlen(cell), ret) : -EINVAL;
}

/* Keeps what the statement answered until it is committed. Returns 0, -EINVAL or -ENOMEM. */
static int keep_answer(StepRun *r, const PgResult *result) {
        const char *key;
        int k;

        if (r->statement.batch == 0) {
                r->picked_now = r->deleted_now = pg_affected(result);
                return 0;
        }
        k = parse_cell(result, 0, &r->picked_now);
        if (k == 0)
                k = parse_cell(result, 1, &r->deleted_now);
        if (k < 0)
                return k;
        key = pg_cell(result, 0, 2);
        free(r->next_after);
        r->next_after = key ? strdup(key) : NULL;
        return key && !r->next_after ? -ENOMEM : 0;
}

static void on_answer(void *userdata, const PgFailure *failure, const PgResult *result);

static void send_limits(StepRun *r) {
        STRBUF(timeout, 32);
        const char *values[1] = { timeout.text };

        strbuf_add_u64(&timeout, r->statement.timeout / USEC_PER_MSEC);
        r->stage = STAGE_LIMITS;
        pg_transaction_query(r->transaction,
                             "SELECT pg_catalog.set_config('statement_timeout', $1::text, true)", 1,
                             values, on_answer, r);
}

static void send_role(StepRun *r) {
        STRBUF(sql, 1024);

        r->stage = STAGE_ROLE;
        strbuf_add(&sql, "SET LOCAL ROLE ");
        /* step_start() has quoted it once with success. */
        (void)!pg_quote_identifier(r->statement.role, &sql);
        pg_transaction_query(r->transaction, sql.text, 0, NULL, on_answer, r);
}

static void send_ask(StepRun *r) {
        const char *values[STEP_OWN_PARAMETERS_MAX] = { r->statement.ask_own[0],
                                                        r->statement.ask_own[1] };

        r->stage = STAGE_ASK;
        pg_transaction_query(r->transaction, r->statement.ask_sql, STEP_OWN_PARAMETERS_MAX, values,
                             on_answer, r);
}

/* A key that an earlier run reached in another order says nothing: then it begins anew, which only
 * costs time. */
static int learn(StepRun *r, const PgResult *result) {
        STRBUF(words, 256);

        if (r->kind->learn(&r->statement, pg_cell(result, 0, 0), pg_cell(result, 0, 1), &words) < 0)
                return -EINVAL;
        r->asked = true;
        if (r->after && (!r->after_order || !streq(r->after_order, r->statement.order)))
                free(TAKE_PTR(r->after));
        return 0;
}

static void send_statement(StepRun *r) {
        const char *values[SQL_PARAMETERS_MAX + STEP_OWN_PARAMETERS_MAX];
        const char *first[1] = { r->statement.first_own };

        r->stage = STAGE_STATEMENT;
        if (r->statement.first_sql && !r->first_done) {
                pg_transaction_query(r->transaction, r->statement.first_sql, 1, first, on_answer,
                                     r);
                return;
        }
        for (size_t i = 0; i < r->n_values; i++)
                values[i] = r->values[i];
        if (r->statement.keyset)
                values[r->n_values - 1] = r->after;
        pg_transaction_query(r->transaction, r->statement.sql, r->n_values, values, on_answer, r);
}

/* The role's own rights and search path end at the statement. */
static void send_reset(StepRun *r) {
        r->stage = STAGE_RESET;
        pg_transaction_query(r->transaction, "RESET ROLE", 0, NULL, on_answer, r);
}

static void send_ended(StepRun *r) {
        STRBUF(words, 64);
        const char *values[] = { r->operation, r->number, words.text };

        step_run_write_done(r->deleted_now, &words);
        r->stage = STAGE_ENDED;
        pg_transaction_query(r->transaction, r->ended_sql, ELEMENTSOF(values), values, on_answer,
                             r);
}

static void send_commit(StepRun *r) {
        PgTransaction *t = TAKE_PTR(r->transaction);

        r->stage = STAGE_COMMIT;
        pg_transaction_commit(t, on_answer, r);
}

/* Ends the transaction of a run that is cancelled or has failed. A lost connection has ended it
 * already; rolling back is then without effect. */
static void abandon(StepRun *r) {
        if (r->transaction)
                pg_transaction_rollback(TAKE_PTR(r->transaction));
}

static void refuse_answer(StepRun *r) {
        static const PgFailure broken = {
                .error = PG_REFUSED, .message = "the batch's answer cannot be read; report it"
        };

        r->waiting = false;
        abandon(r);
        step_run_give_up(r, &broken);
}

/* An earlier run, whose answer was lost, ended it: this one's doing is taken back. */
static void take_back(StepRun *r) {
        r->waiting = false;
        abandon(r);
        step_run_finish(r, STEP_DONE, "ended by an earlier attempt");
}

static void send_next(StepRun *r, const PgResult *result) {
        r->waiting = true;
        switch (r->stage) {
        case STAGE_LIMITS:
                send_role(r);
                return;
        case STAGE_ROLE:
                if (r->statement.ask_sql && !r->asked)
                        send_ask(r);
                else
                        send_statement(r);
                return;
        case STAGE_ASK:
                if (learn(r, result) == 0)
                        send_statement(r);
                else
                        refuse_answer(r);
                return;
        case STAGE_STATEMENT:
                if (keep_answer(r, result) < 0)
                        refuse_answer(r);
                else if (r->ended_sql && r->statement.batch == 0)
                        send_reset(r);
                else
                        send_commit(r);
                return;
        case STAGE_RESET:
                send_ended(r);
                return;
        case STAGE_ENDED:
                if (streq(pg_cell(result, 0, 0) ?: "", "t"))
                        send_commit(r);
                else
                        take_back(r);
                return;
        case STAGE_COMMIT:
                r->waiting = false;
                step_run_on_committed(r);
                return;
        }
}

static void on_answer(void *userdata, const PgFailure *failure, const PgResult *result) {
        StepRun *r = userdata;

        r->waiting = false;
        if (failure->error == PG_OK && !r->cancelled) {
                send_next(r, result);
                return;
        }
        abandon(r);
        if (r->cancelled)
                step_run_free(r);
        else
                step_run_give_up(r, failure);
}

static void on_begun(void *userdata, PgTransaction *t, const PgFailure *failure) {
        StepRun *r = userdata;

        r->waiting = false;
        r->transaction = t;
        if (r->cancelled) {
                abandon(r);
                step_run_free(r);
        } else if (r->stopped)
                abandon(r);
        else if (failure->error != PG_OK) {
                r->transaction = NULL;
                r->stage = STAGE_LIMITS;
                step_run_give_up(r, failure);
        } else {
                r->waiting = true;
                send_limits(r);
        }
}

void step_run_on_turn(void *userdata, _unused_ usec_t now) {
        StepRun *r = userdata;
        int k;

        if (r->stopped)
                return;
        r->waiting = true;
        k = pg_begin(r->pg, r->statement.timeout + STEP_GRACE, on_begun, r);
        if (k < 0) {
                r->waiting = false;
                step_run_finish(r, STEP_RETRY,
                                k == -ENOTCONN ? "the database cannot be reached" :
                                                 "the database's queue is full");
        }
}
