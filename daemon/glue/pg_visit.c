/* pg_visit.c: the course of a visit. Every step of libpq's connect phase runs on a worker: the
 * first one resolves, later ones may compute a password's proof or a handshake for milliseconds.
 * While a step runs, the worker alone knows the connection. Then everything that is asked goes out
 * as one pipeline, in a transaction that cannot write. */
#include <errno.h>
#include <math.h>
#include <sys/ioctl.h>

#include "number.h"
#include "pg_visit_internal.h"

#define APPLICATION "rollbackd-probe"
/* A record of TLS may have more for libpq than the socket shows. */
#define READS_AT_ONCE 4
#define TOO_LARGE "the query's answer has more than 1MiB; write one that gives less"
/* libpq does not tell how much it read, and reads on while a fast server sends: what is counted
 * here is the least, so as to leave early; the row that came is measured. */
#define SOCKET_BUFFER (64 * 1024)
#define READ_LEAST ((size_t)8 * 1024)

/* $1: milliseconds. What is set ends with the transaction. A standby that has replayed all that it
 * has is not behind, as long as it is connected; an idle primary sends nothing to measure by. */
static const char about[] =
        "SELECT pg_catalog.set_config('statement_timeout', $1, true),"
        " pg_catalog.set_config('lock_timeout', $1, true),"
        " pg_catalog.set_config('idle_in_transaction_session_timeout', $1, true),"
        " pg_catalog.pg_is_in_recovery(),"
        " CASE WHEN pg_catalog.pg_is_in_recovery() THEN CASE"
        " WHEN pg_catalog.pg_last_wal_receive_lsn() = pg_catalog.pg_last_wal_replay_lsn()"
        " AND EXISTS (SELECT FROM pg_catalog.pg_stat_wal_receiver) THEN 0 ELSE"
        " extract(epoch FROM pg_catalog.clock_timestamp() -"
        " pg_catalog.pg_last_xact_replay_timestamp()) END END,"
        " CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_wal_lsn_diff("
        "pg_catalog.pg_last_wal_receive_lsn(), pg_catalog.pg_last_wal_replay_lsn()) END,"
        " EXISTS (SELECT FROM pg_catalog.pg_stat_wal_receiver)";

/* The statements of the pipeline, in their order. */
typedef enum VisitQuery { QUERY_BEGIN, QUERY_ABOUT, QUERY_STATEMENT, _QUERY_MAX } VisitQuery;

/* What a worker gets and gives back. */
typedef struct VisitStep {
        char *conninfo, *password; /* of the first step */
        PGconn *connection;
        PostgresPollingStatusType next;
        bool several_hosts;
} VisitStep;

struct PgVisit {
        PgVisitSetup setup;
        usec_t deadline;    /* of our workers */
        usec_t asked, ours; /* when the last step was handed to one; what all of them took */
        OffloadTask *task;  /* a worker has the connection */
        PGconn *connection; /* else it is here, if there is one */
        bool begun, connected;
        VisitQuery query; /* whose results come now */
        size_t received;
        PGresult *row;
        PgVisitEnd end;
};

static void visit_step_free(void *p) {
        VisitStep *s = p;

        if (s->password)
                explicit_bzero(s->password, strlen(s->password));
        free(s->password);
        free(s->conninfo);
        PQfinish(s->connection);
        free(s);
}

/* Offload frees an argument after its work: the step is taken out of it. */
static void holder_free(void *p) {
        VisitStep **at = p;

        if (*at)
                visit_step_free(*at);
        free(at);
}

static void ignore_notice(void *userdata _unused_, const PGresult *r _unused_) {
}

/* With several, libpq would look up the next one inside a later step, and wait for a dead one for
 * as long as the kernel does. */
static bool has_several_hosts(PGconn *c) {
        PQconninfoOption *options = PQconninfo(c);
        bool several = false;

        for (const PQconninfoOption *o = options; o && o->keyword; o++)
                several |= (streq(o->keyword, "host") || streq(o->keyword, "hostaddr")) && o->val &&
                           strchr(o->val, ',');
        PQconninfoFree(options);
        return several;
}

static void *begin_work(void *argument) {
        VisitStep **at = argument, *s = TAKE_PTR(*at);
        ConnectParameters parameters;

        if (connect_parameters_fill(&parameters, s->conninfo, NULL, s->password, APPLICATION) < 0)
                return s;
        s->connection = PQconnectStartParams(parameters.keywords, parameters.values, 1);
        if (!s->connection)
                return s;
        s->several_hosts = has_several_hosts(s->connection);
        (void)PQsetErrorVerbosity(s->connection, PQERRORS_VERBOSE);
        (void)PQsetNoticeReceiver(s->connection, ignore_notice, NULL);
        s->next = PQstatus(s->connection) == CONNECTION_BAD ? PGRES_POLLING_FAILED :
                                                              PGRES_POLLING_WRITING;
        return s;
}

static void *poll_work(void *argument) {
        VisitStep **at = argument, *s = TAKE_PTR(*at);

        s->next = PQconnectPoll(s->connection);
        return s;
}

