/* target_choice.h: which version a rollback goes to, and why none. Pure: the candidates'
 * properties come from the ledger, which checks them again under its lock. */
#pragma once

#include "facts.h"

typedef struct TargetChoice {
        const Candidate *candidate; /* NULL: none; borrows from the facts */
        bool barrier;               /* none, and a barrier or schema range is what stands between */
} TargetChoice;

/* Chooses among facts->candidates: last_stable, the newest release that is stable; previous, the
 * one active just before; version, the one named. Never a quarantined one, one behind a barrier
 * or outside the schema range: last_stable passes over these, the other two then have no target.
 * `wanted` (a person's choice) overrides the strategy when not NULL. Appends the reason in
 * words: "2.3.0, stable" or "no target: 2.3.0 is behind a barrier". */
TargetChoice target_choose(const RollbackPolicy *p, const ServiceFacts *facts, const char *wanted,
                           StrBuf *why);
