#include "alerts.h"

#include <errno.h>

#include "alert_queue.h"
#include "log.h"
#include "notice.h"

#define JOURNAL_FIELDS_MAX 8
/* So much room there must be before the queue is asked to say that it had none. */
#define ROOM_TO_SAY (ALERT_QUEUE_MAX / 4)

/* A state that lasts. Every text is its own. */
typedef struct Lasting {
        EventKind kind;
        char *service, *key;
        usec_t again; /* when it is said next */
        EventFieldValue
                *fields; /* one allocation with the texts behind; NULL: for want of memory */
        size_t n_fields;
} Lasting;

struct Alerts {
        Loop *loop;
        AlertQueue *queue;
        LoopTimer *timer;
        Lasting *lasting;
        size_t n_lasting, n_allocated;
        uint64_t beyond, dropped_said; /* states beyond ALERTS_LASTING_MAX */
};

size_t alerts_under_way(const Alerts *a) {
        return alert_queue_under_way(a->queue);
}

uint64_t alerts_dropped(const Alerts *a) {
        return alert_queue_dropped(a->queue) + a->beyond;
}

static void log_alert(const EventRow *row, bool over, const char *service,
                      const EventFieldValue fields[], size_t n) {
        STRBUF(sentence, NOTICE_TEXT_MAX + 16 + NOTICE_TEXT_MAX);
        STRBUF(type_now, NOTICE_TEXT_MAX);
        LogField journal[JOURNAL_FIELDS_MAX];
        size_t count = 0;

        if (service[0] != '\0')
                journal[count++] = (LogField){ event_journal_field("service"), service };
        for (size_t i = 0; i < n && count < JOURNAL_FIELDS_MAX; i++) {
                const char *name = event_journal_field(fields[i].name);

                if (name && fields[i].value && !streq(fields[i].name, "service"))
                        journal[count++] = (LogField){ name, fields[i].value };
        }
        notice_render(row, over, fields, n, &sentence, &type_now);
        if (type_now.length > 0) {
                strbuf_add(&sentence, ". Type: ");
                strbuf_add(&sentence, type_now.text);
        }
        log_event(over ? SEVERITY_NOTICE : row->severity, row->message_id, journal, count,
                  sentence.text);
}

static void say(Alerts *a, EventKind kind, bool over, const char *service,
                const EventFieldValue fields[], size_t n) {
        const EventRow *row = event_row(kind);
        Json *data = json_new_object();
        char timestamp[32];

        log_alert(row, over, service, fields, n);
        for (size_t i = 0; i < n; i++)
                json_set_text(data, fields[i].name, fields[i].value);
        if (service[0] != '\0')
                json_set_text(data, "service", service);
        notice_timestamp(timestamp);
        alert_queue_put(a->queue, over ? SEVERITY_NOTICE : row->severity,
                        notice_body(row, over, timestamp, data, fields, n));
}

/* What was lost is said as soon as there is room for it. */
static void say_dropped(Alerts *a) {
        uint64_t dropped = alerts_dropped(a);
        STRBUF(count, 24);
        EventFieldValue fields[] = { { "count", count_storage } };

        if (dropped == a->dropped_said || alert_queue_room(a->queue) < ROOM_TO_SAY)
                return;
        strbuf_add_u64(&count, dropped - a->dropped_said);
        a->dropped_said = dropped;
        say(a, EVENT_ALERTS_DROPPED, false, "", fields, ELEMENTSOF(fields));
}

static void on_taken(void *userdata) {
        say_dropped(userdata);
}

void alert_say(Alerts *a, EventKind kind, const char *service, const EventFieldValue fields[],
               size_t n) {
        say_dropped(a);
        say(a, kind, false, service, fields, n);
}

static Lasting *find_lasting(Alerts *a, EventKind kind, const char *service, const char *key) {
        for (size_t i = 0; i < a->n_lasting; i++) {
                Lasting *l = &a->lasting[i];

                if (l->kind == kind && streq(l->service, service) && streq(l->key, key))
                        return l;
        }
        return NULL;
}

static EventFieldValue *copy_fields(const EventFieldValue fields[], size_t n) {
        size_t size = n * sizeof *fields + 1;
        EventFieldValue *copy;
        char *at;

        for (size_t i = 0; i < n; i++)
                size += strlen(fields[i].name) + 1 +
                        (fields[i].value ? strlen(fields[i].value) + 1 : 0);
        copy = malloc(size);
        if (!copy)
                return NULL;
        at = (char *)(copy + n);
        for (size_t i = 0; i < n; i++) {
                copy[i].name = at;
                at = stpcpy(at, fields[i].name) + 1;
                copy[i].value = fields[i].value ? at : NULL;
                if (fields[i].value)
                        at = stpcpy(at, fields[i].value) + 1;
        }
        return copy;
}

