/* The heartbeat, the schemas that a daemon may run on, and retention, against a real PostgreSQL. */
#include "ledger_story.h"

#include <stdio.h>
#include <unistd.h>

#include "housekeeping.h"
#include "ledger_internal.h"

#define SAY_SCHEMA(version, oldest)                                                                \
        "CREATE OR REPLACE VIEW rollbackd.schema AS SELECT " #version " AS version, " #oldest      \
        " AS oldest_daemon"
#define MATCHING SAY_SCHEMA(2, 1)

static void heartbeat(void) {
        seen.heartbeats = 0;
        ledger_heartbeat(seen.ledger);
        harness_wait(seen.h, ledger_story_counted, &seen.heartbeats, "a heartbeat");
}

static bool is_down(_unused_ void *userdata) {
        return !seen.up && seen.failure.error != PG_OK;
}

static bool drills_are_known(_unused_ void *userdata) {
        double at;

        return ledger_find_drill(seen.ledger, "web", &at);
}

static bool drill_succeeded(_unused_ void *userdata) {
        double at;

        return ledger_find_drill(seen.ledger, "web", &at) && at > 0;
}

static void test_heartbeat(void **state) {
        Harness *h = *state;
        char host[256] = "";
        double at = -1;

        ledger_story_seed(h);
        ledger_story_open(h);
        /* The first comes by itself. */
        harness_wait(h, ledger_story_counted, &seen.heartbeats, "the first heartbeat");
        assert_int_equal(gethostname(host, sizeof host - 1), 0);
        assert_string_equal(harness_cell(h, "SELECT name FROM rollbackd.observer_status"), host);
        assert_string_equal(harness_cell(h, "SELECT program_version FROM rollbackd.observer"),
                            ROLLBACKD_VERSION);
        assert_string_equal(harness_cell(h, "SELECT schema FROM rollbackd.observer"), "2");
        assert_int_equal(ledger_schema(seen.ledger), LEDGER_SCHEMA);
        harness_wait(h, drills_are_known, NULL, "the drills");
        assert_true(ledger_find_drill(seen.ledger, "web", &at));
        assert_true(at >= 0 && at <= 0);
        harness_sql(h, "SELECT rollbackd.register('a', 'v1'); "
                       "SELECT rollbackd.drill_result('a', false, '{}'); "
                       "SELECT rollbackd.drill_result('web', true, '{}'); "
                       "SELECT rollbackd.drill_result('web', false, '{}')");
        heartbeat();
        harness_wait(h, drill_succeeded, NULL, "the drill");
        assert_true(ledger_find_drill(seen.ledger, "a", &at));
        assert_true(at >= 0 && at <= 0);
        /* One that fails is told, and the ledger stays up. */
        harness_sql(h, "REVOKE EXECUTE ON FUNCTION rollbackd.observer_seen FROM rollbackd");
        ledger_heartbeat(seen.ledger);
        harness_wait(h, ledger_story_counted, &seen.n_trouble, "trouble");
        assert_string_equal(seen.trouble, "the heartbeat");
        assert_true(seen.up);
        ledger_story_close();
}

static void make_observer_busy(Harness *h) {
        harness_sql(h, "CREATE FUNCTION rollbackd.busy() RETURNS trigger LANGUAGE plpgsql AS $$ "
                       "BEGIN RAISE EXCEPTION USING ERRCODE = '55P03', MESSAGE = 'busy'; END $$; "
                       "CREATE TRIGGER busy BEFORE INSERT OR UPDATE ON rollbackd.observer "
                       "EXECUTE FUNCTION rollbackd.busy()");
}

static void on_behind(void *userdata, _unused_ const PgFailure *failure,
                      _unused_ const PgResult *result) {
        ++*(unsigned *)userdata;
}

