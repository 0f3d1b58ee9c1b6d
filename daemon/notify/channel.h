/* channel.h: the kinds of channels by which notices leave, one row each. A kind sends one message once and says what came of it; schedules and queues are its callers'.
 * Knows nothing of events. */
#pragma once

#include "http_client.h"

#define CHANNEL_BODY_MAX (20 * 1024) /* the Standard Webhooks limit */
#define CHANNEL_TIMEOUT (15 * USEC_PER_SEC)
#define CHANNEL_WORDS_MAX 200

typedef enum ChannelResult {
        CHANNEL_DONE,
        CHANNEL_RETRY,
        CHANNEL_GONE, /* the receiver says never again */
} ChannelResult;

typedef struct ChannelMessage {
        const char *id;     /* the same over retries */
        const char *url;
        const char *secret; /* NULL: unsigned */
        const char *body;   /* JSON text */
} ChannelMessage;

/* `retry_after`: what the receiver asked for, 0 if nothing. Words never hold the URL or a secret. */
typedef void (*ChannelCallback)(void *userdata, ChannelResult result, usec_t retry_after, const char *words);

typedef struct ChannelSending ChannelSending;

typedef struct ChannelKind {
        const char *name;
        /* Sends a copy; the callback comes once unless cancelled. Returns 0, -EAGAIN (no free place), -EINVAL (secret or URL unusable), -E2BIG (body over CHANNEL_BODY_MAX). */
        int (*send)(HttpClient *client, const ChannelMessage *message, ChannelCallback callback, void *userdata, ChannelSending **ret);
        ChannelSending *(*cancel)(ChannelSending *s);
} ChannelKind;

extern const ChannelKind channel_kind_webhook;

/* The kind of that name, or NULL. */
const ChannelKind *channel_kind_find(const char *name);
/* Delay before try number `attempt` + 1 (attempt from 1): full jitter over 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h, and never before `retry_after`; USEC_INFINITY: give up. */
usec_t channel_retry_delay(unsigned attempt, usec_t retry_after, uint64_t *seed);
/* {"type", "timestamp", "data"}: the body of every notice, to be freed; takes `data`, a JSON object's text. NULL without memory or when data is no object. */
char *channel_body(const char *type, const char *timestamp, const char *data);
/* Now as RFC 3339 in UTC with milliseconds. */
void channel_timestamp(char ret[static 32]);
