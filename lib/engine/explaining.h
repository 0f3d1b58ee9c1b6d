/* explaining.h: the evidence of one rule and one decision as a value. Knows nothing of when it is
 * stored. */
#pragma once

#include "deciding.h"

/* Fills *ret from the rule d->rule as it stands at `now` and from the guards' answers. `reason`:
 * the decision in one sentence. */
void evidence_fill(const Service *s, const Decision *d, usec_t now, const char *reason,
                   Evidence *ret);
/* Appends "RULE: READING", or "no rule" for -1. */
void rule_describe(const Service *s, int rule, StrBuf *b);
/* The same reading without the name. */
void rule_describe_reading(const Service *s, int rule, StrBuf *b);
