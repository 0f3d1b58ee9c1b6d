/* pg_story.c: the loop runs only while a test waits; what takes longer than a minute fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "pg_story.h"

PrivatePostgres pg_story_server;

static void give_up(void *userdata, usec_t now) {
        (void)userdata;
        (void)now;
        fail_msg("nothing happened for 60 s");
}

static void on_state(void *userdata, bool up, const PgFailure *failure) {
        PgStory *s = userdata;

        s->changed = true;
        s->up = up;
        s->failures += !up;
        s->state = *failure;
}

static int on_password(void *userdata, char **ret, StrBuf *reterr) {
        PgStory *s = userdata;

        s->asked++;
        if (s->password_missing) {
                strbuf_add(reterr, "the password is away");
                return -ENOENT;
        }
        *ret = s->password ? strdup(s->password) : NULL;
        return 0;
}

static void on_notify(void *userdata, const char *channel, const char *payload) {
        PgStory *s = userdata;

        assert_string_equal(channel, "rollbackd \"test\"");
        (void)snprintf(s->payload, sizeof s->payload, "%s", payload);
        s->notified = true;
}

void pg_story_wait_for(PgStory *s, bool *flag) {
        loop_timer_set(s->guard, usec_add(loop_now(s->loop), 60 * USEC_PER_SEC));
        assert_int_equal(loop_run_until(s->loop, flag), 0);
        assert_true(*flag);
        *flag = false;
}

void pg_story_wait_up(PgStory *s) {
        while (!s->up)
                pg_story_wait_for(s, &s->changed);
        s->changed = false;
}

void pg_story_connect_as(PgStory *s, const char *conninfo, const char *password,
                         const char *const *warm) {
        const PgSetup setup = { .conninfo = conninfo,
                                .on_password = on_password,
                                .application_name = "test",
                                .listen = "rollbackd \"test\"",
                                .warm = warm,
                                .on_state = on_state,
                                .on_notify = on_notify,
                                .userdata = s };

        s->password = password;
        assert_int_equal(pg_new(&s->pg, s->loop, s->offload, &setup, 1), 0);
}

int pg_story_set_up(void **state) {
        PgStory *s = calloc(1, sizeof *s);

        assert_non_null(s);
        assert_int_equal(loop_new(&s->loop), 0);
        assert_int_equal(offload_new(&s->offload, s->loop, 2, 8), 0);
        assert_int_equal(loop_add_timer(s->loop, give_up, s, "guard", &s->guard), 0);
        *state = s;
        return 0;
}

int pg_story_set_up_connected(void **state) {
        PgStory *s;

        assert_int_equal(pg_story_set_up(state), 0);
        s = *state;
        pg_story_connect_as(s, pg_story_server.conninfo, NULL, NULL);
        pg_story_wait_up(s);
        return 0;
}

int pg_story_tear_down(void **state) {
        PgStory *s = *state;

        pg_free(s->pg);
        offload_free(s->offload);
        loop_timer_free(s->guard);
        loop_free(s->loop);
        swallowing_proxy_stop(&s->proxy);
        free(s);
        return 0;
}

void pg_story_on_answer(void *userdata, const PgFailure *failure, const PgResult *result) {
        PgAnswer *a = userdata;
        const char *cell = pg_cell(result, 0, 0);

        a->done = true;
        a->failure = *failure;
        assert_int_equal(failure->error == PG_OK, result != NULL);
        a->rows = pg_rows(result);
        a->affected = pg_affected(result);
        (void)snprintf(a->cell, sizeof a->cell, "%s", cell ? cell : "NULL");
}

PgError pg_story_ask(PgStory *s, const char *sql) {
        assert_int_equal(
                pg_query(s->pg, sql, 0, NULL, PG_STORY_LONG, pg_story_on_answer, &s->answer), 0);
        pg_story_wait_for(s, &s->answer.done);
        return s->answer.failure.error;
}

static void on_begin(void *userdata, PgTransaction *t, const PgFailure *failure) {
        PgStory *s = userdata;

        assert_int_equal(failure->error == PG_OK, t != NULL);
        s->transaction = t;
        s->begin.failure = *failure;
        s->begin.done = true;
}

void pg_story_begin(PgStory *s, usec_t timeout) {
        assert_int_equal(pg_begin(s->pg, timeout, on_begin, s), 0);
        pg_story_wait_for(s, &s->begin.done);
        assert_non_null(s->transaction);
}

PgError pg_story_in_transaction(PgStory *s, const char *sql) {
        pg_transaction_query(s->transaction, sql, 0, NULL, pg_story_on_answer, &s->answer);
        pg_story_wait_for(s, &s->answer.done);
        return s->answer.failure.error;
}

PgError pg_story_commit(PgStory *s) {
        pg_transaction_commit(s->transaction, pg_story_on_answer, &s->commit);
        pg_story_wait_for(s, &s->commit.done);
        return s->commit.failure.error;
}

/* Terminates a backend from a second connection; `which` is a condition on pg_stat_activity. */
static void end_backends(const char *which) {
        _cleanup_(pg_sync_freep) PgSync *other = NULL;
        char sql[200];
        PgFailure failure;
        bool ended = false;

        assert_int_equal(pg_sync_connect(&other, pg_story_server.conninfo, NULL, &failure), 0);
        (void)snprintf(sql, sizeof sql,
                       "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
                       "application_name = 'test' AND %s",
                       which);
        for (unsigned i = 0; i < 100000 && !ended; i++) {
                _cleanup_(pg_result_freep) PgResult *r = pg_sync_script(other, sql, &failure);

                assert_non_null(r);
                ended = pg_rows(r) > 0;
        }
        assert_true(ended);
}

void pg_story_end_soon(void *userdata, usec_t now) {
        (void)now;
        end_backends(userdata);
}

int pg_story_start_server(void **state) {
        _cleanup_(pg_sync_freep) PgSync *sync = NULL;
        _cleanup_(pg_result_freep) PgResult *r = NULL;
        PgFailure failure;

        (void)state;
        if (!private_postgres_start(&pg_story_server) ||
            pg_sync_connect(&sync, pg_story_server.conninfo, NULL, &failure) < 0)
                return -1;
        r = pg_sync_script(sync, "CREATE TABLE t (x int PRIMARY KEY)", &failure);
        return r ? 0 : -1;
}

int pg_story_remove_server(void **state) {
        (void)state;
        private_postgres_remove(&pg_story_server);
        return 0;
}
