/* step_story.h: what the tests of steps share: a connection of the steps' own, one step at a time
 * and what it said. Knows nothing of rows in a ledger. */
#pragma once

#include "ledger_harness.h"

#include "steps.h"

typedef struct StepStory {
        Harness *h;
        Pg *pg;
        bool up;
        StepRun *run;
        unsigned done, progressed;
        StepResult result;
        char words[1024], progress[256];
        const char *ended_sql; /* of the rows to come; NULL: their end is not said */
} StepStory;

extern StepStory step_seen;

/* Makes the roles site and poor, the tables cache and session, and a connection that is up; the
 * test frees step_seen.pg. */
void step_story_open(Harness *h);
/* Starts a row of this spec and progress, both JSON; progress NULL: none. Returns as step_start()
 * does, its words in step_seen.words. */
int step_story_start(const char *kind, const char *spec, const char *progress);
/* The same, and waits until it is done. */
void step_story_run(const char *kind, const char *spec, const char *progress);

/* A PgSetup's on_state() into step_seen.up. */
void step_story_on_state(void *userdata, bool up, const PgFailure *failure);
/* A condition to wait for: the step has said its result. */
bool step_story_is_done(void *userdata);

/* The spec of a cache step over the table cache, as the role site. */
#define STEP_CACHE(prefix, delimiter, batch)                                                       \
        "{\"role\": \"site\", \"timeout_ms\": 4000, \"table\": \"public.cache\", \"key\": "        \
        "\"key\", \"prefix\": \"" prefix "\", \"delimiter\": \"" delimiter "\", \"batch\": " batch \
        "}"

#define STEP_TEST(f) cmocka_unit_test_setup_teardown(f, harness_setup, harness_teardown)
