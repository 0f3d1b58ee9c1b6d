/* The engine's edges, call by call: handles, late and foreign results, wrong samples, a crowded
 * queue, long names, order of facts and answers. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "service_state.h"
#include "world.h"

static World world;

static int set_up(void **state) {
        (void)state;
        world_init(&world);
        world.policy.n_probes = world.policy.n_rules = 1;
        world.policy.release.warmup = 0;
        world.probes[0] = (ProbePolicy){ .name = "live",
                                         .identity = 1,
                                         .n_targets = 2,
                                         .rise = 2,
                                         .fall = 2,
                                         .interval = USEC_PER_SEC };
        world.rules[0] = (RulePolicy){ .name = "down",
                                       .kind = RULE_DOWN,
                                       .response = RESPONSE_ROLLBACK,
                                       .at_least = 1,
                                       .identity = 1 };
        world.facts.candidates[0] = (Candidate){
                .version = "v1", .stable = true, .schema_fits = true, .previous = true
        };
        world.facts.n_candidates = 1;
        memcpy(world.facts.version, "v2", 3);
        world.facts.epoch = 2;
        world_start(&world);
        return 0;
}

static int tear_down(void **state) {
        (void)state;
        world.engine = engine_free(world.engine);
        return 0;
}

/* Runs until the log says it, for at most `span`. */
static bool comes(const char *text, usec_t span) {
        usec_t end = world.now + span;
        size_t from = 0;
        do
                for (; from < world.log_n; from++)
                        if (strstr(world.log[from], text))
                                return true;
        while (world_advance(&world, end) || from < world.log_n);
        return false;
}

static void break_down(void) {
        for (size_t t = 0; t < 2; t++)
                world.streams[0][t] = (Stream){ .on = true,
                                                .outcome = OUTCOME_REFUSED,
                                                .next = world.now };
}

static OperationState state_of(void) {
        ServiceSnapshot s;
        assert_true(engine_snapshot_service(world.engine, world.service, world.now, &s));
        return s.operation_state;
}

static void wrong_samples_are_counted_and_ignored(void **state) {
        (void)state;
        const Sample good = {
                .service = world.service, .outcome = OUTCOME_OK, .started = 1, .at = 2
        };
        Sample s = good;
        s.service = 99;
        engine_feed(world.engine, &s);
        s = good;
        s.service = ENGINE_NO_SERVICE;
        engine_feed(world.engine, &s);
        s = good;
        s.probe = 1;
        engine_feed(world.engine, &s);
        s = good;
        s.target = 2;
        engine_feed(world.engine, &s);
        s = good;
        s.outcome = _OUTCOME_MAX;
        engine_feed(world.engine, &s);
        assert_int_equal(world.engine->ignored_samples, 5);
        assert_int_equal(engine_samples(world.engine), 0);
        engine_feed(world.engine, &good);
        assert_int_equal(world.engine->ignored_samples, 5);
        assert_int_equal(engine_samples(world.engine), 1);
}

static void handles_come_back_late(void **state) {
        (void)state;
        Policy other = world.policy;
        uint32_t handle, old = world.service;

        other.service = "api";
        engine_remove_service(world.engine, old);
        assert_int_equal(engine_find_service(world.engine, "web"), ENGINE_NO_SERVICE);
        assert_int_equal(engine_put_service(world.engine, &other, world.now, &handle), 0);
        assert_int_not_equal(handle, old);
        assert_int_equal(engine_find_service(world.engine, "api"), handle);
        engine_remove_service(world.engine, old); /* twice is nothing */
        ServiceSnapshot s;
        assert_false(engine_snapshot_service(world.engine, old, world.now, &s));
        assert_true(engine_snapshot_service(world.engine, handle, world.now, &s));
        assert_int_equal(s.health, HEALTH_NEW);
}

static void slots_run_out(void **state) {
        (void)state;
        static const char *const names[] = { "a", "b", "c" };
        Policy many[4];
        uint32_t handle;

        for (size_t i = 0; i < 3; i++) {
                many[i] = world.policy;
                many[i].service = names[i];
                assert_int_equal(engine_put_service(world.engine, &many[i], world.now, &handle), 0);
        }
        many[3] = world.policy;
        many[3].service = "d";
        assert_int_equal(engine_put_service(world.engine, &many[3], world.now, &handle), -ENOSPC);
        assert_int_equal(engine_put_service(world.engine, &many[0], world.now, &handle), 0);
        assert_int_equal(engine_service_slots(world.engine), 4);
}

