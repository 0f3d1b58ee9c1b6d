/* scenario_words.h: the words of a scenario that say how the world is: policy, probe, signal, rule,
 * candidate, facts. What happens in it is in test_scenarios.c. */
#pragma once

#include "number.h"
#include "world.h"

#define WORDS_MAX 24

typedef struct Line {
        const char *file;
        unsigned number;
        char *words[WORDS_MAX];
        size_t n;
} Line;

static World world;
static size_t seen; /* effects before this were matched by an expectation */

static void broken(const Line *l, const char *why) {
        print_error("%s:%u: %s (at %.3f s; health %s)\n", l->file, l->number, why,
                    (double)(world.now - WORLD_START) / 1e6, "see below");
        size_t from = world.log_n > 12 ? world.log_n - 12 : 0;
        for (size_t i = from; i < world.log_n; i++)
                print_error("    effect %zu: %s\n", i, world.log[i % WORLD_LOG]);
        ServiceSnapshot s;
        if (world.engine && engine_snapshot_service(world.engine, world.service, world.now, &s)) {
                print_error("    health %s (row %u), operation %s, guard %s\n",
                            health_to_string(s.health), s.health_row,
                            operation_state_to_string(s.operation_state), s.guard_text);
                for (size_t i = 0; i < s.n_rules; i++)
                        print_error("    rule %s %s: %s, %g of %g, bad for %g s\n",
                                    s.rules[i].policy->name, tri_to_string(s.rules[i].verdict.tri),
                                    verdict_why_code(s.rules[i].verdict.why), s.rules[i].verdict.k,
                                    s.rules[i].verdict.n, (double)s.rules[i].bad_for / 1e6);
        }
        fail();
}

static usec_t to_usec(const Line *l, const char *text) {
        usec_t t = 0;
        if (usec_parse(text, &t) < 0)
                broken(l, "not a duration");
        return t;
}

static usec_t to_instant(const Line *l, const char *text) {
        if (streq(text, "boot"))
                return 0;
        if (text[0] == '-')
                return WORLD_START - to_usec(l, text + 1);
        return WORLD_START + to_usec(l, text);
}

static double to_number(const Line *l, const char *text) {
        double value;
        if (number_parse_percent(text, &value) == 0 ||
            number_parse_double(text, strlen(text), &value) == 0)
                return value;
        broken(l, "not a number");
        return 0;
}

/* The value of key=VALUE among the words, or NULL. */
static const char *find(const Line *l, const char *key) {
        size_t length = strlen(key);
        for (size_t i = 1; i < l->n; i++)
                if (strncmp(l->words[i], key, length) == 0 && l->words[i][length] == '=')
                        return l->words[i] + length + 1;
        return NULL;
}

static bool has(const Line *l, const char *word) {
        for (size_t i = 1; i < l->n; i++)
                if (streq(l->words[i], word))
                        return true;
        return false;
}

static void set_usec(const Line *l, const char *key, usec_t *value) {
        if (find(l, key))
                *value = to_usec(l, find(l, key));
}

static void set_double(const Line *l, const char *key, double *value) {
        if (find(l, key))
                *value = to_number(l, find(l, key));
}

static uint16_t find_probe(const Line *l, const char *name) {
        for (uint16_t i = 0; i < world.policy.n_probes; i++)
                if (streq(world.probes[i].name, name))
                        return i;
        broken(l, "no such probe");
        return 0;
}

static uint16_t find_signal(const Line *l, const char *name) {
        for (uint16_t i = 0; i < world.policy.n_signals; i++)
                if (streq(world.signals[i].name, name))
                        return i;
        broken(l, "no such signal");
        return 0;
}

static void define_policy(const Line *l) {
        Policy *p = &world.policy;
        if (find(l, "mode"))
                p->rollback.mode = (RollbackMode)rollback_mode_from_string(find(l, "mode"));
        if (find(l, "strategy"))
                p->rollback.strategy = (Strategy)strategy_from_string(find(l, "strategy"));
        if (find(l, "version"))
                p->rollback.version = world_name(&world, find(l, "version"));
        set_usec(l, "warmup", &p->release.warmup);
        set_usec(l, "watch", &p->release.watch);
        set_usec(l, "bake", &p->release.bake_time);
        set_usec(l, "settle", &p->rollback.settle);
        set_usec(l, "verify", &p->rollback.verify);
        set_usec(l, "cooldown", &p->rollback.cooldown);
        set_usec(l, "unknown_after", &p->unknown_after);
        if (find(l, "bake_requests"))
                p->release.bake_requests = (uint64_t)to_number(l, find(l, "bake_requests"));
        if (find(l, "budget"))
                p->rollback.budget_count = (uint32_t)to_number(l, find(l, "budget"));
}

