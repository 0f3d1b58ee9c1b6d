/* commit_internal.h: one short transaction under way, for ledger_commit.c (asking, waiting, in
 * doubt) and ledger_atomic.c (the policy's statements inside it). */
#pragma once

#include "ledger_internal.h"

#define COMMIT_VALUES 16 /* parameters of commit_operation(), two of them being: */
#define COMMIT_VALUE_FROM 3
#define COMMIT_VALUE_TO 5

typedef struct CommitStep {
        unsigned n;
        char *role, *statement;
        char **values; /* NULL where ledger_released_at is to be bound */
        size_t n_values;
        bool abort_on_error;
} CommitStep;

typedef enum CommitStage {
        COMMIT_CALL,        /* commit_operation() is asked */
        COMMIT_CONSTRAINTS, /* a deferred check must fail inside the step that broke it */
        COMMIT_RELEASED_AT,
        COMMIT_SAVEPOINT,
        COMMIT_ROLE,
        COMMIT_STATEMENT,
        COMMIT_RESET,
        COMMIT_RESULT,
        COMMIT_UNDO, /* ROLLBACK TO */
        COMMIT_COMMIT,
} CommitStage;

struct LedgerCommit {
        LedgerCommit *next;
        Ledger *ledger;
        LedgerCommitCallback callback;
        void *userdata;
        char service[NAME_SIZE];
        uint64_t from_epoch;
        char *values[COMMIT_VALUES];
        CommitStep *steps;
        size_t n_steps;
        LoopTimer *timer;
        usec_t deadline;
        bool waiting;  /* a callback of pg is to come */
        bool sent;     /* one of LEDGER_COMMITS_SENT_MAX */
        bool queued;   /* waits to become one */
        bool in_doubt; /* a COMMIT was sent whose answer never came */
        bool ask_only; /* too late to do it: what this attempt does is rolled back */
        unsigned tries, aborts;
        PgTransaction *transaction;
        CommitStage stage;
        size_t step;
        bool step_failed;
        char released_at[64];
        uint64_t epoch;   /* of the new release, once told */
        char detail[256]; /* the ledger's words on what is being committed */
        char words[640];  /* of the last failure */
};

/* ledger_request.c: a commit with copies of everything. Returns 0, -EINVAL (a name that is too
 * long) or -ENOMEM. */
int commit_new(LedgerCommit **ret, Ledger *l, const CommitRequest *request) _must_check_;
void commit_free(LedgerCommit *c);

/* ledger_commit.c */
void commit_finish(LedgerCommit *c, CommitResult result, uint64_t epoch, const char *detail);
/* Ends the transaction and tries again later. */
void commit_try_later(LedgerCommit *c);
/* What a failure of the ledger's own statements means. `sent`: the COMMIT, or the autocommitted
 * call, was sent. */
void commit_failed(LedgerCommit *c, const PgFailure *failure, bool sent);
void commit_rollback(LedgerCommit *c);
void commit_send(LedgerCommit *c, CommitStage stage, const char *sql, size_t n,
                 const char *const values[]);

/* ledger_atomic.c */
/* Goes on after commit_operation() has answered `committed` in a transaction. */
void commit_run_steps(LedgerCommit *c);
/* The answer of a stage behind COMMIT_CALL. */
void commit_step_answer(LedgerCommit *c, const PgFailure *failure, const PgResult *result);
