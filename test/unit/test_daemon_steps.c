/* Steps against a real PostgreSQL: what is deleted and what is not, roles, locks, batches, resume,
 * cancel. */
#include "ledger_harness.h"

#include <stdio.h>

#include "step_kinds.h"
#include "steps.h"

typedef struct Seen {
        Harness *h;
        Pg *pg;
        bool up;
        StepRun *run;
        unsigned done, progressed;
        StepResult result;
        char words[1024], progress[256];
        const char *ended_sql;
} Seen;

static Seen seen;

static void on_state(_unused_ void *userdata, bool up, _unused_ const PgFailure *failure) {
        seen.up = up;
}

static bool is_up(_unused_ void *userdata) {
        return seen.up;
}

static bool is_done(_unused_ void *userdata) {
        return seen.done > 0;
}

static void on_done(_unused_ void *userdata, StepResult result, const char *words) {
        seen.done++;
        seen.result = result;
        seen.run = NULL;
        snprintf(seen.words, sizeof seen.words, "%s", words);
}

static void on_progress(_unused_ void *userdata, const char *progress) {
        seen.progressed++;
        snprintf(seen.progress, sizeof seen.progress, "%s", progress);
}

static void open_pg(Harness *h) {
        PgSetup setup = { .conninfo = h->conninfo,
                          .application_name = "steps",
                          .on_state = on_state };

        seen = (Seen){ .h = h };
        harness_sql(h, "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'site') "
                       "THEN CREATE ROLE site; CREATE ROLE poor; END IF; END $$;"
                       "GRANT site, poor TO rollbackd; CREATE TABLE cache (key text PRIMARY KEY, "
                       "value text);"
                       "CREATE TABLE session (id int, created_at timestamptz, note text);"
                       "GRANT SELECT, DELETE ON cache, session TO site");
        assert_int_equal(pg_new(&seen.pg, h->loop, h->offload, &setup, 1), 0);
        harness_wait(h, is_up, NULL, "the connection");
}

static int start(const char *kind, const char *spec_text, const char *progress_text) {
        STRBUF(error, 512);
        _cleanup_(json_freep) Json *spec = json_parse(spec_text, strlen(spec_text), &error);
        _cleanup_(json_freep)
                Json *progress = progress_text ?
                                         json_parse(progress_text, strlen(progress_text), &error) :
                                         NULL;
        StepRow row = { .n = 1,
                        .kind = kind,
                        .spec = spec,
                        .attempt = 1,
                        .progress = progress,
                        .parameters = { .service = "web",
                                        .operation = "11111111-1111-4111-8111-111111111111",
                                        .from = "v2",
                                        .to = "v1",
                                        .from_epoch = 2,
                                        .to_epoch = 3,
                                        .released_at = "2024-01-02 00:00:00.000000+00" },
                        .ended_sql = seen.ended_sql };
        int r;

        assert_non_null(spec);
        seen.done = seen.progressed = 0;
        r = step_start(&seen.run, seen.h->loop, seen.pg, &row, on_done, on_progress, NULL, &error);
        snprintf(seen.words, sizeof seen.words, "%s", error.text);
        return r;
}

static void run(const char *kind, const char *spec, const char *progress) {
        assert_int_equal(start(kind, spec, progress), 0);
        harness_wait(seen.h, is_done, NULL, "the step");
}

#define CACHE(prefix, delimiter, batch)                                                            \
        "{\"role\": \"site\", \"timeout_ms\": 4000, \"table\": \"public.cache\", \"key\": "        \
        "\"key\", \"prefix\": \"" prefix "\", \"delimiter\": \"" delimiter "\", \"batch\": " batch \
        "}"

