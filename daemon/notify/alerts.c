#include "alerts.h"

#include <errno.h>
#include <stdio.h>

#include "channel.h"
#include "digest.h"
#include "json.h"
#include "log.h"

#define ALERT_SENTENCE_MAX 1024
#define RAISED_MAX 1024 /* reasons that last at once; beyond it they are said, but not said to be over */
#define JOURNAL_FIELDS_MAX 20

/* A state that lasts. */
typedef struct Raised {
        bool used;
        EventKind kind;
        char service[64], key[256];
        usec_t again; /* when it is said next */
        EventFieldValue *fields; /* one allocation with the texts behind; the last is the sentence, "" : rendered */
        size_t n_fields;
} Raised;

/* One notice waiting for the webhook, the head being the one that is sent. */
typedef struct Notice {
        char id[40];
        char *body;
        unsigned attempt;
} Notice;

struct Alerts {
        Loop *loop;
        HttpClient *client;
        const ChannelConfig *webhook;
        const char *secrets;
        uint64_t seed;
        LoopTimer *repeat_timer, *send_timer;
        ChannelSending *sending;
        Notice queue[ALERTS_QUEUE_MAX];
        size_t first, n;
        uint64_t dropped, dropped_said;
        Raised raised[RAISED_MAX];
};

static void send_next(Alerts *a);

static void drop_head(Alerts *a) {
        free(a->queue[a->first].body);
        a->queue[a->first] = (Notice){ 0 };
        a->first = (a->first + 1) % ALERTS_QUEUE_MAX;
        a->n--;
}

static void on_sent(void *userdata, ChannelResult result, usec_t retry_after, const char *words) {
        Alerts *a = userdata;
        usec_t delay = result == CHANNEL_RETRY ? channel_retry_delay(a->queue[a->first].attempt, retry_after, &a->seed) : USEC_INFINITY;

        a->sending = NULL;
        if (result == CHANNEL_RETRY && delay != USEC_INFINITY) {
                log_message(SEVERITY_WARNING, "alerts: the webhook did not take a notice, it will be tried again: %s", words);
                loop_timer_set(a->send_timer, usec_add(loop_now(a->loop), delay));
                return;
        }
        if (result != CHANNEL_DONE) {
                a->dropped++;
                log_message(SEVERITY_WARNING, "alerts: the webhook will not take a notice, it is given up: %s", words);
        }
        drop_head(a);
        send_next(a);
}

static int send_head(Alerts *a, Notice *notice, StrBuf *words) {
        const ChannelKind *kind = channel_kind_find(a->webhook->kind);
        char *secret = NULL;
        int r;

        if (!kind)
                return -EINVAL;
        if (a->webhook->secret_file && config_read_secret(a->secrets, a->webhook->secret_file, &secret, words) < 0)
                return -EACCES;
        r = kind->send(a->client, &(ChannelMessage){ notice->id, a->webhook->url, secret, notice->body }, on_sent, a, &a->sending);
        if (secret) {
                digest_wipe(secret, strlen(secret));
                free(secret);
        }
        return r;
}

/* Sends the head unless it is under way. A notice goes when its turn has come, so that they arrive in order. */
static void send_next(Alerts *a) {
        STRBUF(words, 512);
        Notice *notice;
        int r;

        if (!a->webhook || a->sending || a->n == 0)
                return;
        notice = &a->queue[a->first];
        notice->attempt++;
        r = send_head(a, notice, &words);
        if (r < 0)
                on_sent(a, r == -EINVAL || r == -E2BIG ? CHANNEL_GONE : CHANNEL_RETRY, 0,
                        words.length > 0 ? words.text : r == -EAGAIN ? "too many requests at once" : "the secret or the URL cannot be used");
}

static void on_send_timer(void *userdata, usec_t now _unused_) {
        send_next(userdata);
}

static void make_id(Alerts *a, char ret[static 40]) {
        uint64_t parts[2];

        if (digest_random(parts, sizeof parts) < 0) {
                parts[0] = usec_jitter(USEC_INFINITY, &a->seed);
                parts[1] = usec_jitter(USEC_INFINITY, &a->seed);
        }
        snprintf(ret, 40, "alert_%016llx%016llx", (unsigned long long)parts[0], (unsigned long long)parts[1]);
}

