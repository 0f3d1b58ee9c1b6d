#include <errno.h>
#include <stdio.h>

#include "manager_internal.h"

/* A step that is not heard of for this long is anybody's again. */
#define STEP_LEASE (60 * USEC_PER_SEC)
/* How soon an unanswered claim is tried again. */
#define CLAIM_RETRY (2 * USEC_PER_SEC)

struct StepsRunner {
        Manager *manager;
        uint32_t service;
        char operation[OPERATION_ID_SIZE];
        bool adopt, started, told;
        const Awaited *awaited; /* the answer that is to come; NULL: none */
        unsigned n, attempt;    /* of the step under way */
        char kind[NAME_SIZE];
        StepRun *run;
        LoopTimer *timer; /* the next claim */
};

static void claim_next(StepsRunner *r);

StepsRunner *steps_runner_free(StepsRunner *r) {
        if (!r)
                return NULL;
        r->run = step_cancel(r->run);
        loop_timer_free(r->timer);
        free(r);
        return NULL;
}

void steps_runner_stop(StepsRunner *r) {
        loop_timer_set(r->timer, USEC_INFINITY);
        if (r->run)
                step_stop(r->run);
}

bool steps_runner_under_way(const StepsRunner *r, StrBuf *words) {
        if (!r->run || !step_is_under_way(r->run))
                return false;
        strbuf_add(words, "step ");
        strbuf_add_u64(words, r->n);
        strbuf_add(words, " (");
        strbuf_add(words, r->kind);
        strbuf_add_char(words, ')');
        return true;
}

/* The runner that an answer is for, which no longer awaits it; NULL when the runner is gone. */
static StepsRunner *answered_runner(const Awaited *a) {
        StepsRunner *r = a->manager->services[a->handle].runner;

        if (!r || r->awaited != a)
                return NULL;
        r->awaited = NULL;
        return r;
}

/* Says why nothing goes on, once until it does. */
static void tell_failure(StepsRunner *r, const char *what, const PgFailure *failure) {
        if (!r->told)
                log_message(SEVERITY_WARNING, "service %s: %s of operation %s, trying again: %s",
                            manager_service_name(r->manager, r->service), what, r->operation,
                            failure->message);
        r->told = true;
}

/* The ledger was restored, or the operation was pruned behind our back. The engine learns from its
 * facts what there is now. */
static bool give_up_unknown(StepsRunner *r, const PgFailure *failure) {
        Manager *m = r->manager;

        if (!ledger_lacks_operation(failure))
                return false;
        log_message(SEVERITY_WARNING,
                    "service %s: the ledger does not know operation %s any more, its steps are "
                    "given up",
                    manager_service_name(m, r->service), r->operation);
        m->services[r->service].runner = steps_runner_free(r);
        manager_want_leftovers(m);
        return true;
}

static void finish(StepsRunner *r, uint32_t failed) {
        Manager *m = r->manager;
        uint32_t service = r->service;
        char operation[OPERATION_ID_SIZE];

        memcpy(operation, r->operation, sizeof operation);
        m->services[service].runner = steps_runner_free(r);
        engine_steps_done(m->engine, service, operation, failed, loop_now(m->loop));
        manager_want_leftovers(m);
        manager_pump(m);
}

static void report(StepsRunner *r, const char *state, const char *words, usec_t retry_in) {
        if (ledger_step_result(r->manager->ledger, r->operation, r->n, state, words, retry_in) < 0)
                log_message(SEVERITY_WARNING,
                            "service %s: step %u of operation %s ended as %s, and the queue to the "
                            "ledger is full: it will run again",
                            manager_service_name(r->manager, r->service), r->n, r->operation,
                            state);
}

static void on_step_done(void *userdata, StepResult result, const char *words) {
        StepsRunner *r = userdata;
        const char *service = manager_service_name(r->manager, r->service);
        usec_t delay = 0;

        r->run = NULL;
        if (result == STEP_RETRY && r->attempt >= STEP_ATTEMPTS_MAX)
                result = STEP_FAILED;
        switch (result) {
        case STEP_DONE:
                log_message(SEVERITY_INFO, "service %s: step %u (%s) of operation %s is done: %s",
                            service, r->n, r->kind, r->operation, words);
                report(r, "done", words, 0);
                break;
        case STEP_RETRY:
                delay = step_retry_delay(r->attempt, &r->manager->seed);
                log_message(SEVERITY_WARNING,
                            "service %s: step %u (%s) of operation %s will be tried again: %s",
                            service, r->n, r->kind, r->operation, words);
                report(r, "retry", words, delay);
                break;
        case STEP_FAILED: {
                EventFieldValue fields[] = {
                        { "service", service },
                        { "operation", r->operation },
                        { "step", r->kind },
                        { "error", words },
                };

                report(r, "failed", words, 0);
                alert_say(r->manager->alerts, EVENT_STEP_FAILED, service, fields,
                          ELEMENTSOF(fields));
                break;
        }
        }
        loop_timer_set(r->timer, usec_add(loop_now(r->manager->loop), delay));
}

