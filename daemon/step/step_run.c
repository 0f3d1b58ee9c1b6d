/* One row's execution: a transaction under the row's role per batch, a pause between batches,
 * progress after each commit, and what a failure means. Every kind goes through here. */
#include <errno.h>

#include "number.h"
#include "step_kinds.h"
#include "steps.h"

#define STEP_PAUSE (10 * USEC_PER_MSEC) /* between batches */
#define STEP_GRACE                                                                                 \
        USEC_PER_MINUTE /* ours over the server's limit: other services' batches take their turn   \
                           on the same connection */
#define STEP_BATCH_TRIES 5 /* of one batch, before the row is put back */
#define STEP_STALLS_MAX 5  /* batches in a row that picked rows and deleted none */

typedef enum Stage {
        STAGE_LIMITS,
        STAGE_ROLE,
        STAGE_ASK,
        STAGE_STATEMENT,
        STAGE_RESET,
        STAGE_ENDED,
        STAGE_COMMIT
} Stage;

struct StepRun {
        Loop *loop;
        Pg *pg;
        const StepKind *kind;
        StepStatement statement;
        char *values[SQL_PARAMETERS_MAX + STEP_OWN_PARAMETERS_MAX]; /* as bound */
        size_t n_values;
        char *operation, number[STEP_NUMBER_SIZE]; /* of the row */
        const char *ended_sql;
        StepDoneCallback done;
        StepProgressCallback progress;
        void *userdata;
        LoopTimer *timer;
        PgTransaction *transaction;
        Stage stage;
        bool waiting; /* a callback of pg is to come */
        bool cancelled;
        bool first_done;
        bool asked;
        char *after;       /* key reached by committed batches */
        char *after_order; /* of a run before this one */
        char *next_after;  /* by the batch that is not committed yet */
        uint64_t deleted, picked_now, deleted_now;
        unsigned tries, stalls;
        uint64_t seed;
};

static StepRun *run_free(StepRun *r) {
        if (!r)
                return NULL;
        loop_timer_free(r->timer);
        step_statement_done(&r->statement);
        for (size_t i = 0; i < r->n_values; i++)
                free(r->values[i]);
        free(r->operation);
        free(r->after);
        free(r->after_order);
        free(r->next_after);
        free(r);
        return NULL;
}

StepRun *step_cancel(StepRun *r) {
        if (!r)
                return NULL;
        r->cancelled = true;
        loop_timer_set(r->timer, USEC_INFINITY);
        /* The callback that is to come ends the transaction and frees. */
        return r->waiting ? NULL : run_free(r);
}

/* Says the result and ends the run. */
static void finish(StepRun *r, StepResult result, const char *words) {
        if (!r->cancelled)
                r->done(r->userdata, result, words);
        run_free(r);
}

/* 12400 as "12,400". */
static void add_count(StrBuf *b, uint64_t n) {
        STRBUF(digits, 32);

        strbuf_add_u64(&digits, n);
        for (size_t i = 0; i < digits.length; i++) {
                if (i > 0 && (digits.length - i) % 3 == 0)
                        strbuf_add_char(b, ',');
                strbuf_add_char(b, digits.text[i]);
        }
}

static void write_done(uint64_t rows, StrBuf *b) {
        add_count(b, rows);
        strbuf_add(b, rows == 1 ? " row" : " rows");
}

static void finish_done(StepRun *r) {
        STRBUF(words, 64);

        write_done(r->deleted, &words);
        finish(r, STEP_DONE, words.text);
}

