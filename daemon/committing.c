#include <errno.h>

#include "atomic_steps.h"
#include "manager_internal.h"

/* The last result of a commit frees what awaited it. */
static void on_committed(void *userdata, CommitResult result, uint64_t epoch, const char *detail) {
        Awaited *a = userdata;
        Manager *m = a->manager;

        engine_commit_done(m->engine, a->handle, a->operation, result, epoch, detail,
                           loop_now(m->loop));
        switch (result) {
        case COMMIT_DONE:
                m->commits++;
                if (awaited_is_present(a)) {
                        m->services[a->handle].epoch = epoch;
                        m->services[a->handle].committed_at = loop_now(m->loop);
                        prober_start_epoch(m->prober, a->handle);
                }
                break;
        case COMMIT_IN_DOUBT:
                log_message(SEVERITY_WARNING,
                            "service %s: the answer to the commit of operation %s was lost, asking "
                            "again: %s",
                            a->service, a->operation, detail);
                break;
        case COMMIT_LOST:
        case COMMIT_REFUSED:
                log_message(SEVERITY_NOTICE, "service %s: operation %s was %s: %s", a->service,
                            a->operation, result == COMMIT_LOST ? "overtaken" : "refused", detail);
                break;
        case COMMIT_FAILED:
                m->commits_failed++;
                log_message(SEVERITY_CRITICAL, "service %s: operation %s failed: %s", a->service,
                            a->operation, detail);
                break;
        }
        if (result != COMMIT_IN_DOUBT)
                awaited_free(a);
        manager_pump(m);
}

/* Words of what kept a commit from being sent, unless they are there already. */
static void explain_failure(int r, StrBuf *why) {
        if (why->length == 0)
                strbuf_add(why, r == -ENOMEM   ? "out of memory" :
                                r == -EAGAIN   ? "too many commits are under way" :
                                r == -ENOTCONN ? "no ledger is configured" :
                                                 "the ledger did not take it");
}

static int send_commit(Manager *m, const Effect *e, Awaited *a, StrBuf *why) {
        const ServiceConfig *config = m->services[e->service].config;
        const char *generations[CONFIG_STEPS_MAX];
        size_t n_generations = step_generations(config, generations);
        _cleanup_(freep) char *rows = step_rows(config);
        _cleanup_(freep) char *evidence = manager_evidence_text(e->evidence);
        _cleanup_(atomic_steps_freep) AtomicSteps *atomic = NULL;
        int r;

        if (!a || !rows || !evidence)
                return -ENOMEM;
        if (!m->ledger)
                return -ENOTCONN;
        r = atomic_steps_new(config, &e->operation, ledger_released_at, &atomic, why);
        if (r < 0)
                return r;
        return ledger_commit(m->ledger,
                             &(CommitRequest){
                                     .operation = &e->operation,
                                     .service = config->service,
                                     .policy_hash = config->hash,
                                     .evidence = evidence,
                                     .steps = rows,
                                     .generations = generations,
                                     .n_generations = n_generations,
                                     .atomic = atomic->steps,
                                     .n_atomic = atomic->n,
                                     .cooldown = config->policy.rollback.cooldown,
                                     .budget_per = config->policy.rollback.budget_per,
                                     .budget_count = config->policy.rollback.budget_count,
                             },
                             on_committed, a);
}

void manager_send_commit(Manager *m, const Effect *e) {
        const char *service = manager_service_name(m, e->service);
        Awaited *a = awaited_new(m, e->service, e->operation.id);
        STRBUF(why, 256);
        int r;

        log_message(SEVERITY_NOTICE, "service %s: operation %s is sent: %s %s -> %s (row %u: %s)",
                    service, e->operation.id, operation_kind_to_string(e->operation.kind),
                    e->operation.from_version, e->operation.to_version, e->row,
                    e->operation.reason);
        r = send_commit(m, e, a, &why);
        if (r >= 0)
                return;
        awaited_free(a);
        explain_failure(r, &why);
        log_message(SEVERITY_CRITICAL, "service %s: operation %s could not be sent: %s", service,
                    e->operation.id, why.text);
        /* A policy whose steps cannot be sent stays so until a person mends it; the rest may pass.
         */
        engine_commit_done(m->engine, e->service, e->operation.id,
                           r == -EINVAL ? COMMIT_FAILED : COMMIT_REFUSED, 0, why.text,
                           loop_now(m->loop));
}
