/* check: the configuration as the daemon would read it; with --db every statement of every policy
 * is prepared and planned under its role. */
#include "ctl.h"
#include "steps.h"

#define CHECK_ERRORS_MAX (64 * 1024)

static void write_place(const ServiceConfig *config, unsigned line, StrBuf *b) {
        strbuf_add(b, config->path);
        strbuf_add_char(b, ':');
        strbuf_add_u64(b, line);
        strbuf_add(b, ": ");
}

static bool check_step(PgSync *s, const ServiceConfig *config, const StepConfig *step) {
        STRBUF(where, 5000);
        StepFinding finding;

        step_check(step, s, &finding);
        if (finding.health == STEP_SOUND)
                return true;
        write_place(config, step->line, &where);
        strbuf_add(&where, finding.health == STEP_DOUBTFUL ? "warning: " : "");
        print_failure(where.text, finding.words);
        if (finding.advice[0] != '\0')
                print_failure("  ", finding.advice);
        return finding.health == STEP_DOUBTFUL;
}

static bool check_database(PgSync *s, const ServiceConfig *config) {
        size_t n = 0, good = 0;

        for (size_t i = 0; i < config->n_steps; i++) {
                if (config->steps[i].generation)
                        continue;
                n++;
                good += check_step(s, config, &config->steps[i]);
        }
        if (n == 0)
                printf("%s: it has no step with a statement to try\n", config->path);
        else
                printf("%s: %zu of %zu statements can be run by the daemon\n", config->path, good,
                       n);
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
