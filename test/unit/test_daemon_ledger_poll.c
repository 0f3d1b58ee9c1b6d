/* The poll: what nobody told is found, in one answer when nothing is wrong, and when something is,
 * one by one. */
#include "ledger_story.h"

#include "ledger_internal.h"
#include "pg_internal.h"

static const LedgerService web = { .service = "web",
                                   .cooldown = 600 * USEC_PER_SEC,
                                   .budget_per = USEC_PER_DAY };

static void on_behind(void *userdata, _unused_ const PgFailure *failure,
                      _unused_ const PgResult *result) {
        ++*(unsigned *)userdata;
}

/* Answers come in the order of the questions. */
static void wait_for_answers(Harness *h) {
        unsigned answers = 0;

        assert_int_equal(
                pg_query(seen.ledger->pg, "SELECT", 0, NULL, USEC_PER_MINUTE, on_behind, &answers),
                0);
        harness_wait(h, ledger_story_counted, &answers, "the answers");
}

static bool is_at_rest(_unused_ void *userdata) {
        const Ledger *l = seen.ledger;

        return seen.n_recent > 0 && seen.heartbeats > 0 && l->drills_known &&
               streq(l->lists, l->drills_lists) && !l->recent_again && !l->recent_in_flight;
}

static void open_at_rest(Harness *h) {
        ledger_story_seed(h);
        ledger_story_open(h);
        assert_int_equal(ledger_watch(seen.ledger, &web, 1), 0);
        harness_wait(h, ledger_story_counted, &seen.n_facts, "the facts");
        harness_wait(h, is_at_rest, NULL, "rest");
}

/* What is due is asked for, and counted from now. */
static void poll_now(void) {
        seen.n_facts = seen.n_recent = seen.heartbeats = seen.n_next = seen.n_trouble = 0;
        ledger_on_poll_timer(seen.ledger, loop_now(seen.h->loop));
}

static void test_nothing_new_is_one_answer(void **state) {
        Harness *h = *state;

        open_at_rest(h);
        for (int i = 0; i < 2; i++) {
                usec_t before = loop_now(h->loop);

                poll_now();
                wait_for_answers(h);
                assert_int_equal(seen.n_facts, 1);
                assert_true(seen.facts_at >= before);
                assert_int_equal(seen.facts.epoch, 2);
                assert_int_equal(seen.heartbeats, 1);
                assert_int_equal(seen.n_next, 1);
                assert_true(seen.next_delivery == USEC_INFINITY);
                assert_int_equal(seen.n_trouble, 0);
                /* And nothing follows. */
                assert_null(seen.ledger->pg->running);
                assert_false(seen.ledger->recent_again);
                assert_true(seen.ledger->pg->deadline_at == USEC_INFINITY);
        }
        assert_string_equal(harness_cell(h, "SELECT clock_timestamp() - seen_at < '10 s' FROM "
                                            "rollbackd.observer"),
                            "t");
        ledger_story_close();
}

static bool drill_succeeded(_unused_ void *userdata) {
        double at;

        return ledger_find_drill(seen.ledger, "web", &at) && at > 0;
}

/* A drill's result is told to nobody, and so is a row that a person changed. */
static void test_what_nobody_told(void **state) {
        Harness *h = *state;

        open_at_rest(h);
        harness_sql(h, "SELECT rollbackd.drill_result('web', true, '{}'); "
                       "UPDATE rollbackd.service SET automatic = false; "
                       "INSERT INTO rollbackd.subscriber (name, service, spec) VALUES "
                       "('policy:web:1', 'web', '{}'); "
                       "INSERT INTO rollbackd.delivery (id, event, subscriber, seq, next_at) "
                       "SELECT '" ID1 "', id, 'policy:web:1', 1, now() + '1 h' FROM "
                       "rollbackd.event LIMIT 1");
        poll_now();
        wait_for_answers(h);
        assert_int_equal(seen.n_facts, 1);
        assert_false(seen.facts.automatic);
        assert_int_equal(seen.n_next, 1);
        assert_true(seen.next_delivery > 59 * USEC_PER_MINUTE &&
                    seen.next_delivery <= 60 * USEC_PER_MINUTE);
        harness_wait(h, ledger_story_counted, &seen.n_recent, "the lists");
        harness_wait(h, drill_succeeded, NULL, "the drill");
        ledger_story_close();
}

/* One part that fails takes no other with it, and is told under its own name. */
static void test_one_part_fails(void **state) {
        Harness *h = *state;

        open_at_rest(h);
        harness_sql(h, "REVOKE EXECUTE ON FUNCTION rollbackd.observer_seen FROM rollbackd");
        poll_now();
        harness_wait(h, ledger_story_counted, &seen.n_trouble, "trouble");
        assert_string_equal(seen.trouble, "the heartbeat");
        harness_wait(h, ledger_story_counted, &seen.n_facts, "the facts");
        harness_wait(h, ledger_story_counted, &seen.n_recent, "the lists");
        assert_int_equal(seen.n_trouble, 1);
        assert_int_equal(seen.heartbeats, 0);
        assert_true(seen.up);
        harness_sql(h, "GRANT EXECUTE ON FUNCTION rollbackd.observer_seen TO rollbackd");
        poll_now();
        harness_wait(h, ledger_story_counted, &seen.heartbeats, "a heartbeat");
        ledger_story_close();
}

static bool is_down(_unused_ void *userdata) {
        return !seen.up && seen.failure.error != PG_OK;
}

static void test_a_schema_that_does_not_fit(void **state) {
        Harness *h = *state;

        open_at_rest(h);
        harness_sql(h, "CREATE OR REPLACE VIEW rollbackd.schema AS SELECT 5 AS version, 3 AS "
                       "oldest_daemon");
        poll_now();
        harness_wait(h, is_down, NULL, "a refusal");
        assert_int_equal(seen.failure.error, PG_CONFIGURATION);
        ledger_story_close();
}

int main(void) {
        const struct CMUnitTest tests[] = {
                LEDGER_TEST(test_nothing_new_is_one_answer),
                LEDGER_TEST(test_what_nobody_told),
                LEDGER_TEST(test_one_part_fails),
                LEDGER_TEST(test_a_schema_that_does_not_fit),
        };

        return cmocka_run_group_tests(tests, harness_group_setup, harness_group_teardown);
}
