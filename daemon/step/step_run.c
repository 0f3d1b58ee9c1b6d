/* The life of one row's execution: what it binds, where it goes on after a run before it, its start
 * and its cancelling. Every kind goes through here. */
#include <errno.h>

#include "step_run_internal.h"

StepRun *step_run_free(StepRun *r) {
        if (!r)
                return NULL;
        loop_timer_free(r->timer);
        step_statement_done(&r->statement);
        for (size_t i = 0; i < r->n_values; i++)
                free(r->values[i]);
        free(r->operation);
        free(r->after);
        free(r->after_order);
        free(r->next_after);
        free(r);
        return NULL;
}

StepRun *step_cancel(StepRun *r) {
        if (!r)
                return NULL;
        r->cancelled = true;
        loop_timer_set(r->timer, USEC_INFINITY);
        /* The callback that is to come ends the transaction and frees. */
        return r->waiting ? NULL : step_run_free(r);
}

void step_stop(StepRun *r) {
        r->stopped = true;
}

bool step_is_under_way(const StepRun *r) {
        return r->waiting;
}

/* Copies the values that are bound at every turn; the key to go on after is not among them. */
static int copy_values(StepRun *r, const StepParameters *parameters, StrBuf *reterr) {
        for (size_t i = 0; i < r->statement.n_parameters; i++) {
                char number[STEP_NUMBER_SIZE];
                const char *value = step_parameter_value(parameters, r->statement.parameters[i],
                                                         number);

                if (!value) {
                        strbuf_add(reterr, "the operation does not say :");
                        strbuf_add(reterr, sql_parameter_to_string(r->statement.parameters[i]));
                        return -EINVAL;
                }
                if (step_copy(value, &r->values[r->n_values], reterr) < 0)
                        return -EINVAL;
                r->n_values++;
        }
        for (size_t i = 0; i < r->statement.n_own; i++)
                r->values[r->n_values++] = TAKE_PTR(r->statement.own[i]);
        return 0;
}

static int resume(StepRun *r, const Json *progress, StrBuf *reterr) {
        const char *after = progress ? json_get_text(progress, "after", NULL) : NULL;
        const char *order = progress ? json_get_text(progress, "order", "") : NULL;
        int64_t deleted = progress ? json_get_i64(progress, "deleted", 0) : 0;

        r->deleted = deleted > 0 ? (uint64_t)deleted : 0;
        if (!after)
                return 0;
        r->first_done = true;
        return step_copy(after, &r->after, reterr) < 0 ||
                               step_copy(order, &r->after_order, reterr) < 0 ?
                       -EINVAL :
                       0;
}

static int keep_row(StepRun *r, const StepRow *row, StrBuf *reterr) {
        StrBuf number;

        strbuf_init(&number, r->number, sizeof r->number);
        strbuf_add_u64(&number, row->n);
        r->ended_sql = row->ended_sql;
        return step_copy(row->parameters.operation, &r->operation, reterr) < 0 ? -EINVAL : 0;
}

int step_start(StepRun **ret, Loop *loop, Pg *pg, const StepRow *row, StepDoneCallback done,
               StepProgressCallback progress, void *userdata, StrBuf *reterr) {
        STRBUF(role, 1024);
        StepRun *r = calloc(1, sizeof *r);
        int k = -EINVAL;

        if (!r) {
                strbuf_add(reterr, "out of memory");
                return -EINVAL;
        }
        *r = (StepRun){
                .loop = loop, .pg = pg, .done = done, .progress = progress, .userdata = userdata
        };
        r->seed = loop_now(loop) ^ (uintptr_t)r;
        if (step_statement_build(row->kind, row->spec, &r->statement, reterr) < 0)
                goto finish;
        r->kind = step_kind_find(row->kind);
        if (pg_quote_identifier(r->statement.role, &role) < 0 || role.overflow) {
                strbuf_add(reterr, "\"role\" is not the name of a role");
                goto finish;
        }
        if (copy_values(r, &row->parameters, reterr) < 0 || resume(r, row->progress, reterr) < 0 ||
            keep_row(r, row, reterr) < 0)
                goto finish;
        if (loop_add_timer(loop, step_run_on_turn, r, "step", &r->timer) < 0) {
                strbuf_add(reterr, "no timer can be made");
                goto finish;
        }
        loop_timer_set(r->timer, loop_now(loop));
        *ret = TAKE_PTR(r);
        k = 0;
finish:
        step_run_free(r);
        return k;
}
