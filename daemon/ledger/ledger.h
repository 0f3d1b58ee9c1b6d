/* ledger.h: typed calls on sql/: load facts, commit, resolve in doubt, close, record, claim. One
 * connection, pipelined by the queue of glue/pg; never blocks. Knows nothing of what steps do or of
 * how notices travel; returns values, logs nothing. */
#pragma once

#include "engine.h"
#include "json.h"
#include "pg.h"

typedef struct Ledger Ledger;

typedef struct LedgerService {
        const char *service; /* borrowed while subscribed */
        usec_t cooldown, budget_per;
} LedgerService;

/* An automatic rollback of the release that is active, given up before its commit. */
typedef struct LedgerFailed {
        const char *service, *policy_hash, *target, *detail;
        uint64_t epoch;
} LedgerFailed;

typedef struct LedgerOwner {
        void *userdata;
        /* Reachable or not; `failure` says why not (its class tells configuration from outage).
         * Schema checked: a schema that we may not run on is not `up` but PG_CONFIGURATION. */
        void (*on_state)(void *userdata, bool up, const PgFailure *failure);
        /* Facts of one service, read at `at`; NULL: the ledger does not know it. Borrowed for the
         * call. */
        void (*on_facts)(void *userdata, const char *service, const ServiceFacts *facts, usec_t at);
        /* Fresh lists for the API, handed over: arrays as the views print them (newest first). */
        void (*on_recent)(void *userdata, Json *operations, Json *events);
        /* What went wrong without the ledger being down: facts that cannot be read, a write that
         * the ledger refused and that is now given up. `what` names it: "facts of users-api". NULL:
         * not wanted. */
        void (*on_trouble)(void *userdata, const char *what, const PgFailure *failure);
        /* The ledger took a heartbeat (every 20 to 30 s while it is up, the first at once), and
         * said again which schema it has. NULL: not wanted. */
        void (*on_heartbeat)(void *userdata);
        /* In how long the next delivery can be claimed, as often; USEC_INFINITY: none is pending.
         * NULL: not wanted. */
        void (*on_next_delivery)(void *userdata, usec_t in);
        /* Told after each (re)connect, before the first facts: what nobody has resumed since.
         * Borrowed for the call. NULL: not wanted. */
        void (*on_failed)(void *userdata, const LedgerFailed *failed);
        /* The password of each attempt to connect. NULL: none is needed. */
        PgPasswordCallback on_password;
} LedgerOwner;

/* The ledger's schema that this program was built for: SCHEMA of the Makefile. It also runs on the
 * one before, without what this one added. */
#define LEDGER_SCHEMA ROLLBACKD_SCHEMA

int ledger_new(Ledger **ret, Loop *loop, Offload *offload, const char *conninfo,
               const LedgerOwner *owner, uint64_t seed) _must_check_;
Ledger *ledger_free(Ledger *l);
DEFINE_CLEANUP(Ledger *, ledger_free);
bool ledger_is_up(const Ledger *l);
/* Of the ledger as it last said, 0 while it is not known to be one that we may run on. */
uint64_t ledger_schema(const Ledger *l);
/* When a drill of the service last succeeded, in unix seconds, 0 for never. False when the ledger
 * has not told, or is too old to know. */
bool ledger_find_drill(const Ledger *l, const char *service, double *ret_succeeded_at);
/* When it is not up: does not wait for the next attempt, for something may have been mended. */
void ledger_try_now(Ledger *l);

/* The services whose facts are read at once, after each (re)connect, at each notification for them,
 * and every 20 to 30 s. Copies the list. */
int ledger_watch(Ledger *l, const LedgerService services[], size_t n) _must_check_;
/* Reads one service's facts now. */
void ledger_refresh(Ledger *l, const char *service);

/* From now on no commit is sent that was not sent before, and nothing is claimed; what is under way
 * goes on, and writes are taken. */
void ledger_stop(Ledger *l);
typedef struct LedgerUnderWay {
        size_t commits, in_doubt; /* sent and not answered; of them those whose answer is lost */
        const char *service, *from_version, *to_version; /* of the last commit, borrowed; or NULL */
        size_t calls; /* writes that are not answered, and a claim that was sent */
} LedgerUnderWay;
/* What would be broken off by ledger_free(). A write that a person must make possible does not
 * count. */
LedgerUnderWay ledger_under_way(const Ledger *l);

/* Stands for a parameter that the ledger fills in itself: the instant of the release that is being
 * left. Compared by address. */
extern const char ledger_released_at[];

typedef struct AtomicStep {
        unsigned n; /* step number */
        const char *role;
        const char *statement; /* with $n */
        const char *const *parameters;
        size_t n_parameters;
        bool abort_on_error;
} AtomicStep;

typedef struct CommitRequest {
        const OperationPlan *operation;
        const char *service;
        const char *policy_hash;
        const char *evidence; /* JSON text */
        const char *steps;    /* JSON text: the array of step rows */
        const char *const *generations;
        size_t n_generations;
        const AtomicStep *atomic;
        size_t n_atomic;
        usec_t cooldown, budget_per;
        uint32_t budget_count;
        usec_t wanted; /* how long the result is wanted; 0: 30 s, later the evidence is too old to
                          act on */
} CommitRequest;

/* Result of a commit; `epoch` of the new release when done. COMMIT_IN_DOUBT may be called any
 * number of times before the last one. `detail`: the ledger's words. */
typedef void (*LedgerCommitCallback)(void *userdata, CommitResult result, uint64_t epoch,
                                     const char *detail);
