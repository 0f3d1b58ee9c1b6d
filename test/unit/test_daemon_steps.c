/* Steps against a real PostgreSQL: what is deleted and what is not, roles, locks, batches, resume,
 * cancel. */
#include "step_story.h"

static void test_sql(void **state) {
        Harness *h = *state;

        step_story_open(h);
        harness_sql(h, "CREATE TABLE pointer (version text); INSERT INTO pointer VALUES ('v2'), "
                       "('v2'), ('v0'); GRANT SELECT, UPDATE ON pointer TO site");
        step_story_run(
                "sql",
                "{\"role\": \"site\", \"timeout_ms\": 4000, \"statement\": \"UPDATE pointer SET "
                "version = :to WHERE version = :from -- not :x\"}",
                NULL);
        assert_int_equal(step_seen.result, STEP_DONE);
        assert_string_equal(step_seen.words, "2 rows");
        assert_string_equal(
                harness_cell(h, "SELECT string_agg(version, ',' ORDER BY version) FROM pointer"),
                "v0,v1,v1");
        /* The role ends with the transaction. */
        step_story_run(
                "sql",
                "{\"role\": \"poor\", \"timeout_ms\": 4000, \"statement\": \"UPDATE pointer SET "
                "version = :to\"}",
                NULL);
        assert_int_equal(step_seen.result, STEP_FAILED);
        assert_string_equal(step_seen.words,
                            "sql as role poor: permission denied for table pointer (42501)");
        step_story_run(
                "sql",
                "{\"role\": \"postgres\", \"timeout_ms\": 4000, \"statement\": \"SELECT 1\"}",
                NULL);
        assert_int_equal(step_seen.result, STEP_FAILED);
        assert_non_null(strstr(step_seen.words, "permission denied to set role \"postgres\""));
        assert_non_null(strstr(step_seen.words, "GRANT postgres TO the daemon's role"));
        step_story_run(
                "sql",
                "{\"role\": \"site\", \"timeout_ms\": 50, \"statement\": \"SELECT pg_sleep(60)\"}",
                NULL);
        assert_int_equal(step_seen.result, STEP_RETRY);
        assert_non_null(strstr(step_seen.words, "57014"));
        pg_free(step_seen.pg);
}

/* One transaction: the statement, under its role, and that it has ended, under the daemon's own. */
static void test_ends_with_its_statement(void **state) {
        static const char note[] = "{\"role\": \"site\", \"timeout_ms\": 4000, \"statement\": "
                                   "\"INSERT INTO note VALUES (:to || ' ' || current_user)\"}";
        Harness *h = *state;

        step_story_open(h);
        step_seen.ended_sql = "SELECT public.end_step($1, $2, $3)";
        harness_sql(h, "CREATE TABLE note (text text); GRANT INSERT ON note TO site; CREATE TABLE "
                       "ended (words text);"
                       "CREATE FUNCTION end_step(operation uuid, n int, words text) RETURNS "
                       "boolean LANGUAGE plpgsql AS $$ BEGIN "
                       "IF EXISTS (SELECT FROM ended) THEN RETURN false; END IF;"
                       "INSERT INTO ended SELECT concat_ws('|', operation, n, words, current_user, "
                       "count(*)) FROM note; RETURN true; END $$;"
                       "GRANT SELECT, INSERT ON note, ended TO rollbackd");
        step_story_run("sql", note, NULL);
        assert_int_equal(step_seen.result, STEP_DONE);
        assert_string_equal(step_seen.words, "1 row");
        assert_string_equal(harness_cell(h, "SELECT words FROM ended"),
                            "11111111-1111-4111-8111-111111111111|1|1 row|rollbackd|1");
        /* Ended already, but the answer was lost: what this run did is taken back. */
        step_story_run("sql", note, NULL);
        assert_int_equal(step_seen.result, STEP_DONE);
        assert_string_equal(step_seen.words, "ended by an earlier attempt");
        assert_string_equal(harness_cell(h, "SELECT string_agg(text, ',') FROM note"), "v1 site");
        /* Not said, not done; and no fault of the step. */
        harness_sql(h, "TRUNCATE ended; REVOKE INSERT ON ended FROM rollbackd");
        step_story_run("sql", note, NULL);
        assert_int_equal(step_seen.result, STEP_RETRY);
        assert_string_equal(harness_cell(h, "SELECT count(*) FROM note"), "1");
        /* What goes in batches ends when the last one is committed. */
        step_story_run("cache", STEP_CACHE("user:", ":", "100"), NULL);
        assert_int_equal(step_seen.result, STEP_DONE);
        pg_free(step_seen.pg);
}

