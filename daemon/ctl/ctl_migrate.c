/* db migrate, and what db init shares with it: files of sql/, numbered, checksummed, one
 * transaction each. */
#include <dirent.h>
#include <errno.h>
#include <time.h>

#include "ctl.h"
#include "digest.h"
#include "number.h"

#define MIGRATIONS_MAX 1000
#define SQL_FILE_MAX (1024 * 1024)
#define LOCK_TRIES 5
#define ADMINISTRATOR                                                                              \
        "it takes the rights of the database's administrator, as in: runuser -u postgres -- "      \
        "rollbackctl db migrate --conninfo dbname=NAME"
/* One migrator at a time in the whole database; any number does as long as it stays the same. */
#define MIGRATION_LOCK "7305214600218137"

static const char *sql_directory(const CommandLine *line) {
        return line->values[OPTION_DIRECTORY] ?: ROLLBACKD_SQL_DIRECTORY;
}

/* A whole file, to be freed; NULL with the reason printed. */
static char *read_path(const char *path) {
        FILE *f = fopen(path, "re");
        char *text = f ? malloc(SQL_FILE_MAX + 1) : NULL;
        size_t n = text ? fread(text, 1, SQL_FILE_MAX + 1, f) : 0;

        if (!text || ferror(f) || n > SQL_FILE_MAX || memchr(text, '\0', n)) {
                fprintf(stderr, "rollbackctl: %s: %s\n", path,
                        !f ? "cannot be read; --directory names the folder of roles.sql and "
                             "migrations/" :
                             "is not SQL text of at most 1 MiB");
                free(text);
                text = NULL;
        } else
                text[n] = '\0';
        if (f)
                fclose(f);
        return text;
}

char *sql_read_file(const CommandLine *line, const char *name) {
        STRBUF(path, 4096);

        strbuf_add(&path, sql_directory(line));
        strbuf_add_char(&path, '/');
        strbuf_add(&path, name);
        return read_path(path.text);
}

static int is_migration(const struct dirent *entry) {
        size_t n = strlen(entry->d_name);

        return n > 9 && strspn(entry->d_name, "0123456789") == 4 && entry->d_name[4] == '_' &&
               streq(entry->d_name + n - 4, ".sql");
}

/* Waits before try number `i` + 2: 0.5 s, 1 s, 2 s, 4 s. */
static void wait_for_lock(unsigned i) {
        struct timespec t = { .tv_sec = (1u << i) / 2, .tv_nsec = i == 0 ? 500000000 : 0 };

        while (clock_nanosleep(CLOCK_MONOTONIC, 0, &t, &t) == EINTR)
                continue;
}

typedef struct Migration {
        const char *name, *text;
        char number[24], checksum[DIGEST_HEX_SIZE];
} Migration;

/* The checksum under which the migration was applied: "" when it was not. Returns false with
 * *reterr. */
static bool find_applied(PgSync *s, const Migration *g, char ret[static DIGEST_HEX_SIZE],
                         PgFailure *reterr) {
        const char *parameters[] = { g->number };
        _cleanup_(pg_result_freep) PgResult *there = NULL, *row = NULL;

        ret[0] = '\0';
        there = pg_sync_query(s,
                              "SELECT FROM pg_catalog.pg_class WHERE oid = "
                              "pg_catalog.to_regclass('rollbackd.migration')",
                              0, NULL, reterr);
        if (!there || pg_rows(there) == 0)
                return there != NULL;
        row = pg_sync_query(s, "SELECT checksum FROM rollbackd.migration WHERE number = $1::int",
                            ELEMENTSOF(parameters), parameters, reterr);
        if (row && pg_rows(row) > 0)
                snprintf(ret, DIGEST_HEX_SIZE, "%s", pg_cell(row, 0, 0));
        return row != NULL;
}

/* The file and its row. */
static bool apply_text(PgSync *s, const Migration *g, PgFailure *reterr) {
        const char *parameters[] = { g->number, g->name, g->checksum };
        PgResult *result;

        if (!sql_run(s, g->text, reterr))
                return false;
        result = pg_sync_query(
                s,
                "INSERT INTO rollbackd.migration (number, name, checksum) VALUES ($1::int, $2, $3)",
                ELEMENTSOF(parameters), parameters, reterr);
        pg_result_free(result);
        return result && sql_run(s, "COMMIT", reterr);
}

static ExitCode check_applied(const Migration *g, const char *before) {
        if (streq(before, g->checksum))
                return EXIT_OK;
        fprintf(stderr,
                "rollbackctl: %s was applied with another text (checksum %.12s, the file has "
                "%.12s). An applied migration never changes: restore the file, or write a new "
                "one\n",
                g->name, before, g->checksum);
        return EXIT_REFUSED;
}

static const char begin_sql[] = "BEGIN;\nSET LOCAL search_path = pg_catalog, pg_temp;\nSET LOCAL "
                                "lock_timeout = '2s';\nSELECT "
                                "pg_catalog.pg_advisory_xact_lock(" MIGRATION_LOCK
                                ");\nSET LOCAL ROLE rollbackd_owner;\n";

/* One transaction with a short lock_timeout, so that nobody queues behind us for long. What was
 * applied is looked up under the lock, for another migrator may just have done it. Returns EXIT_OK,
 * EXIT_REFUSED with the reason printed, or EXIT_FAILED with *reterr. */
static ExitCode try_migration(PgSync *s, const Migration *g, bool *ret_applied, PgFailure *reterr) {
        char before[DIGEST_HEX_SIZE];
        ExitCode code = EXIT_FAILED;

        if (sql_run(s, begin_sql, reterr) && find_applied(s, g, before, reterr)) {
                if (before[0] != '\0')
                        code = check_applied(g, before);
                else if (apply_text(s, g, reterr)) {
                        *ret_applied = true;
                        return EXIT_OK;
                }
        }
        (void)sql_run(s, "ROLLBACK", &(PgFailure){ 0 });
        return code;
}