static void on_step_progress(void *userdata, const char *progress) {
        StepsRunner *r = userdata;

        if (ledger_step_progress(r->manager->ledger, r->operation, r->n, progress, STEP_LEASE) < 0)
                log_message(SEVERITY_INFO,
                            "service %s: the progress of step %u was not kept: after a crash it "
                            "looks at those rows again",
                            manager_service_name(r->manager, r->service), r->n);
}

static void start_step(StepsRunner *r, const LedgerStep *step) {
        Manager *m = r->manager;
        StepRow row = {
                .n = step->n,
                .kind = step->kind,
                .spec = step->spec,
                .attempt = step->attempt,
                .progress = step->progress,
                .ended_sql = ledger_step_ended_sql,
                .parameters = { .service = step->service,
                                .operation = r->operation,
                                .from = step->from_version,
                                .to = step->to_version,
                                .from_epoch = step->from_epoch,
                                .to_epoch = step->to_epoch,
                                .released_at = step->released_at },
        };
        STRBUF(error, 512);
        bool first;

        r->n = step->n;
        r->attempt = step->attempt;
        snprintf(r->kind, sizeof r->kind, "%s", step->kind);
        first = !r->started;
        r->started = true;
        if (step_start(&r->run, m->loop, m->steps_pg, &row, on_step_done, on_step_progress, r,
                       &error) < 0)
                on_step_done(r, STEP_FAILED, error.text);
        if (!first)
                return;
        /* Last, for what the engine wants next may replace this runner. */
        engine_steps_started(m->engine, r->service, r->operation, loop_now(m->loop));
        manager_pump(m);
}

static void on_claim(void *userdata, const PgFailure *failure, const LedgerStep *step, usec_t wait,
                     uint32_t failed) {
        _cleanup_(awaited_freep) Awaited *a = userdata;
        StepsRunner *r = answered_runner(a);

        if (!r || give_up_unknown(r, failure))
                return;
        if (failure->error != PG_OK) {
                tell_failure(r, "the next step cannot be claimed", failure);
                loop_timer_set(r->timer, usec_add(loop_now(r->manager->loop), CLAIM_RETRY));
                return;
        }
        r->told = false;
        /* The step is ours again at once after the start. */
        if (r->manager->stopping)
                return;
        if (step)
                start_step(r, step);
        else if (wait == USEC_INFINITY)
                finish(r, failed);
        else
                loop_timer_set(r->timer, usec_add(loop_now(r->manager->loop), wait));
}

static void on_adopted(void *userdata, const PgFailure *failure, const PgResult *result _unused_) {
        _cleanup_(awaited_freep) Awaited *a = userdata;
        StepsRunner *r = answered_runner(a);

        if (!r || give_up_unknown(r, failure))
                return;
        if (failure->error == PG_OK)
                r->adopt = r->told = false;
        else
                tell_failure(r, "the policy's steps cannot be added to those", failure);
        loop_timer_set(r->timer, usec_add(loop_now(r->manager->loop), r->adopt ? CLAIM_RETRY : 0));
}

static int adopt(StepsRunner *r, Awaited *a) {
        const ServiceConfig *config = r->manager->services[r->service].config;
        _cleanup_(freep) char *rows = step_rows(config);

        return rows ? ledger_adopt(r->manager->ledger, r->operation, rows, config->hash, on_adopted,
                                   a) :
                      -ENOMEM;
}

static void claim_next(StepsRunner *r) {
        Awaited *a;
        int result = -ENOMEM;

        if (r->manager->stopping)
                return;
        a = awaited_new(r->manager, r->service, r->operation);
        r->awaited = a;
        if (a)
                result = r->adopt ? adopt(r, a) :
                                    ledger_claim_step(r->manager->ledger, r->operation, STEP_LEASE,
                                                      on_claim, a);
        if (result >= 0)
                return;
        r->awaited = awaited_free(a);
        loop_timer_set(r->timer, usec_add(loop_now(r->manager->loop), CLAIM_RETRY));
}

static void on_timer(void *userdata, usec_t now _unused_) {
        claim_next(userdata);
}

int steps_runner_start(Manager *m, uint32_t service, const char *operation, bool adopt_first) {
        StepsRunner *r = m->services[service].runner;
        int result;

        if (r && streq(r->operation, operation))
                return 0;
        /* The newer operation's steps first; what is left of the older one's is asked for at their
         * end. */
        m->services[service].runner = steps_runner_free(r);
        r = calloc(1, sizeof *r);
        if (!r)
                return -ENOMEM;
        r->manager = m;
        r->service = service;
        r->adopt = adopt_first;
        snprintf(r->operation, sizeof r->operation, "%s", operation);
        result = loop_add_timer(m->loop, on_timer, r, "steps", &r->timer);
        if (result < 0) {
                free(r);
                return result;
        }
        m->services[service].runner = r;
        claim_next(r);
        return 0;
}
