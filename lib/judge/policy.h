/* policy.h: what the judge must know of one service's policy file: probes, signals, rules, and
 * how to respond. Values only, borrowed from the configuration, which outlives them. URLs,
 * statements and secrets are the shell's and are not here. */
#pragma once

#include "sample.h"

#define POLICY_PROBES_MAX 32
#define POLICY_TARGETS_MAX 4096 /* of one probe: 256 names of 16 addresses each */
#define POLICY_SIGNALS_MAX 32
#define POLICY_RULES_MAX 32
#define NAME_SIZE 64 /* of a service, version, probe, signal, rule; with the NUL */

typedef struct ProbePolicy {
        const char *name;
        /* hash of everything that makes its samples comparable: equal over a reload, the windows
         * stay */
        uint64_t identity;
        uint16_t n_targets;
        /* the last of them: further addresses that its names may have, absent until the shell says
         * that there is one */
        uint16_t n_spare;
        uint16_t rise, fall; /* samples in a row before a target turns good, bad */
        uint16_t n_operands; /* counters that it reports */
        /* not the service itself but what it leans on: judged for blame, never a rule's evidence */
        bool dependency;
        usec_t interval;
} ProbePolicy;

typedef enum SignalKind {
        /* share of a probe's samples that were bad; unknown ones do not count */
        SIGNAL_AVAILABILITY,
        SIGNAL_RATIO, /* bad / total, of summed increases */
        SIGNAL_RATE,  /* increases per second */
        _SIGNAL_KIND_MAX,
} SignalKind;

typedef struct SignalPolicy {
        const char *name;
        SignalKind kind;
        uint16_t probe;
        uint16_t bad;   /* operand; for a rate the only one */
        uint16_t total; /* operand, of a ratio */
} SignalPolicy;

typedef enum RuleKind {
        RULE_DOWN,
        RULE_THRESHOLD,
        _RULE_KIND_MAX,
} RuleKind;

typedef enum Response {
        RESPONSE_NOTIFY,
        RESPONSE_ROLLBACK,
        _RESPONSE_MAX,
} Response;

typedef struct RulePolicy {
        const char *name;
        RuleKind kind;
        Response response;
        usec_t hold;
        /* of itself and of what it reads: equal over a reload, window and hold stay */
        uint64_t identity;
        uint16_t probe;  /* down: whose targets */
        double at_least; /* down: share of targets, 0..1 */
        uint16_t signal; /* threshold */
        usec_t over;
        double enter, leave; /* shares 0..1, or per second for a rate */
        double dispersion;   /* >= 1 */
        double min_samples;  /* threshold on a share: samples after division by the dispersion */
        double min_bad;      /* bad ones after division by the dispersion */
} RulePolicy;

typedef enum RollbackMode {
        MODE_OBSERVE,
        MODE_CONFIRM,
        MODE_AUTOMATIC,
        _MODE_MAX,
} RollbackMode;

typedef enum Strategy {
        STRATEGY_LAST_STABLE,
        STRATEGY_PREVIOUS,
        STRATEGY_VERSION,
        _STRATEGY_MAX,
} Strategy;

typedef struct ReleasePolicy {
        usec_t warmup;
        usec_t bake_time;
        uint64_t bake_requests; /* 0: time alone */
        usec_t watch;
} ReleasePolicy;

typedef struct RollbackPolicy {
        RollbackMode mode;
        Strategy strategy;
        const char *version; /* strategy version: the one named */
        usec_t settle, verify, cooldown;
        uint32_t budget_count;
        usec_t budget_per;
} RollbackPolicy;

typedef struct Policy {
        const char *service;
        const char *hash; /* hex of the file's SHA-256, stored with each operation */
        const ProbePolicy *probes;
        size_t n_probes;
        const SignalPolicy *signals;
        size_t n_signals;
        const RulePolicy *rules;
        size_t n_rules;
        ReleasePolicy release;
        RollbackPolicy rollback;
        usec_t unknown_after;
} Policy;

const char *signal_kind_to_string(SignalKind k);
int signal_kind_from_string(const char *s);
const char *rule_kind_to_string(RuleKind k);
int rule_kind_from_string(const char *s);
const char *response_to_string(Response r);
int response_from_string(const char *s);
const char *rollback_mode_to_string(RollbackMode m);
int rollback_mode_from_string(const char *s);
const char *strategy_to_string(Strategy s);
int strategy_from_string(const char *s);
