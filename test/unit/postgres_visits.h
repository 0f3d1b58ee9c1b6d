/* postgres_visits.h: what the tests of the postgres probe share: servers of their own, statements
 * sent to them, and one probe at a time. Knows nothing of what is expected. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "pg.h"
#include "private_postgres.h"
#include "probe_harness.h"

static PrivatePostgres server;

/* Runs a script there, and returns its last result's first cell, or "", until the next call. */
static inline const char *sql_at(const PrivatePostgres *p, const char *script) {
        static char cell[256];
        PgFailure failure;
        PgSync *s;

        if (pg_sync_connect(&s, p->conninfo, NULL, &failure) < 0)
                fail_msg("cannot connect: %s", failure.message);

        PgResult *r = pg_sync_script(s, script, &failure);
        if (!r)
                fail_msg("%s: %s", script, failure.message);

        const char *text = pg_cell(r, 0, 0);
        (void)snprintf(cell, sizeof cell, "%s", text ?: "");
        pg_result_free(r);
        pg_sync_free(s);
        return cell;
}

static inline const char *sql(const char *script) {
        return sql_at(&server, script);
}

static inline void visit_init(Harness *h, const char *conninfo, const char *query) {
        harness_init(h, PROBE_POSTGRES, 1);
        h->probe.postgres = (PostgresConfig){ .conninfo = (char *)conninfo,
                                              .query = (char *)query };
        h->targets[0] = (TargetConfig){ .url = (char *)conninfo, .scheme = TARGET_NAMED };
}

static inline const Result *visit_go(Harness *h) {
        harness_begin(h);
        harness_run(h, 1);
        harness_done(h);
        return &h->results[0];
}

/* One probe of the server with that query (NULL: none), in storage that the next one reuses. */
static inline const Result *visit(const char *conninfo, const char *query) {
        static Harness h;

        visit_init(&h, conninfo, query);
        return visit_go(&h);
}

static inline const Result *ask(const char *query) {
        return visit(server.conninfo, query);
}

static inline void assert_result(const Result *r, ProbeOutcome outcome, const char *words) {
        if (r->outcome != outcome || !strstr(r->words, words))
                fail_msg("%s: \"%s\", not %s: \"%s\"", outcome_code(r->outcome), r->words,
                         outcome_code(outcome), words);
}

static inline int start_server(void **state _unused_) {
        return private_postgres_start(&server) ? 0 : -1;
}

static inline int stop_server(void **state _unused_) {
        private_postgres_remove(&server);
        return 0;
}
