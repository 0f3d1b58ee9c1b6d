/* pg_connect.c: the connect phase, on a worker of offload, because libpq 15 resolves names
 * synchronously: resolve, connect, session settings, LISTEN, warm-up. The loop gets a connection
 * that is ready, or why there is none. Time is kept by a timer descriptor, so that nothing here
 * reads a clock. */
#include <errno.h>
#include <poll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "number.h"
#include "pg_internal.h"

#define RETRY_MIN (250 * USEC_PER_MSEC)
#define RETRY_MAX (15 * USEC_PER_SEC)
#define SETUP_TIME 20       /* seconds for all statements of the set-up */
#define CONNECT_TIME_MAX 30 /* seconds, also when the conninfo says more or "for ever" */
/* After which the worker's task is disowned; above all of its own limits but the resolver's. */
#define CONNECT_TIMEOUT (90 * USEC_PER_SEC)

/* Ours where the conninfo says nothing. A service file that sets one of these is overruled, for
 * libpq does not tell what it holds; `options` and the rest are left to it. */
static const char *const defaults[][2] = {
        { "connect_timeout", "5" },  { "tcp_user_timeout", "15000" },
        { "keepalives_idle", "15" }, { "keepalives_interval", "5" },
        { "keepalives_count", "3" },
};

/* SET rather than `options`, which belongs to the user's conninfo. */
const char pg_session_settings[] = "SET default_transaction_isolation = 'read committed'; SET "
                                   "statement_timeout = '5s'; SET lock_timeout = '2s';"
                                   "SET idle_in_transaction_session_timeout = '10s'";
/* The server then notices within 2 s that we are gone, instead of at the end of the statement; 14
 * and later, and not on every platform. */
static const char session_extra[] =
        "SELECT set_config('client_connection_check_interval', '2s', false)"
        " WHERE current_setting('client_connection_check_interval', true) IS NOT NULL";

typedef struct ConnectTask {
        char *conninfo, *password, *application_name, *listen;
        char **warm;
} ConnectTask;

typedef struct ConnectOutcome {
        PGconn *connection; /* NULL: failed */
        PgFailure failure;
} ConnectOutcome;

static void parameters_add(ConnectParameters *p, const char *keyword, const char *value) {
        assert(p->n + 1 < PG_CONNECT_PARAMETERS);
        p->keywords[p->n] = keyword;
        p->values[p->n++] = value;
        p->keywords[p->n] = NULL;
}

static bool option_is_set(const PQconninfoOption *options, const char *keyword) {
        for (const PQconninfoOption *o = options; o->keyword; o++)
                if (streq(o->keyword, keyword))
                        return o->val != NULL;
        return false;
}

int connect_parameters_fill(ConnectParameters *ret, const char *conninfo, const char *database,
                            const char *password, const char *application_name) {
        PQconninfoOption *options;
        char *words = NULL;

        /* Its words quote parts of the text, a password perhaps: they are not handed on. */
        options = PQconninfoParse(conninfo, &words);
        PQfreemem(words);
        if (!options)
                return -EINVAL;
        *ret = (ConnectParameters){ .n = 0 };
        parameters_add(ret, "dbname", conninfo);
        /* Only the first of the two is expanded. */
        if (database)
                parameters_add(ret, "dbname", database);
        if (password)
                parameters_add(ret, "password", password);
        parameters_add(ret, "fallback_application_name",
                       application_name ? application_name : "rollbackd");
        parameters_add(ret, "client_encoding", "UTF8");
        for (size_t i = 0; i < ELEMENTSOF(defaults); i++)
                if (!option_is_set(options, defaults[i][0]))
                        parameters_add(ret, defaults[i][0], defaults[i][1]);
        PQconninfoFree(options);
        return 0;
}

static void ignore_notice(void *userdata, const PGresult *r) {
        (void)userdata;
        (void)r;
}

/* Waits for the socket or the end of the time. */
static bool wait_for(const PGconn *c, short events, int timer) {
        struct pollfd p[] = { { .fd = PQsocket(c), .events = events },
                              { .fd = timer, .events = POLLIN } };
        int r;

        do
                r = poll(p, ELEMENTSOF(p), -1);
        while (r < 0 && errno == EINTR);
        return r > 0 && !(p[1].revents & POLLIN);
}

static bool timer_start(int timer, uint64_t seconds) {
        const struct itimerspec in = { .it_value = { .tv_sec = (time_t)seconds } };

        return timerfd_settime(timer, 0, &in, NULL) == 0;
}

