/* The ledger against a real PostgreSQL: facts, the queue, claims and reads. */
#include "ledger_story.h"

#include <stdio.h>

static void watch(void) {
        LedgerService services[] = { { "web", 600 * USEC_PER_SEC, USEC_PER_DAY },
                                     { "unknown", 0, USEC_PER_DAY } };

        seen.n_facts = seen.n_unknown = 0;
        assert_int_equal(ledger_watch(seen.ledger, services, ELEMENTSOF(services)), 0);
        harness_wait(seen.h, ledger_story_counted, &seen.n_facts, "facts");
        harness_wait(seen.h, ledger_story_counted, &seen.n_unknown, "no facts");
}

/* A poll reads every service, a notification only its own. */
static bool told_alone(_unused_ void *userdata) {
        return seen.n_facts > seen.n_unknown;
}

static void test_facts(void **state) {
        Harness *h = *state;

        ledger_story_seed(h);
        ledger_story_open(h);
        watch();
        assert_string_equal(seen.facts.version, "v2");
        assert_int_equal(seen.facts.epoch, 2);
        assert_int_equal(seen.facts.kind, RELEASE_DEPLOY);
        assert_true(seen.facts.automatic);
        assert_false(seen.facts.stable);
        assert_false(seen.facts.deploying);
        assert_int_equal(seen.facts.paused_until, 0);
        assert_int_equal(seen.facts.cooldown_until, 0);
        assert_true(seen.facts.released <= loop_now(h->loop));
        assert_true(seen.facts.released + USEC_PER_MINUTE > loop_now(h->loop));
        assert_string_equal(seen.facts.operation.id, "");
        assert_int_equal(seen.facts.n_candidates, 1);
        assert_string_equal(seen.facts.candidates[0].version, "v1");
        assert_true(seen.facts.candidates[0].stable && seen.facts.candidates[0].previous &&
                    seen.facts.candidates[0].schema_fits);
        assert_false(seen.facts.candidates[0].quarantined ||
                     seen.facts.candidates[0].behind_barrier);

        /* A notification alone brings the next ones. */
        seen.n_facts = seen.n_unknown = 0;
        harness_sql(h, "SELECT rollbackd.pause('web', '1 hour', 'a test')");
        harness_wait(h, told_alone, NULL, "facts after a pause");
        assert_true(seen.facts.paused_until > loop_now(h->loop) + 3500 * USEC_PER_SEC);
        assert_true(seen.facts.paused_until <= loop_now(h->loop) + 3600 * USEC_PER_SEC);
        seen.n_facts = seen.n_unknown = 0;
        harness_sql(h, "SELECT rollbackd.resume('web')");
        harness_wait(h, told_alone, NULL, "facts after a resume");
        seen.n_facts = seen.n_unknown = 0;
        harness_sql(h, "SELECT rollbackd.rollback('web', 'by hand')");
        harness_wait(h, told_alone, NULL, "facts after a rollback");
        assert_int_equal(seen.facts.kind, RELEASE_ROLLBACK);
        assert_int_equal(seen.facts.operation.kind, OPERATION_ROLLBACK);
        assert_int_equal(seen.facts.operation.state, OPERATION_COMMITTED);
        assert_false(seen.facts.operation.has_steps || seen.facts.operation.automatic);
        assert_string_equal(seen.facts.operation.from_version, "v2");
        assert_int_equal(seen.facts.operation.to_epoch, 3);
        assert_true(seen.facts.candidates[0].quarantined);
        assert_int_equal(seen.n_trouble, 0);
        ledger_story_close();
}

/* load() replaced by one that answers a single cell otherwise: each must be told, and none become a
 * fact. */
