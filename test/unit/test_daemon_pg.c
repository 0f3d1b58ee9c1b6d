/* test_daemon_pg.c: the connection against a real PostgreSQL: statements, transactions, loss at every point, deadlines, notifications, reconnects. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "pg.h"
#include "private_postgres.h"

#define LONG (30 * USEC_PER_SEC)

typedef struct Answer {
        bool done;
        PgFailure failure;
        size_t rows;
        uint64_t affected;
        char cell[80];
} Answer;

typedef struct Story {
        Loop *loop;
        Offload *offload;
        LoopTimer *guard;
        Pg *pg;
        bool changed; /* on_state() was called */
        bool up, notified;
        unsigned failures;
        PgFailure state;
        char payload[40];
        PgTransaction *transaction;
        Answer answer, commit, begin;
        SwallowingProxy proxy;
} Story;

static PrivatePostgres server;

static void give_up(void *userdata, usec_t now) {
        (void)userdata;
        (void)now;
        fail_msg("nothing happened for 60 s");
}

static void on_state(void *userdata, bool up, const PgFailure *failure) {
        Story *s = userdata;

        s->changed = true;
        s->up = up;
        s->failures += !up;
        s->state = *failure;
}

static void on_notify(void *userdata, const char *channel, const char *payload) {
        Story *s = userdata;

        assert_string_equal(channel, "rollbackd \"test\"");
        (void)snprintf(s->payload, sizeof s->payload, "%s", payload);
        s->notified = true;
}

static void wait_for(Story *s, bool *flag) {
        loop_timer_set(s->guard, usec_add(loop_now(s->loop), 60 * USEC_PER_SEC));
        assert_int_equal(loop_run_until(s->loop, flag), 0);
        assert_true(*flag);
        *flag = false;
}

static void wait_up(Story *s) {
        while (!s->up)
                wait_for(s, &s->changed);
        s->changed = false;
}

static void connect_as(Story *s, const char *conninfo, const char *password, const char *const *warm) {
        const PgSetup setup = {.conninfo = conninfo, .password = password, .application_name = "test", .listen = "rollbackd \"test\"", .warm = warm,
                               .on_state = on_state, .on_notify = on_notify, .userdata = s};

        assert_int_equal(pg_new(&s->pg, s->loop, s->offload, &setup, 1), 0);
}

static int set_up(void **state) {
        Story *s = calloc(1, sizeof *s);

        assert_non_null(s);
        assert_int_equal(loop_new(&s->loop), 0);
        assert_int_equal(offload_new(&s->offload, s->loop, 2, 8), 0);
        assert_int_equal(loop_add_timer(s->loop, give_up, s, "guard", &s->guard), 0);
        *state = s;
        return 0;
}

static int set_up_connected(void **state) {
        Story *s;

        assert_int_equal(set_up(state), 0);
        s = *state;
        connect_as(s, server.conninfo, NULL, NULL);
        wait_up(s);
        return 0;
}

static int tear_down(void **state) {
        Story *s = *state;

        pg_free(s->pg);
        offload_free(s->offload);
        loop_timer_free(s->guard);
        loop_free(s->loop);
        swallowing_proxy_stop(&s->proxy);
        free(s);
        return 0;
}

static void on_answer(void *userdata, const PgFailure *failure, const PgResult *result) {
        Answer *a = userdata;
        const char *cell = pg_cell(result, 0, 0);

        a->done = true;
        a->failure = *failure;
        assert_int_equal(failure->error == PG_OK, result != NULL);
        a->rows = pg_rows(result);
        a->affected = pg_affected(result);
        (void)snprintf(a->cell, sizeof a->cell, "%s", cell ? cell : "NULL");
}

static PgError ask(Story *s, const char *sql) {
        assert_int_equal(pg_query(s->pg, sql, 0, NULL, LONG, on_answer, &s->answer), 0);
        wait_for(s, &s->answer.done);
        return s->answer.failure.error;
}

static void on_begin(void *userdata, PgTransaction *t, const PgFailure *failure) {
        Story *s = userdata;

        assert_int_equal(failure->error == PG_OK, t != NULL);
        s->transaction = t;
        s->begin.failure = *failure;
        s->begin.done = true;
}

static void begin(Story *s, usec_t timeout) {
        assert_int_equal(pg_begin(s->pg, timeout, on_begin, s), 0);
        wait_for(s, &s->begin.done);
        assert_non_null(s->transaction);
}

