/* ledger_needs.h: what a ledger must have and grant before a daemon can work with it: its schema,
 * the functions that it calls and the views that it reads. Knows nothing of connections. */
#pragma once

#include "pg.h"

/* One row: version and oldest_daemon. */
extern const char ledger_schema_sql[];
/* Whether this program may run on the schema of the answer: on its own, the one before, or a newer
 * one that still takes it. Returns 0, with the schema's number, or
 * -EINVAL with the words of PG_CONFIGURATION in *reterr. */
int ledger_check_schema(const PgResult *answer, uint64_t *ret_version,
                        PgFailure *reterr) _must_check_;
/* The same of the two cells. */
int ledger_judge_schema(const char *version, const char *oldest_daemon, uint64_t *ret_version,
                        PgFailure *reterr) _must_check_;

/* Answers a row for each function or view that the session's role may not use: "what" as GRANT
 * takes it, "there" false when it does not exist. $1 and $2 are the texts of the two arrays. */
extern const char ledger_rights_sql[];
#define LEDGER_NEEDS_SIZE 1024
/* The names of the functions and of the views that the daemon uses on a schema, as texts of arrays.
 * Returns how many there are. */
size_t ledger_list_needs(uint64_t schema, char ret_functions[static LEDGER_NEEDS_SIZE],
                         char ret_views[static LEDGER_NEEDS_SIZE]);
