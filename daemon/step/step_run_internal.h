/* step_run_internal.h: what the files of one row's execution share. Who does what: step_run.c the
 * life of a run, its values and its resume, step_transaction.c the statements of one transaction in
 * their order, step_outcome.c what a commit or a failure means and its words. Knows nothing of who
 * asked for the row, nor of what its kind does. */
#pragma once

#include "step_kinds.h"
#include "steps.h"

typedef enum StepStage {
        STAGE_LIMITS,
        STAGE_ROLE,
        STAGE_ASK,
        STAGE_STATEMENT,
        STAGE_RESET,
        STAGE_ENDED,
        STAGE_COMMIT
} StepStage;

struct StepRun {
        Loop *loop;
        Pg *pg;
        const StepKind *kind;
        StepStatement statement;
        char *values[SQL_PARAMETERS_MAX + STEP_OWN_PARAMETERS_MAX]; /* as bound */
        size_t n_values;
        char *operation, number[STEP_NUMBER_SIZE]; /* of the row */
        const char *ended_sql;
        StepDoneCallback done;
        StepProgressCallback progress;
        void *userdata;
        LoopTimer *timer;
        PgTransaction *transaction;
        StepStage stage;
        bool waiting; /* a callback of pg is to come */
        bool cancelled;
        bool stopped; /* no transaction is begun any more */
        bool first_done;
        bool asked;
        char *after;       /* key reached by committed batches */
        char *after_order; /* of a run before this one */
        char *next_after;  /* by the batch that is not committed yet */
        uint64_t deleted, picked_now, deleted_now;
        unsigned tries, stalls;
        uint64_t seed;
};

/* Frees a run of which no callback is to come. Returns NULL. */
StepRun *step_run_free(StepRun *r);

/* A LoopTimerCallback: begins the next transaction of the StepRun *userdata; what comes of it is
 * said by the functions below. */
void step_run_on_turn(void *userdata, usec_t now);

/* Says the result with its words, unless the run is cancelled, and frees the run. */
void step_run_finish(StepRun *r, StepResult result, const char *words);
/* After a failure at r->stage, its transaction ended: takes the batch again later, or finishes the
 * run. */
void step_run_give_up(StepRun *r, const PgFailure *failure);
/* After a commit: counts what it did, then finishes the run or sets the timer of the next batch and
 * says the progress. */
void step_run_on_committed(StepRun *r);
/* Appends what was done, as "12,400 rows". */
void step_run_write_done(uint64_t rows, StrBuf *b);
