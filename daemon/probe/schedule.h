/* schedule.h: which item is due first: a binary heap of instants, whose items are moved in place.
 * Set-up reserves the room, so that nothing fails later. Knows no clock and no probes. */
#pragma once

#include "usec.h"

#define SCHEDULE_OUT SIZE_MAX

/* Embedded in whatever is scheduled, which must not move while it is in. */
typedef struct ScheduleItem {
        usec_t at;
        size_t position; /* in the heap; SCHEDULE_OUT: not in it */
} ScheduleItem;

typedef struct Schedule {
        ScheduleItem **items;
        size_t n, capacity;
} Schedule;

/* Frees the heap, not the items. A zeroed Schedule is an empty one. */
void schedule_done(Schedule *s);
/* Makes room for n items in all. Returns 0 or -ENOMEM. */
int schedule_reserve(Schedule *s, size_t n) _must_check_;
/* An item that is in no schedule. */
void schedule_item_init(ScheduleItem *i);
/* Puts an item in (room must have been reserved), or moves it. */
void schedule_set(Schedule *s, ScheduleItem *i, usec_t at);
/* Takes an item out; one that is not in stays out. */
void schedule_remove(Schedule *s, ScheduleItem *i);
/* The item that is due first, or NULL. */
ScheduleItem *schedule_first(const Schedule *s);