static void test_prefixes(void **state) {
        static const struct {
                const char *spec, *left;
        } cases[] = {
                { STEP_CACHE("user:", ":", "100"),
                  "User:1|a%:1|aXb:1|a\\:1|a_b:1|ab:1|user|user1|username:1" },
                { STEP_CACHE("user", ":", "100"),
                  "User:1|a%:1|aXb:1|a\\:1|a_b:1|ab:1|user1|username:1" },
                { STEP_CACHE("user", "", "100"), "User:1|a%:1|aXb:1|a\\:1|a_b:1|ab:1" },
                { STEP_CACHE("a_b", ":", "100"),
                  "User:1|a%:1|aXb:1|a\\:1|ab:1|user|user1|user:|user:1|user:2|username:1" },
                { STEP_CACHE("a%", ":", "100"),
                  "User:1|aXb:1|a\\:1|a_b:1|ab:1|user|user1|user:|user:1|user:2|username:1" },
                { STEP_CACHE("a\\\\", ":", "100"),
                  "User:1|a%:1|aXb:1|a_b:1|ab:1|user|user1|user:|user:1|user:2|username:1" },
        };
        Harness *h = *state;

        step_story_open(h);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                harness_sql(
                        h, "TRUNCATE cache; INSERT INTO cache SELECT unnest(ARRAY['user', 'user:', "
                           "'user:1', 'user:2', 'user1', 'username:1', 'User:1', 'a_b:1', "
                           "'aXb:1', 'ab:1', 'a%:1', E'a\\\\:1'])");
                step_story_run("cache", cases[i].spec, NULL);
                assert_int_equal(step_seen.result, STEP_DONE);
                assert_string_equal(harness_cell(h, "SELECT string_agg(key, '|' ORDER BY key "
                                                    "COLLATE \"C\") FROM cache"),
                                    cases[i].left);
        }
        pg_free(step_seen.pg);
}

static void test_batches_and_resume(void **state) {
        Harness *h = *state;

        step_story_open(h);
        harness_sql(h, "INSERT INTO cache SELECT 'user:' || lpad(i::text, 4, '0') FROM "
                       "generate_series(1, 1234) i; INSERT INTO cache VALUES ('other')");
        step_story_run("cache", STEP_CACHE("user:", ":", "100"), NULL);
        assert_int_equal(step_seen.result, STEP_DONE);
        assert_string_equal(step_seen.words, "1,234 rows");
        assert_int_equal(step_seen.progressed, 12);
        assert_string_equal(step_seen.progress, "{\"after\":\"user:1200\",\"order\":\"pg_catalog."
                                                "\\\"default\\\"\",\"deleted\":1200}");
        assert_string_equal(harness_cell(h, "SELECT string_agg(key, ',') FROM cache"), "other");
        /* Taken up again it goes on behind the key, and counts on. */
        harness_sql(h, "INSERT INTO cache SELECT 'user:' || lpad(i::text, 4, '0') FROM "
                       "generate_series(1, 10) i");
        step_story_run("cache", STEP_CACHE("user:", ":", "100"),
                       "{\"after\": \"user:0004\", \"order\": \"pg_catalog.\\\"default\\\"\", "
                       "\"deleted\": "
                       "400}");
        assert_string_equal(step_seen.words, "406 rows");
        assert_string_equal(harness_cell(h, "SELECT count(*) FROM cache"), "5");
        /* A key that was reached in another order says nothing: all are looked at again. */
        step_story_run("cache", STEP_CACHE("user:", ":", "100"),
                       "{\"after\": \"user:0004\", \"order\": \"pattern\", \"deleted\": 400}");
        assert_string_equal(step_seen.words, "404 rows");
        assert_string_equal(harness_cell(h, "SELECT count(*) FROM cache"), "1");
        /* A batch is full to the last row: one more turn finds nothing. */
        harness_sql(h, "TRUNCATE cache; INSERT INTO cache VALUES ('user:1'), ('user:2')");
        step_story_run("cache", STEP_CACHE("user:", ":", "2"), NULL);
        assert_string_equal(step_seen.words, "2 rows");
        pg_free(step_seen.pg);
}

