/* The ledger against a real PostgreSQL: facts, the short transaction and its doubts, the queue, claims. */
#include "ledger_harness.h"

#include <stdio.h>

#include "ledger.h"

#define ID1 "11111111-1111-4111-8111-111111111111"
#define ID2 "22222222-2222-4222-8222-222222222222"

typedef struct Seen {
        Harness *h;
        Ledger *ledger;
        bool up;
        unsigned ups;
        PgFailure failure;
        ServiceFacts facts;
        unsigned n_facts, n_unknown, n_trouble, n_recent;
        usec_t facts_at;
        char trouble[128], trouble_words[512];
        Json *operations, *events;
        /* a commit */
        unsigned results, doubts;
        CommitResult result;
        uint64_t epoch;
        char detail[1024];
        /* a step, deliveries */
        unsigned answers;
        unsigned step_n, attempt;
        uint32_t failed;
        usec_t wait;
        char kind[32], progress[128], released_at[64];
        size_t n_deliveries;
        char delivery_id[64], delivery_kind[64], channel_url[128];
        bool found;
} Seen;

static Seen seen;

static void on_state(_unused_ void *userdata, bool up, const PgFailure *failure) {
        seen.up = up;
        seen.ups += up;
        if (!up)
                seen.failure = *failure;
}

static void on_facts(_unused_ void *userdata, const char *service, const ServiceFacts *facts, usec_t at) {
        if (!facts) {
                assert_string_equal(service, "unknown");
                seen.n_unknown++;
                return;
        }
        seen.facts = *facts;
        seen.facts_at = at;
        seen.n_facts++;
}

static void on_recent(_unused_ void *userdata, Json *operations, Json *events) {
        json_free(seen.operations);
        json_free(seen.events);
        seen.operations = operations;
        seen.events = events;
        seen.n_recent++;
}

static void on_trouble(_unused_ void *userdata, const char *what, const PgFailure *failure) {
        snprintf(seen.trouble, sizeof seen.trouble, "%s", what);
        snprintf(seen.trouble_words, sizeof seen.trouble_words, "%s", failure->message);
        seen.n_trouble++;
}

static const LedgerOwner owner = { .on_state = on_state, .on_facts = on_facts, .on_recent = on_recent, .on_trouble = on_trouble };

static bool is_up(_unused_ void *userdata) {
        return seen.up;
}

/* True once *userdata, a counter, is above 0. */
static bool counted(void *userdata) {
        return *(unsigned *)userdata > 0;
}

static void open_ledger(Harness *h) {
        seen = (Seen){ .h = h };
        assert_int_equal(ledger_new(&seen.ledger, h->loop, h->offload, h->conninfo, NULL, &owner, 1), 0);
        harness_wait(h, is_up, NULL, "the ledger");
        assert_true(ledger_is_up(seen.ledger));
}

static void close_ledger(void) {
        ledger_free(seen.ledger);
        json_free(seen.operations);
        json_free(seen.events);
        seen.operations = seen.events = NULL;
}

static void seed(Harness *h) {
        harness_sql(h, "SELECT rollbackd.register('web', 'v1', true, 'it runs'); SELECT rollbackd.deploy('web', 'v2')");
}

static void watch(void) {
        LedgerService services[] = { { "web", 600 * USEC_PER_SEC, USEC_PER_DAY }, { "unknown", 0, USEC_PER_DAY } };

        seen.n_facts = seen.n_unknown = 0;
        assert_int_equal(ledger_watch(seen.ledger, services, ELEMENTSOF(services)), 0);
        harness_wait(seen.h, counted, &seen.n_facts, "facts");
        harness_wait(seen.h, counted, &seen.n_unknown, "no facts");
}

/* A poll reads every service, a notification only its own. */
static bool told_alone(_unused_ void *userdata) {
        return seen.n_facts > seen.n_unknown;
}

