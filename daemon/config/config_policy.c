#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/in.h>

#include "config_check.h"

#define FNV_START 0xcbf29ce484222325ULL
#define FNV_PRIME 0x100000001b3ULL

/* FNV-1a with 64 bits. */
static uint64_t hash_bytes(uint64_t hash, const void *data, size_t n) {
        const uint8_t *p = data;

        for (size_t i = 0; i < n; i++)
                hash = (hash ^ p[i]) * FNV_PRIME;
        return hash;
}

/* With its NUL, so that "a" "bc" and "ab" "c" differ; absent is not empty. */
static uint64_t hash_text(uint64_t hash, const char *text) {
        return text ? hash_bytes(hash, text, strlen(text) + 1) : hash_bytes(hash, "\xff", 1);
}

static uint64_t hash_number(uint64_t hash, uint64_t value) {
        return hash_bytes(hash, &value, sizeof value);
}

/* Everything that makes samples comparable: not intervals and timeouts, whose change must not cost
 * the window. Returns 0 or -ENOMEM. */
static int probe_identity(const ProbeConfig *p, uint64_t *ret) {
        _cleanup_(freep) char *text = config_dump_comparable(SECTION_PROBE, p);
        uint64_t hash;

        if (!text)
                return -ENOMEM;
        hash = hash_text(hash_text(FNV_START, p->name), text);
        hash = hash_number(hash, p->n_operands);
        for (size_t i = 0; i < p->n_operands; i++)
                hash = hash_text(hash, p->operands[i]->text);
        *ret = hash;
        return 0;
}

/* What the rule reads, and the window: limits, hold and response may change without losing what was
 * seen. */
static uint64_t rule_identity(const ServiceConfig *c, const RuleConfig *r) {
        const SignalConfig *s;
        uint64_t hash = hash_number(hash_text(FNV_START, r->name), r->kind);

        if (r->kind == RULE_DOWN)
                return hash_number(hash, c->policy.probes[config_find_probe(c, r->probe)].identity);
        s = &c->signals[config_find_signal(c, r->signal)];
        hash = hash_number(hash, s->kind);
        hash = hash_number(hash, c->policy.probes[config_find_probe(c, s->probe)].identity);
        hash = hash_text(hash, s->bad);
        hash = hash_text(hash, s->total);
        hash = hash_number(hash, r->over);
        return hash_bytes(hash, &r->dispersion, sizeof r->dispersion);
}

/* The probe's operand with that text, made if there is none. Returns its index, -ENOSPC or -ENOMEM.
 */
static int put_operand(ProbeConfig *p, const char *text) {
        OperandConfig *o;
        const char *why;
        size_t at;

        for (size_t i = 0; i < p->n_operands; i++)
                if (streq(p->operands[i]->text, text))
                        return (int)i;
        if (p->n_operands >= SAMPLE_VALUES_MAX)
                return -ENOSPC;
        if (!p->operands)
                p->operands = calloc(SAMPLE_VALUES_MAX, sizeof *p->operands);
        o = p->operands ? calloc(1, sizeof *o) : NULL;
        if (!o)
                return -ENOMEM;
        p->operands[p->n_operands++] = o;
        o->text = strdup(text);
        if (!o->text || selector_parse(text, &o->selector, &at, &why) < 0)
                return -ENOMEM;
        return (int)p->n_operands - 1;
}

static int refuse_operands(const SignalConfig *s, ConfigErrors *e) {
        STRBUF(path, CONFIG_PATH_SIZE);

        strbuf_add(&path, "signals.");
        strbuf_add(&path, s->name);
        config_errors_add(e, s->line, path.text,
                          "its probe would have to report more than 16 different counters; write a "
                          "second metrics probe for some signals");
        return -EINVAL;
}

