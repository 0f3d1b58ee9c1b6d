#include "alerting.h"

#include "explaining.h"

void alerting_look_for_target(Service *s) {
        STRBUF(why, 160);
        s->no_target = s->known && s->acting && s->facts.kind == RELEASE_DEPLOY &&
                       !s->facts.stable &&
                       !target_choose(&s->policy->rollback, &s->facts, NULL, &why).candidate;
}

static EffectItem item_of(const Service *s, EventKind event, bool raise) {
        return (EffectItem){ .event = (uint8_t)event, .epoch = s->facts.epoch, .raise = raise };
}

/* A notified rule stays told while it is unknown; it is over when it is good, or when another
 * release is judged. */
static bool is_rule_wanted(const Service *s, size_t i) {
        if (s->acting >> i & 1)
                return false;
        if (s->firing >> i & 1)
                return true;
        return s->rules[i].told && s->warm && !(s->good >> i & 1);
}

static void step_rule(Engine *e, Service *s, size_t i, usec_t now) {
        bool wanted = is_rule_wanted(s, i);
        if (wanted == s->rules[i].told || !effect_room(s))
                return;

        const char *name = s->policy->rules[i].name;
        STRBUF(reading, 160);
        EffectItem item = item_of(s, EVENT_RULE_BAD, wanted);
        rule_describe_reading(s, (int)i, &reading);
        s->rules[i].told = wanted;
        if (wanted && !effect_evidence_pending(s)) {
                Decision d;
                decision_make(e, s, (int)i, now, &d);
                evidence_fill(s, &d, now, reading.text, &s->evidence);
                item.evidence = true;
        }
        effect_alert(e, s, item, name,
                     &(AlertWords){
                             .version = s->facts.version, .rule = name, .reading = reading.text });
}

static void step_gone(Engine *e, Service *s) {
        while (s->n_gone > 0 && effect_room(s)) {
                const char *name = s->gone[--s->n_gone].rule;
                effect_alert(e, s, item_of(s, EVENT_RULE_BAD, false), name,
                             &(AlertWords){ .rule = name });
        }
}

/* Over when something is known again; another release alone is no news of that kind. */
static bool is_blind_wanted(const Service *s) {
        if (s->health == HEALTH_BLIND)
                return true;
        return s->blind_told && s->known && s->acting && !(s->acting & (s->good | s->bad));
}

static void step_blind(Engine *e, Service *s) {
        bool wanted = is_blind_wanted(s);
        if (wanted == s->blind_told || !effect_room(s))
                return;
        s->blind_told = wanted;
        STRBUF(since, 64);
        strbuf_add_usec_words(&since, s->policy->unknown_after);
        effect_alert(e, s, item_of(s, EVENT_SERVICE_BLIND, wanted), NULL,
                     &(AlertWords){ .version = s->facts.version, .since = since.text });
}

static void step_target(Engine *e, Service *s) {
        if (s->no_target == s->no_target_told || !effect_room(s))
                return;
        s->no_target_told = s->no_target;
        STRBUF(why, 160);
        (void)target_choose(&s->policy->rollback, &s->facts, NULL, &why);
        effect_alert(e, s, item_of(s, EVENT_RELEASE_NO_TARGET, s->no_target), NULL,
                     &(AlertWords){ .version = s->facts.version, .reason = why.text });
}

static void step_failed(Engine *e, Service *s) {
        if (s->failed == s->failed_told || !effect_room(s))
                return;
        s->failed_told = s->failed;
        effect_alert(e, s, item_of(s, s->failed_event, s->failed), NULL,
                     &(AlertWords){ .version = s->facts.version, .detail = s->refusal });
}

static void step_release(Engine *e, Service *s) {
        const AlertWords words = { .version = s->facts.version };

        if (s->deployed_untold && effect_room(s)) {
                s->deployed_untold = false;
                effect_alert(e, s, item_of(s, EVENT_RELEASE_DEPLOYED, true), NULL, &words);
        }
        if (s->stable_untold && effect_room(s)) {
                s->stable_untold = false;
                effect_alert(e, s, item_of(s, EVENT_RELEASE_STABLE, true), NULL, &words);
        }
}

void alerting_step(Engine *e, Service *s, usec_t now) {
        step_release(e, s);
        step_target(e, s);
        step_failed(e, s);
        step_blind(e, s);
        if (s->n_gone > 0)
                step_gone(e, s);
        for (size_t i = 0; i < s->policy->n_rules; i++)
                step_rule(e, s, i, now);
}
