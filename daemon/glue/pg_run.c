/* pg_run.c: one connection's traffic: the next statement out, answers and notifications in,
 * deadlines, and what becomes of everybody when the connection is lost. A callback may do anything,
 * pg_free() included; after each, `freed` and `connection` are looked at again, and the memory
 * stays until the outermost pg_leave(). */
#include <errno.h>
#include <stdio.h>

#include "pg_internal.h"

static PreparedName *prepared_find(Pg *p, const char *name) {
        for (size_t i = 0; i < p->n_prepared; i++)
                if (streq(p->prepared[i].name, name))
                        return &p->prepared[i];
        return NULL;
}

/* NULL when the table is full: the statement then goes unprepared. */
static PreparedName *prepared_get(Pg *p, const char *name) {
        PreparedName *n = prepared_find(p, name);

        if (n || p->n_prepared == PG_PREPARED_MAX)
                return n;
        n = &p->prepared[p->n_prepared++];
        *n = (PreparedName){ .ready = false };
        (void)snprintf(n->name, sizeof n->name, "%s", name);
        return n;
}

static int send_prepared(Pg *p, Statement *s, PreparedName *n) {
        char name[PG_NAME_SIZE];

        (void)snprintf(name, sizeof name, "%s_%u", s->name, n->generation);
        s->preparing = !n->ready;
        if (s->preparing)
                return PQsendPrepare(p->connection, name, s->sql, 0, NULL);
        s->sent = true;
        return PQsendQueryPrepared(p->connection, name, (int)s->n_parameters, s->parameters, NULL,
                                   NULL, 0);
}

static bool send_statement(Pg *p, Statement *s) {
        PreparedName *n = s->kind == STATEMENT_PREPARED ? prepared_get(p, s->name) : NULL;
        int r;

        /* Set before sending: what failed half way may have left. */
        s->sent = !n;
        r = n ? send_prepared(p, s, n) :
                PQsendQueryParams(p->connection, s->sql, (int)s->n_parameters, NULL, s->parameters,
                                  NULL, NULL, 0);
        if (r != 1)
                return false;
        r = PQflush(p->connection);
        return r == 0 || (r > 0 && loop_io_set(p->io, EPOLLIN | EPOLLOUT) >= 0);
}

static void pg_forget_deadline(Pg *p) {
        if (p->deadline_at == USEC_INFINITY)
                return;
        p->deadline_at = USEC_INFINITY;
        loop_timer_set(p->deadline, USEC_INFINITY);
}

void pg_advance(Pg *p) {
        Statement *s;

        if (!pg_is_up(p) || p->running)
                return;
        s = statement_take_first(p->transaction ? &p->transaction->queue : &p->queue);
        if (!s) {
                /* Of what has ended: it would only wake a loop at rest. */
                if (!p->transaction)
                        pg_forget_deadline(p);
                return;
        }
        if (s->kind == STATEMENT_BEGIN)
                p->transaction = s->transaction;
        p->running = s;
        pg_watch_deadline(p, s->deadline);
        if (send_statement(p, s))
                return;
        p->broken = true;
        loop_timer_set(p->soon, 0);
}

/* Tells one result, and frees it and what it ends. */
static void tell(Pg *p, Statement *s) {
        const PgResult *result = s->failure.error == PG_OK ? (const PgResult *)s->result : NULL;

        switch (s->kind) {
        case STATEMENT_BEGIN:
                if (s->failure.error != PG_OK)
                        transaction_free(s->transaction);
                if (s->on_begin)
                        s->on_begin(s->userdata, s->failure.error == PG_OK ? s->transaction : NULL,
                                    &s->failure);
                break;
        case STATEMENT_COMMIT:
        case STATEMENT_ROLLBACK:
                if (s->transaction)
                        transaction_free(s->transaction);
                if (s->callback)
                        s->callback(s->userdata, &s->failure, result);
                break;
        case STATEMENT_QUERY:
        case STATEMENT_PREPARED:
                if (s->callback)
                        s->callback(s->userdata, &s->failure, result);
                break;
        }
        statement_free(s);
        (void)p;
}

static void tell_failed(Pg *p) {
        Statement *s;

        while ((s = statement_take_first(&p->failed)))
                tell(p, s);
}

/* What the loss of the connection means for a statement that was taken up. */
static PgError loss_of(const Statement *s, bool overdue) {
        if (overdue)
                return PG_TIMEOUT;
        if (!s->sent || (s->transaction && s->kind != STATEMENT_COMMIT))
                return PG_LOST;
        return PG_IN_DOUBT;
}

static void fail(Pg *p, Statement *s, PgError error, const PgFailure *why) {
        s->failure = *why;
        s->failure.error = error;
        statement_append(&p->failed, s);
}

