/* step_story.c: a row's callbacks write into step_seen, which every opening empties. */
#include "step_story.h"

#include <stdio.h>

StepStory step_seen;

void step_story_on_state(_unused_ void *userdata, bool up, _unused_ const PgFailure *failure) {
        step_seen.up = up;
}

static bool is_up(_unused_ void *userdata) {
        return step_seen.up;
}

bool step_story_is_done(_unused_ void *userdata) {
        return step_seen.done > 0;
}

static void on_done(_unused_ void *userdata, StepResult result, const char *words) {
        step_seen.done++;
        step_seen.result = result;
        step_seen.run = NULL;
        snprintf(step_seen.words, sizeof step_seen.words, "%s", words);
}

static void on_progress(_unused_ void *userdata, const char *progress) {
        step_seen.progressed++;
        snprintf(step_seen.progress, sizeof step_seen.progress, "%s", progress);
}

void step_story_open(Harness *h) {
        PgSetup setup = { .conninfo = h->conninfo,
                          .application_name = "steps",
                          .on_state = step_story_on_state };

        step_seen = (StepStory){ .h = h };
        harness_sql(h, "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'site') "
                       "THEN CREATE ROLE site; CREATE ROLE poor; END IF; END $$;"
                       "GRANT site, poor TO rollbackd; CREATE TABLE cache (key text PRIMARY KEY, "
                       "value text);"
                       "CREATE TABLE session (id int, created_at timestamptz, note text);"
                       "GRANT SELECT, DELETE ON cache, session TO site");
        assert_int_equal(pg_new(&step_seen.pg, h->loop, h->offload, &setup, 1), 0);
        harness_wait(h, is_up, NULL, "the connection");
}

int step_story_start(const char *kind, const char *spec_text, const char *progress_text) {
        STRBUF(error, 512);
        _cleanup_(json_freep) Json *spec = json_parse(spec_text, strlen(spec_text), &error);
        _cleanup_(json_freep)
                Json *progress = progress_text ?
                                         json_parse(progress_text, strlen(progress_text), &error) :
                                         NULL;
        StepRow row = { .n = 1,
                        .kind = kind,
                        .spec = spec,
                        .attempt = 1,
                        .progress = progress,
                        .parameters = { .service = "web",
                                        .operation = "11111111-1111-4111-8111-111111111111",
                                        .from = "v2",
                                        .to = "v1",
                                        .from_epoch = 2,
                                        .to_epoch = 3,
                                        .released_at = "2024-01-02 00:00:00.000000+00" },
                        .ended_sql = step_seen.ended_sql };
        int r;

        assert_non_null(spec);
        step_seen.done = step_seen.progressed = 0;
        r = step_start(&step_seen.run, step_seen.h->loop, step_seen.pg, &row, on_done, on_progress,
                       NULL, &error);
        snprintf(step_seen.words, sizeof step_seen.words, "%s", error.text);
        return r;
}

void step_story_run(const char *kind, const char *spec, const char *progress) {
        assert_int_equal(step_story_start(kind, spec, progress), 0);
        harness_wait(step_seen.h, step_story_is_done, NULL, "the step");
}
