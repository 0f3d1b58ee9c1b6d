/* pg_visit_internal.h: how the failures of libpq become outcomes. Knows nothing of the visit's
 * course. */
#pragma once

#include "pg_internal.h"
#include "pg_visit.h"

/* What a connection that was not made, or was lost, says of the server. */
void pg_visit_judge_connection(PgVisitEnd *end, const PGconn *c);
/* What an error that the server answered says of it. */
void pg_visit_judge_result(PgVisitEnd *end, const PGconn *c, const PGresult *r);
/* Sets the outcome with "SQLSTATE: words", or the outcome's own words when there are none. */
void pg_visit_say(PgVisitEnd *end, ProbeOutcome outcome, const char *sqlstate, const char *words);