/* Answers come in the order of the questions. */
static void wait_for_answer(Harness *h) {
        unsigned answers = 0;

        assert_int_equal(
                pg_query(seen.ledger->pg, "SELECT", 0, NULL, USEC_PER_MINUTE, on_behind, &answers),
                0);
        harness_wait(h, ledger_story_counted, &answers, "the answer");
}

/* Whoever asks the journal why there is none finds it there, and once. */
static void test_a_heartbeat_that_fails_again_and_again(void **state) {
        Harness *h = *state;

        ledger_story_open(h);
        harness_wait(h, ledger_story_counted, &seen.heartbeats, "the first heartbeat");
        for (unsigned round = 1; round <= 2; round++) {
                make_observer_busy(h);
                for (int i = 0; i < 3; i++) {
                        ledger_heartbeat(seen.ledger);
                        wait_for_answer(h);
                }
                assert_int_equal(seen.n_trouble, round);
                assert_string_equal(seen.trouble, "the heartbeat");
                assert_true(seen.up);
                harness_sql(h, "DROP FUNCTION rollbackd.busy CASCADE");
                heartbeat();
        }
        ledger_story_close();
}

static void test_one_behind(void **state) {
        Harness *h = *state;
        double at;

        harness_sql(h, SAY_SCHEMA(1, 1) "; ALTER VIEW rollbackd.drill_status RENAME TO later; "
                                        "ALTER FUNCTION rollbackd.prune RENAME TO later");
        ledger_story_open(h);
        harness_wait(h, ledger_story_counted, &seen.heartbeats, "the first heartbeat");
        /* Whatever the first one asked for has been answered before the second. */
        heartbeat();
        assert_int_equal(seen.n_trouble, 0);
        assert_int_equal(ledger_schema(seen.ledger), 1);
        assert_false(ledger_find_drill(seen.ledger, "web", &at));
        assert_int_equal(ledger_prune(seen.ledger, seen.ledger->pg, USEC_PER_DAY, 1, NULL, NULL),
                         -EOPNOTSUPP);
        harness_sql(h, MATCHING "; ALTER VIEW rollbackd.later RENAME TO drill_status; "
                                "ALTER FUNCTION rollbackd.later RENAME TO prune");
        heartbeat();
        assert_int_equal(ledger_schema(seen.ledger), 2);
        harness_wait(h, drills_are_known, NULL, "the drills");
        assert_int_equal(seen.n_trouble, 0);
        assert_int_equal(seen.ups, 1);
        ledger_story_close();
}

/* Seen by a heartbeat, a schema takes the ledger down as a connection's first check would have. */
static void test_schemas_that_do_not_fit(void **state) {
        static const struct {
                const char *sql, *words;
        } schemas[] = {
                { SAY_SCHEMA(0, 0), "the ledger has schema 0, this rollbackd is built for 2: run "
                                    "rollbackctl db migrate" },
                { SAY_SCHEMA(5, 3), "the ledger has schema 5, which takes daemons built for schema "
                                    "3 or newer; this one is built for 2: install the matching "
                                    "rollbackd" },
        };
        Harness *h = *state;

        ledger_story_open(h);
        for (size_t i = 0; i < ELEMENTSOF(schemas); i++) {
                harness_sql(h, schemas[i].sql);
                ledger_heartbeat(seen.ledger);
                harness_wait(h, is_down, NULL, "a refusal");
                assert_int_equal(seen.failure.error, PG_CONFIGURATION);
                assert_string_equal(seen.failure.message, schemas[i].words);
                assert_int_equal(ledger_schema(seen.ledger), 0);
                assert_int_equal(ledger_prune(seen.ledger, seen.ledger->pg, 0, 1, NULL, NULL),
                                 -ENOTCONN);
                harness_sql(h, MATCHING);
                harness_wait(h, ledger_story_is_up, NULL, "the ledger again");
                seen.failure.error = PG_OK;
        }
        /* Newer, and it still takes us. */
        harness_sql(h, SAY_SCHEMA(5, 2));
        heartbeat();
        assert_true(seen.up);
        ledger_story_close();
}