static char *make_body(EventKind kind, bool over, const char *service, const EventFieldValue fields[], size_t n, const char *sentence, const char *type_now) {
        const EventRow *row = event_row(kind);
        _cleanup_(json_freep) Json *data = json_new_object();
        _cleanup_(freep) char *text = NULL;
        char timestamp[32];

        for (size_t i = 0; i < n; i++)
                json_set_text(data, fields[i].name, fields[i].value);
        if (service[0] != '\0')
                json_set_text(data, "service", service);
        json_set_text(data, "severity", severity_to_string(row->severity));
        json_set_bool(data, "over", over);
        json_set_text(data, "text", sentence);
        json_set_text(data, "type_now", type_now[0] != '\0' ? type_now : NULL);
        text = json_text(data);
        channel_timestamp(timestamp);
        return text ? channel_body(row->type, timestamp, text) : NULL;
}

static void enqueue(Alerts *a, char *body) {
        Notice *notice;

        if (!a->webhook || !body || a->n == ALERTS_QUEUE_MAX) {
                a->dropped += a->webhook != NULL;
                free(body);
                return;
        }
        notice = &a->queue[(a->first + a->n++) % ALERTS_QUEUE_MAX];
        notice->body = body;
        notice->attempt = 0;
        make_id(a, notice->id);
        if (a->n == 1)
                send_next(a);
}

static void log_alert(const EventRow *row, bool over, const EventFieldValue fields[], size_t n, const char *service, const char *sentence) {
        static const char *const names[][2] = {
                { "version", "ROLLBACKD_VERSION" }, { "operation", "ROLLBACKD_OPERATION" }, { "rule", "ROLLBACKD_RULE" },
                { "guard", "ROLLBACKD_GUARD" },     { "from", "ROLLBACKD_FROM" },           { "to", "ROLLBACKD_TO" },
        };
        LogField journal[JOURNAL_FIELDS_MAX];
        size_t count = 0;

        if (service[0] != '\0')
                journal[count++] = (LogField){ "ROLLBACKD_SERVICE", service };
        for (size_t i = 0; i < n && count < JOURNAL_FIELDS_MAX; i++)
                for (size_t j = 0; j < ELEMENTSOF(names) && count < JOURNAL_FIELDS_MAX; j++)
                        if (streq(fields[i].name, names[j][0]))
                                journal[count++] = (LogField){ names[j][1], fields[i].value };
        log_event(over ? SEVERITY_NOTICE : row->severity, row->message_id, journal, count, sentence);
}

static void say(Alerts *a, EventKind kind, bool over, const char *service, const char *given, const EventFieldValue fields[], size_t n) {
        const EventRow *row = event_row(kind);
        STRBUF(sentence, ALERT_SENTENCE_MAX);
        STRBUF(type_now, ALERT_SENTENCE_MAX);
        STRBUF(logged, 2 * ALERT_SENTENCE_MAX);

        if (given && given[0] != '\0')
                strbuf_add(&sentence, given);
        else
                event_render(over ? row->over : row->text, fields, n, &sentence);
        if (!over && row->type_now)
                event_render(row->type_now, fields, n, &type_now);
        strbuf_add(&logged, sentence.text);
        if (type_now.length > 0) {
                strbuf_add(&logged, " Type: ");
                strbuf_add(&logged, type_now.text);
        }
        log_alert(row, over, fields, n, service, logged.text);
        enqueue(a, make_body(kind, over, service, fields, n, sentence.text, type_now.text));
}

static Raised *find_raised(Alerts *a, EventKind kind, const char *service, const char *key) {
        for (size_t i = 0; i < RAISED_MAX; i++) {
                Raised *r = &a->raised[i];

                if (r->used && r->kind == kind && streq(r->service, service) && strncmp(r->key, key, sizeof r->key - 1) == 0)
                        return r;
        }
        return NULL;
}

static char *put_text(char **place, const char *text) {
        char *at = *place;
        size_t n = strlen(text ?: "") + 1;

        memcpy(at, text ?: "", n);
        *place += n;
        return at;
}

/* A copy of the fields with the sentence behind them, in one allocation; NULL without memory. */
static EventFieldValue *copy_fields(const EventFieldValue fields[], size_t n, const char *sentence) {
        size_t size = (n + 1) * sizeof *fields + strlen(sentence ?: "") + 1;
        EventFieldValue *copy;
        char *place;

        for (size_t i = 0; i < n; i++)
                size += strlen(fields[i].value ?: "") + 1;
        copy = malloc(size);
        if (!copy)
                return NULL;
        place = (char *)(copy + n + 1);
        for (size_t i = 0; i < n; i++)
                copy[i] = (EventFieldValue){ fields[i].name, put_text(&place, fields[i].value) };
        copy[n] = (EventFieldValue){ "text", put_text(&place, sentence) };
        return copy;
}