static void test_sql(void **state) {
        Harness *h = *state;

        open_pg(h);
        harness_sql(h, "CREATE TABLE pointer (version text); INSERT INTO pointer VALUES ('v2'), "
                       "('v2'), ('v0'); GRANT SELECT, UPDATE ON pointer TO site");
        run("sql",
            "{\"role\": \"site\", \"timeout_ms\": 4000, \"statement\": \"UPDATE pointer SET "
            "version = :to WHERE version = :from -- not :x\"}",
            NULL);
        assert_int_equal(seen.result, STEP_DONE);
        assert_string_equal(seen.words, "2 rows");
        assert_string_equal(
                harness_cell(h, "SELECT string_agg(version, ',' ORDER BY version) FROM pointer"),
                "v0,v1,v1");
        /* The role ends with the transaction. */
        run("sql",
            "{\"role\": \"poor\", \"timeout_ms\": 4000, \"statement\": \"UPDATE pointer SET "
            "version = :to\"}",
            NULL);
        assert_int_equal(seen.result, STEP_FAILED);
        assert_string_equal(seen.words,
                            "sql as role poor: permission denied for table pointer (42501)");
        run("sql", "{\"role\": \"postgres\", \"timeout_ms\": 4000, \"statement\": \"SELECT 1\"}",
            NULL);
        assert_int_equal(seen.result, STEP_FAILED);
        assert_non_null(strstr(seen.words, "permission denied to set role \"postgres\""));
        assert_non_null(strstr(seen.words, "GRANT postgres TO the daemon's role"));
        run("sql",
            "{\"role\": \"site\", \"timeout_ms\": 50, \"statement\": \"SELECT pg_sleep(60)\"}",
            NULL);
        assert_int_equal(seen.result, STEP_RETRY);
        assert_non_null(strstr(seen.words, "57014"));
        pg_free(seen.pg);
}

/* One transaction: the statement, under its role, and that it has ended, under the daemon's own. */
static void test_ends_with_its_statement(void **state) {
        static const char note[] = "{\"role\": \"site\", \"timeout_ms\": 4000, \"statement\": "
                                   "\"INSERT INTO note VALUES (:to || ' ' || current_user)\"}";
        Harness *h = *state;

        open_pg(h);
        seen.ended_sql = "SELECT public.end_step($1, $2, $3)";
        harness_sql(h, "CREATE TABLE note (text text); GRANT INSERT ON note TO site; CREATE TABLE "
                       "ended (words text);"
                       "CREATE FUNCTION end_step(operation uuid, n int, words text) RETURNS "
                       "boolean LANGUAGE plpgsql AS $$ BEGIN "
                       "IF EXISTS (SELECT FROM ended) THEN RETURN false; END IF;"
                       "INSERT INTO ended SELECT concat_ws('|', operation, n, words, current_user, "
                       "count(*)) FROM note; RETURN true; END $$;"
                       "GRANT SELECT, INSERT ON note, ended TO rollbackd");
        run("sql", note, NULL);
        assert_int_equal(seen.result, STEP_DONE);
        assert_string_equal(seen.words, "1 row");
        assert_string_equal(harness_cell(h, "SELECT words FROM ended"),
                            "11111111-1111-4111-8111-111111111111|1|1 row|rollbackd|1");
        /* Ended already, but the answer was lost: what this run did is taken back. */
        run("sql", note, NULL);
        assert_int_equal(seen.result, STEP_DONE);
        assert_string_equal(seen.words, "ended by an earlier attempt");
        assert_string_equal(harness_cell(h, "SELECT string_agg(text, ',') FROM note"), "v1 site");
        /* Not said, not done; and no fault of the step. */
        harness_sql(h, "TRUNCATE ended; REVOKE INSERT ON ended FROM rollbackd");
        run("sql", note, NULL);
        assert_int_equal(seen.result, STEP_RETRY);
        assert_string_equal(harness_cell(h, "SELECT count(*) FROM note"), "1");
        /* What goes in batches ends when the last one is committed. */
        run("cache", CACHE("user:", ":", "100"), NULL);
        assert_int_equal(seen.result, STEP_DONE);
        pg_free(seen.pg);
}

