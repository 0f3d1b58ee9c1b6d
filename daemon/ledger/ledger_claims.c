/* Claims of steps and deliveries: rows to values, in the queue behind the results that were given
 * before. */
#include "ledger_internal.h"

#include <errno.h>

static const char claim_step_sql[] =
        "SELECT n, kind, spec, attempt, progress, wait_seconds, failed, service, from_version, "
        "to_version, "
        "to_char(released_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || '+00' AS "
        "released_at, from_epoch, to_epoch "
        "FROM rollbackd.claim_steps($1::uuid, $2::text, $3::interval)";

static const char claim_deliveries_sql[] =
        "SELECT id, subscriber, spec, kind, to_char(at AT TIME ZONE 'UTC', "
        "'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') AS at, seq, service, "
        "operation, fields, attempt FROM rollbackd.claim_deliveries($1::int, $2::interval)";

/* As adopt_operation() says it. */
static const PgFailure unknown_operation = { .error = PG_REFUSED,
                                             .sqlstate = "RB001",
                                             .message = "no operation has this id" };

static int parse_unsigned(const char *cell, unsigned *ret) {
        uint64_t value;

        if (ledger_parse_u64(cell, &value) < 0 || value > UINT32_MAX)
                return -EINVAL;
        *ret = (unsigned)value;
        return 0;
}

/* NULL stays NULL. */
static int parse_json_cell(const char *cell, Json **ret) {
        STRBUF(error, 128);

        if (!cell)
                return 0;
        *ret = json_parse(cell, strlen(cell), &error);
        return *ret ? 0 : -EINVAL;
}

static int parse_step(const PgResult *r, Json **spec, Json **progress, LedgerStep *ret) {
        LedgerStep s = {
                .kind = pg_value(r, 0, "kind"),
                .service = pg_value(r, 0, "service"),
                .from_version = pg_value(r, 0, "from_version"),
                .to_version = pg_value(r, 0, "to_version"),
                .released_at = pg_value(r, 0, "released_at"),
        };

        if (parse_unsigned(pg_value(r, 0, "n"), &s.n) < 0 ||
            parse_unsigned(pg_value(r, 0, "attempt"), &s.attempt) < 0 ||
            ledger_parse_u64(pg_value(r, 0, "from_epoch"), &s.from_epoch) < 0 ||
            ledger_parse_u64(pg_value(r, 0, "to_epoch"), &s.to_epoch) < 0 ||
            parse_json_cell(pg_value(r, 0, "spec"), spec) < 0 ||
            parse_json_cell(pg_value(r, 0, "progress"), progress) < 0 || !s.kind || !s.service ||
            !s.from_version || !s.to_version || !s.released_at || !*spec)
                return -EINVAL;
        s.spec = *spec;
        s.progress = *progress;
        *ret = s;
        return 0;
}

/* A row that was found: claimed, to be waited for, or the end. Returns 0 or -EINVAL. */
static int give_step(LedgerCall *c, const PgResult *r) {
        static const PgFailure none = { .error = PG_OK };
        _cleanup_(json_freep) Json *spec = NULL;
        _cleanup_(json_freep) Json *progress = NULL;
        LedgerStep step;
        usec_t wait = USEC_INFINITY;
        uint64_t failed;

        if (ledger_parse_u64(pg_value(r, 0, "failed"), &failed) < 0 || failed > UINT32_MAX)
                return -EINVAL;
        if (!pg_value(r, 0, "n")) {
                c->callback.step(c->userdata, &none, NULL, USEC_INFINITY, (uint32_t)failed);
                return 0;
        }
        if (ledger_parse_seconds(pg_value(r, 0, "wait_seconds"), &wait) < 0)
                return -EINVAL;
        if (wait > 0)
                c->callback.step(c->userdata, &none, NULL, wait, (uint32_t)failed);
        else if (parse_step(r, &spec, &progress, &step) < 0)
                return -EINVAL;
        else
                c->callback.step(c->userdata, &none, &step, 0, (uint32_t)failed);
        return 0;
}

static void on_step(_unused_ Ledger *l, LedgerCall *c, const PgFailure *failure,
                    const PgResult *result) {
        PgFailure f = *failure;

        if (f.error == PG_OK && pg_rows(result) == 1 && give_step(c, result) == 0)
                return;
        if (f.error == PG_OK && pg_rows(result) == 0)
                f = unknown_operation;
        else if (f.error == PG_OK)
                f = ledger_unreadable("a step of it cannot be read", c->values[0]);
        c->callback.step(c->userdata, &f, NULL, USEC_INFINITY, 0);
}

bool ledger_lacks_operation(const PgFailure *failure) {
        return streq(failure->sqlstate, unknown_operation.sqlstate);
}

int ledger_claim_step(Ledger *l, const char *operation, usec_t lease, LedgerStepCallback callback,
                      void *userdata) {
        char interval[LEDGER_INTERVAL_SIZE];
        const char *const values[] = { operation, l->host, ledger_interval(lease, interval) };
        LedgerCall *c = ledger_call_new("claim_steps", claim_step_sql, ELEMENTSOF(values), values);

        if (c) {
                c->answer = on_step;
                c->callback.step = callback;
                c->userdata = userdata;
        }
        return ledger_enqueue(l, c);
}

static void on_adopted(_unused_ Ledger *l, LedgerCall *c, const PgFailure *failure,
                       const PgResult *result) {
        c->callback.plain(c->userdata, failure, result);
}

