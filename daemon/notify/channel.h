/* channel.h: the kinds of channels by which notices leave, one row each. A kind sends one message
 * once and says what came of it; schedules and queues are its callers'. Knows nothing of events. */
#pragma once

#include "config.h"
#include "http_client.h"

#define CHANNEL_TIMEOUT (15 * USEC_PER_SEC)
#define CHANNEL_WORDS_MAX 200
#define CHANNEL_BODY_MAX (20 * 1024)         /* bytes, as NOTICE_BODY_MAX with room */
#define CHANNEL_RETRY_AFTER_MAX USEC_PER_DAY /* a receiver cannot put us off for longer */

typedef enum ChannelResult {
        CHANNEL_DONE,
        CHANNEL_RETRY,
        CHANNEL_GONE, /* the receiver says never again */
} ChannelResult;

typedef struct ChannelMessage {
        const char *id; /* the same over retries */
        const char *url;
        const char *secret; /* NULL: unsigned */
        const char *body;   /* JSON text */
} ChannelMessage;

/* `retry_after`: what the receiver asked for, 0 if nothing. Words never hold the URL or a secret.
 */
typedef void (*ChannelCallback)(void *userdata, ChannelResult result, usec_t retry_after,
                                const char *words);

typedef struct ChannelSending ChannelSending;

typedef struct ChannelKind {
        const char *name;
        /* Sends a copy; the callback comes once, and not before send() has returned, unless
         * cancelled. Returns 0, -EAGAIN (no free place), -EINVAL (secret, id or URL unusable),
         * -E2BIG (body over CHANNEL_BODY_MAX), -ENOMEM. */
        int (*send)(HttpClient *client, const ChannelMessage *message, ChannelCallback callback,
                    void *userdata, ChannelSending **ret);
        ChannelSending *(*cancel)(ChannelSending *s);
} ChannelKind;

extern const ChannelKind channel_kind_webhook;

/* The kind of that name, or NULL. */
const ChannelKind *channel_kind_find(const char *name);
/* Sends through a channel with its secret, which is read anew each time, so that a rotated one is
 * taken up by itself. Returns as ChannelKind.send, or -EACCES (the secret cannot be read); words
 * for people in *reterr on every failure. */
int channel_send(HttpClient *client, const ChannelConfig *channel, const char *secrets,
                 const char *id, const char *body, ChannelCallback callback, void *userdata,
                 ChannelSending **ret, StrBuf *reterr) _must_check_;
/* Whether such a failure of channel_send() may pass by itself or by an administrator's hand. */
bool channel_failure_may_pass(int error);
/* Delay before try number `attempt` + 1 (attempt from 1): full jitter over 5 s, 5 min, 30 min, 2 h,
 * 5 h, 10 h, 14 h, 20 h, 24 h, and never before `retry_after`; USEC_INFINITY: give up. */
usec_t channel_retry_delay(unsigned attempt, usec_t retry_after, uint64_t *seed);
