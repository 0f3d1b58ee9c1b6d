/* Verbs of the ledger: one statement each, from the table. */
#include "ctl.h"
#include "digest.h"
#include "ledger_advice.h"

#define PARAMETERS_MAX 16

static ExitCode failure_code(const PgFailure *failure) {
        static const struct {
                const char *prefix;
                ExitCode code;
        } codes[] = {
                { "42501", EXIT_NO_RIGHT },  { "28", EXIT_NO_RIGHT },
                { "RB001", EXIT_NOT_FOUND }, { "RB", EXIT_REFUSED },
                { "57014", EXIT_TIMEOUT },   { "55P03", EXIT_TIMEOUT },
                { "08", EXIT_UNREACHABLE },  { "57P0", EXIT_UNREACHABLE },
        };

        for (size_t i = 0; i < ELEMENTSOF(codes); i++)
                if (strncmp(failure->sqlstate, codes[i].prefix, strlen(codes[i].prefix)) == 0)
                        return codes[i].code;
        return failure->error == PG_LOST || failure->sqlstate[0] == '\0' ? EXIT_UNREACHABLE :
                                                                           EXIT_FAILED;
}

ExitCode sql_fail(const PgFailure *failure) {
        print_failure("rollbackctl: ", failure->message);
        return failure_code(failure);
}

static void print_advice(const PgFailure *failure) {
        static const LedgerPlace place = { .configured = false };
        STRBUF(words, LEDGER_WORDS_SIZE);

        ledger_add_advice(&words, failure, &place);
        print_failure("rollbackctl: ", words.text);
}

ExitCode sql_fail_statement(const PgFailure *failure) {
        if (!streq(failure->sqlstate, "3F000") && !streq(failure->sqlstate, "42883"))
                return sql_fail(failure);
        print_advice(failure);
        return failure_code(failure);
}

ExitCode sql_fail_or_say(const PgFailure *failure, const char *who) {
        ExitCode code = sql_fail_statement(failure);

        if (code == EXIT_NO_RIGHT)
                print_failure("rollbackctl: ", who);
        return code;
}

/* The role of the ledger that is made for whoever uses the verb. */
static const char *role_of(const Verb *verb) {
        static const char *const deployers[] = { "register", "deploy", "deploy-done" };

        for (size_t i = 0; i < ELEMENTSOF(deployers); i++)
                if (streq(verb->name, deployers[i]))
                        return "rollbackd_deployer";
        return streq(verb->name, "active") ? "rollbackd_reader" : "rollbackd_operator";
}

static ExitCode fail_right(const Verb *verb, PgSync *s, const PgFailure *failure) {
        _cleanup_(pg_result_freep) PgResult *me = NULL;
        STRBUF(words, 512);

        me = pg_sync_script(s, "SELECT pg_catalog.quote_ident(session_user)", &(PgFailure){ 0 });
        strbuf_add(&words, "as the database's administrator, type: GRANT ");
        strbuf_add(&words, role_of(verb));
        strbuf_add(&words, " TO ");
        strbuf_add(&words, pg_cell(me, 0, 0) ?: "ROLE");
        strbuf_add(&words, "; or name another role by --conninfo");
        return sql_fail_or_say(failure, words.text);
}

static ExitCode fail_statement(const Verb *verb, PgSync *s, const PgFailure *failure) {
        /* Of what we send, only --until is text that the database reads. */
        if (streq(failure->sqlstate, "22007") || streq(failure->sqlstate, "22008")) {
                print_failure("rollbackctl: --until: ", failure->message);
                fputs("rollbackctl: write a time as in 2027-01-31, '2027-01-31 18:00' or "
                      "'tomorrow 18:00'\n",
                      stderr);
                return EXIT_USAGE;
        }
        return streq(failure->sqlstate, "42501") ? fail_right(verb, s, failure) :
                                                   sql_fail_statement(failure);
}

ExitCode sql_fail_to_connect(const PgFailure *failure) {
        ExitCode code = failure_code(failure);

        print_advice(failure);
        return code == EXIT_NO_RIGHT ? code : EXIT_UNREACHABLE;
}

static void on_notice(void *userdata _unused_, const char *text) {
        print_failure("", text);
}

void sql_show_notices(PgSync *s) {
        pg_sync_on_notice(s, on_notice, NULL);
}

const char sql_own_names[] = "SET search_path = pg_catalog, pg_temp";