static void foreign_results_are_ignored(void **state) {
        (void)state;
        world.mode = ANSWER_NEVER;
        break_down();
        assert_true(comes("COMMIT", USEC_PER_MINUTE));
        engine_commit_done(world.engine, world.service, "00000000-0000-4000-8000-000000000000",
                           COMMIT_DONE, 3, NULL, world.now);
        engine_steps_done(world.engine, world.service, world.sent.id, 0, world.now);
        engine_commit_done(world.engine, 3, world.sent.id, COMMIT_DONE, 3, NULL, world.now);
        assert_int_equal(state_of(), OPERATION_COMMITTING);
        engine_commit_done(world.engine, world.service, world.sent.id, COMMIT_DONE, 3, NULL,
                           world.now);
        assert_int_equal(state_of(), OPERATION_COMMITTED);
        engine_commit_done(world.engine, world.service, world.sent.id, COMMIT_LOST, 0, NULL,
                           world.now);
        assert_int_equal(state_of(), OPERATION_COMMITTED);
}

/* Facts that were read before the commit and come after its answer do not undo what the answer
 * said. */
static void overtaken_facts_are_not_believed(void **state) {
        (void)state;
        world.mode = ANSWER_NEVER;
        break_down();
        assert_true(comes("COMMIT", USEC_PER_MINUTE));
        engine_commit_done(world.engine, world.service, world.sent.id, COMMIT_DONE, 3, NULL,
                           world.now);
        engine_set_facts(world.engine, world.service, &world.facts, world.now + 1);
        ServiceSnapshot s;
        assert_true(engine_snapshot_service(world.engine, world.service, world.now, &s));
        assert_int_equal(s.facts.epoch, 3);
        assert_string_equal(s.facts.version, "v1");
        assert_int_equal(s.facts.kind, RELEASE_ROLLBACK);
        assert_int_equal(s.operation_state, OPERATION_COMMITTED);
        /* Much later an older epoch is a ledger that was set back, and is believed. */
        engine_set_facts(world.engine, world.service, &world.facts, world.now + 10 * USEC_PER_SEC);
        assert_true(engine_snapshot_service(world.engine, world.service, world.now, &s));
        assert_int_equal(s.facts.epoch, 2);
}

static void an_unknown_service_is_new(void **state) {
        (void)state;
        engine_set_facts(world.engine, world.service, NULL, world.now);
        break_down();
        assert_false(comes("COMMIT", USEC_PER_MINUTE / 10));
        ServiceSnapshot s;
        assert_true(engine_snapshot_service(world.engine, world.service, world.now, &s));
        assert_int_equal(s.health, HEALTH_NEW);
        assert_false(s.known);
}

/* What was told of a service is over once the ledger no longer knows it, and what was not sent yet
 * never is. */
static void a_service_that_is_gone_is_told_as_over(void **state) {
        (void)state;
        char id[OPERATION_ID_SIZE];
        Effect f;
        STRBUF(why, 128);

        world.facts.paused_until = USEC_INFINITY;
        world_push_facts(&world);
        break_down();
        assert_true(comes("ALERT rollback.held pause", USEC_PER_MINUTE));
        assert_int_equal(engine_request(world.engine, world.service, OPERATION_ROLLBACK, NULL, 0,
                                        "alice", "asked", world.now, id, &why),
                         0);
        engine_set_facts(world.engine, world.service, NULL, world.now);
        engine_step(world.engine, world.now);
        assert_true(engine_take_effect(world.engine, &f));
        assert_int_equal(f.kind, EFFECT_ALERT);
        assert_int_equal(f.event, EVENT_ROLLBACK_HELD);
        assert_false(f.raise);
        assert_false(engine_take_effect(world.engine, &f));
        assert_int_equal(state_of(), OPERATION_NONE);
}

