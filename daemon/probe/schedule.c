#include <errno.h>

#include "schedule.h"

void schedule_done(Schedule *s) {
        free(s->items);
        *s = (Schedule){};
}

int schedule_reserve(Schedule *s, size_t n) {
        size_t capacity = s->capacity ? s->capacity : 64;

        while (capacity < n)
                capacity *= 2;
        if (capacity == s->capacity)
                return 0;

        ScheduleItem **items = reallocarray(s->items, capacity, sizeof *items);
        if (!items)
                return -ENOMEM;
        s->items = items;
        s->capacity = capacity;
        return 0;
}

void schedule_item_init(ScheduleItem *i) {
        *i = (ScheduleItem){ .position = SCHEDULE_OUT };
}

static void place(Schedule *s, ScheduleItem *i, size_t position) {
        s->items[position] = i;
        i->position = position;
}

static void rise(Schedule *s, ScheduleItem *i) {
        size_t position = i->position;

        while (position > 0 && s->items[(position - 1) / 2]->at > i->at) {
                place(s, s->items[(position - 1) / 2], position);
                position = (position - 1) / 2;
        }
        place(s, i, position);
}

static void sink(Schedule *s, ScheduleItem *i) {
        size_t position = i->position;

        for (;;) {
                size_t child = 2 * position + 1;

                if (child >= s->n)
                        break;
                if (child + 1 < s->n && s->items[child + 1]->at < s->items[child]->at)
                        child++;
                if (s->items[child]->at >= i->at)
                        break;
                place(s, s->items[child], position);
                position = child;
        }
        place(s, i, position);
}

void schedule_set(Schedule *s, ScheduleItem *i, usec_t at) {
        i->at = at;
        if (i->position == SCHEDULE_OUT) {
                assert(s->n < s->capacity);
                place(s, i, s->n++);
        }
        rise(s, i);
        sink(s, i);
}

void schedule_remove(Schedule *s, ScheduleItem *i) {
        size_t position = i->position;

        if (position == SCHEDULE_OUT)
                return;
        i->position = SCHEDULE_OUT;

        ScheduleItem *last = s->items[--s->n];
        if (last == i)
                return;
        place(s, last, position);
        rise(s, last);
        sink(s, last);
}

ScheduleItem *schedule_first(const Schedule *s) {
        return s->n > 0 ? s->items[0] : NULL;
}