static void write_failure(const StepRun *r, const PgFailure *failure, StrBuf *b) {
        strbuf_add(b, r->kind->name);
        strbuf_add(b, " as role ");
        strbuf_add_escaped(b, r->statement.role, strlen(r->statement.role));
        strbuf_add(b, ": ");
        strbuf_add_escaped(b, failure->message, strlen(failure->message));
        if (failure->sqlstate[0]) {
                strbuf_add(b, " (");
                strbuf_add(b, failure->sqlstate);
                strbuf_add(b, ")");
        }
        if (r->stage == STAGE_ROLE && streq(failure->sqlstate, "42501")) {
                strbuf_add(b, "; GRANT ");
                strbuf_add_escaped(b, r->statement.role, strlen(r->statement.role));
                strbuf_add(b, " TO the daemon's role");
        }
}

static void give_up(StepRun *r, const PgFailure *failure) {
        bool ledgers = r->stage == STAGE_RESET ||
                       r->stage == STAGE_ENDED; /* the step itself went well */
        StepResult result = ledgers ? STEP_RETRY : STEP_FAILED;
        STRBUF(words, 1024);

        switch (failure->error) {
        case PG_RETRY:
                if (r->statement.batch > 0 && ++r->tries < STEP_BATCH_TRIES) {
                        loop_timer_set(r->timer,
                                       usec_add(loop_now(r->loop),
                                                step_retry_delay(r->tries - 1, &r->seed)));
                        return;
                }
                result = STEP_RETRY;
                break;
        case PG_HOLD:
        case PG_LOST:
        case PG_IN_DOUBT:
        case PG_TIMEOUT:
                result = STEP_RETRY;
                break;
        case PG_OK:
        case PG_CONFIGURATION:
        case PG_REFUSED:
        case _PG_ERROR_MAX:
                break;
        }
        write_failure(r, failure, &words);
        finish(r, result, words.text);
}

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

static void say_progress(StepRun *r) {
        Json *progress = json_new_object();
        char *text = NULL;

        if (progress) {
                if (r->statement.keyset) {
                        json_set_text(progress, "after", r->after);
                        json_set_text(progress, "order", r->statement.order);
                }
                json_set_u64(progress, "deleted", r->deleted);
                text = json_text(progress);
        }
        /* Without memory the next batch says it: progress only shortens a resume. */
        if (text)
                r->progress(r->userdata, text);
        free(text);
        json_free(progress);
}

static bool is_over(const StepRun *r, bool was_first) {
        if (was_first)
                return false;
        if (r->statement.batch == 0)
                return true;
        if (r->statement.keyset)
                return !r->next_after;
        return r->picked_now < r->statement.batch && r->picked_now == r->deleted_now;
}

static void on_committed(StepRun *r) {
        bool was_first = r->statement.first_sql && !r->first_done;
        bool over = is_over(r, was_first);

        r->first_done = true;
        r->tries = 0;
        r->deleted += r->deleted_now;
        r->stalls = r->picked_now > 0 && r->deleted_now == 0 ? r->stalls + 1 : 0;
        if (r->next_after) {
                free(r->after);
                r->after = TAKE_PTR(r->next_after);
        }
        if (over) {
                finish_done(r);
                return;
        }
        if (r->stalls >= STEP_STALLS_MAX) {
                finish(r, STEP_RETRY, "the rows change faster than they can be deleted");
                return;
        }
        loop_timer_set(r->timer, usec_add(loop_now(r->loop), STEP_PAUSE));
        if (!was_first)
                say_progress(r);
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

        write_done(r->deleted_now, &words);
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
        give_up(r, &broken);
}

/* An earlier run, whose answer was lost, ended it: this one's doing is taken back. */
static void take_back(StepRun *r) {
        r->waiting = false;
        abandon(r);
        finish(r, STEP_DONE, "ended by an earlier attempt");
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
                on_committed(r);
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
                run_free(r);
        else
                give_up(r, failure);
}

static void on_begun(void *userdata, PgTransaction *t, const PgFailure *failure) {
        StepRun *r = userdata;

        r->waiting = false;
        r->transaction = t;
        if (r->cancelled) {
                abandon(r);
                run_free(r);
        } else if (failure->error != PG_OK) {
                r->transaction = NULL;
                r->stage = STAGE_LIMITS;
                give_up(r, failure);
        } else {
                r->waiting = true;
                send_limits(r);
        }
}

