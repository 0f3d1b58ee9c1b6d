/* pg_sync.c: blocking calls on one connection, for rollbackctl. They have no deadline but the
 * server's: whoever waits can interrupt. */
#include <errno.h>
#include <fcntl.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "pg_internal.h"

struct PgSync {
        PGconn *connection;
        PGcancel *cancel;
        void (*on_notice)(void *userdata, const char *text);
        void *notice_userdata;
};

static void on_notice(void *userdata, const PGresult *r) {
        const char *text = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
        PgSync *s = userdata;

        if (s->on_notice && text)
                s->on_notice(s->notice_userdata, text);
}

/* Verbose, as only the verbose message of a refusal has its SQLSTATE. */
static PGconn *connect_blocking(const ConnectParameters *parameters) {
        int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
        PGconn *c = timer < 0 ? NULL : pg_connect_patiently(parameters, timer);

        if (timer >= 0)
                (void)close(timer);
        return c;
}

int pg_sync_connect(PgSync **ret, const char *conninfo, const char *password, PgFailure *reterr) {
        return pg_sync_connect_to(ret, conninfo, NULL, password, reterr);
}

int pg_sync_connect_to(PgSync **ret, const char *conninfo, const char *database,
                       const char *password, PgFailure *reterr) {
        _cleanup_(pg_sync_freep) PgSync *s = calloc(1, sizeof *s);
        ConnectParameters parameters;

        assert(ret && conninfo && reterr);
        if (!s) {
                failure_set(reterr, PG_RETRY, "", "no memory");
                return -ENOMEM;
        }
        if (connect_parameters_fill(&parameters, conninfo, database, password, "rollbackctl") < 0) {
                failure_set(reterr, PG_CONFIGURATION, "",
                            "the conninfo cannot be parsed (it is not shown, for it may hold a "
                            "password): "
                            "write keyword=value pairs, a postgresql:// URI, or service=NAME");
                return -EINVAL;
        }
        s->connection = connect_blocking(&parameters);
        if (!s->connection || PQstatus(s->connection) != CONNECTION_OK) {
                failure_from_connection(reterr, PG_RETRY, s->connection);
                return -ENOTCONN;
        }
        s->cancel = PQgetCancel(s->connection);
        (void)PQsetNoticeReceiver(s->connection, on_notice, s);
        _cleanup_(pg_result_freep) PgResult *r = pg_sync_script(
                s, "SET default_transaction_isolation = 'read committed'", reterr);
        if (!r)
                return -ENOTCONN;
        *ret = TAKE_PTR(s);
        return 0;
}

PgSync *pg_sync_free(PgSync *s) {
        if (!s)
                return NULL;
        PQfreeCancel(s->cancel);
        PQfinish(s->connection);
        free(s);
        return NULL;
}

void pg_sync_leave(PgSync *s) {
        int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);

        assert(s);
        /* PQfinish() takes leave of the server, over TLS with a record that the other process's
         * would contradict; so it talks to nobody. Without a descriptor for that it stays open. */
        if (nothing < 0)
                return;
        if (dup3(nothing, PQsocket(s->connection), O_CLOEXEC) >= 0)
                (void)pg_sync_free(s);
        (void)close(nothing);
}

const char *pg_sync_host(const PgSync *s) {
        return PQhost(s->connection) ?: "";
}

const char *pg_sync_port(const PgSync *s) {
        return PQport(s->connection) ?: "";
}

int pg_conninfo_value(const char *conninfo, const char *keyword, StrBuf *b) {
        PQconninfoOption *options;
        char *words = NULL;
        int r = -ENOENT;

        assert(conninfo && keyword && b);
        options = PQconninfoParse(conninfo, &words);
        PQfreemem(words);
        if (!options)
                return -EINVAL;
        for (const PQconninfoOption *o = options; o->keyword; o++)
                if (streq(o->keyword, keyword) && o->val) {
                        strbuf_add(b, o->val);
                        r = b->overflow ? -ENOSPC : 0;
                }
        PQconninfoFree(options);
        return r;
}

void pg_sync_on_notice(PgSync *s, void (*callback)(void *userdata, const char *text),
                       void *userdata) {
        assert(s);
        s->on_notice = callback;
        s->notice_userdata = userdata;
}

static PgResult *check(PgSync *s, PGresult *r, PgFailure *reterr) {
        if (!r) {
                failure_from_connection(reterr, PG_RETRY, s->connection);
                return NULL;
        }
        if (!result_is_error(r))
                return (PgResult *)r;
        failure_from_result(reterr, s->connection, r);
        /* The answer to the last thing sent is missing, so nobody knows. */
        if (PQstatus(s->connection) != CONNECTION_OK)
                reterr->error = PG_IN_DOUBT;
        PQclear(r);
        return NULL;
}

PgResult *pg_sync_query(PgSync *s, const char *sql, size_t n_parameters,
                        const char *const parameters[], PgFailure *reterr) {
        assert(s && sql && reterr && (parameters || n_parameters == 0) &&
               n_parameters <= PG_PARAMETERS_MAX);
        return n_parameters == 0 ? pg_sync_script(s, sql, reterr) :
                                   pg_sync_statement(s, sql, n_parameters, parameters, reterr);
}

PgResult *pg_sync_statement(PgSync *s, const char *sql, size_t n_parameters,
                            const char *const parameters[], PgFailure *reterr) {
        assert(s && sql && reterr && (parameters || n_parameters == 0) &&
               n_parameters <= PG_PARAMETERS_MAX);
        return check(s,
                     PQexecParams(s->connection, sql, (int)n_parameters, NULL, parameters, NULL,
                                  NULL, 0),
                     reterr);
}

PgResult *pg_sync_script(PgSync *s, const char *sql, PgFailure *reterr) {
        assert(s && sql && reterr);
        return check(s, PQexec(s->connection, sql), reterr);
}

int pg_sync_limit(PgSync *s, PgFailure *reterr) {
        _cleanup_(pg_result_freep) PgResult *r = pg_sync_script(s, pg_session_settings, reterr);

        return r ? 0 : -EIO;
}

bool pg_sync_is_lost(const PgSync *s) {
        assert(s);
        return PQstatus(s->connection) != CONNECTION_OK;
}

void pg_sync_cancel(PgSync *s) {
        char words[256];

        /* When it does not reach the server, the statement's own limit ends it. */
        if (s && s->cancel)
                (void)PQcancel(s->cancel, words, sizeof words);
}
