#include "alert_queue.h"

#include <errno.h>

#include "digest.h"
#include "log.h"

#define BUSY_WAIT USEC_PER_SEC
#define ID_BYTES 16
#define HEX "0123456789abcdef"

typedef struct Notice {
        AlertQueue *queue;
        char id[8 + 2 * ID_BYTES];
        char *body; /* NULL: free place */
        Severity severity;
        uint64_t number; /* of arrival */
        unsigned attempt;
        usec_t next;        /* the next try; USEC_INFINITY while one is under way */
        bool asked_to_wait; /* by Retry-After */
        ChannelSending *sending;
} Notice;

struct AlertQueue {
        Loop *loop;
        HttpClient *client;
        const ChannelConfig *webhook;
        const char *secrets;
        uint64_t seed, number, dropped;
        void (*taken)(void *userdata);
        void *userdata;
        LoopTimer *timer;
        unsigned under_way;
        Notice notices[ALERT_QUEUE_MAX];
};

static void notice_clear(Notice *n) {
        free(n->body);
        *n = (Notice){ .queue = n->queue };
}

static void notice_give_up(Notice *n, const char *words) {
        log_message(
                SEVERITY_WARNING,
                "alerts: notice %s was not taken by the webhook in %u tries and is given up: %s",
                n->id, n->attempt, words);
        n->queue->dropped++;
        notice_clear(n);
}

static void notice_try_again(Notice *n, usec_t retry_after, const char *words) {
        AlertQueue *q = n->queue;
        usec_t delay = channel_retry_delay(n->attempt, retry_after, &q->seed);
        STRBUF(wait, 64);

        if (delay == USEC_INFINITY) {
                notice_give_up(n, words);
                return;
        }
        strbuf_add_usec_words(&wait, delay);
        log_message(SEVERITY_WARNING,
                    "alerts: notice %s was not taken by the webhook (try %u), again in %s: %s",
                    n->id, n->attempt, wait.text, words);
        n->asked_to_wait = retry_after > 0;
        n->next = usec_add(loop_now(q->loop), delay);
}

/* The receiver is there again: nothing needs to wait for its turn but what was asked to. */
static void queue_hurry(AlertQueue *q) {
        usec_t now = loop_now(q->loop);

        for (size_t i = 0; i < ALERT_QUEUE_MAX; i++) {
                Notice *n = &q->notices[i];

                if (n->body && !n->sending && !n->asked_to_wait)
                        n->next = MIN(n->next, now);
        }
}

static void queue_arm(AlertQueue *q) {
        usec_t next = USEC_INFINITY;

        for (size_t i = 0; i < ALERT_QUEUE_MAX && q->under_way < ALERT_QUEUE_CONCURRENT; i++)
                if (q->notices[i].body)
                        next = MIN(next, q->notices[i].next);
        loop_timer_set(q->timer, next);
}

static void on_sent(void *userdata, ChannelResult result, usec_t retry_after, const char *words) {
        Notice *n = userdata;
        AlertQueue *q = n->queue;

        n->sending = NULL;
        q->under_way--;
        switch (result) {
        case CHANNEL_DONE:
                notice_clear(n);
                queue_hurry(q);
                break;
        case CHANNEL_RETRY:
                notice_try_again(n, retry_after, words);
                break;
        case CHANNEL_GONE:
                notice_give_up(n, words);
                break;
        }
        queue_arm(q);
        if (result == CHANNEL_DONE)
                q->taken(q->userdata);
}

static void notice_start(Notice *n) {
        AlertQueue *q = n->queue;
        STRBUF(words, 512);
        int r;

        r = channel_send(q->client, q->webhook, q->secrets, n->id, n->body, on_sent, n, &n->sending,
                         &words);
        if (r == -EAGAIN) {
                n->next = usec_add(loop_now(q->loop), BUSY_WAIT);
                return;
        }
        n->attempt++;
        if (r == 0) {
                n->next = USEC_INFINITY;
                q->under_way++;
        } else if (channel_failure_may_pass(r))
                notice_try_again(n, 0, words.text);
        else
                notice_give_up(n, words.text);
}

