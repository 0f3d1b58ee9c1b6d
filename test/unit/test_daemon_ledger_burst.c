/* Many commits at once over the ledger's one connection: all of them happen, once each, before what
 * only follows from them, and others still find room. */
#include "ledger_story.h"

#include <stdio.h>

#define COMMITS 300

typedef struct Burst {
        unsigned done, other, doubts;
        unsigned done_at_claim, claims, finds;
} Burst;

static Burst burst;

static void on_commit(_unused_ void *userdata, CommitResult result, uint64_t epoch,
                      _unused_ const char *detail) {
        if (result == COMMIT_IN_DOUBT)
                burst.doubts++;
        else if (result == COMMIT_DONE && epoch == 3)
                burst.done++;
        else
                burst.other++;
}

static void on_step(_unused_ void *userdata, _unused_ const PgFailure *failure,
                    _unused_ const LedgerStep *step, _unused_ usec_t wait,
                    _unused_ uint32_t failed) {
        burst.claims++;
        burst.done_at_claim = burst.done;
}

static void on_found(_unused_ void *userdata, _unused_ const PgFailure *failure,
                     _unused_ const char *what, Json *record) {
        json_free(record);
        burst.finds++;
}

static bool some_are_done(_unused_ void *userdata) {
        return burst.done >= 10;
}

static bool all_have_ended(_unused_ void *userdata) {
        return burst.done + burst.other == COMMITS;
}

/* All decisions of one turn of the loop. */
static void commit_all(Harness *h) {
        OperationPlan plan = ledger_story_plan;
        CommitRequest r = ledger_story_request();
        char service[16];

        harness_sql(h, "SELECT rollbackd.register(s, 'v1', true, 'it runs'), rollbackd.deploy(s, "
                       "'v2') FROM (SELECT 's' || i FROM generate_series(1, 300) i) t (s)");
        ledger_story_open(h);
        burst = (Burst){ 0 };
        r.operation = &plan;
        r.service = service;
        for (unsigned i = 1; i <= COMMITS; i++) {
                snprintf(service, sizeof service, "s%u", i);
                snprintf(plan.id, sizeof plan.id, "%08x-1111-4111-8111-111111111111", i);
                assert_int_equal(ledger_commit(seen.ledger, &r, on_commit, NULL), 0);
        }
}

static void check_ledger(Harness *h) {
        assert_int_equal(burst.other, 0);
        assert_int_equal(burst.done, COMMITS);
        assert_string_equal(harness_cell(h, "SELECT count(*) || ' ' || count(DISTINCT service) "
                                            "FROM rollbackd.operation"),
                            "300 300");
        assert_string_equal(harness_cell(h, "SELECT string_agg(DISTINCT active || ' ' || epoch, "
                                            "',') FROM rollbackd.service"),
                            "v1 3");
}

static void test_commits_come_first(void **state) {
        Harness *h = *state;

        commit_all(h);
        assert_int_equal(ledger_claim_step(seen.ledger, "00000001-1111-4111-8111-111111111111",
                                           USEC_PER_SEC, on_step, NULL),
                         0);
        assert_int_equal(ledger_find(seen.ledger, ID1, on_found, NULL), 0);
        harness_wait(h, ledger_story_counted, &burst.claims, "the claim behind the commits");
        assert_int_equal(burst.done_at_claim, COMMITS);
        assert_int_equal(burst.finds, 1);
        assert_int_equal(burst.doubts, 0);
        check_ledger(h);
        ledger_story_close();
}

/* The connection ends with some done, some sent and the rest waiting. */
static void test_lost_in_between(void **state) {
        Harness *h = *state;

        commit_all(h);
        harness_wait(h, some_are_done, NULL, "the first commits");
        harness_sql(h, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = "
                       "'rollbackd'");
        harness_wait(h, all_have_ended, NULL, "all commits over the next connection");
        check_ledger(h);
        assert_int_equal(ledger_claim_step(seen.ledger, "00000001-1111-4111-8111-111111111111",
                                           USEC_PER_SEC, on_step, NULL),
                         0);
        harness_wait(h, ledger_story_counted, &burst.claims, "a claim after the commits");
        ledger_story_close();
}

int main(void) {
        const struct CMUnitTest tests[] = {
                LEDGER_TEST(test_commits_come_first),
                LEDGER_TEST(test_lost_in_between),
        };

        return cmocka_run_group_tests(tests, harness_group_setup, harness_group_teardown);
}