static void define_probe(const Line *l) {
        ProbePolicy *p = &world.probes[world.policy.n_probes++];
        *p = (ProbePolicy){ .name = world_name(&world, l->words[1]),
                            .identity = world.policy.n_probes,
                            .n_targets = 2,
                            .rise = 2,
                            .fall = 3,
                            .n_operands = 2,
                            .interval = USEC_PER_SEC,
                            .dependency = has(l, "dependency") };
        set_usec(l, "interval", &p->interval);
        if (find(l, "targets"))
                p->n_targets = (uint16_t)to_number(l, find(l, "targets"));
        if (find(l, "spare"))
                p->n_spare = (uint16_t)to_number(l, find(l, "spare"));
        if (find(l, "rise"))
                p->rise = (uint16_t)to_number(l, find(l, "rise"));
        if (find(l, "fall"))
                p->fall = (uint16_t)to_number(l, find(l, "fall"));
}

static void define_signal(const Line *l) {
        SignalPolicy *s = &world.signals[world.policy.n_signals++];
        *s = (SignalPolicy){ .name = world_name(&world, l->words[1]),
                             .kind = (SignalKind)signal_kind_from_string(l->words[2]),
                             .probe = find_probe(l, l->words[3]),
                             .bad = 0,
                             .total = 1 };
}

static void define_rule(const Line *l) {
        RulePolicy *r = NULL;
        for (size_t i = 0; i < world.policy.n_rules; i++)
                if (streq(world.rules[i].name, l->words[1]))
                        r = &world.rules[i];
        if (!r) {
                r = &world.rules[world.policy.n_rules++];
                *r = (RulePolicy){ .name = world_name(&world, l->words[1]),
                                   .response = RESPONSE_ROLLBACK,
                                   .kind = (RuleKind)rule_kind_from_string(l->words[2]),
                                   .at_least = 1,
                                   .over = USEC_PER_MINUTE,
                                   .enter = 0.05,
                                   .leave = 0.02,
                                   .dispersion = 5,
                                   .min_samples = 100,
                                   .min_bad = 10,
                                   .hold = 10 * USEC_PER_SEC };
        } else
                r->identity += 1000;
        r->identity++;
        if (find(l, "probe"))
                r->probe = find_probe(l, find(l, "probe"));
        if (find(l, "signal"))
                r->signal = find_signal(l, find(l, "signal"));
        if (find(l, "response"))
                r->response = (Response)response_from_string(find(l, "response"));
        set_usec(l, "hold", &r->hold);
        set_usec(l, "over", &r->over);
        set_double(l, "at_least", &r->at_least);
        set_double(l, "enter", &r->enter);
        set_double(l, "leave", &r->leave);
        set_double(l, "dispersion", &r->dispersion);
        set_double(l, "min_samples", &r->min_samples);
        set_double(l, "min_bad", &r->min_bad);
}

/* candidate v1 stable previous quarantined barrier misfit */
static void define_candidate(const Line *l) {
        Candidate *c = &world.facts.candidates[world.facts.n_candidates++];
        *c = (Candidate){ .epoch = 1,
                          .stable = has(l, "stable"),
                          .quarantined = has(l, "quarantined"),
                          .previous = has(l, "previous"),
                          .behind_barrier = has(l, "barrier"),
                          .schema_fits = !has(l, "misfit") };
        snprintf(c->version, NAME_SIZE, "%s", l->words[1]);
}

static void set_facts(const Line *l) {
        ServiceFacts *f = &world.facts;
        if (find(l, "version"))
                snprintf(f->version, NAME_SIZE, "%s", find(l, "version"));
        if (find(l, "epoch"))
                f->epoch = (uint64_t)to_number(l, find(l, "epoch"));
        if (find(l, "kind"))
                f->kind = (ReleaseKind)release_kind_from_string(find(l, "kind"));
        if (find(l, "released"))
                f->released = to_instant(l, find(l, "released"));
        if (find(l, "paused"))
                f->paused_until = to_instant(l, find(l, "paused"));
        if (find(l, "pinned"))
                f->pinned_until = to_instant(l, find(l, "pinned"));
        if (find(l, "cooldown"))
                f->cooldown_until = to_instant(l, find(l, "cooldown"));
        if (find(l, "budget_used"))
                f->budget_used = (uint32_t)to_number(l, find(l, "budget_used"));
        if (find(l, "budget_free"))
                f->budget_free_at = to_instant(l, find(l, "budget_free"));
        f->resumes += has(l, "resumed");
        if (find(l, "automatic"))
                f->automatic = streq(find(l, "automatic"), "yes");
        if (find(l, "deploying"))
                f->deploying = streq(find(l, "deploying"), "yes");
        if (find(l, "stable"))
                f->stable = streq(find(l, "stable"), "yes");
        if (find(l, "operation")) {
                f->operation = (OpenOperation){ .kind = OPERATION_ROLLBACK,
                                                .id = "11111111-2222-4333-8444-555555555555",
                                                .from_epoch = f->epoch - 1,
                                                .to_epoch = f->epoch,
                                                .from_version = "v9",
                                                .opened = world.now };
                f->operation.state = (OperationState)operation_state_from_string(
                        find(l, "operation"));
                memcpy(f->operation.to_version, f->version, NAME_SIZE);
        }
        if (world.started) {
                world_push_facts(&world);
                world_step(&world);
        }
}
