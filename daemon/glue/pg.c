/* pg.c: the public calls: they copy, queue and arm; what happens on the wire is pg_run.c's. No
 * public call but pg_free() calls back before it returns. */
#include <errno.h>

#include "pg_internal.h"

/* ROLLBACK is the opener's last word; if it takes longer, the connection is given up and the server
 * rolls back by itself. */
#define ROLLBACK_TIMEOUT (5 * USEC_PER_SEC)

void statement_append(StatementList *l, Statement *s) {
        s->next = NULL;
        if (l->last)
                l->last->next = s;
        else
                l->first = s;
        l->last = s;
        l->n++;
}

Statement *statement_take_first(StatementList *l) {
        Statement *s = l->first;

        if (!s)
                return NULL;
        l->first = s->next;
        if (!l->first)
                l->last = NULL;
        l->n--;
        return s;
}

Statement *statement_free(Statement *s) {
        if (!s)
                return NULL;
        PQclear(s->result);
        free(s);
        return NULL;
}

static const char *place(char **at, const char *text) {
        size_t size = strlen(text) + 1;
        char *placed = *at;

        memcpy(placed, text, size);
        *at += size;
        return placed;
}

/* Copies everything into one allocation; NULL without memory. */
static Statement *statement_new(const Statement *from) {
        size_t size = sizeof *from + from->n_parameters * sizeof(char *) + strlen(from->sql) + 1 +
                      (from->name ? strlen(from->name) + 1 : 0);
        Statement *s;
        char *at;

        assert(from->n_parameters <= PG_PARAMETERS_MAX);
        for (size_t i = 0; i < from->n_parameters; i++)
                size += from->parameters[i] ? strlen(from->parameters[i]) + 1 : 0;
        s = calloc(1, size);
        if (!s)
                return NULL;
        *s = *from;
        s->parameters = (const char **)(s + 1);
        at = (char *)(s->parameters + from->n_parameters);
        s->sql = place(&at, from->sql);
        if (from->name)
                s->name = place(&at, from->name);
        for (size_t i = 0; i < from->n_parameters; i++)
                s->parameters[i] = from->parameters[i] ? place(&at, from->parameters[i]) : NULL;
        return s;
}

void transaction_free(PgTransaction *t) {
        Pg *p = t->pg;
        Statement *s;

        if (p->transaction == t)
                p->transaction = NULL;
        for (PgTransaction **at = &p->transactions; *at; at = &(*at)->next)
                if (*at == t) {
                        *at = t->next;
                        break;
                }
        while ((s = statement_take_first(&t->queue)))
                statement_free(s);
        free(t->spare);
        free(t);
}

void pg_enter(Pg *p) {
        p->depth++;
}

void pg_leave(Pg *p) {
        if (--p->depth == 0 && p->freed)
                free(p);
}

static void wipe(char *text) {
        if (text)
                explicit_bzero(text, strlen(text));
        free(text);
}

Pg *pg_free(Pg *p) {
        PgFailure why;

        if (!p || p->freed)
                return NULL;
        p->freed = true;
        pg_enter(p);
        offload_cancel(TAKE_PTR(p->connecting));
        failure_set(&why, PG_LOST, "", "the connection was closed by this program");
        pg_fail_all(p, &why, false);
        while (p->transactions)
                transaction_free(p->transactions);
        loop_timer_free(p->retry);
        loop_timer_free(p->deadline);
        loop_timer_free(p->soon);
        wipe(p->conninfo);
        free(p->application_name);
        free(p->listen);
        for (size_t i = 0; p->warm && p->warm[i]; i++)
                free(p->warm[i]);
        free(p->warm);
        pg_leave(p);
        return NULL;
}

static int copy_text(char **ret, const char *text) {
        if (!text)
                return 0;
        *ret = strdup(text);
        return *ret ? 0 : -ENOMEM;
}