int ledger_adopt(Ledger *l, const char *operation, const char *steps, const char *policy_hash,
                 PgCallback callback, void *userdata) {
        const char *const values[] = { operation, steps, policy_hash };
        LedgerCall *c = ledger_call_new(
                "adopt_operation",
                "SELECT rollbackd.adopt_operation($1::uuid, $2::jsonb, $3::text) AS steps",
                ELEMENTSOF(values), values);

        if (c) {
                c->answer = on_adopted;
                c->callback.plain = callback;
                c->userdata = userdata;
        }
        return ledger_enqueue(l, c);
}

static void on_progress(void *userdata, _unused_ const PgFailure *failure,
                        _unused_ const PgResult *result) {
        Ledger *l = userdata;

        l->n_progress--;
}

/* Not in the queue: progress that is lost only makes a resume longer. */
int ledger_step_progress(Ledger *l, const char *operation, unsigned n, const char *progress,
                         usec_t lease) {
        char interval[LEDGER_INTERVAL_SIZE];
        STRBUF(number, 24);
        const char *const values[] = { operation, number.text, progress,
                                       ledger_interval(lease, interval) };
        int r;

        strbuf_add_u64(&number, n);
        if (!l->up)
                return -ENOTCONN;
        r = pg_query_prepared(
                l->pg, "step_progress",
                "SELECT rollbackd.step_progress($1::uuid, $2::int, $3::jsonb, $4::interval)",
                ELEMENTSOF(values), values, LEDGER_STATEMENT_TIMEOUT, on_progress, l);
        l->n_progress += r >= 0;
        return r;
}

static int parse_delivery(const PgResult *r, size_t row, Json **channel, LedgerDelivery *ret) {
        LedgerDelivery d = {
                .id = pg_value(r, row, "id"),
                .event_kind = pg_value(r, row, "kind"),
                .at = pg_value(r, row, "at"),
                .service = pg_value(r, row, "service"),
                .operation = pg_value(r, row, "operation"),
                .subscriber = pg_value(r, row, "subscriber"),
                .fields = pg_value(r, row, "fields"),
        };

        if (!d.id || !d.event_kind || !d.at || !d.subscriber || !d.fields ||
            ledger_parse_u64(pg_value(r, row, "seq"), &d.seq) < 0 ||
            parse_unsigned(pg_value(r, row, "attempt"), &d.attempt) < 0 ||
            parse_json_cell(pg_value(r, row, "spec"), channel) < 0 || !*channel)
                return -EINVAL;
        d.channel = *channel;
        *ret = d;
        return 0;
}

static void give_deliveries(Ledger *l, LedgerCall *c, const PgResult *result) {
        static const PgFailure none = { .error = PG_OK };
        size_t rows = pg_rows(result), n = 0;
        _cleanup_(freep) LedgerDelivery *deliveries = calloc(rows + 1, sizeof *deliveries);
        _cleanup_(freep) Json **channels = calloc(rows + 1, sizeof *channels);

        /* Without memory they come again when their lease is over. */
        for (size_t i = 0; deliveries && channels && i < rows; i++) {
                if (parse_delivery(result, i, &channels[i], &deliveries[n]) == 0) {
                        n++;
                        continue;
                }
                PgFailure f = ledger_unreadable("a delivery cannot be read",
                                                pg_value(result, i, "id"));
                ledger_tell_trouble(l, "deliveries", NULL, &f);
        }
        /* After a full hand one asks again at once; an empty one says that another worker was
         * faster. */
        c->callback.deliveries(c->userdata, &none, deliveries, n, rows > 0 ? 0 : USEC_PER_SEC);
        for (size_t i = 0; channels && i < rows; i++)
                json_free(channels[i]);
}

static void on_deliveries(Ledger *l, LedgerCall *c, const PgFailure *failure,
                          const PgResult *result) {
        if (failure->error != PG_OK)
                c->callback.deliveries(c->userdata, failure, NULL, 0, USEC_INFINITY);
        else
                give_deliveries(l, c, result);
}

/* When something is due it is claimed; else the callback hears how long to wait. */
static void on_next_delivery(Ledger *l, LedgerCall *c, const PgFailure *failure,
                             const PgResult *result) {
        const char *const values[] = { c->values[0], c->values[1] };
        const char *cell = failure->error == PG_OK && pg_rows(result) == 1 ? pg_cell(result, 0, 0) :
                                                                             NULL;
        usec_t next = USEC_INFINITY;
        PgFailure f = *failure;
        LedgerCall *claim = NULL;

        if (f.error == PG_OK && cell && ledger_parse_seconds(cell, &next) < 0)
                f = ledger_unreadable("next_delivery_in() cannot be read", cell);
        if (f.error == PG_OK && next == 0) {
                claim = ledger_call_new("claim_deliveries", claim_deliveries_sql,
                                        ELEMENTSOF(values), values);
                if (claim) {
                        claim->answer = on_deliveries;
                        claim->callback = c->callback;
                        claim->userdata = c->userdata;
                }
                if (ledger_enqueue(l, claim) == 0)
                        return;
                next = USEC_PER_SEC; /* the queue is full: soon again */
        }
        c->callback.deliveries(c->userdata, &f, NULL, 0, next);
}

int ledger_claim_deliveries(Ledger *l, unsigned n, usec_t lease, LedgerDeliveriesCallback callback,
                            void *userdata) {
        char interval[LEDGER_INTERVAL_SIZE];
        STRBUF(number, 24);
        const char *const values[] = { number.text, ledger_interval(lease, interval) };
        LedgerCall *c;

        strbuf_add_u64(&number, n);
        c = ledger_call_new("next_delivery_in",
                            "SELECT rollbackd.next_delivery_in(), $1::int, $2::interval",
                            ELEMENTSOF(values), values);
        if (c) {
                c->answer = on_next_delivery;
                c->callback.deliveries = callback;
                c->userdata = userdata;
        }
        return ledger_enqueue(l, c);
}