static PgError in_transaction(Story *s, const char *sql) {
        pg_transaction_query(s->transaction, sql, 0, NULL, on_answer, &s->answer);
        wait_for(s, &s->answer.done);
        return s->answer.failure.error;
}

static PgError commit(Story *s) {
        pg_transaction_commit(s->transaction, on_answer, &s->commit);
        wait_for(s, &s->commit.done);
        return s->commit.failure.error;
}

/* Ends a backend by SIGQUIT-like force from a second connection; `which` is a condition on pg_stat_activity. */
static void end_backends(const char *which) {
        _cleanup_(pg_sync_freep) PgSync *other = NULL;
        char sql[200];
        PgFailure failure;
        bool ended = false;

        assert_int_equal(pg_sync_connect(&other, server.conninfo, NULL, &failure), 0);
        (void)snprintf(sql, sizeof sql, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'test' AND %s", which);
        for (unsigned i = 0; i < 100000 && !ended; i++) {
                _cleanup_(pg_result_freep) PgResult *r = pg_sync_script(other, sql, &failure);

                assert_non_null(r);
                ended = pg_rows(r) > 0;
        }
        assert_true(ended);
}

static void end_soon(void *userdata, usec_t now) {
        (void)now;
        end_backends(userdata);
}

static void parameters_and_results(void **state) {
        const char *const parameters[] = {"a'b", NULL, "7"};
        Story *s = *state;

        assert_int_equal(pg_query(s->pg, "SELECT $1::text || coalesce($2::text, '-') || ($3::int + 1) AS x", 3, parameters, LONG, on_answer, &s->answer), 0);
        wait_for(s, &s->answer.done);
        assert_string_equal(s->answer.cell, "a'b-8");
        assert_int_equal(ask(s, "CREATE TABLE IF NOT EXISTS t (x int PRIMARY KEY)"), PG_OK);
        assert_int_equal(ask(s, "INSERT INTO t SELECT generate_series(1, 5)"), PG_OK);
        assert_int_equal(s->answer.affected, 5);
        assert_int_equal(ask(s, "SELECT x FROM t ORDER BY x DESC"), PG_OK);
        assert_int_equal(s->answer.rows, 5);
        assert_string_equal(s->answer.cell, "5");
        assert_int_equal(ask(s, "TRUNCATE t"), PG_OK);
}

static void session_is_set_up(void **state) {
        static const char *const want[][2] = {
                {"default_transaction_isolation", "read committed"}, {"statement_timeout", "5s"}, {"lock_timeout", "2s"},
                {"idle_in_transaction_session_timeout", "10s"}, {"client_encoding", "UTF8"}, {"application_name", "test"},
                {"client_connection_check_interval", "2s"},
        };
        Story *s = *state;
        char sql[80];

        for (size_t i = 0; i < ELEMENTSOF(want); i++) {
                (void)snprintf(sql, sizeof sql, "SHOW %s", want[i][0]);
                assert_int_equal(ask(s, sql), PG_OK);
                assert_string_equal(s->answer.cell, want[i][1]);
        }
}

static void errors_have_classes(void **state) {
        static const struct {
                const char *sqlstate;
                PgError error;
        } want[] = {{"40001", PG_RETRY}, {"40P01", PG_RETRY}, {"55P03", PG_RETRY}, {"57014", PG_RETRY}, {"53100", PG_RETRY}, {"57P01", PG_RETRY},
                    {"08006", PG_RETRY}, {"25006", PG_HOLD}, {"57P03", PG_HOLD}, {"28000", PG_CONFIGURATION}, {"3D000", PG_CONFIGURATION},
                    {"42501", PG_CONFIGURATION}, {"0A000", PG_CONFIGURATION}, {"RB001", PG_REFUSED}, {"23505", PG_REFUSED}, {"P0001", PG_REFUSED}};
        Story *s = *state;
        char sql[160];

        for (size_t i = 0; i < ELEMENTSOF(want); i++) {
                (void)snprintf(sql, sizeof sql, "DO $$ BEGIN RAISE 'no' USING ERRCODE = '%s', DETAIL = 'why', HINT = 'do'; END $$", want[i].sqlstate);
                assert_int_equal(ask(s, sql), want[i].error);
                assert_string_equal(s->answer.failure.sqlstate, want[i].sqlstate);
                assert_string_equal(s->answer.failure.message, "no; detail: why; hint: do");
        }
        assert_true(pg_is_up(s->pg));
}

static void prepared_survive_a_changed_table(void **state) {
        Story *s = *state;

        assert_int_equal(ask(s, "CREATE TABLE changing (a int)"), PG_OK);
        for (unsigned i = 0; i < 3; i++) {
                if (i == 1)
                        assert_int_equal(ask(s, "ALTER TABLE changing ADD b int"), PG_OK);
                if (i == 2)
                        assert_int_equal(ask(s, "DEALLOCATE ALL"), PG_OK);
                assert_int_equal(pg_query_prepared(s->pg, "look", "SELECT * FROM changing", 0, NULL, LONG, on_answer, &s->answer), 0);
                wait_for(s, &s->answer.done);
                assert_int_equal(s->answer.failure.error, PG_OK);
        }
        assert_int_equal(ask(s, "SELECT count(*) FROM pg_prepared_statements"), PG_OK);
        assert_string_equal(s->answer.cell, "1");
        assert_int_equal(ask(s, "DROP TABLE changing"), PG_OK);
        assert_int_equal(pg_connection_number(s->pg), 1);
}

static void queue_is_bounded_and_in_order(void **state) {
        Answer answers[300] = {0};
        Story *s = *state;
        char sql[40];
        unsigned n = 0;
        int r = 0;

        while (r == 0) {
                (void)snprintf(sql, sizeof sql, "SELECT %u", n);
                r = pg_query(s->pg, sql, 0, NULL, LONG, on_answer, &answers[n]);
                n += r == 0;
        }
        assert_int_equal(r, -EAGAIN);
        assert_int_equal(n, 257); /* one of them is on its way */
        for (unsigned i = 0; i < n; i++) {
                if (!answers[i].done)
                        wait_for(s, &answers[i].done);
                (void)snprintf(sql, sizeof sql, "%u", i);
                assert_string_equal(answers[i].cell, sql);
        }
}

static void transaction_takes_the_connection(void **state) {
        Answer other = {.done = false};
        Story *s = *state;

        begin(s, LONG);
        assert_int_equal(pg_query(s->pg, "SELECT count(*) FROM t", 0, NULL, LONG, on_answer, &other), 0);
        assert_int_equal(in_transaction(s, "SHOW transaction_isolation"), PG_OK);
        assert_string_equal(s->answer.cell, "read committed");
        assert_int_equal(in_transaction(s, "INSERT INTO t VALUES (1)"), PG_OK);
        assert_false(other.done);
        assert_int_equal(commit(s), PG_OK);
        wait_for(s, &other.done);
        assert_string_equal(other.cell, "1");
        begin(s, LONG);
        assert_int_equal(in_transaction(s, "TRUNCATE t"), PG_OK);
        pg_transaction_rollback(s->transaction);
        assert_int_equal(ask(s, "SELECT count(*) FROM t"), PG_OK);
        assert_string_equal(s->answer.cell, "1");
        assert_int_equal(ask(s, "TRUNCATE t"), PG_OK);
}

static void commit_of_a_failed_transaction_is_refused(void **state) {
        Story *s = *state;

        begin(s, LONG);
        assert_int_equal(in_transaction(s, "SELECT 1/0"), PG_CONFIGURATION);
        assert_int_equal(in_transaction(s, "SELECT 1"), PG_REFUSED);
        assert_int_equal(commit(s), PG_REFUSED);
        assert_string_equal(s->commit.failure.sqlstate, "25P02");
        begin(s, LONG);
        assert_int_equal(in_transaction(s, "SAVEPOINT a"), PG_OK);
        assert_int_equal(in_transaction(s, "SELECT 1/0"), PG_CONFIGURATION);
        assert_int_equal(in_transaction(s, "ROLLBACK TO a"), PG_OK);
        assert_int_equal(commit(s), PG_OK);
        assert_true(pg_is_up(s->pg));
}

static void statement_may_not_end_its_transaction(void **state) {
        Story *s = *state;

        begin(s, LONG);
        assert_int_equal(in_transaction(s, "COMMIT"), PG_IN_DOUBT);
        assert_non_null(strstr(s->answer.failure.message, "ended the transaction"));
        assert_false(pg_is_up(s->pg));
        assert_int_equal(in_transaction(s, "INSERT INTO t VALUES (99)"), PG_LOST);
        assert_int_equal(commit(s), PG_LOST);
        wait_up(s);
        assert_int_equal(ask(s, "BEGIN"), PG_IN_DOUBT);
        wait_up(s);
        assert_int_equal(ask(s, "SELECT count(*) FROM t"), PG_OK);
        assert_string_equal(s->answer.cell, "0");
}

static void lost_in_a_transaction_did_not_happen(void **state) {
        LoopTimer *timer;
        Story *s = *state;

        assert_int_equal(loop_add_timer(s->loop, end_soon, (void *)"state = 'active'", "end", &timer), 0);
        begin(s, LONG);
        assert_int_equal(in_transaction(s, "INSERT INTO t VALUES (1)"), PG_OK);
        loop_timer_set(timer, 0);
        assert_int_equal(in_transaction(s, "SELECT pg_sleep(4)"), PG_LOST);
        assert_string_equal(s->answer.failure.sqlstate, "57P01");
        assert_int_equal(commit(s), PG_LOST);
        wait_up(s);
        assert_int_equal(pg_connection_number(s->pg), 2);
        assert_int_equal(ask(s, "SELECT count(*) FROM t"), PG_OK);
        assert_string_equal(s->answer.cell, "0");
        loop_timer_free(timer);
}

static void lost_autocommit_is_in_doubt_and_the_queue_is_not(void **state) {
        Answer queued = {.done = false};
        LoopTimer *timer;
        Story *s = *state;

        assert_int_equal(loop_add_timer(s->loop, end_soon, (void *)"state = 'active'", "end", &timer), 0);
        loop_timer_set(timer, 0);
        assert_int_equal(pg_query(s->pg, "SELECT pg_sleep(4)", 0, NULL, LONG, on_answer, &s->answer), 0);
        assert_int_equal(pg_query(s->pg, "SELECT 1", 0, NULL, LONG, on_answer, &queued), 0);
        wait_for(s, &s->answer.done);
        assert_int_equal(s->answer.failure.error, PG_IN_DOUBT);
        assert_true(queued.done);
        assert_int_equal(queued.failure.error, PG_LOST);
        assert_int_equal(pg_query(s->pg, "SELECT 1", 0, NULL, LONG, on_answer, &queued), -ENOTCONN);
        wait_up(s);
        loop_timer_free(timer);
}

static void swallowed_commit_is_in_doubt(void **state) {
        Story *s = *state;

        assert_true(swallowing_proxy_start(&s->proxy, &server, "COMMIT"));
        connect_as(s, s->proxy.conninfo, NULL, NULL);
        wait_up(s);
        begin(s, LONG);
        assert_int_equal(in_transaction(s, "INSERT INTO t VALUES (42)"), PG_OK);
        assert_int_equal(commit(s), PG_IN_DOUBT);
        wait_up(s);
        assert_int_equal(ask(s, "SELECT x FROM t"), PG_OK);
        assert_string_equal(s->answer.cell, "42");
        assert_int_equal(ask(s, "TRUNCATE t"), PG_OK);
}

static void overdue_statement_gives_the_connection_up(void **state) {
        Story *s = *state;

        assert_int_equal(pg_query(s->pg, "SELECT pg_sleep(4)", 0, NULL, 50 * USEC_PER_MSEC, on_answer, &s->answer), 0);
        wait_for(s, &s->answer.done);
        assert_int_equal(s->answer.failure.error, PG_TIMEOUT);
        assert_false(pg_is_up(s->pg));
        wait_up(s);
        assert_int_equal(ask(s, "SELECT 1"), PG_OK);
}

static void overdue_in_the_queue_was_not_sent(void **state) {
        Answer queued = {.done = false};
        Story *s = *state;

        assert_int_equal(pg_query(s->pg, "SELECT pg_sleep(0.5)", 0, NULL, LONG, on_answer, &s->answer), 0);
        assert_int_equal(pg_query(s->pg, "INSERT INTO t VALUES (7)", 0, NULL, 20 * USEC_PER_MSEC, on_answer, &queued), 0);
        wait_for(s, &queued.done);
        assert_int_equal(queued.failure.error, PG_RETRY);
        wait_for(s, &s->answer.done);
        assert_int_equal(s->answer.failure.error, PG_OK);
        assert_int_equal(ask(s, "SELECT count(*) FROM t"), PG_OK);
        assert_string_equal(s->answer.cell, "0");
        assert_int_equal(pg_connection_number(s->pg), 1);
}

static void transaction_left_open_is_given_up(void **state) {
        Story *s = *state;

        begin(s, 100 * USEC_PER_MSEC);
        s->changed = false;
        wait_for(s, &s->changed);
        assert_false(s->up);
        /* Not the server's own limit on idle transactions. */
        assert_int_equal(s->state.error, PG_TIMEOUT);
        assert_int_equal(in_transaction(s, "SELECT 1"), PG_LOST);
        pg_transaction_rollback(s->transaction);
        wait_up(s);
        assert_int_equal(ask(s, "SELECT 1"), PG_OK);
}

static void lock_timeout_is_a_retry(void **state) {
        _cleanup_(pg_sync_freep) PgSync *other = NULL;
        Story *s = *state;
        PgFailure failure;

        assert_int_equal(pg_sync_connect(&other, server.conninfo, NULL, &failure), 0);
        pg_result_free(pg_sync_script(other, "BEGIN; LOCK TABLE t", &failure));
        assert_int_equal(ask(s, "INSERT INTO t VALUES (1)"), PG_RETRY);
        assert_string_equal(s->answer.failure.sqlstate, "55P03");
}

static void notifications_come_before_and_after_a_restart(void **state) {
        Story *s = *state;

        assert_int_equal(ask(s, "SELECT pg_notify('rollbackd \"test\"', 'users 1')"), PG_OK);
        if (!s->notified)
                wait_for(s, &s->notified);
        s->notified = false;
        assert_string_equal(s->payload, "users 1");
        s->changed = false;
        private_postgres_kill(&server);
        /* An idle connection learns it too. */
        wait_for(s, &s->changed);
        assert_false(s->up);
        while (s->failures < 2)
                wait_for(s, &s->changed);
        assert_int_equal(s->state.error, PG_RETRY);
        assert_true(private_postgres_again(&server));
        wait_up(s);
        assert_int_equal(ask(s, "SELECT pg_notify('rollbackd \"test\"', 'users 2')"), PG_OK);
        if (!s->notified)
                wait_for(s, &s->notified);
        assert_string_equal(s->payload, "users 2");
}

static void connecting_fails_with_class_and_without_secret(void **state) {
        const PgSetup broken = {.conninfo = "host=x pass word=hunter2", .on_state = on_state};
        _cleanup_(pg_sync_freep) PgSync *sync = NULL;
        Story *s = *state;
        PgFailure failure;
        char conninfo[300];

        assert_int_equal(pg_new(&s->pg, s->loop, s->offload, &broken, 1), -EINVAL);
        assert_int_equal(pg_sync_connect(&sync, broken.conninfo, NULL, &failure), -EINVAL);
        assert_null(strstr(failure.message, "hunter2"));
        assert_int_equal(failure.error, PG_CONFIGURATION);
        (void)snprintf(conninfo, sizeof conninfo, "%s dbname=nowhere", server.conninfo);
        connect_as(s, conninfo, "hunter2", NULL);
        wait_for(s, &s->changed);
        assert_false(s->up);
        assert_int_equal(s->state.error, PG_CONFIGURATION);
        assert_string_equal(s->state.sqlstate, "3D000");
        assert_null(strstr(s->state.message, "hunter2"));
        assert_null(strstr(s->state.message, "LOCATION"));
}

static void failed_warm_up_is_a_failed_connect(void **state) {
        static const char *const warm[] = {"SELECT 1", "SELECT nonsense", NULL};
        Story *s = *state;

        connect_as(s, server.conninfo, NULL, warm);
        wait_for(s, &s->changed);
        assert_false(s->up);
        assert_string_equal(s->state.sqlstate, "42703");
        assert_int_equal(s->state.error, PG_CONFIGURATION);
}

static void copy_is_refused(void **state) {
        Story *s = *state;

        assert_int_equal(ask(s, "COPY t FROM STDIN"), PG_IN_DOUBT);
        assert_non_null(strstr(s->answer.failure.message, "COPY"));
        wait_up(s);
        assert_int_equal(ask(s, "COPY t TO STDOUT"), PG_IN_DOUBT);
        wait_up(s);
        assert_int_equal(ask(s, "SELECT 1"), PG_OK);
}

static void free_inside(void *userdata, const PgFailure *failure, const PgResult *result) {
        Story *s = userdata;

        assert_int_equal(failure->error, PG_OK);
        assert_string_equal(pg_value(result, 0, "x"), "1");
        s->pg = pg_free(s->pg);
        /* The result is ours until we return. */
        assert_string_equal(pg_value(result, 0, "x"), "1");
        assert_true(s->answer.done);
        assert_int_equal(s->answer.failure.error, PG_LOST);
}

static void connection_may_go_inside_a_callback(void **state) {
        Story *s = *state;

        assert_int_equal(pg_query(s->pg, "SELECT 1 AS x", 0, NULL, LONG, free_inside, s), 0);
        assert_int_equal(pg_query(s->pg, "SELECT 2", 0, NULL, LONG, on_answer, &s->answer), 0);
        wait_for(s, &s->answer.done);
        assert_null(s->pg);
}

static void on_notice(void *userdata, const char *text) {
        (void)snprintf(userdata, 40, "%s", text);
}

static void blocking_calls_for_the_command_line(void **state) {
        const char *const parameters[] = {"x"};
        _cleanup_(pg_sync_freep) PgSync *sync = NULL;
        PgFailure failure;
        PgResult *r;
        char notice[40] = "";

        (void)state;
        assert_int_equal(pg_sync_connect(&sync, server.conninfo, NULL, &failure), 0);
        pg_sync_on_notice(sync, on_notice, notice);
        r = pg_sync_query(sync, "SELECT $1::text AS a, NULL AS b", 1, parameters, &failure);
        assert_string_equal(pg_value(r, 0, "a"), "x");
        assert_null(pg_value(r, 0, "b"));
        assert_null(pg_value(r, 0, "c"));
        assert_null(pg_value(r, 1, "a"));
        assert_int_equal(pg_columns(r), 2);
        pg_result_free(r);
        r = pg_sync_script(sync, "DO $$ BEGIN RAISE NOTICE 'hello'; END $$; SELECT 2", &failure);
        assert_string_equal(pg_cell(r, 0, 0), "2");
        assert_string_equal(notice, "hello");
        pg_result_free(r);
        assert_null(pg_sync_query(sync, "SELECT $1::int", 1, parameters, &failure));
        assert_string_equal(failure.sqlstate, "22P02");
}

static void identifiers_are_quoted(void **state) {
        STRBUF(b, 40);
        STRBUF(tiny, 4);

        (void)state;
        assert_int_equal(pg_quote_identifier("a\"b \xc3\xa4", &b), 0);
        assert_string_equal(b.text, "\"a\"\"b \xc3\xa4\"");
        assert_int_equal(pg_quote_identifier("", &b), -EINVAL);
        assert_int_equal(pg_quote_identifier("\xff", &b), -EINVAL);
        assert_int_equal(pg_quote_identifier("\xc3", &b), -EINVAL);
        assert_int_equal(pg_quote_identifier("\xed\xa0\x80", &b), -EINVAL);
        assert_int_equal(pg_quote_identifier("abcdef", &tiny), -ENOSPC);
}

static int start_server(void **state) {
        (void)state;
        return private_postgres_start(&server) ? 0 : -1;
}

static int remove_server(void **state) {
        (void)state;
        private_postgres_remove(&server);
        return 0;
}

#define CONNECTED(test) cmocka_unit_test_setup_teardown(test, set_up_connected, tear_down)
#define ALONE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                CONNECTED(parameters_and_results),
                CONNECTED(session_is_set_up),
                CONNECTED(errors_have_classes),
                CONNECTED(prepared_survive_a_changed_table),
                CONNECTED(queue_is_bounded_and_in_order),
                CONNECTED(transaction_takes_the_connection),
                CONNECTED(commit_of_a_failed_transaction_is_refused),
                CONNECTED(statement_may_not_end_its_transaction),
                CONNECTED(lost_in_a_transaction_did_not_happen),
                CONNECTED(lost_autocommit_is_in_doubt_and_the_queue_is_not),
                ALONE(swallowed_commit_is_in_doubt),
                CONNECTED(overdue_statement_gives_the_connection_up),
                CONNECTED(overdue_in_the_queue_was_not_sent),
                CONNECTED(transaction_left_open_is_given_up),
                CONNECTED(lock_timeout_is_a_retry),
                ALONE(connecting_fails_with_class_and_without_secret),
                ALONE(failed_warm_up_is_a_failed_connect),
                CONNECTED(copy_is_refused),
                CONNECTED(connection_may_go_inside_a_callback),
                CONNECTED(notifications_come_before_and_after_a_restart),
                cmocka_unit_test(blocking_calls_for_the_command_line),
                cmocka_unit_test(identifiers_are_quoted),
        };

        return cmocka_run_group_tests(tests, start_server, remove_server);
}
