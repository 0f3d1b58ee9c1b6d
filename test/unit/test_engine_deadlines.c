/* Every change that time alone brings is reached by its deadline: of two engines that are told the
 * same, one is stepped at every tick, the other only when it was told something or when its
 * deadline has come, and nobody can tell them apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "deadlines.h"

#define TICK (100 * USEC_PER_MSEC)
#define TICKS 6000
#define WALKS 150
#define PROBES 3
#define TARGETS 2

static const ProbePolicy probes[PROBES] = {
        { .name = "live",
          .identity = 1,
          .n_targets = TARGETS,
          .rise = 2,
          .fall = 2,
          .interval = USEC_PER_SEC },
        { .name = "red",
          .identity = 2,
          .n_targets = TARGETS,
          .rise = 1,
          .fall = 1,
          .n_operands = 2,
          .interval = 2 * USEC_PER_SEC },
        { .name = "db",
          .identity = 3,
          .n_targets = 1,
          .rise = 1,
          .fall = 1,
          .dependency = true,
          .interval = USEC_PER_SEC },
};
static const SignalPolicy signals[] = {
        { .name = "errors", .kind = SIGNAL_RATIO, .probe = 1, .bad = 0, .total = 1 },
        { .name = "crashes", .kind = SIGNAL_RATE, .probe = 1, .bad = 0 },
};
static const RulePolicy rules[] = {
        { .name = "down",
          .kind = RULE_DOWN,
          .identity = 1,
          .at_least = 1,
          .hold = 4 * USEC_PER_SEC,
          .response = RESPONSE_ROLLBACK },
        { .name = "errors",
          .kind = RULE_THRESHOLD,
          .identity = 2,
          .over = 20 * USEC_PER_SEC,
          .enter = 0.05,
          .leave = 0.02,
          .dispersion = 1,
          .min_samples = 10,
          .min_bad = 2,
          .hold = 5 * USEC_PER_SEC,
          .response = RESPONSE_ROLLBACK },
        { .name = "crashes",
          .kind = RULE_THRESHOLD,
          .identity = 3,
          .signal = 1,
          .over = 60 * TICK,
          .enter = 1,
          .leave = 0.5,
          .dispersion = 1,
          .min_bad = 2,
          .hold = 3 * USEC_PER_SEC,
          .response = RESPONSE_NOTIFY },
};

typedef struct Side {
        Engine *engine;
        uint32_t service;
        char log[4096]; /* what came out at this tick */
        OperationPlan sent;
        bool commits, runs;
} Side;

static Side eager, lazy;
static uint64_t seed;
static usec_t now;
static ServiceFacts facts;
static Policy policy;
static bool muted[PROBES]; /* nobody answers at all: only time goes by */
static ProbeOutcome outcomes[PROBES];
static double bad;
static bool told; /* the lazy one was told something at this tick */
static uint64_t steps, skipped, decided;

static uint64_t below(uint64_t n) {
        return usec_jitter(n, &seed);
}

static void heal(void) {
        memset(muted, 0, sizeof muted);
        memset(outcomes, 0, sizeof outcomes);
        bad = 0;
}

static void start(Side *s) {
        *s = (Side){ 0 };
        assert_int_equal(engine_new(&s->engine, 1, seed), 0);
        assert_int_equal(engine_put_service(s->engine, &policy, now, &s->service), 0);
        engine_set_ledger_reachable(s->engine, true, now);
        engine_set_facts(s->engine, s->service, &facts, now);
}

static void set_up(uint64_t number) {
        static const RollbackMode modes[] = { MODE_AUTOMATIC, MODE_AUTOMATIC, MODE_OBSERVE };
        seed = number;
        now = 5000 * USEC_PER_SEC;
        policy = (Policy){
                .service = "web",
                .hash = "00",
                .probes = probes,
                .n_probes = PROBES,
                .signals = signals,
                .n_signals = ELEMENTSOF(signals),
                .rules = rules,
                .n_rules = below(2) ? ELEMENTSOF(rules) : 1,
                .release = { .warmup = below(8) * USEC_PER_SEC,
                             .bake_time = 153 * TICK,
                             .watch = USEC_PER_DAY },
                .rollback = { .mode = modes[below(3)],
                              .settle = 2 * USEC_PER_SEC,
                              .verify = 54 * TICK,
                              .cooldown = below(700) * TICK,
                              .budget_count = 1,
                              .budget_per = USEC_PER_DAY },
                .unknown_after = 10 * USEC_PER_SEC,
        };
        facts = (ServiceFacts){
                .version = "v2",
                .epoch = 2,
                .kind = RELEASE_DEPLOY,
                .released = now,
                .automatic = true,
                .candidates = { { .version = "v1",
                                  .stable = true,
                                  .schema_fits = true,
                                  .previous = true } },
                .n_candidates = 1,
        };
        heal();
        start(&eager);
        start(&lazy);
}

static void feed(const Sample *s) {
        engine_feed(eager.engine, s);
        engine_feed(lazy.engine, s);
        told = true;
}

static void sample(uint64_t tick) {
        for (uint16_t p = 0; p < PROBES; p++)
                for (uint16_t t = 0; t < probes[p].n_targets; t++) {
                        if (muted[p] || (tick + t) % (probes[p].interval / TICK) != 0)
                                continue;
                        double increases[] = { bad, 100 };
                        feed(&(Sample){ .probe = p,
                                        .target = t,
                                        .outcome = outcomes[p],
                                        .started = now - TICK / 2,
                                        .at = now,
                                        .since = now - probes[p].interval,
                                        .increases = increases,
                                        .n_increases = probes[p].n_operands });
                }
}