static void feed_pair(uint32_t service, ProbeOutcome outcome) {
        for (uint16_t t = 0; t < 2; t++)
                engine_feed(world.engine, &(Sample){ .service = service,
                                                     .target = t,
                                                     .outcome = outcome,
                                                     .started = world.now,
                                                     .at = world.now });
}

/* Beside a service that fails, and comes and goes, another is judged as if it were alone. */
static void services_do_not_touch_each_other(void **state) {
        (void)state;
        Policy other = world.policy;
        ServiceSnapshot s;
        uint32_t good;
        Effect f;
        size_t of_bad = 0;

        other.service = "api";
        assert_int_equal(engine_put_service(world.engine, &other, world.now, &good), 0);
        engine_set_facts(world.engine, good, &world.facts, world.now);
        for (int i = 0; i < 40; i++) {
                world.now += USEC_PER_SEC;
                feed_pair(good, OUTCOME_OK);
                feed_pair(world.service, OUTCOME_REFUSED);
                if (i == 20)
                        engine_remove_service(world.engine, world.service);
                if (i == 25)
                        world_put_policy(&world);
                if (i == 30)
                        world_push_facts(&world);
                engine_step(world.engine, world.now);
                while (engine_take_effect(world.engine, &f)) {
                        assert_int_equal(f.service, world.service);
                        of_bad += f.kind == EFFECT_COMMIT;
                }
                assert_true(engine_snapshot_service(world.engine, good, world.now, &s));
                assert_int_equal(s.health, HEALTH_WATCHING);
                assert_int_equal(s.operation_state, OPERATION_NONE);
                assert_int_equal(s.rules[0].verdict.tri, i < 1 ? TRI_UNKNOWN : TRI_GOOD);
        }
        assert_int_equal(of_bad, 2);
}

/* More alerts than fit: none is lost, the rest comes at the next steps, and an operation always
 * finds its room. */
static void a_crowded_queue_loses_nothing(void **state) {
        (void)state;
        static char names[POLICY_RULES_MAX][NAME_SIZE];
        static RulePolicy rules[POLICY_RULES_MAX];
        Policy p = world.policy;
        Effect f;
        size_t raised = 0, over = 0, most = 0;

        for (size_t i = 0; i < POLICY_RULES_MAX; i++) {
                snprintf(names[i], NAME_SIZE,
                         "a-rule-with-a-very-long-name-that-fills-nearly-everything-%zu", i);
                rules[i] = world.rules[0];
                rules[i].name = names[i];
                rules[i].response = RESPONSE_NOTIFY;
        }
        p.rules = rules;
        p.n_rules = POLICY_RULES_MAX;
        assert_int_equal(engine_put_service(world.engine, &p, world.now, &world.service), 0);
        for (int round = 0; round < 60; round++) {
                size_t taken = 0;
                if (round == 30) /* a policy without these rules: what was raised is over */
                        assert_int_equal(engine_put_service(world.engine, &world.policy, world.now,
                                                            &world.service),
                                         0);
                world.now += USEC_PER_SEC / 2;
                for (uint16_t t = 0; t < 2; t++)
                        engine_feed(world.engine, &(Sample){ .service = world.service,
                                                             .target = t,
                                                             .outcome = OUTCOME_REFUSED,
                                                             .started = world.now,
                                                             .at = world.now });
                engine_step(world.engine, world.now);
                for (; engine_take_effect(world.engine, &f); taken++)
                        if (f.kind == EFFECT_ALERT && f.event == EVENT_RULE_BAD) {
                                *(f.raise ? &raised : &over) += 1;
                                assert_true(strlen(f.key) > 50);
                        }
                most = MAX(most, taken);
        }
        assert_int_equal(raised, POLICY_RULES_MAX);
        assert_int_equal(over, POLICY_RULES_MAX);
        assert_true(most <= ENGINE_EFFECTS_PER_SERVICE);
        assert_int_equal(world.engine->lost_effects, 0);
}

