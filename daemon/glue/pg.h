/* pg.h: one PostgreSQL connection on the loop, over libpq: connected in offload (libpq resolves
 * names synchronously), then handed to the loop; queued statements with bound text parameters and a
 * deadline each, transactions as one piece, LISTEN, and errors by SQLSTATE class. Knows nothing of
 * the ledger's functions. */
#pragma once

#include "offload.h"

typedef struct Pg Pg;
typedef struct PgResult PgResult;

typedef enum PgError {
        PG_OK,
        PG_RETRY,         /* 40001, 40P01, 55P03, 57014, 53xxx, 57P0x, 08xxx: try again later */
        PG_HOLD,          /* 25006, 57P03, read-only or recovering: wait for the server to change */
        PG_CONFIGURATION, /* 28xxx, 3D000, 42xxx, 0A000: a person must mend something */
        PG_REFUSED,       /* RBxxx and 23xxx, P0001: the ledger's own answer */
        PG_LOST,     /* the connection was lost before the statement was sent, or in a transaction
                        before its COMMIT was sent: it did not happen */
        PG_IN_DOUBT, /* lost after COMMIT (or an autocommitted statement) was sent: it may have
                        happened */
        PG_TIMEOUT,  /* our own deadline; the connection is given up, so read as PG_IN_DOUBT for
                        writes */
        _PG_ERROR_MAX,
} PgError;

typedef struct PgFailure {
        PgError error; /* PG_OK: success */
        char sqlstate[6];
        char message[512]; /* primary message, detail and hint; no secret in it */
        char routine[48];  /* the server's function that refused: never translated, as words are */
        char database[64], user[64]; /* of the connection, where there was one to ask */
} PgFailure;

/* Rows are borrowed until the callback returns. failure->error == PG_OK on success; result NULL
 * otherwise. */
typedef void (*PgCallback)(void *userdata, const PgFailure *failure, const PgResult *result);
typedef void (*PgNotifyCallback)(void *userdata, const char *channel, const char *payload);
/* up: connected, set up, and LISTENing; else why not (class and words). Called at each change and
 * after every failed attempt. */
typedef void (*PgStateCallback)(void *userdata, bool up, const PgFailure *failure);
/* Asked before each attempt to connect. Returns 0 with *ret a copy that is wiped and freed after
 * use, or NULL when none is needed; or a negative errno with the reason in *reterr, which is told
 * as PG_CONFIGURATION, and it is asked again later. */
typedef int (*PgPasswordCallback)(void *userdata, char **ret, StrBuf *reterr);

typedef struct PgSetup {
        const char *conninfo;           /* borrowed for the call; a string, URI or service= */
        PgPasswordCallback on_password; /* or NULL: none is needed */
        const char *application_name;
        const char *listen;      /* channel, or NULL */
        const char *const *warm; /* statements run after each connect, results ignored but errors
                                    fail the connect; NULL-terminated, or NULL */
        PgStateCallback on_state;
        PgNotifyCallback on_notify;
        void *userdata;
} PgSetup;

/* Starts connecting; reconnects by itself for ever, full jitter between 0.25 s and 15 s. Sets on
 * every connection: READ COMMITTED, statement_timeout 5 s, lock_timeout 2 s,
 * idle_in_transaction_session_timeout 10 s, tcp_user_timeout, keepalives, client_encoding UTF8. */
int pg_new(Pg **ret, Loop *loop, Offload *offload, const PgSetup *setup,
           uint64_t seed) _must_check_;
/* Outstanding callbacks get PG_LOST or PG_IN_DOUBT, then nothing more is called. */
Pg *pg_free(Pg *p);
DEFINE_CLEANUP(Pg *, pg_free);
bool pg_is_up(const Pg *p);
/* Without a connection: tries at once, instead of when the wait is over. */
void pg_connect_now(Pg *p);
/* Gives the connection up, which is told with this reason, and makes a new one later. */
void pg_give_up(Pg *p, const PgFailure *why);
/* Number of the current connection, from 1: changes at each reconnect. */
uint64_t pg_connection_number(const Pg *p);

/* Queues one autocommitted statement; parameters (text, NULL for SQL NULL) are copied. Returns 0,
 * -ENOTCONN (not up: callback not called), -EAGAIN (256 queued). */
int pg_query(Pg *p, const char *sql, size_t n_parameters, const char *const parameters[],
             usec_t timeout, PgCallback callback, void *userdata) _must_check_;
/* The same, prepared once per connection under `name`. */
int pg_query_prepared(Pg *p, const char *name, const char *sql, size_t n_parameters,
                      const char *const parameters[], usec_t timeout, PgCallback callback,
                      void *userdata) _must_check_;

