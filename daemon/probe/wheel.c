#include "wheel.h"

#define GROUP_BITS 6
#define DUE UINT16_MAX /* slot of an item that is in `due` */

static uint64_t tick_of(usec_t at) {
        return at / WHEEL_TICK + (at % WHEEL_TICK > 0);
}

usec_t wheel_round_up(usec_t at) {
        uint64_t tick = tick_of(at);

        return tick > USEC_INFINITY / WHEEL_TICK ? USEC_INFINITY : tick * WHEEL_TICK;
}

void wheel_init(Wheel *w, usec_t now) {
        *w = (Wheel){ .present = now / WHEEL_TICK };
        ring_init(&w->due);
        for (unsigned level = 0; level < WHEEL_LEVELS; level++)
                for (unsigned slot = 0; slot < WHEEL_SLOTS; slot++)
                        ring_init(&w->slots[level][slot]);
}

static void put(Wheel *w, WheelItem *i) {
        uint64_t tick = tick_of(i->at);

        if (tick <= w->present) {
                i->slot = DUE;
                w->due_since = ring_is_empty(&w->due) ? i->at : MIN(w->due_since, i->at);
                ring_append(&w->due, &i->link);
                return;
        }

        unsigned highest = 63 - (unsigned)__builtin_clzll(tick ^ w->present);
        unsigned level = highest / GROUP_BITS;
        unsigned slot = tick >> level * GROUP_BITS & (WHEEL_SLOTS - 1);

        assert(level < WHEEL_LEVELS);
        i->slot = (uint16_t)(level * WHEEL_SLOTS + slot);
        w->used[level] |= (uint64_t)1 << slot;
        ring_append(&w->slots[level][slot], &i->link);
}

void wheel_remove(Wheel *w, WheelItem *i) {
        if (!ring_has(&i->link))
                return;
        ring_remove(&i->link);
        if (i->slot == DUE)
                return;

        unsigned level = i->slot / WHEEL_SLOTS, slot = i->slot % WHEEL_SLOTS;

        if (ring_is_empty(&w->slots[level][slot]))
                w->used[level] &= ~((uint64_t)1 << slot);
}

void wheel_set(Wheel *w, WheelItem *i, usec_t at) {
        assert(at != USEC_INFINITY);
        if (i->at == at && ring_has(&i->link))
                return;
        wheel_remove(w, i);
        i->at = at;
        put(w, i);
}

/* The lowest level that holds anything, or WHEEL_LEVELS. */
static unsigned lowest_level(const Wheel *w) {
        unsigned level = 0;

        while (level < WHEEL_LEVELS && w->used[level] == 0)
                level++;
        return level;
}

static usec_t earliest(const Ring *slot) {
        usec_t at = USEC_INFINITY;

        for (const Ring *link = slot->next; link != slot; link = link->next)
                at = MIN(at, RING_ITEM(link, const WheelItem, link)->at);
        return at;
}

usec_t wheel_next(const Wheel *w) {
        unsigned level = lowest_level(w);

        if (!ring_is_empty(&w->due))
                return wheel_round_up(w->due_since);
        if (level == WHEEL_LEVELS)
                return USEC_INFINITY;

        unsigned slot = (unsigned)__builtin_ctzll(w->used[level]);

        /* Slots of a level lie in the order of their ticks: none lies before the present. At level
         * 0 all items of a slot have the same tick. */
        return level == 0 ? ((w->present & ~(uint64_t)(WHEEL_SLOTS - 1)) + slot) * WHEEL_TICK :
                            wheel_round_up(earliest(&w->slots[level][slot]));
}

/* Empties a slot whose first tick is the present: its items are due or belong further down. */
static void open_slot(Wheel *w, unsigned level, unsigned slot) {
        Ring *head = &w->slots[level][slot];

        w->used[level] &= ~((uint64_t)1 << slot);
        while (!ring_is_empty(head)) {
                WheelItem *i = RING_ITEM(head->next, WheelItem, link);

                ring_remove(&i->link);
                put(w, i);
        }
}

static void advance(Wheel *w, uint64_t tick) {
        for (;;) {
                unsigned level = lowest_level(w);

                if (level == WHEEL_LEVELS)
                        break;

                unsigned slot = (unsigned)__builtin_ctzll(w->used[level]);
                unsigned above = (level + 1) * GROUP_BITS;
                uint64_t begin = (w->present >> above << above) +
                                 ((uint64_t)slot << level * GROUP_BITS);

                if (begin > tick)
                        break;
                w->present = begin;
                open_slot(w, level, slot);
        }
        w->present = tick;
}

/* The clock went back: everything is put anew, as seen from there. */
static void go_back(Wheel *w, uint64_t tick) {
        Ring all;

        ring_init(&all);
        for (unsigned level = 0; level <= WHEEL_LEVELS; level++)
                for (unsigned slot = 0; slot < WHEEL_SLOTS; slot++) {
                        Ring *head = level < WHEEL_LEVELS ? &w->slots[level][slot] : &w->due;

                        while (!ring_is_empty(head)) {
                                Ring *link = head->next;

                                ring_remove(link);
                                ring_append(&all, link);
                        }
                }
        for (unsigned level = 0; level < WHEEL_LEVELS; level++)
                w->used[level] = 0;
        w->present = tick;
        while (!ring_is_empty(&all)) {
                WheelItem *i = RING_ITEM(all.next, WheelItem, link);

                ring_remove(&i->link);
                put(w, i);
        }
}

WheelItem *wheel_take(Wheel *w, usec_t now) {
        uint64_t tick = now / WHEEL_TICK;

        if (tick < w->present)
                go_back(w, tick);
        else if (tick > w->present)
                advance(w, tick);
        if (ring_is_empty(&w->due))
                return NULL;

        WheelItem *i = RING_ITEM(w->due.next, WheelItem, link);

        ring_remove(&i->link);
        return i;
}