/* The connect_timeout in force, in seconds. */
static uint64_t find_connect_time(PGconn *c) {
        PQconninfoOption *options = PQconninfo(c);
        uint64_t seconds = CONNECT_TIME_MAX, said;

        for (const PQconninfoOption *o = options; o && o->keyword; o++)
                if (streq(o->keyword, "connect_timeout") && o->val &&
                    number_parse_u64(o->val, strlen(o->val), &said) == 0 && said > 0)
                        seconds = MIN(MAX(said, (uint64_t)2), (uint64_t)CONNECT_TIME_MAX);
        PQconninfoFree(options);
        return seconds;
}

/* Connects step by step, verbose, which is the only way to learn the SQLSTATE of a refusal. Sets
 * *ret_overdue when the time was over. */
static PGconn *connect_stepwise(const ConnectParameters *p, int timer, bool *ret_overdue) {
        PGconn *c = PQconnectStartParams(p->keywords, p->values, 1);
        PostgresPollingStatusType step = PGRES_POLLING_WRITING;

        if (!c || PQstatus(c) == CONNECTION_BAD)
                return c;
        (void)PQsetErrorVerbosity(c, PQERRORS_VERBOSE);
        (void)PQsetNoticeReceiver(c, ignore_notice, NULL);
        if (!timer_start(timer, find_connect_time(c)))
                return c;
        while (step != PGRES_POLLING_OK && step != PGRES_POLLING_FAILED) {
                if (!wait_for(c, step == PGRES_POLLING_READING ? POLLIN : POLLOUT, timer)) {
                        *ret_overdue = true;
                        return c;
                }
                step = PQconnectPoll(c);
        }
        return c;
}

/* When the time is over, some address of several may still answer: the blocking call gives each its
 * own time, as stepping cannot. */
PGconn *pg_connect_patiently(const ConnectParameters *p, int timer) {
        bool overdue = false;
        PGconn *c = connect_stepwise(p, timer, &overdue);

        if (!overdue)
                return c;
        PQfinish(c);
        c = PQconnectdbParams(p->keywords, p->values, 1);
        if (c)
                (void)PQsetNoticeReceiver(c, ignore_notice, NULL);
        return c;
}

/* Runs a script within the timer's time, and fills *f when it fails. */
static bool execute(PGconn *c, const char *sql, int timer, PgFailure *f) {
        bool good = true;
        PGresult *r;

        if (!PQsendQuery(c, sql)) {
                failure_from_connection(f, PG_RETRY, c);
                return false;
        }
        for (;;) {
                while (PQisBusy(c)) {
                        if (!wait_for(c, POLLIN, timer)) {
                                failure_set(
                                        f, PG_RETRY, "",
                                        "the server did not answer the set-up statements in time");
                                return false;
                        }
                        if (!PQconsumeInput(c)) {
                                failure_from_connection(f, PG_RETRY, c);
                                return false;
                        }
                }
                r = PQgetResult(c);
                if (!r)
                        return good;
                if (good && result_is_error(r)) {
                        good = false;
                        failure_from_result(f, c, r);
                }
                PQclear(r);
                if (PQstatus(c) != CONNECTION_OK)
                        return false;
        }
}

static bool set_up(PGconn *c, const ConnectTask *t, int timer, PgFailure *f) {
        STRBUF(listen, PG_NAME_SIZE * 2 + 16);
        PgFailure ignored;

        if (!timer_start(timer, SETUP_TIME)) {
                failure_set(f, PG_RETRY, "", "no timer for the set-up");
                return false;
        }
        if (!execute(c, pg_session_settings, timer, f))
                return false;
        if (!execute(c, session_extra, timer, &ignored) && PQstatus(c) != CONNECTION_OK) {
                *f = ignored;
                return false;
        }
        if (t->listen) {
                strbuf_add(&listen, "LISTEN ");
                if (pg_quote_identifier(t->listen, &listen) < 0) {
                        failure_set(f, PG_CONFIGURATION, "", "the channel to LISTEN on is no name");
                        return false;
                }
                if (!execute(c, listen.text, timer, f))
                        return false;
        }
        for (size_t i = 0; t->warm[i]; i++)
                if (!execute(c, t->warm[i], timer, f))
                        return false;
        (void)PQsetErrorVerbosity(c, PQERRORS_DEFAULT);
        return true;
}