static void on_step(void *userdata, int r, void *value);

/* Hands a step to a worker. Returns 0, or -EAGAIN or -ENOMEM and the step is freed. */
static int run_step(PgVisit *v, VisitStep *s, bool first) {
        VisitStep **holder = malloc(sizeof *holder);
        usec_t now = loop_now(v->setup.loop);
        int r = -ENOMEM;

        v->asked = now;
        if (holder) {
                *holder = s;
                r = offload_run_few(v->setup.offload, first ? PG_VISIT_BEGINNING_MAX : 0,
                                    first ? begin_work : poll_work, holder, holder_free,
                                    visit_step_free, MAX(usec_sub(v->deadline, now), USEC_PER_MSEC),
                                    on_step, v, &v->task);
        }
        if (r < 0) {
                free(holder);
                visit_step_free(s);
        }
        return r;
}

static void finish(PgVisit *v) {
        v->end.ours = v->ours;
        (void)v->setup.on_watch(v->setup.userdata, -1, 0);
        v->setup.on_end(v->setup.userdata, &v->end);
}

static void fail(PgVisit *v, ProbeOutcome outcome, const char *words) {
        pg_visit_say(&v->end, outcome, "", words);
        finish(v);
}

static void fail_connection(PgVisit *v) {
        pg_visit_judge_connection(&v->end, v->connection);
        finish(v);
}

static void watch(PgVisit *v, uint32_t events) {
        int r = v->setup.on_watch(v->setup.userdata, PQsocket(v->connection), events);

        if (r < 0)
                fail(v, outcome_from_errno(-r), "");
}

/* The next step of the connect phase. */
static void poll_again(PgVisit *v) {
        VisitStep *s = calloc(1, sizeof *s);
        int r = -ENOMEM;

        (void)v->setup.on_watch(v->setup.userdata, -1, 0);
        if (s) {
                s->connection = TAKE_PTR(v->connection);
                r = run_step(v, s, false);
        }
        if (r < 0)
                fail(v, OUTCOME_RESOURCES, "");
}

static bool send_all(PgVisit *v) {
        const char *milliseconds, *statement = v->setup.statement;
        STRBUF(text, sizeof "18446744073709551615");

        strbuf_add_u64(&text, MAX(v->setup.timeout / USEC_PER_MSEC, (usec_t)1));
        milliseconds = text.text;
        return PQsetnonblocking(v->connection, 1) == 0 && PQenterPipelineMode(v->connection) &&
               PQsendQueryParams(v->connection, "BEGIN READ ONLY", 0, NULL, NULL, NULL, NULL, 0) &&
               PQsendQueryParams(v->connection, about, 1, NULL, &milliseconds, NULL, NULL, 0) &&
               (!statement ||
                PQsendQueryParams(v->connection, statement, 0, NULL, NULL, NULL, NULL, 0)) &&
               PQpipelineSync(v->connection);
}

