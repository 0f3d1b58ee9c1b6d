#include "snapshot.h"

#include "baking.h"
#include "deciding.h"
#include "judging.h"
#include "operating.h"

size_t engine_service_slots(const Engine *e) {
        return e->n_slots;
}

static const char *awaited(const Service *s) {
        const char *name;

        return operation_blame(s, &name) == TRI_GOOD ? NULL : name;
}

bool engine_glance(const Engine *e, uint32_t service, ServiceGlance *ret) {
        const Service *s = engine_service(e, service);
        bool operates = s && s->operation_state != OPERATION_NONE;

        if (!s)
                return false;
        *ret = (ServiceGlance){
                .service = s->policy->service,
                .health = s->health,
                .held = (Guard)s->held_told,
                .operation_state = s->operation_state,
                .operation = operates ? &s->plan : NULL,
                .awaited = awaited(s),
        };
        return true;
}

uint64_t engine_samples(const Engine *e) {
        return e->samples;
}

uint64_t engine_changes(const Engine *e) {
        return e->changes;
}

static void fill_rules(const Service *s, usec_t now, ServiceSnapshot *ret) {
        ret->n_rules = s->policy->n_rules;
        for (size_t i = 0; i < s->policy->n_rules; i++) {
                const RulePolicy *r = &s->policy->rules[i];
                bool down = r->kind == RULE_DOWN;
                ret->rules[i] = (RuleSnapshot){
                        .policy = r,
                        .signal_kind = down ? SIGNAL_AVAILABILITY :
                                              s->policy->signals[r->signal].kind,
                        .verdict = s->rules[i].verdict,
                        .bad_for = judging_bad_for(s, i, now),
                        .firing = s->firing >> i & 1,
                };
                if (down)
                        ret->rules[i].counts = judging_counts(s, r->probe);
        }
}

static void fill_guards(const Engine *e, const Service *s, usec_t now, ServiceSnapshot *ret) {
        Decision d;
        StrBuf text;

        decision_make(e, s, decision_rule(s), now, &d);
        memcpy(ret->guards, d.answers, sizeof ret->guards);
        ret->n_guards = d.n_answers;
        ret->holding = d.holding;
        strbuf_init(&text, ret->guard_text, sizeof ret->guard_text);
        if (d.holding >= 0)
                guard_describe(&d.in, &d.answers[d.holding], &text);
        text_copy(ret->target_text, sizeof ret->target_text, d.target_text);
        if (d.in.target.candidate)
                ret->target.candidate =
                        &ret->facts.candidates[d.in.target.candidate - s->facts.candidates];
        ret->target.barrier = d.in.target.barrier;
}

static void fill_bake(const Service *s, usec_t now, ServiceSnapshot *ret) {
        if (!baking_is_open(s))
                return;
        usec_t done = s->bake_good ? usec_add(s->bake_for, usec_sub(now, s->bake_at)) : s->bake_for;
        double left = (double)s->policy->release.bake_requests - baking_requests(s);
        ret->bake_left = usec_sub(s->policy->release.bake_time, done);
        ret->bake_requests_left = left > 0 ? left : 0;
}

bool engine_snapshot_service(const Engine *e, uint32_t service, usec_t now, ServiceSnapshot *ret) {
        const Service *s = engine_service(e, service);
        if (!s)
                return false;

        *ret = (ServiceSnapshot){
                .policy = s->policy,
                .known = s->known,
                .facts_at = s->facts_at,
                .health = s->health,
                .health_since = s->health_since,
                .health_row = s->health_row,
                .holding = -1,
                .operation_state = s->operation_state,
                .warm_until = s->warm_until,
                .now = now,
        };
        fill_rules(s, now, ret);
        if (!s->known)
                return true;
        ret->facts = s->facts;
        ret->watch_until = usec_add(s->facts.released, s->policy->release.watch);
        fill_guards(e, s, now, ret);
        fill_bake(s, now, ret);
        if (s->operation_state != OPERATION_NONE) {
                ret->operation = s->plan;
                ret->operation_since = s->operation_since;
                ret->awaited = awaited(s);
        }
        return true;
}

bool engine_snapshot_target(const Engine *e, uint32_t service, uint16_t probe, uint16_t target,
                            TargetSnapshot *ret) {
        const Service *s = engine_service(e, service);
        if (!service_has_target(s, probe, target))
                return false;

        const ProbePolicy *p = &s->policy->probes[probe];
        const TargetState *t = &s->probes[probe].targets[target];
        *ret = (TargetSnapshot){
                .state = (Tri)t->state,
                .outcome = (ProbeOutcome)t->outcome,
                .status = t->status,
                .run = t->run,
                .needed = t->run_tri == TRI_BAD ||
                                          (t->run_tri == TRI_UNKNOWN && t->state == TRI_GOOD) ?
                                  p->fall :
                                  p->rise,
                .straggler = t->straggler,
                .at = t->at,
        };
        name_copy(ret->version, t->version);
        return true;
}
