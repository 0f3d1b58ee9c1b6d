#include "judging.h"

static TargetCounts count_targets(const ProbeState *p) {
        TargetCounts c = { 0 };

        for (size_t i = 0; i < p->end; i++) {
                if (!p->targets[i].present)
                        continue;
                if (p->targets[i].straggler) {
                        c.stragglers++;
                        continue;
                }
                c.all++;
                switch ((Tri)p->targets[i].state) {
                case TRI_GOOD:
                        c.up++;
                        break;
                case TRI_BAD:
                        c.down++;
                        break;
                case TRI_UNKNOWN:
                case _TRI_MAX:
                        c.unknown++;
                        break;
                }
        }
        return c;
}

TargetCounts judging_counts(const Service *s, uint16_t probe) {
        return count_targets(&s->probes[probe]);
}

/* What nothing was heard of for too long is unknown, whatever it was. */
static void expire_targets(ProbeState *p, usec_t now) {
        p->stale_at = USEC_INFINITY;
        for (size_t i = 0; i < p->end; i++) {
                TargetState *t = &p->targets[i];
                if (t->state == TRI_UNKNOWN && t->run == 0)
                        continue;
                usec_t stale_at = usec_add(t->known_at, p->stale_after);
                if (now > stale_at) {
                        t->state = TRI_UNKNOWN;
                        t->run_tri = TRI_UNKNOWN;
                        t->run = 0;
                        p->recount = true;
                } else
                        p->stale_at = MIN(p->stale_at, stale_at);
        }
}

static void refresh_probes(Service *s, usec_t now) {
        for (size_t i = 0; i < s->policy->n_probes; i++) {
                ProbeState *p = &s->probes[i];
                if (now > p->stale_at)
                        expire_targets(p, now);
                if (!p->recount)
                        continue;
                p->recount = false;
                p->counts = count_targets(p);
                s->dirty |= p->rules;
        }
}

static Verdict judge_threshold(const Service *s, const RulePolicy *policy, RuleState *r,
                               usec_t now) {
        const SignalPolicy *signal = &s->policy->signals[policy->signal];
        if (r->fed_at == 0)
                return (Verdict){ .why = WHY_NO_DATA, .limit = policy->enter };

        Verdict v = rule_judge_threshold(policy, signal->kind, window_read(r->window, now),
                                         r->was_bad);
        if (now > usec_add(r->fed_at, s->probes[signal->probe].stale_after)) {
                v.tri = TRI_UNKNOWN;
                v.why = WHY_STALE;
                v.fewer = 0;
        }
        return v;
}

/* Warm-up convicts nobody, but for all targets being down. */
static bool is_all_down(TargetCounts c) {
        return c.all > 0 && c.down == c.all && c.stragglers == 0;
}

static Verdict judge_rule(const Service *s, const RulePolicy *policy, RuleState *r, usec_t now) {
        if (policy->kind == RULE_DOWN) {
                TargetCounts counts = s->probes[policy->probe].counts;
                if (s->warm || is_all_down(counts))
                        return rule_judge_down(policy, counts);
        } else if (s->warm)
                return judge_threshold(s, policy, r, now);
        return (Verdict){ .why = WHY_WARMING };
}

/* When the verdict can change by time alone. */
static usec_t rule_due(const Service *s, const RulePolicy *policy, const RuleState *r, usec_t now) {
        const Verdict *v = &r->verdict;
        usec_t due = USEC_INFINITY;

        if (v->tri == TRI_BAD && r->bad_for < policy->hold)
                due = usec_add(now, policy->hold - r->bad_for);
        if (policy->kind == RULE_DOWN)
                return MIN(due, usec_add(s->probes[policy->probe].stale_at, 1));
        if (!s->warm || r->fed_at == 0)
                return due;
        usec_t stale = usec_add(r->fed_at,
                                s->probes[s->policy->signals[policy->signal].probe].stale_after);
        if (now > stale)
                return due;
        due = MIN(due, stale + 1);
        if (v->n > 0 || v->k > 0) {
                usec_t turn = r->window->head + 1;
                due = MIN(due, turn > now ? turn : now + r->window->bucket);
        }
        return due;
}

static void set_bit(uint32_t *mask, size_t i, bool on) {
        *mask = on ? *mask | 1U << i : *mask & ~(1U << i);
}

usec_t judging_bad_for(const Service *s, size_t rule, usec_t now) {
        const RuleState *r = &s->rules[rule];
        return s->bad >> rule & 1 ? usec_add(r->bad_for, usec_sub(now, r->judged_at)) : r->bad_for;
}

/* Accounts the hold up to `now`, then judges. Good resets the hold, unknown freezes it. */
static void step_rule(Service *s, size_t i, usec_t now) {
        const RulePolicy *policy = &s->policy->rules[i];
        RuleState *r = &s->rules[i];
        bool was_good = s->good >> i & 1;

        r->bad_for = judging_bad_for(s, i, now);
        r->judged_at = now;
        r->verdict = judge_rule(s, policy, r, now);
        if (r->verdict.tri == TRI_GOOD || r->verdict.why == WHY_WARMING) {
                r->bad_for = 0;
                r->was_bad = false;
        }
        /* What warm-up does not count has not left good either. */
        if (r->verdict.tri == TRI_GOOD || r->verdict.why == WHY_WARMING)
                r->good_at = now;
        else if (was_good && (s->acting >> i & 1))
                s->ask_dependencies = true;
        if (r->verdict.tri == TRI_BAD)
                r->was_bad = true;
        set_bit(&s->good, i, r->verdict.tri == TRI_GOOD);
        set_bit(&s->bad, i, r->verdict.tri == TRI_BAD);
        set_bit(&s->firing, i, r->verdict.tri == TRI_BAD && r->bad_for >= policy->hold);
        s->due[i] = rule_due(s, policy, r, now);
}