static void test_prefixes(void **state) {
        static const struct {
                const char *spec, *left;
        } cases[] = {
                { CACHE("user:", ":", "100"),
                  "User:1|a%:1|aXb:1|a\\:1|a_b:1|ab:1|user|user1|username:1" },
                { CACHE("user", ":", "100"),
                  "User:1|a%:1|aXb:1|a\\:1|a_b:1|ab:1|user1|username:1" },
                { CACHE("user", "", "100"), "User:1|a%:1|aXb:1|a\\:1|a_b:1|ab:1" },
                { CACHE("a_b", ":", "100"),
                  "User:1|a%:1|aXb:1|a\\:1|ab:1|user|user1|user:|user:1|user:2|username:1" },
                { CACHE("a%", ":", "100"),
                  "User:1|aXb:1|a\\:1|a_b:1|ab:1|user|user1|user:|user:1|user:2|username:1" },
                { CACHE("a\\\\", ":", "100"),
                  "User:1|a%:1|aXb:1|a_b:1|ab:1|user|user1|user:|user:1|user:2|username:1" },
        };
        Harness *h = *state;

        open_pg(h);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                harness_sql(
                        h, "TRUNCATE cache; INSERT INTO cache SELECT unnest(ARRAY['user', 'user:', "
                           "'user:1', 'user:2', 'user1', 'username:1', 'User:1', 'a_b:1', "
                           "'aXb:1', 'ab:1', 'a%:1', E'a\\\\:1'])");
                run("cache", cases[i].spec, NULL);
                assert_int_equal(seen.result, STEP_DONE);
                assert_string_equal(harness_cell(h, "SELECT string_agg(key, '|' ORDER BY key "
                                                    "COLLATE \"C\") FROM cache"),
                                    cases[i].left);
        }
        pg_free(seen.pg);
}

static void test_batches_and_resume(void **state) {
        Harness *h = *state;

        open_pg(h);
        harness_sql(h, "INSERT INTO cache SELECT 'user:' || lpad(i::text, 4, '0') FROM "
                       "generate_series(1, 1234) i; INSERT INTO cache VALUES ('other')");
        run("cache", CACHE("user:", ":", "100"), NULL);
        assert_int_equal(seen.result, STEP_DONE);
        assert_string_equal(seen.words, "1,234 rows");
        assert_int_equal(seen.progressed, 12);
        assert_string_equal(seen.progress, "{\"after\":\"user:1200\",\"order\":\"pg_catalog."
                                           "\\\"default\\\"\",\"deleted\":1200}");
        assert_string_equal(harness_cell(h, "SELECT string_agg(key, ',') FROM cache"), "other");
        /* Taken up again it goes on behind the key, and counts on. */
        harness_sql(h, "INSERT INTO cache SELECT 'user:' || lpad(i::text, 4, '0') FROM "
                       "generate_series(1, 10) i");
        run("cache", CACHE("user:", ":", "100"),
            "{\"after\": \"user:0004\", \"order\": \"pg_catalog.\\\"default\\\"\", \"deleted\": "
            "400}");
        assert_string_equal(seen.words, "406 rows");
        assert_string_equal(harness_cell(h, "SELECT count(*) FROM cache"), "5");
        /* A key that was reached in another order says nothing: all are looked at again. */
        run("cache", CACHE("user:", ":", "100"),
            "{\"after\": \"user:0004\", \"order\": \"pattern\", \"deleted\": 400}");
        assert_string_equal(seen.words, "404 rows");
        assert_string_equal(harness_cell(h, "SELECT count(*) FROM cache"), "1");
        /* A batch is full to the last row: one more turn finds nothing. */
        harness_sql(h, "TRUNCATE cache; INSERT INTO cache VALUES ('user:1'), ('user:2')");
        run("cache", CACHE("user:", ":", "2"), NULL);
        assert_string_equal(seen.words, "2 rows");
        pg_free(seen.pg);
}

/* The plan of a batch as it would be sent, with the index that the step finds, behind $2 = after.
 */
static void explain(PgSync *pg, const StepStatement *s, const char *after, StrBuf *b) {
        const char *values[] = { s->own[0], after };
        STRBUF(sql, 16384);
        PgFailure failure;

        strbuf_add(&sql, "EXPLAIN (COSTS OFF) ");
        strbuf_add(&sql, s->sql);
        _cleanup_(pg_result_freep)
                PgResult *plan = pg_sync_query(pg, sql.text, 2, values, &failure);
        if (!plan)
                fail_msg("%s: %s", sql.text, failure.message);
        for (size_t i = 0; i < pg_rows(plan); i++) {
                strbuf_add(b, pg_cell(plan, i, 0));
                strbuf_add_char(b, '\n');
        }
}