/* The longest names there can be: what a sentence cannot hold is marked as cut. */
static void long_names_are_cut_visibly(void **state) {
        (void)state;
        static char name[NAME_SIZE], version[NAME_SIZE];
        Effect f;
        bool held = false;

        memset(name, 'n', NAME_SIZE - 1);
        memset(version, 'v', NAME_SIZE - 1);
        memcpy(world.facts.version, version, NAME_SIZE);
        world.facts.paused_until = USEC_INFINITY;
        world.rules[0].name = name;
        world.policy.service = name;
        world_start(&world);
        for (int i = 0; i < 10; i++) {
                world.now += USEC_PER_SEC;
                for (uint16_t t = 0; t < 2; t++)
                        engine_feed(world.engine, &(Sample){ .service = world.service,
                                                             .target = t,
                                                             .outcome = OUTCOME_REFUSED,
                                                             .started = world.now,
                                                             .at = world.now,
                                                             .version = version });
                engine_step(world.engine, world.now);
                while (engine_take_effect(world.engine, &f))
                        if (f.kind == EFFECT_ALERT && f.event == EVENT_ROLLBACK_HELD) {
                                held = true;
                                assert_true(strlen(f.text) < sizeof f.text);
                                assert_non_null(strstr(f.text, version));
                                assert_non_null(f.evidence);
                                assert_string_equal(f.evidence->guard, "pause");
                                assert_string_equal(f.key, "pause");
                        }
        }
        assert_true(held);
}

static void deviating_targets_are_told_to_the_scheduler(void **state) {
        (void)state;
        Sample s = { .service = world.service, .outcome = OUTCOME_OK };
        for (int i = 0; i < 3; i++) {
                s.started = s.at = world.now += USEC_PER_SEC;
                engine_feed(world.engine, &s);
        }
        assert_false(engine_target_deviates(world.engine, world.service, 0, 0));
        s.outcome = OUTCOME_TIMEOUT;
        s.started = s.at = world.now += USEC_PER_SEC;
        engine_feed(world.engine, &s);
        assert_true(engine_target_deviates(world.engine, world.service, 0, 0));
        assert_false(engine_target_deviates(world.engine, world.service, 0, 1));
        assert_false(engine_target_deviates(world.engine, world.service, 7, 0));
        assert_false(engine_target_deviates(world.engine, 77, 0, 0));
        TargetSnapshot t;
        assert_true(engine_snapshot_target(world.engine, world.service, 0, 0, &t));
        assert_int_equal(t.run, 1);
        assert_int_equal(t.needed, 2);
        assert_int_equal(t.state, TRI_GOOD);
        assert_false(engine_snapshot_target(world.engine, world.service, 0, 2, &t));

        /* The way back is one too: from the first good result until it is good. */
        s.started = s.at = world.now += USEC_PER_SEC;
        engine_feed(world.engine, &s);
        assert_false(engine_target_deviates(world.engine, world.service, 0, 0));
        s.outcome = OUTCOME_OK;
        do {
                s.started = s.at = world.now += USEC_PER_SEC;
                engine_feed(world.engine, &s);
                assert_true(engine_snapshot_target(world.engine, world.service, 0, 0, &t));
                assert_true(engine_target_deviates(world.engine, world.service, 0, 0) ==
                            (t.state == TRI_BAD));
        } while (t.run > 0 && t.run < t.needed);
        assert_int_equal(t.state, TRI_GOOD);
}

static void explain_tells_what_is(void **state) {
        (void)state;
        Evidence e;
        break_down();
        world.facts.paused_until = USEC_INFINITY;
        world_push_facts(&world);
        assert_true(comes("rollback.held", USEC_PER_MINUTE));
        assert_true(engine_explain(world.engine, world.service, 0, world.now, &e));
        assert_string_equal(e.verdict, "bad");
        assert_string_equal(e.reading, "2 of 2 targets down, at least 100%");
        assert_string_equal(e.guard, "pause");
        assert_string_equal(e.target, "v1");
        assert_string_equal(e.dependencies, "none declared");
        assert_non_null(strstr(e.guards, "depth passes; pin passes; pause: the service is paused"));
        assert_non_null(strstr(e.guards, "mode passes"));
        assert_int_equal(e.targets_down, 2);
        assert_false(engine_explain(world.engine, world.service, 1, world.now, &e));
}