static void test_facts(void **state) {
        Harness *h = *state;

        seed(h);
        open_ledger(h);
        watch();
        assert_string_equal(seen.facts.version, "v2");
        assert_int_equal(seen.facts.epoch, 2);
        assert_int_equal(seen.facts.kind, RELEASE_DEPLOY);
        assert_true(seen.facts.automatic);
        assert_false(seen.facts.stable);
        assert_false(seen.facts.deploying);
        assert_int_equal(seen.facts.paused_until, 0);
        assert_int_equal(seen.facts.cooldown_until, 0);
        assert_true(seen.facts.released <= loop_now(h->loop));
        assert_true(seen.facts.released + USEC_PER_MINUTE > loop_now(h->loop));
        assert_string_equal(seen.facts.operation.id, "");
        assert_int_equal(seen.facts.n_candidates, 1);
        assert_string_equal(seen.facts.candidates[0].version, "v1");
        assert_true(seen.facts.candidates[0].stable && seen.facts.candidates[0].previous && seen.facts.candidates[0].schema_fits);
        assert_false(seen.facts.candidates[0].quarantined || seen.facts.candidates[0].behind_barrier);

        /* A notification alone brings the next ones. */
        seen.n_facts = seen.n_unknown = 0;
        harness_sql(h, "SELECT rollbackd.pause('web', '1 hour', 'a test')");
        harness_wait(h, told_alone, NULL, "facts after a pause");
        assert_true(seen.facts.paused_until > loop_now(h->loop) + 3500 * USEC_PER_SEC);
        assert_true(seen.facts.paused_until <= loop_now(h->loop) + 3600 * USEC_PER_SEC);
        seen.n_facts = seen.n_unknown = 0;
        harness_sql(h, "SELECT rollbackd.resume('web')");
        harness_wait(h, told_alone, NULL, "facts after a resume");
        seen.n_facts = seen.n_unknown = 0;
        harness_sql(h, "SELECT rollbackd.rollback('web', 'by hand')");
        harness_wait(h, told_alone, NULL, "facts after a rollback");
        assert_int_equal(seen.facts.kind, RELEASE_ROLLBACK);
        assert_int_equal(seen.facts.operation.kind, OPERATION_ROLLBACK);
        assert_int_equal(seen.facts.operation.state, OPERATION_COMMITTED);
        assert_false(seen.facts.operation.has_steps || seen.facts.operation.automatic);
        assert_string_equal(seen.facts.operation.from_version, "v2");
        assert_int_equal(seen.facts.operation.to_epoch, 3);
        assert_true(seen.facts.candidates[0].quarantined);
        assert_int_equal(seen.n_trouble, 0);
        close_ledger();
}

/* load() replaced by one that answers a single cell otherwise: each must be told, and none become a fact. */
static void test_facts_that_do_not_parse(void **state) {
        static const char *const columns[][2] = {
                { "version", "repeat('v', 64)" }, { "epoch", "-1::int8" }, { "kind", "'sideways'::text" }, { "released_age", "'NaN'::float8" },
                { "paused_left", "NULL::float8" }, { "pinned_left", "-1::float8" }, { "automatic", "NULL::boolean" },
                { "budget_used", "-1" }, { "operation", "'{\"id\": 1}'::jsonb" }, { "candidates", "'[{}]'::jsonb" }, { "candidates", "'{}'::jsonb" },
        };
        Harness *h = *state;

        seed(h);
        harness_sql(h, "ALTER FUNCTION rollbackd.load RENAME TO load_true");
        for (size_t i = 0; i < ELEMENTSOF(columns); i++) {
                char sql[2048];
                LedgerService service = { "web", 0, USEC_PER_DAY };
                static const char *const all[] = { "service", "version", "epoch", "kind", "released_age", "paused_left", "pinned_left", "deploying",
                                                   "automatic", "stable", "cooldown_left", "budget_used", "budget_free_in", "operation", "candidates" };
                int n = snprintf(sql, sizeof sql, "DROP FUNCTION IF EXISTS rollbackd.load; CREATE FUNCTION rollbackd.load(a text[], b interval[], c interval[]) RETURNS TABLE "
                                 "(service text, version text, epoch int8, kind text, released_age float8, paused_left float8, pinned_left float8, deploying boolean, "
                                 "automatic boolean, stable boolean, cooldown_left float8, budget_used int, budget_free_in float8, operation jsonb, candidates jsonb) "
                                 "LANGUAGE sql SECURITY DEFINER AS 'SELECT ");
                for (size_t j = 0; j < ELEMENTSOF(all); j++) {
                        bool bad = streq(all[j], columns[i][0]);
                        const char *value = bad ? columns[i][1] : all[j];
                        n += snprintf(sql + n, sizeof sql - (size_t)n, "%s", j > 0 ? ", " : "");
                        for (const char *c = value; *c; c++)
                                n += snprintf(sql + n, sizeof sql - (size_t)n, *c == '\'' ? "''" : "%c", *c);
                }
                snprintf(sql + n, sizeof sql - (size_t)n, " FROM rollbackd.load_true(a, b, c)'; GRANT EXECUTE ON FUNCTION rollbackd.load TO rollbackd");
                harness_sql(h, sql);
                open_ledger(h);
                assert_int_equal(ledger_watch(seen.ledger, &service, 1), 0);
                harness_wait(h, counted, &seen.n_trouble, columns[i][0]);
                assert_string_equal(seen.trouble, "facts of web");
                assert_non_null(strstr(seen.trouble_words, columns[i][0]));
                assert_int_equal(seen.n_facts, 0);
                close_ledger();
        }
}

