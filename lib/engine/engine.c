#include "engine.h"

#include <errno.h>

#include "alerting.h"
#include "baking.h"
#include "deadlines.h"
#include "deciding.h"
#include "judging.h"
#include "operating.h"

/* Facts of an older epoch that arrive within this time after a commit of this engine were read
 * before it. */
#define FACTS_OVERTAKEN (5 * USEC_PER_SEC)

int engine_new(Engine **ret, size_t n_services, uint64_t seed) {
        _cleanup_(engine_freep) Engine *e = calloc(1, sizeof *e);
        if (!e || n_services == 0 || n_services >= ENGINE_NO_SERVICE)
                return e ? -EINVAL : -ENOMEM;

        e->n_slots = n_services;
        e->seed = seed;
        e->slots = calloc(n_services, sizeof *e->slots);
        e->heap = calloc(n_services, sizeof *e->heap);
        e->fed = calloc(n_services, sizeof *e->fed);
        e->stepping = calloc(n_services, sizeof *e->stepping);
        e->ready = calloc(n_services, sizeof *e->ready);
        if (!e->slots || !e->heap || !e->fed || !e->stepping || !e->ready)
                return -ENOMEM;
        *ret = TAKE_PTR(e);
        return 0;
}

Engine *engine_free(Engine *e) {
        if (!e)
                return NULL;
        for (size_t i = 0; e->slots && i < e->n_slots; i++)
                free(e->slots[i]);
        free(e->slots);
        free(e->heap);
        free(e->fed);
        free(e->stepping);
        free(e->ready);
        free(e);
        return NULL;
}

uint32_t engine_find_service(const Engine *e, const char *name) {
        for (size_t i = 0; i < e->n_slots; i++)
                if (e->slots[i] && streq(e->slots[i]->policy->service, name))
                        return (uint32_t)i;
        return ENGINE_NO_SERVICE;
}

static int replace_service(Engine *e, Service *old, const Policy *policy, usec_t now) {
        Service *s = service_new(policy, old->handle, old->policy->n_rules + old->n_gone, now);
        if (!s)
                return -ENOMEM;
        effect_cancel(old, EFFECT_PROBE_NOW);
        service_inherit(s, old);
        if (!streq(old->policy->hash, policy->hash)) { /* what failed may be mended */
                s->failed = s->given_up = false;
                s->failed_epoch = 0;
        }
        e->slots[s->handle] = s;
        free(old);
        alerting_look_for_target(s);
        service_mark_fed(e, s);
        return 0;
}

static int find_free_slot(Engine *e, uint32_t *ret_handle) {
        for (size_t i = 0; i < e->n_slots; i++) {
                size_t slot = (e->next_slot + i) % e->n_slots;
                if (e->slots[slot])
                        continue;
                e->next_slot = slot + 1;
                *ret_handle = (uint32_t)slot;
                return 0;
        }
        return -ENOSPC;
}

int engine_put_service(Engine *e, const Policy *policy, usec_t now, uint32_t *ret_service) {
        assert(policy->n_probes <= POLICY_PROBES_MAX && policy->n_signals <= POLICY_SIGNALS_MAX);
        assert(policy->n_rules <= POLICY_RULES_MAX);

        uint32_t handle = engine_find_service(e, policy->service);
        if (handle != ENGINE_NO_SERVICE) {
                int r = replace_service(e, e->slots[handle], policy, now);
                if (r < 0)
                        return r;
                *ret_service = handle;
                return 0;
        }
        int r = find_free_slot(e, &handle);
        if (r < 0)
                return r;
        e->slots[handle] = service_new(policy, handle, 0, now);
        if (!e->slots[handle])
                return -ENOMEM;
        *ret_service = handle;
        return 0;
}

static void list_remove(uint32_t *list, size_t *n, uint32_t handle) {
        size_t kept = 0;
        for (size_t i = 0; i < *n; i++)
                if (list[i] != handle)
                        list[kept++] = list[i];
        *n = kept;
}

static void ring_remove(Engine *e, uint32_t handle) {
        size_t kept = 0;
        for (size_t i = 0; i < e->ready_n; i++) {
                uint32_t one = e->ready[(e->ready_head + i) % e->n_slots];
                if (one != handle)
                        e->ready[(e->ready_head + kept++) % e->n_slots] = one;
        }
        e->ready_n = kept;
}

void engine_remove_service(Engine *e, uint32_t service) {
        Service *s = engine_service(e, service);
        if (!s)
                return;
        deadline_set(e, s, USEC_INFINITY);
        list_remove(e->fed, &e->fed_n, service);
        ring_remove(e, service);
        e->slots[service] = NULL;
        free(s);
}

void engine_set_ledger_reachable(Engine *e, bool reachable, usec_t now) {
        (void)now;
        if (e->ledger_reachable == reachable)
                return;
        e->ledger_reachable = reachable;
        for (size_t i = 0; i < e->n_slots; i++)
                if (e->slots[i])
                        service_mark_fed(e, e->slots[i]);
}

void engine_clear_evidence(Engine *e, usec_t now) {
        for (size_t i = 0; i < e->n_slots; i++) {
                Service *s = e->slots[i];
                if (!s)
                        continue;
                judging_clear(s, now);
                operation_verify_anew(s, now);
                s->bake_at = now;
                s->bake_good = false;
                service_mark_fed(e, s);
        }
}

