/* The ledger's short transaction against a real PostgreSQL: its answers, its atomic steps, its
 * doubts. */
#include "ledger_story.h"

#include <stdio.h>

#include "private_postgres.h"

static void test_commit(void **state) {
        Harness *h = *state;
        const char *const generations[] = { "user", "a\"b\\" };
        CommitRequest r = ledger_story_request();

        r.generations = generations;
        r.n_generations = 1;
        ledger_story_seed(h);
        ledger_story_open(h);
        ledger_story_plan.from_epoch = 1;
        ledger_story_commit(&r);
        ledger_story_plan.from_epoch = 2;
        assert_int_equal(seen.result, COMMIT_LOST);
        assert_string_equal(seen.detail, "version v2 is active at epoch 2");
        harness_sql(h, "SELECT rollbackd.pause('web', '1 hour', 'a test')");
        ledger_story_commit(&r);
        assert_int_equal(seen.result, COMMIT_REFUSED);
        assert_non_null(strstr(seen.detail, "pause: "));
        harness_sql(h, "SELECT rollbackd.resume('web')");
        ledger_story_commit(&r);
        assert_int_equal(seen.result, COMMIT_DONE);
        assert_int_equal(seen.epoch, 3);
        assert_string_equal(harness_cell(h, "SELECT active || epoch FROM rollbackd.service"),
                            "v13");
        assert_string_equal(
                harness_cell(h, "SELECT value FROM rollbackd.generation WHERE name = 'user'"), "1");
        assert_string_equal(harness_cell(h, "SELECT evidence->>'rule' FROM rollbackd.operation"),
                            "errors");
        /* The same id again is the same operation. */
        ledger_story_commit(&r);
        assert_int_equal(seen.result, COMMIT_DONE);
        assert_int_equal(seen.epoch, 3);
        assert_string_equal(harness_cell(h, "SELECT count(*) FROM rollbackd.operation"), "1");
        assert_int_equal(seen.doubts, 0);
        ledger_story_close();
}

static void seed_application(Harness *h) {
        ledger_story_seed(h);
        harness_sql(h, "CREATE TABLE users (id int PRIMARY KEY, version text, seen timestamptz "
                       "DEFAULT now() + interval '1 hour');"
                       "INSERT INTO users SELECT i, 'v2' FROM generate_series(1, 5) i;"
                       "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = "
                       "'users_rollback') THEN CREATE ROLE \"users_rollback\";"
                       "CREATE ROLE \"odd \"\"role\"; CREATE ROLE stranger; END IF; END $$;"
                       "GRANT users_rollback TO rollbackd; GRANT SELECT, UPDATE ON users TO "
                       "users_rollback; GRANT \"odd \"\"role\" TO rollbackd");
}

static const char rows_of_two[] = "[{\"n\": 1, \"kind\": \"sql\", \"spec\": {}, \"atomic\": true}, "
                                  "{\"n\": 2, \"kind\": \"sql\", \"spec\": {}, \"atomic\": true}]";

static void test_atomic_continue(void **state) {
        Harness *h = *state;
        const char *const values[] = { "v1", ledger_released_at };
        AtomicStep steps[] = {
                { .n = 1, .role = "odd \"role", .statement = "UPDATE users SET version = 'x'" },
                { .n = 2,
                  .role = "users_rollback",
                  .statement = "UPDATE users SET version = $1::text WHERE seen > $2::timestamptz",
                  .parameters = values,
                  .n_parameters = 2 },
        };
        CommitRequest r = ledger_story_request();

        r.atomic = steps;
        r.n_atomic = 2;
        r.steps = rows_of_two;
        seed_application(h);
        ledger_story_open(h);
        ledger_story_commit(&r);
        assert_int_equal(seen.result, COMMIT_DONE);
        assert_int_equal(seen.epoch, 3);
        assert_string_equal(harness_cell(h, "SELECT string_agg(DISTINCT version, ',') FROM users"),
                            "v1");
        assert_string_equal(
                harness_cell(h,
                             "SELECT string_agg(n || state, ',' ORDER BY n) FROM rollbackd.step"),
                "1failed,2done");
        assert_non_null(strstr(harness_cell(h, "SELECT words FROM rollbackd.step WHERE n = 1"),
                               "step 1 as role odd \"role: permission denied for table users"));
        /* On replay no step runs. */
        harness_sql(h, "UPDATE users SET version = 'later'");
        ledger_story_commit(&r);
        assert_int_equal(seen.result, COMMIT_DONE);
        assert_string_equal(harness_cell(h, "SELECT string_agg(DISTINCT version, ',') FROM users"),
                            "later");
        ledger_story_close();
}

