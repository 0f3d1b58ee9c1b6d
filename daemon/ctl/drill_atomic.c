/* The short transaction without the ledger's part, which would lock the service: the policy's
 * atomic statements as the daemon runs them, and then ROLLBACK, whatever came of them. */
#include <stdlib.h>

#include "atomic_sql.h"
#include "drill.h"

static PgResult *run(Drill *d, const char *sql, PgFailure *reterr) {
        return pg_sync_statement(d->ledger, sql, 0, NULL, reterr);
}

/* Returns whether it succeeded; when not, its failure is a check of its own. */
static bool prepare(Drill *d, const char *sql) {
        PgFailure failure;
        PgResult *r = run(d, sql, &failure);

        if (!r)
                drill_add_failure(d, "transaction", &failure);
        pg_result_free(r);
        return r != NULL;
}

static bool wants_released_at(const Drill *d, const AtomicSteps *a) {
        for (size_t i = 0; i < a->n; i++)
                for (size_t j = 0; j < a->steps[i].n_parameters; j++)
                        if (a->values[i][j] == d->released_at)
                                return true;
        return false;
}

/* Fills what the steps' values already point at. */
static bool read_released_at(Drill *d) {
        STRBUF(epoch, 24);
        const char *values[] = { d->config->service, epoch.text };
        _cleanup_(pg_result_freep) PgResult *r = NULL;
        PgFailure failure;
        const char *at;

        strbuf_add_u64(&epoch, d->plan.from_epoch);
        r = pg_sync_statement(d->ledger, atomic_released_at_sql, ELEMENTSOF(values), values,
                              &failure);
        if (!r) {
                drill_add_failure(d, "released_at", &failure);
                return false;
        }
        at = pg_rows(r) == 1 ? pg_value(r, 0, "at") : NULL;
        if (!at || strlen(at) >= sizeof d->released_at) {
                drill_add(d, DRILL_FAILED, "released_at",
                          "the ledger does not say when the active release began");
                return false;
        }
        memcpy(d->released_at, at, strlen(at) + 1);
        return true;
}

/* Its time is that of the session, as in the daemon. */
static PgResult *run_statement(Drill *d, const AtomicStep *step, usec_t *ret_took,
                               PgFailure *reterr) {
        STRBUF(role, 1024);
        PgResult *r;
        usec_t began;

        *reterr = (PgFailure){ .error = PG_CONFIGURATION,
                               .message = "the role's name cannot be quoted" };
        if (atomic_add_role(step->role, &role) < 0)
                return NULL;
        r = run(d, role.text, reterr);
        if (!r)
                return NULL;
        pg_result_free(r);
        began = drill_now();
        r = pg_sync_statement(d->ledger, step->statement, step->n_parameters, step->parameters,
                              reterr);
        *ret_took = usec_sub(drill_now(), began);
        return r;
}

static DrillCheck *tell(Drill *d, const StepAtomic *atomic, DrillResult result, const char *words) {
        STRBUF(what, 48);

        strbuf_add(&what, "step ");
        strbuf_add_u64(&what, atomic->n);
        strbuf_add(&what, " sql, line ");
        strbuf_add_u64(&what, atomic->line);
        return drill_add(d, result, what.text, words);
}

static void tell_failure(Drill *d, const StepAtomic *atomic, const PgFailure *failure) {
        STRBUF(words, 1024);
        DrillCheck *c;
        StrBuf advice;

        strbuf_add(&words, "under role ");
        strbuf_add(&words, atomic->role);
        strbuf_add(&words, ": ");
        strbuf_add(&words, failure->message);
        c = tell(d, atomic, DRILL_FAILED, words.text);
        strbuf_init(&advice, c->advice, sizeof c->advice);
        step_advise(atomic->role, failure, &advice);
}

static void tell_success(Drill *d, const StepAtomic *atomic, const PgResult *r, usec_t took) {
        STRBUF(words, 512);
        DrillCheck *c;

        strbuf_add(&words, "under role ");
        strbuf_add(&words, atomic->role);
        c = tell(d, atomic, DRILL_GOOD, words.text);
        c->ran = true;
        c->rows = pg_affected(r);
        c->took = took;
}

/* Returns whether the transaction can go on. */
static bool drill_step(Drill *d, const StepAtomic *atomic, const AtomicStep *step) {
        _cleanup_(pg_result_freep) PgResult *r = NULL;
        PgFailure failure = { 0 };
        usec_t took = 0;

        if (drill_watch_made_way(d->watch) || !prepare(d, atomic_savepoint_sql))
                return false;
        r = run_statement(d, step, &took, &failure);
        if (r)
                tell_success(d, atomic, r, took);
        else if (drill_watch_made_way(d->watch))
                return false;
        else
                tell_failure(d, atomic, &failure);
        return prepare(d, r ? atomic_reset_sql : atomic_undo_sql);
}

static void drill_transaction(Drill *d, const AtomicSteps *a) {
        size_t n = 0;

        if (!prepare(d, atomic_constraints_sql) ||
            (wants_released_at(d, a) && !read_released_at(d)))
                return;
        d->planned_only = false;
        while (n < a->n && !*d->stop && drill_step(d, &a->atomics[n], &a->steps[n]))
                n++;
        for (; n < a->n && drill_watch_made_way(d->watch); n++)
                tell(d, &a->atomics[n], DRILL_FAILED,
                     "given up, for somebody waited for a lock that the drill held; drill again "
                     "when it is quieter");
}

static bool begin(Drill *d) {
        _cleanup_(pg_result_freep) PgResult *r = NULL;
        PgFailure failure;
        int backend;

        if (!prepare(d, "BEGIN ISOLATION LEVEL READ COMMITTED"))
                return false;
        r = run(d, "SELECT pg_catalog.pg_backend_pid()", &failure);
        if (!r) {
                drill_add_failure(d, "transaction", &failure);
                return false;
        }
        backend = (int)strtol(pg_cell(r, 0, 0) ?: "0", NULL, 10);
        if (!drill_watch_begin(d->watch, backend))
                drill_add(d, DRILL_WARNING, "watch",
                          "its connection was lost: whoever needs a lock of the drill waits");
        return true;
}

void drill_atomics(Drill *d) {
        _cleanup_(atomic_steps_freep) AtomicSteps *a = NULL;
        STRBUF(error, 512);
        PgFailure failure;

        d->planned_only = true;
        if (d->plan.to_version[0] == '\0')
                return;
        if (atomic_steps_new(d->config, &d->plan, d->released_at, &a, &error) < 0) {
                drill_add(d, DRILL_FAILED, "steps",
                          error.length > 0 ? error.text : "out of memory");
                return;
        }
        if (a->n == 0)
                return;
        if (begin(d))
                drill_transaction(d, a);
        pg_result_free(run(d, "ROLLBACK", &failure));
        drill_watch_end(d->watch);
}
