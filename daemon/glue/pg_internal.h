/* pg_internal.h: what the files pg*.c share, and the only includer of libpq's header. Who does
 * what: pg.c the public calls and the queue, pg_run.c sending, receiving, deadlines and loss,
 * pg_connect.c the connect phase on a worker, pg_result.c values and errors, pg_sync.c the blocking
 * calls of rollbackctl. */
#pragma once

#include <libpq-fe.h>

#include "pg.h"

#define PG_QUEUE_MAX 256   /* statements that wait, in the queue and in each transaction */
#define PG_PREPARED_MAX 64 /* names per connection; the daemon has about twenty */
#define PG_NAME_SIZE 64    /* NAMEDATALEN of the server */
#define PG_PARAMETERS_MAX 64

typedef enum StatementKind {
        STATEMENT_QUERY,
        STATEMENT_PREPARED,
        STATEMENT_BEGIN,
        STATEMENT_COMMIT,
        STATEMENT_ROLLBACK
} StatementKind;

/* One allocation with the texts behind it. Owned by the list it is in, or by `running`. */
typedef struct Statement Statement;
struct Statement {
        Statement *next;
        StatementKind kind;
        PgTransaction *transaction; /* or NULL: autocommitted */
        PgCallback callback;        /* or NULL: nobody asks any more */
        PgBeginCallback on_begin;   /* of STATEMENT_BEGIN */
        void *userdata;
        usec_t deadline;
        const char *name; /* of STATEMENT_PREPARED */
        const char *sql;
        size_t n_parameters;
        const char **parameters;
        bool preparing; /* its PREPARE is under way, not it itself */
        bool prepared_again;
        bool sent;
        PGresult *result; /* the first error, or else the last answer */
        PgFailure failure;
};

typedef struct StatementList {
        Statement *first, *last;
        size_t n;
} StatementList;

struct PgTransaction {
        Pg *pg;
        PgTransaction *next; /* in Pg.transactions */
        StatementList queue;
        usec_t deadline;
        bool dead; /* its connection is lost; `why` is what further calls hear */
        PgFailure why;
        bool ended;       /* by its opener: whoever loses the connection frees it */
        Statement *spare; /* made ahead, for ROLLBACK or to report that there was no memory for
                             another statement */
};

typedef struct PreparedName {
        char name[PG_NAME_SIZE];
        unsigned generation; /* part of the server's name for it: a stale plan is prepared again
                                under the next */
        bool ready;
} PreparedName;

struct Pg {
        Loop *loop;
        Offload *offload;
        char *conninfo, *application_name, *listen;
        char **warm;
        PgPasswordCallback on_password;
        PgStateCallback on_state;
        PgNotifyCallback on_notify;
        void *userdata;
        uint64_t seed;
        unsigned attempts; /* since the last connection */
        OffloadTask *connecting;
        LoopTimer *retry, *deadline, *soon;
        usec_t deadline_at;
        PGconn *connection; /* NULL: down */
        LoopIo *io;
        uint64_t number;
        bool broken; /* sending failed: the loss is reported from the loop, not from inside a public
                        call */
        Statement *running;
        StatementList queue, failed; /* failed: results that wait to be told */
        PgTransaction *transaction;  /* whose connection it is now */
        PgTransaction *transactions;
        PreparedName prepared[PG_PREPARED_MAX];
        size_t n_prepared;
        unsigned depth; /* of our own functions below which callbacks run: */
        bool freed; /* pg_free() was called there, the memory goes when the last of them returns */
};

/* pg.c: lists. */
void statement_append(StatementList *l, Statement *s);
Statement *statement_take_first(StatementList *l);
Statement *statement_free(Statement *s);
void transaction_free(PgTransaction *t);
void pg_enter(Pg *p);
void pg_leave(Pg *p);

/* pg_run.c */
/* Sends the next statement when none is running. Calls nothing back. */
void pg_advance(Pg *p);
/* Arms the deadline timer when `at` is sooner than what it is armed for. */
void pg_watch_deadline(Pg *p, usec_t at);
/* Takes a fresh connection over from the connect phase. */
void pg_adopt(Pg *p, PGconn *connection);
/* Gives the connection up, tells everybody, and tries again later. */
void pg_lose(Pg *p, const PgFailure *why, bool overdue);
/* Moves all that is outstanding to `failed` and tells it. */
void pg_fail_all(Pg *p, const PgFailure *why, bool overdue);
void pg_on_deadline(void *userdata, usec_t now);
void pg_on_soon(void *userdata, usec_t now);

/* pg_connect.c */
#define PG_CONNECT_PARAMETERS 12
typedef struct ConnectParameters {
        const char *keywords[PG_CONNECT_PARAMETERS], *values[PG_CONNECT_PARAMETERS];
        size_t n;
} ConnectParameters;
/* Fills *ret, which borrows the texts. `database`: instead of the conninfo's own, or NULL. Returns
 * 0, or -EINVAL when the conninfo cannot be parsed. */
int connect_parameters_fill(ConnectParameters *ret, const char *conninfo, const char *database,
                            const char *password, const char *application_name) _must_check_;
/* Connects, blocking; `timer` is a timer descriptor to keep the time with. NULL without memory;
 * else a connection that is good, or bad with its SQLSTATE in its verbose message. */
PGconn *pg_connect_patiently(const ConnectParameters *p, int timer);
/* The limits of every session of the daemon, as a script. */
extern const char pg_session_settings[];
void pg_connect_later(Pg *p);
void pg_on_retry(void *userdata, usec_t now);

/* pg_result.c */
extern const PgFailure failure_none;
void failure_set(PgFailure *f, PgError error, const char *sqlstate, const char *message);
/* From a result that is an error; *f is PG_OK otherwise. */
void failure_from_result(PgFailure *f, const PGconn *c, const PGresult *r);
/* From a connection that was lost or not made. */
void failure_from_connection(PgFailure *f, PgError error, const PGconn *c);
bool result_is_error(const PGresult *r);
