/* A seeded random walk: targets fail and heal, the ledger comes and goes, people act, daemons
 * restart; whatever happens, what is promised holds at every single effect. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "service_state.h"
#include "world.h"

#define WALKS 200
#define EVENTS_PER_WALK 5000
#define EVENTS_LEAST 1000000

static World world;
static uint64_t seed;
static uint64_t events, commits, holds, verified, woulds, stables, failures;
static uint64_t
        done_epochs[1024]; /* from-epochs of automatic rollbacks that committed, of this walk */
static size_t n_done;
static char last_id[OPERATION_ID_SIZE];

static uint64_t below(uint64_t n) {
        return usec_jitter(n, &seed);
}

static bool was_rolled_back(uint64_t epoch) {
        for (size_t i = 0; i < n_done; i++)
                if (done_epochs[i] == epoch)
                        return true;
        return false;
}

/* A version 4 UUID, unlike the last one at both of its ends. */
static void check_id(const char *id) {
        assert_int_equal(strspn(id, "0123456789abcdef-"), OPERATION_ID_SIZE - 1);
        assert_true(id[14] == '4' && strchr("89ab", id[19]));
        assert_true(strncmp(id, last_id, 8) != 0 && !streq(id + 24, last_id + 24));
        memcpy(last_id, id, sizeof last_id);
}

static bool is_dependency_good(void) {
        TargetSnapshot t;
        for (uint16_t i = 0; i < 2; i++)
                if (!engine_snapshot_target(world.engine, world.service, 2, i, &t) || t.at == 0 ||
                    t.outcome != OUTCOME_OK)
                        return false;
        return true;
}

/* An automatic commit leaves the engine only for a deploy, on a rule that is bad now, with every
 * guard passing. */
static void check_commit(const Effect *f) {
        ServiceSnapshot s;
        bool bad = false;

        assert_true(engine_snapshot_service(world.engine, world.service, world.now, &s));
        /* No other is under way, unless the ledger itself has already shown how that one ended. */
        assert_true(world.commit_at == USEC_INFINITY || world.moved);
        assert_int_equal(s.operation_state, OPERATION_COMMITTING);
        assert_non_null(f->evidence);
        assert_true(s.facts.epoch == f->operation.from_epoch);
        if (!f->operation.automatic)
                return;
        commits++;
        check_id(f->operation.id);
        assert_int_equal(s.facts.kind, RELEASE_DEPLOY);
        assert_int_equal(s.policy->rollback.mode, MODE_AUTOMATIC);
        assert_false(was_rolled_back(f->operation.from_epoch));
        assert_true(s.facts.automatic && !s.facts.deploying && world.ledger_up);
        assert_true(s.facts.paused_until <= world.now && s.facts.pinned_until <= world.now);
        assert_true(s.facts.cooldown_until <= world.now &&
                    world.now >= s.warm_until - s.policy->release.warmup);
        assert_true(s.facts.budget_used < s.policy->rollback.budget_count ||
                    s.facts.budget_free_at <= world.now);
        assert_true(*s.facts.operation.id == '\0' && world.now <= s.watch_until);
        assert_true(is_dependency_good());
        assert_string_equal(f->evidence->verdict, "bad");
        assert_string_equal(f->evidence->guard, "none");
        for (size_t i = 0; i < s.n_rules; i++)
                if (streq(s.rules[i].policy->name, f->evidence->rule))
                        bad = s.rules[i].verdict.tri == TRI_BAD && s.rules[i].firing &&
                              s.rules[i].bad_for >= s.rules[i].policy->hold &&
                              s.rules[i].policy->response == RESPONSE_ROLLBACK;
        assert_true(bad);
        for (size_t i = 0; i < s.n_guards; i++)
                if (s.guards[i].guard != GUARD_OPERATION && s.guards[i].answer != TRI_GOOD)
                        fail_msg("%s did not pass", guard_to_string(s.guards[i].guard));
}