/* An answer of the ledger ends it: COMMIT_LOST, COMMIT_REFUSED with its words ("cooldown: ..."),
 * COMMIT_FAILED. When the ledger could not be asked within 30 s it is COMMIT_REFUSED "ledger: ...".
 * What is in doubt is asked until it is known; after the 30 s it is only asked, never done anew.
 * Not called any more once ledger_free() was called. Runs the short transaction (copies
 * everything): one call without atomic steps; with them BEGIN, call, per step SAVEPOINT, SET LOCAL
 * ROLE, statement, RESET ROLE, result, COMMIT. Retries PG_RETRY with jitter as long as the result
 * could still be wanted (30 s), asks again with the same id when in doubt, tries an aborting atomic
 * step three times. On `replay` no step runs. */
int ledger_commit(Ledger *l, const CommitRequest *request, LedgerCommitCallback callback,
                  void *userdata) _must_check_;

/* Writes that must reach the ledger, and claims: kept in order in one bounded queue over reconnects
 * (256; -EAGAIN beyond), so that a claim sees every result given before it. Writes are retried
 * until they are answered; a claim that fails says so. */
int ledger_move_operation(Ledger *l, const char *id, OperationState state, const char *detail,
                          const char *fields) _must_check_;
int ledger_record_event(Ledger *l, const char *id, const char *service, const char *kind,
                        const char *operation, const char *actor, const char *fields) _must_check_;
int ledger_earn_stable(Ledger *l, const char *service, uint64_t epoch) _must_check_;
int ledger_put_subscribers(Ledger *l, const char *service, const char *entries) _must_check_;

typedef struct LedgerStep {
        unsigned n;
        const char *kind;
        const Json *spec;
        unsigned attempt;
        const Json *progress; /* NULL: none yet */
        /* of the operation */
        const char *service, *from_version, *to_version, *released_at;
        uint64_t from_epoch, to_epoch;
} LedgerStep;
/* `step` NULL and wait USEC_INFINITY: every step is terminal, `failed` of them failed; NULL with a
 * wait: come again then. */
typedef void (*LedgerStepCallback)(void *userdata, const PgFailure *failure, const LedgerStep *step,
                                   usec_t wait, uint32_t failed);
int ledger_claim_step(Ledger *l, const char *operation, usec_t lease, LedgerStepCallback callback,
                      void *userdata) _must_check_;
/* Whether a claim or an adoption failed because no operation has the id: the ledger is another one
 * than that in which it was seen, restored from a backup perhaps. */
bool ledger_lacks_operation(const PgFailure *failure);
/* Inserts the policy's steps into an operation that has none (break-glass). */
int ledger_adopt(Ledger *l, const char *operation, const char *steps, const char *policy_hash,
                 PgCallback callback, void *userdata) _must_check_;
int ledger_step_progress(Ledger *l, const char *operation, unsigned n, const char *progress,
                         usec_t lease) _must_check_;
/* The same result "done" as a statement for the transaction of the step itself: $1 the operation,
 * $2 the step, $3 words; answers false when the step had ended already. */
extern const char ledger_step_ended_sql[];
/* state: "done", "failed", "dropped", "retry". */
int ledger_step_result(Ledger *l, const char *operation, unsigned n, const char *state,
                       const char *error, usec_t retry_in) _must_check_;

typedef struct LedgerLeftover {
        const char *service, *operation;
} LedgerLeftover;
typedef void (*LedgerLeftoversCallback)(void *userdata, const PgFailure *failure,
                                        const LedgerLeftover leftovers[], size_t n);
/* Closed operations that still have steps to run: of each watched service the oldest one. Waits in
 * the queue like a claim. */
int ledger_leftovers(Ledger *l, LedgerLeftoversCallback callback, void *userdata) _must_check_;

typedef struct LedgerDelivery {
        const char *id, *event_kind, *at, *service, *operation, *subscriber, *fields;
        const Json *channel;
        uint64_t seq;
        unsigned attempt;
} LedgerDelivery;
typedef void (*LedgerDeliveriesCallback)(void *userdata, const PgFailure *failure,
                                         const LedgerDelivery deliveries[], size_t n,
                                         usec_t next_in);
int ledger_claim_deliveries(Ledger *l, unsigned n, usec_t lease, LedgerDeliveriesCallback callback,
                            void *userdata) _must_check_;
int ledger_delivery_result(Ledger *l, const char *id, const char *state, usec_t retry_in,
                           const char *error) _must_check_;

/* An "operation" or "event" (`what`) by its id, handed over as the views print it; NULL when there
 * is none. Returns 0, -EINVAL when `id` is not a UUID, -ENOTCONN, -EAGAIN, -ENOMEM. */
typedef void (*LedgerFindCallback)(void *userdata, const PgFailure *failure, const char *what,
                                   Json *record);
int ledger_find(Ledger *l, const char *id, LedgerFindCallback callback,
                void *userdata) _must_check_;

/* What one batch of retention deleted. */
typedef struct LedgerPruned {
        uint64_t operations, steps, deliveries, events;
} LedgerPruned;
typedef void (*LedgerPruneCallback)(void *userdata, const PgFailure *failure,
                                    const LedgerPruned *pruned);
/* One batch of at most `most` rows, over another connection to the same database, so that it never
 * delays a commit. Returns 0, -ENOTCONN, -EAGAIN, -ENOMEM, -EOPNOTSUPP when the ledger's schema is
 * too old for it. */
int ledger_prune(const Ledger *l, Pg *over, usec_t older_than, uint32_t most,
                 LedgerPruneCallback callback, void *userdata) _must_check_;
/* Reads the answer of prune(): false with the reason when it is none. */
bool ledger_read_pruned(const PgResult *answer, LedgerPruned *ret, PgFailure *reterr);
void ledger_pruned_add(LedgerPruned *sum, const LedgerPruned *p);
/* Rows of all kinds. */
uint64_t ledger_pruned_sum(const LedgerPruned *p);