static void push_facts(void) {
        engine_set_facts(eager.engine, eager.service, &facts, now);
        engine_set_facts(lazy.engine, lazy.service, &facts, now);
        told = true;
}

/* Something changes, and then for long nothing does. */
static void disturb(void) {
        static const double bads[] = { 0, 3, 50 };
        uint64_t probe = below(PROBES);
        switch (below(8)) {
        case 0:
        case 1:
                muted[probe] = below(2);
                break;
        case 2:
                memset(muted, true, sizeof muted);
                break;
        case 3:
                outcomes[probe] = below(2) ? OUTCOME_OK :
                                  below(2) ? OUTCOME_REFUSED :
                                             OUTCOME_RESOURCES;
                break;
        case 4:
                bad = bads[below(3)];
                break;
        case 5:
                heal();
                break;
        case 6:
                facts.paused_until = below(2) ? now + below(20) * USEC_PER_SEC : 0;
                facts.cooldown_until = below(2) ? now + below(20) * USEC_PER_SEC : 0;
                facts.budget_used = (uint32_t)below(2);
                facts.budget_free_at = now + below(20) * USEC_PER_SEC;
                push_facts();
                break;
        case 7:
                facts.epoch++;
                facts.kind = RELEASE_DEPLOY;
                facts.released = now;
                facts.operation = (OpenOperation){ 0 };
                push_facts();
                break;
        }
}

static void step(Side *s) {
        Effect f;
        STRBUF(log, sizeof s->log);
        engine_step(s->engine, now);
        while (engine_take_effect(s->engine, &f)) {
                strbuf_add_u64(&log, f.kind);
                strbuf_add_char(&log, ' ');
                strbuf_add_u64(&log, f.state);
                strbuf_add_char(&log, ' ');
                strbuf_add(&log, f.text);
                strbuf_add_char(&log, '\n');
                if (f.kind == EFFECT_COMMIT) {
                        s->sent = f.operation;
                        s->commits = true;
                }
                s->runs = s->runs || f.kind == EFFECT_RUN_STEPS;
        }
        memcpy(s->log, log.text, log.length + 1);
}

/* The ledger and the steps answer at the next tick. */
static void answer(void) {
        assert_int_equal(eager.commits, lazy.commits);
        assert_int_equal(eager.runs, lazy.runs);
        if (eager.runs) {
                eager.runs = lazy.runs = false;
                engine_steps_done(eager.engine, eager.service, eager.sent.id, 0, now);
                engine_steps_done(lazy.engine, lazy.service, lazy.sent.id, 0, now);
                told = true;
        }
        if (!eager.commits)
                return;
        eager.commits = lazy.commits = false;
        assert_string_equal(eager.sent.id, lazy.sent.id);
        CommitResult r = below(4) ? COMMIT_DONE : below(2) ? COMMIT_REFUSED : COMMIT_FAILED;
        uint64_t epoch = r == COMMIT_DONE ? ++facts.epoch : 0;
        if (r == COMMIT_DONE && below(2))
                heal();
        engine_commit_done(eager.engine, eager.service, eager.sent.id, r, epoch, "so", now);
        engine_commit_done(lazy.engine, lazy.service, lazy.sent.id, r, epoch, "so", now);
        told = true;
        decided++;
}

static void compare(void) {
        ServiceSnapshot a, b;
        assert_string_equal(eager.log, lazy.log);
        assert_true(engine_snapshot_service(eager.engine, eager.service, now, &a));
        assert_true(engine_snapshot_service(lazy.engine, lazy.service, now, &b));
        assert_int_equal(a.health, b.health);
        assert_int_equal(a.operation_state, b.operation_state);
        assert_int_equal(a.bake_left, b.bake_left);
        for (size_t i = 0; i < a.n_rules; i++) {
                assert_int_equal(a.rules[i].verdict.tri, b.rules[i].verdict.tri);
                assert_int_equal(a.rules[i].verdict.why, b.rules[i].verdict.why);
                assert_true(a.rules[i].policy->signal == 1 || a.rules[i].verdict.why == WHY_STALE ||
                            a.rules[i].verdict.n == b.rules[i].verdict.n);
                assert_int_equal(a.rules[i].firing, b.rules[i].firing);
                assert_int_equal(a.rules[i].bad_for, b.rules[i].bad_for);
        }
}

static void walk(uint64_t number) {
        set_up(number);
        for (uint64_t tick = 0; tick < TICKS; tick++) {
                now += TICK;
                told = tick == 0;
                if (below(number % 3 ? 150 : 1200) == 0)
                        disturb();
                answer();
                sample(tick);
                service_mark_fed(eager.engine, eager.engine->slots[eager.service]);
                eager.engine->slots[eager.service]->dirty = UINT32_MAX;
                step(&eager);
                *lazy.log = '\0';
                if (told || engine_deadline(lazy.engine) <= now) {
                        steps++;
                        step(&lazy);
                } else
                        skipped++;
                compare();
        }
        eager.engine = engine_free(eager.engine);
        lazy.engine = engine_free(lazy.engine);
}

static void deadlines_miss_nothing(void **state) {
        (void)state;
        for (uint64_t i = 1; i <= WALKS; i++)
                walk(i * 104729);
        print_message("%llu ticks stepped, %llu without, %llu commits\n", (unsigned long long)steps,
                      (unsigned long long)skipped, (unsigned long long)decided);
        assert_true(skipped > 20000 && decided > 20);
}

int main(void) {
        const struct CMUnitTest tests[] = { cmocka_unit_test(deadlines_miss_nothing) };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