static bool has_field(const Effect *f, const char *name, size_t length) {
        static const char *const known[] = { "service", "epoch", "operation" };

        for (size_t i = 0; i < ELEMENTSOF(known); i++)
                if (strlen(known[i]) == length && strncmp(known[i], name, length) == 0)
                        return true;
        for (size_t i = 0; i < f->n_fields; i++)
                if (strlen(f->fields[i].name) == length &&
                    strncmp(f->fields[i].name, name, length) == 0)
                        return f->fields[i].value[0] != '\0';
        return false;
}

/* A receiver reads the data: every field that the sentence names is there. */
static void check_fields(const Effect *f) {
        const EventRow *row = event_row(f->event);
        const char *at = f->raise || !row->over ? row->text : row->over;

        while ((at = strchr(at, '{'))) {
                size_t length = strcspn(++at, "}");

                if (!has_field(f, at, length))
                        fail_msg("%s: {%.*s} is not among the fields", row->type, (int)length, at);
        }
}

static void check_effect(World *w, const Effect *f) {
        assert_int_equal(f->service, w->service);
        switch (f->kind) {
        case EFFECT_COMMIT:
                check_commit(f);
                break;
        case EFFECT_RUN_STEPS:
        case EFFECT_MOVE_OPERATION:
                assert_int_equal(strlen(f->operation.id), OPERATION_ID_SIZE - 1);
                if (operation_is_closed(f->state) && f->evidence)
                        assert_int_equal(
                                strncmp(f->text, f->evidence->reason, strlen(f->evidence->reason)),
                                0);
                verified += f->kind == EFFECT_MOVE_OPERATION && operation_is_closed(f->state);
                break;
        case EFFECT_RECORD:
                assert_int_equal(strlen(f->operation.id), OPERATION_ID_SIZE - 1);
                assert_non_null(f->evidence);
                if (f->event == EVENT_ROLLBACK_FAILED || f->event == EVENT_RESTORE_FAILED) {
                        assert_true(f->text[0] != '\0');
                        failures++;
                        break;
                }
                assert_true(w->policy.rollback.mode != MODE_AUTOMATIC);
                woulds++;
                break;
        case EFFECT_ALERT:
                assert_true(strlen(f->text) > 10);
                check_fields(f);
                holds += f->event == EVENT_ROLLBACK_HELD && f->raise;
                break;
        case EFFECT_MARK_STABLE:
                assert_false(w->facts.stable && f->epoch == w->facts.epoch && w->ledger_up);
                stables++;
                break;
        case EFFECT_PROBE_NOW:
                assert_true(w->probes[f->probe].dependency);
                break;
        case _EFFECT_KIND_MAX:
                fail();
        }
}

static void set_up_world(void) {
        world_init(&world);
        world.on_effect = check_effect;
        world.policy.n_probes = 3;
        world.policy.n_signals = 3;
        world.policy.n_rules = 4;
        world.policy.release.warmup = below(20) * USEC_PER_SEC;
        world.policy.release.bake_time = 20 * USEC_PER_SEC;
        world.policy.rollback.cooldown = below(3) * USEC_PER_MINUTE;
        world.policy.rollback.budget_count = 1 + (uint32_t)below(1000);
        for (size_t i = 0; i < 3; i++)
                world.probes[i] = (ProbePolicy){ .name = i == 0 ? "live" :
                                                         i == 1 ? "red" :
                                                                  "db",
                                                 .identity = i + 1,
                                                 .n_targets = 2,
                                                 .rise = 2,
                                                 .fall = 2,
                                                 .n_operands = 2,
                                                 .dependency = i == 2,
                                                 .interval = USEC_PER_SEC };
        world.signals[0] = (SignalPolicy){
                .name = "errors", .kind = SIGNAL_RATIO, .probe = 1, .bad = 0, .total = 1
        };
        world.signals[1] = (SignalPolicy){ .name = "up", .kind = SIGNAL_AVAILABILITY, .probe = 0 };
        world.signals[2] = (SignalPolicy){
                .name = "rate", .kind = SIGNAL_RATE, .probe = 1, .bad = 0
        };
        world.rules[0] = (RulePolicy){ .name = "down",
                                       .kind = RULE_DOWN,
                                       .at_least = 1,
                                       .hold = 3 * USEC_PER_SEC,
                                       .identity = 1,
                                       .response = RESPONSE_ROLLBACK };
        world.rules[1] = (RulePolicy){ .name = "errors",
                                       .kind = RULE_THRESHOLD,
                                       .over = 20 * USEC_PER_SEC,
                                       .enter = 0.05,
                                       .leave = 0.02,
                                       .dispersion = 1,
                                       .min_samples = 10,
                                       .min_bad = 2,
                                       .hold = 4 * USEC_PER_SEC,
                                       .identity = 2,
                                       .response = RESPONSE_ROLLBACK };
        world.rules[2] = world.rules[3] = world.rules[1];
        world.rules[2].name = "up";
        world.rules[2].signal = 1;
        world.rules[2].response = RESPONSE_NOTIFY;
        world.rules[3].name = "rate";
        world.rules[3].signal = 2;
        world.rules[3].response = RESPONSE_NOTIFY;
        world.facts.candidates[0] = (Candidate){
                .version = "v0", .stable = true, .schema_fits = true, .previous = true
        };
        world.facts.n_candidates = 1;
        snprintf(world.facts.version, NAME_SIZE, "v1");
        n_done = 0;
        memset(last_id, 'x', sizeof last_id - 1);
        world_start(&world);
}

