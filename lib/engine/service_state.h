/* service_state.h: everything that the engine keeps of one service, in one block of memory, hot
 * data first. Inside the engine only: the shell sees snapshots. Which file writes what: feeding.c
 * targets and windows, judging.c rules and health, deciding.c the held alert, operating.c the
 * operation. */
#pragma once

#include "snapshot.h"

/* A target or a window whose newest known sample is older than so many intervals more than rise and
 * fall is unknown. */
#define STALE_INTERVALS 2
#define STALE_MIN (3 * USEC_PER_SEC)
/* A dependency is asked at most so often while a decision waits for it, and the wait is told after
 * so long. */
#define DEPENDENCY_ASK_EVERY USEC_PER_SEC
#define DEPENDENCY_WAIT_TOLD (10 * USEC_PER_SEC)
/* A stable mark or a closing that the ledger does not show after so long is asked for again. */
#define ENGINE_REPEAT_AFTER (60 * USEC_PER_SEC)
/* Alerts and probes wait for the next step unless so much room stays for what an operation has to
 * say. */
#define EFFECT_ROOM_KEPT 8
#define EFFECT_WORDS_SIZE 2048
#define EFFECT_WORDS_KEPT 1400

typedef struct TargetState {
        usec_t at;       /* of the last sample; 0: never */
        usec_t known_at; /* of the last good or bad one */
        usec_t started;  /* latest start of a probe whose result is known here */
        uint16_t status;
        uint16_t run;  /* samples in a row of `run_tri`, which deviates from `state` */
        uint8_t state; /* Tri, after rise and fall */
        uint8_t run_tri;
        uint8_t outcome;    /* ProbeOutcome of the last sample */
        uint8_t raw;        /* its Tri */
        bool other_version; /* `version` is told and is not the active one */
        bool straggler;     /* and it is what the last sample told */
        bool present;       /* else nothing of it counts, and the rest is zero */
        char version[NAME_SIZE];
} TargetState;

typedef struct ProbeState {
        TargetState *targets;
        uint16_t end;     /* no target from here on is present */
        uint32_t rules;   /* bit i: rule i reads this probe */
        uint32_t signals; /* bit i: ratio signal i reads this probe */
        TargetCounts counts;
        bool recount; /* counts are to be made anew */
        usec_t stale_after;
        usec_t stale_at; /* no target turns stale before this */
        usec_t asked_at; /* last EFFECT_PROBE_NOW */
} ProbeState;

typedef struct RuleState {
        Window *window; /* threshold rules */
        usec_t bad_for; /* of the hold, up to `judged_at` */
        usec_t judged_at;
        usec_t good_at; /* last instant at which it was good; else the start of the evidence */
        usec_t fed_at;  /* last increase that was counted */
        bool was_bad;   /* its last answer other than unknown */
        bool told;      /* EVENT_RULE_BAD is raised */
        Verdict verdict;
} RuleState;

typedef struct EffectItem {
        uint64_t epoch;
        uint16_t probe, row;
        uint16_t id, key, text; /* offsets into words; 0: the empty text */
        uint16_t fields;        /* of an alert: the offset of the first of n_fields */
        uint8_t n_fields;
        uint8_t kind, state, event, operation_kind;
        bool automatic, raise, evidence, adopt;
} EffectItem;

typedef struct EffectQueue {
        EffectItem items[ENGINE_EFFECTS_PER_SERVICE];
        uint16_t head, n;
        uint16_t words_used;           /* 0 exactly when nothing is queued */
        char words[EFFECT_WORDS_SIZE]; /* words[0] is the empty text */
} EffectQueue;

typedef struct GoneAlert {
        char rule[NAME_SIZE];
} GoneAlert;

