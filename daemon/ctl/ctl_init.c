/* db init: database, roles and schema of a ledger, by its administrator. What is there already is
 * left alone; --dry-run prints the rest as SQL for psql. rollbackd.conf is not read: it says how
 * the daemon connects, and this is somebody else. */
#include <errno.h>

#include "ctl.h"

#define DATABASE_NAME_MAX 63 /* the server would cut it off */
#define MAINTENANCE_DATABASE "postgres"
#define CONNINFO_EXAMPLE "runuser -u postgres -- rollbackctl db init --database platform"

typedef struct Init {
        const CommandLine *line;
        const char *conninfo; /* "": libpq's own defaults */
        char database[DATABASE_NAME_MAX + 1];
        bool dry_run;
        PgSync *s; /* to the database itself; NULL in a dry run that would have to create it */
        PgSync *maintenance; /* to the server's other one; NULL when it was not needed */
        unsigned n_done;
} Init;

static ExitCode refuse_database(const char *words) {
        fprintf(stderr, "rollbackctl db init: %s\n", words);
        return EXIT_USAGE;
}

/* Which database: never one that nobody named. */
static ExitCode find_database(Init *in) {
        const char *said = in->line->values[OPTION_DATABASE];
        STRBUF(name, DATABASE_NAME_MAX + 1);
        int r;

        in->conninfo = in->line->values[OPTION_CONNINFO] ?: getenv("ROLLBACKD_CONNINFO") ?: "";
        r = pg_conninfo_value(in->conninfo, "dbname", &name);
        if (r == -EINVAL)
                return refuse_database("the conninfo cannot be parsed: write keyword=value pairs, "
                                       "a postgresql:// URI, or service=NAME");
        if (said) {
                strbuf_init(&name, name_storage, sizeof name_storage);
                strbuf_add(&name, said);
        } else if (r == -ENOENT)
                return refuse_database("which database? Say it by --database, or by dbname= in "
                                       "--conninfo, as in: " CONNINFO_EXAMPLE);
        if (name.overflow || name.length == 0)
                return refuse_database("the name of a database has 1 to 63 bytes");
        for (const char *c = name.text; *c != '\0'; c++)
                if ((unsigned char)*c < ' ' || *c == 0x7f)
                        return refuse_database("the name of a database has no control characters");
        memcpy(in->database, name.text, name.length + 1);
        return EXIT_OK;
}

/* Prints the failure, and who could have done it. */
static ExitCode fail(const PgFailure *failure) {
        ExitCode code = sql_fail(failure);

        if (code == EXIT_NO_RIGHT)
                fputs("rollbackctl: db init needs the rights of the server's administrator, as "
                      "in: " CONNINFO_EXAMPLE "\n",
                      stderr);
        return code;
}

/* Without notices of what IF NOT EXISTS has found. */
static bool connect_to(PgSync **ret, const Init *in, const char *database, PgFailure *reterr) {
        if (pg_sync_connect_to(ret, in->conninfo, database, NULL, reterr) < 0)
                return false;
        sql_show_notices(*ret);
        return sql_run(*ret, "SET client_min_messages = 'warning'", reterr) &&
               sql_run(*ret, sql_own_names, reterr);
}

/* psql takes a name with odd characters only as part of a conninfo, in double quotes. */
static void print_connect(const char *database) {
        fputs("\\connect -reuse-previous=on \"dbname='", stdout);
        for (const char *c = database; *c != '\0'; c++) {
                if (*c == '\'' || *c == '\\')
                        putchar('\\');
                if (*c == '"')
                        putchar('"');
                putchar(*c);
        }
        puts("'\"");
}

/* The database does not exist: creates it, owned by who runs this. */
static ExitCode create_database(Init *in) {
        STRBUF(sql, 2 * DATABASE_NAME_MAX + 32);
        PgFailure failure;

        strbuf_add(&sql, "CREATE DATABASE ");
        if (pg_quote_identifier(in->database, &sql) < 0)
                return refuse_database("the name of the database is not UTF-8");
        if (!connect_to(&in->maintenance, in, MAINTENANCE_DATABASE, &failure))
                return fail(&failure);
        in->n_done++;
        if (in->dry_run) {
                printf("%s;\n", sql.text);
                print_connect(in->database);
                return EXIT_OK;
        }
        /* 42P04: somebody else has just created it. */
        if (!sql_run(in->maintenance, sql.text, &failure) && !streq(failure.sqlstate, "42P04"))
                return fail(&failure);
        print_paragraph("created the database ", in->database);
        return connect_to(&in->s, in, in->database, &failure) ? EXIT_OK : fail(&failure);
}