static void check_plan(PgSync *pg, const char *order, const char *index) {
        static const char spec_text[] = CACHE("user:", ":", "100");
        static const char *const behind[] = { NULL, "user:8" };
        StepStatement s;
        PgFailure failure;
        STRBUF(error, 512);
        _cleanup_(json_freep) Json *spec = json_parse(spec_text, strlen(spec_text), &error);

        assert_int_equal(step_statement_build("cache", spec, &s, &error), 0);
        _cleanup_(pg_result_freep) PgResult *found = pg_sync_query(
                pg, s.ask_sql, 2, (const char *const *)s.ask_own, &failure);
        if (!found)
                fail_msg("%s", failure.message);
        assert_int_equal(
                step_kind_cache.learn(&s, pg_cell(found, 0, 0), pg_cell(found, 0, 1), &error), 0);
        assert_string_equal(s.order, order);
        for (size_t i = 0; i < ELEMENTSOF(behind) && index; i++) {
                STRBUF(plan, 8192);

                explain(pg, &s, behind[i], &plan);
                /* The few keys that are left towards the end may be sorted. */
                if (!strstr(plan.text, index) || strstr(plan.text, "Seq Scan") ||
                    (!behind[i] && strstr(plan.text, "Sort")))
                        fail_msg("not by %s:\n%s", index, plan.text);
        }
        step_statement_done(&s);
}

#define ROWS                                                                                       \
        "INSERT INTO cache SELECT CASE WHEN i % 10 = 0 THEN 'user:' ELSE 'page:' END || "          \
        "md5(i::text) FROM generate_series(1, 20000) i; ANALYZE cache; "

/* Every index that begins with the key serves, whatever its order, and what is deleted is the same.
 */
static void test_orders(void **state) {
        static const struct {
                const char *ddl, *order, *index; /* NULL: none can serve */
        } cases[] = {
                { "CREATE TABLE cache (key text PRIMARY KEY)", "pg_catalog.\"default\"",
                  "cache_pkey" },
                { "CREATE TABLE cache (key varchar(99) PRIMARY KEY)", "pg_catalog.\"default\"",
                  "cache_pkey" },
                { "CREATE TABLE cache (key text COLLATE \"en-US-x-icu\" PRIMARY KEY)",
                  "pg_catalog.\"en-US-x-icu\"", "cache_pkey" },
                { "CREATE TABLE cache (key text COLLATE \"C\" PRIMARY KEY)", "pg_catalog.\"C\"",
                  "cache_pkey" },
                { "CREATE TABLE cache (key text COLLATE \"POSIX\", host int DEFAULT 1, PRIMARY KEY "
                  "(key, host))",
                  "pg_catalog.\"POSIX\"", "cache_pkey" },
                { "CREATE TABLE cache (key text PRIMARY KEY); CREATE INDEX cache_bytes ON cache "
                  "(key COLLATE \"C\" DESC)",
                  "pg_catalog.\"C\"", "cache_bytes" },
                { "CREATE TABLE cache (key text PRIMARY KEY); CREATE INDEX cache_prefix ON cache "
                  "(key text_pattern_ops)",
                  "pattern", "cache_prefix" },
                { "CREATE TABLE cache (key varchar(99)); CREATE INDEX cache_prefix ON cache (key "
                  "varchar_pattern_ops)",
                  "pattern", "cache_prefix" },
                { "CREATE TABLE cache (key text, host int DEFAULT 1, PRIMARY KEY (host, key)); "
                  "CREATE INDEX cache_some ON cache (key) WHERE key > 'x'; "
                  "CREATE INDEX cache_hash ON cache USING hash (key); CREATE INDEX cache_lower ON "
                  "cache (lower(key))",
                  "pattern", NULL },
        };
        Harness *h = *state;

        open_pg(h);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                harness_sql(h, "DROP TABLE cache");
                harness_sql(h, cases[i].ddl);
                harness_sql(
                        h, ROWS
                        "INSERT INTO cache VALUES ('user'), ('User:1'), ('us-er:1'), "
                        "('username:1'), ('user;'), ('u'); GRANT SELECT, DELETE ON cache TO site");
                check_plan(h->admin, cases[i].order, cases[i].index);
                run("cache", CACHE("user:", ":", "500"), NULL);
                assert_string_equal(seen.words, "2,000 rows");
                assert_string_equal(harness_cell(h, "SELECT count(*) || ' ' || count(*) FILTER "
                                                    "(WHERE key LIKE 'user:%') FROM cache"),
                                    "18006 0");
        }
        pg_free(seen.pg);
}

