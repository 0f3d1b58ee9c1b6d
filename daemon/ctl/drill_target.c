/* The ledger as the daemon needs it, and the target by the judge's own choice. */
#include "drill.h"
#include "ledger_facts.h"
#include "ledger_needs.h"
#include "target_choice.h"

/* Returns the schema, or 0 when it is not one that the daemon runs on. */
static uint64_t check_schema(Drill *d) {
        _cleanup_(pg_result_freep) PgResult *r = NULL;
        PgFailure failure;
        uint64_t version;
        STRBUF(words, 64);

        r = pg_sync_statement(d->ledger, ledger_schema_sql, 0, NULL, &failure);
        if (!r || ledger_check_schema(r, &version, &failure) < 0) {
                drill_add_failure(d, "ledger", &failure);
                return 0;
        }
        strbuf_add(&words, "schema ");
        strbuf_add_u64(&words, version);
        drill_add(d, DRILL_GOOD, "ledger", words.text);
        return version;
}

static void add_missing(Drill *d, const char *what, bool there) {
        STRBUF(words, 512);
        DrillCheck *c;
        StrBuf advice;

        strbuf_add(&words, there ? "no right on " : "not there: ");
        strbuf_add(&words, what);
        c = drill_add(d, DRILL_FAILED, "rights", words.text);
        strbuf_init(&advice, c->advice, sizeof c->advice);
        if (!there) {
                strbuf_add(&advice, "type: rollbackctl db migrate");
                return;
        }
        strbuf_add(&advice, "as the ledger's owner, type: GRANT ");
        strbuf_add(&advice, strncmp(what, "FUNCTION", 8) == 0 ? "EXECUTE ON " : "SELECT ON ");
        strbuf_add(&advice, what);
        strbuf_add(&advice, " TO " DRILL_ROLE ";");
}

static void check_rights(Drill *d, uint64_t schema) {
        _cleanup_(pg_result_freep) PgResult *r = NULL;
        char functions[LEDGER_NEEDS_SIZE], views[LEDGER_NEEDS_SIZE];
        const char *values[] = { functions, views };
        size_t n = ledger_list_needs(schema, functions, views);
        PgFailure failure;
        STRBUF(words, 64);

        r = pg_sync_statement(d->ledger, ledger_rights_sql, ELEMENTSOF(values), values, &failure);
        if (!r) {
                drill_add_failure(d, "rights", &failure);
                return;
        }
        for (size_t i = 0; i < MIN(pg_rows(r), DRILL_RIGHTS_MAX); i++)
                add_missing(d, pg_value(r, i, "what"), streq(pg_value(r, i, "there"), "t"));
        if (pg_rows(r) > DRILL_RIGHTS_MAX)
                drill_add(d, DRILL_FAILED, "rights", "more are missing than are told here");
        if (pg_rows(r) > 0)
                return;
        strbuf_add(&words, "on all ");
        strbuf_add_u64(&words, n);
        strbuf_add(&words, " functions and views that the daemon uses");
        drill_add(d, DRILL_GOOD, "rights", words.text);
}

static void array_of_one(const char *text, StrBuf *b) {
        ledger_array_add(b, text);
        strbuf_add_char(b, '}');
}

/* Returns whether the facts are known. */
static bool load_facts(Drill *d) {
        const RollbackPolicy *policy = &d->config->policy.rollback;
        char cooldown[LEDGER_INTERVAL_SIZE], period[LEDGER_INTERVAL_SIZE];
        STRBUF(services, 2 * NAME_SIZE + 4);
        STRBUF(cooldowns, LEDGER_INTERVAL_SIZE + 4);
        STRBUF(periods, LEDGER_INTERVAL_SIZE + 4);
        const char *values[] = { services.text, cooldowns.text, periods.text };
        _cleanup_(pg_result_freep) PgResult *r = NULL;
        const char *column = NULL;
        STRBUF(words, 256);
        PgFailure failure;

        array_of_one(d->config->service, &services);
        array_of_one(ledger_interval(policy->cooldown, cooldown), &cooldowns);
        array_of_one(ledger_interval(policy->budget_per, period), &periods);
        r = pg_sync_statement(d->ledger, ledger_load_sql, ELEMENTSOF(values), values, &failure);
        if (!r) {
                drill_add_failure(d, "facts", &failure);
                return false;
        }
        if (pg_rows(r) == 0) {
                strbuf_add(&words, "type: rollbackctl register ");
                strbuf_add(&words, d->config->service);
                strbuf_add(&words, " VERSION");
                memcpy(drill_add(d, DRILL_FAILED, "facts", "the ledger does not know the service")
                               ->advice,
                       words.text, words.length + 1);
                return false;
        }
        if (ledger_facts_parse(r, 0, drill_now(), &d->facts, &column) == 0)
                return true;
        strbuf_add(&words, "the ledger's column cannot be read: ");
        strbuf_add(&words, column);
        drill_add(d, DRILL_FAILED, "facts", words.text);
        return false;
}

static void tell_operation(Drill *d) {
        const OpenOperation *o = &d->facts.operation;
        STRBUF(words, 512);

        if (o->id[0] == '\0')
                return;
        strbuf_add(&words, "a ");
        strbuf_add(&words, operation_kind_to_string(o->kind));
        strbuf_add(&words, " is open: ");
        strbuf_add(&words, o->from_version);
        strbuf_add(&words, " -> ");
        strbuf_add(&words, o->to_version);
        strbuf_add(&words, ", ");
        strbuf_add(&words, operation_state_to_string(o->state));
        strbuf_add(&words, "; what is drilled is the next rollback");
        drill_add(d, DRILL_WARNING, "operation", words.text);
}

static void choose_target(Drill *d) {
        /* No operation has it: it stands where the daemon binds the operation's. */
        static const char id[OPERATION_ID_SIZE] = "00000000-0000-4000-8000-000000000000";
        STRBUF(words, 512);
        TargetChoice choice;

        strbuf_add(&words, d->facts.version);
        strbuf_add(&words, " -> ");
        choice = target_choose(&d->config->policy.rollback, &d->facts, NULL, &words);
        if (!choice.candidate) {
                drill_add(d, DRILL_FAILED, "target", strstr(words.text, " -> ") + 4);
                return;
        }
        d->plan = (OperationPlan){ .kind = OPERATION_ROLLBACK, .from_epoch = d->facts.epoch };
        memcpy(d->plan.id, id, sizeof id);
        memcpy(d->plan.from_version, d->facts.version, NAME_SIZE);
        memcpy(d->plan.to_version, choice.candidate->version, NAME_SIZE);
        drill_add(d, DRILL_GOOD, "target", words.text);
}

void drill_ledger(Drill *d) {
        uint64_t schema = check_schema(d);

        if (!d->config)
                return;
        if (schema > 0)
                check_rights(d, schema);
        if (!load_facts(d))
                return;
        tell_operation(d);
        choose_target(d);
}
