/* window.h: sums of increases over the last `over`, in up to 64 buckets: constant memory, each increment counted exactly once,
 * half-open on the left (now - over, now]. Knows nothing of what the numbers mean. */
#pragma once

#include "usec.h"

#define WINDOW_BUCKETS 64

typedef struct WindowSums {
        double bad;
        double total;
        usec_t covered; /* time since the first increment's start that is still inside the window, for rates */
} WindowSums;

typedef struct Window {
        usec_t bucket;  /* length of a bucket: over / 60, rounded up */
        usec_t head;    /* end of the newest bucket, a multiple of `bucket` */
        usec_t since;   /* start of the evidence: nothing before it is inside */
        uint16_t index; /* of the newest bucket in the ring */
        uint16_t span;  /* buckets that make `over` */
        double sum_bad, sum_total; /* of all buckets, made anew at each turn of a bucket, so that rounding does not add up */
        struct {
                double bad, total;
        } buckets[WINDOW_BUCKETS];
} Window;

/* Starts empty at `now`. `over` >= 1 ms. */
void window_init(Window *w, usec_t over, usec_t now);
/* Adds increments known at `at`; what is older than the window or than its evidence start is not counted. Returns whether it was counted. */
bool window_add(Window *w, usec_t at, double bad, double total);
/* Moves to `now` and returns the sums. */
WindowSums window_read(Window *w, usec_t now);
/* Forgets everything: evidence starts at `now`. */
void window_clear(Window *w, usec_t now);
