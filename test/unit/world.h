/* world.h: a service, its probes and its ledger in virtual time, around a real engine: what the
 * shell does in life is done here by a list of future events. Scenarios and the random walk drive
 * it. Reads no clock. */
#pragma once

#include <math.h>
#include <stdio.h>

#include "snapshot.h"

#define WORLD_START (1000 * USEC_PER_SEC) /* "0s" of a scenario */
#define WORLD_LATENCY (20 * USEC_PER_MSEC)
#define WORLD_FACTS_EVERY (10 * USEC_PER_SEC)
#define WORLD_PROBES 6
#define WORLD_TARGETS 4
#define WORLD_RULES 6
#define WORLD_LOG 4096

typedef enum CommitMode {
        ANSWER_HONEST,
        ANSWER_LOST,
        ANSWER_REFUSED,
        ANSWER_FAILED,
        ANSWER_DOUBT,
        ANSWER_NEVER
} CommitMode;

/* What a target answers from now on. */
typedef struct Stream {
        bool on;
        ProbeOutcome outcome;
        double bad, total;       /* increases per sample; NAN: no such series */
        char version[NAME_SIZE]; /* "" : cannot tell */
        usec_t next, since;
} Stream;

/* What the engine borrows: a reload hands over another one. */
typedef struct LivePolicy {
        Policy policy;
        ProbePolicy probes[WORLD_PROBES];
        SignalPolicy signals[WORLD_RULES];
        RulePolicy rules[WORLD_RULES];
} LivePolicy;

typedef struct World {
        Engine *engine;
        uint32_t service;
        usec_t now;
        char names[64][NAME_SIZE]; /* storage of the policy's names */
        size_t n_names;
        Policy policy;
        ProbePolicy probes[WORLD_PROBES];
        SignalPolicy signals[WORLD_RULES];
        RulePolicy rules[WORLD_RULES];
        LivePolicy live[2];
        unsigned turn;
        Stream streams[WORLD_PROBES][WORLD_TARGETS];
        ServiceFacts facts; /* the ledger's truth */
        bool ledger_up, started;
        CommitMode mode;
        usec_t commit_takes, steps_take; /* USEC_INFINITY: never */
        uint32_t steps_fail;
        bool moves_lost; /* what the engine says of an operation never reaches the ledger */
        usec_t next_facts, commit_at, started_at, done_at;
        OperationPlan sent; /* the commit that is under way */
        bool moved;         /* and whether the pointer has moved by it */
        char running[OPERATION_ID_SIZE];
        char log[WORLD_LOG][256]; /* effects as text, a ring */
        size_t log_n;
        size_t commits, automatic_commits;
        void (*on_effect)(struct World *w, const Effect *f); /* asserts invariants, or NULL */
} World;

static inline const char *world_name(World *w, const char *text) {
        snprintf(w->names[w->n_names], NAME_SIZE, "%s", text);
        return w->names[w->n_names++];
}

static inline void world_push_facts(World *w) {
        if (w->ledger_up)
                engine_set_facts(w->engine, w->service, &w->facts, w->now);
}

/* Moves the pointer of the ledger as its functions do. */
static inline void world_move_pointer(World *w, const char *to, ReleaseKind kind) {
        ServiceFacts *f = &w->facts;
        Candidate kept[CANDIDATES_MAX] = { 0 };
        size_t n = 1;
        bool stable = false;

        kept[0] = (Candidate){ .epoch = f->epoch,
                               .stable = f->stable && kind != RELEASE_ROLLBACK,
                               .schema_fits = true,
                               .quarantined = kind == RELEASE_ROLLBACK,
                               .previous = true };
        memcpy(kept[0].version, f->version, NAME_SIZE);
        for (size_t i = 0; i < f->n_candidates && n < CANDIDATES_MAX; i++) {
                if (streq(f->candidates[i].version, to)) {
                        stable = f->candidates[i].stable;
                        continue;
                }
                kept[n] = f->candidates[i];
                kept[n++].previous = false;
        }
        memcpy(f->candidates, kept, sizeof kept);
        f->n_candidates = n;
        snprintf(f->version, NAME_SIZE, "%s", to);
        f->epoch++;
        f->kind = kind;
        f->released = w->now;
        f->stable = stable && kind != RELEASE_DEPLOY;
        f->operation = (OpenOperation){ 0 };
        f->deploying = false;
        if (kind == RELEASE_DEPLOY)
                f->cooldown_until = 0;
}