/* Retention: what follows is of one run, so that `every` is an hour. */

static struct {
        bool busy;
        unsigned looks, successes;
} run;

static bool is_busy(_unused_ void *userdata) {
        run.looks++;
        return run.busy;
}

static void on_success(_unused_ void *userdata) {
        run.successes++;
}

static HousekeepingSetup setup_quick(uint64_t most) {
        return (HousekeepingSetup){ .retention = 400 * USEC_PER_DAY,
                                    .every = USEC_PER_HOUR,
                                    .pause = USEC_PER_MSEC,
                                    .look_again = 5 * USEC_PER_MSEC,
                                    .batch = 10,
                                    .most = most,
                                    .tries = 2,
                                    .busy = is_busy,
                                    .on_success = on_success };
}

static void add_events(Harness *h) {
        harness_sql(
                h,
                "INSERT INTO rollbackd.event (id, at, kind, actor, fields) SELECT "
                "gen_random_uuid(), now() - g * interval '10 days 1 hour', 'test', 'x', '{}' FROM "
                "generate_series(1, 100) g");
}

static bool looked_often(_unused_ void *userdata) {
        return run.looks > 3;
}

static void test_retention(void **state) {
        static const char count[] = "SELECT count(*) FROM rollbackd.event WHERE kind = 'test'";
        HousekeepingSetup setup = setup_quick(1000);
        Housekeeping *k = NULL;
        Harness *h = *state;

        run = (typeof(run)){ .busy = true };
        add_events(h);
        ledger_story_open(h);
        assert_int_equal(housekeeping_new(&k, h->loop, seen.ledger, seen.ledger->pg, &setup), 0);
        harness_wait(h, looked_often, NULL, "looks at a busy daemon");
        assert_string_equal(harness_cell(h, count), "100");
        run.busy = false;
        harness_wait(h, ledger_story_counted, &run.successes, "the end of the run");
        /* The 40th is older than 400 days. */
        assert_string_equal(harness_cell(h, count), "39");
        assert_int_equal(run.successes, 1);
        ledger_story_close();
        housekeeping_free(k);
}

static void test_retention_has_an_end(void **state) {
        HousekeepingSetup setup = setup_quick(20);
        Housekeeping *k = NULL;
        Harness *h = *state;

        run = (typeof(run)){ 0 };
        add_events(h);
        ledger_story_open(h);
        assert_int_equal(housekeeping_new(&k, h->loop, seen.ledger, seen.ledger->pg, &setup), 0);
        harness_wait(h, ledger_story_counted, &run.successes, "the end of the run");
        assert_string_equal(harness_cell(h, "SELECT count(*) FROM rollbackd.event"), "80");
        ledger_story_close();
        housekeeping_free(k);
}

static void test_the_first_run_is_spread(_unused_ void **state) {
        usec_t least = USEC_INFINITY, most = 0;

        for (uint64_t seed = 0; seed < 1000; seed++) {
                HousekeepingSetup s = housekeeping_setup(400 * USEC_PER_DAY, seed);

                least = MIN(least, s.first);
                most = MAX(most, s.first);
        }
        assert_true(least >= 5 * USEC_PER_MINUTE && least < 7 * USEC_PER_MINUTE);
        assert_true(most <= 60 * USEC_PER_MINUTE && most > 58 * USEC_PER_MINUTE);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                LEDGER_TEST(test_heartbeat),
                LEDGER_TEST(test_a_heartbeat_that_fails_again_and_again),
                LEDGER_TEST(test_one_behind),
                LEDGER_TEST(test_schemas_that_do_not_fit),
                LEDGER_TEST(test_retention),
                LEDGER_TEST(test_retention_has_an_end),
                cmocka_unit_test(test_the_first_run_is_spread),
        };

        return cmocka_run_group_tests(tests, harness_group_setup, harness_group_teardown);
}