static void fail_transaction(Pg *p, PgTransaction *t, const PgFailure *why) {
        Statement *s;

        p->transaction = NULL;
        t->dead = true;
        t->why = *why;
        t->why.error = PG_LOST;
        while ((s = statement_take_first(&t->queue)))
                fail(p, s, PG_LOST, why);
        if (t->ended)
                transaction_free(t);
}

void pg_fail_all(Pg *p, const PgFailure *why, bool overdue) {
        PGconn *connection = TAKE_PTR(p->connection);
        Statement *s = TAKE_PTR(p->running);

        p->broken = false;
        p->io = loop_io_free(p->io);
        if (s) {
                /* The server's own last words say more than the closed socket. */
                if (s->result && result_is_error(s->result) && !overdue)
                        failure_from_result(&s->failure, connection, s->result);
                else
                        s->failure = *why;
                s->failure.error = loss_of(s, overdue);
                statement_append(&p->failed, s);
        }
        if (p->transaction)
                fail_transaction(p, p->transaction, why);
        while ((s = statement_take_first(&p->queue)))
                fail(p, s, PG_LOST, why);
        /* Never waits: the connection is non-blocking, and what cannot be written any more is
         * dropped. */
        PQfinish(connection);
        tell_failed(p);
}

void pg_lose(Pg *p, const PgFailure *why, bool overdue) {
        PgFailure copy = *why;

        pg_enter(p);
        pg_fail_all(p, &copy, overdue);
        if (!p->freed) {
                pg_connect_later(p);
                p->on_state(p->userdata, false, &copy);
        }
        pg_leave(p);
}

static void lose_connection(Pg *p) {
        PgFailure why;

        failure_from_connection(&why, PG_LOST, p->connection);
        pg_lose(p, &why, false);
}

/* COMMIT of a failed transaction succeeds, and its tag says ROLLBACK. */
static void check_commit(Statement *s) {
        if (s->failure.error == PG_OK && !streq(PQcmdStatus(s->result), "COMMIT"))
                failure_set(&s->failure, PG_REFUSED, "25P02",
                            "the transaction had failed before, so COMMIT rolled it back");
}

/* A statement may not begin or end transactions behind our back: what follows would run outside, or
 * inside, of one. Returns the words when one did. */
static const char *find_stray_transaction(const Pg *p, const Statement *s) {
        PGTransactionStatusType status = PQtransactionStatus(p->connection);

        switch (s->kind) {
        case STATEMENT_BEGIN:
                return NULL;
        case STATEMENT_QUERY:
        case STATEMENT_PREPARED:
                if (s->transaction)
                        return status == PQTRANS_IDLE ?
                                       "the statement ended the transaction that it was part of "
                                       "(COMMIT, ROLLBACK): remove it" :
                                       NULL;
                return status != PQTRANS_IDLE ?
                               "the statement began a transaction and left it open: remove it" :
                               NULL;
        case STATEMENT_COMMIT:
        case STATEMENT_ROLLBACK:
                return status != PQTRANS_IDLE ? "the transaction did not end" : NULL;
        }
        return NULL;
}

/* PREPARE went well: now the statement itself. Or its plan is stale, after a migration or DISCARD:
 * once more under a new name. True when it goes on. */
static bool continue_prepared(Pg *p, Statement *s) {
        PreparedName *n = s->kind == STATEMENT_PREPARED ? prepared_find(p, s->name) : NULL;
        bool stale;

        if (!n)
                return false;
        if (s->preparing)
                n->ready = s->failure.error == PG_OK;
        stale = !s->preparing && !s->prepared_again &&
                (streq(s->failure.sqlstate, "0A000") || streq(s->failure.sqlstate, "26000"));
        if (stale) {
                s->prepared_again = true;
                n->generation++;
                n->ready = false;
        } else if (!s->preparing || !n->ready)
                return false;
        PQclear(TAKE_PTR(s->result));
        s->failure = failure_none;
        if (!send_statement(p, s)) {
                p->broken = true;
                loop_timer_set(p->soon, 0);
        }
        return true;
}

static void finish_running(Pg *p) {
        Statement *s = p->running;
        const char *stray;
        PgFailure why;

        failure_from_result(&s->failure, p->connection, s->result);
        if (continue_prepared(p, s))
                return;
        if (s->kind == STATEMENT_COMMIT)
                check_commit(s);
        stray = find_stray_transaction(p, s);
        if (stray) {
                PQclear(TAKE_PTR(s->result));
                /* It did happen, and what it dragged along as well: nobody can say what holds now.
                 */
                failure_set(&why, PG_IN_DOUBT, "", stray);
                p->running = NULL;
                fail(p, s, PG_IN_DOUBT, &why);
                pg_lose(p, &why, false);
                return;
        }
        p->running = NULL;
        tell(p, s);
}

