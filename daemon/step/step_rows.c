/* From a policy to rows, to generations, to the statements of the commit. */
#include "step_kinds.h"
#include "steps.h"

#include <errno.h>

static bool is_row(const StepConfig *step) {
        return step->generation == NULL;
}

/* 0 for now, else seconds after the commit. */
static int add_row(Json *rows, const StepConfig *step, usec_t after) {
        Json *row = json_new_object();
        Json *spec = step_spec_new(step);

        if (!row || !spec) {
                json_free(row);
                json_free(spec);
                return -ENOMEM;
        }
        json_set_u64(row, "n", json_length(rows) + 1);
        json_set_text(row, "kind", step_kind_of(step->kind)->name);
        json_set_null(row, "host");
        json_set(row, "spec", spec);
        json_set_bool(row, "atomic", step->atomic);
        if (after > 0)
                json_set_double(row, "not_before_seconds", (double)after / USEC_PER_SEC);
        json_add(rows, row);
        return 0;
}

char *step_rows(const ServiceConfig *config) {
        Json *rows = json_new_array();
        char *text = NULL;
        int r = rows ? 0 : -ENOMEM;

        for (size_t i = 0; r == 0 && i < config->n_steps; i++)
                if (is_row(&config->steps[i]) && config->steps[i].atomic)
                        r = add_row(rows, &config->steps[i], 0);
        for (size_t i = 0; r == 0 && i < config->n_steps; i++)
                if (is_row(&config->steps[i]) && !config->steps[i].atomic)
                        r = add_row(rows, &config->steps[i], 0);
        for (size_t i = 0; r == 0 && i < config->n_steps; i++)
                if (is_row(&config->steps[i]) && config->steps[i].kind == STEP_CACHE)
                        r = add_row(rows, &config->steps[i], config->policy.rollback.settle);
        if (r == 0)
                text = json_text(rows);
        json_free(rows);
        return text;
}

size_t step_generations(const ServiceConfig *config, const char *ret[static CONFIG_STEPS_MAX]) {
        size_t n = 0;

        for (size_t i = 0; i < config->n_steps && n < CONFIG_STEPS_MAX; i++) {
                size_t j = 0;

                if (is_row(&config->steps[i]))
                        continue;
                while (j < n && !streq(ret[j], config->steps[i].generation))
                        j++;
                if (j == n)
                        ret[n++] = config->steps[i].generation;
        }
        return n;
}

int step_statement_of(const StepConfig *step, StepStatement *ret, StrBuf *reterr) {
        Json *spec = step_spec_new(step);
        int r;

        if (!spec) {
                strbuf_add(reterr, "out of memory");
                return -ENOMEM;
        }
        r = step_statement_build(step_kind_of(step->kind)->name, spec, ret, reterr);
        json_free(spec);
        return r;
}

int step_atomics(const ServiceConfig *config, StepAtomic **ret, size_t *ret_n, StrBuf *reterr) {
        StepAtomic *atomics = calloc(CONFIG_STEPS_MAX, sizeof *atomics);
        size_t n = 0;

        if (!atomics) {
                strbuf_add(reterr, "out of memory");
                return -ENOMEM;
        }
        for (size_t i = 0; i < config->n_steps && n < CONFIG_STEPS_MAX; i++) {
                const StepConfig *step = &config->steps[i];
                StepStatement s;
                int r;

                if (!step->atomic || !is_row(step))
                        continue;
                r = step_statement_of(step, &s, reterr);
                if (r < 0) {
                        step_atomics_free(atomics, n);
                        return r;
                }
                atomics[n] = (StepAtomic){
                        .n = (unsigned)n + 1,
                        .role = TAKE_PTR(s.role),
                        .statement = TAKE_PTR(s.sql),
                        .n_parameters = s.n_parameters,
                        .abort_on_error = step->abort_on_error,
                        .line = step->line,
                };
                memcpy(atomics[n].parameters, s.parameters, sizeof s.parameters);
                n++;
                step_statement_done(&s);
        }
        *ret = atomics;
        *ret_n = n;
        return 0;
}

void step_atomics_free(StepAtomic *atomics, size_t n) {
        for (size_t i = 0; i < n; i++) {
                free(atomics[i].role);
                free(atomics[i].statement);
        }
        free(atomics);
}

const char *step_parameter_value(const StepParameters *values, SqlParameter p,
                                 char ret_number[static STEP_NUMBER_SIZE]) {
        StrBuf b;

        strbuf_init(&b, ret_number, STEP_NUMBER_SIZE);
        switch (p) {
        case SQL_SERVICE:
                return values->service;
        case SQL_FROM:
                return values->from;
        case SQL_TO:
                return values->to;
        case SQL_FROM_EPOCH:
                strbuf_add_u64(&b, values->from_epoch);
                return ret_number;
        case SQL_TO_EPOCH:
                strbuf_add_u64(&b, values->to_epoch);
                return ret_number;
        case SQL_RELEASED_AT:
                return values->released_at;
        case SQL_OPERATION:
                return values->operation;
        case _SQL_PARAMETER_MAX:
                break;
        }
        return NULL;
}

usec_t step_retry_delay(unsigned attempt, uint64_t *seed) {
        usec_t span = 30 * USEC_PER_SEC;

        if (attempt < 6)
                span = MIN(span, (USEC_PER_SEC / 2) << attempt);
        return usec_jitter(span, seed);
}
