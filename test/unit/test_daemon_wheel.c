/* The timer wheel against a plain table of instants. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "wheel.h"

#define ITEMS 300
#define SEEDS 40
#define ROUNDS 3000

typedef struct World {
        Wheel wheel;
        WheelItem items[ITEMS];
        bool in[ITEMS];
        usec_t now;
        uint64_t seed;
} World;

static World world; /* a wheel stays where it is */

/* Instants as they come: soon, in an hour, in the past, at the end of time. */
static usec_t any_instant(World *w) {
        static const usec_t spans[] = {
                5 * USEC_PER_MSEC, 50 * USEC_PER_MSEC, USEC_PER_SEC,      USEC_PER_MINUTE,
                USEC_PER_HOUR,     400 * USEC_PER_DAY, USEC_INFINITY / 4,
        };
        usec_t span = spans[usec_jitter(ELEMENTSOF(spans), &w->seed)];

        switch (usec_jitter(12, &w->seed)) {
        case 0:
                return usec_sub(w->now, usec_jitter(span, &w->seed));
        case 1:
                return USEC_INFINITY - 1 - usec_jitter(span, &w->seed);
        case 2:
                return w->now;
        default:
                return MIN(usec_add(w->now, usec_jitter(span, &w->seed)), USEC_INFINITY - 1);
        }
}

static void check_next(const World *w) {
        usec_t next = USEC_INFINITY;

        for (size_t i = 0; i < ITEMS; i++)
                if (w->in[i])
                        next = MIN(next, wheel_round_up(w->items[i].at));
        if (next > w->wheel.present * WHEEL_TICK)
                assert_true(wheel_next(&w->wheel) == next);
        else
                assert_true(wheel_next(&w->wheel) <= next);
}

/* Takes what is due, and sometimes not all of it. */
static void take(World *w) {
        size_t most = usec_jitter(4, &w->seed) == 0 ? usec_jitter(5, &w->seed) : SIZE_MAX;
        WheelItem *item;

        for (size_t n = 0; n < most; n++) {
                item = wheel_take(&w->wheel, w->now);
                if (!item)
                        break;

                size_t i = (size_t)(item - w->items);
                assert_true(i < ITEMS && w->in[i]);
                assert_true(item->at <= w->now);
                w->in[i] = false;
        }
        for (size_t i = 0; most == SIZE_MAX && i < ITEMS; i++)
                assert_true(!w->in[i] || wheel_round_up(w->items[i].at) > w->now);
}

static void step_clock(World *w) {
        static const usec_t steps[] = { USEC_PER_MSEC,   30 * USEC_PER_MSEC, USEC_PER_SEC,
                                        USEC_PER_MINUTE, USEC_PER_HOUR,      500 * USEC_PER_DAY };
        usec_t step = usec_jitter(steps[usec_jitter(ELEMENTSOF(steps), &w->seed)], &w->seed);

        if (usec_jitter(20, &w->seed) == 0)
                w->now = usec_sub(w->now, step);
        else
                w->now = usec_add(w->now, step);
}

static void it_agrees_with_a_plain_table(void **state _unused_) {
        World *w = &world;

        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
                *w = (World){ .now = seed % 4 == 0 ? 0 : seed * USEC_PER_DAY, .seed = seed };
                wheel_init(&w->wheel, w->now);
                assert_true(wheel_next(&w->wheel) == USEC_INFINITY);
                assert_null(wheel_take(&w->wheel, w->now));
                for (unsigned round = 0; round < ROUNDS; round++) {
                        size_t i = usec_jitter(ITEMS, &w->seed);

                        switch (usec_jitter(8, &w->seed)) {
                        case 0:
                                wheel_remove(&w->wheel, &w->items[i]);
                                w->in[i] = false;
                                break;
                        case 1:
                                step_clock(w);
                                take(w);
                                break;
                        default:
                                wheel_set(&w->wheel, &w->items[i], any_instant(w));
                                w->in[i] = true;
                                break;
                        }
                        check_next(w);
                }
        }
}

static void what_is_due_comes_in_the_order_of_ticks(void **state _unused_) {
        World *w = &world;
        usec_t last = 0;
        size_t n = 0;

        *w = (World){ .now = USEC_PER_DAY, .seed = 3 };
        wheel_init(&w->wheel, w->now);
        for (size_t i = 0; i < ITEMS; i++)
                wheel_set(&w->wheel, &w->items[i],
                          w->now + 1 + usec_jitter(3 * USEC_PER_HOUR, &w->seed));
        for (WheelItem *item; (item = wheel_take(&w->wheel, w->now + 4 * USEC_PER_HOUR)); n++) {
                assert_true(wheel_round_up(item->at) >= last);
                last = wheel_round_up(item->at);
        }
        assert_int_equal(n, ITEMS);
}

/* Whoever sleeps until wheel_next() never wakes for nothing, and never misses a tick. */
static void the_next_tick_always_holds_something(void **state _unused_) {
        World *w = &world;
        unsigned wakes = 0;

        *w = (World){ .now = 123456789, .seed = 5 };
        wheel_init(&w->wheel, w->now);
        for (size_t i = 0; i < ITEMS; i++)
                wheel_set(&w->wheel, &w->items[i],
                          w->now + usec_jitter(3 * USEC_PER_HOUR, &w->seed));
        for (usec_t next; (next = wheel_next(&w->wheel)) != USEC_INFINITY; wakes++) {
                assert_true(next % WHEEL_TICK == 0);
                assert_null(wheel_take(&w->wheel, next - 1));

                WheelItem *item = wheel_take(&w->wheel, next);
                assert_non_null(item);
                for (; item; item = wheel_take(&w->wheel, next))
                        assert_true(item->at <= next && item->at + WHEEL_TICK > next);
        }
        assert_true(wakes <= ITEMS);
}

static void an_instant_is_rounded_up_to_its_tick(void **state _unused_) {
        assert_int_equal(wheel_round_up(0), 0);
        assert_int_equal(wheel_round_up(1), WHEEL_TICK);
        assert_int_equal(wheel_round_up(WHEEL_TICK), WHEEL_TICK);
        assert_int_equal(wheel_round_up(WHEEL_TICK + 1), 2 * WHEEL_TICK);
        assert_true(wheel_round_up(USEC_INFINITY - 1) == USEC_INFINITY);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(it_agrees_with_a_plain_table),
                cmocka_unit_test(what_is_due_comes_in_the_order_of_ticks),
                cmocka_unit_test(the_next_tick_always_holds_something),
                cmocka_unit_test(an_instant_is_rounded_up_to_its_tick),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
