/* The table of health: every pair of state and event has its row or is ignored on purpose, every
 * state is reached and left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "health.h"

static void every_pair_is_answered(void **state) {
        (void)state;
        for (Health h = HEALTH_NEW; h < _HEALTH_MAX; h++)
                for (HealthEvent e = HEALTH_EVENT_RELEASE; e < _HEALTH_EVENT_MAX; e++)
                        if ((health_row(h, e) != NULL) == health_ignores(h, e))
                                fail_msg("%s x %s", health_to_string(h), health_event_to_string(e));
}

static void numbers_rise_and_sentences_are_whole(void **state) {
        (void)state;
        for (size_t i = 0; i < health_rows_n; i++) {
                const HealthRow *r = &health_rows[i];
                assert_true(r->number >= 100 && r->number < 200);
                assert_true(i == 0 || r->number > health_rows[i - 1].number);
                assert_true(strlen(r->why) > 20);
                assert_ptr_equal(health_row(r->state, r->event),
                                 r); /* no row hides behind another */
        }
}

static bool reaches(Health from, Health to, unsigned seen) {
        if (from == to)
                return true;
        for (size_t i = 0; i < health_rows_n; i++)
                if (health_rows[i].state == from && !(seen >> health_rows[i].next & 1) &&
                    reaches(health_rows[i].next, to, seen | 1U << health_rows[i].next))
                        return true;
        return false;
}

static void every_state_is_reached_and_left(void **state) {
        (void)state;
        for (Health h = HEALTH_NEW; h < _HEALTH_MAX; h++) {
                assert_true(reaches(HEALTH_NEW, h, 1));
                assert_true(reaches(h, HEALTH_WATCHING, 1U << h));
        }
}

/* Whatever it was, the strongest event leads to the state that it names. */
static void events_lead_where_they_say(void **state) {
        (void)state;
        for (Health h = HEALTH_WARMING; h < _HEALTH_MAX; h++) {
                assert_int_equal(health_row(h, HEALTH_EVENT_RELEASE)->next, HEALTH_WARMING);
                if (h != HEALTH_BAD)
                        assert_int_equal(health_row(h, HEALTH_EVENT_FIRING)->next, HEALTH_BAD);
                if (h != HEALTH_SUSPECT)
                        assert_int_equal(health_row(h, HEALTH_EVENT_BREACH)->next, HEALTH_SUSPECT);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_pair_is_answered),
                cmocka_unit_test(numbers_rise_and_sentences_are_whole),
                cmocka_unit_test(every_state_is_reached_and_left),
                cmocka_unit_test(events_lead_where_they_say),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