static void test_sessions(void **state) {
        Harness *h = *state;

        step_story_open(h);
        harness_sql(h, "INSERT INTO session SELECT i, '2024-01-01'::timestamptz + i * interval '1 "
                       "hour', NULL FROM generate_series(1, 100) i");
        step_story_run(
                "session",
                "{\"role\": \"site\", \"timeout_ms\": 4000, \"table\": \"session\", \"batch\": 10, "
                "\"where\": \"created_at >= :released_at OR id < 0 -- since then\"}",
                NULL);
        assert_int_equal(step_seen.result, STEP_DONE);
        assert_string_equal(step_seen.words, "77 rows");
        assert_int_equal(step_seen.progressed, 7);
        assert_string_equal(harness_cell(h, "SELECT count(*) || ' ' || max(id) FROM session"),
                            "23 23");
        pg_free(step_seen.pg);
}

/* Places of rows are unique within a partition only: what the condition does not name stays. */
static void test_partitioned_sessions(void **state) {
        Harness *h = *state;

        step_story_open(h);
        harness_sql(h, "CREATE TABLE parts (id int, bad boolean) PARTITION BY LIST (bad); CREATE "
                       "TABLE parts_t PARTITION OF parts FOR VALUES IN (true);"
                       "CREATE TABLE parts_f PARTITION OF parts FOR VALUES IN (false); GRANT "
                       "SELECT, DELETE ON parts TO site;"
                       "INSERT INTO parts SELECT i, true FROM generate_series(1, 30) i; INSERT "
                       "INTO parts SELECT i, false FROM generate_series(1, 30) i");
        step_story_run(
                "session",
                "{\"role\": \"site\", \"timeout_ms\": 4000, \"table\": \"parts\", \"batch\": 7, "
                "\"where\": \"bad\"}",
                NULL);
        assert_string_equal(step_seen.words, "30 rows");
        assert_string_equal(
                harness_cell(h, "SELECT count(*) || ' ' || bool_or(bad)::text FROM parts"),
                "30 false");
        pg_free(step_seen.pg);
}

static bool is_blocked(void *userdata) {
        return streq(harness_cell(userdata, "SELECT count(*) FROM pg_stat_activity WHERE "
                                            "wait_event_type = 'Lock' AND usename = 'rollbackd'"),
                     "1");
}

static bool has_timed_out(void *userdata) {
        return streq(harness_cell(userdata,
                                  "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a "
                                  "USING (pid) WHERE a.usename = 'rollbackd' AND NOT granted"),
                     "0");
}

/* Somebody holds a row: the batch waits for the lock, is taken again, and ends once the row is
 * free. */
static void test_locked_row(void **state) {
        Harness *h = *state;
        PgFailure failure;

        step_story_open(h);
        harness_sql(h, "INSERT INTO cache SELECT 'user:' || i FROM generate_series(1, 5) i");
        _cleanup_(pg_sync_freep) PgSync *other = harness_connect(h);
        pg_result_free(pg_sync_script(
                other, "BEGIN; UPDATE cache SET value = 'mine' WHERE key = 'user:3'", &failure));
        assert_int_equal(step_story_start("cache", STEP_CACHE("user:", ":", "100"), NULL), 0);
        harness_wait(h, is_blocked, h, "the batch waits");
        harness_wait(h, has_timed_out, h, "the batch has given way");
        assert_int_equal(step_seen.done, 0);
        assert_string_equal(harness_cell(h, "SELECT count(*) FROM cache"), "5");
        pg_result_free(pg_sync_script(other, "COMMIT", &failure));
        harness_wait(h, step_story_is_done, NULL, "the step");
        assert_int_equal(step_seen.result, STEP_DONE);
        assert_string_equal(step_seen.words, "5 rows");
        pg_free(step_seen.pg);
}

