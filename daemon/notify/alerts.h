/* alerts.h: what operators must hear even when the database is down: the journal, and one webhook
 * from a bounded queue in memory. A lasting state is said once per reason, again hourly, and when
 * it is over. Knows nothing of the ledger. */
#pragma once

#include "config.h"
#include "events.h"
#include "http_client.h"

#define ALERTS_REPEAT USEC_PER_HOUR
/* States that last at once; what is beyond them is counted as dropped, and not said. */
#define ALERTS_LASTING_MAX 8192

typedef struct Alerts Alerts;

/* `webhook` NULL: the journal alone; borrowed, as `secrets` (the directory) is. The secret is read
 * anew at each post, so that a rotated one is taken up by itself. */
int alerts_new(Alerts **ret, Loop *loop, HttpClient *client, const ChannelConfig *webhook,
               const char *secrets, uint64_t seed) _must_check_;
Alerts *alerts_free(Alerts *a);
DEFINE_CLEANUP(Alerts *, alerts_free);

/* Says an event once. Copies what it needs. `service` "" : none. */
void alert_say(Alerts *a, EventKind kind, const char *service, const EventFieldValue fields[],
               size_t n);
/* A state began or goes on: said when (kind, service, key) is new, and again hourly, then with the
 * fields of the last call. */
void alert_raise(Alerts *a, EventKind kind, const char *service, const char *key,
                 const EventFieldValue fields[], size_t n);
/* The state is over: said if it had been raised (n 0: with the fields that it was raised with). */
void alert_over(Alerts *a, EventKind kind, const char *service, const char *key,
                const EventFieldValue fields[], size_t n);
/* The service is watched no more: nothing of it is repeated, and nothing is said to be over. */
void alerts_forget_service(Alerts *a, const char *service);
/* Notices that are being posted to the webhook, or were not tried yet. */
size_t alerts_under_way(const Alerts *a);
/* Alerts that did not fit or were given up by the webhook. */
uint64_t alerts_dropped(const Alerts *a);
