/* Closed operations whose steps are not over, against a real PostgreSQL: which ones are told, and
 * that none is told too early or too late. */
#include "ledger_story.h"

#include <stdio.h>

static struct {
        unsigned answers, steps;
        PgError error;
        size_t n;
        char services[4][NAME_SIZE], operations[4][OPERATION_ID_SIZE];
} heard;

static void on_leftovers(_unused_ void *userdata, const PgFailure *failure,
                         const LedgerLeftover leftovers[], size_t n) {
        heard.answers++;
        heard.error = failure->error;
        heard.n = n;
        assert_true(n <= ELEMENTSOF(heard.services));
        for (size_t i = 0; i < n; i++) {
                snprintf(heard.services[i], NAME_SIZE, "%s", leftovers[i].service);
                snprintf(heard.operations[i], OPERATION_ID_SIZE, "%s", leftovers[i].operation);
        }
}

static void ask_for_leftovers(void) {
        heard.answers = 0;
        assert_int_equal(ledger_leftovers(seen.ledger, on_leftovers, NULL), 0);
        harness_wait(seen.h, ledger_story_counted, &heard.answers, "leftovers");
}

static void on_step(_unused_ void *userdata, const PgFailure *failure, const LedgerStep *step,
                    _unused_ usec_t wait, _unused_ uint32_t failed) {
        heard.steps++;
        assert_int_equal(failure->error, PG_OK);
        assert_non_null(step);
}

/* web and shop, each with a rollback of one step that a person's deploy has closed; `other`
 * likewise, which nobody watches. */
static void close_rollbacks(Harness *h) {
        static const char *const services[] = { "web", "shop", "other" };

        for (size_t i = 0; i < ELEMENTSOF(services); i++) {
                char sql[2048];

                snprintf(sql, sizeof sql,
                         "SELECT rollbackd.register('%s', 'v1', true, 'it runs'); SELECT "
                         "rollbackd.deploy('%s', 'v2');"
                         "SELECT "
                         "rollbackd.commit_operation('%zu1111111-1111-4111-8111-111111111111', "
                         "'%s', 'rollback', 'v2', 2, 'v1', true, 'rollbackd', 'errors', 'abc', "
                         "'{}', "
                         "'10 minutes', 2, '1 day', '{}', '[{\"n\": 1, \"kind\": \"sql\", "
                         "\"host\": null, \"spec\": {}, \"atomic\": false}]')",
                         services[i], services[i], i + 1, services[i]);
                harness_sql(h, sql);
        }
}

static void deploy(Harness *h) {
        harness_sql(h, "SELECT rollbackd.deploy('web', 'v3'); SELECT rollbackd.deploy('shop', "
                       "'v3'); SELECT rollbackd.deploy('other', 'v3')");
}

static void watch(void) {
        LedgerService services[] = { { "web", 0, USEC_PER_DAY }, { "shop", 0, USEC_PER_DAY } };

        assert_int_equal(ledger_watch(seen.ledger, services, ELEMENTSOF(services)), 0);
}

static void test_none(void **state) {
        ledger_story_open(*state);
        ask_for_leftovers();
        assert_int_equal(heard.error, PG_OK);
        assert_int_equal(heard.n, 0);
        ledger_story_close();
}

static void test_closed_ones_of_watched_services(void **state) {
        Harness *h = *state;

        close_rollbacks(h);
        ledger_story_open(h);
        watch();
        /* An open operation is the engine's. */
        ask_for_leftovers();
        assert_int_equal(heard.n, 0);
        deploy(h);
        ask_for_leftovers();
        assert_int_equal(heard.n, 2);
        assert_string_equal(heard.services[0], "shop");
        assert_string_equal(heard.operations[0], "21111111-1111-4111-8111-111111111111");
        assert_string_equal(heard.services[1], "web");
        assert_string_equal(heard.operations[1], "11111111-1111-4111-8111-111111111111");
        ledger_story_close();
}

/* A result that was given before is seen, though its statement may still be under way. */
static void test_behind_results(void **state) {
        Harness *h = *state;

        close_rollbacks(h);
        deploy(h);
        ledger_story_open(h);
        watch();
        heard.steps = 0;
        assert_int_equal(ledger_claim_step(seen.ledger, "11111111-1111-4111-8111-111111111111",
                                           USEC_PER_MINUTE, on_step, NULL),
                         0);
        assert_int_equal(ledger_step_result(seen.ledger, "11111111-1111-4111-8111-111111111111", 1,
                                            "done", "1 row", 0),
                         0);
        ask_for_leftovers();
        assert_int_equal(heard.steps, 1);
        assert_int_equal(heard.n, 1);
        assert_string_equal(heard.services[0], "shop");
        ledger_story_close();
}

/* Of several operations of a service the oldest comes first. */
static void test_the_oldest_first(void **state) {
        Harness *h = *state;

        close_rollbacks(h);
        deploy(h);
        harness_sql(h, "SELECT rollbackd.commit_operation('01111111-1111-4111-8111-111111111111', "
                       "'web', 'rollback', 'v3', 4, 'v1', false, 'a person', 'again', 'abc', '{}', "
                       "'10 minutes', 2, '1 day', '{}', '[{\"n\": 1, \"kind\": \"sql\", \"host\": "
                       "null, \"spec\": {}, \"atomic\": false}]')");
        harness_sql(h, "SELECT rollbackd.deploy('web', 'v4')");
        ledger_story_open(h);
        watch();
        ask_for_leftovers();
        assert_int_equal(heard.n, 2);
        assert_string_equal(heard.operations[1], "11111111-1111-4111-8111-111111111111");
        assert_string_equal(
                harness_cell(h, "SELECT count(*) FROM rollbackd.leftover_operations('{web}')"),
                "2");
        ledger_story_close();
}

static void test_a_refusal_is_told(void **state) {
        Harness *h = *state;

        harness_sql(h, "DROP FUNCTION rollbackd.leftover_operations(text[])");
        ledger_story_open(h);
        ask_for_leftovers();
        assert_int_equal(heard.error, PG_CONFIGURATION);
        assert_int_equal(heard.n, 0);
        ledger_story_close();
}

int main(void) {
        const struct CMUnitTest tests[] = {
                LEDGER_TEST(test_none),
                LEDGER_TEST(test_closed_ones_of_watched_services),
                LEDGER_TEST(test_behind_results),
                LEDGER_TEST(test_the_oldest_first),
                LEDGER_TEST(test_a_refusal_is_told),
        };

        return cmocka_run_group_tests(tests, harness_group_setup, harness_group_teardown);
}
