/* atomic_sql.h: the statements around a policy's atomic one, in their order, for the short
 * transaction and for rollbackctl's drill of it: what is drilled is what will run. Knows nothing of
 * connections, nor of what the policy's statement does. */
#pragma once

#include "pg.h"

/* First: a deferred check must fail inside the step that breaks it. */
extern const char atomic_constraints_sql[];
/* $1 the service, $2 the epoch that is left: one row with the column "at". */
extern const char atomic_released_at_sql[];
/* Then, for each step: savepoint, role, the statement itself, reset; after an error undo, which
 * also takes the role back. */
extern const char atomic_savepoint_sql[], atomic_reset_sql[], atomic_undo_sql[];
/* Appends the statement that takes the role on. Returns 0, or -EINVAL when its name cannot be
 * quoted. */
int atomic_add_role(const char *role, StrBuf *b) _must_check_;
