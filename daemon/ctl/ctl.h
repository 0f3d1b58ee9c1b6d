/* ctl.h: rollbackctl's inside: one table of verbs, one of options; verbs of the ledger speak SQL
 * and work with the daemon dead, verbs of the daemon speak HTTP over its socket, the rest is
 * offline. A command line may block. */
#pragma once

#include <stdio.h>

#include "config.h"
#include "json.h"
#include "pg.h"

typedef enum ExitCode {
        EXIT_OK = 0,
        EXIT_FAILED = 1,
        EXIT_USAGE = 2,
        EXIT_UNREACHABLE = 3, /* daemon or database */
        EXIT_REFUSED = 4,     /* by policy, guard or the ledger's rules */
        EXIT_NOT_FOUND = 5,
        EXIT_TIMEOUT = 6,
        EXIT_NO_RIGHT = 7,
        _EXIT_CODE_MAX,
} ExitCode;

typedef enum Option {
        OPTION_CONFIG,
        OPTION_CONNINFO,
        OPTION_SOCKET,
        OPTION_JSON,
        OPTION_TIMEOUT,
        OPTION_YES,
        OPTION_REASON,
        OPTION_NOTE,
        OPTION_FOR,
        OPTION_UNTIL,
        OPTION_STABLE,
        OPTION_EXPECT_EPOCH,
        OPTION_EPOCH,
        OPTION_CODE_REF,
        OPTION_API_VERSION,
        OPTION_SCHEMA_MIN,
        OPTION_SCHEMA_MAX,
        OPTION_BARRIER,
        OPTION_ARTEFACT,
        OPTION_ACTOR,
        OPTION_SOURCE,
        OPTION_ROLLING,
        OPTION_ROLLING_FOR,
        OPTION_FORCE,
        OPTION_TO,
        OPTION_TRUE,
        OPTION_FALSE,
        OPTION_SERVICE,
        OPTION_LIMIT,
        OPTION_DIRECTORY,
        OPTION_DB,
        OPTION_DATABASE,
        OPTION_OPERATOR,
        OPTION_DRY_RUN,
        OPTION_OLDER_THAN,
        OPTION_FILE,
        OPTION_POLICY,
        _OPTION_MAX,
        OPTION_NONE = -1,
} Option;

#define ARGUMENTS_MAX 64

typedef struct CommandLine {
        const char *values[_OPTION_MAX]; /* NULL: not given; a flag's is "true" */
        const char *arguments[ARGUMENTS_MAX];
        size_t n_arguments;
} CommandLine;

typedef struct Verb Verb;
struct Verb {
        const char *name;      /* "db migrate": two words are one verb */
        const char *arguments; /* "SERVICE VERSION"; "[X]": may be absent; "X...": any number */
        const char *options; /* names that it takes beside the general ones, separated by blanks */
        const char *help;
        ExitCode (*run)(const Verb *verb, const CommandLine *line);
        const char *sql;        /* ledger verbs: one statement; $n by `parameters` */
        const char *parameters; /* "0 1 reason": numbers are arguments, words are options */
};

/* ctl_verbs.c */
extern const Verb verbs[];
extern const size_t verbs_n;
/* The verb that argv begins with; *ret_words says whether it took one word or two. NULL: none. */
const Verb *verb_find(int argc, char *argv[], int *ret_words);

/* ctl_options.c */
/* Reads argv behind the verb. Returns EXIT_OK, or EXIT_USAGE with the mistake printed. */
ExitCode command_line_parse(const Verb *verb, int argc, char *argv[], CommandLine *ret);
const char *option_name(Option o);
Option option_find(const char *name, size_t n);
/* What the option means, in one line without a full stop. */
const char *option_help(Option o);
/* What its value is called, or NULL for a flag. */
const char *option_value(Option o);
bool verb_takes(const Verb *verb, Option o);
/* The meaning of an exit code in one or two words. */
const char *exit_code_words(ExitCode code);
/* When it is given, in one line without a full stop. */
const char *exit_code_help(ExitCode code);
/* One line: the verb, its arguments, and every option that it takes. */
void verb_print_usage(const Verb *verb, FILE *f);
/* One line for each of these options, with what it means. */
void verb_print_options(const Verb *verb, FILE *f);
/* Whether the ledger and the configuration take this text as the name of a service or version. */
bool command_is_name(const char *text);
/* ctl_config.c */
#define CONFIG_PATH_DEFAULT "/etc/rollbackd/rollbackd.conf"
/* The general --timeout, default 10 s. */
usec_t command_timeout(const CommandLine *line);
/* From now on the whole command has --timeout: then it ends with EXIT_TIMEOUT, wherever it is. */
void command_start_clock(const CommandLine *line);
const char *command_config_path(const CommandLine *line);
/* rollbackd.conf. EXIT_OK with *ret, which is NULL when there is none and none was asked for by
 * --config; else the code with the reason printed. */
ExitCode command_config(const CommandLine *line, DaemonConfig **ret) _must_check_;

