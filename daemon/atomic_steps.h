/* atomic_steps.h: a policy's atomic steps with the values of their parameters for one operation:
 * what the short transaction runs, and what rollbackctl's drill of it runs. Knows nothing of
 * connections. */
#pragma once

#include "ledger.h"
#include "steps.h"

typedef struct AtomicSteps {
        StepAtomic *atomics;
        size_t n;
        AtomicStep steps[CONFIG_STEPS_MAX]; /* their texts live as long as this */
        const char *values[CONFIG_STEPS_MAX][SQL_PARAMETERS_MAX];
        char numbers[CONFIG_STEPS_MAX][SQL_PARAMETERS_MAX][STEP_NUMBER_SIZE];
} AtomicSteps;

/* Borrows the plan and `released_at`, the instant of the release that is left. Returns 0, -EINVAL
 * or -ENOMEM with words in *reterr. */
int atomic_steps_new(const ServiceConfig *config, const OperationPlan *plan,
                     const char *released_at, AtomicSteps **ret, StrBuf *reterr) _must_check_;
AtomicSteps *atomic_steps_free(AtomicSteps *a);
DEFINE_CLEANUP(AtomicSteps *, atomic_steps_free);
