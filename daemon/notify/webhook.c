/* The webhook channel: Standard Webhooks 1.0.0 over POST. 2xx is success and nothing else;
 * redirects are not followed. */
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "channel.h"
#include "signature.h"

struct ChannelSending {
        ChannelCallback callback;
        void *userdata;
        HttpRequest *request;
};

static bool is_throttled(unsigned status) {
        return status == 429 || status == 502 || status == 503 || status == 504;
}

static void on_reply(void *userdata, const HttpReply *reply) {
        ChannelSending *s = userdata;
        ChannelCallback callback = s->callback;
        void *owner = s->userdata;
        char words[CHANNEL_WORDS_MAX];
        ChannelResult result = CHANNEL_RETRY;

        free(s);
        if (reply->error < 0)
                snprintf(words, sizeof words, "%s", reply->words);
        else {
                snprintf(words, sizeof words, "the receiver answered %u", reply->status);
                if (reply->status >= 200 && reply->status < 300)
                        result = CHANNEL_DONE;
                else if (reply->status == 410)
                        result = CHANNEL_GONE;
        }
        callback(owner, result,
                 reply->error == 0 && is_throttled(reply->status) ? reply->retry_after : 0, words);
}

static int send_webhook(HttpClient *client, const ChannelMessage *message, ChannelCallback callback,
                        void *userdata, ChannelSending **ret) {
        char id[128], timestamp[64], signature_header[SIGNATURE_SIZE + 32],
                signature[SIGNATURE_SIZE];
        const char *headers[] = { "Content-Type: application/json", id, timestamp,
                                  message->secret ? signature_header : NULL, NULL };
        size_t size = strlen(message->body);
        struct timespec t;
        ChannelSending *s;
        int r;

        if (size > CHANNEL_BODY_MAX)
                return -E2BIG;
        clock_gettime(CLOCK_REALTIME, &t);
        if (snprintf(id, sizeof id, "webhook-id: %s", message->id) >= (int)sizeof id ||
            strchr(message->id, '.'))
                return -EINVAL;
        snprintf(timestamp, sizeof timestamp, "webhook-timestamp: %lld", (long long)t.tv_sec);
        if (message->secret) {
                r = signature_make(message->secret, message->id, t.tv_sec, message->body,
                                   signature);
                if (r < 0)
                        return r;
                snprintf(signature_header, sizeof signature_header, "webhook-signature: %s",
                         signature);
        }
        s = calloc(1, sizeof *s);
        if (!s)
                return -ENOMEM;
        s->callback = callback;
        s->userdata = userdata;
        r = http_client_post(client, message->url, headers, message->body, size, CHANNEL_TIMEOUT,
                             on_reply, s, &s->request);
        if (r < 0) {
                free(s);
                return r;
        }
        *ret = s;
        return 0;
}

static ChannelSending *cancel_webhook(ChannelSending *s) {
        if (s) {
                http_request_cancel(s->request);
                free(s);
        }
        return NULL;
}

const ChannelKind channel_kind_webhook = {
        .name = "webhook",
        .send = send_webhook,
        .cancel = cancel_webhook,
};
