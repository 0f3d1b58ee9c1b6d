#include "deliveries.h"

#include <errno.h>
#include <stdio.h>

#include "channel.h"
#include "notice.h"

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

int deliveries_new(Deliveries **ret, Loop *loop _unused_, HttpClient *client, const char *secrets,
                   DeliveryCallback callback, void *userdata, uint64_t seed) {
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

static void report(Deliveries *d, const char *id, unsigned attempt, ChannelResult result,
                   usec_t retry_after, const char *words) {
        usec_t delay = result == CHANNEL_RETRY ?
                               channel_retry_delay(attempt, retry_after, &d->seed) :
                               0;

        if (result == CHANNEL_DONE)
                d->callback(d->userdata, id, DELIVERY_DONE, 0, words);
        else if (result == CHANNEL_GONE || delay == USEC_INFINITY)
                d->callback(d->userdata, id, DELIVERY_DEAD, 0, words);
        else
                d->callback(d->userdata, id, DELIVERY_RETRY, delay, words);
}

static void on_result(void *userdata, ChannelResult result, usec_t retry_after, const char *words) {
        Sent s = *(Sent *)userdata;

        *(Sent *)userdata = (Sent){ 0 };
        report(s.deliveries, s.id, s.attempt, result, retry_after, words);
}

/* NULL: not there, no text, or no memory. */
static char *copy_text(const Json *object, const char *key) {
        const char *text = json_get_text(object, key, NULL);

        return text ? strdup(text) : NULL;
}

/* The event's fields as texts, for its sentence; numbers as they are written. The texts of *storage
 * are to be freed. */
static size_t flatten(const Json *data, EventFieldValue fields[static NOTICE_FIELDS_MAX],
                      char *storage[static NOTICE_FIELDS_MAX]) {
        const Json *value;
        const char *key;
        void *at = NULL;
        size_t n = 0;

        while (n < NOTICE_FIELDS_MAX && (key = json_next(data, &at, &value))) {
                storage[n] = json_is_text(value) ? NULL : json_text(value);
                fields[n] = (EventFieldValue){ key,
                                               storage[n] ? storage[n] : json_text_value(value) };
                n++;
        }
        return n;
}

/* {fields..., service, operation, seq}, and for a kind of event that we know its severity, text and
 * type_now. */
static char *make_body(const Delivery *delivery) {
        const char *text = delivery->fields ? delivery->fields : "{}";
        EventFieldValue fields[NOTICE_FIELDS_MAX];
        char *storage[NOTICE_FIELDS_MAX], *body;
        int kind = event_kind_from_type(delivery->type);
        STRBUF(error, 128);
        Json *data = json_parse(text, strlen(text), &error);
        size_t n;

        if (!json_is_object(data)) {
                json_free(data);
                return NULL;
        }
        json_set_text(data, "service", delivery->service);
        json_set_text(data, "operation", delivery->operation);
        json_set_u64(data, "seq", delivery->seq);
        if (kind < 0)
                return notice_body_plain(delivery->type, delivery->at, data);
        n = flatten(data, fields, storage);
        body = notice_body(event_row((EventKind)kind), false, delivery->at, data, fields, n);
        for (size_t i = 0; i < n; i++)
                free(storage[i]);
        return body;
}

static int send_one(Deliveries *d, Sent *s, const Delivery *delivery, StrBuf *words) {
        _cleanup_(freep) char *kind = copy_text(delivery->channel, "kind"),
                              *url = copy_text(delivery->channel, "url"),
                              *secret = copy_text(delivery->channel, "secret_file");
        const ChannelConfig channel = { .kind = kind, .url = url, .secret_file = secret };
        _cleanup_(freep) char *body = make_body(delivery);

        if (!body) {
                strbuf_add(words, "the event's fields are no JSON object");
                return -EINVAL;
        }
        s->kind = channel_kind_find(kind);
        return channel_send(d->client, &channel, d->secrets, delivery->id, body, on_result, s,
                            &s->sending, words);
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
        /* A secret that cannot be read may be mended: the schedule goes on. What can never be sent
         * is dead. */
        if (channel_failure_may_pass(r)) {
                report(d, delivery->id, delivery->attempt, CHANNEL_RETRY, 0, words.text);
                return 0;
        }
        d->callback(d->userdata, delivery->id, DELIVERY_DEAD, 0, words.text);
        return -EINVAL;
}
