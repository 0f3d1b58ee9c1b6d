#include "blaming.h"

/* One result counts, without rise and fall: unknown while a target has none that began after
 * `since`, and while there is no target. To look at the latest ones is enough: when one that was
 * not good turns good, either the rules start anew, or all were good and what it touched is not
 * counted (judging.c). */
static Tri probe_since(const ProbeState *p, usec_t since) {
        Tri answer = TRI_GOOD;
        bool any = false;

        for (size_t i = 0; i < p->end; i++) {
                const TargetState *t = &p->targets[i];
                if (!t->present)
                        continue;
                any = true;
                if (t->at > 0 && t->raw != TRI_GOOD)
                        return TRI_BAD;
                if (t->at == 0 || t->started <= since)
                        answer = TRI_UNKNOWN;
        }
        return any ? answer : TRI_UNKNOWN;
}

Tri blame_since(const Service *s, usec_t since, const char **ret_name) {
        Tri answer = TRI_GOOD;

        for (size_t i = 0; i < s->policy->n_probes; i++) {
                if (!(s->dependencies >> i & 1))
                        continue;
                Tri one = probe_since(&s->probes[i], since);
                if (one == TRI_GOOD)
                        continue;
                if (answer == TRI_GOOD || one == TRI_BAD)
                        *ret_name = s->policy->probes[i].name;
                answer = one;
                if (one == TRI_BAD)
                        break;
        }
        return answer;
}

usec_t blame_left_good(const Service *s, int rule) {
        usec_t good_at = s->rules[rule].good_at;
        return s->warm ? MAX(good_at, s->count_from) : good_at;
}

void blame_ask(Engine *e, Service *s, usec_t since, usec_t now) {
        s->ask_dependencies = false;
        for (size_t i = 0; i < s->policy->n_probes; i++) {
                ProbeState *p = &s->probes[i];
                if (!(s->dependencies >> i & 1))
                        continue;
                if (p->asked_at > 0 && now < usec_add(p->asked_at, DEPENDENCY_ASK_EVERY))
                        continue;
                if (since > 0 && probe_since(p, since) != TRI_UNKNOWN)
                        continue;
                if (!effect_room(s))
                        return;
                p->asked_at = now;
                effect_push(e, s,
                            (EffectItem){ .kind = EFFECT_PROBE_NOW,
                                          .probe = (uint16_t)i,
                                          .epoch = s->facts.epoch },
                            NULL, NULL, NULL);
        }
}