static void change_stream(void) {
        static const ProbeOutcome outcomes[] = { OUTCOME_OK,       OUTCOME_OK,      OUTCOME_OK,
                                                 OUTCOME_REFUSED,  OUTCOME_TIMEOUT, OUTCOME_NO_DATA,
                                                 OUTCOME_RESOURCES };
        uint64_t probe = below(3);
        ProbeOutcome outcome = outcomes[below(ELEMENTSOF(outcomes))];
        static const double bads[] = { 0, 0, 1, 30, NAN };
        double bad = bads[below(5)];
        uint64_t only = below(4);

        for (uint64_t t = 0; t < 2; t++) {
                Stream *s = &world.streams[probe][t];
                if (only < 2 && only != t)
                        continue;
                if (!s->on)
                        s->next = world.now;
                s->on = below(12) > 0;
                s->outcome = outcome;
                s->bad = bad;
                s->total = below(10) == 0 ? NAN : 100;
                snprintf(s->version, NAME_SIZE, "%s",
                         below(3) == 0 ? world.facts.version :
                         below(8) == 0 ? "v0" :
                                         "");
        }
}

static void heal(void) {
        for (size_t p = 0; p < 3; p++)
                for (size_t t = 0; t < 2; t++) {
                        Stream *s = &world.streams[p][t];
                        s->next = s->on ? s->next : world.now;
                        s->on = true;
                        s->outcome = OUTCOME_OK;
                        s->bad = 0;
                        s->total = 100;
                        *s->version = '\0';
                }
}

static void break_service(void) {
        heal();
        for (size_t t = 0; t < 2; t++) {
                world.streams[1][t].bad = 40;
                if (below(2))
                        world.streams[0][t].outcome = OUTCOME_REFUSED;
        }
}

static void act_as_a_person(void) {
        char version[NAME_SIZE], id[OPERATION_ID_SIZE];
        STRBUF(why, 256);

        switch (below(7)) {
        case 0:
        case 1:
                snprintf(version, sizeof version, "v%u", (unsigned)below(1000));
                if (!streq(version, world.facts.version))
                        world_move_pointer(&world, version, RELEASE_DEPLOY);
                world.facts.automatic = below(8) > 0;
                break;
        case 2:
                world.facts.paused_until = below(2) ? world.now + USEC_PER_MINUTE : 0;
                break;
        case 3:
                world.facts.pinned_until = below(2) ? world.now + USEC_PER_MINUTE : 0;
                break;
        case 4:
                world.facts.deploying = below(2);
                break;
        case 5:
                if (world.commit_at == USEC_INFINITY &&
                    engine_request(world.engine, world.service, (OperationKind)below(2), NULL, 0,
                                   "alice", "walk", world.now, id, &why) < 0)
                        assert_true(why.length > 0);
                return;
        case 6:
                world.facts.automatic = true;
                world.facts.stable = below(2);
                break;
        }
        if (below(2))
                world_push_facts(&world);
}

