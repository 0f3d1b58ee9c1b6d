/* The limits that any kind of probe can be given: on its values and on its time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <math.h>

#include "expectation.h"

#define MS USEC_PER_MSEC

static char lag[] = "lag", replicas[] = "replicas";
static ValueExpectation wanted[] = {
        { .name = lag, .at_least = NAN, .at_most = 10 },
        { .name = replicas, .at_least = 2, .at_most = NAN },
};
static const ProbeConfig config = { .latency = 300 * MS,
                                    .values = wanted,
                                    .n_values = ELEMENTSOF(wanted) };

static void a_good_result_is_held_against_every_limit(_unused_ void **state) {
        static const struct {
                double lag, replicas;
                usec_t duration;
                ProbeOutcome outcome;
                const char *words;
        } cases[] = {
                { 10, 2, 300 * MS, OUTCOME_OK, "" },
                { -3, 1e9, 0, OUTCOME_OK, "" },
                { 10.5, 2, 0, OUTCOME_BAD_VALUE, "lag is 10.5, more than 10" },
                { 0, 1, 0, OUTCOME_BAD_VALUE, "replicas is 1, less than 2" },
                { INFINITY, 2, 0, OUTCOME_BAD_VALUE, NULL },
                { NAN, 2, 0, OUTCOME_NO_DATA, "lag is not a number" },
                { 0, NAN, 0, OUTCOME_NO_DATA, "replicas is not a number" },
                { 0, 2, 301 * MS, OUTCOME_SLOW, "answered after 301 ms, later than 300 ms" },
                { 99, 2, 301 * MS, OUTCOME_SLOW, NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                ProbeResult r = { .outcome = OUTCOME_OK };

                assert_int_equal(probe_result_add_value(&r, "replicas", cases[i].replicas), 0);
                assert_int_equal(probe_result_add_value(&r, "lag", cases[i].lag), 0);
                expectation_apply(&config, cases[i].duration, &r);
                assert_int_equal(r.outcome, cases[i].outcome);
                if (cases[i].words)
                        assert_string_equal(r.words, cases[i].words);
        }
}

static void a_value_that_is_missing_is_unknown(_unused_ void **state) {
        ProbeResult r = { .outcome = OUTCOME_OK };

        assert_int_equal(probe_result_add_value(&r, "lag", 1), 0);
        expectation_apply(&config, 0, &r);
        assert_int_equal(r.outcome, OUTCOME_NO_DATA);
        assert_string_equal(r.words, "replicas was not reported");
}

static void what_is_not_good_stays_as_it_is(_unused_ void **state) {
        for (int i = 0; i < _OUTCOME_MAX; i++) {
                ProbeResult r = { .outcome = (ProbeOutcome)i };

                if (i == OUTCOME_OK)
                        continue;
                expectation_apply(&config, USEC_PER_SEC, &r);
                assert_int_equal(r.outcome, i);
        }
}

static void values_have_names_of_their_own_and_a_bound(_unused_ void **state) {
        ProbeResult r = {};

        for (unsigned i = 0; i < SAMPLE_VALUES_MAX; i++) {
                char name[] = "value_a";

                name[6] = (char)('a' + i);
                assert_int_equal(probe_result_add_value(&r, name, i), 0);
        }
        assert_int_equal(probe_result_add_value(&r, "one_more", 1), -ENOSPC);
        assert_int_equal(probe_result_add_value(&r, "value_b", 77), 0);
        assert_int_equal(r.n_values, SAMPLE_VALUES_MAX);
        assert_true(r.values[1].value == 77);

        ProbeResult cut = {};
        assert_int_equal(probe_result_add_value(&cut, "a_name_of_more_than_thirty_one_bytes", 1),
                         0);
        assert_string_equal(cut.values[0].name, "a_name_of_more_than_thirty_one_");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_good_result_is_held_against_every_limit),
                cmocka_unit_test(a_value_that_is_missing_is_unknown),
                cmocka_unit_test(what_is_not_good_stays_as_it_is),
                cmocka_unit_test(values_have_names_of_their_own_and_a_bound),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
