/* ledger_advice.h: what a failure of the ledger means, and what a person should do about it: one
 * table, by SQLSTATE and the server's function, which are never translated; by libpq's own English
 * words only for what no server has said. Pure; knows nothing of connections. */
#pragma once

#include "pg.h"

#define LEDGER_WORDS_SIZE 1280 /* of all that is said of one failure */

/* What the sentences name. Texts are borrowed for the call. */
typedef struct LedgerPlace {
        bool configured; /* connected as rollbackd.conf says, and not as a person's conninfo does */
        const char *secret; /* the file with the password; NULL: rollbackd.conf names none */
        const char *reload; /* the command after which a corrected secret is in force */
} LedgerPlace;

/* Whether it will not pass by itself: something is configured wrongly here or on the server. */
bool ledger_needs_a_person(const PgFailure *failure);
/* Appends one line: what is wrong and what to do first, then what was said. A failure that the
 * table does not know is appended as it is. */
void ledger_add_advice(StrBuf *b, const PgFailure *failure, const LedgerPlace *place);
