/* test_daemon_pg.c: the connection against a real PostgreSQL: statements, set-up, classes of
 * errors, the queue, what a statement may not do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "pg_story.h"

static void parameters_and_results(void **state) {
        const char *const parameters[] = { "a'b", NULL, "7" };
        PgStory *s = *state;

        assert_int_equal(
                pg_query(s->pg, "SELECT $1::text || coalesce($2::text, '-') || ($3::int + 1) AS x",
                         3, parameters, PG_STORY_LONG, pg_story_on_answer, &s->answer),
                0);
        pg_story_wait_for(s, &s->answer.done);
        assert_string_equal(s->answer.cell, "a'b-8");
        assert_int_equal(pg_story_ask(s, "INSERT INTO t SELECT generate_series(1, 5)"), PG_OK);
        assert_int_equal(s->answer.affected, 5);
        assert_int_equal(pg_story_ask(s, "SELECT x FROM t ORDER BY x DESC"), PG_OK);
        assert_int_equal(s->answer.rows, 5);
        assert_string_equal(s->answer.cell, "5");
        assert_int_equal(pg_story_ask(s, "TRUNCATE t"), PG_OK);
}

static void session_is_set_up(void **state) {
        static const char *const want[][2] = {
                { "default_transaction_isolation", "read committed" },
                { "statement_timeout", "5s" },
                { "lock_timeout", "2s" },
                { "idle_in_transaction_session_timeout", "10s" },
                { "client_encoding", "UTF8" },
                { "application_name", "test" },
                { "client_connection_check_interval", "2s" },
        };
        PgStory *s = *state;
        char sql[80];

        for (size_t i = 0; i < ELEMENTSOF(want); i++) {
                (void)snprintf(sql, sizeof sql, "SHOW %s", want[i][0]);
                assert_int_equal(pg_story_ask(s, sql), PG_OK);
                assert_string_equal(s->answer.cell, want[i][1]);
        }
}

static void errors_have_classes(void **state) {
        static const struct {
                const char *sqlstate;
                PgError error;
        } want[] = { { "40001", PG_RETRY },         { "40P01", PG_RETRY },
                     { "55P03", PG_RETRY },         { "57014", PG_RETRY },
                     { "53100", PG_RETRY },         { "57P01", PG_RETRY },
                     { "08006", PG_RETRY },         { "25006", PG_HOLD },
                     { "57P03", PG_HOLD },          { "28000", PG_CONFIGURATION },
                     { "3D000", PG_CONFIGURATION }, { "42501", PG_CONFIGURATION },
                     { "0A000", PG_CONFIGURATION }, { "RB001", PG_REFUSED },
                     { "23505", PG_REFUSED },       { "P0001", PG_REFUSED } };
        PgStory *s = *state;
        char sql[160];

        for (size_t i = 0; i < ELEMENTSOF(want); i++) {
                (void)snprintf(sql, sizeof sql,
                               "DO $$ BEGIN RAISE 'no' USING ERRCODE = '%s', DETAIL = 'why', HINT "
                               "= 'do'; END $$",
                               want[i].sqlstate);
                assert_int_equal(pg_story_ask(s, sql), want[i].error);
                assert_string_equal(s->answer.failure.sqlstate, want[i].sqlstate);
                assert_string_equal(s->answer.failure.message, "no; detail: why; hint: do");
        }
        assert_true(pg_is_up(s->pg));
}

static void prepared_survive_a_changed_table(void **state) {
        PgStory *s = *state;

        assert_int_equal(pg_story_ask(s, "CREATE TABLE changing (a int)"), PG_OK);
        for (unsigned i = 0; i < 3; i++) {
                if (i == 1)
                        assert_int_equal(pg_story_ask(s, "ALTER TABLE changing ADD b int"), PG_OK);
                if (i == 2)
                        assert_int_equal(pg_story_ask(s, "DEALLOCATE ALL"), PG_OK);
                assert_int_equal(pg_query_prepared(s->pg, "look", "SELECT * FROM changing", 0, NULL,
                                                   PG_STORY_LONG, pg_story_on_answer, &s->answer),
                                 0);
                pg_story_wait_for(s, &s->answer.done);
                assert_int_equal(s->answer.failure.error, PG_OK);
        }
        assert_int_equal(pg_story_ask(s, "SELECT count(*) FROM pg_prepared_statements"), PG_OK);
        assert_string_equal(s->answer.cell, "1");
        assert_int_equal(pg_story_ask(s, "DROP TABLE changing"), PG_OK);
        assert_int_equal(pg_connection_number(s->pg), 1);
}

static void queue_is_bounded_and_in_order(void **state) {
        PgAnswer answers[300] = { 0 };
        PgStory *s = *state;
        char sql[40];
        unsigned n = 0;
        int r = 0;

        while (r == 0) {
                (void)snprintf(sql, sizeof sql, "SELECT %u", n);
                r = pg_query(s->pg, sql, 0, NULL, PG_STORY_LONG, pg_story_on_answer, &answers[n]);
                n += r == 0;
        }
        assert_int_equal(r, -EAGAIN);
        assert_int_equal(n, 257); /* one of them is on its way */
        for (unsigned i = 0; i < n; i++) {
                if (!answers[i].done)
                        pg_story_wait_for(s, &answers[i].done);
                (void)snprintf(sql, sizeof sql, "%u", i);
                assert_string_equal(answers[i].cell, sql);
        }
}

