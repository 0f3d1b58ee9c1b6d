/* ledger_facts.h: what load() is asked and answers, as values: for the ledger's own connection and
 * for rollbackctl, which asks over one of its own. Knows nothing of connections. */
#pragma once

#include "facts.h"
#include "pg.h"

/* $1 the services, $2 their cooldowns, $3 their budgets' periods: arrays of equal length. */
extern const char ledger_load_sql[];
/* Appends an item to the text of an array that is still to be closed with '}'. */
void ledger_array_add(StrBuf *b, const char *text);
/* "12.500000 seconds", for an interval. */
#define LEDGER_INTERVAL_SIZE 48
const char *ledger_interval(usec_t t, char ret[static LEDGER_INTERVAL_SIZE]);
/* One row of the answer, read at `now`. Returns 0, or -EINVAL with the column that cannot be read
 * in *reterr_column. */
int ledger_facts_parse(const PgResult *r, size_t row, usec_t now, ServiceFacts *ret,
                       const char **reterr_column) _must_check_;

/* Seconds as float8 prints them. Returns 0 or -EINVAL (NULL, negative, NaN). */
int ledger_parse_seconds(const char *cell, usec_t *ret) _must_check_;
int ledger_parse_u64(const char *cell, uint64_t *ret) _must_check_;
/* "t" or "f". */
int ledger_parse_bool(const char *cell, bool *ret) _must_check_;
