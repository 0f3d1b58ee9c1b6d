/* What keeps a step from running, asked without running it, and what a person types against it. */
#include "step_kinds.h"

#define CHECK_SQL_MAX (96 * 1024)

static const struct {
        const char *message, *grant, *on;
} missing_rights[] = {
        { "permission denied for table ", "SELECT, INSERT, UPDATE, DELETE", "" },
        { "permission denied for view ", "SELECT, INSERT, UPDATE, DELETE", "" },
        { "permission denied for sequence ", "USAGE", "SEQUENCE " },
        { "permission denied for schema ", "USAGE", "SCHEMA " },
        { "permission denied for function ", "EXECUTE", "FUNCTION " },
};

static void add_grant(const char *rights, const char *on, const char *role, StrBuf *b) {
        strbuf_add(b, "GRANT ");
        strbuf_add(b, rights);
        strbuf_add(b, on);
        strbuf_add(b, " TO ");
        pg_add_identifier(role, b);
        strbuf_add(b, ";");
}

static void add_membership(const char *role, StrBuf *b) {
        strbuf_add(b, "GRANT ");
        pg_add_identifier(role, b);
        strbuf_add(b, " TO rollbackd;");
}

/* The server says what is missing in its message only; a message in another language gets the
 * general advice. */
static void advise_grant(const char *role, const char *message, StrBuf *b) {
        if (strncmp(message, "permission denied to set role",
                    strlen("permission denied to set role")) == 0) {
                strbuf_add(b, "as an administrator, type: ");
                add_membership(role, b);
                return;
        }
        for (size_t i = 0; i < ELEMENTSOF(missing_rights); i++) {
                size_t n = strlen(missing_rights[i].message);
                STRBUF(on, 512);

                if (strncmp(message, missing_rights[i].message, n) != 0)
                        continue;
                strbuf_add(&on, " ON ");
                strbuf_add(&on, missing_rights[i].on);
                strbuf_add_n(&on, message + n, strcspn(message + n, " ;:\n"));
                strbuf_add(b, "as the owner, type what the statement needs of: ");
                add_grant(missing_rights[i].grant, on.text, role, b);
                return;
        }
        strbuf_add(b, "as the owner, GRANT what the message names TO ");
        pg_add_identifier(role, b);
        strbuf_add(b, "; and ");
        add_membership(role, b);
}

void step_advise(const char *role, const PgFailure *failure, StrBuf *b) {
        if (streq(failure->sqlstate, "42501")) {
                advise_grant(role, failure->message, b);
        } else if (streq(failure->sqlstate, "42704") || streq(failure->sqlstate, "22023")) {
                strbuf_add(b, "if the role is not there, as an administrator, type: CREATE ROLE ");
                pg_add_identifier(role, b);
                strbuf_add(b, " NOLOGIN; ");
                add_membership(role, b);
        }
}

void step_check_broken(const char *role, const PgFailure *failure, StepFinding *ret) {
        StrBuf b;

        ret->health = STEP_BROKEN;
        strbuf_init(&b, ret->words, sizeof ret->words);
        strbuf_add(&b, "under role ");
        strbuf_add(&b, role);
        strbuf_add(&b, ": ");
        strbuf_add(&b, failure->message);
        strbuf_init(&b, ret->advice, sizeof ret->advice);
        step_advise(role, failure, &b);
}

PgResult *step_check_begin(PgSync *site, const char *role, PgFailure *reterr) {
        STRBUF(sql, 1100);

        strbuf_add(&sql, "BEGIN; SET LOCAL lock_timeout = '2s'; SET LOCAL ROLE ");
        if (pg_quote_identifier(role, &sql) < 0 || sql.overflow) {
                *reterr = (PgFailure){ .error = PG_CONFIGURATION,
                                       .message = "the role's name cannot be quoted" };
                return NULL;
        }
        return pg_sync_script(site, sql.text, reterr);
}

/* PREPARE alone does not check the rights on tables: EXPLAIN EXECUTE with NULLs does, and runs
 * nothing. Returns what the server answered, or NULL. */
static PgResult *plan(PgSync *site, const char *sql, size_t n_parameters, PgFailure *reterr) {
        _cleanup_(freep) char *storage = malloc(CHECK_SQL_MAX);
        StrBuf b;

        *reterr = (PgFailure){ .error = PG_CONFIGURATION,
                               .message = "the statement is longer than 96 KiB" };
        if (!storage)
                return NULL;
        strbuf_init(&b, storage, CHECK_SQL_MAX);
        strbuf_add(&b, "PREPARE rollbackd_check AS ");
        strbuf_add(&b, sql);
        /* A comment at the statement's end must not swallow what follows. */
        strbuf_add(&b, "\n; EXPLAIN EXECUTE rollbackd_check");
        for (size_t i = 0; i < n_parameters; i++)
                strbuf_add(&b, i == 0 ? "(NULL" : ", NULL");
        strbuf_add(&b, n_parameters > 0 ? ")" : "");
        return b.overflow ? NULL : pg_sync_script(site, b.text, reterr);
}

void step_check_plan(PgSync *site, const char *role, const char *sql, size_t n_parameters,
                     StepFinding *ret) {
        PgFailure failure;
        PgResult *result = step_check_begin(site, role, &failure);

        if (result) {
                pg_result_free(result);
                result = plan(site, sql, n_parameters, &failure);
        }
        if (!result)
                step_check_broken(role, &failure, ret);
        pg_result_free(result);
        pg_result_free(pg_sync_script(site, "ROLLBACK; DEALLOCATE ALL", &(PgFailure){ 0 }));
}

void step_check_statement(const StepStatement *s, PgSync *site, StepFinding *ret) {
        step_check_plan(site, s->role, s->sql, s->n_parameters + s->n_own, ret);
}

void step_check(const StepConfig *step, PgSync *site, StepFinding *ret) {
        StepStatement s;
        StrBuf words;

        *ret = (StepFinding){ .health = STEP_SOUND };
        strbuf_init(&words, ret->words, sizeof ret->words);
        if (step_statement_of(step, &s, &words) < 0) {
                ret->health = STEP_BROKEN;
                return;
        }
        step_kind_of(step->kind)->check(&s, site, ret);
        step_statement_done(&s);
}
