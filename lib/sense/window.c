#include <math.h>

#include "window.h"

#define BUCKETS_WANTED 60 /* whole seconds for a minute, whole minutes for an hour */
#define BUCKETS_LEAST 50  /* divides every whole number of milliseconds */

static usec_t round_up(usec_t t, usec_t unit) {
        usec_t whole = t / unit * unit;

        return whole == t ? t : usec_add(whole, unit);
}

/* Buckets that divide `over` evenly; where none do, a little less than `over`, never more. */
static void choose_buckets(Window *w, usec_t over) {
        for (uint16_t span = BUCKETS_WANTED; span >= BUCKETS_LEAST; span--)
                if (over % span == 0) {
                        w->bucket = over / span;
                        w->span = span;
                        return;
                }
        w->bucket = over / BUCKETS_WANTED + 1;
        w->span = (uint16_t)(over / w->bucket);
}

void window_init(Window *w, usec_t over, usec_t now) {
        assert(over >= USEC_PER_MSEC && over < USEC_INFINITY);
        choose_buckets(w, over);
        window_clear(w, now);
}

void window_clear(Window *w, usec_t now) {
        w->head = round_up(now, w->bucket);
        w->since = now;
        w->index = 0;
        w->sum_bad = w->sum_total = 0;
        memset(w->buckets, 0, sizeof w->buckets);
}

/* Turns the ring until `t` lies in its newest bucket, and sums what is left. */
static void turn(Window *w, usec_t t) {
        usec_t turns = (t - w->head - 1) / w->bucket + 1;
        double bad = 0, total = 0;

        w->head += turns * w->bucket;
        for (usec_t i = MIN(turns, (usec_t)w->span); i > 0; i--) {
                w->index = (uint16_t)(w->index + 1 == w->span ? 0 : w->index + 1);
                w->buckets[w->index].bad = w->buckets[w->index].total = 0;
        }
        for (size_t i = 0; i < w->span; i++) {
                bad += w->buckets[i].bad;
                total += w->buckets[i].total;
        }
        w->sum_bad = bad;
        w->sum_total = total;
}

static bool is_countable(double x) {
        return x >= 0 && x < (double)INFINITY; /* NaN is neither */
}

bool window_add(Window *w, usec_t at, double bad, double total) {
        size_t i = w->index;
        usec_t age;

        if (at <= w->since || at > USEC_INFINITY - w->bucket || !is_countable(bad) ||
            !is_countable(total))
                return false;
        if (at > w->head) {
                turn(w, at);
                i = w->index;
        } else if (w->head - at >= w->bucket) { /* late: it belongs to an older bucket */
                age = (w->head - at) / w->bucket;
                if (age >= w->span)
                        return false;
                i = (i + w->span - (size_t)age) % w->span;
        }
        w->buckets[i].bad += bad;
        w->buckets[i].total += total;
        w->sum_bad += bad;
        w->sum_total += total;
        return true;
}

WindowSums window_read(Window *w, usec_t now) {
        usec_t start;

        if (now > w->head && now <= USEC_INFINITY - w->bucket)
                turn(w, now);
        start = usec_sub(w->head, w->bucket * w->span);
        return (WindowSums){
                .bad = w->sum_bad,
                .total = w->sum_total,
                .covered = usec_sub(now, MAX(start, w->since)),
        };
}