static void test_atomic_abort(void **state) {
        Harness *h = *state;
        AtomicStep step = { .n = 1,
                            .role = "stranger",
                            .statement = "UPDATE users SET version = 'x'",
                            .abort_on_error = true };
        CommitRequest r = ledger_story_request();

        r.atomic = &step;
        r.n_atomic = 1;
        r.steps = "[{\"n\": 1, \"kind\": \"sql\", \"spec\": {}, \"atomic\": true}]";
        seed_application(h);
        ledger_story_open(h);
        ledger_story_commit(&r);
        assert_int_equal(seen.result, COMMIT_FAILED);
        assert_non_null(
                strstr(seen.detail,
                       "step 1 as role stranger: permission denied to set role \"stranger\""));
        assert_string_equal(harness_cell(h, "SELECT active || epoch FROM rollbackd.service"),
                            "v22");
        /* Three tries, each of which may be the one that works. */
        harness_sql(h, "CREATE SEQUENCE tries; GRANT USAGE ON SEQUENCE tries TO users_rollback");
        step.role = "users_rollback";
        step.statement = "UPDATE users SET version = (10 / (nextval('tries') / 3))::text";
        ledger_story_commit(&r);
        assert_int_equal(seen.result, COMMIT_DONE);
        assert_string_equal(harness_cell(h, "SELECT last_value FROM tries"), "7");
        assert_string_equal(harness_cell(h, "SELECT state FROM rollbackd.step"), "done");
        ledger_story_close();
}

/* A check that waits for COMMIT fails in the step that broke it. */
static void test_deferred_constraint(void **state) {
        Harness *h = *state;
        AtomicStep step = { .n = 1,
                            .role = "users_rollback",
                            .statement = "UPDATE users SET id = 1" };
        CommitRequest r = ledger_story_request();

        r.atomic = &step;
        r.n_atomic = 1;
        r.steps = "[{\"n\": 1, \"kind\": \"sql\", \"spec\": {}, \"atomic\": true}]";
        seed_application(h);
        harness_sql(h, "ALTER TABLE users DROP CONSTRAINT users_pkey, ADD PRIMARY KEY (id) "
                       "DEFERRABLE INITIALLY DEFERRED");
        ledger_story_open(h);
        ledger_story_commit(&r);
        assert_int_equal(seen.result, COMMIT_DONE);
        assert_string_equal(harness_cell(h, "SELECT state FROM rollbackd.step"), "failed");
        ledger_story_close();
}

/* The backend dies while the call is under way: it is in doubt, and asked again with the same id.
 */
static void test_in_doubt(void **state) {
        Harness *h = *state;
        CommitRequest r = ledger_story_request();

        ledger_story_seed(h);
        ledger_story_open(h);
        _cleanup_(pg_sync_freep) PgSync *other = harness_connect(h);
        PgFailure failure;
        pg_result_free(
                pg_sync_script(other, "BEGIN; SELECT FROM rollbackd.service FOR UPDATE", &failure));
        seen.results = 0;
        assert_int_equal(ledger_commit(seen.ledger, &r, ledger_story_on_commit, NULL), 0);
        harness_wait(h, ledger_story_is_blocked, h, "the call waits for the lock");
        harness_sql(h, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = "
                       "'rollbackd'");
        harness_wait(h, ledger_story_counted, &seen.doubts, "doubt");
        assert_int_equal(seen.results, 0);
        pg_result_free(pg_sync_script(other, "COMMIT", &failure));
        harness_wait(h, ledger_story_counted, &seen.results, "the result");
        assert_int_equal(seen.result, COMMIT_DONE);
        assert_int_equal(seen.doubts, 1);
        assert_int_equal(seen.epoch, 3);
        assert_string_equal(harness_cell(h, "SELECT count(*) FROM rollbackd.operation"), "1");
        ledger_story_close();
}

/* The COMMIT is done and its answer is not heard: the same id asked again is answered by the
 * operation that is there, and its step has run once. */
