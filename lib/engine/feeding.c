#include "deadlines.h"

#include <math.h>

/* Counts a sample into a target's run of deviating samples, and settles it after rise or fall.
 * Returns whether its state changed. */
static bool target_settle(const ProbePolicy *p, TargetState *t, Tri raw) {
        if (raw == (Tri)t->state) {
                t->run = 0;
                t->run_tri = TRI_UNKNOWN;
                return false;
        }
        if (raw != (Tri)t->run_tri)
                t->run = 0;
        t->run_tri = (uint8_t)raw;
        t->run++;
        if (t->run < (raw == TRI_BAD ? p->fall : p->rise))
                return false;
        t->state = (uint8_t)raw;
        t->run = 0;
        t->run_tri = TRI_UNKNOWN;
        return true;
}

/* A sample that cannot tell the version is taken as the active one: else a release that dies at its
 * start would leave all its targets stragglers, and convict nobody. Returns whether the target
 * became or ceased to be a straggler. */
static bool target_take_version(const Service *s, TargetState *t, const char *version) {
        bool before = t->straggler;

        if (version && !streq(version, t->version)) {
                name_copy(t->version, version);
                t->other_version = *t->version && !streq(t->version, s->facts.version);
        }
        t->straggler = version && t->other_version;
        return t->straggler != before;
}

/* Returns whether a first bad sample was seen. */
static bool target_take(Service *s, ProbeState *probe, TargetState *t, const Sample *sample,
                        Tri raw) {
        const ProbePolicy *p = &s->policy->probes[sample->probe];

        t->at = sample->at;
        t->started = MAX(t->started, sample->started);
        t->outcome = (uint8_t)sample->outcome;
        t->status = sample->status;
        t->raw = (uint8_t)raw;
        if (target_take_version(s, t, sample->version))
                probe->recount = true;
        if (raw == TRI_UNKNOWN || sample->started < s->state_from)
                return false;
        t->known_at = sample->at;
        probe->stale_at = MIN(probe->stale_at, usec_add(sample->at, probe->stale_after));
        bool first = raw == TRI_BAD && t->state != TRI_BAD && t->run_tri != TRI_BAD;
        if (target_settle(p, t, raw))
                probe->recount = true;
        return first;
}

static double increase_of(const Sample *s, uint16_t operand) {
        double value = operand < s->n_increases ? s->increases[operand] : NAN;
        return isfinite(value) && value >= 0 ? value : NAN;
}

/* What one sample adds to a signal; only a whole page counts. Returns false when it says nothing.
 */
static bool signal_read(const SignalPolicy *signal, const Sample *s, Tri raw, double *ret_bad,
                        double *ret_total) {
        double bad = 0, total = 0;

        switch (signal->kind) {
        case SIGNAL_AVAILABILITY:
                if (raw == TRI_UNKNOWN)
                        return false;
                bad = raw == TRI_BAD;
                total = 1;
                break;
        case SIGNAL_RATIO:
                total = increase_of(s, signal->total);
                bad = increase_of(s, signal->bad);
                if (raw != TRI_GOOD || s->since == 0 || isnan(total))
                        return false;
                if (isnan(bad))
                        bad = 0; /* no failure has been counted yet: the series does not exist */
                break;
        case SIGNAL_RATE:
                bad = increase_of(s, signal->bad);
                if (raw != TRI_GOOD || s->since == 0 || isnan(bad))
                        return false;
                break;
        case _SIGNAL_KIND_MAX:
                return false;
        }
        *ret_bad = bad;
        *ret_total = total;
        return true;
}

/* Whether what the sample counted belongs to the evidence: nothing of it may lie before the
 * evidence began. */
static bool is_evidence(const Service *s, const TargetState *t, const Sample *sample) {
        if (!s->known || t->straggler || sample->started < s->count_from)
                return false;
        return sample->since == 0 || sample->since >= s->count_from;
}

static void feed_rules(Service *s, const ProbeState *probe, const Sample *sample, Tri raw) {
        for (uint32_t left = probe->rules; left; left &= left - 1) {
                unsigned i = (unsigned)__builtin_ctz(left);
                RuleState *r = &s->rules[i];
                double bad, total;

                if (!r->window || !signal_read(&s->policy->signals[s->policy->rules[i].signal],
                                               sample, raw, &bad, &total))
                        continue;
                if (window_add(r->window, sample->at, bad, total))
                        r->fed_at = MAX(r->fed_at, sample->at);
        }
}

static void feed_requests(Service *s, const ProbeState *probe, const Sample *sample, Tri raw) {
        for (uint32_t left = probe->signals; left; left &= left - 1) {
                unsigned i = (unsigned)__builtin_ctz(left);
                double total = increase_of(sample, s->policy->signals[i].total);
                if (raw == TRI_GOOD && sample->since != 0 && !isnan(total))
                        s->requests[i] += total;
        }
}

void engine_feed(Engine *e, const Sample *sample) {
        Service *s = engine_service(e, sample->service);

        if (!service_has_target(s, sample->probe, sample->target) ||
            (unsigned)sample->outcome >= _OUTCOME_MAX) {
                e->ignored_samples++;
                return;
        }
        e->samples++;

        ProbeState *probe = &s->probes[sample->probe];
        TargetState *t = &probe->targets[sample->target];
        Tri raw = outcome_verdict(sample->outcome);

        bool first_bad = target_take(s, probe, t, sample, raw);
        if (s->dependencies >> sample->probe & 1)
                s->dependency_trouble = s->dependency_trouble || raw != TRI_GOOD;
        else {
                if (first_bad && (probe->rules & s->acting))
                        s->ask_dependencies = true;
                if (is_evidence(s, t, sample)) {
                        feed_rules(s, probe, sample, raw);
                        feed_requests(s, probe, sample, raw);
                }
        }
        s->dirty |= probe->rules;
        service_mark_fed(e, s);
}

void engine_set_target_present(Engine *e, uint32_t service, uint16_t probe, uint16_t target,
                               bool present) {
        Service *s = engine_service(e, service);
        ProbeState *p;

        if (!s || probe >= s->policy->n_probes || target >= s->policy->probes[probe].n_targets ||
            service_has_target(s, probe, target) == present)
                return;
        p = &s->probes[probe];
        p->targets[target] = (TargetState){ .present = present };
        if (present && target >= p->end)
                p->end = (uint16_t)(target + 1);
        while (p->end > 0 && !p->targets[p->end - 1].present)
                p->end--;
        p->recount = true;
        service_mark_fed(e, s);
}

bool engine_target_deviates(const Engine *e, uint32_t service, uint16_t probe, uint16_t target) {
        const Service *s = engine_service(e, service);

        if (!service_has_target(s, probe, target))
                return false;
        if (s->probes[probe].targets[target].run > 0)
                return true;
        return s->probes[probe].rules & s->bad & ~s->firing;
}