static void ask(PgVisit *v) {
        static const int size = SOCKET_BUFFER;

        v->connected = true;
        (void)setsockopt(PQsocket(v->connection), SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
        (void)PQsetErrorVerbosity(v->connection, PQERRORS_DEFAULT);
        v->setup.on_connected(v->setup.userdata);
        if (!send_all(v))
                fail_connection(v);
        else
                watch(v, EPOLLIN | EPOLLOUT);
}

static void on_step(void *userdata, int r, void *value) {
        PgVisit *v = userdata;
        VisitStep *s = value;
        bool several = s && s->several_hosts;
        PostgresPollingStatusType next = s ? s->next : PGRES_POLLING_FAILED;

        v->task = NULL;
        v->ours = usec_add(v->ours, usec_sub(loop_now(v->setup.loop), v->asked));
        if (r < 0) {
                fail(v, v->begun ? OUTCOME_OVERDUE : OUTCOME_RESOLVER,
                     v->begun ? "rollbackd's own workers were busy" :
                                "no answer of the name server, or none of rollbackd's workers was "
                                "free to ask it");
                return;
        }
        v->begun = true;
        v->connection = TAKE_PTR(s->connection);
        visit_step_free(s);
        if (several)
                fail(v, OUTCOME_LOCAL,
                     "names several hosts; write a probe for each, with one host");
        else if (!v->connection || next == PGRES_POLLING_FAILED)
                fail_connection(v);
        else if (next == PGRES_POLLING_OK)
                ask(v);
        else
                watch(v, next == PGRES_POLLING_READING ? EPOLLIN : EPOLLOUT);
}

static double number_of(const PGresult *r, int column) {
        const char *text = PQgetvalue(r, 0, column);
        double value;

        return PQgetisnull(r, 0, column) || number_parse_double(text, strlen(text), &value) < 0 ?
                       NAN :
                       value;
}

static void take_about(PgVisit *v, const PGresult *r) {
        v->end.in_recovery = streq(PQgetvalue(r, 0, 3), "t");
        v->end.lag_seconds = number_of(r, 4);
        v->end.lag_bytes = number_of(r, 5);
        v->end.receiving = streq(PQgetvalue(r, 0, 6), "t");
}

static size_t row_size(const PGresult *r) {
        size_t size = 0;

        for (int i = 0; i < PQnfields(r); i++)
                size += (size_t)PQgetlength(r, 0, i);
        return size;
}

/* Takes the result over. Returns whether the visit goes on. */
static bool take_result(PgVisit *v, PGresult *r) {
        ExecStatusType status = PQresultStatus(r);

        if (result_is_error(r) && status != PGRES_SINGLE_TUPLE) {
                pg_visit_judge_result(&v->end, v->connection, r);
                PQclear(r);
                finish(v);
                return false;
        }
        if (v->query == QUERY_ABOUT && status == PGRES_TUPLES_OK && PQntuples(r) == 1)
                take_about(v, r);
        if (v->query != QUERY_STATEMENT || status == PGRES_TUPLES_OK) {
                PQclear(r);
                return true;
        }
        if (status != PGRES_SINGLE_TUPLE) {
                PQclear(r);
                fail(v, OUTCOME_LOCAL, "the query gives no rows; write a SELECT");
                return false;
        }
        PQclear(v->row);
        v->row = r;
        if (row_size(r) > PG_VISIT_BYTES_MAX) {
                fail(v, OUTCOME_LOCAL, TOO_LARGE);
                return false;
        }
        v->end.n_rows++;
        /* There may be millions more, and they change nothing. */
        if (v->end.n_rows == 1)
                return true;
        fail(v, OUTCOME_LOCAL, "the query gives several rows; write one that gives one");
        return false;
}

/* Takes all results that are there. Returns whether more are awaited. */
static bool take_results(PgVisit *v) {
        while (!PQisBusy(v->connection)) {
                PGresult *r = PQgetResult(v->connection);

                if (!r) {
                        v->query++;
                        if (v->query == QUERY_STATEMENT)
                                (void)PQsetSingleRowMode(v->connection);
                        continue;
                }
                if (PQresultStatus(r) == PGRES_PIPELINE_SYNC) {
                        PQclear(r);
                        v->end.row = (const PgResult *)v->row;
                        finish(v);
                        return false;
                }
                if (!take_result(v, r))
                        return false;
        }
        return true;
}

static size_t waiting_bytes(const PgVisit *v) {
        int n = 0;

        return ioctl(PQsocket(v->connection), FIONREAD, &n) == 0 && n > 0 ? (size_t)n : 0;
}

static void receive(PgVisit *v) {
        for (unsigned i = 0; i < READS_AT_ONCE; i++) {
                size_t before = waiting_bytes(v), after;
                bool good = PQconsumeInput(v->connection);

                after = waiting_bytes(v);
                v->received += MAX(before > after ? before - after : 0, MIN(before, READ_LEAST));
                if (v->received > PG_VISIT_BYTES_MAX) {
                        fail(v, OUTCOME_LOCAL, TOO_LARGE);
                        return;
                }
                if (!good) {
                        fail_connection(v);
                        return;
                }
                if (!take_results(v))
                        return;
        }
        int r = PQflush(v->connection);

        if (r < 0)
                fail_connection(v);
        else
                watch(v, r > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

void pg_visit_ready(PgVisit *v) {
        if (!v->connection)
                return;
        if (v->connected)
                receive(v);
        else
                poll_again(v);
}

int pg_visit_new(PgVisit **ret, const PgVisitSetup *setup) {
        _cleanup_(pg_visit_freep) PgVisit *v = NULL;
        ConnectParameters parameters;
        VisitStep *s;
        int r = connect_parameters_fill(&parameters, setup->conninfo, NULL, NULL, NULL);

        if (r < 0)
                return r;
        v = calloc(1, sizeof *v);
        s = calloc(1, sizeof *s);
        if (s) {
                s->conninfo = strdup(setup->conninfo);
                s->password = setup->password ? strdup(setup->password) : NULL;
        }
        if (!v || !s || !s->conninfo || (setup->password && !s->password)) {
                if (s)
                        visit_step_free(s);
                return -ENOMEM;
        }
        v->setup = *setup;
        v->setup.conninfo = v->setup.password = NULL;
        v->deadline = usec_add(loop_now(setup->loop), setup->timeout);
        v->end = (PgVisitEnd){ .outcome = OUTCOME_OK, .lag_seconds = NAN, .lag_bytes = NAN };
        r = run_step(v, s, true);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(v);
        return 0;
}

PgVisit *pg_visit_free(PgVisit *v) {
        if (!v)
                return NULL;
        offload_cancel(v->task);
        PQclear(v->row);
        PQfinish(v->connection);
        free(v);
        return NULL;
}

usec_t pg_visit_ours(const PgVisit *v) {
        return v->ours;
}

const char *pg_visit_waiting_for(const PgVisit *v) {
        return v->task ? NULL : v->connected ? "answer" : "connection";
}
