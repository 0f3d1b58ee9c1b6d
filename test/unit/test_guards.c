/* Each guard by itself holds and passes, at its very instant; their order; their words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "guards.h"

#define NOW (1000 * USEC_PER_SEC)

static Policy policy;
static ServiceFacts facts;
static GuardInput in;
static GuardAnswer answers[_GUARD_MAX];
static size_t n_answers;

static int set_up(void **state) {
        (void)state;
        policy = (Policy){ .release.watch = 3600 * USEC_PER_SEC,
                           .rollback = { .mode = MODE_AUTOMATIC, .budget_count = 2 } };
        facts = (ServiceFacts){ .kind = RELEASE_DEPLOY,
                                .released = NOW - 60 * USEC_PER_SEC,
                                .automatic = true };
        facts.candidates[0].schema_fits = true;
        in = (GuardInput){ .now = NOW,
                           .policy = &policy,
                           .facts = &facts,
                           .ledger_reachable = true,
                           .facts_at = NOW,
                           .dependency = TRI_GOOD,
                           .target.candidate = &facts.candidates[0] };
        return 0;
}

static void assert_passes(void) {
        int holding = guards_ask(&in, answers, &n_answers);
        if (holding >= 0)
                fail_msg("held by %s", guard_to_string(answers[holding].guard));
        assert_int_equal(n_answers, _GUARD_MAX - 1);
}

static void assert_holds(Guard g, usec_t until, const char *words) {
        STRBUF(text, 160);
        int holding = guards_ask(&in, answers, &n_answers);
        if (holding < 0)
                fail_msg("not held by %s", guard_to_string(g));
        assert_string_equal(guard_to_string(answers[holding].guard), guard_to_string(g));
        assert_true(answers[holding].until == until);
        guard_describe(&in, &answers[holding], &text);
        assert_string_equal(text.text, words);
}

static void nothing_holds(void **state) {
        (void)state;
        assert_passes();
        STRBUF(text, 160);
        guard_describe(&in, &answers[0], &text);
        assert_string_equal(text.text, "ledger passes");
}

static void ledger(void **state) {
        (void)state;
        in.ledger_reachable = false;
        assert_holds(GUARD_LEDGER, USEC_INFINITY, "ledger: the ledger cannot be reached");
        in.ledger_reachable = true;
        in.facts_at = NOW - GUARD_FACTS_MAX_AGE;
        assert_passes();
        in.facts_at--;
        assert_holds(GUARD_LEDGER, USEC_INFINITY, "ledger: what the ledger last said is too old");
}

static void depth(void **state) {
        (void)state;
        facts.kind = RELEASE_ROLLBACK;
        assert_holds(
                GUARD_DEPTH, USEC_INFINITY,
                "depth: the active release is a rollback, only a deploy is taken back by itself");
        facts.kind = RELEASE_RESTORE;
        assert_holds(
                GUARD_DEPTH, USEC_INFINITY,
                "depth: the active release is a restore, only a deploy is taken back by itself");
        facts.kind = RELEASE_REGISTER;
        assert_holds(
                GUARD_DEPTH, USEC_INFINITY,
                "depth: the active release is a register, only a deploy is taken back by itself");
}

static void pin_and_pause(void **state) {
        (void)state;
        facts.pinned_until = NOW + 90 * USEC_PER_SEC;
        assert_holds(GUARD_PIN, facts.pinned_until, "pin: the service is pinned, 1 min 30 s left");
        facts.pinned_until = NOW;
        assert_passes();
        facts.paused_until = NOW + 1;
        assert_holds(GUARD_PAUSE, NOW + 1, "pause: the service is paused, 1 us left");
        facts.paused_until = 0;
        facts.automatic = false;
        assert_holds(GUARD_PAUSE, USEC_INFINITY, "pause: automation is off for this release");
}

static void warmup_and_watch(void **state) {
        (void)state;
        in.warming = true;
        in.warm_until = NOW + 5 * USEC_PER_SEC;
        assert_holds(GUARD_WARMUP, in.warm_until,
                     "warmup: samples of the warm-up do not count, 5 s left");
        in.warming = false;
        policy.release.watch = 60 * USEC_PER_SEC;
        assert_passes();
        policy.release.watch--;
        assert_holds(GUARD_WATCH, USEC_INFINITY, "watch: the watch window of this release is over");
}

static void others_at_work(void **state) {
        (void)state;
        facts.deploying = true;
        assert_holds(GUARD_DEPLOYING, USEC_INFINITY, "deploying: a rolling deploy is not done yet");
        facts.deploying = false;
        in.operation_in_flight = true;
        assert_holds(GUARD_OPERATION, USEC_INFINITY, "operation: another operation is in flight");
}

static void cooldown_and_budget(void **state) {
        (void)state;
        facts.cooldown_until = NOW + 60 * USEC_PER_SEC;
        assert_holds(GUARD_COOLDOWN, facts.cooldown_until,
                     "cooldown: the last act is too recent, 1 min left");
        facts.cooldown_until = 0;
        in.observed_until = NOW + 60 * USEC_PER_SEC;
        assert_holds(GUARD_COOLDOWN, in.observed_until,
                     "cooldown: the last act is too recent, 1 min left");
        in.observed_until = NOW;
        facts.budget_used = 2;
        facts.budget_free_at = NOW + USEC_PER_HOUR;
        assert_holds(GUARD_BUDGET, facts.budget_free_at,
                     "budget: 2 of 2 rollbacks are used up, 1 h left");
        facts.budget_free_at = NOW;
        assert_passes();
        facts.budget_used = 1;
        facts.budget_free_at = NOW + USEC_PER_HOUR;
        assert_passes();
}

static void target_and_barrier(void **state) {
        (void)state;
        in.target = (TargetChoice){ 0 };
        assert_holds(GUARD_TARGET, USEC_INFINITY, "target: no version to go back to");
        in.target.barrier = true;
        assert_holds(GUARD_BARRIER, USEC_INFINITY,
                     "barrier: every target is behind a barrier or outside the schema range");
}

static void dependency(void **state) {
        (void)state;
        in.dependency_name = "db";
        in.dependency = TRI_BAD;
        assert_holds(GUARD_DEPENDENCY, USEC_INFINITY,
                     "dependency: db was bad or unknown since the rule left good");
        in.dependency = TRI_UNKNOWN;
        assert_holds(GUARD_DEPENDENCY, USEC_INFINITY,
                     "dependency: db has no result yet since the rule left good");
}

static void mode_is_last(void **state) {
        (void)state;
        policy.rollback.mode = MODE_OBSERVE;
        assert_holds(GUARD_MODE, USEC_INFINITY, "mode: the policy's mode is observe");
        policy.rollback.mode = MODE_CONFIRM;
        assert_holds(GUARD_MODE, USEC_INFINITY, "mode: the policy's mode is confirm");
        in.dependency = TRI_BAD;
        assert_holds(GUARD_DEPENDENCY, USEC_INFINITY,
                     "dependency: a dependency was bad or unknown since the rule left good");
}

/* All hold at once; lifting one after the other shows the order of the table. */
static void first_in_order_answers(void **state) {
        (void)state;
        facts = (ServiceFacts){ .kind = RELEASE_ROLLBACK,
                                .pinned_until = NOW + 1,
                                .paused_until = NOW + 1,
                                .cooldown_until = NOW + 1,
                                .deploying = true,
                                .budget_used = 9,
                                .budget_free_at = NOW + 1 };
        policy.release.watch = 0;
        policy.rollback.mode = MODE_OBSERVE;
        in = (GuardInput){ .now = NOW,
                           .policy = &policy,
                           .facts = &facts,
                           .facts_at = NOW,
                           .warming = true,
                           .warm_until = NOW + 1,
                           .operation_in_flight = true,
                           .dependency = TRI_BAD };
        assert_int_equal(guards_ask(&in, answers, &n_answers), 0);
        for (size_t i = 0; i < n_answers; i++) {
                assert_int_equal(answers[i].guard, i + 1);
                assert_int_equal(answers[i].answer, i + 1 == GUARD_BARRIER ? TRI_GOOD : TRI_BAD);
        }
        for (int g = 0; g < _GUARD_MAX; g++)
                assert_int_equal(guard_from_string(guard_to_string((Guard)g)), g);
        assert_true(guard_from_string("luck") < 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(nothing_holds, set_up),
                cmocka_unit_test_setup(ledger, set_up),
                cmocka_unit_test_setup(depth, set_up),
                cmocka_unit_test_setup(pin_and_pause, set_up),
                cmocka_unit_test_setup(warmup_and_watch, set_up),
                cmocka_unit_test_setup(others_at_work, set_up),
                cmocka_unit_test_setup(cooldown_and_budget, set_up),
                cmocka_unit_test_setup(target_and_barrier, set_up),
                cmocka_unit_test_setup(dependency, set_up),
                cmocka_unit_test_setup(mode_is_last, set_up),
                cmocka_unit_test_setup(first_in_order_answers, set_up),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