static inline CommitResult world_commit(World *w) {
        ServiceFacts *f = &w->facts;
        const OperationPlan *p = &w->sent;

        if (w->mode == ANSWER_LOST || p->from_epoch != f->epoch ||
            !streq(p->from_version, f->version))
                return COMMIT_LOST;
        if (w->mode == ANSWER_REFUSED ||
            (p->automatic &&
             (f->paused_until > w->now || f->pinned_until > w->now || !f->automatic)))
                return COMMIT_REFUSED;
        if (w->mode == ANSWER_FAILED)
                return COMMIT_FAILED;
        world_move_pointer(w, p->to_version,
                           p->kind == OPERATION_ROLLBACK ? RELEASE_ROLLBACK : RELEASE_RESTORE);
        if (p->kind == OPERATION_RESTORE)
                f->automatic = false;
        f->operation = (OpenOperation){ .kind = p->kind,
                                        .state = OPERATION_COMMITTED,
                                        .automatic = p->automatic,
                                        .has_steps = true,
                                        .from_epoch = p->from_epoch,
                                        .to_epoch = f->epoch,
                                        .opened = w->now };
        memcpy(f->operation.id, p->id, sizeof p->id);
        memcpy(f->operation.from_version, p->from_version, NAME_SIZE);
        memcpy(f->operation.to_version, p->to_version, NAME_SIZE);
        w->commits++;
        w->automatic_commits += p->automatic;
        f->budget_used += p->automatic;
        f->budget_free_at = usec_add(w->now, w->policy.rollback.budget_per);
        return COMMIT_DONE;
}

static inline void world_answer_commit(World *w) {
        w->commit_at = USEC_INFINITY;
        if (w->mode == ANSWER_DOUBT &&
            !w->moved) { /* committed, but the answer was lost: asked again later */
                w->moved = world_commit(w) == COMMIT_DONE;
                engine_commit_done(w->engine, w->service, w->sent.id, COMMIT_IN_DOUBT, 0,
                                   "connection lost", w->now);
                w->commit_at = w->now + 2 * USEC_PER_SEC;
                return;
        }
        CommitResult r = w->moved ? COMMIT_DONE : world_commit(w);
        w->moved = false;
        engine_commit_done(w->engine, w->service, w->sent.id, r,
                           r == COMMIT_DONE ? w->facts.epoch : 0, "as told", w->now);
}

static inline const char *world_kind(EffectKind k) {
        static const char *const names[] = { "PROBE_NOW", "COMMIT", "RUN_STEPS", "MOVE",
                                             "RECORD",    "ALERT",  "STABLE" };
        return names[k];
}

static inline void world_log(World *w, const Effect *f) {
        char *line = w->log[w->log_n++ % WORLD_LOG];
        const char *type = f->kind == EFFECT_ALERT || f->kind == EFFECT_RECORD ?
                                   event_row(f->event)->type :
                                   "";

        if (f->kind == EFFECT_COMMIT)
                snprintf(line, 256, "COMMIT %s %s->%s by %s",
                         operation_kind_to_string(f->operation.kind), f->operation.from_version,
                         f->operation.to_version, f->operation.actor);
        else if (f->kind == EFFECT_MOVE_OPERATION)
                snprintf(line, 256, "MOVE %s: %.220s", operation_state_to_string(f->state),
                         f->text);
        else if (f->kind == EFFECT_PROBE_NOW)
                snprintf(line, 256, "PROBE_NOW %s", w->probes[f->probe].name);
        else
                snprintf(line, 256, "%s %s%s%s%s", world_kind(f->kind),
                         f->kind == EFFECT_ALERT && !f->raise ? "over " : "", type,
                         *f->key ? " " : "", f->key);
}

static inline void world_feed(World *w, uint16_t probe, uint16_t target, usec_t began) {
        Stream *s = &w->streams[probe][target];
        double increases[2] = { s->bad, s->total };
        Sample sample = {
                .service = w->service,
                .probe = probe,
                .target = target,
                .outcome = s->outcome,
                .started = began,
                .at = w->now,
                .since = s->since,
                .version = *s->version ? s->version : NULL,
                .increases = increases,
                .n_increases = w->probes[probe].n_operands,
        };
        if (s->outcome == OUTCOME_OK)
                s->since = w->now;
        engine_feed(w->engine, &sample);
}

static inline void world_take(World *w, const Effect *f) {
        switch (f->kind) {
        case EFFECT_PROBE_NOW:
                for (uint16_t t = 0; t < w->probes[f->probe].n_targets; t++)
                        if (w->streams[f->probe][t].on)
                                w->streams[f->probe][t].next = w->now + 1;
                break;
        case EFFECT_COMMIT:
                w->sent = f->operation;
                w->moved = false;
                w->commit_at = w->mode == ANSWER_NEVER ? USEC_INFINITY :
                                                         usec_add(w->now, w->commit_takes);
                break;
        case EFFECT_RUN_STEPS:
                memcpy(w->running, f->operation.id, sizeof w->running);
                w->started_at = w->now + WORLD_LATENCY;
                w->done_at = usec_add(w->now, w->steps_take);
                break;
        case EFFECT_MOVE_OPERATION:
                if (w->ledger_up && !w->moves_lost &&
                    streq(f->operation.id, w->facts.operation.id)) {
                        w->facts.operation.state = f->state;
                        if (operation_is_closed(f->state)) {
                                w->facts.operation = (OpenOperation){ 0 };
                                w->facts.cooldown_until = usec_add(w->now,
                                                                   w->policy.rollback.cooldown);
                        }
                }
                break;
        case EFFECT_RECORD:
        case EFFECT_ALERT:
                break;
        case EFFECT_MARK_STABLE:
                if (w->ledger_up && f->epoch == w->facts.epoch)
                        w->facts.stable = true;
                break;
        case _EFFECT_KIND_MAX:
                break;
        }
}

