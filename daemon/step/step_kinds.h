/* step_kinds.h: the table of step kinds: how a policy's step becomes the spec of a row, and a row's
 * spec the statements that it runs. A new kind is one file and one row. Knows nothing of
 * connections, retries or batches' pace: step_run.c, step_transaction.c and step_outcome.c drive
 * them all alike. */
#pragma once

#include "config.h"
#include "json.h"
#include "sql_lexer.h"
#include "steps.h"

/* Own parameters that a kind may bind behind the policy's: a LIKE pattern and the key to go on
 * after. */
#define STEP_OWN_PARAMETERS_MAX 2

/* What one row runs, each time in a transaction of its own under `role`. Owns its texts. */
typedef struct StepStatement {
        char *role;
        char *sql; /* with $1..: first the policy's parameters, then the kind's own */
        SqlParameter parameters[SQL_PARAMETERS_MAX];
        size_t n_parameters;                /* of the policy */
        char *own[STEP_OWN_PARAMETERS_MAX]; /* the kind's own; NULL: SQL NULL, or the key reached so
                                               far where `keyset` */
        size_t n_own;
        char *first_sql; /* runs once before, with own[0] of first_own; NULL: none */
        char *first_own;
        uint32_t batch; /* rows of one transaction; 0: one transaction, whatever it touches */
        bool keyset;    /* the last own parameter is the key to go on after, which the statement
                           answers, or NULL at the end */
        char *ask_sql;  /* keyset: asks once, before the first batch, for what learn() reads; NULL:
                           nothing */
        char *ask_own[STEP_OWN_PARAMETERS_MAX];
        char *order; /* keyset: in which the keys are gone through: a key reached in another order
                        says nothing */
        usec_t timeout; /* of one statement */
} StepStatement;

typedef struct StepKind {
        const char *name;
        StepKindId id;
        /* Adds the keys of the policy's step to the spec object. */
        void (*write_spec)(const StepConfig *step, Json *spec);
        /* Builds the statement from a spec. Returns 0, -EINVAL with words, or -ENOMEM with words.
         */
        int (*build)(const Json *spec, StepStatement *ret, StrBuf *reterr);
        /* Rewrites the statement after the two cells that ask_sql answered, NULL when it answered
         * no row; NULL: the kind asks nothing. Returns as build() does. */
        int (*learn)(StepStatement *s, const char *how, const char *detail, StrBuf *reterr);
        /* Says what keeps the statement from running now, without doing it; *ret is sound before.
         * May block. */
        void (*check)(const StepStatement *s, PgSync *site, StepFinding *ret);
} StepKind;

extern const StepKind step_kind_sql, step_kind_cache, step_kind_session;

/* The kind's row, or NULL. */
const StepKind *step_kind_find(const char *name);
const StepKind *step_kind_of(StepKindId id);

/* Frees what the statement owns. */
void step_statement_done(StepStatement *s);
/* The whole spec of a policy's step, or NULL without memory. */
Json *step_spec_new(const StepConfig *step);
/* Builds the statement of a row; *ret is to be freed with step_statement_done() when 0 is returned.
 */
int step_statement_build(const char *kind, const Json *spec, StepStatement *ret,
                         StrBuf *reterr) _must_check_;

/* The same of a policy's step that is no generation. */
int step_statement_of(const StepConfig *step, StepStatement *ret, StrBuf *reterr) _must_check_;

/* step_check.c, shared by kinds. */
/* Begins a transaction under the role, which the caller rolls back also when this failed. Returns a
 * result to be freed, or NULL with *reterr. */
PgResult *step_check_begin(PgSync *site, const char *role, PgFailure *reterr);
/* Keeps a failure with what a person types against it. */
void step_check_broken(const char *role, const PgFailure *failure, StepFinding *ret);
/* Plans a statement under its role with NULL parameters, and keeps
 * what is wrong with it. */
void step_check_plan(PgSync *site, const char *role, const char *sql, size_t n_parameters,
                     StepFinding *ret);
/* The check of a kind that runs its statement and nothing else. */
void step_check_statement(const StepStatement *s, PgSync *site, StepFinding *ret);

/* Shared by kinds: a required text of the spec, or NULL with words in *reterr. */
const char *step_spec_text(const Json *spec, const char *key, StrBuf *reterr);
/* Appends schema.table or table, each part quoted. Returns 0 or -EINVAL with words. */
int step_quote_table(const char *table, StrBuf *b, StrBuf *reterr) _must_check_;
/* Copies text into *ret; -ENOMEM with words. */
int step_copy(const char *text, char **ret, StrBuf *reterr) _must_check_;
