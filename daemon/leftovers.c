#include "manager_internal.h"

static void want_again(Manager *m) {
        m->leftovers_wanted = true;
        loop_timer_set(m->tick, usec_add(loop_now(m->loop), MANAGER_ASK_AGAIN));
}

/* One operation of a service at a time, the oldest first: the end of its steps asks again. */
static void start_leftover(Manager *m, const LedgerLeftover *leftover) {
        uint32_t handle = engine_find_service(m->engine, leftover->service);

        if (handle == ENGINE_NO_SERVICE || m->services[handle].runner)
                return;
        log_message(SEVERITY_NOTICE,
                    "service %s: operation %s was closed before its steps were over: they go on",
                    leftover->service, leftover->operation);
        if (steps_runner_start(m, handle, leftover->operation, false) < 0)
                want_again(m);
}

static void on_leftovers(void *userdata, const PgFailure *failure, const LedgerLeftover leftovers[],
                         size_t n) {
        _cleanup_(awaited_freep) Awaited *a = userdata;
        Manager *m = a->manager;

        m->leftovers_asked = false;
        if (m->stopping)
                return;
        if (failure->error != PG_OK) {
                log_message(SEVERITY_WARNING,
                            "the ledger could not say which closed operations have steps left, "
                            "asking again: %s",
                            failure->message);
                want_again(m);
                return;
        }
        for (size_t i = 0; i < n; i++)
                start_leftover(m, &leftovers[i]);
}

void manager_ask_leftovers(Manager *m) {
        Awaited *a;

        if (m->stopping || !m->leftovers_wanted || m->leftovers_asked || !m->ledger ||
            !ledger_is_up(m->ledger))
                return;
        a = awaited_new(m, ENGINE_NO_SERVICE, "");
        if (!a || ledger_leftovers(m->ledger, on_leftovers, a) < 0) {
                awaited_free(a);
                want_again(m);
                return;
        }
        m->leftovers_wanted = false;
        m->leftovers_asked = true;
}

void manager_want_leftovers(Manager *m) {
        m->leftovers_wanted = true;
        manager_ask_leftovers(m);
}