static void note_glance(Engine *e, Service *s) {
        const char *name;
        uint32_t glanced = 1U << 31 | (uint32_t)(operation_blame(s, &name) != TRI_GOOD) << 30 |
                           (uint32_t)s->health | (uint32_t)s->held_told << 8 |
                           (uint32_t)s->operation_state << 16;

        e->changes += glanced != s->glanced;
        s->glanced = glanced;
}

static void step_service(Engine *e, Service *s, usec_t now) {
        usec_t deadline = USEC_INFINITY;

        s->crowded = false;
        if (s->known) {
                judging_step(s, now);
                deadline = operating_step(e, s, now);
                deadline = MIN(deadline, deciding_step(e, s, now));
                deadline = MIN(deadline, baking_step(e, s, now));
                alerting_step(e, s, now);
                deadline = MIN(deadline, judging_deadline(s, now));
        } else {
                s->ask_dependencies = false;
                (void)deciding_step(e, s, now);
                alerting_step(e, s, now); /* what was told is over */
        }
        note_glance(e, s);
        if (s->crowded)
                deadline = now;
        deadline = MAX(deadline, now + 1);
        if (deadline != s->deadline)
                deadline_set(e, s, deadline);
}

void engine_step(Engine *e, usec_t now) {
        uint32_t *list = e->fed;
        size_t n = e->fed_n;
        Service *s;

        e->fed = e->stepping;
        e->stepping = list;
        e->fed_n = 0;
        for (size_t i = 0; i < n; i++) {
                e->slots[list[i]]->fed = false;
                step_service(e, e->slots[list[i]], now);
        }
        while ((s = deadline_first(e)) && s->deadline <= now)
                step_service(e, s, now);
}

usec_t engine_deadline(const Engine *e) {
        const Service *s = deadline_first(e);
        return e->fed_n > 0 ? 0 : s ? s->deadline : USEC_INFINITY;
}

/* A person's act gives an attempt that had failed another chance. */
static bool is_eased(const ServiceFacts *old, const ServiceFacts *new) {
        return old->epoch != new->epoch || old->resumes != new->resumes ||
               (!old->automatic && new->automatic) ||
               (old->paused_until != 0 && new->paused_until == 0);
}

static void begin_release(Service *s, bool first, usec_t now) {
        operation_lose(s, now);
        judging_begin_release(s, now);
        baking_begin(s, now);
        s->observed_until = 0;
        s->wait_since = 0;
        s->deployed_untold = !first && s->facts.kind == RELEASE_DEPLOY;
        s->stable_untold = false;
}

/* The ledger does not know the service: nothing is judged, and what was told of it is over. */
static void forget_facts(Service *s, usec_t now) {
        if (!s->known)
                return;
        operation_lose(s, now);
        service_clear_rules(s, now);
        s->known = s->warm = false;
        s->health = HEALTH_NEW;
        s->health_row = 0;
        s->health_since = now;
        s->operation_state = OPERATION_NONE;
        s->no_target = s->failed = s->given_up = s->refused = false;
        s->deployed_untold = s->stable_untold = false;
}

/* The release's own instant as the ledger knows it, once, after a commit of this engine had to
 * assume it. */
static void refine_release(Service *s, usec_t assumed) {
        if (s->epoch_at == 0 || s->warm || s->facts.released >= assumed)
                return;
        s->warm_until = usec_sub(s->warm_until, assumed - s->facts.released);
}

void engine_set_failed(Engine *e, uint32_t service, uint64_t epoch, const char *policy_hash,
                       const char *target, const char *detail) {
        Service *s = engine_service(e, service);

        if (!s || s->known || !streq(s->policy->hash, policy_hash))
                return;
        s->failed_epoch = epoch;
        name_copy(s->plan.to_version, target);
        text_copy(s->refusal, sizeof s->refusal, detail);
}

/* As it was when the earlier run ended, and told anew. */
static void fail_again(Service *s) {
        if (s->failed_epoch == s->facts.epoch) {
                s->failed = s->given_up = true;
                s->failed_event = EVENT_ROLLBACK_FAILED;
                s->plan.kind = OPERATION_ROLLBACK;
                s->plan.automatic = true;
                name_copy(s->plan.from_version, s->facts.version);
        }
        s->failed_epoch = 0;
}

void engine_set_facts(Engine *e, uint32_t service, const ServiceFacts *facts, usec_t at) {
        Service *s = engine_service(e, service);
        if (!s)
                return;
        service_mark_fed(e, s);
        if (!facts) {
                forget_facts(s, at);
                return;
        }
        if (s->known && facts->epoch < s->facts.epoch && s->epoch_at > 0 &&
            at < usec_add(s->epoch_at, FACTS_OVERTAKEN))
                return;

        bool first = !s->known, moved = first || facts->epoch != s->facts.epoch;
        bool earned = !moved && !s->assumed && facts->stable && !s->facts.stable;
        usec_t assumed = s->facts.released;
        if (is_eased(&s->facts, facts))
                s->failed = s->given_up = false;
        s->facts = *facts;
        s->facts.released = MIN(facts->released, at);
        s->facts_at = at;
        s->known = true;
        s->blocked = s->assumed = false;
        if (moved) {
                begin_release(s, first, at);
                s->epoch_at = 0;
                fail_again(s);
        } else {
                refine_release(s, assumed);
                s->stable_untold = s->stable_untold || earned;
        }
        operation_reconcile(e, s, at);
        alerting_look_for_target(s);
}
