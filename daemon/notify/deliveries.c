#include "deliveries.h"

#include <errno.h>
#include <stdio.h>

#include "channel.h"
#include "digest.h"

typedef struct Sent {
        Deliveries *deliveries; /* NULL: the place is free */
        char id[64];
        unsigned attempt;
        const ChannelKind *kind;
        ChannelSending *sending;
} Sent;

struct Deliveries {
        HttpClient *client;
        const char *secrets;
        DeliveryCallback callback;
        void *userdata;
        uint64_t seed;
        Sent sent[HTTP_CLIENT_CONCURRENT];
};

int deliveries_new(Deliveries **ret, Loop *loop _unused_, HttpClient *client, const char *secrets, DeliveryCallback callback, void *userdata, uint64_t seed) {
        Deliveries *d = calloc(1, sizeof *d);

        if (!d)
                return -ENOMEM;
        d->client = client;
        d->secrets = secrets;
        d->callback = callback;
        d->userdata = userdata;
        d->seed = seed;
        *ret = d;
        return 0;
}

Deliveries *deliveries_free(Deliveries *d) {
        if (!d)
                return NULL;
        for (size_t i = 0; i < ELEMENTSOF(d->sent); i++)
                if (d->sent[i].deliveries)
                        d->sent[i].sending = d->sent[i].kind->cancel(d->sent[i].sending);
        free(d);
        return NULL;
}

size_t deliveries_in_flight(const Deliveries *d) {
        size_t n = 0;

        for (size_t i = 0; i < ELEMENTSOF(d->sent); i++)
                n += d->sent[i].deliveries != NULL;
        return n;
}

static void on_result(void *userdata, ChannelResult result, usec_t retry_after, const char *words) {
        Sent *s = userdata;
        Deliveries *d = s->deliveries;
        usec_t delay = result == CHANNEL_RETRY ? channel_retry_delay(s->attempt, retry_after, &d->seed) : 0;
        char id[sizeof s->id];

        memcpy(id, s->id, sizeof id);
        *s = (Sent){ 0 };
        if (result == CHANNEL_DONE)
                d->callback(d->userdata, id, DELIVERY_DONE, 0, words);
        else if (result == CHANNEL_GONE || delay == USEC_INFINITY)
                d->callback(d->userdata, id, DELIVERY_DEAD, 0, words);
        else
                d->callback(d->userdata, id, DELIVERY_RETRY, delay, words);
}

/* {fields..., "service", "operation", "seq"} */
static char *make_data(const Delivery *delivery) {
        STRBUF(error, 128);
        _cleanup_(json_freep) Json *data = json_parse(delivery->fields ?: "{}", strlen(delivery->fields ?: "{}"), &error);

        if (!data || !json_is_object(data))
                return NULL;
        json_set_text(data, "service", delivery->service);
        json_set_text(data, "operation", delivery->operation);
        json_set_u64(data, "seq", delivery->seq);
        return json_text(data);
}

static int send_one(Deliveries *d, Sent *s, const Delivery *delivery, StrBuf *words) {
        const char *secret_file = json_get_text(delivery->channel, "secret_file", NULL);
        _cleanup_(freep) char *data = make_data(delivery);
        _cleanup_(freep) char *body = data ? channel_body(delivery->type, delivery->at, data) : NULL;
        char *secret = NULL;
        int r = -EINVAL;

        s->kind = channel_kind_find(json_get_text(delivery->channel, "kind", NULL));
        if (!s->kind || !body || !json_get_text(delivery->channel, "url", NULL)) {
                strbuf_add(words, "the subscriber's entry or the event's fields cannot be used");
                return -EINVAL;
        }
        if (secret_file && config_read_secret(d->secrets, secret_file, &secret, words) < 0)
                return -EACCES;
        r = s->kind->send(d->client, &(ChannelMessage){ delivery->id, json_get_text(delivery->channel, "url", NULL), secret, body }, on_result, s, &s->sending);
        if (r == -EINVAL)
                strbuf_add(words, "the secret or the URL cannot be used");
        else if (r == -E2BIG)
                strbuf_add(words, "the notice is over 20 kB");
        if (secret) {
                digest_wipe(secret, strlen(secret));
                free(secret);
        }
        return r;
}

int deliveries_send(Deliveries *d, const Delivery *delivery) {
        STRBUF(words, 512);
        Sent *s = NULL;
        int r;

        for (size_t i = 0; !s && i < ELEMENTSOF(d->sent); i++)
                if (!d->sent[i].deliveries)
                        s = &d->sent[i];
        if (!s)
                return -EAGAIN;
        s->deliveries = d;
        s->attempt = delivery->attempt;
        snprintf(s->id, sizeof s->id, "%s", delivery->id);
        r = send_one(d, s, delivery, &words);
        if (r >= 0)
                return 0;
        *s = (Sent){ 0 };
        if (r == -EAGAIN)
                return r;
        /* A secret that cannot be read may be mended: the schedule goes on. What can never be sent is dead. */
        if (r == -EACCES || r == -ENOMEM) {
                usec_t delay = channel_retry_delay(delivery->attempt, 0, &d->seed);

                d->callback(d->userdata, delivery->id, delay == USEC_INFINITY ? DELIVERY_DEAD : DELIVERY_RETRY, delay == USEC_INFINITY ? 0 : delay, words.text);
                return 0;
        }
        d->callback(d->userdata, delivery->id, DELIVERY_DEAD, 0, words.text);
        return -EINVAL;
}
