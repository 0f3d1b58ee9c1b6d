/* How many samples a second the engine takes, each fed and stepped at its own time, over services
 * that are visited round robin, beside a floor that walks the same memory and judges nothing. */
#include <stdio.h>
#include <time.h>

#include "service_state.h"

#define SERVICES 1000
#define TARGETS 2
#define SAMPLES 12000000
#define WARM 600000
/* Microseconds of virtual time: every target is sampled about once a second. */
#define SAMPLE_GAP 166

enum { LIVE, RED, DB, PROBES };
enum { UP, ERRORS, SLOW, LOAD, SIGNALS };

static uint64_t allocations;

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);

/* The hook: every allocation of this process comes through here. */
void *malloc(size_t size) {
        allocations++;
        return __libc_malloc(size);
}

void *calloc(size_t n, size_t size) {
        allocations++;
        return __libc_calloc(n, size);
}

void *realloc(void *p, size_t size) {
        allocations++;
        return __libc_realloc(p, size);
}

static const ProbePolicy probes[PROBES] = {
        [LIVE] = { .name = "live",
                   .identity = 1,
                   .n_targets = TARGETS,
                   .rise = 2,
                   .fall = 3,
                   .interval = USEC_PER_SEC },
        [RED] = { .name = "red",
                  .identity = 2,
                  .n_targets = TARGETS,
                  .rise = 2,
                  .fall = 3,
                  .n_operands = 4,
                  .interval = USEC_PER_SEC },
        [DB] = { .name = "db",
                 .identity = 3,
                 .n_targets = TARGETS,
                 .rise = 2,
                 .fall = 3,
                 .dependency = true,
                 .interval = USEC_PER_SEC },
};

static const SignalPolicy signals[SIGNALS] = {
        [UP] = { .name = "up", .kind = SIGNAL_AVAILABILITY, .probe = LIVE },
        [ERRORS] = { .name = "errors", .kind = SIGNAL_RATIO, .probe = RED, .bad = 0, .total = 1 },
        [SLOW] = { .name = "slow", .kind = SIGNAL_RATIO, .probe = RED, .bad = 2, .total = 1 },
        [LOAD] = { .name = "load", .kind = SIGNAL_RATE, .probe = RED, .bad = 3 },
};

#define THRESHOLD                                                                                  \
        .kind = RULE_THRESHOLD, .over = USEC_PER_MINUTE, .dispersion = 5, .min_samples = 100,      \
        .min_bad = 10, .hold = 30 * USEC_PER_SEC

static const RulePolicy rules[] = {
        { .name = "down",
          .kind = RULE_DOWN,
          .probe = LIVE,
          .at_least = 1,
          .hold = 20 * USEC_PER_SEC,
          .response = RESPONSE_ROLLBACK },
        { .name = "up",
          THRESHOLD,
          .signal = UP,
          .enter = 0.2,
          .leave = 0.1,
          .response = RESPONSE_ROLLBACK },
        { .name = "errors",
          THRESHOLD,
          .signal = ERRORS,
          .enter = 0.05,
          .leave = 0.02,
          .response = RESPONSE_ROLLBACK },
        { .name = "slow",
          THRESHOLD,
          .signal = SLOW,
          .enter = 0.1,
          .leave = 0.05,
          .response = RESPONSE_NOTIFY },
        { .name = "load",
          THRESHOLD,
          .signal = LOAD,
          .enter = 100,
          .leave = 50,
          .response = RESPONSE_NOTIFY },
};

static Policy policies[SERVICES];
static char names[SERVICES][NAME_SIZE];

