#include "service_state.h"

/* One block: Service, then hot arrays and windows, then targets: what is kept for addresses that a
 * name does not have is never touched. */
typedef struct Layout {
        size_t probes, rules, due, requests, windows, gone, targets, size;
} Layout;

static size_t reserve(size_t *size, size_t n, size_t each) {
        size_t at = (*size + 15) & ~(size_t)15;
        *size = at + n * each;
        return at;
}

static Layout layout_of(const Policy *p, size_t n_gone) {
        size_t n_targets = 0, n_windows = 0;
        Layout l = { .size = sizeof(Service) };

        for (size_t i = 0; i < p->n_probes; i++)
                n_targets += p->probes[i].n_targets;
        for (size_t i = 0; i < p->n_rules; i++)
                n_windows += p->rules[i].kind == RULE_THRESHOLD;
        l.probes = reserve(&l.size, p->n_probes, sizeof(ProbeState));
        l.due = reserve(&l.size, p->n_rules, sizeof(usec_t));
        l.rules = reserve(&l.size, p->n_rules, sizeof(RuleState));
        l.requests = reserve(&l.size, p->n_signals, sizeof(double));
        l.windows = reserve(&l.size, n_windows, sizeof(Window));
        l.gone = reserve(&l.size, n_gone, sizeof(GoneAlert));
        l.targets = reserve(&l.size, n_targets, sizeof(TargetState));
        return l;
}

static usec_t stale_after(const ProbePolicy *p) {
        usec_t t = (usec_t)(MAX(p->rise, p->fall) + STALE_INTERVALS) * p->interval;
        return MAX(t, STALE_MIN);
}

static void init_probes(Service *s, TargetState *targets) {
        for (size_t i = 0; i < s->policy->n_probes; i++) {
                const ProbePolicy *p = &s->policy->probes[i];
                s->probes[i] = (ProbeState){
                        .targets = targets,
                        .end = (uint16_t)(p->n_targets - MIN(p->n_spare, p->n_targets)),
                        .recount = true,
                        .stale_after = stale_after(p),
                        .stale_at = USEC_INFINITY,
                };
                for (size_t k = 0; k < s->probes[i].end; k++)
                        targets[k].present = true;
                targets += p->n_targets;
                if (p->dependency)
                        s->dependencies |= 1U << i;
        }
}

static void init_rules(Service *s, Window *windows, usec_t now) {
        for (size_t i = 0; i < s->policy->n_rules; i++) {
                const RulePolicy *r = &s->policy->rules[i];
                uint32_t bit = 1U << i;
                uint16_t probe = r->kind == RULE_DOWN ? r->probe :
                                                        s->policy->signals[r->signal].probe;

                s->probes[probe].rules |= bit;
                if (r->response > RESPONSE_NOTIFY)
                        s->acting |= bit;
                if (r->kind == RULE_THRESHOLD) {
                        s->rules[i].window = windows++;
                        window_init(s->rules[i].window, r->over, now);
                }
        }
        for (size_t i = 0; i < s->policy->n_signals; i++)
                if (s->policy->signals[i].kind == SIGNAL_RATIO)
                        s->probes[s->policy->signals[i].probe].signals |= 1U << i;
}

Service *service_new(const Policy *policy, uint32_t handle, size_t n_gone, usec_t now) {
        Layout l = layout_of(policy, n_gone);
        char *block = calloc(1, l.size);
        if (!block)
                return NULL;

        Service *s = (Service *)(void *)block;
        s->policy = policy;
        s->handle = handle;
        s->heap_index = UINT32_MAX;
        s->deadline = USEC_INFINITY;
        s->probes = (ProbeState *)(void *)(block + l.probes);
        s->rules = (RuleState *)(void *)(block + l.rules);
        s->due = (usec_t *)(void *)(block + l.due);
        s->requests = (double *)(void *)(block + l.requests);
        s->gone = (GoneAlert *)(void *)(block + l.gone);
        s->bytes = l.size;
        s->health_since = now;
        init_probes(s, (TargetState *)(void *)(block + l.targets));
        init_rules(s, (Window *)(void *)(block + l.windows), now);
        service_clear_rules(s, now);
        service_clear_targets(s, now);
        return s;
}

