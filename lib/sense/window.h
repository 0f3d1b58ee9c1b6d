/* window.h: sums of increments over the last `over`, in up to 64 buckets: constant memory, each
 * increment counted exactly once. At `now` the window is (head - over, now], where head is the
 * end of the bucket that holds `now`: an increment counts for at most `over` and at least for
 * all of it but one bucket. Two cache lines per call while the bucket stays the same. Knows
 * nothing of what the numbers mean. */
#pragma once

#include "usec.h"

#define WINDOW_BUCKETS 64

typedef struct WindowSums {
        double bad;
        double total;
        /* time that the sums stand for, since the window's left end or the start of the
         * evidence; for rates */
        usec_t covered;
} WindowSums;

typedef struct Window {
        usec_t bucket;  /* length of a bucket: over / span, evenly for whole milliseconds */
        usec_t head;    /* end of the newest bucket, a multiple of `bucket` */
        usec_t since;   /* start of the evidence: nothing before it is inside */
        uint16_t index; /* of the newest bucket in the ring */
        uint16_t span;  /* buckets that make `over`, 50..60: the part of the ring in use */
        /* of all buckets, made anew at each turn of a bucket, so that rounding does not add up */
        double sum_bad, sum_total;
        struct {
                double bad, total;
        } buckets[WINDOW_BUCKETS];
} Window;

/* Starts empty, with evidence from `now` on. `over` >= 1 ms. */
void window_init(Window *w, usec_t over, usec_t now);
/* Adds increments known at `at`, late ones to the bucket in which they belong. Not counted is
 * what the window has passed, what lies at or before the start of the evidence, and a pair in
 * which either is negative, infinite or NaN. Returns whether it was counted. */
bool window_add(Window *w, usec_t at, double bad, double total);
/* Moves to `now`, never back, and returns the sums. */
WindowSums window_read(Window *w, usec_t now);
/* Forgets everything: evidence starts at `now`, which may lie in the future. */
void window_clear(Window *w, usec_t now);