static void lock_timeout_is_a_retry(void **state) {
        _cleanup_(pg_sync_freep) PgSync *other = NULL;
        PgStory *s = *state;
        PgFailure failure;

        assert_int_equal(pg_sync_connect(&other, pg_story_server.conninfo, NULL, &failure), 0);
        pg_result_free(pg_sync_script(other, "BEGIN; LOCK TABLE t", &failure));
        assert_int_equal(pg_story_ask(s, "INSERT INTO t VALUES (1)"), PG_RETRY);
        assert_string_equal(s->answer.failure.sqlstate, "55P03");
}

static void never(void *userdata, bool up, const PgFailure *failure) {
        (void)userdata;
        (void)up;
        (void)failure;
        fail_msg("a connection that was refused at once called back");
}

static void connecting_fails_with_class_and_without_secret(void **state) {
        const PgSetup broken = { .conninfo = "host=x pass word=hunter2", .on_state = never };
        _cleanup_(pg_sync_freep) PgSync *sync = NULL;
        PgStory *s = *state;
        PgFailure failure;
        char conninfo[300];

        assert_int_equal(pg_new(&s->pg, s->loop, s->offload, &broken, 1), -EINVAL);
        assert_int_equal(pg_sync_connect(&sync, broken.conninfo, NULL, &failure), -EINVAL);
        assert_null(strstr(failure.message, "hunter2"));
        assert_int_equal(failure.error, PG_CONFIGURATION);
        (void)snprintf(conninfo, sizeof conninfo, "%s dbname=nowhere", pg_story_server.conninfo);
        pg_story_connect_as(s, conninfo, "hunter2", NULL);
        pg_story_wait_for(s, &s->changed);
        assert_false(s->up);
        assert_int_equal(s->state.error, PG_CONFIGURATION);
        assert_string_equal(s->state.sqlstate, "3D000");
        assert_null(strstr(s->state.message, "hunter2"));
        assert_null(strstr(s->state.message, "LOCATION"));
}

typedef struct AskedBy {
        PgStory *story;
        unsigned asked;
        bool done;
} AskedBy;

static void note_asked(void *userdata, usec_t now _unused_) {
        AskedBy *by = userdata;

        by->asked = by->story->asked;
        by->done = true;
}

static void password_is_asked_for_at_each_attempt(void **state) {
        PgStory *s = *state;
        AskedBy by = { .story = s };
        LoopTimer *timer;

        s->password_missing = true;
        pg_story_connect_as(s, pg_story_server.conninfo, "hunter2", NULL);
        /* Not from inside pg_new(). */
        assert_int_equal(s->asked, 0);
        pg_story_wait_for(s, &s->changed);
        assert_false(s->up);
        assert_int_equal(s->state.error, PG_CONFIGURATION);
        assert_string_equal(s->state.message, "the password is away");
        pg_story_wait_for(s, &s->changed);
        assert_int_equal(s->asked, 2);
        s->password_missing = false;
        /* Before the next attempt is due by itself, which takes a quarter of a second at least. */
        assert_int_equal(loop_add_timer(s->loop, note_asked, &by, "asked", &timer), 0);
        loop_timer_set(timer, usec_add(loop_now(s->loop), 200 * USEC_PER_MSEC));
        pg_connect_now(s->pg);
        pg_story_wait_for(s, &by.done);
        assert_int_equal(by.asked, 3);
        loop_timer_free(timer);
        pg_story_wait_up(s);
        assert_int_equal(s->asked, 3);
        pg_connect_now(s->pg);
        assert_int_equal(pg_story_ask(s, "SELECT 1"), PG_OK);
        assert_int_equal(s->asked, 3);
}