/* By a lock that lasts, or by a deadlock with the daemon at work, in which we were the one to go.
 */
static bool is_held_up(const PgFailure *failure) {
        return streq(failure->sqlstate, "55P03") || streq(failure->sqlstate, "40P01");
}

/* Tries for some seconds to get the locks. */
static ExitCode apply_migration(PgSync *s, const Migration *g, unsigned *ret_applied) {
        PgFailure failure = { 0 };
        bool done = false;
        ExitCode code = try_migration(s, g, &done, &failure);

        for (unsigned i = 0; code == EXIT_FAILED && is_held_up(&failure) && i + 1 < LOCK_TRIES;
             i++) {
                fprintf(stderr, "rollbackctl: %s waits for a lock, trying again\n", g->name);
                wait_for_lock(i);
                code = try_migration(s, g, &done, &failure);
        }
        if (code == EXIT_FAILED) {
                fprintf(stderr, "rollbackctl: %s was not applied; what came before it is\n",
                        g->name);
                return sql_fail_or_say(&failure, ADMINISTRATOR);
        }
        if (done) {
                printf("applied %s\n", g->name);
                (*ret_applied)++;
        }
        return code;
}

/* The same as text for psql. */
static ExitCode print_migration(PgSync *s, const Migration *g, unsigned *ret_applied) {
        char before[DIGEST_HEX_SIZE] = "";
        PgFailure failure;

        if (s && !find_applied(s, g, before, &failure))
                return sql_fail(&failure);
        if (before[0] != '\0')
                return check_applied(g, before);
        print_paragraph("-- ", g->name);
        printf("%s%s\nINSERT INTO rollbackd.migration (number, name, checksum) VALUES (%s, '",
               begin_sql, g->text, g->number);
        for (const char *c = g->name; *c != '\0'; c++)
                printf(*c == '\'' ? "''" : "%c", *c);
        printf("', '%s');\nCOMMIT;\n", g->checksum);
        (*ret_applied)++;
        return EXIT_OK;
}

static ExitCode migrate_file(PgSync *s, const CommandLine *line, const char *file, bool dry_run,
                             unsigned *ret_applied) {
        _cleanup_(freep) char *text = NULL;
        Migration g = { .name = file };
        STRBUF(path, 512);
        uint64_t number;

        strbuf_add(&path, "migrations/");
        strbuf_add(&path, file);
        g.text = text = sql_read_file(line, path.text);
        if (!text || number_parse_u64(file, 4, &number) < 0 ||
            digest_sha256_hex(text, strlen(text), g.checksum) < 0)
                return EXIT_FAILED;
        snprintf(g.number, sizeof g.number, "%llu", (unsigned long long)number);
        return dry_run ? print_migration(s, &g, ret_applied) : apply_migration(s, &g, ret_applied);
}

ExitCode migrate_database(PgSync *s, const CommandLine *line, bool dry_run, unsigned *ret_applied) {
        struct dirent **entries = NULL;
        ExitCode code = EXIT_OK;
        STRBUF(folder, 4096);
        int n;

        strbuf_add(&folder, sql_directory(line));
        strbuf_add(&folder, "/migrations");
        n = scandir(folder.text, &entries, is_migration, alphasort);
        if (n <= 0 || n > MIGRATIONS_MAX) {
                fprintf(stderr,
                        "rollbackctl: %s holds no migrations; --directory names the folder of "
                        "roles.sql and migrations/\n",
                        folder.text);
                code = EXIT_FAILED;
        }
        *ret_applied = 0;
        for (int i = 0; i < n; i++) {
                if (code == EXIT_OK)
                        code = migrate_file(s, line, entries[i]->d_name, dry_run, ret_applied);
                free(entries[i]);
        }
        free(entries);
        return code;
}

ExitCode migrate_check_schema(PgSync *s, bool wanted) {
        _cleanup_(pg_result_freep) PgResult *row = NULL;
        PgFailure failure;
        const char *owner;

        row = pg_sync_query(s,
                            "SELECT pg_catalog.pg_get_userbyid(nspowner) FROM "
                            "pg_catalog.pg_namespace WHERE oid = 'rollbackd'::regnamespace",
                            0, NULL, &failure);
        if (!row)
                return !wanted && streq(failure.sqlstate, "3F000") ? EXIT_OK :
                                                                     sql_fail_statement(&failure);
        owner = pg_cell(row, 0, 0);
        if (!owner || streq(owner, "rollbackd_owner"))
                return EXIT_OK;
        print_failure("rollbackctl: the schema rollbackd of this database belongs to the role ",
                      owner);
        fputs("rollbackctl: it is no ledger, and what is in it would run with your rights: rename "
              "it, "
              "or give the ledger another database\n",
              stderr);
        return EXIT_REFUSED;
}

ExitCode run_migrate(const Verb *verb _unused_, const CommandLine *line) {
        _cleanup_(pg_sync_freep) PgSync *s = NULL;
        unsigned n_applied = 0;
        PgFailure failure;
        ExitCode code;

        s = sql_connect(line, &code);
        if (s)
                code = sql_run(s, sql_own_names, &failure) ? migrate_check_schema(s, true) :
                                                             sql_fail(&failure);
        if (s && code == EXIT_OK)
                code = migrate_database(s, line, false, &n_applied);
        if (s && code == EXIT_OK && n_applied == 0)
                puts("nothing to do: every migration is applied");
        return code;
}