/* Keeps the first error, or else the last answer. */
static void keep_result(Statement *s, PGresult *r) {
        if (s->result && result_is_error(s->result)) {
                PQclear(r);
                return;
        }
        PQclear(s->result);
        s->result = r;
}

static bool is_copy(const PGresult *r) {
        ExecStatusType status = PQresultStatus(r);

        return status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH;
}

/* Takes every answer that has come. Returns false when the connection is gone or may not be used
 * any more. */
static bool receive(Pg *p) {
        PgFailure why;

        while (p->running && p->connection && !PQisBusy(p->connection)) {
                PGresult *r = PQgetResult(p->connection);

                if (r && is_copy(r)) {
                        PQclear(r);
                        failure_set(&why, PG_LOST, "",
                                    "COPY from or to the client is not possible here: use INSERT "
                                    "or SELECT");
                        pg_lose(p, &why, false);
                        return false;
                }
                if (r) {
                        keep_result(p->running, r);
                        continue;
                }
                if (PQstatus(p->connection) != CONNECTION_OK)
                        return true;
                finish_running(p);
                if (!p->freed)
                        pg_advance(p);
        }
        return p->connection && !p->freed;
}

static bool drain_notifications(Pg *p) {
        PGnotify *n;

        while (p->connection && (n = PQnotifies(p->connection))) {
                if (p->on_notify)
                        p->on_notify(p->userdata, n->relname, n->extra);
                PQfreemem(n);
        }
        return p->connection && !p->freed;
}

static void on_io(void *userdata, int fd, uint32_t events) {
        Pg *p = userdata;
        bool alive;
        int r = 0;

        (void)fd;
        pg_enter(p);
        if (events & EPOLLOUT)
                r = PQflush(p->connection);
        if (r == 0 && (events & EPOLLOUT))
                r = loop_io_set(p->io, EPOLLIN);
        alive = PQconsumeInput(p->connection) == 1 && r >= 0;
        /* libpq reads no further than the end of an answer until that is taken: what notices came
         * in one piece behind it are found then, or they would wait for the next input. */
        if (drain_notifications(p) && receive(p) && drain_notifications(p) &&
            (!alive || PQstatus(p->connection) != CONNECTION_OK))
                lose_connection(p);
        pg_leave(p);
}

void pg_adopt(Pg *p, PGconn *connection) {
        PgFailure why;

        pg_enter(p);
        p->connection = connection;
        p->n_prepared = 0;
        if (PQsetnonblocking(connection, 1) < 0 ||
            loop_add_io(p->loop, PQsocket(connection), EPOLLIN, on_io, p, "pg", &p->io) < 0) {
                failure_set(&why, PG_RETRY, "", "no memory to watch the connection");
                pg_lose(p, &why, false);
        } else {
                p->number++;
                p->attempts = 0;
                p->on_state(p->userdata, true, &failure_none);
                if (drain_notifications(p))
                        pg_advance(p);
        }
        pg_leave(p);
}

void pg_watch_deadline(Pg *p, usec_t at) {
        if (at >= p->deadline_at)
                return;
        p->deadline_at = at;
        loop_timer_set(p->deadline, at);
}

/* What waited too long for its turn did not happen; the connection is well. */
static void fail_overdue_in_queue(Pg *p, usec_t now) {
        StatementList waiting = p->queue;
        PgFailure why;
        Statement *s;

        failure_set(&why, PG_RETRY, "",
                    "not sent: the connection was busy with other statements for all of this one's "
                    "time");
        p->queue = (StatementList){ .first = NULL };
        while ((s = statement_take_first(&waiting)))
                if (s->deadline <= now)
                        fail(p, s, PG_RETRY, &why);
                else {
                        statement_append(&p->queue, s);
                        pg_watch_deadline(p, s->deadline);
                }
}

void pg_on_deadline(void *userdata, usec_t now) {
        Pg *p = userdata;
        PgFailure why;

        pg_enter(p);
        p->deadline_at = USEC_INFINITY;
        if (p->running && p->running->deadline <= now) {
                failure_set(
                        &why, PG_TIMEOUT, "",
                        "no answer within the time of the statement: the connection is given up");
                pg_lose(p, &why, true);
        } else if (p->transaction && p->transaction->deadline <= now) {
                failure_set(&why, PG_TIMEOUT, "",
                            "the transaction was not ended within its time: the connection is "
                            "given up");
                pg_lose(p, &why, false);
        } else {
                if (p->running)
                        pg_watch_deadline(p, p->running->deadline);
                if (p->transaction)
                        pg_watch_deadline(p, p->transaction->deadline);
                fail_overdue_in_queue(p, now);
                tell_failed(p);
        }
        pg_leave(p);
}

void pg_on_soon(void *userdata, usec_t now) {
        Pg *p = userdata;

        (void)now;
        pg_enter(p);
        if (p->broken && p->connection)
                lose_connection(p);
        tell_failed(p);
        pg_leave(p);
}
