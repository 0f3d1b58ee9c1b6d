#include "ledger_story.h"

#include <stdio.h>

LedgerStory seen;

static void on_state(_unused_ void *userdata, bool up, const PgFailure *failure) {
        seen.up = up;
        seen.ups += up;
        if (!up)
                seen.failure = *failure;
}

static void on_facts(_unused_ void *userdata, const char *service, const ServiceFacts *facts,
                     usec_t at) {
        if (!facts) {
                assert_string_equal(service, "unknown");
                seen.n_unknown++;
                return;
        }
        seen.facts = *facts;
        seen.facts_at = at;
        seen.n_facts++;
}

static void on_recent(_unused_ void *userdata, Json *operations, Json *events) {
        json_free(seen.operations);
        json_free(seen.events);
        seen.operations = operations;
        seen.events = events;
        seen.n_recent++;
}

static void on_trouble(_unused_ void *userdata, const char *what, const PgFailure *failure) {
        snprintf(seen.trouble, sizeof seen.trouble, "%s", what);
        snprintf(seen.trouble_words, sizeof seen.trouble_words, "%s", failure->message);
        seen.n_trouble++;
}

static void on_heartbeat(_unused_ void *userdata) {
        seen.heartbeats++;
}

static void on_next_delivery(_unused_ void *userdata, usec_t in) {
        seen.next_delivery = in;
        seen.n_next++;
}

const LedgerOwner ledger_story_owner = {
        .on_state = on_state,
        .on_facts = on_facts,
        .on_recent = on_recent,
        .on_trouble = on_trouble,
        .on_heartbeat = on_heartbeat,
        .on_next_delivery = on_next_delivery,
};

OperationPlan ledger_story_plan = { .kind = OPERATION_ROLLBACK,
                                    .automatic = true,
                                    .from_epoch = 2,
                                    .from_version = "v2",
                                    .to_version = "v1",
                                    .actor = "rollbackd",
                                    .reason = "errors",
                                    .id = ID1 };

bool ledger_story_is_up(_unused_ void *userdata) {
        return seen.up;
}

bool ledger_story_counted(void *userdata) {
        return *(unsigned *)userdata > 0;
}

bool ledger_story_is_blocked(void *userdata) {
        return streq(harness_cell(userdata, "SELECT count(*) FROM pg_stat_activity WHERE "
                                            "wait_event_type = 'Lock' AND usename = 'rollbackd'"),
                     "1");
}

void ledger_story_open_at(Harness *h, const char *conninfo) {
        seen = (LedgerStory){ .h = h };
        assert_int_equal(
                ledger_new(&seen.ledger, h->loop, h->offload, conninfo, &ledger_story_owner, 1), 0);
        harness_wait(h, ledger_story_is_up, NULL, "the ledger");
        assert_true(ledger_is_up(seen.ledger));
}

void ledger_story_open(Harness *h) {
        ledger_story_open_at(h, h->conninfo);
}

void ledger_story_close(void) {
        ledger_free(seen.ledger);
        json_free(seen.operations);
        json_free(seen.events);
        seen.operations = seen.events = NULL;
}

void ledger_story_seed(Harness *h) {
        harness_sql(h, "SELECT rollbackd.register('web', 'v1', true, 'it runs'); SELECT "
                       "rollbackd.deploy('web', 'v2')");
}

CommitRequest ledger_story_request(void) {
        return (CommitRequest){ .operation = &ledger_story_plan,
                                .service = "web",
                                .policy_hash = "abc",
                                .evidence = "{\"rule\": \"errors\"}",
                                .steps = "[]",
                                .cooldown = 600 * USEC_PER_SEC,
                                .budget_per = USEC_PER_DAY,
                                .budget_count = 2 };
}

void ledger_story_on_commit(_unused_ void *userdata, CommitResult result, uint64_t epoch,
                            const char *detail) {
        if (result == COMMIT_IN_DOUBT) {
                seen.doubts++;
                return;
        }
        seen.results++;
        seen.result = result;
        seen.epoch = epoch;
        snprintf(seen.detail, sizeof seen.detail, "%s", detail);
}

void ledger_story_commit(const CommitRequest *r) {
        seen.results = 0;
        assert_int_equal(ledger_commit(seen.ledger, r, ledger_story_on_commit, NULL), 0);
        harness_wait(seen.h, ledger_story_counted, &seen.results, "the commit's result");
        assert_int_equal(seen.results, 1);
}
