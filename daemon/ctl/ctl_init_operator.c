/* db init --operator: a person's own role, by which the ledger knows who acted. */
#include "ctl.h"

static const char person_sql[] =
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_auth_members AS m JOIN pg_catalog.pg_roles AS g "
        "ON g.oid = m.roleid WHERE m.member = r.oid AND g.rolname = 'rollbackd_operator') "
        "FROM pg_catalog.pg_roles AS r WHERE r.rolname = $1";

/* What makes the person an operator; an empty text: nothing is missing. */
static bool write_statement(PgSync *s, const char *name, StrBuf *sql, PgFailure *reterr) {
        const char *parameters[] = { name };
        _cleanup_(pg_result_freep) PgResult *person = NULL;

        person = pg_sync_query(s, person_sql, ELEMENTSOF(parameters), parameters, reterr);
        if (!person)
                return false;
        if (pg_rows(person) > 0 && streq(pg_cell(person, 0, 0) ?: "", "t"))
                return true;
        strbuf_add(sql, pg_rows(person) > 0 ? "GRANT rollbackd_operator TO " : "CREATE ROLE ");
        if (pg_quote_identifier(name, sql) == 0 && pg_rows(person) == 0)
                strbuf_add(sql, " LOGIN IN ROLE rollbackd_operator");
        return true;
}

ExitCode init_check_operator(const char *name) {
        if (strncmp(name, "rollbackd", strlen("rollbackd")) != 0)
                return EXIT_OK;
        fprintf(stderr,
                "rollbackctl db init: %s is a role of the ledger's own: an operator is a person\n",
                name);
        return EXIT_USAGE;
}

ExitCode init_operator(PgSync *s, const char *name, bool dry_run, unsigned *n_done) {
        STRBUF(sql, 256);
        PgFailure failure;

        if (!write_statement(s, name, &sql, &failure))
                return sql_fail(&failure);
        if (sql.length == 0)
                return EXIT_OK;
        (*n_done)++;
        if (dry_run) {
                printf("%s;\n", sql.text);
                return EXIT_OK;
        }
        PgResult *result = pg_sync_script(s, sql.text, &failure);

        if (!result)
                return sql_fail(&failure);
        pg_result_free(result);
        print_paragraph("made an operator of the role ", name);
        return EXIT_OK;
}
