/* test_daemon_pg_loss.c: transactions, and the loss of the connection at every point of them;
 * deadlines, notifications and reconnects, against a real PostgreSQL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "pg_story.h"

static void transaction_takes_the_connection(void **state) {
        PgAnswer other = { .done = false };
        PgStory *s = *state;

        pg_story_begin(s, PG_STORY_LONG);
        assert_int_equal(pg_query(s->pg, "SELECT count(*) FROM t", 0, NULL, PG_STORY_LONG,
                                  pg_story_on_answer, &other),
                         0);
        assert_int_equal(pg_story_in_transaction(s, "SHOW transaction_isolation"), PG_OK);
        assert_string_equal(s->answer.cell, "read committed");
        assert_int_equal(pg_story_in_transaction(s, "INSERT INTO t VALUES (1)"), PG_OK);
        assert_false(other.done);
        assert_int_equal(pg_story_commit(s), PG_OK);
        pg_story_wait_for(s, &other.done);
        assert_string_equal(other.cell, "1");
        pg_story_begin(s, PG_STORY_LONG);
        assert_int_equal(pg_story_in_transaction(s, "TRUNCATE t"), PG_OK);
        pg_transaction_rollback(s->transaction);
        assert_int_equal(pg_story_ask(s, "SELECT count(*) FROM t"), PG_OK);
        assert_string_equal(s->answer.cell, "1");
        assert_int_equal(pg_story_ask(s, "TRUNCATE t"), PG_OK);
}

static void commit_of_a_failed_transaction_is_refused(void **state) {
        PgStory *s = *state;

        pg_story_begin(s, PG_STORY_LONG);
        assert_int_equal(pg_story_in_transaction(s, "SELECT 1/0"), PG_CONFIGURATION);
        assert_int_equal(pg_story_in_transaction(s, "SELECT 1"), PG_REFUSED);
        assert_int_equal(pg_story_commit(s), PG_REFUSED);
        assert_string_equal(s->commit.failure.sqlstate, "25P02");
        pg_story_begin(s, PG_STORY_LONG);
        assert_int_equal(pg_story_in_transaction(s, "SAVEPOINT a"), PG_OK);
        assert_int_equal(pg_story_in_transaction(s, "SELECT 1/0"), PG_CONFIGURATION);
        assert_int_equal(pg_story_in_transaction(s, "ROLLBACK TO a"), PG_OK);
        assert_int_equal(pg_story_commit(s), PG_OK);
        assert_true(pg_is_up(s->pg));
}

static void statement_may_not_end_its_transaction(void **state) {
        PgStory *s = *state;

        pg_story_begin(s, PG_STORY_LONG);
        assert_int_equal(pg_story_in_transaction(s, "COMMIT"), PG_IN_DOUBT);
        assert_non_null(strstr(s->answer.failure.message, "ended the transaction"));
        assert_false(pg_is_up(s->pg));
        assert_int_equal(pg_story_in_transaction(s, "INSERT INTO t VALUES (99)"), PG_LOST);
        assert_int_equal(pg_story_commit(s), PG_LOST);
        pg_story_wait_up(s);
        assert_int_equal(pg_story_ask(s, "BEGIN"), PG_IN_DOUBT);
        pg_story_wait_up(s);
        assert_int_equal(pg_story_ask(s, "SELECT count(*) FROM t"), PG_OK);
        assert_string_equal(s->answer.cell, "0");
}

static void lost_in_a_transaction_did_not_happen(void **state) {
        LoopTimer *timer;
        PgStory *s = *state;

        assert_int_equal(loop_add_timer(s->loop, pg_story_end_soon, (void *)"state = 'active'",
                                        "end", &timer),
                         0);
        pg_story_begin(s, PG_STORY_LONG);
        assert_int_equal(pg_story_in_transaction(s, "INSERT INTO t VALUES (1)"), PG_OK);
        loop_timer_set(timer, 0);
        assert_int_equal(pg_story_in_transaction(s, "SELECT pg_sleep(4)"), PG_LOST);
        assert_string_equal(s->answer.failure.sqlstate, "57P01");
        assert_string_not_equal(s->answer.failure.database, "");
        assert_int_equal(pg_story_commit(s), PG_LOST);
        pg_story_wait_up(s);
        assert_int_equal(pg_connection_number(s->pg), 2);
        assert_int_equal(pg_story_ask(s, "SELECT count(*) FROM t"), PG_OK);
        assert_string_equal(s->answer.cell, "0");
        loop_timer_free(timer);
}

static void lost_autocommit_is_in_doubt_and_the_queue_is_not(void **state) {
        PgAnswer queued = { .done = false };
        LoopTimer *timer;
        PgStory *s = *state;

        assert_int_equal(loop_add_timer(s->loop, pg_story_end_soon, (void *)"state = 'active'",
                                        "end", &timer),
                         0);
        loop_timer_set(timer, 0);
        assert_int_equal(pg_query(s->pg, "SELECT pg_sleep(4)", 0, NULL, PG_STORY_LONG,
                                  pg_story_on_answer, &s->answer),
                         0);
        assert_int_equal(
                pg_query(s->pg, "SELECT 1", 0, NULL, PG_STORY_LONG, pg_story_on_answer, &queued),
                0);
        pg_story_wait_for(s, &s->answer.done);
        assert_int_equal(s->answer.failure.error, PG_IN_DOUBT);
        assert_true(queued.done);
        assert_int_equal(queued.failure.error, PG_LOST);
        assert_int_equal(
                pg_query(s->pg, "SELECT 1", 0, NULL, PG_STORY_LONG, pg_story_on_answer, &queued),
                -ENOTCONN);
        pg_story_wait_up(s);
        loop_timer_free(timer);
}

static void swallowed_commit_is_in_doubt(void **state) {
        PgStory *s = *state;

        assert_true(swallowing_proxy_start(&s->proxy, &pg_story_server, "COMMIT"));
        pg_story_connect_as(s, s->proxy.conninfo, NULL, NULL);
        pg_story_wait_up(s);
        pg_story_begin(s, PG_STORY_LONG);
        assert_int_equal(pg_story_in_transaction(s, "INSERT INTO t VALUES (42)"), PG_OK);
        assert_int_equal(pg_story_commit(s), PG_IN_DOUBT);
        pg_story_wait_up(s);
        assert_int_equal(pg_story_ask(s, "SELECT x FROM t"), PG_OK);
        assert_string_equal(s->answer.cell, "42");
        assert_int_equal(pg_story_ask(s, "TRUNCATE t"), PG_OK);
}

static void overdue_statement_gives_the_connection_up(void **state) {
        PgStory *s = *state;

        assert_int_equal(pg_query(s->pg, "SELECT pg_sleep(4)", 0, NULL, 50 * USEC_PER_MSEC,
                                  pg_story_on_answer, &s->answer),
                         0);
        pg_story_wait_for(s, &s->answer.done);
        assert_int_equal(s->answer.failure.error, PG_TIMEOUT);
        assert_false(pg_is_up(s->pg));
        pg_story_wait_up(s);
        assert_int_equal(pg_story_ask(s, "SELECT 1"), PG_OK);
}

static void overdue_in_the_queue_was_not_sent(void **state) {
        PgAnswer queued = { .done = false };
        PgStory *s = *state;

        assert_int_equal(pg_query(s->pg, "SELECT pg_sleep(0.5)", 0, NULL, PG_STORY_LONG,
                                  pg_story_on_answer, &s->answer),
                         0);
        assert_int_equal(pg_query(s->pg, "INSERT INTO t VALUES (7)", 0, NULL, 20 * USEC_PER_MSEC,
                                  pg_story_on_answer, &queued),
                         0);
        pg_story_wait_for(s, &queued.done);
        assert_int_equal(queued.failure.error, PG_RETRY);
        pg_story_wait_for(s, &s->answer.done);
        assert_int_equal(s->answer.failure.error, PG_OK);
        assert_int_equal(pg_story_ask(s, "SELECT count(*) FROM t"), PG_OK);
        assert_string_equal(s->answer.cell, "0");
        assert_int_equal(pg_connection_number(s->pg), 1);
}

static void transaction_left_open_is_given_up(void **state) {
        PgStory *s = *state;

        pg_story_begin(s, 100 * USEC_PER_MSEC);
        s->changed = false;
        pg_story_wait_for(s, &s->changed);
        assert_false(s->up);
        /* Not the server's own limit on idle transactions. */
        assert_int_equal(s->state.error, PG_TIMEOUT);
        assert_int_equal(pg_story_in_transaction(s, "SELECT 1"), PG_LOST);
        pg_transaction_rollback(s->transaction);
        pg_story_wait_up(s);
        assert_int_equal(pg_story_ask(s, "SELECT 1"), PG_OK);
}

