#include "channel.h"

#include <errno.h>

#include "digest.h"

static const ChannelKind *const channel_kinds[] = {
        &channel_kind_webhook,
};

const ChannelKind *channel_kind_find(const char *name) {
        for (size_t i = 0; name && i < ELEMENTSOF(channel_kinds); i++)
                if (streq(channel_kinds[i]->name, name))
                        return channel_kinds[i];
        return NULL;
}

static int refuse(StrBuf *reterr, int error, const char *words) {
        strbuf_add(reterr, words);
        return error;
}

static int send_signed(HttpClient *client, const ChannelConfig *channel,
                       const ChannelMessage *message, ChannelCallback callback, void *userdata,
                       ChannelSending **ret, StrBuf *reterr) {
        const ChannelKind *kind = channel_kind_find(channel->kind);
        int r;

        if (!kind)
                return refuse(reterr, -EINVAL, "there is no such kind of channel");
        r = kind->send(client, message, callback, userdata, ret);
        if (r == -EAGAIN)
                return refuse(reterr, r, "too many requests are under way");
        if (r == -E2BIG)
                return refuse(reterr, r, "the notice is above 20 kB");
        if (r == -ENOMEM)
                return refuse(reterr, r, "out of memory");
        if (r < 0)
                return refuse(reterr, -EINVAL, "the URL or the secret cannot be used");
        return 0;
}

int channel_send(HttpClient *client, const ChannelConfig *channel, const char *secrets,
                 const char *id, const char *body, ChannelCallback callback, void *userdata,
                 ChannelSending **ret, StrBuf *reterr) {
        char *secret = NULL;
        int r;

        if (!channel->url)
                return refuse(reterr, -EINVAL, "the channel has no URL");
        if (channel->secret_file &&
            config_read_secret(secrets, channel->secret_file, &secret, reterr) < 0)
                return -EACCES;
        r = send_signed(client, channel, &(ChannelMessage){ id, channel->url, secret, body },
                        callback, userdata, ret, reterr);
        if (secret)
                digest_wipe(secret, strlen(secret));
        free(secret);
        return r;
}

bool channel_failure_may_pass(int error) {
        return error == -EACCES || error == -ENOMEM || error == -EAGAIN;
}

usec_t channel_retry_delay(unsigned attempt, usec_t retry_after, uint64_t *seed) {
        static const usec_t spans[] = {
                5 * USEC_PER_SEC,   5 * USEC_PER_MINUTE, 30 * USEC_PER_MINUTE,
                2 * USEC_PER_HOUR,  5 * USEC_PER_HOUR,   10 * USEC_PER_HOUR,
                14 * USEC_PER_HOUR, 20 * USEC_PER_HOUR,  24 * USEC_PER_HOUR,
        };
        usec_t delay;

        if (attempt == 0 || attempt > ELEMENTSOF(spans))
                return USEC_INFINITY;
        delay = usec_jitter(spans[attempt - 1], seed);
        return MAX(delay, MIN(retry_after, CHANNEL_RETRY_AFTER_MAX));
}
