/* step_kinds.h: the table of step kinds: how a policy's step becomes the spec of a row, and a row's
 * spec the statements that it runs. A new kind is one file and one row. Knows nothing of
 * connections, retries or batches' pace: step_run.c, step_transaction.c and step_outcome.c drive
 * them all alike. */
#pragma once

#include "config.h"
#include "json.h"
#include "sql_lexer.h"

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

/* Shared by kinds: a required text of the spec, or NULL with words in *reterr. */
const char *step_spec_text(const Json *spec, const char *key, StrBuf *reterr);
/* Appends schema.table or table, each part quoted. Returns 0 or -EINVAL with words. */
int step_quote_table(const char *table, StrBuf *b, StrBuf *reterr) _must_check_;
/* Copies text into *ret; -ENOMEM with words. */
int step_copy(const char *text, char **ret, StrBuf *reterr) _must_check_;
