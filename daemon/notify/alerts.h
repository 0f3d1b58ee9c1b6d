/* alerts.h: what operators must hear even when the database is down: the journal, and one webhook from a bounded queue in memory. A lasting state is said once per reason, again hourly,
 * and when it is over. Knows nothing of the ledger. */
#pragma once

#include "config.h"
#include "events.h"
#include "http_client.h"

#define ALERTS_QUEUE_MAX 64
#define ALERTS_REPEAT USEC_PER_HOUR

typedef struct Alerts Alerts;

/* `webhook` NULL: the journal alone; borrowed, as `secrets` (the directory) is. The secret is read anew at each post, so that a rotated one is taken up by itself. */
int alerts_new(Alerts **ret, Loop *loop, HttpClient *client, const ChannelConfig *webhook, const char *secrets, uint64_t seed) _must_check_;
Alerts *alerts_free(Alerts *a);
DEFINE_CLEANUP(Alerts *, alerts_free);

/* Says an event once. Copies what it needs. `service` "" : none. `sentence` NULL: rendered from the event's row and the fields. */
void alert_say(Alerts *a, EventKind kind, const char *service, const char *sentence, const EventFieldValue fields[], size_t n);
/* A state began or goes on: said when (kind, service, key) is new, and again hourly. */
void alert_raise(Alerts *a, EventKind kind, const char *service, const char *key, const char *sentence, const EventFieldValue fields[], size_t n);
/* The state is over: said if it had been raised. */
void alert_over(Alerts *a, EventKind kind, const char *service, const char *key, const char *sentence, const EventFieldValue fields[], size_t n);
/* Alerts that did not fit the queue or were given up. */
uint64_t alerts_dropped(const Alerts *a);