static void test_facts_that_do_not_parse(void **state) {
        static const char *const columns[][2] = {
                { "version", "repeat('v', 64)" },  { "epoch", "-1::int8" },
                { "kind", "'sideways'::text" },    { "released_age", "'NaN'::float8" },
                { "paused_left", "NULL::float8" }, { "pinned_left", "-1::float8" },
                { "automatic", "NULL::boolean" },  { "budget_used", "-1" },
                { "resumes", "NULL::int8" },       { "operation", "'{\"id\": 1}'::jsonb" },
                { "candidates", "'[{}]'::jsonb" }, { "candidates", "'{}'::jsonb" },
        };
        Harness *h = *state;

        ledger_story_seed(h);
        harness_sql(h, "ALTER FUNCTION rollbackd.load RENAME TO load_true");
        for (size_t i = 0; i < ELEMENTSOF(columns); i++) {
                char sql[2048];
                LedgerService service = { "web", 0, USEC_PER_DAY };
                static const char *const all[] = { "service",        "version",       "epoch",
                                                   "kind",           "released_age",  "paused_left",
                                                   "pinned_left",    "deploying",     "automatic",
                                                   "stable",         "cooldown_left", "budget_used",
                                                   "budget_free_in", "resumes",       "operation",
                                                   "candidates" };
                int n = snprintf(
                        sql, sizeof sql,
                        "DROP FUNCTION IF EXISTS rollbackd.load; CREATE FUNCTION rollbackd.load(a "
                        "text[], b interval[], c interval[]) RETURNS TABLE "
                        "(service text, version text, epoch int8, kind text, released_age float8, "
                        "paused_left float8, pinned_left float8, deploying boolean, "
                        "automatic boolean, stable boolean, cooldown_left float8, budget_used int, "
                        "budget_free_in float8, resumes int8, operation jsonb, candidates jsonb) "
                        "LANGUAGE sql SECURITY DEFINER AS 'SELECT ");
                for (size_t j = 0; j < ELEMENTSOF(all); j++) {
                        bool bad = streq(all[j], columns[i][0]);
                        const char *value = bad ? columns[i][1] : all[j];
                        n += snprintf(sql + n, sizeof sql - (size_t)n, "%s", j > 0 ? ", " : "");
                        for (const char *c = value; *c; c++)
                                n += snprintf(sql + n, sizeof sql - (size_t)n,
                                              *c == '\'' ? "''" : "%c", *c);
                }
                snprintf(sql + n, sizeof sql - (size_t)n,
                         " FROM rollbackd.load_true(a, b, c)'; GRANT EXECUTE ON FUNCTION "
                         "rollbackd.load TO rollbackd");
                harness_sql(h, sql);
                ledger_story_open(h);
                assert_int_equal(ledger_watch(seen.ledger, &service, 1), 0);
                harness_wait(h, ledger_story_counted, &seen.n_trouble, columns[i][0]);
                assert_string_equal(seen.trouble, "facts of web");
                assert_non_null(strstr(seen.trouble_words, columns[i][0]));
                assert_int_equal(seen.n_facts, 0);
                ledger_story_close();
        }
}

static void test_wrong_schema(void **state) {
        Harness *h = *state;

        harness_sql(h, "CREATE OR REPLACE VIEW rollbackd.schema AS SELECT 9 AS version, 8 AS "
                       "oldest_daemon");
        seen = (LedgerStory){ .h = h };
        assert_int_equal(
                ledger_new(&seen.ledger, h->loop, h->offload, h->conninfo, &ledger_story_owner, 1),
                0);
        bool has_failed(_unused_ void *userdata) {
                return seen.failure.error != PG_OK;
        }
        harness_wait(h, has_failed, NULL, "a refusal");
        assert_int_equal(seen.failure.error, PG_CONFIGURATION);
        assert_non_null(
                strstr(seen.failure.message,
                       "the ledger has schema 9, which takes daemons built for schema 8 or newer"));
        assert_false(ledger_is_up(seen.ledger));
        /* Migrated meanwhile, it comes up without a new connection. */
        harness_sql(h, "CREATE OR REPLACE VIEW rollbackd.schema AS SELECT 2 AS version, 1 AS "
                       "oldest_daemon");
        harness_wait(h, ledger_story_is_up, NULL, "the migrated ledger");
        ledger_story_close();
}