static int copy_setup(Pg *p, const PgSetup *setup) {
        size_t n = 0;

        p->on_password = setup->on_password;
        p->on_state = setup->on_state;
        p->on_notify = setup->on_notify;
        p->userdata = setup->userdata;
        if (copy_text(&p->conninfo, setup->conninfo) < 0 ||
            copy_text(&p->application_name, setup->application_name) < 0 ||
            copy_text(&p->listen, setup->listen) < 0)
                return -ENOMEM;
        while (setup->warm && setup->warm[n])
                n++;
        p->warm = calloc(n + 1, sizeof *p->warm);
        if (!p->warm)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                if (copy_text(&p->warm[i], setup->warm[i]) < 0)
                        return -ENOMEM;
        return 0;
}

int pg_new(Pg **ret, Loop *loop, Offload *offload, const PgSetup *setup, uint64_t seed) {
        _cleanup_(pg_freep) Pg *p = NULL;
        ConnectParameters parameters;
        int r;

        assert(ret && loop && offload && setup && setup->conninfo);
        r = connect_parameters_fill(&parameters, setup->conninfo, NULL, NULL, NULL);
        if (r < 0)
                return r;
        p = calloc(1, sizeof *p);
        if (!p)
                return -ENOMEM;
        p->loop = loop;
        p->offload = offload;
        p->seed = seed;
        p->deadline_at = USEC_INFINITY;
        r = copy_setup(p, setup);
        if (r < 0)
                return r;
        r = loop_add_timer(loop, pg_on_retry, p, "pg retry", &p->retry);
        if (r < 0)
                return r;
        r = loop_add_timer(loop, pg_on_deadline, p, "pg deadline", &p->deadline);
        if (r < 0)
                return r;
        r = loop_add_timer(loop, pg_on_soon, p, "pg soon", &p->soon);
        if (r < 0)
                return r;
        /* Not here: the attempt may fail at once, and that is told. */
        loop_timer_set(p->retry, 0);
        *ret = TAKE_PTR(p);
        return 0;
}

bool pg_is_up(const Pg *p) {
        assert(p);
        return p->connection && !p->broken && !p->freed;
}

void pg_give_up(Pg *p, const PgFailure *why) {
        assert(p && why);
        if (p->connection)
                pg_lose(p, why, false);
}

uint64_t pg_connection_number(const Pg *p) {
        assert(p);
        return p->number;
}

static int enqueue(Pg *p, const Statement *from) {
        Statement *s;

        if (!pg_is_up(p))
                return -ENOTCONN;
        if (p->queue.n >= PG_QUEUE_MAX)
                return -EAGAIN;
        s = statement_new(from);
        if (!s)
                return -ENOMEM;
        statement_append(&p->queue, s);
        pg_watch_deadline(p, s->deadline);
        pg_advance(p);
        return 0;
}

int pg_query(Pg *p, const char *sql, size_t n_parameters, const char *const parameters[],
             usec_t timeout, PgCallback callback, void *userdata) {
        assert(p && sql && (parameters || n_parameters == 0));
        return enqueue(p, &(Statement){ .kind = STATEMENT_QUERY,
                                        .sql = sql,
                                        .n_parameters = n_parameters,
                                        .parameters = (const char **)parameters,
                                        .deadline = usec_add(loop_now(p->loop), timeout),
                                        .callback = callback,
                                        .userdata = userdata });
}

int pg_query_prepared(Pg *p, const char *name, const char *sql, size_t n_parameters,
                      const char *const parameters[], usec_t timeout, PgCallback callback,
                      void *userdata) {
        assert(p && name && sql && (parameters || n_parameters == 0));
        assert(strlen(name) + sizeof "_4294967295" <= PG_NAME_SIZE);
        return enqueue(p, &(Statement){ .kind = STATEMENT_PREPARED,
                                        .name = name,
                                        .sql = sql,
                                        .n_parameters = n_parameters,
                                        .parameters = (const char **)parameters,
                                        .deadline = usec_add(loop_now(p->loop), timeout),
                                        .callback = callback,
                                        .userdata = userdata });
}

