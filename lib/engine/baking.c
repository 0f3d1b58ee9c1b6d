#include "baking.h"

bool baking_is_open(const Service *s) {
        bool forward = s->facts.kind == RELEASE_DEPLOY || s->facts.kind == RELEASE_REGISTER;
        return s->known && forward && !s->facts.stable;
}

double baking_requests(const Service *s) {
        double most = 0;
        for (size_t i = 0; i < s->policy->n_signals; i++)
                most = MAX(most, s->requests[i]);
        return most;
}

void baking_begin(Service *s, usec_t now) {
        s->bake_for = 0;
        s->bake_at = now;
        s->bake_good = false;
        s->stable_asked_at = 0;
        for (size_t i = 0; i < s->policy->n_signals; i++)
                s->requests[i] = 0;
}

/* The rules that a bake leans on: those that could ask for a rollback, or all when none could. */
static uint32_t bake_rules(const Service *s) {
        return s->acting ? s->acting : (uint32_t)((1ULL << s->policy->n_rules) - 1);
}

static bool is_good(const Service *s) {
        uint32_t rules = bake_rules(s);
        return s->warm && s->health == HEALTH_WATCHING && rules && (s->good & rules) == rules &&
               !s->facts.deploying && s->operation_state == OPERATION_NONE;
}

static usec_t earn(Engine *e, Service *s, usec_t now) {
        usec_t again = usec_add(s->stable_asked_at, ENGINE_REPEAT_AFTER);
        if (s->stable_asked_at > 0 && now < again)
                return again;
        if (!effect_room(s))
                return now;
        s->stable_asked_at = now;
        effect_push(e, s, (EffectItem){ .kind = EFFECT_MARK_STABLE, .epoch = s->facts.epoch }, NULL,
                    NULL, NULL);
        return usec_add(now, ENGINE_REPEAT_AFTER);
}

usec_t baking_step(Engine *e, Service *s, usec_t now) {
        if (!baking_is_open(s))
                return USEC_INFINITY;
        if (s->bad & bake_rules(s)) {
                usec_t asked = s->stable_asked_at;
                baking_begin(s, now);
                s->stable_asked_at = asked;
                return USEC_INFINITY;
        }
        if (s->bake_good)
                s->bake_for = usec_add(s->bake_for, usec_sub(now, s->bake_at));
        s->bake_at = now;
        s->bake_good = is_good(s);
        if (!s->bake_good)
                return USEC_INFINITY;
        if (s->bake_for < s->policy->release.bake_time)
                return usec_add(now, s->policy->release.bake_time - s->bake_for);
        if (baking_requests(s) < (double)s->policy->release.bake_requests)
                return USEC_INFINITY;
        return earn(e, s, now);
}
