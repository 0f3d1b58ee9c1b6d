/* wheel.h: which item is due next, in ticks of 10 ms: in, out and the next tick that holds anything
 * at a cost that does not grow with the number of items. Allocates nothing. Knows no clock, no
 * sockets and no probes.
 *
 * Nine levels of 64 slots each: an item lies at the level of the highest group of six bits in which
 * its tick differs from the present one, so that whatever lies at a lower level is due before all
 * that lies at a higher one:
 *
 *      level 0: 64 ticks of 10 ms   level 1: 64 x 640 ms   level 2: 64 x 41 s   level 3: 64 x 44
 * min
 *
 * When the present reaches a slot of a higher level, its items move down; that happens on the way
 * to an item that is due, never for its own sake. */
#pragma once

#include "ring.h"
#include "usec.h"

#define WHEEL_TICK (10 * USEC_PER_MSEC)
#define WHEEL_LEVELS 9
#define WHEEL_SLOTS 64

/* Embedded in whatever is scheduled, which must not move while it is in. A zeroed one is out. */
typedef struct WheelItem {
        usec_t at;
        Ring link;
        uint16_t slot; /* the wheel's own: level and place in it */
} WheelItem;

typedef struct Wheel {
        uint64_t present;            /* tick; all that is due by then is in `due` */
        Ring due;                    /* as it became due */
        usec_t due_since;            /* no item of `due` stands at an earlier instant */
        uint64_t used[WHEEL_LEVELS]; /* bit i: slots[i] of the level holds anything */
        Ring slots[WHEEL_LEVELS][WHEEL_SLOTS];
} Wheel;

/* The first tick that does not lie before the instant, as an instant. */
usec_t wheel_round_up(usec_t at);
/* An empty wheel. Moving it in memory breaks it. */
void wheel_init(Wheel *w, usec_t now);
/* Puts an item in, or moves it. Any instant but USEC_INFINITY. */
void wheel_set(Wheel *w, WheelItem *i, usec_t at);
/* Takes an item out; one that is not in stays out. */
void wheel_remove(Wheel *w, WheelItem *i);
/* The next tick at which anything is due, or USEC_INFINITY. When something is due already, a tick
 * that is not later than the first of them: at no cost, however much is due. */
usec_t wheel_next(const Wheel *w);
/* Takes out an item whose tick has come, in the order of ticks; NULL when there is none. Never one
 * whose instant lies after `now`, also when the clock has gone back. */
WheelItem *wheel_take(Wheel *w, usec_t now);
