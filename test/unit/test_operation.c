/* The table of operations: every pair has its row or is ignored on purpose, every state is reached,
 * only the closed ones are final. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "operation.h"

static void every_pair_is_answered(void **state) {
        (void)state;
        for (OperationState s = OPERATION_NONE; s < _OPERATION_STATE_MAX; s++)
                for (OperationEvent e = OPERATION_EVENT_DECIDED; e < _OPERATION_EVENT_MAX; e++)
                        if ((operation_row(s, e) != NULL) == operation_ignores(s, e))
                                fail_msg("%s x %s", operation_state_to_string(s),
                                         operation_event_to_string(e));
}

static void numbers_rise_and_sentences_are_whole(void **state) {
        (void)state;
        for (size_t i = 0; i < operation_rows_n; i++) {
                const OperationRow *r = &operation_rows[i];
                bool committed = r->state >= OPERATION_COMMITTED;
                assert_int_equal(r->number / 100, committed ? 3 : 2);
                assert_true(i == 0 || r->number > operation_rows[i - 1].number);
                assert_true(strlen(r->why) > 20);
                assert_ptr_equal(operation_row(r->state, r->event), r);
        }
}

static unsigned reachable(OperationState from) {
        unsigned seen = 1U << from, before;
        do {
                before = seen;
                for (size_t i = 0; i < operation_rows_n; i++)
                        if (seen >> operation_rows[i].state & 1)
                                seen |= 1U << operation_rows[i].next;
        } while (seen != before);
        return seen;
}

static void every_state_is_reached_and_ends(void **state) {
        (void)state;
        unsigned closed = 0;
        for (OperationState s = OPERATION_NONE; s < _OPERATION_STATE_MAX; s++)
                closed |= operation_is_closed(s) ? 1U << s : 0;
        assert_int_equal(reachable(OPERATION_NONE), (1U << _OPERATION_STATE_MAX) - 1);
        for (OperationState s = OPERATION_NONE; s < _OPERATION_STATE_MAX; s++) {
                if (operation_is_closed(s))
                        assert_int_equal(reachable(s), 1U << s);
                else
                        assert_true(reachable(s) & closed);
        }
}

/* What was committed never again becomes something that was not. */
static void nothing_leads_back_before_the_commit(void **state) {
        (void)state;
        for (size_t i = 0; i < operation_rows_n; i++)
                assert_true(operation_rows[i].next > operation_rows[i].state);
        for (OperationState s = OPERATION_COMMITTED; s <= OPERATION_VERIFYING; s++)
                assert_int_equal(operation_row(s, OPERATION_EVENT_SUPERSEDED)->next,
                                 OPERATION_SUPERSEDED);
}

static void names_read_back(void **state) {
        (void)state;
        for (int i = 0; i < _OPERATION_STATE_MAX; i++)
                assert_int_equal(
                        operation_state_from_string(operation_state_to_string((OperationState)i)),
                        i);
        for (int i = 0; i < _OPERATION_KIND_MAX; i++)
                assert_int_equal(
                        operation_kind_from_string(operation_kind_to_string((OperationKind)i)), i);
        assert_true(operation_state_from_string("done") < 0 && operation_kind_from_string("") < 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_pair_is_answered),
                cmocka_unit_test(numbers_rise_and_sentences_are_whole),
                cmocka_unit_test(every_state_is_reached_and_ends),
                cmocka_unit_test(nothing_leads_back_before_the_commit),
                cmocka_unit_test(names_read_back),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