static void on_turn(void *userdata, _unused_ usec_t now) {
        StepRun *r = userdata;
        int k;

        r->waiting = true;
        k = pg_begin(r->pg, r->statement.timeout + STEP_GRACE, on_begun, r);
        if (k < 0) {
                r->waiting = false;
                finish(r, STEP_RETRY,
                       k == -ENOTCONN ? "the database cannot be reached" :
                                        "the database's queue is full");
        }
}

/* Copies the values that are bound at every turn; the key to go on after is not among them. */
static int copy_values(StepRun *r, const StepParameters *parameters, StrBuf *reterr) {
        for (size_t i = 0; i < r->statement.n_parameters; i++) {
                char number[STEP_NUMBER_SIZE];
                const char *value = step_parameter_value(parameters, r->statement.parameters[i],
                                                         number);

                if (!value) {
                        strbuf_add(reterr, "the operation does not say :");
                        strbuf_add(reterr, sql_parameter_to_string(r->statement.parameters[i]));
                        return -EINVAL;
                }
                if (step_copy(value, &r->values[r->n_values], reterr) < 0)
                        return -EINVAL;
                r->n_values++;
        }
        for (size_t i = 0; i < r->statement.n_own; i++)
                r->values[r->n_values++] = TAKE_PTR(r->statement.own[i]);
        return 0;
}

static int resume(StepRun *r, const Json *progress, StrBuf *reterr) {
        const char *after = progress ? json_get_text(progress, "after", NULL) : NULL;
        const char *order = progress ? json_get_text(progress, "order", "") : NULL;
        int64_t deleted = progress ? json_get_i64(progress, "deleted", 0) : 0;

        r->deleted = deleted > 0 ? (uint64_t)deleted : 0;
        if (!after)
                return 0;
        r->first_done = true;
        return step_copy(after, &r->after, reterr) < 0 ||
                               step_copy(order, &r->after_order, reterr) < 0 ?
                       -EINVAL :
                       0;
}

static int keep_row(StepRun *r, const StepRow *row, StrBuf *reterr) {
        StrBuf number;

        strbuf_init(&number, r->number, sizeof r->number);
        strbuf_add_u64(&number, row->n);
        r->ended_sql = row->ended_sql;
        return step_copy(row->parameters.operation, &r->operation, reterr) < 0 ? -EINVAL : 0;
}

int step_start(StepRun **ret, Loop *loop, Pg *pg, const StepRow *row, StepDoneCallback done,
               StepProgressCallback progress, void *userdata, StrBuf *reterr) {
        STRBUF(role, 1024);
        StepRun *r = calloc(1, sizeof *r);
        int k = -EINVAL;

        if (!r) {
                strbuf_add(reterr, "out of memory");
                return -EINVAL;
        }
        *r = (StepRun){
                .loop = loop, .pg = pg, .done = done, .progress = progress, .userdata = userdata
        };
        r->seed = loop_now(loop) ^ (uintptr_t)r;
        if (step_statement_build(row->kind, row->spec, &r->statement, reterr) < 0)
                goto finish;
        r->kind = step_kind_find(row->kind);
        if (pg_quote_identifier(r->statement.role, &role) < 0 || role.overflow) {
                strbuf_add(reterr, "\"role\" is not the name of a role");
                goto finish;
        }
        if (copy_values(r, &row->parameters, reterr) < 0 || resume(r, row->progress, reterr) < 0 ||
            keep_row(r, row, reterr) < 0)
                goto finish;
        if (loop_add_timer(loop, on_turn, r, "step", &r->timer) < 0) {
                strbuf_add(reterr, "no timer can be made");
                goto finish;
        }
        loop_timer_set(r->timer, loop_now(loop));
        *ret = TAKE_PTR(r);
        k = 0;
finish:
        run_free(r);
        return k;
}