static void *connect_work(void *argument) {
        const ConnectTask *t = argument;
        ConnectOutcome *o = calloc(1, sizeof *o);
        int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
        ConnectParameters parameters;
        bool good = false;

        if (!o || timer < 0 ||
            connect_parameters_fill(&parameters, t->conninfo, NULL, t->password,
                                    t->application_name) < 0) {
                if (o)
                        failure_set(&o->failure, PG_RETRY, "",
                                    "no memory or no descriptor for a connection");
                goto finish;
        }
        o->connection = pg_connect_patiently(&parameters, timer);
        if (!o->connection || PQstatus(o->connection) != CONNECTION_OK)
                failure_from_connection(&o->failure, PG_RETRY, o->connection);
        else
                good = set_up(o->connection, t, timer, &o->failure);
finish:
        if (timer >= 0)
                (void)close(timer);
        if (o && !good) {
                PQfinish(o->connection);
                o->connection = NULL;
        }
        return o;
}

static void outcome_free(void *value) {
        ConnectOutcome *o = value;

        PQfinish(o->connection);
        free(o);
}

static void wipe(char *text) {
        if (text)
                explicit_bzero(text, strlen(text));
        free(text);
}

static void task_free(void *argument) {
        ConnectTask *t = argument;

        wipe(t->conninfo);
        wipe(t->password);
        free(t->application_name);
        free(t->listen);
        for (size_t i = 0; t->warm && t->warm[i]; i++)
                free(t->warm[i]);
        free(t->warm);
        free(t);
}

static bool copy(char **ret, const char *text) {
        *ret = text ? strdup(text) : NULL;
        return *ret || !text;
}

/* A task sees nothing but its own argument: everything is copied, the password taken over. NULL
 * without memory. */
static ConnectTask *task_new(const Pg *p, char *password) {
        ConnectTask *t = calloc(1, sizeof *t);
        size_t n = 0;

        while (p->warm[n])
                n++;
        if (!t) {
                wipe(password);
                return NULL;
        }
        t->password = password;
        t->warm = calloc(n + 1, sizeof *t->warm);
        if (t->warm && copy(&t->conninfo, p->conninfo) &&
            copy(&t->application_name, p->application_name) && copy(&t->listen, p->listen)) {
                size_t i = 0;

                while (i < n && copy(&t->warm[i], p->warm[i]))
                        i++;
                if (i == n)
                        return t;
        }
        task_free(t);
        return NULL;
}

static void not_connected(Pg *p, const PgFailure *why) {
        pg_enter(p);
        pg_connect_later(p);
        p->on_state(p->userdata, false, why);
        pg_leave(p);
}

static void on_connected(void *userdata, int r, void *value) {
        ConnectOutcome *o = value;
        Pg *p = userdata;
        PgFailure why;

        p->connecting = NULL;
        if (o && o->connection) {
                PGconn *c = TAKE_PTR(o->connection);

                outcome_free(o);
                pg_adopt(p, c);
                return;
        }
        if (o)
                why = o->failure;
        else
                failure_set(
                        &why, PG_RETRY, "",
                        r < 0 ? "connecting took longer than 90 s (is the resolver answering?)" :
                                "no memory to connect");
        free(o);
        not_connected(p, &why);
}

/* The password is read anew for each attempt, so that a corrected one is taken. */
static bool read_password(Pg *p, char **ret) {
        STRBUF(words, sizeof((PgFailure *)NULL)->message);
        PgFailure why;

        *ret = NULL;
        if (!p->on_password || p->on_password(p->userdata, ret, &words) >= 0)
                return true;
        failure_set(&why, PG_CONFIGURATION, "", words.text);
        not_connected(p, &why);
        return false;
}

static void connect_start(Pg *p) {
        ConnectTask *t;
        char *password;

        if (!read_password(p, &password))
                return;
        t = task_new(p, password);
        if (t && offload_run(p->offload, connect_work, t, task_free, outcome_free, CONNECT_TIMEOUT,
                             on_connected, p, &p->connecting) >= 0)
                return;
        /* No memory, or every worker is busy. */
        if (t)
                task_free(t);
        pg_connect_later(p);
}

/* Full jitter between the least delay and a ceiling that doubles. */
void pg_connect_later(Pg *p) {
        usec_t ceiling = RETRY_MIN << MIN(++p->attempts, 8u);

        ceiling = MIN(ceiling, RETRY_MAX);
        loop_timer_set(p->retry, usec_add(loop_now(p->loop),
                                          RETRY_MIN + usec_jitter(ceiling - RETRY_MIN, &p->seed)));
}

void pg_on_retry(void *userdata, usec_t now) {
        Pg *p = userdata;

        (void)now;
        if (!p->connecting && !p->connection)
                connect_start(p);
}

void pg_connect_now(Pg *p) {
        assert(p);
        p->attempts = 0;
        if (!p->connecting && !p->connection)
                loop_timer_set(p->retry, 0);
}