/* The same with a write of the queue: it is sent again, and is there once. */
static void test_write_in_doubt(void **state) {
        Harness *h = *state;
        PgFailure failure;

        ledger_story_seed(h);
        ledger_story_open(h);
        _cleanup_(pg_sync_freep) PgSync *other = harness_connect(h);
        pg_result_free(
                pg_sync_script(other, "BEGIN; SELECT FROM rollbackd.service FOR UPDATE", &failure));
        assert_int_equal(
                ledger_record_event(seen.ledger, ID2, "web", "rule.bad", NULL, "rollbackd", "{}"),
                0);
        harness_wait(h, ledger_story_is_blocked, h, "the write waits for the lock");
        harness_sql(h, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = "
                       "'rollbackd'");
        harness_wait(h, ledger_story_is_blocked, h, "the write waits again");
        pg_result_free(pg_sync_script(other, "COMMIT", &failure));
        bool is_there(void *userdata) {
                return streq(harness_cell(userdata,
                                          "SELECT count(*) FROM rollbackd.event WHERE id = '" ID2
                                          "'"),
                             "1");
        }
        harness_wait(h, is_there, h, "the event");
        assert_int_equal(seen.n_trouble, 0);
        ledger_story_close();
}

static bool is_down(_unused_ void *userdata) {
        return !seen.up;
}

/* Writes given while the server is away arrive once, in order, when it is back; so does a commit
 * that was not sent yet. */
static void test_outage(void **state) {
        Harness *h = *state;
        CommitRequest r = ledger_story_request();

        ledger_story_seed(h);
        ledger_story_open(h);
        pg_sync_free(TAKE_PTR(h->admin));
        harness_kill_server();
        harness_wait(h, is_down, NULL, "down");
        assert_int_equal(seen.failure.error, PG_LOST);
        assert_int_equal(ledger_commit(seen.ledger, &r, ledger_story_on_commit, NULL), 0);
        assert_int_equal(ledger_record_event(seen.ledger, ID2, "web", "rule.bad", NULL, "rollbackd",
                                             "{\"rule\": \"x\"}"),
                         0);
        assert_int_equal(ledger_record_event(seen.ledger, ID2, "web", "rule.bad", NULL, "rollbackd",
                                             "{\"rule\": \"y\"}"),
                         0);
        harness_start_server();
        h->admin = harness_connect(h);
        harness_wait(h, ledger_story_is_up, NULL, "up again");
        harness_wait(h, ledger_story_counted, &seen.results, "the commit");
        assert_int_equal(seen.result, COMMIT_DONE);
        bool one_event(void *userdata) {
                return streq(harness_cell(userdata, "SELECT string_agg(fields->>'rule', ',') FROM "
                                                    "rollbackd.event WHERE id = '" ID2 "'"),
                             "x");
        }
        harness_wait(h, one_event, h, "the event, once");
        assert_int_equal(seen.n_trouble, 0);
        ledger_story_close();
}

static void on_step(_unused_ void *userdata, const PgFailure *failure, const LedgerStep *step,
                    usec_t wait, uint32_t failed) {
        seen.answers++;
        seen.failure = *failure;
        seen.wait = wait;
        seen.failed = failed;
        seen.step_n = step ? step->n : 0;
        if (!step)
                return;
        seen.attempt = step->attempt;
        snprintf(seen.kind, sizeof seen.kind, "%s", step->kind);
        snprintf(seen.released_at, sizeof seen.released_at, "%s", step->released_at);
        snprintf(seen.progress, sizeof seen.progress, "%s",
                 step->progress ? json_get_text(step->progress, "after", "none") : "");
        assert_string_equal(step->service, "web");
        assert_string_equal(step->from_version, "v2");
        assert_string_equal(step->to_version, "v1");
        assert_int_equal(step->from_epoch, 2);
        assert_int_equal(step->to_epoch, 3);
}

static void claim(const char *operation) {
        seen.answers = 0;
        assert_int_equal(
                ledger_claim_step(seen.ledger, operation, 60 * USEC_PER_SEC, on_step, NULL), 0);
        harness_wait(seen.h, ledger_story_counted, &seen.answers, "a claim");
}

static void test_queue_limit_and_refusals(void **state) {
        Harness *h = *state;
        unsigned n = 0;

        ledger_story_seed(h);
        ledger_story_open(h);
        /* What the ledger refuses is told and does not keep what comes behind. */
        assert_int_equal(ledger_move_operation(seen.ledger, ID2, OPERATION_RECOVERED, "gone", NULL),
                         0);
        assert_int_equal(ledger_earn_stable(seen.ledger, "web", 2), 0);
        harness_wait(h, ledger_story_counted, &seen.n_trouble, "a refusal");
        assert_string_equal(seen.trouble, "move_operation " ID2);
        bool is_stable(void *userdata) {
                return streq(
                        harness_cell(userdata, "SELECT stable::text FROM rollbackd.service_status"),
                        "true");
        }
        harness_wait(h, is_stable, h, "the stable mark");
        claim(ID1); /* answered, it says that the queue is empty */
        while (ledger_earn_stable(seen.ledger, "web", 2) == 0)
                n++;
        assert_int_equal(n, 256);
        assert_int_equal(ledger_earn_stable(seen.ledger, "web", 2), -EAGAIN);
        ledger_story_close();
}

