#include "explaining.h"

#include "judging.h"

static SignalKind kind_of(const Service *s, int rule) {
        const RulePolicy *r = &s->policy->rules[rule];
        return r->kind == RULE_THRESHOLD ? s->policy->signals[r->signal].kind : SIGNAL_AVAILABILITY;
}

void rule_describe_reading(const Service *s, int rule, StrBuf *b) {
        verdict_describe(&s->policy->rules[rule], kind_of(s, rule), &s->rules[rule].verdict, b);
}

void rule_describe(const Service *s, int rule, StrBuf *b) {
        if (rule < 0) {
                strbuf_add(b, "no rule");
                return;
        }
        strbuf_add(b, "rule ");
        strbuf_add(b, s->policy->rules[rule].name);
        strbuf_add(b, ": ");
        rule_describe_reading(s, rule, b);
}

static void fill_threshold(const Service *s, const RulePolicy *r, Evidence *ret) {
        name_copy(ret->signal, s->policy->signals[r->signal].name);
        ret->dispersion = r->dispersion;
        ret->min_samples = r->min_samples;
        ret->min_bad = r->min_bad;
        ret->window = r->over;
}

static void fill_rule(const Service *s, int rule, usec_t now, Evidence *ret) {
        const RulePolicy *r = &s->policy->rules[rule];
        const Verdict *v = &s->rules[rule].verdict;
        uint16_t probe = r->kind == RULE_DOWN ? r->probe : s->policy->signals[r->signal].probe;
        TargetCounts counts = judging_counts(s, probe);

        name_copy(ret->rule, r->name);
        ret->rule_kind = rule_kind_to_string(r->kind);
        if (r->kind == RULE_THRESHOLD)
                fill_threshold(s, r, ret);
        else
                name_copy(ret->signal, s->policy->probes[probe].name);
        ret->verdict = tri_to_string(v->tri);
        ret->why = verdict_why_words(v->why);
        ret->bad = v->k;
        ret->total = v->n;
        ret->value = v->value;
        ret->lower = v->lower;
        ret->limit = v->limit;
        ret->fewer = v->fewer;
        ret->hold = r->hold;
        ret->bad_for = judging_bad_for(s, (size_t)rule, now);
        ret->targets = counts.all;
        ret->targets_down = counts.down;
        ret->targets_unknown = counts.unknown;
        ret->stragglers = counts.stragglers;
        STRBUF(reading, sizeof ret->reading);
        rule_describe_reading(s, rule, &reading);
        text_copy(ret->reading, sizeof ret->reading, reading.text);
}

static void fill_guards(const Decision *d, Evidence *ret) {
        StrBuf b;
        strbuf_init(&b, ret->guards, sizeof ret->guards);
        for (size_t i = 0; i < d->n_answers; i++) {
                const GuardAnswer *a = &d->answers[i];
                if (i > 0)
                        strbuf_add(&b, "; ");
                guard_describe(&d->in, a, &b);
        }
        text_mark_cut(&b);
        ret->guard = guard_to_string(d->holding < 0 ? GUARD_NONE : d->answers[d->holding].guard);
}

static const char *dependencies_to_string(const Service *s, Tri t) {
        if (s->dependencies == 0)
                return "none declared";
        return tri_to_string(t);
}

void evidence_fill(const Service *s, const Decision *d, usec_t now, const char *reason,
                   Evidence *ret) {
        *ret = (Evidence){ .epoch = s->facts.epoch,
                           .since_release = usec_sub(now, s->facts.released) };
        name_copy(ret->service, s->policy->service);
        name_copy(ret->version, s->facts.version);
        if (d->in.target.candidate)
                name_copy(ret->target, d->in.target.candidate->version);
        ret->rule_kind = ret->verdict = ret->why = "none";
        if (d->rule >= 0)
                fill_rule(s, d->rule, now, ret);
        ret->dependencies = dependencies_to_string(s, d->in.dependency);
        ret->mode = rollback_mode_to_string(s->policy->rollback.mode);
        fill_guards(d, ret);
        text_copy(ret->reason, sizeof ret->reason, reason);
}

bool engine_explain(const Engine *e, uint32_t service, uint16_t rule, usec_t now, Evidence *ret) {
        const Service *s = engine_service(e, service);
        if (!s || rule >= s->policy->n_rules)
                return false;

        Decision d;
        decision_make(e, s, rule, now, &d);
        STRBUF(reason, sizeof ret->reason);
        rule_describe(s, rule, &reason);
        evidence_fill(s, &d, now, reason.text, ret);
        return true;
}
