#include "ledger_internal.h"

#include <errno.h>
#include <unistd.h>

#define LEDGER_CHANNEL "rollbackd"

void ledger_tell_trouble(Ledger *l, const char *what, const char *of, const PgFailure *failure) {
        STRBUF(words, 256);

        if (l->closing || !l->owner.on_trouble)
                return;
        strbuf_add(&words, what);
        if (of) {
                strbuf_add_char(&words, ' ');
                strbuf_add_escaped(&words, of, strlen(of));
        }
        l->owner.on_trouble(l->owner.userdata, words.text, failure);
}

PgFailure ledger_unreadable(const char *words, const char *detail) {
        PgFailure f = { .error = PG_CONFIGURATION };
        StrBuf b;

        strbuf_init(&b, f.message, sizeof f.message);
        strbuf_add(&b, words);
        if (detail) {
                strbuf_add(&b, ": ");
                strbuf_add_escaped(&b, detail, strlen(detail));
        }
        return f;
}

void ledger_go_down(Ledger *l, const PgFailure *failure) {
        l->up = false;
        l->failure = *failure;
        l->owner.on_state(l->owner.userdata, false, failure);
}

void ledger_mark_all(Ledger *l) {
        for (size_t i = 0; i < l->n_watched; i++)
                l->watched[i].dirty = true;
}

void ledger_go_up(Ledger *l) {
        l->up = true;
        l->owner.on_state(l->owner.userdata, true, NULL);
        ledger_mark_all(l);
        ledger_ask_failed(l);
        ledger_load_dirty(l);
        ledger_commits_kick(l);
        ledger_queue_pump(l);
        /* Later, so that a decision on these facts finds the connection free. */
        l->unseen = true;
        ledger_recent_soon(l);
        ledger_poll_later(l);
}

static void on_pg_state(void *userdata, bool up, const PgFailure *failure) {
        Ledger *l = userdata;

        if (l->closing)
                return;
        if (!up) {
                ledger_go_down(l, failure);
                return;
        }
        l->up = false;
        ledger_check(l);
}

static LedgerWatched *find_watched(Ledger *l, const char *service, size_t n) {
        for (size_t i = 0; i < l->n_watched; i++)
                if (strlen(l->watched[i].service) == n &&
                    memcmp(l->watched[i].service, service, n) == 0)
                        return &l->watched[i];
        return NULL;
}

/* The payload is "service epoch"; what cannot be read as one is read as "anything". */
static void on_notify(void *userdata, _unused_ const char *channel, const char *payload) {
        Ledger *l = userdata;
        LedgerWatched *w = find_watched(l, payload, strcspn(payload, " "));

        if (l->closing)
                return;
        if (w)
                w->dirty = true;
        if (l->up) {
                loop_timer_set(l->flush_timer, loop_now(l->loop));
                ledger_recent_soon(l);
        }
}

static void on_flush(void *userdata, _unused_ usec_t now) {
        Ledger *l = userdata;

        if (l->up)
                ledger_load_dirty(l);
}

static void on_queue_timer(void *userdata, _unused_ usec_t now) {
        ledger_queue_pump(userdata);
}

static void on_recent_timer(void *userdata, _unused_ usec_t now) {
        Ledger *l = userdata;

        ledger_recent_now(l);
        if (l->up && l->unseen)
                ledger_heartbeat(l);
}

static int add_timers(Ledger *l) {
        const struct {
                LoopTimerCallback callback;
                const char *name;
                LoopTimer **ret;
        } timers[] = {
                { ledger_on_check_timer, "ledger-check", &l->check_timer },
                { ledger_on_poll_timer, "ledger-poll", &l->poll_timer },
                { on_flush, "ledger-load", &l->flush_timer },
                { on_queue_timer, "ledger-queue", &l->queue_timer },
                { on_recent_timer, "ledger-recent", &l->recent_timer },
        };

        for (size_t i = 0; i < ELEMENTSOF(timers); i++) {
                int r = loop_add_timer(l->loop, timers[i].callback, l, timers[i].name,
                                       timers[i].ret);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int on_password(void *userdata, char **ret, StrBuf *reterr) {
        Ledger *l = userdata;

        return l->owner.on_password ? l->owner.on_password(l->owner.userdata, ret, reterr) : 0;
}

int ledger_new(Ledger **ret, Loop *loop, Offload *offload, const char *conninfo,
               const LedgerOwner *owner, uint64_t seed) {
        _cleanup_(ledger_freep) Ledger *l = calloc(1, sizeof *l);
        PgSetup setup = {
                .conninfo = conninfo,
                .on_password = on_password,
                .application_name = "rollbackd",
                .listen = LEDGER_CHANNEL,
                .on_state = on_pg_state,
                .on_notify = on_notify,
                .userdata = l,
        };
        int r;

        if (!l)
                return -ENOMEM;
        *l = (Ledger){ .loop = loop, .owner = *owner, .seed = seed };
        l->tail = &l->head;
        l->failure = (PgFailure){ .error = PG_LOST, .message = "not connected yet" };
        if (gethostname(l->host, sizeof l->host - 1) < 0)
                return -errno;
        r = add_timers(l);
        if (r < 0)
                return r;
        r = pg_new(&l->pg, loop, offload, &setup, seed);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(l);
        return 0;
}

Ledger *ledger_free(Ledger *l) {
        if (!l)
                return NULL;
        l->closing = true;
        l->up = false;
        pg_free(l->pg);
        ledger_commits_free(l);
        ledger_queue_free(l);
        loop_timer_free(l->check_timer);
        loop_timer_free(l->poll_timer);
        loop_timer_free(l->flush_timer);
        loop_timer_free(l->queue_timer);
        loop_timer_free(l->recent_timer);
        ledger_forget_drills(l);
        json_free(l->recent_operations);
        free(l->watched);
        free(l);
        return NULL;
}

void ledger_stop(Ledger *l) {
        l->stopping = true;
        ledger_queue_drop_claims(l);
}

LedgerUnderWay ledger_under_way(const Ledger *l) {
        LedgerUnderWay under_way = { .calls = ledger_queue_under_way(l) };

        ledger_commits_under_way(l, &under_way);
        return under_way;
}

void ledger_try_now(Ledger *l) {
        pg_connect_now(l->pg);
        if (!l->up)
                loop_timer_set(l->check_timer, loop_now(l->loop));
}

bool ledger_is_up(const Ledger *l) {
        return l->up;
}

int ledger_watch(Ledger *l, const LedgerService services[], size_t n) {
        LedgerWatched *watched = calloc(n > 0 ? n : 1, sizeof *watched);

        if (!watched)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                size_t length = strlen(services[i].service);
                if (length >= NAME_SIZE) {
                        free(watched);
                        return -EINVAL;
                }
                memcpy(watched[i].service, services[i].service, length + 1);
                watched[i].cooldown = services[i].cooldown;
                watched[i].budget_per = services[i].budget_per;
                watched[i].dirty = true;
        }
        free(l->watched);
        l->watched = watched;
        l->n_watched = n;
        loop_timer_set(l->flush_timer, loop_now(l->loop));
        return 0;
}

void ledger_refresh(Ledger *l, const char *service) {
        LedgerWatched *w = find_watched(l, service, strlen(service));

        if (!w)
                return;
        w->dirty = true;
        loop_timer_set(l->flush_timer, loop_now(l->loop));
}
