/* check: the configuration as the daemon would read it; with --db every statement of every policy
 * is prepared and planned under its role. */
#include "ctl.h"
#include "steps.h"

#define CHECK_ERRORS_MAX (64 * 1024)
#define CHECK_SQL_MAX (96 * 1024)

/* What a person types as the owner. The server says what is missing in its message only; a message
 * in another language gets the general advice. */
static void advise_grant(const char *role, const char *message) {
        static const struct {
                const char *message, *grant, *on;
        } advices[] = {
                { "permission denied for table ", "SELECT, INSERT, UPDATE, DELETE", "" },
                { "permission denied for view ", "SELECT, INSERT, UPDATE, DELETE", "" },
                { "permission denied for sequence ", "USAGE", "SEQUENCE " },
                { "permission denied for schema ", "USAGE", "SCHEMA " },
                { "permission denied for function ", "EXECUTE", "FUNCTION " },
        };

        if (strncmp(message, "permission denied to set role",
                    strlen("permission denied to set role")) == 0) {
                fprintf(stderr, "  as an administrator, type: GRANT %s TO rollbackd;\n", role);
                return;
        }
        for (size_t i = 0; i < ELEMENTSOF(advices); i++) {
                size_t n = strlen(advices[i].message);

                if (strncmp(message, advices[i].message, n) != 0)
                        continue;
                fprintf(stderr,
                        "  as the owner, type what the statement needs of: GRANT %s ON %s%.*s TO "
                        "%s;\n",
                        advices[i].grant, advices[i].on, (int)strcspn(message + n, " ;:\n"),
                        message + n, role);
                return;
        }
        fprintf(stderr,
                "  as the owner, GRANT what the message names TO %s; and GRANT %s TO rollbackd;\n",
                role, role);
}

static void check_failed(const ServiceConfig *config, const StepCheck *check,
                         const PgFailure *failure) {
        const char *role = check->role ?: "rollbackd";
        STRBUF(where, 5000);

        strbuf_add(&where, config->path);
        strbuf_add_char(&where, ':');
        strbuf_add_u64(&where, check->line);
        strbuf_add(&where, ": under role ");
        strbuf_add(&where, role);
        strbuf_add(&where, ": ");
        print_failure(where.text, failure->message);
        if (streq(failure->sqlstate, "42501"))
                advise_grant(role, failure->message);
        else if (streq(failure->sqlstate, "42704") || streq(failure->sqlstate, "22023"))
                fprintf(stderr,
                        "  if the role is not there, as an administrator, type: CREATE ROLE %s "
                        "NOLOGIN; GRANT %s TO rollbackd;\n",
                        role, role);
}

/* PREPARE alone does not check the rights on tables: EXPLAIN EXECUTE with NULLs does, and runs
 * nothing. */
static bool check_statement(PgSync *s, const ServiceConfig *config, const StepCheck *check) {
        _cleanup_(freep) char *storage = malloc(CHECK_SQL_MAX);
        PgFailure failure = { 0 };
        PgResult *result;
        StrBuf b;

        if (!storage)
                return false;
        strbuf_init(&b, storage, CHECK_SQL_MAX);
        strbuf_add(&b, "BEGIN; SET LOCAL lock_timeout = '2s'; ");
        if (check->role) {
                strbuf_add(&b, "SET LOCAL ROLE ");
                if (pg_quote_identifier(check->role, &b) < 0)
                        return false;
                strbuf_add(&b, "; ");
        }
        strbuf_add(&b, "PREPARE rollbackd_check AS ");
        strbuf_add(&b, check->statement);
        /* A comment at the statement's end must not swallow what follows. */
        strbuf_add(&b, "\n; EXPLAIN EXECUTE rollbackd_check");
        for (size_t i = 0; i < check->n_parameters; i++)
                strbuf_add(&b, i == 0 ? "(NULL" : ", NULL");
        strbuf_add(&b, check->n_parameters > 0 ? "); ROLLBACK; DEALLOCATE rollbackd_check" :
                                                 "; ROLLBACK; DEALLOCATE rollbackd_check");
        if (b.overflow)
                snprintf(failure.message, sizeof failure.message,
                         "the statement is longer than 96 KiB");
        result = b.overflow ? NULL : pg_sync_script(s, b.text, &failure);
        if (!result) {
                check_failed(config, check, &failure);
                pg_result_free(pg_sync_script(s, "ROLLBACK; DEALLOCATE ALL", &(PgFailure){ 0 }));
                return false;
        }
        pg_result_free(result);
        return true;
}

static bool check_database(PgSync *s, const ServiceConfig *config) {
        StepCheck *checks = NULL;
        size_t n = 0, good = 0;
        STRBUF(error, 1024);

        if (step_checks(config, &checks, &n, &error) < 0) {
                fprintf(stderr, "%s: ", config->path);
                print_failure("", error.text);
                return false;
        }
        for (size_t i = 0; i < n; i++)
                good += check_statement(s, config, &checks[i]);
        step_checks_free(checks, n);
        printf("%s: %zu of %zu statements can be run by the daemon\n", config->path, good, n);
        return good == n;
}

static bool check_policy(const char *path, const ServiceConfig *config, const char *error,
                         PgSync *s) {
        if (!config) {
                print_failure("", error);
                return false;
        }
        printf("%s: good, service %s, mode %s\n", path, config->service,
               rollback_mode_to_string(config->policy.rollback.mode));
        return !s || check_database(s, config);
}

static bool check_named(const CommandLine *line, PgSync *s) {
        _cleanup_(freep) char *storage = malloc(CHECK_ERRORS_MAX);
        bool good = storage != NULL;

        for (size_t i = 0; storage && i < line->n_arguments; i++) {
                _cleanup_(service_config_freep) ServiceConfig *config = NULL;
                StrBuf error;

                strbuf_init(&error, storage, CHECK_ERRORS_MAX);
                if (config_read_service(line->arguments[i], &config, &error) < 0)
                        config = NULL;
                good = check_policy(line->arguments[i], config, error.text, s) && good;
        }
        return good;
}

static bool check_directory(const DaemonConfig *daemon, PgSync *s) {
        PolicyFile *files = NULL;
        bool good = true;
        size_t n = 0;
        STRBUF(error, 4096);

        if (config_read_directory(daemon->policies, &files, &n, &error) < 0) {
                print_failure("", error.text);
                return false;
        }
        for (size_t i = 0; i < n; i++)
                good = check_policy(files[i].path, files[i].config, files[i].error, s) && good;
        policy_files_free(files, n);
        return good;
}

ExitCode run_check(const Verb *verb _unused_, const CommandLine *line) {
        _cleanup_(daemon_config_freep) DaemonConfig *daemon = NULL;
        _cleanup_(pg_sync_freep) PgSync *s = NULL;
        const char *path = command_config_path(line);
        STRBUF(error, CONFIG_ERROR_SIZE);
        ExitCode code;

        if (line->values[OPTION_DB]) {
                s = sql_connect(line, &code);
                if (!s)
                        return code;
        }
        if (line->n_arguments > 0)
                return check_named(line, s) ? EXIT_OK : EXIT_FAILED;
        if (config_read_daemon(path, &daemon, &error) < 0) {
                print_failure("", error.text);
                return EXIT_FAILED;
        }
        printf("%s: good\n", path);
        return check_directory(daemon, s) ? EXIT_OK : EXIT_FAILED;
}
