#include "deciding.h"

#include "blaming.h"
#include "explaining.h"
#include "judging.h"
#include "operating.h"

/* In observe and confirm mode a would-have act is not repeated sooner than this, whatever the
 * cooldown. */
#define OBSERVED_MIN USEC_PER_MINUTE

int decision_rule(const Service *s) {
        uint32_t firing = s->firing & s->acting;
        return firing ? __builtin_ctz(firing) : -1;
}

void decision_make(const Engine *e, const Service *s, int rule, usec_t now, Decision *ret) {
        bool firing = rule >= 0 && (s->firing >> rule & 1);

        *ret = (Decision){ .rule = rule };
        ret->in = (GuardInput){
                .now = now,
                .policy = s->policy,
                .facts = &s->facts,
                .ledger_reachable = e->ledger_reachable,
                .facts_at = s->facts_at,
                .warming = !s->warm && !firing,
                .warm_until = s->warm_until,
                .operation_in_flight = s->operation_state != OPERATION_NONE ||
                                       *s->facts.operation.id,
                .observed_until = s->observed_until,
        };
        if (streq(s->facts.operation.id, s->closed_id))
                ret->in.operation_in_flight = s->operation_state != OPERATION_NONE;
        usec_t since = firing ? blame_left_good(s, rule) : 0;
        ret->in.dependency = blame_since(s, since, &ret->in.dependency_name);
        if (!firing)
                ret->in.dependency = judging_dependencies_good(s) ? TRI_GOOD : TRI_BAD;
        StrBuf why;
        strbuf_init(&why, ret->target_text, sizeof ret->target_text);
        ret->in.target = target_choose(&s->policy->rollback, &s->facts, NULL, &why);
        ret->holding = guards_ask(&ret->in, ret->answers, &ret->n_answers);
}

/* The guard that holds is told once; it is over when another holds, or none. `held`: its words. */
static void tell_held(Engine *e, Service *s, const Decision *d, Guard guard, const char *held,
                      usec_t now) {
        if (s->held_told == guard || !effect_room(s))
                return;
        EffectItem item = { .event = EVENT_ROLLBACK_HELD, .epoch = s->facts.epoch };
        if (s->held_told != GUARD_NONE)
                effect_alert(e, s, item, guard_to_string(s->held_told),
                             &(AlertWords){ .guard = guard_to_string(s->held_told) });
        s->held_told = (uint8_t)guard;
        if (guard == GUARD_NONE)
                return;
        STRBUF(reading, 160);
        rule_describe_reading(s, d->rule, &reading);
        evidence_fill(s, d, now, held, &s->evidence);
        item.raise = item.evidence = true;
        effect_alert(e, s, item, guard_to_string(guard),
                     &(AlertWords){
                             .version = s->facts.version,
                             .guard = guard_to_string(guard),
                             .held = held,
                             .rule = s->policy->rules[d->rule].name,
                             .reading = reading.text,
                     });
}

static void tell_none_held(Engine *e, Service *s, usec_t now) {
        tell_held(e, s, NULL, GUARD_NONE, NULL, now);
}

/* The words of the guard that holds; of a missing target, why there is none. */
static void tell_guard(Engine *e, Service *s, const Decision *d, usec_t now) {
        const GuardAnswer *a = &d->answers[d->holding];
        STRBUF(held, 160);
        guard_describe(&d->in, a, &held);
        const char *words = strstr(held.text, ": ");
        bool target = a->guard == GUARD_TARGET || a->guard == GUARD_BARRIER;
        tell_held(e, s, d, a->guard, target ? d->target_text : words ? words + 2 : held.text, now);
}

static void plan_automatic(Engine *e, Service *s, const Decision *d) {
        s->plan = (OperationPlan){ .kind = OPERATION_ROLLBACK,
                                   .automatic = true,
                                   .from_epoch = s->facts.epoch };
        operation_make_id(e, s->plan.id);
        name_copy(s->plan.from_version, s->facts.version);
        name_copy(s->plan.to_version, d->in.target.candidate->version);
        name_copy(s->plan.actor, "rollbackd");
        StrBuf reason;
        strbuf_init(&reason, s->plan.reason, sizeof s->plan.reason);
        rule_describe(s, d->rule, &reason);
        text_mark_cut(&reason);
}

