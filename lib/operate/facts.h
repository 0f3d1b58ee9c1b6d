/* facts.h: what the ledger says of one service, as the engine takes it. Instants are already on
 * the monotonic clock: the shell adds the database's remaining seconds to `now`. Knows nothing
 * of SQL. */
#pragma once

#include "operation.h"
#include "policy.h"

#define CANDIDATES_MAX 32
#define OPERATION_ID_SIZE 37 /* a UUID's text with the NUL */

typedef enum ReleaseKind {
        RELEASE_REGISTER,
        RELEASE_DEPLOY,
        RELEASE_ROLLBACK,
        RELEASE_RESTORE,
        _RELEASE_KIND_MAX,
} ReleaseKind;

typedef struct Candidate {
        char version[NAME_SIZE];
        uint64_t epoch; /* of its newest release */
        bool stable, quarantined, behind_barrier, schema_fits;
        bool previous; /* active just before the active release */
} Candidate;

typedef struct OpenOperation {
        char id[OPERATION_ID_SIZE]; /* "" : none is open */
        OperationKind kind;
        OperationState state;
        bool automatic;
        bool has_steps;
        uint64_t from_epoch, to_epoch;
        char from_version[NAME_SIZE], to_version[NAME_SIZE];
        usec_t opened;
} OpenOperation;

typedef struct ServiceFacts {
        char version[NAME_SIZE];
        uint64_t epoch;
        ReleaseKind kind;
        usec_t released; /* may be before boot: then 0 */
        bool automatic;  /* false: off for this epoch, since a restore or deploy --force */
        bool stable;     /* the active release has earned or been given its mark */
        bool deploying;  /* a rolling deploy has not said that it is done */
        usec_t paused_until, pinned_until, cooldown_until; /* 0: not */
        uint32_t budget_used;
        usec_t budget_free_at; /* when the oldest counted rollback leaves the budget's span */
        /* how often a person said resume(): what had failed may then be tried again */
        uint64_t resumes;
        OpenOperation operation;
        /* versions other than the active one, newest release first */
        Candidate candidates[CANDIDATES_MAX];
        size_t n_candidates;
} ServiceFacts;

const char *release_kind_to_string(ReleaseKind k);
int release_kind_from_string(const char *s);