static int make_signal(ServiceConfig *c, const SignalConfig *s, SignalPolicy *ret,
                       ConfigErrors *e) {
        size_t probe = config_find_probe(c, s->probe);
        int bad = s->bad ? put_operand(&c->probes[probe], s->bad) : 0;
        int total = s->total && bad >= 0 ? put_operand(&c->probes[probe], s->total) : 0;

        if (bad == -ENOSPC || total == -ENOSPC)
                return refuse_operands(s, e);
        if (bad < 0 || total < 0)
                return -ENOMEM;
        *ret = (SignalPolicy){
                .name = s->name,
                .kind = s->kind,
                .probe = (uint16_t)probe,
                .bad = (uint16_t)bad,
                .total = (uint16_t)total,
        };
        return 0;
}

bool target_config_is_name(const TargetConfig *t) {
        struct in6_addr address;

        return t->host && !t->socket && inet_pton(AF_INET, t->host, &address) != 1 &&
               inet_pton(AF_INET6, t->host, &address) != 1;
}

static int make_probe(const ProbeConfig *p, ProbePolicy *ret) {
        size_t n_spare = 0;

        for (size_t i = 0; i < p->n_targets; i++)
                if (target_config_is_name(&p->targets[i]))
                        n_spare += TARGET_ADDRESSES_MAX - 1;
        *ret = (ProbePolicy){
                .name = p->name,
                .n_targets = (uint16_t)(p->n_targets + n_spare),
                .n_spare = (uint16_t)n_spare,
                .rise = (uint16_t)p->rise,
                .fall = (uint16_t)p->fall,
                .n_operands = (uint16_t)p->n_operands,
                .dependency = p->dependency,
                .interval = p->interval,
        };
        return probe_identity(p, &ret->identity);
}

static RulePolicy make_rule(const ServiceConfig *c, const RuleConfig *r) {
        RulePolicy p = {
                .name = r->name,
                .kind = r->kind,
                .response = r->response,
                .hold = r->hold,
                .identity = rule_identity(c, r),
        };

        if (r->kind == RULE_DOWN) {
                p.probe = (uint16_t)config_find_probe(c, r->probe);
                p.at_least = r->at_least;
                return p;
        }
        p.signal = (uint16_t)config_find_signal(c, r->signal);
        p.over = r->over;
        p.enter = r->enter.value;
        p.leave = r->leave.value;
        p.dispersion = r->dispersion;
        p.min_samples = isnan(r->min_samples) ? 0 : r->min_samples;
        p.min_bad = r->min_bad;
        return p;
}

int config_make_policy(ServiceConfig *c, ConfigErrors *e) {
        ProbePolicy *probes = calloc(c->n_probes + 1, sizeof *probes);
        SignalPolicy *signals = calloc(c->n_signals + 1, sizeof *signals);
        RulePolicy *rules = calloc(c->n_rules + 1, sizeof *rules);

        c->policy.probes = probes;
        c->policy.signals = signals;
        c->policy.rules = rules;
        if (!probes || !signals || !rules)
                return -ENOMEM;
        /* Signals first: they make the operands that are part of a probe's identity. */
        for (size_t i = 0; i < c->n_signals; i++) {
                int r = make_signal(c, &c->signals[i], &signals[i], e);

                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < c->n_probes; i++) {
                int r = make_probe(&c->probes[i], &probes[i]);

                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < c->n_rules; i++)
                rules[i] = make_rule(c, &c->rules[i]);
        c->policy.service = c->service;
        c->policy.hash = c->hash;
        c->policy.n_probes = c->n_probes;
        c->policy.n_signals = c->n_signals;
        c->policy.n_rules = c->n_rules;
        return 0;
}

void config_policy_done(ServiceConfig *c) {
        for (size_t i = 0; i < c->n_probes; i++) {
                for (size_t j = 0; j < c->probes[i].n_operands; j++) {
                        free(c->probes[i].operands[j]->text);
                        free(c->probes[i].operands[j]);
                }
                free(c->probes[i].operands);
        }
        free((void *)(uintptr_t)c->policy.probes);
        free((void *)(uintptr_t)c->policy.signals);
        free((void *)(uintptr_t)c->policy.rules);
}