/* The oldest one whose time has come. */
static Notice *queue_find_due(AlertQueue *q, usec_t now) {
        Notice *due = NULL;

        for (size_t i = 0; i < ALERT_QUEUE_MAX; i++) {
                Notice *n = &q->notices[i];

                if (n->body && n->next <= now && (!due || n->number < due->number))
                        due = n;
        }
        return due;
}

static void queue_on_timer(void *userdata, usec_t now) {
        AlertQueue *q = userdata;
        Notice *n;

        while (q->under_way < ALERT_QUEUE_CONCURRENT && (n = queue_find_due(q, now)))
                notice_start(n);
        queue_arm(q);
}

static int make_id(char ret[static 8 + 2 * ID_BYTES]) {
        uint8_t bytes[ID_BYTES];
        int r;

        r = digest_random(bytes, sizeof bytes);
        if (r < 0)
                return r;
        memcpy(ret, "alert_", 6);
        for (size_t i = 0; i < sizeof bytes; i++) {
                ret[6 + 2 * i] = HEX[bytes[i] >> 4];
                ret[7 + 2 * i] = HEX[bytes[i] & 15];
        }
        ret[6 + 2 * sizeof bytes] = '\0';
        return 0;
}

/* A free place, if need be that of a notice that matters no more than the new one; NULL: the new
 * one matters least. */
static Notice *queue_find_place(AlertQueue *q, Severity severity) {
        Notice *victim = NULL;

        for (size_t i = 0; i < ALERT_QUEUE_MAX; i++) {
                Notice *n = &q->notices[i];

                if (!n->body)
                        return n;
                if (n->sending || n->severity > severity)
                        continue;
                if (!victim || n->severity < victim->severity ||
                    (n->severity == victim->severity && n->number < victim->number))
                        victim = n;
        }
        if (victim) {
                q->dropped++;
                notice_clear(victim);
        }
        return victim;
}

void alert_queue_put(AlertQueue *q, Severity severity, char *body) {
        Notice *n;

        if (!q->webhook) {
                free(body);
                return;
        }
        n = body ? queue_find_place(q, severity) : NULL;
        if (!n || make_id(n->id) < 0) {
                q->dropped++;
                free(body);
                return;
        }
        n->body = body;
        n->severity = severity;
        n->number = ++q->number;
        n->next = loop_now(q->loop);
        queue_arm(q);
}

size_t alert_queue_under_way(const AlertQueue *q) {
        size_t n = 0;

        for (size_t i = 0; i < ALERT_QUEUE_MAX; i++)
                n += q->notices[i].sending || (q->notices[i].body && q->notices[i].attempt == 0);
        return n;
}

size_t alert_queue_room(const AlertQueue *q) {
        size_t room = 0;

        for (size_t i = 0; i < ALERT_QUEUE_MAX; i++)
                room += q->notices[i].body == NULL;
        return room;
}

uint64_t alert_queue_dropped(const AlertQueue *q) {
        return q->dropped;
}

int alert_queue_new(AlertQueue **ret, Loop *loop, HttpClient *client, const ChannelConfig *webhook,
                    const char *secrets, uint64_t seed, void (*taken)(void *userdata),
                    void *userdata) {
        _cleanup_(alert_queue_freep) AlertQueue *q = calloc(1, sizeof *q);
        int r;

        if (!q)
                return -ENOMEM;
        q->loop = loop;
        q->client = client;
        q->webhook = webhook;
        q->secrets = secrets;
        q->seed = seed;
        q->taken = taken;
        q->userdata = userdata;
        for (size_t i = 0; i < ALERT_QUEUE_MAX; i++)
                q->notices[i].queue = q;
        r = loop_add_timer(loop, queue_on_timer, q, "alert-queue", &q->timer);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(q);
        return 0;
}

AlertQueue *alert_queue_free(AlertQueue *q) {
        if (!q)
                return NULL;
        for (size_t i = 0; i < ALERT_QUEUE_MAX; i++) {
                if (q->notices[i].sending)
                        channel_kind_find(q->webhook->kind)->cancel(q->notices[i].sending);
                notice_clear(&q->notices[i]);
        }
        loop_timer_free(q->timer);
        free(q);
        return NULL;
}
