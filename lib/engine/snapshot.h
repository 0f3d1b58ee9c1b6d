/* snapshot.h: what can be seen of a service at one instant, as values: the page, the API, the
 * CLI and the metrics are made from it and from nothing else. */
#pragma once

#include "engine.h"

typedef struct TargetSnapshot {
        Tri state;            /* after rise and fall */
        ProbeOutcome outcome; /* of the last sample */
        uint16_t status;
        uint16_t run, needed; /* samples in a row that deviate from `state`, of how many: "4/5" */
        bool straggler;       /* answers a version that is not the active one */
        char version[NAME_SIZE]; /* that answered last; "" : cannot tell */
        usec_t at;               /* 0: never */
} TargetSnapshot;

typedef struct RuleSnapshot {
        const RulePolicy *policy;
        SignalKind signal_kind;
        Verdict verdict;
        TargetCounts counts; /* down rules */
        usec_t bad_for;      /* how much of the hold has run */
        bool firing;
} RuleSnapshot;

typedef struct ServiceSnapshot {
        const Policy *policy;
        bool known;         /* the ledger knows the service */
        ServiceFacts facts; /* as last read */
        usec_t facts_at;
        Health health;
        usec_t health_since;
        uint16_t health_row; /* number of the row that led here */
        RuleSnapshot rules[POLICY_RULES_MAX];
        size_t n_rules;
        GuardAnswer guards[_GUARD_MAX];
        size_t n_guards;
        int holding; /* index in guards of the one that would hold now, -1: none */
        char guard_text[160];
        TargetChoice target; /* candidate borrows from `facts` of this snapshot */
        char target_text[160];
        OperationState operation_state; /* OPERATION_NONE when nothing is in flight */
        OperationPlan operation;
        usec_t operation_since;
        const char *awaited; /* the dependency that its verification waits for, NULL: none */
        usec_t bake_left;    /* of good time; 0: earned or not baking */
        double bake_requests_left;
        usec_t warm_until, watch_until;
        usec_t now;
} ServiceSnapshot;

/* The little that one line about all services needs; pointers are borrowed until the engine's next
 * call. */
typedef struct ServiceGlance {
        const char *service;
        Health health;
        Guard held; /* the guard whose hold is told, GUARD_NONE: none */
        OperationState operation_state;
        const OperationPlan *operation; /* NULL: none in flight */
        const char *awaited; /* the dependency that its verification waits for, NULL: none */
} ServiceGlance;

/* Fills *ret for a present service, at little cost; returns false for an empty slot. */
bool engine_glance(const Engine *e, uint32_t service, ServiceGlance *ret);
/* Counts the steps after which a glance at some service showed something else. */
uint64_t engine_changes(const Engine *e);
/* Samples that were taken since engine_new(), without the ignored ones. */
uint64_t engine_samples(const Engine *e);
/* Number of slots that may hold a service; handles are 0..n-1. */
size_t engine_service_slots(const Engine *e);
/* Fills *ret for a present service; returns false for an empty slot. */
bool engine_snapshot_service(const Engine *e, uint32_t service, usec_t now, ServiceSnapshot *ret);
/* One target of one probe. Returns false when the indexes are out of range, or the target is
 * absent. */
bool engine_snapshot_target(const Engine *e, uint32_t service, uint16_t probe, uint16_t target,
                            TargetSnapshot *ret);
/* The evidence as it would be stored now for rule `rule`: what explain shows of a service. */
bool engine_explain(const Engine *e, uint32_t service, uint16_t rule, usec_t now, Evidence *ret);