static void notifications_come_before_and_after_a_restart(void **state) {
        PgStory *s = *state;

        assert_int_equal(pg_story_ask(s, "SELECT pg_notify('rollbackd \"test\"', 'users 1')"),
                         PG_OK);
        if (!s->notified)
                pg_story_wait_for(s, &s->notified);
        s->notified = false;
        assert_string_equal(s->payload, "users 1");
        s->changed = false;
        private_postgres_kill(&pg_story_server);
        /* An idle connection learns it too. */
        pg_story_wait_for(s, &s->changed);
        assert_false(s->up);
        while (s->failures < 2)
                pg_story_wait_for(s, &s->changed);
        assert_int_equal(s->state.error, PG_RETRY);
        assert_true(private_postgres_again(&pg_story_server));
        pg_story_wait_up(s);
        assert_int_equal(pg_story_ask(s, "SELECT pg_notify('rollbackd \"test\"', 'users 2')"),
                         PG_OK);
        if (!s->notified)
                pg_story_wait_for(s, &s->notified);
        assert_string_equal(s->payload, "users 2");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                PG_STORY_CONNECTED(transaction_takes_the_connection),
                PG_STORY_CONNECTED(commit_of_a_failed_transaction_is_refused),
                PG_STORY_CONNECTED(statement_may_not_end_its_transaction),
                PG_STORY_CONNECTED(lost_in_a_transaction_did_not_happen),
                PG_STORY_CONNECTED(lost_autocommit_is_in_doubt_and_the_queue_is_not),
                PG_STORY_ALONE(swallowed_commit_is_in_doubt),
                PG_STORY_CONNECTED(overdue_statement_gives_the_connection_up),
                PG_STORY_CONNECTED(overdue_in_the_queue_was_not_sent),
                PG_STORY_CONNECTED(transaction_left_open_is_given_up),
                PG_STORY_CONNECTED(notifications_come_before_and_after_a_restart),
        };

        return cmocka_run_group_tests(tests, pg_story_start_server, pg_story_remove_server);
}
