/* deadlines.h: which services have something to do, and when: a binary heap of deadlines and the
 * list of services that were fed. Knows nothing of what they do. */
#pragma once

#include "service_state.h"

/* Sets the service's deadline; USEC_INFINITY takes it out of the heap. */
void deadline_set(Engine *e, Service *s, usec_t deadline);
/* The service with the earliest deadline, or NULL. */
Service *deadline_first(const Engine *e);
/* The service is stepped at the next engine_step(), once. */
void service_mark_fed(Engine *e, Service *s);