/* A transaction takes the connection until it ends; others wait in the queue. The opener drives it
 * statement by statement from the callbacks. */
typedef struct PgTransaction PgTransaction;
/* Called once the connection is this transaction's and BEGIN ISOLATION LEVEL READ COMMITTED has
 * succeeded, or with the failure (t NULL). */
typedef void (*PgBeginCallback)(void *userdata, PgTransaction *t, const PgFailure *failure);
int pg_begin(Pg *p, usec_t timeout, PgBeginCallback callback, void *userdata) _must_check_;
/* One statement inside. After a failure the opener may only roll back (or ROLLBACK TO a savepoint
 * of its own). */
void pg_transaction_query(PgTransaction *t, const char *sql, size_t n_parameters,
                          const char *const parameters[], PgCallback callback, void *userdata);
/* COMMIT; checks the command tag (COMMIT of a failed transaction answers ROLLBACK: reported as
 * PG_REFUSED). Ends t. */
void pg_transaction_commit(PgTransaction *t, PgCallback callback, void *userdata);
/* ROLLBACK without waiting. Ends t. */
void pg_transaction_rollback(PgTransaction *t);

size_t pg_rows(const PgResult *r);
size_t pg_columns(const PgResult *r);
/* Text of a cell, NULL for SQL NULL or out of range. */
const char *pg_value(const PgResult *r, size_t row, const char *column);
const char *pg_cell(const PgResult *r, size_t row, size_t column);
/* Name of a column, NULL out of range. */
const char *pg_column_name(const PgResult *r, size_t column);
/* Whether a column's type is a number or a truth value (which is 1 or 0). *ret is the value of its
 * cell in that row, NAN for NULL and NaN. */
bool pg_cell_number(const PgResult *r, size_t row, size_t column, double *ret);
/* Rows that an UPDATE, DELETE or INSERT touched. */
uint64_t pg_affected(const PgResult *r);
const char *pg_error_to_string(PgError e);

/* Blocking, for rollbackctl only (the daemon never calls these). */
typedef struct PgSync PgSync;
int pg_sync_connect(PgSync **ret, const char *conninfo, const char *password, PgFailure *reterr);
/* The same, to another database of that server; NULL: to the one that the conninfo names. */
int pg_sync_connect_to(PgSync **ret, const char *conninfo, const char *database,
                       const char *password, PgFailure *reterr);
/* Where it is connected to: a host's name or address, or the directory of a unix socket. */
const char *pg_sync_host(const PgSync *s);
const char *pg_sync_port(const PgSync *s);
PgSync *pg_sync_free(PgSync *s);
DEFINE_CLEANUP(PgSync *, pg_sync_free);
/* Lets go of a session with which a forked process goes on, and tells the server nothing. */
void pg_sync_leave(PgSync *s);
/* Runs one statement with parameters, or (n_parameters 0) a script of several. Returns a result to
 * be freed with pg_result_free(), or NULL with *reterr. Notices go to on_notice. */
PgResult *pg_sync_query(PgSync *s, const char *sql, size_t n_parameters,
                        const char *const parameters[], PgFailure *reterr);
PgResult *pg_sync_script(PgSync *s, const char *sql, PgFailure *reterr);
/* The same for one statement as the daemon sends it: never a script, also without parameters. */
PgResult *pg_sync_statement(PgSync *s, const char *sql, size_t n_parameters,
                            const char *const parameters[], PgFailure *reterr);
/* Puts the limits on the session that the daemon's have. Returns 0, or -EIO with *reterr. */
int pg_sync_limit(PgSync *s, PgFailure *reterr) _must_check_;
bool pg_sync_is_lost(const PgSync *s);
/* Asks the server to stop what runs now; for a signal handler too. */
void pg_sync_cancel(PgSync *s);
PgResult *pg_result_free(PgResult *r);
DEFINE_CLEANUP(PgResult *, pg_result_free);
void pg_sync_on_notice(PgSync *s, void (*callback)(void *userdata, const char *text),
                       void *userdata);
/* What a conninfo itself says of a keyword, as "dbname". Returns 0 with the text appended, -ENOENT
 * when it says nothing, -EINVAL when it is none, -ENOSPC. */
int pg_conninfo_value(const char *conninfo, const char *keyword, StrBuf *b) _must_check_;
/* PQescapeIdentifier / PQescapeLiteral without a connection's encoding: quotes for UTF-8 text.
 * Returns 0 or -EINVAL (NUL, invalid UTF-8). */
int pg_quote_identifier(const char *name, StrBuf *b) _must_check_;
/* A name in SQL that a person shall type: quoted only where it must be. */
void pg_add_identifier(const char *name, StrBuf *b);
