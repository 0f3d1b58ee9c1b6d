/* drill: proof, without any effect, that a rollback would work now, policy by policy. */
#include <errno.h>

#include "ctl.h"
#include "drill.h"

/* For the handler: the session that a person stops, and that it was so. */
static PgSync *arg_session;
static volatile sig_atomic_t arg_stop;

static void on_stop(int signal_number _unused_) {
        int keep = errno;

        arg_stop = 1;
        pg_sync_cancel(arg_session);
        errno = keep;
}

/* The first signal stops what runs and lets the transaction be rolled back; a second one ends the
 * program, and then the server rolls back. */
static void catch_signals(PgSync *session) {
        struct sigaction action = { .sa_handler = on_stop, .sa_flags = (int)SA_RESETHAND };

        arg_session = session;
        (void)sigaction(SIGINT, &action, NULL);
        (void)sigaction(SIGTERM, &action, NULL);
}

/* What all drills of one command come to. */
typedef struct DrillSum {
        Json *drills;
        bool json, failed, unrecorded;
} DrillSum;

static void drill_policy(Drill *d, const PolicyFile *file) {
        d->began = drill_now();
        if (!d->config)
                drill_add(d, DRILL_FAILED, "policy", file->error ?: "the file is refused");
        drill_ledger(d);
        if (d->config) {
                drill_atomics(d);
                drill_steps(d);
                drill_notices(d);
        }
        d->took = usec_sub(drill_now(), d->began);
}

static void drill_file(const PolicyFile *file, const char *secrets, PgSync *session,
                       DrillWatch *watch, DrillSum *sum) {
        _cleanup_(freep) Drill *d = calloc(1, sizeof *d);
        _cleanup_(json_freep) Json *report = NULL;
        bool recorded;

        if (!d) {
                fputs("rollbackctl: out of memory\n", stderr);
                sum->failed = true;
                return;
        }
        d->path = file->path;
        d->service = file->service;
        d->config = file->config;
        d->secrets = secrets;
        d->ledger = session;
        d->watch = watch;
        d->stop = &arg_stop;
        drill_policy(d, file);
        report = drill_json(d);
        drill_print(d, sum->json);
        sum->failed = sum->failed || d->n_failed > 0;
        recorded = !arg_stop && !pg_sync_is_lost(session) && drill_record(d, report) == 0;
        sum->unrecorded = sum->unrecorded || !recorded;
        json_set_bool(report, "recorded", recorded);
        json_add(sum->drills, TAKE_PTR(report));
}

static bool is_wanted(const PolicyFile *file, const CommandLine *line) {
        for (size_t i = 0; i < line->n_arguments; i++)
                if (file->service && streq(file->service, line->arguments[i]))
                        return true;
        return line->n_arguments == 0;
}

static ExitCode find_services(const PolicyFile files[], size_t n, const CommandLine *line,
                              const char *directory) {
        for (size_t i = 0; i < line->n_arguments; i++) {
                bool found = false;

                for (size_t j = 0; j < n && !found; j++)
                        found = files[j].service && streq(files[j].service, line->arguments[i]);
                if (found)
                        continue;
                fprintf(stderr, "rollbackctl: %s: no policy in %s is its\n", line->arguments[i],
                        directory);
                return EXIT_NOT_FOUND;
        }
        return EXIT_OK;
}

static void print_document(const DrillSum *sum) {
        _cleanup_(json_freep) Json *document = json_new_object();

        json_set_u64(document, "api_version", 1);
        json_set(document, "drills", json_copy(sum->drills));
        print_json(document);
}

static ExitCode code_of(const DrillSum *sum, const PgSync *session) {
        if (pg_sync_is_lost(session)) {
                fputs("rollbackctl: the connection was lost, so the server has rolled back; what "
                      "was "
                      "being drilled is not recorded\n",
                      stderr);
                return EXIT_UNREACHABLE;
        }
        if (arg_stop) {
                fputs("rollbackctl: stopped: everything is rolled back; what was being drilled is "
                      "not recorded\n",
                      stderr);
                return EXIT_FAILED;
        }
        return sum->failed ? EXIT_REFUSED : sum->unrecorded ? EXIT_FAILED : EXIT_OK;
}