static void test_wrong_schema(void **state) {
        Harness *h = *state;

        harness_sql(h, "CREATE OR REPLACE VIEW rollbackd.schema AS SELECT 9 AS version, 8 AS oldest_daemon");
        seen = (Seen){ .h = h };
        assert_int_equal(ledger_new(&seen.ledger, h->loop, h->offload, h->conninfo, NULL, &owner, 1), 0);
        bool has_failed(_unused_ void *userdata) { return seen.failure.error != PG_OK; }
        harness_wait(h, has_failed, NULL, "a refusal");
        assert_int_equal(seen.failure.error, PG_CONFIGURATION);
        assert_non_null(strstr(seen.failure.message, "the ledger has schema 9, which takes daemons built for schema 8 or newer"));
        assert_false(ledger_is_up(seen.ledger));
        /* Migrated meanwhile, it comes up without a new connection. */
        harness_sql(h, "CREATE OR REPLACE VIEW rollbackd.schema AS SELECT 2 AS version, 1 AS oldest_daemon");
        harness_wait(h, is_up, NULL, "the migrated ledger");
        close_ledger();
}

static void on_commit(_unused_ void *userdata, CommitResult result, uint64_t epoch, const char *detail) {
        if (result == COMMIT_IN_DOUBT) {
                seen.doubts++;
                return;
        }
        seen.results++;
        seen.result = result;
        seen.epoch = epoch;
        snprintf(seen.detail, sizeof seen.detail, "%s", detail);
}

static OperationPlan plan = { .kind = OPERATION_ROLLBACK, .automatic = true, .from_epoch = 2, .from_version = "v2", .to_version = "v1",
                              .actor = "rollbackd", .reason = "errors", .id = ID1 };

static CommitRequest request(void) {
        return (CommitRequest){ .operation = &plan, .service = "web", .policy_hash = "abc", .evidence = "{\"rule\": \"errors\"}", .steps = "[]",
                                .cooldown = 600 * USEC_PER_SEC, .budget_per = USEC_PER_DAY, .budget_count = 2 };
}

static void commit(const CommitRequest *r) {
        seen.results = 0;
        assert_int_equal(ledger_commit(seen.ledger, r, on_commit, NULL), 0);
        harness_wait(seen.h, counted, &seen.results, "the commit's result");
        assert_int_equal(seen.results, 1);
}

static void test_commit(void **state) {
        Harness *h = *state;
        const char *const generations[] = { "user", "a\"b\\" };
        CommitRequest r = request();

        r.generations = generations;
        r.n_generations = 1;
        seed(h);
        open_ledger(h);
        plan.from_epoch = 1;
        commit(&r);
        plan.from_epoch = 2;
        assert_int_equal(seen.result, COMMIT_LOST);
        assert_string_equal(seen.detail, "version v2 is active at epoch 2");
        harness_sql(h, "SELECT rollbackd.pause('web', '1 hour', 'a test')");
        commit(&r);
        assert_int_equal(seen.result, COMMIT_REFUSED);
        assert_non_null(strstr(seen.detail, "pause: "));
        harness_sql(h, "SELECT rollbackd.resume('web')");
        commit(&r);
        assert_int_equal(seen.result, COMMIT_DONE);
        assert_int_equal(seen.epoch, 3);
        assert_string_equal(harness_cell(h, "SELECT active || epoch FROM rollbackd.service"), "v13");
        assert_string_equal(harness_cell(h, "SELECT value FROM rollbackd.generation WHERE name = 'user'"), "1");
        assert_string_equal(harness_cell(h, "SELECT evidence->>'rule' FROM rollbackd.operation"), "errors");
        /* The same id again is the same operation. */
        commit(&r);
        assert_int_equal(seen.result, COMMIT_DONE);
        assert_int_equal(seen.epoch, 3);
        assert_string_equal(harness_cell(h, "SELECT count(*) FROM rollbackd.operation"), "1");
        assert_int_equal(seen.doubts, 0);
        close_ledger();
}