static void arm_repeat(Alerts *a) {
        usec_t next = USEC_INFINITY;

        for (size_t i = 0; i < RAISED_MAX; i++)
                if (a->raised[i].used)
                        next = MIN(next, a->raised[i].again);
        loop_timer_set(a->repeat_timer, next);
}

static void on_repeat(void *userdata, usec_t now) {
        Alerts *a = userdata;

        for (size_t i = 0; i < RAISED_MAX; i++) {
                Raised *r = &a->raised[i];

                if (!r->used || r->again > now)
                        continue;
                r->again = usec_add(now, ALERTS_REPEAT);
                say(a, r->kind, false, r->service, r->fields ? r->fields[r->n_fields].value : NULL, r->fields, r->fields ? r->n_fields : 0);
        }
        arm_repeat(a);
}

/* What was lost is said as soon as there is room again. */
static void say_dropped(Alerts *a) {
        char count[24];
        EventFieldValue fields[] = { { "count", count } };

        if (a->dropped == a->dropped_said || a->n >= ALERTS_QUEUE_MAX / 2)
                return;
        snprintf(count, sizeof count, "%llu", (unsigned long long)(a->dropped - a->dropped_said));
        a->dropped_said = a->dropped;
        say(a, EVENT_ALERTS_DROPPED, false, "", NULL, fields, ELEMENTSOF(fields));
}

void alert_say(Alerts *a, EventKind kind, const char *service, const char *sentence, const EventFieldValue fields[], size_t n) {
        say_dropped(a);
        say(a, kind, false, service, sentence, fields, n);
}

void alert_raise(Alerts *a, EventKind kind, const char *service, const char *key, const char *sentence, const EventFieldValue fields[], size_t n) {
        Raised *r = find_raised(a, kind, service, key);

        if (r)
                return;
        alert_say(a, kind, service, sentence, fields, n);
        for (size_t i = 0; !r && i < RAISED_MAX; i++)
                if (!a->raised[i].used)
                        r = &a->raised[i];
        if (!r) {
                log_message(SEVERITY_WARNING, "alerts: more than %d reasons last at once: this one will not be said to be over", RAISED_MAX);
                return;
        }
        *r = (Raised){ .used = true, .kind = kind, .again = usec_add(loop_now(a->loop), ALERTS_REPEAT), .fields = copy_fields(fields, n, sentence), .n_fields = n };
        snprintf(r->service, sizeof r->service, "%s", service);
        snprintf(r->key, sizeof r->key, "%s", key);
        arm_repeat(a);
}

void alert_over(Alerts *a, EventKind kind, const char *service, const char *key, const char *sentence, const EventFieldValue fields[], size_t n) {
        Raised *r = find_raised(a, kind, service, key);

        if (!r)
                return;
        if (event_row(kind)->over)
                say(a, kind, true, service, sentence, n > 0 || !r->fields ? fields : r->fields, n > 0 || !r->fields ? n : r->n_fields);
        free(r->fields);
        *r = (Raised){ 0 };
        arm_repeat(a);
}

uint64_t alerts_dropped(const Alerts *a) {
        return a->dropped;
}

int alerts_new(Alerts **ret, Loop *loop, HttpClient *client, const ChannelConfig *webhook, const char *secrets, uint64_t seed) {
        _cleanup_(alerts_freep) Alerts *a = calloc(1, sizeof *a);
        int r;

        if (!a)
                return -ENOMEM;
        a->loop = loop;
        a->client = client;
        a->webhook = webhook;
        a->secrets = secrets;
        a->seed = seed;
        r = loop_add_timer(loop, on_repeat, a, "alerts repeat", &a->repeat_timer);
        if (r >= 0)
                r = loop_add_timer(loop, on_send_timer, a, "alerts send", &a->send_timer);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(a);
        return 0;
}

Alerts *alerts_free(Alerts *a) {
        if (!a)
                return NULL;
        if (a->sending)
                a->sending = channel_kind_find(a->webhook->kind)->cancel(a->sending);
        while (a->n > 0)
                drop_head(a);
        for (size_t i = 0; i < RAISED_MAX; i++)
                free(a->raised[i].fields);
        loop_timer_free(a->repeat_timer);
        loop_timer_free(a->send_timer);
        free(a);
        return NULL;
}
