/* The short transaction: asked, waited for, and in doubt asked again with the same operation id,
 * whose first look is for that id under the service's lock. */
#include "commit_internal.h"

#include <errno.h>

#define COMMIT_WANTED (30 * USEC_PER_SEC) /* later the evidence is too old to act on */
/* Of one atomic statement; the server stops it after 5 s. */
#define COMMIT_STEP_TIME (6 * USEC_PER_SEC)
#define COMMIT_DELAY_MAX (5 * USEC_PER_SEC)
#define COMMIT_DELAY_MIN (20 * USEC_PER_MSEC)

static const char commit_sql[] =
        "SELECT result, detail, epoch FROM rollbackd.commit_operation($1::uuid, $2::text, "
        "$3::text, $4::text, $5::int8, $6::text, "
        "$7::boolean, $8::text, $9::text, $10::text, $11::jsonb, $12::interval, $13::int, "
        "$14::interval, $15::text[], $16::jsonb)";

static void attempt(LedgerCommit *c);

void ledger_commits_free(Ledger *l) {
        while (l->commits) {
                LedgerCommit *c = l->commits;
                l->commits = c->next;
                commit_free(c);
        }
}

/* Gives the connection to the commit that has waited longest (new ones stand in front), and after
 * the last one to everybody else. Also called for a commit that had no place there, for it may be
 * the one that was called. */
static void leave_connection(LedgerCommit *c) {
        Ledger *l = c->ledger;
        LedgerCommit *first = NULL;

        if (c->sent)
                l->n_commits_sent--;
        c->sent = false;
        for (LedgerCommit *other = l->commits; other; other = other->next)
                if (other->queued)
                        first = other;
        if (first) {
                first->queued = false;
                loop_timer_set(first->timer, loop_now(l->loop));
        } else if (l->n_commits_sent == 0) {
                loop_timer_set(l->flush_timer, loop_now(l->loop));
                ledger_queue_pump(l);
        }
}

void commit_finish(LedgerCommit *c, CommitResult result, uint64_t epoch, const char *detail) {
        Ledger *l = c->ledger;
        LedgerCommit **p = &l->commits;

        leave_connection(c);
        while (*p != c)
                p = &(*p)->next;
        *p = c->next;
        l->n_commits--;
        c->callback(c->userdata, result, epoch, detail);
        commit_free(c);
        if (!l->closing && l->up)
                ledger_recent_soon(l);
}

void commit_rollback(LedgerCommit *c) {
        if (c->transaction)
                pg_transaction_rollback(TAKE_PTR(c->transaction));
}

static void finish_late(LedgerCommit *c) {
        STRBUF(words, 768);

        strbuf_add(&words, "ledger: ");
        strbuf_add(&words, c->words[0] ? c->words : "not asked in time");
        commit_finish(c, COMMIT_REFUSED, 0, words.text);
}

void commit_try_later(LedgerCommit *c) {
        Ledger *l = c->ledger;
        usec_t span = c->tries < 6 ? (100 * USEC_PER_MSEC) << c->tries : COMMIT_DELAY_MAX;
        usec_t at = usec_add(loop_now(l->loop), COMMIT_DELAY_MIN + usec_jitter(span, &l->seed));

        commit_rollback(c);
        leave_connection(c);
        c->tries++;
        loop_timer_set(c->timer, c->in_doubt ? at : MIN(at, c->deadline));
}

static void set_words(LedgerCommit *c, const PgFailure *failure) {
        StrBuf b;

        strbuf_init(&b, c->words, sizeof c->words);
        strbuf_add_escaped(&b, failure->message, strlen(failure->message));
        if (failure->sqlstate[0]) {
                strbuf_add(&b, " (");
                strbuf_add(&b, failure->sqlstate);
                strbuf_add(&b, ")");
        }
}

/* The connection or the server went away around the answer: it may have happened. */
static bool may_have_happened(const PgFailure *failure) {
        return failure->error == PG_IN_DOUBT || failure->error == PG_TIMEOUT ||
               strncmp(failure->sqlstate, "57P", 3) == 0 ||
               strncmp(failure->sqlstate, "08", 2) == 0;
}

static void enter_doubt(LedgerCommit *c) {
        if (c->in_doubt)
                return;
        c->in_doubt = true;
        c->callback(c->userdata, COMMIT_IN_DOUBT, 0, c->words);
}

void commit_failed(LedgerCommit *c, const PgFailure *failure, bool sent) {
        set_words(c, failure);
        if (sent && may_have_happened(failure))
                enter_doubt(c);
        if (c->in_doubt || (failure->error != PG_CONFIGURATION && failure->error != PG_REFUSED)) {
                commit_try_later(c);
                return;
        }
        commit_rollback(c);
        commit_finish(c, COMMIT_FAILED, 0, c->words);
}