/* Both sessions, as the command line says. */
static ExitCode open_sessions(const CommandLine *line, PgSync **ret_session,
                              DrillWatch **ret_watch) {
        _cleanup_(pg_sync_freep) PgSync *session = NULL, *second = NULL;
        PgFailure failure;
        ExitCode code;

        session = sql_connect(line, &code);
        second = session ? sql_connect(line, &code) : NULL;
        if (!second)
                return code;
        if (pg_sync_limit(session, &failure) < 0 || pg_sync_limit(second, &failure) < 0)
                return sql_fail(&failure);
        if (drill_watch_new(ret_watch, second) < 0) {
                fputs("rollbackctl: no process can be started\n", stderr);
                return EXIT_FAILED;
        }
        (void)TAKE_PTR(second);
        *ret_session = TAKE_PTR(session);
        return EXIT_OK;
}

/* Under another role it would prove nothing, and its result would take the place of one that does.
 */
static ExitCode check_role(PgSync *session) {
        _cleanup_(pg_result_freep) PgResult *r = NULL;
        PgFailure failure;
        STRBUF(words, 512);

        r = pg_sync_query(session, "SELECT current_user", 0, NULL, &failure);
        if (!r)
                return sql_fail(&failure);
        if (streq(pg_cell(r, 0, 0) ?: "", DRILL_ROLE))
                return EXIT_OK;
        strbuf_add(&words, "a drill proves something with the daemon's rights alone; the daemon is "
                           "the role " DRILL_ROLE ", and this is ");
        strbuf_add(&words, pg_cell(r, 0, 0) ?: "nobody");
        strbuf_add(&words, ": type: runuser -u rollbackd -- rollbackctl drill");
        print_failure("rollbackctl: ", words.text);
        return EXIT_NO_RIGHT;
}

static ExitCode drill_files(const PolicyFile files[], size_t n, const char *secrets,
                            const CommandLine *line) {
        DrillSum sum = { .drills = json_new_array(), .json = line->values[OPTION_JSON] != NULL };
        _cleanup_(pg_sync_freep) PgSync *session = NULL;
        _cleanup_(drill_watch_freep) DrillWatch *watch = NULL;
        ExitCode code = open_sessions(line, &session, &watch);

        if (code == EXIT_OK)
                code = check_role(session);
        if (code == EXIT_OK) {
                catch_signals(session);
                for (size_t i = 0; i < n && !arg_stop && !pg_sync_is_lost(session); i++)
                        if (is_wanted(&files[i], line))
                                drill_file(&files[i], secrets, session, watch, &sum);
                if (sum.json)
                        print_document(&sum);
                code = code_of(&sum, session);
                arg_session = NULL;
        }
        json_free(sum.drills);
        return code;
}

static ExitCode drill_nothing(const CommandLine *line) {
        DrillSum sum = { .drills = json_new_array() };

        if (line->values[OPTION_JSON])
                print_document(&sum);
        else
                puts("no policy: nothing to drill");
        json_free(sum.drills);
        return EXIT_OK;
}

ExitCode run_drill(const Verb *verb _unused_, const CommandLine *line) {
        _cleanup_(daemon_config_freep) DaemonConfig *daemon = NULL;
        PolicyFile *files = NULL;
        STRBUF(error, CONFIG_ERROR_SIZE);
        size_t n = 0;
        ExitCode code;

        if (config_read_daemon(command_config_path(line), &daemon, &error) < 0 ||
            config_read_directory(daemon->policies, &files, &n, &error) < 0) {
                print_failure("rollbackctl: ", error.text);
                return EXIT_FAILED;
        }
        code = find_services(files, n, line, daemon->policies);
        if (code == EXIT_OK)
                code = n == 0 ? drill_nothing(line) : drill_files(files, n, daemon->secrets, line);
        policy_files_free(files, n);
        return code;
}