static void step_rules(Service *s, usec_t now) {
        for (size_t i = 0; i < s->policy->n_rules; i++)
                if ((s->dirty >> i & 1) || s->due[i] <= now)
                        step_rule(s, i, now);
        s->dirty = 0;
}

bool judging_dependencies_good(const Service *s) {
        for (size_t i = 0; i < s->policy->n_probes; i++)
                for (size_t k = 0; (s->dependencies >> i & 1) && k < s->probes[i].end; k++)
                        if (s->probes[i].targets[k].at > 0 &&
                            s->probes[i].targets[k].raw != TRI_GOOD)
                                return false;
        return true;
}

/* What was counted while a dependency was not good must not convict the release once it is good
 * again: counting starts at that moment, and what the rules had said meanwhile is forgotten. */
static void step_dependencies(Service *s, usec_t now) {
        if (!s->dependency_trouble)
                return;
        uint32_t all = (uint32_t)((1ULL << s->policy->n_rules) - 1);
        s->dependency_blamed = s->dependency_blamed || (s->good & all) != all;
        if (!judging_dependencies_good(s))
                return;
        usec_t from = MAX(now, s->count_from), known_at = s->known_at;
        if (s->dependency_blamed) {
                service_clear_rules(s, from);
                s->known_at = known_at;
                service_clear_targets(s, now);
                refresh_probes(s, now);
                step_rules(s, now);
        } else
                s->count_from = from;
        s->dependency_trouble = s->dependency_blamed = false;
}

static void move_health(Service *s, HealthEvent event, usec_t now) {
        const HealthRow *row = health_row(s->health, event);
        if (!row)
                return;
        s->health = row->next;
        s->health_row = row->number;
        s->health_since = now;
}

static HealthEvent health_event(const Service *s, usec_t now) {
        uint32_t known = s->good | s->bad;

        /* First, so that a bad rule that only notifies does not hide it. */
        if (s->warm && s->acting && !(known & s->acting) &&
            usec_sub(now, s->known_at) >= s->policy->unknown_after)
                return HEALTH_EVENT_BLIND;
        if (s->firing)
                return HEALTH_EVENT_FIRING;
        if (s->bad)
                return HEALTH_EVENT_BREACH;
        return known ? HEALTH_EVENT_CLEAR : HEALTH_EVENT_QUIET;
}

static bool is_known(const Service *s) {
        return s->acting & (s->good | s->bad);
}

/* What was known at the last step has been known until this one. */
static void step_health(Service *s, bool was_known, usec_t now) {
        if (was_known || is_known(s))
                s->known_at = MAX(s->known_at, now);
        HealthEvent event = health_event(s, now);
        bool judged = event == HEALTH_EVENT_FIRING || event == HEALTH_EVENT_BREACH;
        if (s->warm || judged)
                move_health(s, event, now);
        else if (s->health != HEALTH_WARMING)
                move_health(s, HEALTH_EVENT_RELEASE, now);
}

void judging_begin_release(Service *s, usec_t now) {
        const Policy *p = s->policy;
        bool forward = s->facts.kind == RELEASE_DEPLOY || s->facts.kind == RELEASE_REGISTER;

        s->warm = false;
        s->warm_until = usec_add(s->facts.released,
                                 forward ? p->release.warmup : p->rollback.settle);
        service_clear_rules(s, MAX(now, s->warm_until));
        service_clear_targets(s, s->facts.released);
        for (size_t i = 0; i < p->n_probes; i++)
                for (size_t k = 0; k < s->probes[i].end; k++) {
                        TargetState *t = &s->probes[i].targets[k];
                        t->other_version = *t->version && !streq(t->version, s->facts.version);
                        t->straggler = t->other_version;
                }
        s->dependency_blamed = false;
        move_health(s, HEALTH_EVENT_RELEASE, now);
}

/* Stillness that comes again and again must not hide that nothing is known: what was already
 * counted of it stays. */
void judging_clear(Service *s, usec_t now) {
        usec_t judged_at = 0;

        for (size_t i = 0; i < s->policy->n_rules; i++)
                judged_at = MAX(judged_at, s->rules[i].judged_at);
        usec_t unknown_for = usec_sub(judged_at, s->known_at);
        service_clear_rules(s, MAX(now, s->count_from));
        service_clear_targets(s, now);
        s->known_at = usec_sub(s->known_at, unknown_for);
}

void judging_step(Service *s, usec_t now) {
        bool was_known = is_known(s);

        if (!s->warm && now >= s->warm_until) {
                s->warm = true;
                s->dirty = UINT32_MAX;
                move_health(s, HEALTH_EVENT_WARM, now);
        }
        refresh_probes(s, now);
        step_rules(s, now);
        step_dependencies(s, now);
        step_health(s, was_known, now);
}

usec_t judging_deadline(const Service *s, usec_t now) {
        usec_t deadline = s->warm ? USEC_INFINITY : s->warm_until;

        for (size_t i = 0; i < s->policy->n_rules; i++)
                deadline = MIN(deadline, s->due[i]);
        usec_t blind_at = usec_add(s->known_at, s->policy->unknown_after);
        if (s->warm && s->acting && !(s->acting & (s->good | s->bad)) && blind_at > now)
                deadline = MIN(deadline, blind_at);
        return MAX(deadline, now + 1);
}
