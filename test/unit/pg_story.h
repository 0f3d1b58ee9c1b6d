/* pg_story.h: what the tests of glue/pg share: one PostgreSQL per test program, one loop and
 * connection per test, and asking as if it were blocking. */
#pragma once

#include "pg.h"
#include "private_postgres.h"

#define PG_STORY_LONG (30 * USEC_PER_SEC)

typedef struct PgAnswer {
        bool done;
        PgFailure failure;
        size_t rows;
        uint64_t affected;
        char cell[80];
} PgAnswer;

typedef struct PgStory {
        Loop *loop;
        Offload *offload;
        LoopTimer *guard;
        Pg *pg;
        bool changed; /* on_state() was called */
        bool up, notified;
        unsigned failures;
        PgFailure state;
        const char *password; /* that the next attempt is given */
        bool password_missing;
        unsigned asked; /* for the password */
        char payload[40];
        PgTransaction *transaction;
        PgAnswer answer, commit, begin;
        SwallowingProxy proxy;
} PgStory;

extern PrivatePostgres pg_story_server;

/* With an empty table t (x int PRIMARY KEY), which each test leaves empty. */
int pg_story_start_server(void **state);
int pg_story_remove_server(void **state);
int pg_story_set_up(void **state);
/* The same with a connection that is up. */
int pg_story_set_up_connected(void **state);
int pg_story_tear_down(void **state);
void pg_story_connect_as(PgStory *s, const char *conninfo, const char *password,
                         const char *const *warm);
/* Runs the loop until the flag is set, and clears it. */
void pg_story_wait_for(PgStory *s, bool *flag);
void pg_story_wait_up(PgStory *s);
/* A PgCallback into a PgAnswer. */
void pg_story_on_answer(void *userdata, const PgFailure *failure, const PgResult *result);
PgError pg_story_ask(PgStory *s, const char *sql);
void pg_story_begin(PgStory *s, usec_t timeout);
PgError pg_story_in_transaction(PgStory *s, const char *sql);
PgError pg_story_commit(PgStory *s);
/* A LoopTimerCallback that ends the backend of the test's connection once it is as `userdata`, a
 * condition on pg_stat_activity, says. */
void pg_story_end_soon(void *userdata, usec_t now);

#define PG_STORY_CONNECTED(test)                                                                   \
        cmocka_unit_test_setup_teardown(test, pg_story_set_up_connected, pg_story_tear_down)
#define PG_STORY_ALONE(test)                                                                       \
        cmocka_unit_test_setup_teardown(test, pg_story_set_up, pg_story_tear_down)