static inline void world_step(World *w) {
        Effect f;
        engine_step(w->engine, w->now);
        while (engine_take_effect(w->engine, &f)) {
                world_log(w, &f);
                if (w->on_effect)
                        w->on_effect(w, &f);
                world_take(w, &f);
        }
}

static inline usec_t world_next(const World *w) {
        usec_t next = MIN(engine_deadline(w->engine), w->next_facts);
        next = MIN(next, w->commit_at);
        next = MIN(next, w->started_at);
        next = MIN(next, w->done_at);
        for (size_t p = 0; p < w->policy.n_probes; p++)
                for (size_t t = 0; t < w->probes[p].n_targets; t++)
                        if (w->streams[p][t].on)
                                next = MIN(next, w->streams[p][t].next + WORLD_LATENCY);
        return next;
}

static inline void world_feed_due(World *w) {
        for (uint16_t p = 0; p < w->policy.n_probes; p++)
                for (uint16_t t = 0; t < w->probes[p].n_targets; t++) {
                        Stream *s = &w->streams[p][t];
                        if (!s->on || s->next + WORLD_LATENCY > w->now)
                                continue;
                        usec_t began = s->next;
                        s->next = began + w->probes[p].interval;
                        world_feed(w, p, t, began);
                }
}

/* Everything that is due at w->now, then one step. */
static inline void world_turn(World *w) {
        world_feed_due(w);
        if (w->commit_at <= w->now && w->ledger_up)
                world_answer_commit(w);
        if (w->started_at <= w->now) {
                w->started_at = USEC_INFINITY;
                engine_steps_started(w->engine, w->service, w->running, w->now);
        }
        if (w->done_at <= w->now) {
                w->done_at = USEC_INFINITY;
                engine_steps_done(w->engine, w->service, w->running, w->steps_fail, w->now);
        }
        if (w->next_facts <= w->now) {
                w->next_facts = w->now + WORLD_FACTS_EVERY;
                world_push_facts(w);
        }
        world_step(w);
}

/* Goes to the next event, not past `end`. Returns false once there is none before it. */
static inline bool world_advance(World *w, usec_t end) {
        usec_t next = world_next(w);
        if (next > end) {
                w->now = MAX(w->now, end);
                return false;
        }
        w->now = MAX(w->now, next);
        world_turn(w);
        return true;
}

/* Puts the policy as it now stands into the engine. */
static inline void world_put_policy(World *w) {
        LivePolicy *l = &w->live[w->turn ^= 1];
        l->policy = w->policy;
        l->policy.hash = w->turn ? "01" : "00";
        memcpy(l->probes, w->probes, sizeof l->probes);
        memcpy(l->signals, w->signals, sizeof l->signals);
        memcpy(l->rules, w->rules, sizeof l->rules);
        l->policy.probes = l->probes;
        l->policy.signals = l->signals;
        l->policy.rules = l->rules;
        if (engine_put_service(w->engine, &l->policy, w->now, &w->service) < 0)
                abort();
}

/* A daemon starts: nothing is remembered but the ledger. */
static inline void world_start(World *w) {
        if (w->engine)
                engine_free(w->engine);
        if (engine_new(&w->engine, 4, w->now) < 0)
                abort();
        world_put_policy(w);
        w->started = true;
        w->commit_at = w->started_at = w->done_at = USEC_INFINITY;
        for (size_t p = 0; p < WORLD_PROBES; p++)
                for (size_t t = 0; t < WORLD_TARGETS; t++)
                        w->streams[p][t].since = 0;
        w->next_facts = w->now + WORLD_FACTS_EVERY;
        engine_set_ledger_reachable(w->engine, w->ledger_up, w->now);
        world_push_facts(w);
        world_step(w);
}

static inline void world_init(World *w) {
        memset(w, 0, sizeof *w);
        w->now = WORLD_START;
        w->ledger_up = true;
        w->commit_takes = w->steps_take = 100 * USEC_PER_MSEC;
        w->facts = (ServiceFacts){
                .epoch = 1, .kind = RELEASE_DEPLOY, .released = WORLD_START, .automatic = true
        };
        w->policy = (Policy){
                .service = "web",
                .hash = "00",
                .probes = w->probes,
                .signals = w->signals,
                .rules = w->rules,
                .release = { .warmup = 10 * USEC_PER_SEC,
                             .bake_time = 10 * USEC_PER_MINUTE,
                             .watch = USEC_PER_DAY },
                .rollback = { .mode = MODE_AUTOMATIC,
                              .settle = 5 * USEC_PER_SEC,
                              .verify = 30 * USEC_PER_SEC,
                              .cooldown = 10 * USEC_PER_MINUTE,
                              .budget_count = 2,
                              .budget_per = USEC_PER_DAY },
                .unknown_after = USEC_PER_MINUTE,
        };
}