static void test_unheard_commit(void **state) {
        Harness *h = *state;
        const char *const values[] = { "v1" };
        AtomicStep step = { .n = 1,
                            .role = "users_rollback",
                            .statement = "UPDATE users SET version = version || '>' || $1::text",
                            .parameters = values,
                            .n_parameters = 1 };
        CommitRequest r = ledger_story_request();
        PrivatePostgres server = { 0 };
        SwallowingProxy proxy = { 0 };
        char conninfo[256];

        r.atomic = &step;
        r.n_atomic = 1;
        r.steps = "[{\"n\": 1, \"kind\": \"sql\", \"spec\": {}, \"atomic\": true}]";
        seed_application(h);
        snprintf(server.folder, sizeof server.folder, "%.*s",
                 (int)strcspn(h->conninfo + strlen("host="), " "), h->conninfo + strlen("host="));
        assert_true(swallowing_proxy_start(&proxy, &server, "COMMIT"));
        snprintf(conninfo, sizeof conninfo, "host=%s dbname=%s user=rollbackd", proxy.folder,
                 h->database);
        ledger_story_open_at(h, conninfo);
        ledger_story_commit(&r);
        assert_int_equal(seen.doubts, 1);
        assert_int_equal(seen.ups, 2);
        assert_int_equal(seen.result, COMMIT_DONE);
        assert_int_equal(seen.epoch, 3);
        assert_string_equal(
                harness_cell(h, "SELECT count(*) || ' ' || min(id::text) FROM rollbackd.operation"),
                "1 " ID1);
        assert_string_equal(harness_cell(h, "SELECT active || epoch FROM rollbackd.service"),
                            "v13");
        assert_string_equal(
                harness_cell(h, "SELECT count(*) FROM rollbackd.release WHERE kind = 'rollback'"),
                "1");
        assert_string_equal(harness_cell(h, "SELECT string_agg(DISTINCT version, ',') FROM users"),
                            "v2>v1");
        assert_string_equal(harness_cell(h, "SELECT string_agg(state, ',') FROM rollbackd.step"),
                            "done");
        ledger_story_close();
        swallowing_proxy_stop(&proxy);
}

/* What is in doubt when nobody wants it any more is found out, but not done. What was never sent is
 * given up. */
static void test_too_late(void **state) {
        Harness *h = *state;
        CommitRequest r = ledger_story_request();
        PgFailure failure;

        r.wanted = 1;
        ledger_story_seed(h);
        ledger_story_open(h);
        _cleanup_(pg_sync_freep) PgSync *other = harness_connect(h);
        pg_result_free(
                pg_sync_script(other, "BEGIN; SELECT FROM rollbackd.service FOR UPDATE", &failure));
        assert_int_equal(ledger_commit(seen.ledger, &r, ledger_story_on_commit, NULL), 0);
        harness_wait(h, ledger_story_is_blocked, h, "the call waits for the lock");
        harness_sql(h, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = "
                       "'rollbackd'");
        harness_wait(h, ledger_story_is_blocked, h, "the question waits for the lock");
        pg_result_free(pg_sync_script(other, "COMMIT", &failure));
        harness_wait(h, ledger_story_counted, &seen.results, "the answer");
        assert_int_equal(seen.doubts, 1);
        assert_int_equal(seen.result, COMMIT_REFUSED);
        assert_non_null(
                strstr(seen.detail,
                       "ledger: the connection was lost at the commit, which did not happen"));
        assert_string_equal(harness_cell(h, "SELECT active || epoch FROM rollbackd.service"),
                            "v22");

        harness_sql(h, "ALTER ROLE rollbackd NOLOGIN");
        harness_sql(h, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = "
                       "'rollbackd'");
        bool is_lost(_unused_ void *userdata) {
                return !ledger_is_up(seen.ledger);
        }
        harness_wait(h, is_lost, NULL, "the loss");
        ledger_story_commit(&r);
        harness_sql(h, "ALTER ROLE rollbackd LOGIN");
        assert_int_equal(seen.result, COMMIT_REFUSED);
        assert_memory_equal(seen.detail, "ledger: ", 8);
        assert_int_equal(seen.doubts, 1);
        ledger_story_close();
}

int main(void) {
        const struct CMUnitTest tests[] = {
                LEDGER_TEST(test_commit),       LEDGER_TEST(test_atomic_continue),
                LEDGER_TEST(test_atomic_abort), LEDGER_TEST(test_deferred_constraint),
                LEDGER_TEST(test_in_doubt),     LEDGER_TEST(test_unheard_commit),
                LEDGER_TEST(test_too_late),
        };

        return cmocka_run_group_tests(tests, harness_group_setup, harness_group_teardown);
}