bool sql_run(PgSync *s, const char *sql, PgFailure *reterr) {
        PgResult *result = pg_sync_script(s, sql, reterr);
        bool good = result != NULL;

        pg_result_free(result);
        return good;
}

/* The password that rollbackd.conf names, for sql_wipe(); NULL: none. */
static char *config_password(const DaemonConfig *config) {
        char *password = NULL;
        STRBUF(error, 512);

        if (config && config->password_file &&
            config_read_secret(config->secrets, config->password_file, &password, &error) < 0)
                fprintf(stderr,
                        "rollbackctl: %s; trying without (--conninfo or $ROLLBACKD_CONNINFO name a "
                        "connection of your own)\n",
                        error.text);
        return password;
}

ExitCode sql_find_database(const CommandLine *line, char **ret_conninfo, char **ret_password) {
        const char *conninfo = line->values[OPTION_CONNINFO] ?: getenv("ROLLBACKD_CONNINFO");
        _cleanup_(daemon_config_freep) DaemonConfig *config = NULL;
        ExitCode code = conninfo ? EXIT_OK : command_config(line, &config);
        char *copy;

        if (code != EXIT_OK)
                return code;
        if (!conninfo && (!config || !config->conninfo)) {
                fprintf(stderr, "rollbackctl: which database? Give --conninfo, "
                                "$ROLLBACKD_CONNINFO, or ledger.conninfo in rollbackd.conf\n");
                return EXIT_USAGE;
        }
        copy = strdup(conninfo ?: config->conninfo);
        if (!copy) {
                fputs("rollbackctl: out of memory\n", stderr);
                return EXIT_FAILED;
        }
        *ret_conninfo = copy;
        *ret_password = config_password(config);
        return EXIT_OK;
}

void sql_wipe(char *secret) {
        if (secret)
                digest_wipe(secret, strlen(secret));
        free(secret);
}

PgSync *sql_connect(const CommandLine *line, ExitCode *ret_code) {
        char *conninfo = NULL, *password = NULL;
        PgFailure failure;
        PgSync *s = NULL;

        if (line->values[OPTION_TIMEOUT])
                command_start_clock(line);
        *ret_code = sql_find_database(line, &conninfo, &password);
        if (*ret_code != EXIT_OK)
                return NULL;
        if (pg_sync_connect(&s, conninfo, password, &failure) < 0) {
                *ret_code = sql_fail_to_connect(&failure);
                s = NULL;
        } else
                sql_show_notices(s);
        sql_wipe(password);
        sql_wipe(conninfo);
        return s;
}

/* "0 1 reason": numbers are arguments, words are options. */
static size_t bind_parameters(const Verb *verb, const CommandLine *line,
                              const char *ret[static PARAMETERS_MAX]) {
        size_t count = 0;

        for (const char *p = verb->parameters; *p != '\0' && count < PARAMETERS_MAX;) {
                size_t n = strcspn(p, " ");

                ret[count++] = p[0] >= '0' && p[0] <= '9' ? line->arguments[p[0] - '0'] :
                                                            line->values[option_find(p, n)];
                p += n + strspn(p + n, " ");
        }
        return count;
}

/* The answer is one value, or nothing. */
static void print_answer(const PgResult *result, const CommandLine *line) {
        const char *value = pg_rows(result) > 0 ? pg_cell(result, 0, 0) : NULL;

        if (line->values[OPTION_JSON]) {
                _cleanup_(json_freep) Json *j = json_new_object();

                json_set_u64(j, "api_version", 1);
                json_set_text(j, "result", value && value[0] != '\0' ? value : NULL);
                print_json(j);
        } else if (value && value[0] != '\0')
                print_paragraph("", value);
}

ExitCode run_sql(const Verb *verb, const CommandLine *line) {
        const char *parameters[PARAMETERS_MAX] = { NULL };
        size_t n = bind_parameters(verb, line, parameters);
        _cleanup_(pg_sync_freep) PgSync *s = NULL;
        _cleanup_(pg_result_freep) PgResult *result = NULL;
        PgFailure failure;
        ExitCode code;

        command_start_clock(line);
        s = sql_connect(line, &code);
        if (!s)
                return code;
        result = pg_sync_query(s, verb->sql, n, parameters, &failure);
        if (!result)
                return fail_statement(verb, s, &failure);
        print_answer(result, line);
        return EXIT_OK;
}