static void lasting_set_fields(Lasting *l, const EventFieldValue fields[], size_t n) {
        EventFieldValue *copy = copy_fields(fields, n);

        if (!copy)
                return;
        free(l->fields);
        l->fields = copy;
        l->n_fields = n;
}

static void lasting_done(Lasting *l) {
        free(l->service);
        free(l->key);
        free(l->fields);
}

/* NULL: no room or no memory. */
static Lasting *add_lasting(Alerts *a, EventKind kind, const char *service, const char *key) {
        Lasting l = { .kind = kind, .again = usec_add(loop_now(a->loop), ALERTS_REPEAT) };

        if (a->n_lasting == a->n_allocated && a->n_allocated < ALERTS_LASTING_MAX) {
                size_t more = a->n_allocated ? 2 * a->n_allocated : 32;
                Lasting *longer = reallocarray(a->lasting, more, sizeof *longer);

                if (!longer)
                        return NULL;
                a->lasting = longer;
                a->n_allocated = more;
        }
        if (a->n_lasting == a->n_allocated)
                return NULL;
        l.service = strdup(service);
        l.key = strdup(key);
        if (!l.service || !l.key) {
                lasting_done(&l);
                return NULL;
        }
        a->lasting[a->n_lasting] = l;
        return &a->lasting[a->n_lasting++];
}

static void arm(Alerts *a) {
        usec_t next = USEC_INFINITY;

        for (size_t i = 0; i < a->n_lasting; i++)
                next = MIN(next, a->lasting[i].again);
        loop_timer_set(a->timer, next);
}

static void on_timer(void *userdata, usec_t now) {
        Alerts *a = userdata;

        say_dropped(a);
        for (size_t i = 0; i < a->n_lasting; i++) {
                Lasting *l = &a->lasting[i];

                if (l->again > now)
                        continue;
                l->again = usec_add(now, ALERTS_REPEAT);
                say(a, l->kind, false, l->service, l->fields, l->n_fields);
        }
        arm(a);
}

void alert_raise(Alerts *a, EventKind kind, const char *service, const char *key,
                 const EventFieldValue fields[], size_t n) {
        Lasting *l = find_lasting(a, kind, service, key);

        if (l) {
                lasting_set_fields(l, fields, n);
                return;
        }
        l = add_lasting(a, kind, service, key);
        if (!l) {
                a->beyond++;
                say_dropped(a);
                return;
        }
        lasting_set_fields(l, fields, n);
        arm(a);
        alert_say(a, kind, service, fields, n);
}

void alert_over(Alerts *a, EventKind kind, const char *service, const char *key,
                const EventFieldValue fields[], size_t n) {
        Lasting *l = find_lasting(a, kind, service, key), ended;

        if (!l)
                return;
        ended = *l;
        *l = a->lasting[--a->n_lasting];
        if (event_row(kind)->over)
                say(a, kind, true, service, n > 0 ? fields : ended.fields,
                    n > 0 ? n : ended.n_fields);
        lasting_done(&ended);
        arm(a);
}

void alerts_forget_service(Alerts *a, const char *service) {
        size_t kept = 0;

        for (size_t i = 0; i < a->n_lasting; i++)
                if (streq(a->lasting[i].service, service))
                        lasting_done(&a->lasting[i]);
                else
                        a->lasting[kept++] = a->lasting[i];
        a->n_lasting = kept;
        arm(a);
}

int alerts_new(Alerts **ret, Loop *loop, HttpClient *client, const ChannelConfig *webhook,
               const char *secrets, uint64_t seed) {
        _cleanup_(alerts_freep) Alerts *a = calloc(1, sizeof *a);
        int r;

        if (!a)
                return -ENOMEM;
        a->loop = loop;
        r = alert_queue_new(&a->queue, loop, client, webhook, secrets, seed, on_taken, a);
        if (r < 0)
                return r;
        r = loop_add_timer(loop, on_timer, a, "alerts", &a->timer);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(a);
        return 0;
}

Alerts *alerts_free(Alerts *a) {
        if (!a)
                return NULL;
        alert_queue_free(a->queue);
        for (size_t i = 0; i < a->n_lasting; i++)
                lasting_done(&a->lasting[i]);
        free(a->lasting);
        loop_timer_free(a->timer);
        free(a);
        return NULL;
}
