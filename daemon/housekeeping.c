#include "housekeeping.h"

#include <errno.h>
#include <stdlib.h>

#include "log.h"

struct Housekeeping {
        HousekeepingSetup setup;
        Loop *loop;
        const Ledger *ledger;
        Pg *over;
        LoopTimer *timer;
        bool running;
        usec_t began; /* the run */
        LedgerPruned gone;
        unsigned failed; /* batches of the run */
};

HousekeepingSetup housekeeping_setup(usec_t retention, uint64_t seed) {
        return (HousekeepingSetup){
                .retention = retention,
                .first = 5 * USEC_PER_MINUTE + usec_jitter(55 * USEC_PER_MINUTE, &seed),
                .every = USEC_PER_DAY,
                .pause = USEC_PER_SEC,
                .look_again = USEC_PER_MINUTE,
                .batch = 1000,
                .most = 100000,
                .tries = 5,
        };
}

static void add_gone(StrBuf *b, uint64_t n, const char *one, const char *many) {
        if (n == 0)
                return;
        if (b->length > 0)
                strbuf_add(b, ", ");
        strbuf_add_u64(b, n);
        strbuf_add_char(b, ' ');
        strbuf_add(b, n == 1 ? one : many);
}

static void end_run(Housekeeping *h) {
        h->running = false;
        loop_timer_set(h->timer, usec_add(h->began, h->setup.every));
}

static void run_succeeded(Housekeeping *h, bool more) {
        const LedgerPruned *gone = &h->gone;
        STRBUF(words, 160);
        STRBUF(age, 32);

        strbuf_add_usec(&age, h->setup.retention);
        add_gone(&words, gone->events, "event", "events");
        add_gone(&words, gone->deliveries, "delivery", "deliveries");
        add_gone(&words, gone->operations, "operation", "operations");
        add_gone(&words, gone->steps, "step", "steps");
        if (words.length == 0)
                log_message(SEVERITY_INFO, "retention: nothing is older than %s", age.text);
        else
                log_message(SEVERITY_NOTICE, "retention: %s older than %s %s gone%s", words.text,
                            age.text, ledger_pruned_sum(gone) == 1 ? "is" : "are",
                            more ? "; the rest waits for the next time" : "");
        end_run(h);
        h->setup.on_success(h->setup.userdata);
}

static void batch_failed(Housekeeping *h, const PgFailure *failure) {
        bool lost = failure->error == PG_LOST || failure->error == PG_IN_DOUBT;

        /* What a lost connection gives is told by the connection. */
        if (lost || (++h->failed < h->setup.tries && failure->error != PG_CONFIGURATION &&
                     failure->error != PG_REFUSED)) {
                loop_timer_set(h->timer, usec_add(loop_now(h->loop), h->setup.look_again));
                return;
        }
        log_message(SEVERITY_WARNING,
                    "retention: the ledger refused a batch, what is too old stays until the next "
                    "time: %s",
                    failure->message);
        end_run(h);
}

static void on_batch(void *userdata, const PgFailure *failure, const LedgerPruned *pruned) {
        Housekeeping *h = userdata;
        uint64_t n = ledger_pruned_sum(pruned);

        if (failure->error != PG_OK) {
                batch_failed(h, failure);
                return;
        }
        ledger_pruned_add(&h->gone, pruned);
        if (n == 0 || ledger_pruned_sum(&h->gone) >= h->setup.most)
                run_succeeded(h, n > 0);
        else
                loop_timer_set(h->timer, usec_add(loop_now(h->loop), h->setup.pause));
}

static void on_timer(void *userdata, usec_t now) {
        Housekeeping *h = userdata;

        if (!h->running) {
                h->running = true;
                h->began = now;
                h->gone = (LedgerPruned){ 0 };
                h->failed = 0;
        }
        /* A ledger that is away, too old or busy is looked at again, for as long as it takes. */
        if (h->setup.busy(h->setup.userdata) ||
            ledger_prune(h->ledger, h->over, h->setup.retention, h->setup.batch, on_batch, h) < 0)
                loop_timer_set(h->timer, usec_add(now, h->setup.look_again));
}

int housekeeping_new(Housekeeping **ret, Loop *loop, const Ledger *ledger, Pg *over,
                     const HousekeepingSetup *setup) {
        _cleanup_(housekeeping_freep) Housekeeping *h = calloc(1, sizeof *h);
        int r;

        if (!h)
                return -ENOMEM;
        *h = (Housekeeping){ .setup = *setup, .loop = loop, .ledger = ledger, .over = over };
        r = loop_add_timer(loop, on_timer, h, "retention", &h->timer);
        if (r < 0)
                return r;
        loop_timer_set(h->timer, usec_add(loop_now(loop), setup->first));
        *ret = TAKE_PTR(h);
        return 0;
}

Housekeeping *housekeeping_free(Housekeeping *h) {
        if (!h)
                return NULL;
        loop_timer_free(h->timer);
        free(h);
        return NULL;
}
