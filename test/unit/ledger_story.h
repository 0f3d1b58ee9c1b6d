/* ledger_story.h: what the tests of daemon/ledger share: one ledger per test, what its callbacks
 * said, and asking it as if it were blocking. */
#pragma once

#include "ledger_harness.h"

#include "ledger.h"

#define ID1 "11111111-1111-4111-8111-111111111111"
#define ID2 "22222222-2222-4222-8222-222222222222"

typedef struct LedgerStory {
        Harness *h;
        Ledger *ledger;
        bool up;
        unsigned ups;
        PgFailure failure;
        ServiceFacts facts;
        unsigned n_facts, n_unknown, n_trouble, n_recent, heartbeats, n_next;
        usec_t next_delivery;
        usec_t facts_at;
        char trouble[128], trouble_words[512];
        Json *operations, *events;
        /* a commit */
        unsigned results, doubts;
        CommitResult result;
        uint64_t epoch;
        char detail[1024];
        /* a step, deliveries */
        unsigned answers;
        unsigned step_n, attempt;
        uint32_t failed;
        usec_t wait;
        char kind[32], progress[128], released_at[64];
        size_t n_deliveries;
        char delivery_id[64], delivery_kind[64], channel_url[128];
        bool found;
} LedgerStory;

extern LedgerStory seen;
extern const LedgerOwner ledger_story_owner;
/* The automatic rollback from v2 at epoch 2 to v1. */
extern OperationPlan ledger_story_plan;

/* Makes a ledger over `conninfo` and waits until it is up. */
void ledger_story_open_at(Harness *h, const char *conninfo);
void ledger_story_open(Harness *h);
void ledger_story_close(void);
/* The service web, with v1 stable and v2 deployed at epoch 2. */
void ledger_story_seed(Harness *h);
CommitRequest ledger_story_request(void);
/* Commits and waits for the one result. */
void ledger_story_commit(const CommitRequest *r);
/* A LedgerCommitCallback into `seen`. */
void ledger_story_on_commit(void *userdata, CommitResult result, uint64_t epoch,
                            const char *detail);

/* Conditions to wait for: connected; the counter *userdata is above 0; a statement of the daemon's,
 * in the Harness *userdata, waits for a lock. */
bool ledger_story_is_up(void *userdata);
bool ledger_story_counted(void *userdata);
bool ledger_story_is_blocked(void *userdata);

#define LEDGER_TEST(f) cmocka_unit_test_setup_teardown(f, harness_setup, harness_teardown)
