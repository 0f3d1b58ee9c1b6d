/* Which automatic rollbacks had failed before their commit, as the events tell it: asked once per
 * connection, before the facts. */
#include "ledger_internal.h"

/* The newest of the two kinds of event counts: resume() gives another chance, as a release does. */
static const char failed_sql[] =
        "SELECT s.service, s.epoch, e.fields ->> 'policy_hash' AS policy_hash, "
        "e.fields ->> 'to' AS target, e.fields ->> 'detail' AS detail "
        "FROM rollbackd.service_status s CROSS JOIN LATERAL ("
        "SELECT r.kind, r.fields FROM rollbackd.recent_event r "
        "WHERE coalesce(r.service, '') = s.service AND r.at >= s.released_at "
        "AND (r.kind = 'service.resumed' OR r.kind = 'rollback.failed' "
        "AND r.fields ->> 'automatic' = 'true') ORDER BY r.seq DESC LIMIT 1) e "
        "WHERE e.kind = 'rollback.failed' AND e.fields ->> 'epoch' = s.epoch::text";

static void on_failed(void *userdata, const PgFailure *failure, const PgResult *result) {
        Ledger *l = userdata;

        if (l->closing)
                return;
        if (failure->error == PG_CONFIGURATION || failure->error == PG_REFUSED)
                ledger_tell_trouble(l, "rollbacks that had failed", NULL, failure);
        if (failure->error != PG_OK)
                return;
        for (size_t i = 0; i < pg_rows(result); i++) {
                LedgerFailed failed = {
                        .service = pg_value(result, i, "service"),
                        .policy_hash = pg_value(result, i, "policy_hash") ?: "",
                        .target = pg_value(result, i, "target") ?: "",
                        .detail = pg_value(result, i, "detail") ?: "",
                };

                if (failed.service &&
                    ledger_parse_u64(pg_value(result, i, "epoch"), &failed.epoch) >= 0)
                        l->owner.on_failed(l->owner.userdata, &failed);
        }
}

void ledger_ask_failed(Ledger *l) {
        /* Not asked now, the connection is lost, and the next one is asked. */
        if (l->owner.on_failed)
                (void)!pg_query(l->pg, failed_sql, 0, NULL, LEDGER_STATEMENT_TIMEOUT, on_failed, l);
}