static void test_steps(void **state) {
        Harness *h = *state;
        CommitRequest r = ledger_story_request();

        r.steps = "[{\"n\": 1, \"kind\": \"cache\", \"spec\": {\"a\": 1}}, {\"n\": 2, \"kind\": "
                  "\"cache\", \"spec\": {}, \"not_before_seconds\": 1000}]";
        ledger_story_seed(h);
        ledger_story_open(h);
        ledger_story_commit(&r);
        claim(ID1);
        assert_int_equal(seen.failure.error, PG_OK);
        assert_int_equal(seen.step_n, 1);
        assert_int_equal(seen.attempt, 1);
        assert_string_equal(seen.kind, "cache");
        assert_string_equal(seen.progress, "");
        char sql[256];
        snprintf(sql, sizeof sql, "SELECT at = '%s' FROM rollbackd.release WHERE epoch = 2",
                 seen.released_at);
        assert_string_equal(harness_cell(h, sql), "t");
        assert_int_equal(
                ledger_step_progress(seen.ledger, ID1, 1, "{\"after\": \"k\"}", 60 * USEC_PER_SEC),
                0);
        assert_int_equal(ledger_step_result(seen.ledger, ID1, 1, "retry", "again", 0), 0);
        claim(ID1);
        assert_int_equal(seen.step_n, 1);
        assert_int_equal(seen.attempt, 2);
        assert_string_equal(seen.progress, "k");
        assert_int_equal(ledger_step_result(seen.ledger, ID1, 1, "failed", "no way", 0), 0);
        claim(ID1);
        assert_int_equal(seen.step_n, 0);
        assert_true(seen.wait > 900 * USEC_PER_SEC && seen.wait <= 1000 * USEC_PER_SEC);
        harness_sql(h, "UPDATE rollbackd.step SET not_before = NULL");
        claim(ID1);
        assert_int_equal(seen.step_n, 2);
        assert_int_equal(ledger_step_result(seen.ledger, ID1, 2, "done", "5 rows", 0), 0);
        claim(ID1);
        assert_int_equal(seen.step_n, 0);
        assert_true(seen.wait == USEC_INFINITY);
        assert_int_equal(seen.failed, 1);
        claim(ID2);
        assert_int_not_equal(seen.failure.error, PG_OK);
        ledger_story_close();
}

static void on_deliveries(_unused_ void *userdata, const PgFailure *failure,
                          const LedgerDelivery deliveries[], size_t n, usec_t next_in) {
        seen.answers++;
        seen.failure = *failure;
        seen.n_deliveries = n;
        seen.wait = next_in;
        if (n == 0)
                return;
        snprintf(seen.delivery_id, sizeof seen.delivery_id, "%s", deliveries[0].id);
        snprintf(seen.delivery_kind, sizeof seen.delivery_kind, "%s", deliveries[0].event_kind);
        snprintf(seen.channel_url, sizeof seen.channel_url, "%s",
                 json_get_text(deliveries[0].channel, "url", ""));
        assert_string_equal(deliveries[0].service, "web");
}

static void claim_deliveries(void) {
        seen.answers = 0;
        assert_int_equal(
                ledger_claim_deliveries(seen.ledger, 10, 60 * USEC_PER_SEC, on_deliveries, NULL),
                0);
        harness_wait(seen.h, ledger_story_counted, &seen.answers, "deliveries");
        assert_int_equal(seen.failure.error, PG_OK);
}