/* A daemon starts, and hears of a failed rollback before the facts. */
static bool commits_after(uint64_t epoch, const char *hash) {
        world.ledger_up = false;
        world_start(&world);
        engine_set_failed(world.engine, world.service, epoch, hash, "v1", "no right");
        world.ledger_up = true;
        engine_set_ledger_reachable(world.engine, true, world.now);
        world_push_facts(&world);
        world.log_n = 0;
        break_down();
        return comes("COMMIT", USEC_PER_MINUTE);
}

static void what_had_failed_is_not_tried_again(void **state) {
        (void)state;
        uint64_t epoch = world.facts.epoch;
        const char *next = world.turn ? "00" : "01";
        world.mode = ANSWER_NEVER;
        assert_false(commits_after(epoch, next));
        assert_true(comes("ALERT rollback.failed", 0));
        world.facts.resumes++;
        world_push_facts(&world);
        assert_true(comes("COMMIT", USEC_PER_MINUTE));
        next = world.turn ? "00" : "01";
        assert_true(commits_after(epoch + 1, next));
        assert_true(commits_after(epoch, next));
}

/* A hold ends at its instant, also when no sample comes just then. */
static void a_hold_is_a_deadline(void **state) {
        (void)state;
        world.rules[0].hold = 2 * USEC_PER_SEC;
        world.rules[0].identity++;
        world_put_policy(&world);
        for (int i = 0; i < 2; i++) {
                world.now += USEC_PER_SEC;
                for (uint16_t t = 0; t < 2; t++)
                        engine_feed(world.engine, &(Sample){ .service = world.service,
                                                             .target = t,
                                                             .outcome = OUTCOME_REFUSED,
                                                             .started = world.now,
                                                             .at = world.now });
                world_step(&world);
        }
        assert_int_equal(engine_deadline(world.engine), world.now + 2 * USEC_PER_SEC);
        world.now += 2 * USEC_PER_SEC - 1;
        world_step(&world);
        assert_int_equal(state_of(), OPERATION_NONE);
        world.now++;
        world_step(&world);
        assert_int_equal(state_of(), OPERATION_COMMITTING);
}

/* A check that began within the warm-up and ended after it is not evidence. */
static void checks_across_the_end_of_the_warm_up_do_not_count(void **state) {
        (void)state;
        ServiceSnapshot s;
        world.policy.n_signals = 1;
        world.policy.release.warmup = 10 * USEC_PER_SEC;
        world.signals[0] = (SignalPolicy){ .name = "up", .kind = SIGNAL_AVAILABILITY };
        world.rules[0] = (RulePolicy){ .name = "up",
                                       .kind = RULE_THRESHOLD,
                                       .over = USEC_PER_MINUTE,
                                       .enter = 0.5,
                                       .leave = 0.1,
                                       .dispersion = 1 };
        world_start(&world);
        usec_t warm = WORLD_START + 10 * USEC_PER_SEC;
        for (usec_t began = warm - 1; began <= warm; began++) {
                world.now = began + 5;
                engine_feed(world.engine, &(Sample){ .service = world.service,
                                                     .outcome = OUTCOME_REFUSED,
                                                     .started = began,
                                                     .at = world.now });
                world_step(&world);
                assert_true(engine_snapshot_service(world.engine, world.service, world.now, &s));
                assert_true(s.rules[0].verdict.n == (began < warm ? 0 : 1));
        }
}

#define EDGE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                EDGE(wrong_samples_are_counted_and_ignored),
                EDGE(handles_come_back_late),
                EDGE(slots_run_out),
                EDGE(foreign_results_are_ignored),
                EDGE(overtaken_facts_are_not_believed),
                EDGE(an_unknown_service_is_new),
                EDGE(a_service_that_is_gone_is_told_as_over),
                EDGE(services_do_not_touch_each_other),
                EDGE(a_crowded_queue_loses_nothing),
                EDGE(long_names_are_cut_visibly),
                EDGE(deviating_targets_are_told_to_the_scheduler),
                EDGE(explain_tells_what_is),
                EDGE(what_had_failed_is_not_tried_again),
                EDGE(a_hold_is_a_deadline),
                EDGE(checks_across_the_end_of_the_warm_up_do_not_count),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