static void propose(Engine *e, Service *s, const Decision *d, usec_t now) {
        plan_automatic(e, s, d);
        evidence_fill(s, d, now, s->plan.reason, &s->evidence);
        operation_propose(e, s, now);
}

/* Observe and confirm: what only the mode prevented is stored, and from then on it is as if in
 * cooldown. */
static void record_would(Engine *e, Service *s, const Decision *d, usec_t now) {
        bool confirm = s->policy->rollback.mode == MODE_CONFIRM;
        EffectItem item = {
                .kind = EFFECT_RECORD,
                .event = confirm ? EVENT_ROLLBACK_CONFIRM : EVENT_ROLLBACK_WOULD,
                .epoch = s->facts.epoch,
                .automatic = true,
                .raise = true,
                .evidence = true,
        };

        plan_automatic(e, s, d);
        evidence_fill(s, d, now, s->plan.reason, &s->evidence);
        effect_push(e, s, item, s->plan.id, NULL, s->plan.reason);
        if (confirm)
                effect_alert(
                        e, s, item, NULL,
                        &(AlertWords){ .rule = s->evidence.rule, .reading = s->evidence.reading });
        s->observed_until = usec_add(now, MAX(s->policy->rollback.cooldown, OBSERVED_MIN));
}

/* A dependency that has no result yet is only told as a hold when it keeps the decision waiting. */
static usec_t step_held(Engine *e, Service *s, const Decision *d, usec_t now) {
        const GuardAnswer *a = &d->answers[d->holding];
        usec_t again = MIN(a->until, usec_add(usec_add(s->facts_at, GUARD_FACTS_MAX_AGE), 1));
        bool told = true;

        s->refused = false;
        if (again <= now)
                again = USEC_INFINITY;
        if (a->answer == TRI_UNKNOWN) {
                s->wait_since = s->wait_since ? s->wait_since : now;
                usec_t tell_at = usec_add(s->wait_since, DEPENDENCY_WAIT_TOLD);
                blame_ask(e, s, blame_left_good(s, d->rule), now);
                again = MIN(again, usec_add(now, DEPENDENCY_ASK_EVERY));
                told = now >= tell_at;
        } else
                s->wait_since = 0;
        /* Observed: the event was stored; that it is not stored again within the cooldown is no
         * news. */
        if (a->guard == GUARD_COOLDOWN && s->policy->rollback.mode != MODE_AUTOMATIC)
                told = false;
        if (told)
                tell_guard(e, s, d, now);
        else
                tell_none_held(e, s, now);
        return again;
}

/* No guard here holds. What the ledger refused under its lock stays told until it takes it, and
 * after a refusal or a loss the next try waits for new facts. */
static usec_t step_unheld(Engine *e, Service *s, const Decision *d, usec_t now) {
        s->wait_since = 0;
        if (s->refused)
                tell_held(e, s, d, GUARD_LEDGER, s->refusal, now);
        else
                tell_none_held(e, s, now);
        if (s->blocked)
                return usec_add(usec_add(s->facts_at, GUARD_FACTS_MAX_AGE), 1);
        if (d->holding < 0) {
                if (effect_evidence_pending(s))
                        return now;
                propose(e, s, d, now);
                return USEC_INFINITY;
        }
        if (!effect_room(s))
                return now;
        record_would(e, s, d, now);
        return s->observed_until;
}

usec_t deciding_step(Engine *e, Service *s, usec_t now) {
        int rule = decision_rule(s);

        if (s->ask_dependencies)
                blame_ask(e, s, 0, now);
        if (rule < 0) {
                operation_clear(s, now);
                s->refused = false;
        }
        if (rule < 0 || s->operation_state != OPERATION_NONE || s->given_up) {
                s->wait_since = 0;
                if (!s->refused)
                        tell_none_held(e, s, now);
                return USEC_INFINITY;
        }
        if (effect_evidence_pending(s))
                return now; /* a closing of this very step is still to be taken */
        Decision d;
        decision_make(e, s, rule, now, &d);
        if (d.holding >= 0 && d.answers[d.holding].guard != GUARD_MODE)
                return step_held(e, s, &d, now);
        return step_unheld(e, s, &d, now);
}