/* What commit_operation() said. */
static void take_answer(LedgerCommit *c, const PgResult *result) {
        const char *answer = pg_rows(result) == 1 ? pg_value(result, 0, "result") : NULL;
        const char *detail = answer ? pg_value(result, 0, "detail") : NULL;
        uint64_t epoch = 0;
        STRBUF(words, sizeof c->detail);
        bool has_epoch = answer && ledger_parse_u64(pg_value(result, 0, "epoch"), &epoch) == 0;

        /* Copied, for ending the transaction may end the result. */
        strbuf_add(&words, detail ? detail : "");
        if (answer && has_epoch && streq(answer, "committed")) {
                c->epoch = epoch;
                memcpy(c->detail, words.text, words.length + 1);
                if (!c->transaction)
                        commit_finish(c, COMMIT_DONE, epoch, c->detail);
                else if (c->ask_only) {
                        commit_rollback(c);
                        commit_finish(c, COMMIT_REFUSED, 0,
                                      "ledger: the connection was lost at the commit, which did "
                                      "not happen; by now it is too late");
                } else
                        commit_run_steps(c);
                return;
        }
        bool replay = answer && has_epoch && streq(answer, "replay");
        bool lost = answer && streq(answer, "lost");
        bool refused = answer && streq(answer, "refused");
        commit_rollback(c);
        if (replay)
                commit_finish(c, COMMIT_DONE, epoch, words.text);
        else if (lost)
                commit_finish(c, COMMIT_LOST, epoch, words.text);
        else if (refused)
                commit_finish(c, COMMIT_REFUSED, epoch, words.text);
        else
                commit_finish(c, COMMIT_FAILED, 0,
                              "the answer of commit_operation() cannot be read; the ledger's "
                              "schema is not this rollbackd's");
}

static void on_autocommitted(void *userdata, const PgFailure *failure, const PgResult *result) {
        LedgerCommit *c = userdata;

        if (c->ledger->closing)
                return;
        c->waiting = false;
        if (failure->error == PG_OK)
                take_answer(c, result);
        else
                commit_failed(c, failure, true);
}

static void on_answer(void *userdata, const PgFailure *failure, const PgResult *result) {
        LedgerCommit *c = userdata;

        if (c->ledger->closing)
                return;
        c->waiting = false;
        if (c->stage != COMMIT_CALL)
                commit_step_answer(c, failure, result);
        else if (failure->error == PG_OK)
                take_answer(c, result);
        else
                commit_failed(c, failure, false);
}

void commit_send(LedgerCommit *c, CommitStage stage, const char *sql, size_t n,
                 const char *const values[]) {
        c->stage = stage;
        c->waiting = true;
        if (stage == COMMIT_COMMIT)
                pg_transaction_commit(TAKE_PTR(c->transaction), on_answer, c);
        else
                pg_transaction_query(c->transaction, sql, n, values, on_answer, c);
}

static void on_begun(void *userdata, PgTransaction *t, const PgFailure *failure) {
        LedgerCommit *c = userdata;

        if (c->ledger->closing)
                return;
        c->waiting = false;
        c->transaction = failure->error == PG_OK ? t : NULL;
        if (failure->error == PG_OK)
                commit_send(c, COMMIT_CALL, commit_sql, COMMIT_VALUES,
                            (const char *const *)c->values);
        else
                commit_failed(c, failure, false);
}

static void attempt(LedgerCommit *c) {
        Ledger *l = c->ledger;
        bool late = loop_now(l->loop) >= c->deadline;
        int r;

        c->queued = false;
        if (l->stopping && !c->in_doubt)
                return;
        if (late && !c->in_doubt) {
                finish_late(c);
                return;
        }
        if (!l->up) {
                set_words(c, &l->failure);
                loop_timer_set(c->timer, c->in_doubt ? USEC_INFINITY : c->deadline);
                return;
        }
        if (l->n_commits_sent >= LEDGER_COMMITS_SENT_MAX) {
                c->queued = true;
                loop_timer_set(c->timer, c->in_doubt ? USEC_INFINITY : c->deadline);
                return;
        }
        c->ask_only = late;
        c->waiting = c->sent = true;
        l->n_commits_sent++;
        if (c->n_steps == 0 && !c->ask_only)
                r = pg_query_prepared(l->pg, "commit_operation", commit_sql, COMMIT_VALUES,
                                      (const char *const *)c->values, LEDGER_STATEMENT_TIMEOUT,
                                      on_autocommitted, c);
        else
                r = pg_begin(l->pg,
                             LEDGER_STATEMENT_TIMEOUT +
                                     MIN(c->n_steps * COMMIT_STEP_TIME, COMMIT_WANTED),
                             on_begun, c);
        if (r < 0) {
                c->waiting = false;
                commit_try_later(c);
        }
}

static void on_timer(void *userdata, _unused_ usec_t now) {
        attempt(userdata);
}

void ledger_commits_under_way(const Ledger *l, LedgerUnderWay *ret) {
        for (const LedgerCommit *c = l->commits; c; c = c->next) {
                if (!c->waiting && !c->in_doubt)
                        continue;
                ret->commits++;
                ret->in_doubt += c->in_doubt;
                ret->service = c->service;
                ret->from_version = c->values[COMMIT_VALUE_FROM];
                ret->to_version = c->values[COMMIT_VALUE_TO];
        }
}

void ledger_commits_kick(Ledger *l) {
        for (LedgerCommit *c = l->commits; c; c = c->next)
                if (!c->waiting)
                        loop_timer_set(c->timer, loop_now(l->loop));
}

int ledger_commit(Ledger *l, const CommitRequest *request, LedgerCommitCallback callback,
                  void *userdata) {
        LedgerCommit *c;
        int r;

        if (l->n_commits >= LEDGER_COMMITS_MAX)
                return -EAGAIN;
        r = commit_new(&c, l, request);
        if (r < 0)
                return r;
        c->callback = callback;
        c->userdata = userdata;
        c->deadline = usec_add(loop_now(l->loop),
                               request->wanted > 0 ? request->wanted : COMMIT_WANTED);
        r = loop_add_timer(l->loop, on_timer, c, "ledger-commit", &c->timer);
        if (r < 0) {
                commit_free(c);
                return r;
        }
        c->next = l->commits;
        l->commits = c;
        l->n_commits++;
        attempt(c);
        return 0;
}
