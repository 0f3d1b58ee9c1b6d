/* alerting.h: the alerts that are states: what is so now is compared with what was told, and the
 * difference is told. Knows nothing of channels or repeats. */
#pragma once

#include "effect_queue.h"

void alerting_step(Engine *e, Service *s, usec_t now);
/* Works out anew whether a rollback of the active release would have a target. */
void alerting_look_for_target(Service *s);
