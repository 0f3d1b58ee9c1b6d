/* deciding.h: when a rule fires: which guards hold it back, what is told of that, and the proposal
 * when none does. Knows nothing of statistics. */
#pragma once

#include "effect_queue.h"

typedef struct Decision {
        int rule; /* index, -1: none fires */
        GuardInput in;
        GuardAnswer answers[_GUARD_MAX];
        size_t n_answers;
        int holding; /* index in answers, -1: all pass */
        char target_text[160];
} Decision;

/* Asks every guard about the rule at `now`; rule -1: as it would be if one fired now. */
void decision_make(const Engine *e, const Service *s, int rule, usec_t now, Decision *ret);
/* The first firing rule whose response is above notify, or -1. */
int decision_rule(const Service *s);
/* Decides for one service: proposes, records what it would have done, or tells what holds. Returns
 * the next instant at which to ask again. */
usec_t deciding_step(Engine *e, Service *s, usec_t now);
