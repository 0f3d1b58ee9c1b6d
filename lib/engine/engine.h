/* engine.h: the judge's one door. The shell feeds samples, facts and results, steps it to `now`,
 * takes effects out and gives their results back. Same inputs, same outputs: no clock, no
 * callback, no allocation but in engine_new(), engine_put_service() and engine_remove_service().
 * Knows nothing of sockets, SQL or JSON. */
#pragma once

#include "events.h"
#include "evidence.h"
#include "guards.h"
#include "health.h"

typedef struct Engine Engine;

#define ENGINE_EFFECTS_PER_SERVICE 16 /* queued at once; the shell takes them after every step */
#define ENGINE_TEXT_SIZE 512
#define ENGINE_ALERT_FIELDS 11
#define ENGINE_NO_SERVICE UINT32_MAX
/* times `verify`, then an unverified operation is closed and paged */
#define ENGINE_UNVERIFIED_FACTOR 10

typedef enum EffectKind {
        EFFECT_PROBE_NOW, /* probe every target of dependency probe `probe` now */
        EFFECT_COMMIT,    /* run the short transaction of `operation` */
        /* run the steps of `operation` (adopting it first when it has none) */
        EFFECT_RUN_STEPS,
        EFFECT_MOVE_OPERATION, /* write `state` of `operation` to the ledger, with evidence */
        /* store event `event` with evidence in the ledger (would-have events) */
        EFFECT_RECORD,
        /* tell the operator: event `event`, raise or over; `key` tells reasons apart */
        EFFECT_ALERT,
        EFFECT_MARK_STABLE, /* the bake is complete for (service, epoch) */
        _EFFECT_KIND_MAX,
} EffectKind;

typedef struct OperationPlan {
        char id[OPERATION_ID_SIZE]; /* made by the engine from its seed, before the first send */
        OperationKind kind;
        bool automatic;
        uint64_t from_epoch;
        char from_version[NAME_SIZE], to_version[NAME_SIZE];
        char actor[NAME_SIZE]; /* "rollbackd" or the person */
        char reason[160];
} OperationPlan;

typedef struct Effect {
        EffectKind kind;
        uint32_t service;
        uint16_t probe;
        uint16_t row; /* number of the machine's row that asked for it, 0: none */
        /* COMMIT; of the others id, kind and automatic, and the rest while it is the latest; of
         * RECORD the id of the event */
        OperationPlan operation;
        OperationState state; /* MOVE_OPERATION */
        /* RUN_STEPS: the operation has no step rows yet (break-glass): insert the policy's first */
        bool adopt;
        EventKind event; /* ALERT, RECORD */
        bool raise;      /* ALERT: raise, or over */
        /* ALERT: what tells this reason from another of the same event: the guard's or the
         * rule's name */
        char key[NAME_SIZE];
        /* ALERT, MOVE_OPERATION: the sentence with numbers; what did not fit ends in "..." */
        char text[ENGINE_TEXT_SIZE];
        /* ALERT: what the sentence names, but for service, epoch and operation; borrowed likewise
         */
        EventFieldValue fields[ENGINE_ALERT_FIELDS];
        size_t n_fields;
        uint64_t epoch;
        /* COMMIT, RECORD, MOVE_OPERATION, ALERT: borrowed until the next engine_step() or
         * engine_request(); NULL: none */
        const Evidence *evidence;
} Effect;

typedef enum CommitResult {
        COMMIT_DONE,
        /* for the display; the shell asks again by itself and reports another result later */
        COMMIT_IN_DOUBT,
        COMMIT_LOST,
        COMMIT_REFUSED,
        COMMIT_FAILED,
} CommitResult;

/* `n_services`: how many services may exist at once. `seed`: for operation ids. Returns 0 or
 * -ENOMEM. */
int engine_new(Engine **ret, size_t n_services, uint64_t seed) _must_check_;
Engine *engine_free(Engine *e);
DEFINE_CLEANUP(Engine *, engine_free);