typedef struct Service {
        const Policy *policy;
        uint32_t handle;
        bool fed;    /* in the engine's list of services to step */
        bool queued; /* in the engine's list of services with effects */
        bool known;  /* facts were read */
        bool warm;   /* warm-up or settle is over */
        usec_t deadline;
        uint32_t heap_index;        /* in the heap of deadlines; UINT32_MAX: not in it */
        uint32_t dirty;             /* bit i: rule i has something new to judge */
        uint32_t bad, good, firing; /* bit i: rule i's verdict */
        uint32_t acting;            /* bit i: rule i has a response above notify */
        uint32_t dependencies;      /* bit i: probe i is one */
        usec_t warm_until;
        usec_t count_from; /* samples that started earlier enter no window and no hold */
        usec_t state_from; /* samples that started earlier do not move targets */
        usec_t known_at;   /* last instant at which an acting rule was known */
        Health health;
        uint16_t health_row;
        uint32_t glanced; /* what a glance showed after the last step, packed */
        usec_t health_since;
        ProbeState *probes;
        RuleState *rules;
        usec_t *due;      /* per rule: when it must be judged again without a sample */
        double *requests; /* per signal: sum of `total` since the bake began */

        bool dependency_trouble; /* a dependency's latest result was bad or unknown */
        bool dependency_blamed;  /* meanwhile a rule was not good */
        bool blocked;            /* lost or refused: wait for the next facts */
        bool refused;            /* the ledger refused an automatic commit: `refusal` says why */
        bool failed;             /* a commit failed, and nobody has acted since */
        bool given_up;           /* it was an automatic one: none is tried again for this epoch */
        bool ask_dependencies;   /* a rule left good or a first bad sample came */
        bool no_target;          /* a deploy is active and a rollback would have nowhere to go */
        bool deployed_untold, stable_untold;
        bool blind_told, no_target_told, failed_told;
        bool crowded; /* an alert waits for room */
        bool bake_good;
        char refusal[128];
        uint64_t failed_epoch; /* given up by an earlier run, `refusal` says why; 0: none was */
        uint8_t held_told;     /* Guard whose hold is raised, GUARD_NONE: none */
        EventKind failed_event;
        usec_t bake_for, bake_at, stable_asked_at;
        usec_t observed_until;
        usec_t wait_since; /* a decision waits for a dependency; 0: none */

        OperationState operation_state;
        uint16_t operation_row;
        usec_t operation_since;
        usec_t verify_from;
        usec_t verify_seen;  /* the last step of the verification */
        usec_t verified_for; /* how long it was watched before it began anew after a standstill */
        uint32_t failed_steps;
        uint64_t operation_epoch; /* epoch that its commit made; 0: not committed */
        OperationPlan plan;
        char closed_id[OPERATION_ID_SIZE]; /* the last one closed here: facts may still show it open
                                            */
        OperationState closed_state;
        OperationKind closed_kind;
        usec_t closed_at;

        usec_t facts_at;
        usec_t epoch_at; /* when a commit of this engine made facts.epoch; 0: read from the ledger
                          */
        /* the facts of that epoch are what the commit said; the ledger was not read yet */
        bool assumed;
        EffectQueue effects;
        Evidence evidence;
        ServiceFacts facts;
        GoneAlert *gone; /* raised alerts of rules that a new policy no longer has */
        size_t n_gone;
        size_t bytes; /* of the block */
} Service;

struct Engine {
        size_t n_slots;
        size_t next_slot; /* handles are given out in turn, so that a freed one comes back late */
        Service **slots;
        uint32_t *heap; /* handles by deadline */
        size_t heap_n;
        uint32_t *fed; /* handles to step */
        size_t fed_n;
        uint32_t *stepping; /* the list being worked off */
        uint32_t *ready;    /* ring of handles with effects */
        size_t ready_head, ready_n;
        uint64_t seed;
        uint64_t samples; /* that were taken */
        uint64_t ignored_samples;
        uint64_t lost_effects; /* must stay 0: no room for what an operation had to say */
        uint64_t changes;      /* of what a glance shows */
        bool ledger_reachable;
};

static inline Service *engine_service(const Engine *e, uint32_t handle) {
        return handle < e->n_slots ? e->slots[handle] : NULL;
}

/* False for a service that is NULL too. */
static inline bool service_has_target(const Service *s, uint16_t probe, uint16_t target) {
        return s && probe < s->policy->n_probes && target < s->policy->probes[probe].n_targets &&
               s->probes[probe].targets[target].present;
}

/* What did not fit ends in "...". */
static inline void text_mark_cut(StrBuf *b) {
        if (b->overflow && b->length >= 3)
                memcpy(b->text + b->length - 3, "...", 3);
}

/* Copies a text into storage of `size` bytes, and marks a cut. */
static inline void text_copy(char *to, size_t size, const char *from) {
        StrBuf b;
        strbuf_init(&b, to, size);
        strbuf_add(&b, from);
        text_mark_cut(&b);
}

#define name_copy(to, from) text_copy((to), NAME_SIZE, (from))

/* Allocates the block of a service: probes, targets, rules and windows as the policy needs them,
 * all empty at `now`. Returns NULL when memory is out. */
Service *service_new(const Policy *policy, uint32_t handle, size_t n_gone, usec_t now);
/* Takes over from `old` what the new policy left comparable: facts, operation, effects, targets,
 * windows and holds. */
void service_inherit(Service *s, const Service *old);
/* Forgets the rules' windows, holds and answers; samples that started before `from` do not enter
 * the new ones. */
void service_clear_rules(Service *s, usec_t from);
/* All targets become unknown; samples that started before `from` do not move them. */
void service_clear_targets(Service *s, usec_t from);