void service_clear_rules(Service *s, usec_t from) {
        for (size_t i = 0; i < s->policy->n_rules; i++) {
                RuleState *r = &s->rules[i];
                if (r->window)
                        window_clear(r->window, from);
                *r = (RuleState){
                        .window = r->window,
                        .told = r->told,
                        .good_at = from,
                        .judged_at = from,
                        .verdict = { .why = WHY_NO_DATA },
                };
                s->due[i] = USEC_INFINITY;
        }
        s->bad = s->good = s->firing = 0;
        s->dirty = UINT32_MAX;
        s->count_from = from;
        s->known_at = from;
}

void service_clear_targets(Service *s, usec_t from) {
        s->state_from = from;
        for (size_t i = 0; i < s->policy->n_probes; i++) {
                ProbeState *p = &s->probes[i];
                for (size_t k = 0; k < p->end; k++) {
                        p->targets[k].state = TRI_UNKNOWN;
                        p->targets[k].run_tri = TRI_UNKNOWN;
                        p->targets[k].run = 0;
                }
                p->recount = true;
                p->stale_at = USEC_INFINITY;
        }
}

static void inherit_probe(Service *s, const Service *old, size_t i) {
        const ProbePolicy *p = &s->policy->probes[i];
        ProbeState *mine = &s->probes[i];

        for (size_t k = 0; k < old->policy->n_probes; k++) {
                const ProbePolicy *q = &old->policy->probes[k];
                if (q->identity != p->identity || q->n_targets != p->n_targets ||
                    q->n_spare != p->n_spare || !streq(q->name, p->name))
                        continue;
                mine->end = old->probes[k].end;
                memcpy(mine->targets, old->probes[k].targets, p->n_targets * sizeof(TargetState));
                mine->asked_at = old->probes[k].asked_at;
                mine->stale_at = 0;
                return;
        }
}

/* A bit of the old masks moves to the rule's new place. */
static void inherit_rule(Service *s, const Service *old, size_t i) {
        const RulePolicy *r = &s->policy->rules[i];
        RuleState *mine = &s->rules[i];

        for (size_t k = 0; k < old->policy->n_rules; k++) {
                const RulePolicy *q = &old->policy->rules[k];
                if (!streq(q->name, r->name))
                        continue;
                mine->told = old->rules[k].told;
                if (q->identity != r->identity || q->kind != r->kind || q->over != r->over)
                        return;
                Window *window = mine->window;
                *mine = old->rules[k];
                mine->window = window;
                if (window)
                        *window = *old->rules[k].window;
                s->bad |= (old->bad >> k & 1) << i;
                s->good |= (old->good >> k & 1) << i;
                s->firing |= (old->firing >> k & 1) << i;
                return;
        }
}

static void inherit_requests(Service *s, const Service *old) {
        for (size_t i = 0; i < s->policy->n_signals; i++)
                for (size_t k = 0; k < old->policy->n_signals; k++)
                        if (streq(s->policy->signals[i].name, old->policy->signals[k].name))
                                s->requests[i] = old->requests[k];
}

static void inherit_gone(Service *s, const Service *old) {
        for (size_t k = 0; k < old->policy->n_rules; k++) {
                bool stays = false;
                for (size_t i = 0; i < s->policy->n_rules; i++)
                        stays = stays ||
                                streq(old->policy->rules[k].name, s->policy->rules[i].name);
                if (old->rules[k].told && !stays)
                        name_copy(s->gone[s->n_gone++].rule, old->policy->rules[k].name);
        }
        for (size_t k = 0; k < old->n_gone; k++)
                s->gone[s->n_gone++] = old->gone[k];
}

void service_inherit(Service *s, const Service *old) {
        Service fresh = *s;

        *s = *old;
        s->policy = fresh.policy;
        s->probes = fresh.probes;
        s->rules = fresh.rules;
        s->due = fresh.due;
        s->requests = fresh.requests;
        s->gone = fresh.gone;
        s->n_gone = 0;
        s->bytes = fresh.bytes;
        s->acting = fresh.acting;
        s->dependencies = fresh.dependencies;
        s->dirty = UINT32_MAX;
        s->bad = s->good = s->firing = 0;
        for (size_t i = 0; i < s->policy->n_probes; i++)
                inherit_probe(s, old, i);
        for (size_t i = 0; i < s->policy->n_rules; i++)
                inherit_rule(s, old, i);
        inherit_requests(s, old);
        inherit_gone(s, old);
}
