/* steps.h: the steps of operations: what a policy's steps become as rows, and the runner that
 * executes rows after COMMIT, one operation at a time per service, each step in order, resumed
 * after a crash. Talks to the ledger only through its owner's functions. Kinds are reached only
 * through their row; they act and report, the runner retries. */
#pragma once

#include "config.h"
#include "json.h"
#include "pg.h"
#include "sql_lexer.h"

/* Parameter values of SQL steps, from the operation. */
typedef struct StepParameters {
        const char *service, *operation, *from, *to;
        uint64_t from_epoch, to_epoch;
        const char *released_at; /* timestamptz text: the release of `from` */
} StepParameters;

/* The rows that a policy's steps become: JSON array text for commit_operation(), to be freed:
 * atomic sql steps, other steps in the policy's order, then the deleting cache steps a second time
 * `settle` later. Generation steps are not rows: their names come from step_generations(). */
char *step_rows(const ServiceConfig *config);
/* Names of the generations to bump, borrowed from the config. Returns how many. */
size_t step_generations(const ServiceConfig *config, const char *ret[static CONFIG_STEPS_MAX]);

/* The atomic sql steps of a policy, for the commit: `n` is the number of their row. Owns its texts.
 */
typedef struct StepAtomic {
        unsigned n;
        char *role, *statement; /* with $1.. */
        SqlParameter parameters[SQL_PARAMETERS_MAX];
        size_t n_parameters;
        bool abort_on_error;
        unsigned line; /* of the policy */
} StepAtomic;
/* To be freed by step_atomics_free(). Returns 0, -EINVAL or -ENOMEM with words in *reterr. */
int step_atomics(const ServiceConfig *config, StepAtomic **ret, size_t *ret_n,
                 StrBuf *reterr) _must_check_;
void step_atomics_free(StepAtomic *atomics, size_t n);
#define STEP_NUMBER_SIZE 24
/* The text to bind for a parameter: borrowed from *values, or written to ret_number. NULL: the
 * value is not known. */
const char *step_parameter_value(const StepParameters *values, SqlParameter p,
                                 char ret_number[static STEP_NUMBER_SIZE]);

typedef struct StepRow {
        unsigned n;
        const char *kind;
        const Json *spec;
        unsigned attempt;
        const Json *progress; /* NULL: none */
        StepParameters parameters;
        /* Says that the row is done ($1 the operation, $2 the row's number, $3 words) in the very
         * transaction of a row that is done in one, so that it happens once whatever is lost;
         * answers one boolean, false when the row had ended already. Static text; NULL: it is not
         * said. */
        const char *ended_sql;
} StepRow;

typedef enum StepResult { STEP_DONE, STEP_RETRY, STEP_FAILED } StepResult;

typedef struct StepRun StepRun;
/* Called once, unless cancelled. `words`: what went wrong, or what was done ("12,400 rows"). */
typedef void (*StepDoneCallback)(void *userdata, StepResult result, const char *words);
/* Progress worth keeping for a resume (JSON text), called between batches; the lease is renewed
 * with it. */
typedef void (*StepProgressCallback)(void *userdata, const char *progress);

/* Executes one row over `pg` (the steps' own connection). Borrows the row for the call only.
 * Returns 0 or -EINVAL with words in *reterr (unknown kind, bad spec). */
int step_start(StepRun **ret, Loop *loop, Pg *pg, const StepRow *row, StepDoneCallback done,
               StepProgressCallback progress, void *userdata, StrBuf *reterr) _must_check_;
/* Begins no further transaction; the one that is under way ends and is told. */
void step_stop(StepRun *r);
/* Whether the database has yet to answer. */
bool step_is_under_way(const StepRun *r);
/* Stops without a callback; what is under way in the database may still finish. */
StepRun *step_cancel(StepRun *r);

/* Delay before attempt number `attempt` + 1 of a step: full jitter over 0.5 s * 2^attempt, at most
 * 30 s. */
usec_t step_retry_delay(unsigned attempt, uint64_t *seed);
#define STEP_ATTEMPTS_MAX 8

/* Whether a step could run now, as far as can be told without doing it. */
typedef enum StepHealth {
        STEP_SOUND,
        STEP_DOUBTFUL, /* it works, and something about it should be mended */
        STEP_BROKEN,
} StepHealth;
typedef struct StepFinding {
        StepHealth health;
        char words[1024];  /* of what is not sound */
        char advice[1024]; /* what a person types; "": none */
} StepFinding;
/* Appends what a person types against a failure of a statement under its role, if that is known. */
void step_advise(const char *role, const PgFailure *failure, StrBuf *b);
/* Asks the step's kind, over a session that is in no transaction. Has no effect. Blocks: for
 * rollbackctl alone. */
void step_check(const StepConfig *step, PgSync *site, StepFinding *ret);