/* In a database whose own collation is C, a plain primary key gives the prefix as a range. */
static void test_order_in_a_database_of_bytes(void **state) {
        Harness *h = *state;
        char conninfo[600];
        PgFailure failure;
        PgSync *pg = NULL;

        harness_sql(h, "CREATE DATABASE bytes TEMPLATE template0 LOCALE 'C'");
        snprintf(conninfo, sizeof conninfo, "%s dbname=bytes", h->admin_conninfo);
        assert_int_equal(pg_sync_connect(&pg, conninfo, NULL, &failure), 0);
        pg_result_free(
                pg_sync_script(pg, "CREATE TABLE cache (key text PRIMARY KEY); " ROWS, &failure));
        check_plan(pg, "pg_catalog.\"default\"", "cache_pkey");
        STRBUF(plan, 8192);
        StepStatement s = { .batch = 100,
                            .sql = NULL,
                            .ask_own = { (char *)"cache", (char *)"key" },
                            .own = { (char *)"user:%" } };
        assert_int_equal(step_kind_cache.learn(&s, "bytes", "pg_catalog.\"default\"", &plan), 0);
        explain(pg, &s, "user:8", &plan);
        assert_non_null(strstr(
                plan.text,
                "(key >= 'user:'::text) AND (key < 'user;'::text) AND (key > 'user:8'::text)"));
        free(s.sql);
        free(s.order);
        pg_sync_free(pg);
}

static void test_sessions(void **state) {
        Harness *h = *state;

        open_pg(h);
        harness_sql(h, "INSERT INTO session SELECT i, '2024-01-01'::timestamptz + i * interval '1 "
                       "hour', NULL FROM generate_series(1, 100) i");
        run("session",
            "{\"role\": \"site\", \"timeout_ms\": 4000, \"table\": \"session\", \"batch\": 10, "
            "\"where\": \"created_at >= :released_at OR id < 0 -- since then\"}",
            NULL);
        assert_int_equal(seen.result, STEP_DONE);
        assert_string_equal(seen.words, "77 rows");
        assert_int_equal(seen.progressed, 7);
        assert_string_equal(harness_cell(h, "SELECT count(*) || ' ' || max(id) FROM session"),
                            "23 23");
        pg_free(seen.pg);
}

/* Places of rows are unique within a partition only: what the condition does not name stays. */
static void test_partitioned_sessions(void **state) {
        Harness *h = *state;

        open_pg(h);
        harness_sql(h, "CREATE TABLE parts (id int, bad boolean) PARTITION BY LIST (bad); CREATE "
                       "TABLE parts_t PARTITION OF parts FOR VALUES IN (true);"
                       "CREATE TABLE parts_f PARTITION OF parts FOR VALUES IN (false); GRANT "
                       "SELECT, DELETE ON parts TO site;"
                       "INSERT INTO parts SELECT i, true FROM generate_series(1, 30) i; INSERT "
                       "INTO parts SELECT i, false FROM generate_series(1, 30) i");
        run("session",
            "{\"role\": \"site\", \"timeout_ms\": 4000, \"table\": \"parts\", \"batch\": 7, "
            "\"where\": \"bad\"}",
            NULL);
        assert_string_equal(seen.words, "30 rows");
        assert_string_equal(
                harness_cell(h, "SELECT count(*) || ' ' || bool_or(bad)::text FROM parts"),
                "30 false");
        pg_free(seen.pg);
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

        open_pg(h);
        harness_sql(h, "INSERT INTO cache SELECT 'user:' || i FROM generate_series(1, 5) i");
        _cleanup_(pg_sync_freep) PgSync *other = harness_connect(h);
        pg_result_free(pg_sync_script(
                other, "BEGIN; UPDATE cache SET value = 'mine' WHERE key = 'user:3'", &failure));
        assert_int_equal(start("cache", CACHE("user:", ":", "100"), NULL), 0);
        harness_wait(h, is_blocked, h, "the batch waits");
        harness_wait(h, has_timed_out, h, "the batch has given way");
        assert_int_equal(seen.done, 0);
        assert_string_equal(harness_cell(h, "SELECT count(*) FROM cache"), "5");
        pg_result_free(pg_sync_script(other, "COMMIT", &failure));
        harness_wait(h, is_done, NULL, "the step");
        assert_int_equal(seen.result, STEP_DONE);
        assert_string_equal(seen.words, "5 rows");
        pg_free(seen.pg);
}