static void test_deliveries(void **state) {
        Harness *h = *state;
        CommitRequest r = ledger_story_request();

        ledger_story_seed(h);
        ledger_story_open(h);
        claim_deliveries();
        assert_int_equal(seen.n_deliveries, 0);
        assert_true(seen.wait >= USEC_PER_SEC);
        assert_int_equal(
                ledger_put_subscribers(seen.ledger, "web",
                                       "[{\"kind\": \"webhook\", \"url\": \"http://x/\"}]"),
                0);
        /* Something answered behind it in the queue: it is there. */
        claim_deliveries();
        ledger_story_commit(&r);
        claim_deliveries();
        assert_int_equal(seen.n_deliveries, 1);
        assert_string_equal(seen.delivery_kind, "rollback.committed");
        assert_string_equal(seen.channel_url, "http://x/");
        claim_deliveries();
        assert_int_equal(seen.n_deliveries, 0);
        assert_true(seen.wait > 50 * USEC_PER_SEC && seen.wait <= 60 * USEC_PER_SEC);
        assert_int_equal(ledger_delivery_result(seen.ledger, seen.delivery_id, "done", 0, NULL), 0);
        claim_deliveries();
        assert_int_equal(seen.n_deliveries, 0);
        assert_true(seen.wait >= USEC_PER_SEC);
        assert_string_equal(
                harness_cell(h, "SELECT string_agg(state, ',') FROM rollbackd.delivery_status"),
                "done");
        ledger_story_close();
}

static void on_found(_unused_ void *userdata, const PgFailure *failure, const char *what,
                     Json *record) {
        seen.answers++;
        seen.failure = *failure;
        seen.found = record != NULL;
        snprintf(seen.kind, sizeof seen.kind, "%s", record ? what : "");
        json_free(record);
}

static void find(const char *id) {
        seen.answers = 0;
        assert_int_equal(ledger_find(seen.ledger, id, on_found, NULL), 0);
        harness_wait(seen.h, ledger_story_counted, &seen.answers, "a record");
        assert_int_equal(seen.failure.error, PG_OK);
}

static bool has_operation(_unused_ void *userdata) {
        return seen.operations && json_length(seen.operations) == 1 && json_length(seen.events) > 2;
}

static void test_reads(void **state) {
        Harness *h = *state;
        CommitRequest r = ledger_story_request();

        ledger_story_seed(h);
        ledger_story_open(h);
        ledger_story_commit(&r);
        harness_wait(h, has_operation, NULL, "the lists");
        assert_string_equal(json_get_text(json_at(seen.operations, 0), "id", ""), ID1);
        assert_string_equal(
                json_get_text(json_get(json_at(seen.operations, 0), "evidence"), "rule", ""),
                "errors");
        assert_string_equal(json_get_text(json_at(seen.events, 0), "kind", ""),
                            "rollback.committed");
        find(ID1);
        assert_string_equal(seen.kind, "operation");
        find(json_get_text(json_at(seen.events, 0), "id", ""));
        assert_string_equal(seen.kind, "event");
        find(ID2);
        assert_false(seen.found);
        assert_int_equal(ledger_find(seen.ledger, "1; DROP TABLE", on_found, NULL), -EINVAL);
        ledger_story_close();
}

/* Freed with everything under way: nothing is called any more. */
static void test_free_under_way(void **state) {
        Harness *h = *state;
        CommitRequest r = ledger_story_request();

        ledger_story_seed(h);
        ledger_story_open(h);
        assert_int_equal(ledger_commit(seen.ledger, &r, ledger_story_on_commit, NULL), 0);
        assert_int_equal(ledger_earn_stable(seen.ledger, "web", 2), 0);
        assert_int_equal(ledger_claim_step(seen.ledger, ID1, USEC_PER_SEC, on_step, NULL), 0);
        assert_int_equal(ledger_find(seen.ledger, ID1, on_found, NULL), 0);
        ledger_story_close();
        assert_int_equal(seen.results + seen.answers, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                LEDGER_TEST(test_facts),          LEDGER_TEST(test_facts_that_do_not_parse),
                LEDGER_TEST(test_wrong_schema),   LEDGER_TEST(test_outage),
                LEDGER_TEST(test_write_in_doubt), LEDGER_TEST(test_queue_limit_and_refusals),
                LEDGER_TEST(test_steps),          LEDGER_TEST(test_deliveries),
                LEDGER_TEST(test_reads),          LEDGER_TEST(test_free_under_way),
        };

        return cmocka_run_group_tests(tests, harness_group_setup, harness_group_teardown);
}
