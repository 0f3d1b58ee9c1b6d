/* deliveries.h: sends notices that the ledger has claimed for us, each through its subscriber's
 * channel, and says what became of them. Retries are the ledger's: it is told when to come again.
 * Knows nothing of SQL. */
#pragma once

#include "config.h"
#include "http_client.h"
#include "json.h"

typedef struct Deliveries Deliveries;

typedef struct Delivery {
        const char *id;      /* the same over retries */
        const Json *channel; /* the subscriber's entry: kind, url, secret_file */
        const char *type;    /* event type */
        const char *at;      /* RFC 3339 */
        const char *service, *operation;
        const char *fields; /* JSON object text */
        uint64_t seq;
        unsigned attempt; /* from 1 */
} Delivery;

typedef enum DeliveryResult { DELIVERY_DONE, DELIVERY_RETRY, DELIVERY_DEAD } DeliveryResult;

/* Called once per delivery that was taken, unless freed before. */
typedef void (*DeliveryCallback)(void *userdata, const char *id, DeliveryResult result,
                                 usec_t retry_in, const char *words);

int deliveries_new(Deliveries **ret, Loop *loop, HttpClient *client, const char *secrets,
                   DeliveryCallback callback, void *userdata, uint64_t seed) _must_check_;
Deliveries *deliveries_free(Deliveries *d);
DEFINE_CLEANUP(Deliveries *, deliveries_free);
/* Takes one; copies it; reads its secret anew each time. Returns 0, -EAGAIN when
 * HTTP_CLIENT_CONCURRENT are in flight (not called back), -EINVAL (the channel is not usable:
 * called back as dead before the return). A secret that cannot be read is called back as a retry
 * before the return, with 0. */
int deliveries_send(Deliveries *d, const Delivery *delivery) _must_check_;
size_t deliveries_in_flight(const Deliveries *d);