static void seed_application(Harness *h) {
        seed(h);
        harness_sql(h, "CREATE TABLE users (id int PRIMARY KEY, version text, seen timestamptz DEFAULT now() + interval '1 hour');"
                       "INSERT INTO users SELECT i, 'v2' FROM generate_series(1, 5) i;"
                       "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'users_rollback') THEN CREATE ROLE \"users_rollback\";"
                       "CREATE ROLE \"odd \"\"role\"; CREATE ROLE stranger; END IF; END $$;"
                       "GRANT users_rollback TO rollbackd; GRANT SELECT, UPDATE ON users TO users_rollback; GRANT \"odd \"\"role\" TO rollbackd");
}

static const char rows_of_two[] = "[{\"n\": 1, \"kind\": \"sql\", \"spec\": {}, \"atomic\": true}, {\"n\": 2, \"kind\": \"sql\", \"spec\": {}, \"atomic\": true}]";

static void test_atomic_continue(void **state) {
        Harness *h = *state;
        const char *const values[] = { "v1", ledger_released_at };
        AtomicStep steps[] = {
                { .n = 1, .role = "odd \"role", .statement = "UPDATE users SET version = 'x'" },
                { .n = 2, .role = "users_rollback", .statement = "UPDATE users SET version = $1::text WHERE seen > $2::timestamptz",
                  .parameters = values, .n_parameters = 2 },
        };
        CommitRequest r = request();

        r.atomic = steps;
        r.n_atomic = 2;
        r.steps = rows_of_two;
        seed_application(h);
        open_ledger(h);
        commit(&r);
        assert_int_equal(seen.result, COMMIT_DONE);
        assert_int_equal(seen.epoch, 3);
        assert_string_equal(harness_cell(h, "SELECT string_agg(DISTINCT version, ',') FROM users"), "v1");
        assert_string_equal(harness_cell(h, "SELECT string_agg(n || state, ',' ORDER BY n) FROM rollbackd.step"), "1failed,2done");
        assert_non_null(strstr(harness_cell(h, "SELECT error FROM rollbackd.step WHERE n = 1"),
                               "step 1 as role odd \"role: permission denied for table users"));
        /* On replay no step runs. */
        harness_sql(h, "UPDATE users SET version = 'later'");
        commit(&r);
        assert_int_equal(seen.result, COMMIT_DONE);
        assert_string_equal(harness_cell(h, "SELECT string_agg(DISTINCT version, ',') FROM users"), "later");
        close_ledger();
}

static void test_atomic_abort(void **state) {
        Harness *h = *state;
        AtomicStep step = { .n = 1, .role = "stranger", .statement = "UPDATE users SET version = 'x'", .abort_on_error = true };
        CommitRequest r = request();

        r.atomic = &step;
        r.n_atomic = 1;
        r.steps = "[{\"n\": 1, \"kind\": \"sql\", \"spec\": {}, \"atomic\": true}]";
        seed_application(h);
        open_ledger(h);
        commit(&r);
        assert_int_equal(seen.result, COMMIT_FAILED);
        assert_non_null(strstr(seen.detail, "step 1 as role stranger: permission denied to set role \"stranger\""));
        assert_string_equal(harness_cell(h, "SELECT active || epoch FROM rollbackd.service"), "v22");
        /* Three tries, each of which may be the one that works. */
        harness_sql(h, "CREATE SEQUENCE tries; GRANT USAGE ON SEQUENCE tries TO users_rollback");
        step.role = "users_rollback";
        step.statement = "UPDATE users SET version = (10 / (nextval('tries') / 3))::text";
        commit(&r);
        assert_int_equal(seen.result, COMMIT_DONE);
        assert_string_equal(harness_cell(h, "SELECT last_value FROM tries"), "7");
        assert_string_equal(harness_cell(h, "SELECT state FROM rollbackd.step"), "done");
        close_ledger();
}