/* Adds the service or, when one of that name exists, replaces its policy: probes and rules of
 * equal name and identity keep their windows, counters and holds. Borrows *policy until it is
 * replaced or removed. Returns 0 and the handle, which stays the same over a replacement;
 * -ENOMEM; -ENOSPC. */
int engine_put_service(Engine *e, const Policy *policy, usec_t now,
                       uint32_t *ret_service) _must_check_;
/* Removes a service; what is queued for it is dropped. Results that come later for it are
 * ignored. */
void engine_remove_service(Engine *e, uint32_t service);
/* Handle by name, or ENGINE_NO_SERVICE. */
uint32_t engine_find_service(const Engine *e, const char *name);

/* Feeds one sample; copies what it needs. A sample whose handle or indexes are not of a present
 * service and target is ignored and counted. */
void engine_feed(Engine *e, const Sample *s);
/* Whether there is such a target: an address of a name that the name no longer has is absent, and
 * counts nowhere. One that becomes present is unknown; what was known of one that leaves is
 * forgotten. All but a probe's spare targets are present from the start; a replaced policy whose
 * probe is the same keeps what was told. */
void engine_set_target_present(Engine *e, uint32_t service, uint16_t probe, uint16_t target,
                               bool present);
/* The ledger's facts of one service, read at `at`. A new epoch starts the evidence anew (and
 * says EVENT_RELEASE_DEPLOYED, EVENT_RELEASE_NO_TARGET). `facts` NULL: the ledger does not know
 * the service. */
void engine_set_facts(Engine *e, uint32_t service, const ServiceFacts *facts, usec_t at);
/* Before the first facts: an automatic rollback to `target` from this epoch had failed under the
 * policy with this hash, and is not tried again until somebody acts. Ignored later on, and under
 * another policy. */
void engine_set_failed(Engine *e, uint32_t service, uint64_t epoch, const char *policy_hash,
                       const char *target, const char *detail);
void engine_set_ledger_reachable(Engine *e, bool reachable, usec_t now);
/* The clock jumped or the loop stood still: windows and hold timers start empty. */
void engine_clear_evidence(Engine *e, usec_t now);
/* A person asks for a rollback (`target` NULL: by the policy's strategy) or a restore (target
 * NULL: the version that was left). Returns 0 with the operation's id, or -EBUSY (one is in
 * flight, or the service is pinned), -ESTALE (`epoch` is not the active one; 0: any), -ENOENT
 * (no target), -EHOSTDOWN (ledger), -ENODATA (no facts yet), and the sentence in *why. */
int engine_request(Engine *e, uint32_t service, OperationKind kind, const char *target,
                   uint64_t epoch, const char *actor, const char *reason, usec_t now,
                   char ret_id[static OPERATION_ID_SIZE], StrBuf *why) _must_check_;

/* Moves everything that is due or was fed to `now`. O(due services). */
void engine_step(Engine *e, usec_t now);
/* Takes the next effect. Returns false when there is none. */
bool engine_take_effect(Engine *e, Effect *ret);
/* The next instant at which engine_step() has something to do, or USEC_INFINITY. */
usec_t engine_deadline(const Engine *e);

/* Results of effects. An id that is not the service's operation in flight is ignored. */
void engine_commit_done(Engine *e, uint32_t service, const char *id, CommitResult result,
                        uint64_t epoch, const char *detail, usec_t now);
void engine_steps_started(Engine *e, uint32_t service, const char *id, usec_t now);
void engine_steps_done(Engine *e, uint32_t service, const char *id, uint32_t failed, usec_t now);

/* True while the target's last samples deviate from its settled state, or a rule is within its
 * hold: the scheduler then uses fast_interval. */
bool engine_target_deviates(const Engine *e, uint32_t service, uint16_t probe, uint16_t target);
