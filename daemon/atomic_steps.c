#include "atomic_steps.h"

#include <errno.h>

AtomicSteps *atomic_steps_free(AtomicSteps *a) {
        if (!a)
                return NULL;
        step_atomics_free(a->atomics, a->n);
        free(a);
        return NULL;
}

static void bind_values(AtomicSteps *a, size_t i, const StepParameters *parameters) {
        const StepAtomic *s = &a->atomics[i];

        for (size_t j = 0; j < s->n_parameters; j++)
                a->values[i][j] = step_parameter_value(parameters, s->parameters[j],
                                                       a->numbers[i][j]);
        a->steps[i] = (AtomicStep){ s->n,         s->role,         s->statement,
                                    a->values[i], s->n_parameters, s->abort_on_error };
}

int atomic_steps_new(const ServiceConfig *config, const OperationPlan *plan,
                     const char *released_at, AtomicSteps **ret, StrBuf *reterr) {
        _cleanup_(atomic_steps_freep) AtomicSteps *a = calloc(1, sizeof *a);
        /* A pointer change is the next epoch, which the compare-and-swap makes certain. */
        StepParameters parameters = {
                .service = config->service,
                .operation = plan->id,
                .from = plan->from_version,
                .to = plan->to_version,
                .from_epoch = plan->from_epoch,
                .to_epoch = plan->from_epoch + 1,
                .released_at = released_at,
        };
        int r = a ? step_atomics(config, &a->atomics, &a->n, reterr) : -ENOMEM;

        if (r < 0)
                return r;
        for (size_t i = 0; i < a->n; i++)
                bind_values(a, i, &parameters);
        *ret = TAKE_PTR(a);
        return 0;
}