/* A check that waits for COMMIT fails in the step that broke it. */
static void test_deferred_constraint(void **state) {
        Harness *h = *state;
        AtomicStep step = { .n = 1, .role = "users_rollback", .statement = "UPDATE users SET id = 1" };
        CommitRequest r = request();

        r.atomic = &step;
        r.n_atomic = 1;
        r.steps = "[{\"n\": 1, \"kind\": \"sql\", \"spec\": {}, \"atomic\": true}]";
        seed_application(h);
        harness_sql(h, "ALTER TABLE users DROP CONSTRAINT users_pkey, ADD PRIMARY KEY (id) DEFERRABLE INITIALLY DEFERRED");
        open_ledger(h);
        commit(&r);
        assert_int_equal(seen.result, COMMIT_DONE);
        assert_string_equal(harness_cell(h, "SELECT state FROM rollbackd.step"), "failed");
        close_ledger();
}

static bool is_blocked(void *userdata) {
        return streq(harness_cell(userdata, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND usename = 'rollbackd'"), "1");
}

/* The backend dies while the call is under way: it is in doubt, and asked again with the same id. */
static void test_in_doubt(void **state) {
        Harness *h = *state;
        CommitRequest r = request();

        seed(h);
        open_ledger(h);
        _cleanup_(pg_sync_freep) PgSync *other = harness_connect(h);
        PgFailure failure;
        pg_result_free(pg_sync_script(other, "BEGIN; SELECT FROM rollbackd.service FOR UPDATE", &failure));
        seen.results = 0;
        assert_int_equal(ledger_commit(seen.ledger, &r, on_commit, NULL), 0);
        harness_wait(h, is_blocked, h, "the call waits for the lock");
        harness_sql(h, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'rollbackd'");
        harness_wait(h, counted, &seen.doubts, "doubt");
        assert_int_equal(seen.results, 0);
        pg_result_free(pg_sync_script(other, "COMMIT", &failure));
        harness_wait(h, counted, &seen.results, "the result");
        assert_int_equal(seen.result, COMMIT_DONE);
        assert_int_equal(seen.doubts, 1);
        assert_int_equal(seen.epoch, 3);
        assert_string_equal(harness_cell(h, "SELECT count(*) FROM rollbackd.operation"), "1");
        close_ledger();
}

static bool is_down(_unused_ void *userdata) {
        return !seen.up;
}

/* What is in doubt when nobody wants it any more is found out, but not done. What was never sent is given up. */
static void test_too_late(void **state) {
        Harness *h = *state;
        CommitRequest r = request();
        PgFailure failure;

        r.wanted = 1;
        seed(h);
        open_ledger(h);
        _cleanup_(pg_sync_freep) PgSync *other = harness_connect(h);
        pg_result_free(pg_sync_script(other, "BEGIN; SELECT FROM rollbackd.service FOR UPDATE", &failure));
        assert_int_equal(ledger_commit(seen.ledger, &r, on_commit, NULL), 0);
        harness_wait(h, is_blocked, h, "the call waits for the lock");
        harness_sql(h, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'rollbackd'");
        harness_wait(h, is_blocked, h, "the question waits for the lock");
        pg_result_free(pg_sync_script(other, "COMMIT", &failure));
        harness_wait(h, counted, &seen.results, "the answer");
        assert_int_equal(seen.doubts, 1);
        assert_int_equal(seen.result, COMMIT_REFUSED);
        assert_non_null(strstr(seen.detail, "ledger: the connection was lost at the commit, which did not happen"));
        assert_string_equal(harness_cell(h, "SELECT active || epoch FROM rollbackd.service"), "v22");

        harness_sql(h, "ALTER ROLE rollbackd NOLOGIN");
        harness_sql(h, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'rollbackd'");
        bool is_lost(_unused_ void *userdata) { return !ledger_is_up(seen.ledger); }
        harness_wait(h, is_lost, NULL, "the loss");
        commit(&r);
        harness_sql(h, "ALTER ROLE rollbackd LOGIN");
        assert_int_equal(seen.result, COMMIT_REFUSED);
        assert_memory_equal(seen.detail, "ledger: ", 8);
        assert_int_equal(seen.doubts, 1);
        close_ledger();
}

/* The same with a write of the queue: it is sent again, and is there once. */
static void test_write_in_doubt(void **state) {
        Harness *h = *state;
        PgFailure failure;

        seed(h);
        open_ledger(h);
        _cleanup_(pg_sync_freep) PgSync *other = harness_connect(h);
        pg_result_free(pg_sync_script(other, "BEGIN; SELECT FROM rollbackd.service FOR UPDATE", &failure));
        assert_int_equal(ledger_record_event(seen.ledger, ID2, "web", "rule.bad", NULL, "rollbackd", "{}"), 0);
        harness_wait(h, is_blocked, h, "the write waits for the lock");
        harness_sql(h, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'rollbackd'");
        harness_wait(h, is_blocked, h, "the write waits again");
        pg_result_free(pg_sync_script(other, "COMMIT", &failure));
        bool is_there(void *userdata) { return streq(harness_cell(userdata, "SELECT count(*) FROM rollbackd.event WHERE id = '" ID2 "'"), "1"); }
        harness_wait(h, is_there, h, "the event");
        assert_int_equal(seen.n_trouble, 0);
        close_ledger();
}

/* Writes given while the server is away arrive once, in order, when it is back; so does a commit that was not sent yet. */
static void test_outage(void **state) {
        Harness *h = *state;
        CommitRequest r = request();

        seed(h);
        open_ledger(h);
        pg_sync_free(TAKE_PTR(h->admin));
        harness_kill_server();
        harness_wait(h, is_down, NULL, "down");
        assert_int_equal(seen.failure.error, PG_LOST);
        assert_int_equal(ledger_commit(seen.ledger, &r, on_commit, NULL), 0);
        assert_int_equal(ledger_record_event(seen.ledger, ID2, "web", "rule.bad", NULL, "rollbackd", "{\"rule\": \"x\"}"), 0);
        assert_int_equal(ledger_record_event(seen.ledger, ID2, "web", "rule.bad", NULL, "rollbackd", "{\"rule\": \"y\"}"), 0);
        harness_start_server();
        h->admin = harness_connect(h);
        harness_wait(h, is_up, NULL, "up again");
        harness_wait(h, counted, &seen.results, "the commit");
        assert_int_equal(seen.result, COMMIT_DONE);
        bool one_event(void *userdata) {
                return streq(harness_cell(userdata, "SELECT string_agg(fields->>'rule', ',') FROM rollbackd.event WHERE id = '" ID2 "'"), "x");
        }
        harness_wait(h, one_event, h, "the event, once");
        assert_int_equal(seen.n_trouble, 0);
        close_ledger();
}

static void on_step(_unused_ void *userdata, const PgFailure *failure, const LedgerStep *step, usec_t wait, uint32_t failed) {
        seen.answers++;
        seen.failure = *failure;
        seen.wait = wait;
        seen.failed = failed;
        seen.step_n = step ? step->n : 0;
        if (!step)
                return;
        seen.attempt = step->attempt;
        snprintf(seen.kind, sizeof seen.kind, "%s", step->kind);
        snprintf(seen.released_at, sizeof seen.released_at, "%s", step->released_at);
        snprintf(seen.progress, sizeof seen.progress, "%s", step->progress ? json_get_text(step->progress, "after", "none") : "");
        assert_string_equal(step->service, "web");
        assert_string_equal(step->from_version, "v2");
        assert_string_equal(step->to_version, "v1");
        assert_int_equal(step->from_epoch, 2);
        assert_int_equal(step->to_epoch, 3);
}

static void claim(const char *operation) {
        seen.answers = 0;
        assert_int_equal(ledger_claim_step(seen.ledger, operation, 60 * USEC_PER_SEC, on_step, NULL), 0);
        harness_wait(seen.h, counted, &seen.answers, "a claim");
}

static void test_queue_limit_and_refusals(void **state) {
        Harness *h = *state;
        unsigned n = 0;

        seed(h);
        open_ledger(h);
        /* What the ledger refuses is told and does not keep what comes behind. */
        assert_int_equal(ledger_move_operation(seen.ledger, ID2, OPERATION_RECOVERED, "gone", NULL), 0);
        assert_int_equal(ledger_earn_stable(seen.ledger, "web", 2), 0);
        harness_wait(h, counted, &seen.n_trouble, "a refusal");
        assert_string_equal(seen.trouble, "move_operation " ID2);
        bool is_stable(void *userdata) { return streq(harness_cell(userdata, "SELECT stable::text FROM rollbackd.service_status"), "true"); }
        harness_wait(h, is_stable, h, "the stable mark");
        claim(ID1); /* answered, it says that the queue is empty */
        while (ledger_earn_stable(seen.ledger, "web", 2) == 0)
                n++;
        assert_int_equal(n, 256);
        assert_int_equal(ledger_earn_stable(seen.ledger, "web", 2), -EAGAIN);
        close_ledger();
}

static void test_steps(void **state) {
        Harness *h = *state;
        CommitRequest r = request();

        r.steps = "[{\"n\": 1, \"kind\": \"cache\", \"spec\": {\"a\": 1}}, {\"n\": 2, \"kind\": \"cache\", \"spec\": {}, \"not_before_seconds\": 1000}]";
        seed(h);
        open_ledger(h);
        commit(&r);
        claim(ID1);
        assert_int_equal(seen.failure.error, PG_OK);
        assert_int_equal(seen.step_n, 1);
        assert_int_equal(seen.attempt, 1);
        assert_string_equal(seen.kind, "cache");
        assert_string_equal(seen.progress, "");
        char sql[256];
        snprintf(sql, sizeof sql, "SELECT at = '%s' FROM rollbackd.release WHERE epoch = 2", seen.released_at);
        assert_string_equal(harness_cell(h, sql), "t");
        assert_int_equal(ledger_step_progress(seen.ledger, ID1, 1, "{\"after\": \"k\"}", 60 * USEC_PER_SEC), 0);
        assert_int_equal(ledger_step_result(seen.ledger, ID1, 1, "retry", "again", 0), 0);
        claim(ID1);
        assert_int_equal(seen.step_n, 1);
        assert_int_equal(seen.attempt, 2);
        assert_string_equal(seen.progress, "k");
        assert_int_equal(ledger_step_result(seen.ledger, ID1, 1, "failed", "no way", 0), 0);
        claim(ID1);
        assert_int_equal(seen.step_n, 0);
        assert_true(seen.wait > 900 * USEC_PER_SEC && seen.wait <= 1000 * USEC_PER_SEC);
        harness_sql(h, "UPDATE rollbackd.step SET not_before = NULL");
        claim(ID1);
        assert_int_equal(seen.step_n, 2);
        assert_int_equal(ledger_step_result(seen.ledger, ID1, 2, "done", "5 rows", 0), 0);
        claim(ID1);
        assert_int_equal(seen.step_n, 0);
        assert_true(seen.wait == USEC_INFINITY);
        assert_int_equal(seen.failed, 1);
        claim(ID2);
        assert_int_not_equal(seen.failure.error, PG_OK);
        close_ledger();
}

static void on_deliveries(_unused_ void *userdata, const PgFailure *failure, const LedgerDelivery deliveries[], size_t n, usec_t next_in) {
        seen.answers++;
        seen.failure = *failure;
        seen.n_deliveries = n;
        seen.wait = next_in;
        if (n == 0)
                return;
        snprintf(seen.delivery_id, sizeof seen.delivery_id, "%s", deliveries[0].id);
        snprintf(seen.delivery_kind, sizeof seen.delivery_kind, "%s", deliveries[0].event_kind);
        snprintf(seen.channel_url, sizeof seen.channel_url, "%s", json_get_text(deliveries[0].channel, "url", ""));
        assert_string_equal(deliveries[0].service, "web");
}

static void claim_deliveries(void) {
        seen.answers = 0;
        assert_int_equal(ledger_claim_deliveries(seen.ledger, 10, 60 * USEC_PER_SEC, on_deliveries, NULL), 0);
        harness_wait(seen.h, counted, &seen.answers, "deliveries");
        assert_int_equal(seen.failure.error, PG_OK);
}

static void test_deliveries(void **state) {
        Harness *h = *state;
        CommitRequest r = request();

        seed(h);
        open_ledger(h);
        claim_deliveries();
        assert_int_equal(seen.n_deliveries, 0);
        assert_true(seen.wait >= USEC_PER_SEC);
        assert_int_equal(ledger_put_subscribers(seen.ledger, "web", "[{\"kind\": \"webhook\", \"url\": \"http://x/\"}]"), 0);
        /* Something answered behind it in the queue: it is there. */
        claim_deliveries();
        commit(&r);
        claim_deliveries();
        assert_int_equal(seen.n_deliveries, 1);
        assert_string_equal(seen.delivery_kind, "rollback.committed");
        assert_string_equal(seen.channel_url, "http://x/");
        claim_deliveries();
        assert_int_equal(seen.n_deliveries, 0);
        assert_true(seen.wait > 50 * USEC_PER_SEC && seen.wait <= 60 * USEC_PER_SEC);
        assert_int_equal(ledger_delivery_result(seen.ledger, seen.delivery_id, "done", 0, NULL), 0);
        claim_deliveries();
        assert_int_equal(seen.n_deliveries, 0);
        assert_true(seen.wait >= USEC_PER_SEC);
        assert_string_equal(harness_cell(h, "SELECT string_agg(state, ',') FROM rollbackd.delivery_status"), "done");
        close_ledger();
}

static void on_found(_unused_ void *userdata, const PgFailure *failure, const Json *value) {
        seen.answers++;
        seen.failure = *failure;
        seen.found = value != NULL;
        snprintf(seen.kind, sizeof seen.kind, "%s", value ? json_get_text(value, "type", "") : "");
}

static void find(const char *id) {
        seen.answers = 0;
        assert_int_equal(ledger_find(seen.ledger, id, on_found, NULL), 0);
        harness_wait(seen.h, counted, &seen.answers, "a record");
        assert_int_equal(seen.failure.error, PG_OK);
}

static bool has_operation(_unused_ void *userdata) {
        return seen.operations && json_length(seen.operations) == 1 && json_length(seen.events) > 2;
}

static void test_reads(void **state) {
        Harness *h = *state;
        CommitRequest r = request();

        seed(h);
        open_ledger(h);
        commit(&r);
        harness_wait(h, has_operation, NULL, "the lists");
        assert_string_equal(json_get_text(json_at(seen.operations, 0), "id", ""), ID1);
        assert_string_equal(json_get_text(json_get(json_at(seen.operations, 0), "evidence"), "rule", ""), "errors");
        assert_string_equal(json_get_text(json_at(seen.events, 0), "kind", ""), "rollback.committed");
        find(ID1);
        assert_string_equal(seen.kind, "operation");
        find(json_get_text(json_at(seen.events, 0), "id", ""));
        assert_string_equal(seen.kind, "event");
        find(ID2);
        assert_false(seen.found);
        assert_int_equal(ledger_find(seen.ledger, "1; DROP TABLE", on_found, NULL), -EINVAL);
        close_ledger();
}

/* Freed with everything under way: nothing is called any more. */
static void test_free_under_way(void **state) {
        Harness *h = *state;
        CommitRequest r = request();

        seed(h);
        open_ledger(h);
        assert_int_equal(ledger_commit(seen.ledger, &r, on_commit, NULL), 0);
        assert_int_equal(ledger_earn_stable(seen.ledger, "web", 2), 0);
        assert_int_equal(ledger_claim_step(seen.ledger, ID1, USEC_PER_SEC, on_step, NULL), 0);
        assert_int_equal(ledger_find(seen.ledger, ID1, on_found, NULL), 0);
        close_ledger();
        assert_int_equal(seen.results + seen.answers, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, harness_setup, harness_teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_facts),      TEST(test_facts_that_do_not_parse), TEST(test_wrong_schema),
                TEST(test_commit),     TEST(test_atomic_continue),         TEST(test_atomic_abort),
                TEST(test_deferred_constraint), TEST(test_in_doubt),       TEST(test_outage),
                TEST(test_write_in_doubt), TEST(test_too_late),
                TEST(test_queue_limit_and_refusals), TEST(test_steps),     TEST(test_deliveries),
                TEST(test_reads),      TEST(test_free_under_way),
        };

        return cmocka_run_group_tests(tests, harness_group_setup, harness_group_teardown);
}
