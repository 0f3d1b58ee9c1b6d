/* Cache steps against a real PostgreSQL: which index gives a batch its order, by the plan that the
 * server makes, and that the order changes nothing of what is deleted. */
#include "step_story.h"

#include <stdio.h>

#include "step_kinds.h"

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
        static const char spec_text[] = STEP_CACHE("user:", ":", "100");
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

        step_story_open(h);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                harness_sql(h, "DROP TABLE cache");
                harness_sql(h, cases[i].ddl);
                harness_sql(
                        h, ROWS
                        "INSERT INTO cache VALUES ('user'), ('User:1'), ('us-er:1'), "
                        "('username:1'), ('user;'), ('u'); GRANT SELECT, DELETE ON cache TO site");
                check_plan(h->admin, cases[i].order, cases[i].index);
                step_story_run("cache", STEP_CACHE("user:", ":", "500"), NULL);
                assert_string_equal(step_seen.words, "2,000 rows");
                assert_string_equal(harness_cell(h, "SELECT count(*) || ' ' || count(*) FILTER "
                                                    "(WHERE key LIKE 'user:%') FROM cache"),
                                    "18006 0");
        }
        pg_free(step_seen.pg);
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

int main(void) {
        const struct CMUnitTest tests[] = {
                STEP_TEST(test_orders),
                STEP_TEST(test_order_in_a_database_of_bytes),
        };

        return cmocka_run_group_tests(tests, harness_group_setup, harness_group_teardown);
}
