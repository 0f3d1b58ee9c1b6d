/* The policy's atomic statements inside the short transaction, each in a savepoint and under its
 * role. After an error ROLLBACK TO comes first: it also takes the role back. */
#include "atomic_sql.h"
#include "commit_internal.h"

#define ATOMIC_TRIES 3 /* of a statement whose error aborts */

static const CommitStep *step_of(const LedgerCommit *c) {
        return &c->steps[c->step];
}

static void send_savepoint(LedgerCommit *c) {
        if (c->step == c->n_steps)
                commit_send(c, COMMIT_COMMIT, NULL, 0, NULL);
        else {
                c->step_failed = false;
                commit_send(c, COMMIT_SAVEPOINT, atomic_savepoint_sql, 0, NULL);
        }
}

static bool wants_released_at(const LedgerCommit *c) {
        for (size_t i = 0; i < c->n_steps; i++)
                for (size_t j = 0; j < c->steps[i].n_values; j++)
                        if (!c->steps[i].values[j])
                                return true;
        return false;
}

void commit_run_steps(LedgerCommit *c) {
        c->step = 0;
        commit_send(c, COMMIT_CONSTRAINTS, atomic_constraints_sql, 0, NULL);
}

static void send_released_at(LedgerCommit *c) {
        STRBUF(epoch, 24);
        const char *values[] = { c->service, epoch.text };

        if (!wants_released_at(c)) {
                send_savepoint(c);
                return;
        }
        strbuf_add_u64(&epoch, c->from_epoch);
        commit_send(c, COMMIT_RELEASED_AT, atomic_released_at_sql, ELEMENTSOF(values), values);
}

static void take_released_at(LedgerCommit *c, const PgResult *result) {
        static const PgFailure none = {
                .error = PG_CONFIGURATION,
                .message = "the ledger does not say when the release that is left began"
        };
        const char *at = pg_rows(result) == 1 ? pg_value(result, 0, "at") : NULL;

        if (!at || strlen(at) >= sizeof c->released_at) {
                commit_failed(c, &none, false);
                return;
        }
        memcpy(c->released_at, at, strlen(at) + 1);
        send_savepoint(c);
}

static void write_step_words(const LedgerCommit *c, const PgFailure *failure, StrBuf *b) {
        const CommitStep *s = step_of(c);

        strbuf_add(b, "step ");
        strbuf_add_u64(b, s->n);
        strbuf_add(b, " as role ");
        strbuf_add_escaped(b, s->role, strlen(s->role));
        strbuf_add(b, ": ");
        strbuf_add_escaped(b, failure->message, strlen(failure->message));
        if (failure->sqlstate[0]) {
                strbuf_add(b, " (");
                strbuf_add(b, failure->sqlstate);
                strbuf_add(b, ")");
        }
}

/* on_error = "abort": three tries of the whole transaction. "continue": the pointer still moves,
 * and the error is recorded. */
static void step_broke(LedgerCommit *c, const PgFailure *failure) {
        StrBuf b;

        strbuf_init(&b, c->words, sizeof c->words);
        write_step_words(c, failure, &b);
        c->step_failed = true;
        if (!step_of(c)->abort_on_error)
                commit_send(c, COMMIT_UNDO, atomic_undo_sql, 0, NULL);
        else if (++c->aborts < ATOMIC_TRIES)
                commit_try_later(c);
        else {
                commit_rollback(c);
                commit_finish(c, COMMIT_FAILED, 0, c->words);
        }
}

static void send_role(LedgerCommit *c) {
        static const PgFailure bad_role = { .error = PG_CONFIGURATION,
                                            .message = "the role's name cannot be quoted" };
        STRBUF(sql, 1024);

        if (atomic_add_role(step_of(c)->role, &sql) < 0)
                step_broke(c, &bad_role);
        else
                commit_send(c, COMMIT_ROLE, sql.text, 0, NULL);
}

static void send_statement(LedgerCommit *c) {
        static const PgFailure too_many = {
                .error = PG_CONFIGURATION, .message = "more parameters than a statement may have"
        };
        const CommitStep *s = step_of(c);
        const char *values[64];

        if (s->n_values > ELEMENTSOF(values)) {
                step_broke(c, &too_many);
                return;
        }
        for (size_t i = 0; i < s->n_values; i++)
                values[i] = s->values[i] ? s->values[i] : c->released_at;
        commit_send(c, COMMIT_STATEMENT, s->statement, s->n_values, values);
}

static void send_result(LedgerCommit *c) {
        STRBUF(n, 24);
        const char *values[] = { c->values[0], n.text, c->step_failed ? "failed" : "done",
                                 c->step_failed ? c->words : NULL };

        strbuf_add_u64(&n, step_of(c)->n);
        commit_send(c, COMMIT_RESULT,
                    "SELECT rollbackd.atomic_result($1::uuid, $2::int, $3::text, $4::text)",
                    ELEMENTSOF(values), values);
}

/* The server's own answer to the policy's statement, not a connection that broke. */
static bool is_the_steps_own(const LedgerCommit *c, const PgFailure *failure) {
        bool gone = failure->error == PG_LOST || failure->error == PG_IN_DOUBT ||
                    failure->error == PG_TIMEOUT || strncmp(failure->sqlstate, "57P", 3) == 0 ||
                    strncmp(failure->sqlstate, "08", 2) == 0;

        return !gone && (c->stage == COMMIT_ROLE || c->stage == COMMIT_STATEMENT);
}

void commit_step_answer(LedgerCommit *c, const PgFailure *failure, const PgResult *result) {
        if (failure->error != PG_OK) {
                if (is_the_steps_own(c, failure))
                        step_broke(c, failure);
                else
                        commit_failed(c, failure, c->stage == COMMIT_COMMIT);
                return;
        }
        switch (c->stage) {
        case COMMIT_CALL:
                break;
        case COMMIT_CONSTRAINTS:
                send_released_at(c);
                break;
        case COMMIT_RELEASED_AT:
                take_released_at(c, result);
                break;
        case COMMIT_SAVEPOINT:
                send_role(c);
                break;
        case COMMIT_ROLE:
                send_statement(c);
                break;
        case COMMIT_STATEMENT:
                commit_send(c, COMMIT_RESET, atomic_reset_sql, 0, NULL);
                break;
        case COMMIT_RESET:
        case COMMIT_UNDO:
                send_result(c);
                break;
        case COMMIT_RESULT:
                c->step++;
                send_savepoint(c);
                break;
        case COMMIT_COMMIT:
                commit_finish(c, COMMIT_DONE, c->epoch, c->detail);
                break;
        }
}