int pg_begin(Pg *p, usec_t timeout, PgBeginCallback callback, void *userdata) {
        PgTransaction *t;
        int r;

        assert(p && callback);
        t = calloc(1, sizeof *t);
        if (!t)
                return -ENOMEM;
        t->spare = calloc(1, sizeof *t->spare);
        if (!t->spare) {
                free(t);
                return -ENOMEM;
        }
        t->pg = p;
        t->deadline = usec_add(loop_now(p->loop), timeout);
        t->next = p->transactions;
        p->transactions = t;
        r = enqueue(p, &(Statement){ .kind = STATEMENT_BEGIN,
                                     .transaction = t,
                                     .sql = "BEGIN ISOLATION LEVEL READ COMMITTED",
                                     .deadline = t->deadline,
                                     .on_begin = callback,
                                     .userdata = userdata });
        if (r < 0)
                transaction_free(t);
        return r;
}

/* Queues one more statement of a transaction, or its failure when that is known already: told from
 * the loop. */
static void transaction_enqueue(PgTransaction *t, const Statement *from) {
        Pg *p = t->pg;
        Statement *s = t->queue.n < PG_QUEUE_MAX ? statement_new(from) : NULL;
        PgFailure failure = t->why;

        if (!s) {
                /* An opener that waits for each answer, as it should, never comes here twice. */
                assert(t->spare);
                s = TAKE_PTR(t->spare);
                *s = (Statement){ .kind = from->kind,
                                  .transaction = t,
                                  .callback = from->callback,
                                  .userdata = from->userdata };
                if (!t->dead)
                        failure_set(&failure, PG_RETRY, "",
                                    "no memory for the statement: it was not sent");
        } else if (!t->dead) {
                statement_append(&t->queue, s);
                pg_advance(p);
                return;
        }
        s->failure = failure;
        statement_append(&p->failed, s);
        loop_timer_set(p->soon, 0);
}

void pg_transaction_query(PgTransaction *t, const char *sql, size_t n_parameters,
                          const char *const parameters[], PgCallback callback, void *userdata) {
        assert(t && sql && (parameters || n_parameters == 0));
        transaction_enqueue(t, &(Statement){ .kind = STATEMENT_QUERY,
                                             .transaction = t,
                                             .sql = sql,
                                             .n_parameters = n_parameters,
                                             .parameters = (const char **)parameters,
                                             .deadline = t->deadline,
                                             .callback = callback,
                                             .userdata = userdata });
}

void pg_transaction_commit(PgTransaction *t, PgCallback callback, void *userdata) {
        assert(t);
        transaction_enqueue(t, &(Statement){ .kind = STATEMENT_COMMIT,
                                             .transaction = t,
                                             .sql = "COMMIT",
                                             .deadline = t->deadline,
                                             .callback = callback,
                                             .userdata = userdata });
}

/* Nothing more is told of this transaction's statements. */
static void transaction_mute(PgTransaction *t) {
        Pg *p = t->pg;
        Statement *s;

        for (s = p->failed.first; s; s = s->next)
                if (s->transaction == t) {
                        s->callback = NULL;
                        s->transaction = NULL;
                }
        while ((s = statement_take_first(&t->queue)))
                statement_free(s);
        if (p->running && p->running->transaction == t)
                p->running->callback = NULL;
}

void pg_transaction_rollback(PgTransaction *t) {
        const Statement rollback = { .kind = STATEMENT_ROLLBACK,
                                     .transaction = t,
                                     .sql = "ROLLBACK" };
        Pg *p = t->pg;
        Statement *s;

        transaction_mute(t);
        if (t->dead) {
                transaction_free(t);
                return;
        }
        s = TAKE_PTR(t->spare);
        if (s)
                *s = rollback;
        else
                s = statement_new(&rollback);
        t->deadline = usec_add(loop_now(p->loop), ROLLBACK_TIMEOUT);
        if (s) {
                s->deadline = t->deadline;
                statement_append(&t->queue, s);
                pg_watch_deadline(p, s->deadline);
                pg_advance(p);
                return;
        }
        /* Without memory for one statement, closing the connection rolls back as well. */
        t->ended = true;
        p->broken = true;
        loop_timer_set(p->soon, 0);
}