static void test_lost_connection(void **state) {
        Harness *h = *state;

        step_story_open(h);
        assert_int_equal(
                step_story_start("sql",
                                 "{\"role\": \"site\", \"timeout_ms\": 60000, \"statement\": "
                                 "\"SELECT pg_sleep(60)\"}",
                                 NULL),
                0);
        bool sleeps(void *userdata) {
                return streq(harness_cell(userdata,
                                          "SELECT count(*) FROM pg_stat_activity WHERE "
                                          "wait_event = 'PgSleep' AND usename = 'rollbackd'"),
                             "1");
        }
        harness_wait(h, sleeps, h, "the statement runs");
        harness_sql(h, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = "
                       "'rollbackd'");
        harness_wait(h, step_story_is_done, NULL, "the step");
        assert_int_equal(step_seen.result, STEP_RETRY);
        /* Not connected: said at once, and not from within step_start(). */
        pg_free(step_seen.pg);
        PgSetup setup = { .conninfo = "host=/nonexistent", .on_state = step_story_on_state };
        assert_int_equal(pg_new(&step_seen.pg, h->loop, h->offload, &setup, 1), 0);
        assert_int_equal(
                step_story_start(
                        "sql",
                        "{\"role\": \"site\", \"timeout_ms\": 4000, \"statement\": \"SELECT 1\"}",
                        NULL),
                0);
        assert_int_equal(step_seen.done, 0);
        harness_wait(h, step_story_is_done, NULL, "the refusal");
        assert_int_equal(step_seen.result, STEP_RETRY);
        assert_string_equal(step_seen.words, "the database cannot be reached");
        pg_free(step_seen.pg);
}

/* Cancelled before it began, in a statement, and between batches: no word more, and the connection
 * is free again. */
static void test_cancel(void **state) {
        Harness *h = *state;

        step_story_open(h);
        harness_sql(h, "INSERT INTO cache SELECT 'user:' || i FROM generate_series(1, 50) i");
        assert_int_equal(step_story_start("cache", STEP_CACHE("user:", ":", "1"), NULL), 0);
        step_seen.run = step_cancel(step_seen.run);
        assert_int_equal(step_story_start("cache", STEP_CACHE("user:", ":", "1"), NULL), 0);
        bool has_progress(_unused_ void *userdata) {
                return step_seen.progressed > 1;
        }
        harness_wait(h, has_progress, NULL, "progress");
        step_seen.run = step_cancel(step_seen.run);
        unsigned progressed = step_seen.progressed;
        assert_int_equal(
                step_story_start(
                        "sql",
                        "{\"role\": \"site\", \"timeout_ms\": 4000, \"statement\": \"SELECT "
                        "pg_sleep(0.2)\"}",
                        NULL),
                0);
        bool sleeps(void *userdata) {
                return streq(harness_cell(userdata,
                                          "SELECT count(*) FROM pg_stat_activity WHERE "
                                          "wait_event = 'PgSleep' AND usename = 'rollbackd'"),
                             "1");
        }
        harness_wait(h, sleeps, h, "the statement runs");
        step_seen.run = step_cancel(step_seen.run);
        bool is_idle(void *userdata) {
                return streq(
                        harness_cell(
                                userdata,
                                "SELECT state FROM pg_stat_activity WHERE usename = 'rollbackd'"),
                        "idle");
        }
        harness_wait(h, is_idle, h, "an idle connection");
        assert_int_equal(step_seen.done, 0);
        assert_true(progressed >= 2);
        step_story_run("sql",
                       "{\"role\": \"site\", \"timeout_ms\": 4000, \"statement\": \"SELECT 1\"}",
                       NULL);
        assert_int_equal(step_seen.result, STEP_DONE);
        pg_free(step_seen.pg);
}

static void test_bad_rows(void **state) {
        Harness *h = *state;

        step_story_open(h);
        assert_int_equal(step_story_start("teleport", "{}", NULL), -EINVAL);
        assert_non_null(strstr(step_seen.words, "unknown kind of step \"teleport\""));
        assert_int_equal(step_story_start("cache", "{\"role\": \"site\"}", NULL), -EINVAL);
        pg_free(step_seen.pg);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                STEP_TEST(test_sql),        STEP_TEST(test_ends_with_its_statement),
                STEP_TEST(test_prefixes),   STEP_TEST(test_batches_and_resume),
                STEP_TEST(test_sessions),   STEP_TEST(test_partitioned_sessions),
                STEP_TEST(test_locked_row), STEP_TEST(test_lost_connection),
                STEP_TEST(test_cancel),     STEP_TEST(test_bad_rows),
        };

        return cmocka_run_group_tests(tests, harness_group_setup, harness_group_teardown);
}
