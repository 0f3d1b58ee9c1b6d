/* baking.h: how a release earns its stable mark: good time and requests. Knows nothing of why a
 * rule is good. */
#pragma once

#include "effect_queue.h"

/* Accounts the time since the last step. Returns the next instant at which to ask again. */
usec_t baking_step(Engine *e, Service *s, usec_t now);
/* A new release: nothing is earned yet. */
void baking_begin(Service *s, usec_t now);
/* Whether the active release can still earn its mark. */
bool baking_is_open(const Service *s);
/* The most requests that one ratio signal has counted since the bake began. */
double baking_requests(const Service *s);
