/* effect_queue.h: what the engine asks of the shell, queued per service in the order in which it
 * came up. Alerts whose state can be compared wait until there is room; what an operation has to
 * say always has some kept. Knows nothing of why. */
#pragma once

#include "service_state.h"

/* What an alert's sentence is made of; NULL where it does not say it. */
typedef struct AlertWords {
        const char *version, *rule, *reading, *guard, *held, *detail, *reason, *actor, *since;
} AlertWords;

/* Whether an alert or a probe may be queued now; otherwise the service is stepped again soon. */
bool effect_room(Service *s);
/* Queues an effect; id, key and text are copied, NULL: none. */
void effect_push(Engine *e, Service *s, EffectItem item, const char *id, const char *key,
                 const char *text);
/* Queues an alert whose sentence is made from the table of events. */
void effect_alert(Engine *e, Service *s, EffectItem item, const char *key, const AlertWords *words);
/* Whether an effect that is not taken yet refers to s->evidence, which then must stay. */
bool effect_evidence_pending(const Service *s);
/* Takes back what is queued and not taken: a commit that was cleared, or probes whose indexes a new
 * policy moved. */
void effect_cancel(Service *s, EffectKind kind);