static void disturb(void) {
        switch (below(8)) {
        case 0:
                world.ledger_up = below(3) > 0;
                engine_set_ledger_reachable(world.engine, world.ledger_up, world.now);
                break;
        case 1:
                world.mode = below(3) ? ANSWER_HONEST : (CommitMode)below(ANSWER_NEVER);
                break;
        case 2:
                world.commit_takes = below(3) * USEC_PER_SEC + 1000;
                world.steps_take = below(6) * 5 * USEC_PER_SEC;
                break;
        case 3:
                world.policy.rollback.mode = below(4) ? MODE_AUTOMATIC :
                                                        (RollbackMode)below(_MODE_MAX);
                world.policy.n_rules = 2 + below(3);
                world.rules[1].identity += below(2);
                world_put_policy(&world);
                break;
        case 4:
                engine_clear_evidence(world.engine, world.now);
                break;
        case 5:
                if (below(4) == 0)
                        world_start(&world);
                break;
        case 6:
                if (below(6) == 0) {
                        engine_remove_service(world.engine, world.service);
                        world_put_policy(&world);
                        world_push_facts(&world);
                        world.commit_at = world.started_at = world.done_at = USEC_INFINITY;
                }
                break;
        case 7:
                if (below(10) == 0) {
                        engine_set_facts(world.engine, world.service, NULL, world.now);
                        world.commit_at = USEC_INFINITY;
                }
                break;
        }
}

static void note_commits(size_t before) {
        if (world.automatic_commits == before)
                return;
        assert_int_equal(world.automatic_commits, before + 1);
        assert_false(was_rolled_back(world.sent.from_epoch));
        assert_true(n_done < ELEMENTSOF(done_epochs));
        done_epochs[n_done++] = world.sent.from_epoch;
}

static void walk(uint64_t number) {
        seed = number;
        set_up_world();
        heal();
        for (unsigned i = 0; i < EVENTS_PER_WALK; i++) {
                size_t before = world.automatic_commits;
                uint64_t what = below(100);
                if (what < 3)
                        change_stream();
                else if (what < 4)
                        break_service();
                else if (what < 5)
                        heal();
                else if (what < 6)
                        act_as_a_person();
                else if (what < 7)
                        disturb();
                world_advance(&world, world.now + 5 * USEC_PER_SEC);
                note_commits(before);
                world_step(&world);
                assert_true(engine_deadline(world.engine) > world.now);
                assert_int_equal(world.engine->lost_effects, 0);
                events++;
        }
        world.engine = engine_free(world.engine);
}

static void promises_hold_on_a_random_walk(void **state) {
        (void)state;
        for (uint64_t i = 1; i <= WALKS; i++)
                walk(i * 7919);
        print_message("%llu events: %llu automatic commits, %llu holds, %llu closings, %llu "
                      "would-have events, %llu stable marks\n",
                      (unsigned long long)events, (unsigned long long)commits,
                      (unsigned long long)holds, (unsigned long long)verified,
                      (unsigned long long)woulds, (unsigned long long)stables);
        /* A walk on which nothing happens would prove nothing. */
        assert_true(events >= EVENTS_LEAST);
        assert_true(commits > 100 && holds > 100 && verified > 50 && woulds > 20 && stables > 20);
        assert_true(failures > 20);
}

/* Two engines that are fed alike say the same, byte by byte. */
static void same_inputs_same_outputs(void **state) {
        (void)state;
        static World other;
        for (int round = 0; round < 2; round++) {
                walk(4711);
                if (round == 0)
                        other = world;
        }
        assert_true(world.log_n > 20);
        assert_int_equal(world.log_n, other.log_n);
        assert_memory_equal(world.log, other.log, sizeof world.log);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(promises_hold_on_a_random_walk),
                cmocka_unit_test(same_inputs_same_outputs),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
