#include "atomic_sql.h"

#include <errno.h>

const char atomic_constraints_sql[] = "SET CONSTRAINTS ALL IMMEDIATE";
const char atomic_released_at_sql[] =
        "SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || '+00' AS at FROM "
        "rollbackd.history WHERE service = $1::text AND epoch = $2::int8";
const char atomic_savepoint_sql[] = "SAVEPOINT rollbackd_step";
const char atomic_reset_sql[] = "RESET ROLE";
const char atomic_undo_sql[] = "ROLLBACK TO SAVEPOINT rollbackd_step";

int atomic_add_role(const char *role, StrBuf *b) {
        strbuf_add(b, "SET LOCAL ROLE ");
        return pg_quote_identifier(role, b) < 0 || b->overflow ? -EINVAL : 0;
}
