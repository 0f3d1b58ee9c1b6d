/* Places: the descriptors that probes may have at once. A probe that found none would say nothing
 * of its target, and take the last ones from the API and the ledger. */
#include "prober_internal.h"

/* Targets that may hang, for they did or have not answered yet, have so many of all places at most,
 * in tenths: the others need few, and not for long. */
#define SLOW_SHARE 8
/* And connections that are kept between probes. */
#define KEPT_SHARE 5

static Prober *prober_of(const Target *t) {
        return t->probe->service->prober;
}

/* The descriptors that one probe of the target has at once. */
static size_t descriptors_of(const Target *t) {
        return MIN((size_t)MAX(t->probe->kind->descriptors, 1U), prober_of(t)->places);
}

static bool is_free(const Target *t) {
        const Prober *p = prober_of(t);
        size_t n = descriptors_of(t);

        if (t->holds > 0)
                return true;
        if (p->taken + n > p->places)
                return false;
        return t->prompt || p->taken_by_slow + n <= MAX(p->places * SLOW_SHARE / 10, n);
}

static Ring *queue_of(const Target *t) {
        return t->prompt ? &prober_of(t)->queue : &prober_of(t)->slow_queue;
}

void place_take(Target *t) {
        Prober *p = prober_of(t);

        assert(is_free(t));
        if (t->holds > 0)
                return;
        t->holds = (uint16_t)descriptors_of(t);
        t->holds_as_slow = !t->prompt;
        p->taken += t->holds;
        p->taken_by_slow += t->prompt ? 0 : t->holds;
}

/* It has answered: what it holds from here on is not one of the few. */
static void leave_slow(Target *t) {
        prober_of(t)->taken_by_slow -= t->holds_as_slow ? t->holds : 0;
        t->holds_as_slow = false;
}

void place_give_back(Target *t) {
        Prober *p = prober_of(t);

        leave_slow(t);
        p->taken -= t->holds;
        p->kept -= t->keeps ? t->holds : 0;
        t->holds = 0;
        t->keeps = false;
}

void place_end(Target *t, const ProbeResult *result) {
        Prober *p = prober_of(t);
        bool good = result->outcome == OUTCOME_OK, reuse = t->probe->config->reuse > 0;
        bool keeper = t->memory && t->probe->kind->memory_renew;

        if (result->outcome == OUTCOME_TIMEOUT)
                t->prompt = false;
        else if (outcome_verdict(result->outcome) != TRI_UNKNOWN)
                t->prompt = true;
        if (t->prompt)
                leave_slow(t);
        if (keeper && reuse && good && t->holds > 0 &&
            (t->keeps || p->kept + t->holds <= p->places * KEPT_SHARE / 10)) {
                p->kept += t->keeps ? 0 : t->holds;
                t->keeps = true;
                return;
        }
        if (keeper && (reuse || !good))
                t->probe->kind->memory_renew(t->memory);
        place_give_back(t);
}

bool place_must_wait(const Target *t) {
        return t->holds == 0 && (!ring_is_empty(queue_of(t)) || !is_free(t));
}

void place_wait(Target *t) {
        ring_append(queue_of(t), &t->in_queue);
}

static Target *first_served(const Ring *queue) {
        Target *t = ring_is_empty(queue) ? NULL : RING_ITEM(queue->next, Target, in_queue);

        return t && is_free(t) ? t : NULL;
}

Target *place_next(const Prober *p) {
        return first_served(&p->queue) ?: first_served(&p->slow_queue);
}