static void test_lost_connection(void **state) {
        Harness *h = *state;

        open_pg(h);
        assert_int_equal(start("sql",
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
        harness_wait(h, is_done, NULL, "the step");
        assert_int_equal(seen.result, STEP_RETRY);
        /* Not connected: said at once, and not from within step_start(). */
        pg_free(seen.pg);
        PgSetup setup = { .conninfo = "host=/nonexistent", .on_state = on_state };
        assert_int_equal(pg_new(&seen.pg, h->loop, h->offload, &setup, 1), 0);
        assert_int_equal(
                start("sql",
                      "{\"role\": \"site\", \"timeout_ms\": 4000, \"statement\": \"SELECT 1\"}",
                      NULL),
                0);
        assert_int_equal(seen.done, 0);
        harness_wait(h, is_done, NULL, "the refusal");
        assert_int_equal(seen.result, STEP_RETRY);
        assert_string_equal(seen.words, "the database cannot be reached");
        pg_free(seen.pg);
}

/* Cancelled before it began, in a statement, and between batches: no word more, and the connection
 * is free again. */
static void test_cancel(void **state) {
        Harness *h = *state;

        open_pg(h);
        harness_sql(h, "INSERT INTO cache SELECT 'user:' || i FROM generate_series(1, 50) i");
        assert_int_equal(start("cache", CACHE("user:", ":", "1"), NULL), 0);
        seen.run = step_cancel(seen.run);
        assert_int_equal(start("cache", CACHE("user:", ":", "1"), NULL), 0);
        bool has_progress(_unused_ void *userdata) {
                return seen.progressed > 1;
        }
        harness_wait(h, has_progress, NULL, "progress");
        seen.run = step_cancel(seen.run);
        unsigned progressed = seen.progressed;
        assert_int_equal(start("sql",
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
        seen.run = step_cancel(seen.run);
        bool is_idle(void *userdata) {
                return streq(
                        harness_cell(
                                userdata,
                                "SELECT state FROM pg_stat_activity WHERE usename = 'rollbackd'"),
                        "idle");
        }
        harness_wait(h, is_idle, h, "an idle connection");
        assert_int_equal(seen.done, 0);
        assert_true(progressed >= 2);
        run("sql", "{\"role\": \"site\", \"timeout_ms\": 4000, \"statement\": \"SELECT 1\"}", NULL);
        assert_int_equal(seen.result, STEP_DONE);
        pg_free(seen.pg);
}

static void test_bad_rows(void **state) {
        Harness *h = *state;

        open_pg(h);
        assert_int_equal(start("teleport", "{}", NULL), -EINVAL);
        assert_non_null(strstr(seen.words, "unknown kind of step \"teleport\""));
        assert_int_equal(start("cache", "{\"role\": \"site\"}", NULL), -EINVAL);
        pg_free(seen.pg);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, harness_setup, harness_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_sql),        TEST(test_ends_with_its_statement),
                TEST(test_prefixes),   TEST(test_batches_and_resume),
                TEST(test_sessions),   TEST(test_partitioned_sessions),
                TEST(test_orders),     TEST(test_order_in_a_database_of_bytes),
                TEST(test_locked_row), TEST(test_lost_connection),
                TEST(test_cancel),     TEST(test_bad_rows),
        };

        return cmocka_run_group_tests(tests, harness_group_setup, harness_group_teardown);
}