/* Of this process's CPU: other work on the machine is not counted. */
static double seconds(void) {
        struct timespec t;
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void put_services(Engine *e, usec_t now) {
        ServiceFacts facts = { .version = "v2",
                               .epoch = 2,
                               .kind = RELEASE_DEPLOY,
                               .released = now,
                               .automatic = true,
                               .n_candidates = 1,
                               .candidates = { { .version = "v1",
                                                 .epoch = 1,
                                                 .stable = true,
                                                 .schema_fits = true,
                                                 .previous = true } } };

        engine_set_ledger_reachable(e, true, now);
        for (uint32_t i = 0; i < SERVICES; i++) {
                uint32_t handle;
                snprintf(names[i], NAME_SIZE, "service-%u", i);
                policies[i] = (Policy){
                        .service = names[i],
                        .hash = "",
                        .probes = probes,
                        .n_probes = PROBES,
                        .signals = signals,
                        .n_signals = SIGNALS,
                        .rules = rules,
                        .n_rules = ELEMENTSOF(rules),
                        .unknown_after = USEC_PER_MINUTE,
                        .release = { .warmup = USEC_PER_SEC,
                                     .bake_time = USEC_PER_HOUR,
                                     .watch = USEC_PER_DAY },
                        .rollback = { .settle = USEC_PER_SEC,
                                      .verify = USEC_PER_MINUTE,
                                      .budget_count = 2 },
                };
                if (engine_put_service(e, &policies[i], now, &handle) < 0 || handle != i)
                        abort();
                engine_set_facts(e, handle, &facts, now);
        }
}

/* Sample number i: mostly good, one check in 64 fails, one request in 128. */
static Sample make_sample(uint64_t i, usec_t now, const double *increases) {
        uint16_t slot = (uint16_t)(i / SERVICES % (PROBES * TARGETS));
        uint16_t probe = slot / TARGETS;
        bool fails = probe == LIVE && (i * 2654435761U >> 7 & 63) == 0;
        return (Sample){
                .service = (uint32_t)(i % SERVICES),
                .probe = probe,
                .target = slot % TARGETS,
                .outcome = fails ? OUTCOME_TIMEOUT : OUTCOME_OK,
                .started = now - 1000,
                .at = now,
                .since = probe == RED ? now - USEC_PER_SEC : 0,
                .version = probe == RED ? "v2" : NULL,
                .increases = increases,
                .n_increases = probe == RED ? 4 : 0,
        };
}

static usec_t run(Engine *e, uint64_t n, usec_t now, uint64_t *effects) {
        static const double increases[4] = { 1, 128, 2, 3 };
        Effect effect;

        for (uint64_t i = 0; i < n; i++) {
                now += SAMPLE_GAP;
                Sample s = make_sample(i, now, increases);
                engine_feed(e, &s);
                engine_step(e, now);
                while (engine_take_effect(e, &effect))
                        (*effects)++;
                if (engine_deadline(e) <= now)
                        abort();
        }
        return now;
}

/* The same visits: the service's head, its target, and the head and one bucket of every window that
 * reads the probe. */
static double run_floor(Engine *e, uint64_t n) {
        double begin = seconds();
        uint64_t sum = 0;

        for (uint64_t i = 0; i < n; i++) {
                Service *s = engine_service(e, (uint32_t)(i % SERVICES));
                uint64_t slot = i / SERVICES % (PROBES * TARGETS);
                ProbeState *p = &s->probes[slot / TARGETS];
                TargetState *t = &p->targets[slot % TARGETS];
                t->at++;
                sum += s->count_from + t->started;
                for (uint32_t left = p->rules; left; left &= left - 1) {
                        RuleState *r = &s->rules[__builtin_ctz(left)];
                        r->judged_at++;
                        if (r->window)
                                r->window->buckets[i % WINDOW_BUCKETS].total += 1;
                }
        }
        if (sum == 1)
                abort();
        return (double)n / (seconds() - begin);
}

int main(void) {
        Engine *e = NULL;
        uint64_t effects = 0;
        usec_t now = 1000 * USEC_PER_SEC;

        if (engine_new(&e, SERVICES, 1) < 0)
                return 1;
        put_services(e, now);
        size_t bytes = e->slots[0]->bytes + sizeof *e->slots + 4 * sizeof *e->heap;
        now = run(e, WARM, now, &effects);
        uint64_t before = allocations, effects_before = effects;
        double begin = seconds();
        now = run(e, SAMPLES, now, &effects);
        double rate = SAMPLES / (seconds() - begin);
        uint64_t during = allocations - before;
        ServiceSnapshot snapshot;
        if (!engine_snapshot_service(e, 0, now, &snapshot) ||
            snapshot.rules[2].verdict.tri != TRI_GOOD)
                return 1;
        double floor = run_floor(e, SAMPLES);
        printf("{\"bench\":\"engine\",\"services\":%d,\"samples\":%d,\"samples_per_second\":%.0f,"
               "\"clock\":\"process cpu\",\"allocations\":%llu,"
               "\"effects\":%llu,\"bytes_per_service\":%zu,\"floor_visits_per_second\":%.0f,"
               "\"ratio_to_floor\":%.3f}\n",
               SERVICES, SAMPLES, rate, (unsigned long long)during,
               (unsigned long long)(effects - effects_before), bytes, floor, rate / floor);
        e = engine_free(e);
        return during == 0 ? 0 : 1;
}