/* ctl_print.c */
/* Prints text from outside, control bytes escaped; NULL as "-". */
void print_text(const char *text, int width);
/* Prints a whole number in full and another one with six digits. */
void print_number(double value);
/* Prints text from outside line by line, each behind `before`, to stdout and to stderr. */
void print_paragraph(const char *before, const char *text);
void print_failure(const char *before, const char *text);
/* The same for n bytes, at most so many lines of them, to stdout; lines may end as a protocol's. */
void print_bytes(const char *before, const char *data, size_t n, size_t lines_max);
void print_json(const Json *value);

/* ctl_sql.c */
ExitCode run_sql(const Verb *verb, const CommandLine *line);
/* The ledger's database as the command line, $ROLLBACKD_CONNINFO or rollbackd.conf say: EXIT_OK
 * with both texts (*ret_password NULL: none), each for sql_wipe(); else the code, the reason
 * printed. */
ExitCode sql_find_database(const CommandLine *line, char **ret_conninfo, char **ret_password);
/* Overwrites and frees; NULL is nothing. */
void sql_wipe(char *secret);
/* For sessions of an administrator: what others put into the schema public, such as an operator
 * that fits better than the server's own, would run with his rights. */
extern const char sql_own_names[];
/* Runs SQL whose answer does not matter; false with *reterr. */
bool sql_run(PgSync *s, const char *sql, PgFailure *reterr);
/* Prints the server's notices from now on. */
void sql_show_notices(PgSync *s);
/* Connects as the command line, $ROLLBACKD_CONNINFO or rollbackd.conf say. NULL with the reason
 * printed and *ret_code set. */
PgSync *sql_connect(const CommandLine *line, ExitCode *ret_code);
/* Prints the failure and returns its exit code. */
ExitCode sql_fail(const PgFailure *failure);
/* The same for a statement on the ledger, with what to do when there is none, or an older one. */
ExitCode sql_fail_statement(const PgFailure *failure);
/* The same, and behind a missing right a line that says who has it. */
ExitCode sql_fail_or_say(const PgFailure *failure, const char *who);
/* The same for a connection that could not be made, with what to do about it. */
ExitCode sql_fail_to_connect(const PgFailure *failure);

/* ctl_migrate.c */
ExitCode run_migrate(const Verb *verb, const CommandLine *line);
/* A file of sql/, to be freed; NULL with the reason printed. */
char *sql_read_file(const CommandLine *line, const char *name);
/* Whether the schema rollbackd is the ledger's: EXIT_REFUSED, with the reason printed, when it is
 * somebody else's. `wanted`: it has to be there. */
ExitCode migrate_check_schema(PgSync *s, bool wanted);
/* Applies every migration that is missing and says which, or with `dry_run` prints them as SQL; `s`
 * may then be NULL, for a database that is not there yet. *ret_applied: how many. */
ExitCode migrate_database(PgSync *s, const CommandLine *line, bool dry_run, unsigned *ret_applied);

/* ctl_init.c */
ExitCode run_init(const Verb *verb, const CommandLine *line);
/* ctl_init_operator.c */
/* EXIT_USAGE, with the reason printed, for a name that is none of a person. */
ExitCode init_check_operator(const char *name);
/* Makes the role an operator's unless it is one; counts what was done, or in a
 * dry run printed, in *n_done. */
ExitCode init_operator(PgSync *s, const char *name, bool dry_run, unsigned *n_done);
/* ctl_init_left.c: prints what the site has still to do, each line behind `before`; asks the server
 * over `s` what it lets in already. */
void init_print_left(PgSync *s, const char *database, const char *before);

/* ctl_follow.c */
ExitCode run_follow(const Verb *verb, const CommandLine *line);

/* ctl_prune.c */
ExitCode run_prune(const Verb *verb, const CommandLine *line);

/* ctl_http.c */
/* Appends a name to a path or a query. */
void url_add_name(StrBuf *b, const char *name);
/* One call over the daemon's socket. EXIT_OK with the parsed answer, or the code with the reason
 * printed. */
ExitCode http_call(const CommandLine *line, const char *method, const char *path, const char *body,
                   Json **ret);
ExitCode run_rollback(const Verb *verb, const CommandLine *line);
ExitCode run_restore(const Verb *verb, const CommandLine *line);

/* ctl_show.c, ctl_explain.c */
ExitCode run_status(const Verb *verb, const CommandLine *line);
ExitCode run_history(const Verb *verb, const CommandLine *line);
ExitCode run_events(const Verb *verb, const CommandLine *line);
ExitCode run_explain(const Verb *verb, const CommandLine *line);

/* ctl_check.c */
ExitCode run_check(const Verb *verb, const CommandLine *line);

/* ctl_probe.c */
ExitCode run_probe(const Verb *verb, const CommandLine *line);

/* ctl_drill.c */
ExitCode run_drill(const Verb *verb, const CommandLine *line);
