/* blaming.h: whether somebody else is to blame: what the declared dependencies have answered since
 * a rule left good, and asking them. Decisions and verifications both lean on it. Knows nothing of
 * what follows from the answer. */
#pragma once

#include "effect_queue.h"

/* Good when every target of every declared dependency has answered well to a probe that began after
 * `since`, and when none is declared; bad as soon as one result is not good, without rise and fall;
 * else unknown. *ret_name, of the dependency that is bad or awaited, is written unless it is good.
 */
Tri blame_since(const Service *s, usec_t since, const char **ret_name);
/* When the rule left good: not before its evidence began, which for all targets being down is
 * within the warm-up. */
usec_t blame_left_good(const Service *s, int rule);
/* Asks for the dependencies' results that are wanted: with `since` 0 all of them. */
void blame_ask(Engine *e, Service *s, usec_t since, usec_t now);
