/* What a commit or a failure means for a row: a pause and the next batch, the batch once more, or
 * the end and its words; and the progress after each commit. */
#include "step_run_internal.h"

#define STEP_PAUSE (10 * USEC_PER_MSEC) /* between batches */
#define STEP_BATCH_TRIES 5              /* of one batch, before the row is put back */
#define STEP_STALLS_MAX 5               /* batches in a row that picked rows and deleted none */

void step_run_finish(StepRun *r, StepResult result, const char *words) {
        if (!r->cancelled)
                r->done(r->userdata, result, words);
        step_run_free(r);
}

/* 12400 as "12,400". */
static void add_count(StrBuf *b, uint64_t n) {
        STRBUF(digits, 32);

        strbuf_add_u64(&digits, n);
        for (size_t i = 0; i < digits.length; i++) {
                if (i > 0 && (digits.length - i) % 3 == 0)
                        strbuf_add_char(b, ',');
                strbuf_add_char(b, digits.text[i]);
        }
}

void step_run_write_done(uint64_t rows, StrBuf *b) {
        add_count(b, rows);
        strbuf_add(b, rows == 1 ? " row" : " rows");
}

static void finish_done(StepRun *r) {
        STRBUF(words, 64);

        step_run_write_done(r->deleted, &words);
        step_run_finish(r, STEP_DONE, words.text);
}

static void write_failure(const StepRun *r, const PgFailure *failure, StrBuf *b) {
        strbuf_add(b, r->kind->name);
        strbuf_add(b, " as role ");
        strbuf_add_escaped(b, r->statement.role, strlen(r->statement.role));
        strbuf_add(b, ": ");
        strbuf_add_escaped(b, failure->message, strlen(failure->message));
        if (failure->sqlstate[0]) {
                strbuf_add(b, " (");
                strbuf_add(b, failure->sqlstate);
                strbuf_add(b, ")");
        }
        if (r->stage == STAGE_ROLE && streq(failure->sqlstate, "42501")) {
                strbuf_add(b, "; GRANT ");
                pg_add_identifier(r->statement.role, b);
                strbuf_add(b, " TO the daemon's role");
        }
}

void step_run_give_up(StepRun *r, const PgFailure *failure) {
        bool ledgers = r->stage == STAGE_RESET ||
                       r->stage == STAGE_ENDED; /* the step itself went well */
        StepResult result = ledgers ? STEP_RETRY : STEP_FAILED;
        STRBUF(words, 1024);

        switch (failure->error) {
        case PG_RETRY:
                if (r->statement.batch > 0 && ++r->tries < STEP_BATCH_TRIES) {
                        loop_timer_set(r->timer,
                                       usec_add(loop_now(r->loop),
                                                step_retry_delay(r->tries - 1, &r->seed)));
                        return;
                }
                result = STEP_RETRY;
                break;
        case PG_HOLD:
        case PG_LOST:
        case PG_IN_DOUBT:
        case PG_TIMEOUT:
                result = STEP_RETRY;
                break;
        case PG_OK:
        case PG_CONFIGURATION:
        case PG_REFUSED:
        case _PG_ERROR_MAX:
                break;
        }
        write_failure(r, failure, &words);
        step_run_finish(r, result, words.text);
}

static void say_progress(StepRun *r) {
        Json *progress = json_new_object();
        char *text = NULL;

        if (progress) {
                if (r->statement.keyset) {
                        json_set_text(progress, "after", r->after);
                        json_set_text(progress, "order", r->statement.order);
                }
                json_set_u64(progress, "deleted", r->deleted);
                text = json_text(progress);
        }
        /* Without memory the next batch says it: progress only shortens a resume. */
        if (text)
                r->progress(r->userdata, text);
        free(text);
        json_free(progress);
}

static bool is_over(const StepRun *r, bool was_first) {
        if (was_first)
                return false;
        if (r->statement.batch == 0)
                return true;
        if (r->statement.keyset)
                return !r->next_after;
        return r->picked_now < r->statement.batch && r->picked_now == r->deleted_now;
}

void step_run_on_committed(StepRun *r) {
        bool was_first = r->statement.first_sql && !r->first_done;
        bool over = is_over(r, was_first);

        r->first_done = true;
        r->tries = 0;
        r->deleted += r->deleted_now;
        r->stalls = r->picked_now > 0 && r->deleted_now == 0 ? r->stalls + 1 : 0;
        if (r->next_after) {
                free(r->after);
                r->after = TAKE_PTR(r->next_after);
        }
        if (over) {
                finish_done(r);
                return;
        }
        if (r->stalls >= STEP_STALLS_MAX) {
                step_run_finish(r, STEP_RETRY, "the rows change faster than they can be deleted");
                return;
        }
        loop_timer_set(r->timer, usec_add(loop_now(r->loop), STEP_PAUSE));
        if (!was_first)
                say_progress(r);
}
