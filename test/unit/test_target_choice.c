/* Which version a rollback goes to, and in which words there is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "target_choice.h"

static ServiceFacts facts;
static RollbackPolicy policy;
static char words[160];

static int set_up(void **state) {
        (void)state;
        facts = (ServiceFacts){ .version = "v4", .epoch = 4, .n_candidates = 3 };
        facts.candidates[0] = (Candidate){
                .version = "v3", .epoch = 3, .schema_fits = true, .previous = true
        };
        facts.candidates[1] = (Candidate){
                .version = "v2", .epoch = 2, .schema_fits = true, .stable = true
        };
        facts.candidates[2] = (Candidate){
                .version = "v1", .epoch = 1, .schema_fits = true, .stable = true
        };
        policy = (RollbackPolicy){ .strategy = STRATEGY_LAST_STABLE };
        return 0;
}

static TargetChoice choose(const char *wanted) {
        StrBuf why;
        strbuf_init(&why, words, sizeof words);
        return target_choose(&policy, &facts, wanted, &why);
}

static void assert_target(const char *wanted, const char *version, const char *sentence) {
        TargetChoice t = choose(wanted);
        assert_non_null(t.candidate);
        assert_string_equal(t.candidate->version, version);
        assert_string_equal(words, sentence);
}

static void assert_none(const char *wanted, bool barrier, const char *sentence) {
        TargetChoice t = choose(wanted);
        assert_null(t.candidate);
        assert_int_equal(t.barrier, barrier);
        assert_string_equal(words, sentence);
}

static void last_stable_passes_over(void **state) {
        (void)state;
        assert_target(NULL, "v2", "v2, stable");
        facts.candidates[1].quarantined = true;
        assert_target(NULL, "v1", "v1, stable");
        facts.candidates[2].behind_barrier = true;
        assert_none(NULL, true, "no target: v1 is behind a barrier");
        facts.candidates[2].quarantined = true;
        assert_none(NULL, false, "no target: v2 is quarantined");
        facts.candidates[1].stable = facts.candidates[2].stable = false;
        assert_none(NULL, false, "no target: no other version is stable");
}

static void schema_is_a_barrier_too(void **state) {
        (void)state;
        facts.candidates[1].schema_fits = facts.candidates[2].schema_fits = false;
        assert_none(NULL, true, "no target: v2 does not fit the current schema");
}

static void previous_takes_no_other(void **state) {
        (void)state;
        policy.strategy = STRATEGY_PREVIOUS;
        assert_target(NULL, "v3", "v3, previous");
        facts.candidates[0].quarantined = true;
        assert_none(NULL, false, "no target: v3 is quarantined");
        facts.candidates[0].quarantined = false;
        facts.candidates[0].behind_barrier = true;
        assert_none(NULL, true, "no target: v3 is behind a barrier");
        facts.candidates[0].previous = false;
        assert_none(NULL, false, "no target: no version was active before");
}

static void a_named_version(void **state) {
        (void)state;
        policy.strategy = STRATEGY_VERSION;
        policy.version = "v1";
        assert_target(NULL, "v1", "v1, named in the policy");
        policy.version = "v4";
        assert_none(NULL, false, "no target: v4 is the active version");
        policy.version = "v9";
        assert_none(NULL, false, "no target: v9 is not among the versions of this service");
}

static void a_person_overrides_the_strategy(void **state) {
        (void)state;
        assert_target("v3", "v3", "v3, asked for");
        facts.candidates[0].quarantined = true;
        assert_none("v3", false, "no target: v3 is quarantined");
        assert_none("v4", false, "no target: v4 is the active version");
        assert_none("\x1b[2J", false,
                    "no target: \\x1b[2J is not among the versions of this service");
        facts.n_candidates = 0;
        assert_none(NULL, false, "no target: no other version is stable");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(last_stable_passes_over, set_up),
                cmocka_unit_test_setup(schema_is_a_barrier_too, set_up),
                cmocka_unit_test_setup(previous_takes_no_other, set_up),
                cmocka_unit_test_setup(a_named_version, set_up),
                cmocka_unit_test_setup(a_person_overrides_the_strategy, set_up),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
