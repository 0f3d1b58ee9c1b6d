/* judging.h: from targets and windows to verdicts, holds and the health of one service. Knows
 * nothing of guards or operations. */
#pragma once

#include "service_state.h"

/* A release became active at `released`, learnt at `now`: its evidence starts after warm-up
 * (deploy, register) or settle (rollback, restore). */
void judging_begin_release(Service *s, usec_t now);
/* The clock jumped or stood still: windows, holds and targets start empty at `now`. */
void judging_clear(Service *s, usec_t now);
/* Judges what is due or was fed, and moves the health. */
void judging_step(Service *s, usec_t now);
/* The next instant at which judging_step() has something to do without a sample. */
usec_t judging_deadline(const Service *s, usec_t now);
/* Counts of a probe's targets as they are at `now`. */
TargetCounts judging_counts(const Service *s, uint16_t probe);
/* How much of the rule's hold has run at `now`. */
usec_t judging_bad_for(const Service *s, size_t rule, usec_t now);
/* Whether every target of every dependency was good at its latest result. */
bool judging_dependencies_good(const Service *s);