static ExitCode reach_database(Init *in) {
        PgFailure failure;

        if (connect_to(&in->s, in, in->database, &failure))
                return EXIT_OK;
        return streq(failure.sqlstate, "3D000") ? create_database(in) : fail(&failure);
}

/* All that roles.sql may change, as one text. */
static const char roles_state_sql[] =
        "SELECT pg_catalog.string_agg(t, E'\\n' ORDER BY t) FROM ("
        "SELECT r::text FROM pg_catalog.pg_roles r WHERE rolname LIKE 'rollbackd%' "
        "UNION ALL SELECT m::text FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles r ON "
        "r.oid = m.member WHERE r.rolname LIKE 'rollbackd%' "
        "UNION ALL SELECT d.datacl::text FROM pg_catalog.pg_database d WHERE d.datname = "
        "pg_catalog.current_database() "
        "UNION ALL SELECT n::text FROM pg_catalog.pg_namespace n WHERE n.nspname = 'rollbackd'"
        ") AS state (t)";

/* Runs roles.sql in the transaction that is open; *ret_changed says whether anything is different
 * now. */
static bool try_roles(PgSync *s, const char *roles, bool *ret_changed, PgFailure *reterr) {
        _cleanup_(pg_result_freep) PgResult *before = NULL, *after = NULL;
        const char *old, *new;

        before = pg_sync_script(s, roles_state_sql, reterr);
        if (!before || !sql_run(s, roles, reterr))
                return false;
        after = pg_sync_script(s, roles_state_sql, reterr);
        if (!after)
                return false;
        old = pg_cell(before, 0, 0) ?: "";
        new = pg_cell(after, 0, 0) ?: "";
        *ret_changed = !streq(old, new);
        return true;
}

static void print_roles(const char *roles) {
        printf("BEGIN;\n%s\nCOMMIT;\n", roles);
}

/* roles.sql may be run at any time. Whether it has anything to do is found out by running it, and
 * looking: what changed nothing, and a dry run, is taken back. */
static ExitCode make_roles(Init *in) {
        _cleanup_(freep) char *roles = sql_read_file(in->line, "roles.sql");
        bool changed = false, good;
        PgFailure failure;

        if (!roles)
                return EXIT_FAILED;
        if (!in->s) {
                print_roles(roles);
                return EXIT_OK;
        }
        good = sql_run(in->s, "BEGIN", &failure) && try_roles(in->s, roles, &changed, &failure) &&
               sql_run(in->s, changed && !in->dry_run ? "COMMIT" : "ROLLBACK", &failure);
        if (!good)
                return fail(&failure);
        in->n_done += changed;
        if (changed && in->dry_run)
                print_roles(roles);
        else if (changed)
                puts("made the ledger's roles, and what they may do in this database");
        return EXIT_OK;
}

static ExitCode make_all(Init *in) {
        unsigned n_applied = 0;
        ExitCode code;

        if (in->dry_run)
                puts("-- What rollbackctl db init would run, for: psql -X -v ON_ERROR_STOP=1 -f "
                     "FILE");
        code = reach_database(in);
        if (code == EXIT_OK && in->s)
                code = migrate_check_schema(in->s, false);
        if (code == EXIT_OK)
                code = make_roles(in);
        if (code == EXIT_OK)
                code = migrate_database(in->s, in->line, in->dry_run, &n_applied);
        in->n_done += n_applied;
        if (code == EXIT_OK && in->line->values[OPTION_OPERATOR])
                code = init_operator(in->s ?: in->maintenance, in->line->values[OPTION_OPERATOR],
                                     in->dry_run, &in->n_done);
        if (code != EXIT_OK)
                return code;
        if (in->n_done == 0)
                puts(in->dry_run ? "-- nothing to do" : "nothing to do");
        init_print_left(in->s ?: in->maintenance, in->database, in->dry_run ? "-- " : "");
        return EXIT_OK;
}

ExitCode run_init(const Verb *verb _unused_, const CommandLine *line) {
        Init in = { .line = line, .dry_run = line->values[OPTION_DRY_RUN] };
        ExitCode code = find_database(&in);

        if (code == EXIT_OK && line->values[OPTION_OPERATOR])
                code = init_check_operator(line->values[OPTION_OPERATOR]);
        if (code != EXIT_OK)
                return code;
        if (line->values[OPTION_TIMEOUT])
                command_start_clock(line);
        code = make_all(&in);
        pg_sync_free(in.s);
        pg_sync_free(in.maintenance);
        return code;
}