static void a_refusal_names_its_place(void **state) {
        PgStory *s = *state;
        char conninfo[300];

        (void)snprintf(conninfo, sizeof conninfo, "%s dbname=nowhere", pg_story_server.conninfo);
        pg_story_connect_as(s, conninfo, NULL, NULL);
        pg_story_wait_for(s, &s->changed);
        assert_string_equal(s->state.routine, "InitPostgres");
        assert_string_equal(s->state.database, "nowhere");
        assert_int_not_equal(s->state.user[0], '\0');
}

static void failed_warm_up_is_a_failed_connect(void **state) {
        static const char *const warm[] = { "SELECT 1", "SELECT nonsense", NULL };
        PgStory *s = *state;

        pg_story_connect_as(s, pg_story_server.conninfo, NULL, warm);
        pg_story_wait_for(s, &s->changed);
        assert_false(s->up);
        assert_string_equal(s->state.sqlstate, "42703");
        assert_int_equal(s->state.error, PG_CONFIGURATION);
}

static void copy_is_refused(void **state) {
        PgStory *s = *state;

        assert_int_equal(pg_story_ask(s, "COPY t FROM STDIN"), PG_IN_DOUBT);
        assert_non_null(strstr(s->answer.failure.message, "COPY"));
        pg_story_wait_up(s);
        assert_int_equal(pg_story_ask(s, "COPY t TO STDOUT"), PG_IN_DOUBT);
        pg_story_wait_up(s);
        assert_int_equal(pg_story_ask(s, "SELECT 1"), PG_OK);
}

static void free_inside(void *userdata, const PgFailure *failure, const PgResult *result) {
        PgStory *s = userdata;

        assert_int_equal(failure->error, PG_OK);
        assert_string_equal(pg_value(result, 0, "x"), "1");
        s->pg = pg_free(s->pg);
        /* The result is ours until we return. */
        assert_string_equal(pg_value(result, 0, "x"), "1");
        assert_true(s->answer.done);
        assert_int_equal(s->answer.failure.error, PG_LOST);
}

static void connection_may_go_inside_a_callback(void **state) {
        PgStory *s = *state;

        assert_int_equal(pg_query(s->pg, "SELECT 1 AS x", 0, NULL, PG_STORY_LONG, free_inside, s),
                         0);
        assert_int_equal(
                pg_query(s->pg, "SELECT 2", 0, NULL, PG_STORY_LONG, pg_story_on_answer, &s->answer),
                0);
        pg_story_wait_for(s, &s->answer.done);
        assert_null(s->pg);
}

static void on_notice(void *userdata, const char *text) {
        (void)snprintf(userdata, 40, "%s", text);
}

static void blocking_calls_for_the_command_line(void **state) {
        const char *const parameters[] = { "x" };
        _cleanup_(pg_sync_freep) PgSync *sync = NULL;
        PgFailure failure;
        PgResult *r;
        char notice[40] = "";

        (void)state;
        assert_int_equal(pg_sync_connect(&sync, pg_story_server.conninfo, NULL, &failure), 0);
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

static void identifiers_for_people_are_quoted_where_they_must_be(void **state) {
        STRBUF(b, 80);

        (void)state;
        pg_add_identifier("users_rollback", &b);
        pg_add_identifier("my-role", &b);
        pg_add_identifier("Upper", &b);
        pg_add_identifier("1a", &b);
        assert_string_equal(b.text, "users_rollback\"my-role\"\"Upper\"\"1a\"");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                PG_STORY_CONNECTED(parameters_and_results),
                PG_STORY_CONNECTED(session_is_set_up),
                PG_STORY_CONNECTED(errors_have_classes),
                PG_STORY_CONNECTED(prepared_survive_a_changed_table),
                PG_STORY_CONNECTED(queue_is_bounded_and_in_order),
                PG_STORY_CONNECTED(lock_timeout_is_a_retry),
                PG_STORY_ALONE(connecting_fails_with_class_and_without_secret),
                PG_STORY_ALONE(password_is_asked_for_at_each_attempt),
                PG_STORY_ALONE(a_refusal_names_its_place),
                PG_STORY_ALONE(failed_warm_up_is_a_failed_connect),
                PG_STORY_CONNECTED(copy_is_refused),
                PG_STORY_CONNECTED(connection_may_go_inside_a_callback),
                cmocka_unit_test(blocking_calls_for_the_command_line),
                cmocka_unit_test(identifiers_are_quoted),
                cmocka_unit_test(identifiers_for_people_are_quoted_where_they_must_be),
        };

        return cmocka_run_group_tests(tests, pg_story_start_server, pg_story_remove_server);
}
