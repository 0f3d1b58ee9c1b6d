/* The command line: options by one table, arguments by the words of the verb's own usage. */
#include <ctype.h>

#include "ctl.h"
#include "number.h"

typedef enum ValueForm {
        FORM_TEXT,
        FORM_PATH,
        FORM_FLAG,
        FORM_NAME,
        FORM_NUMBER,
        FORM_LIMIT,
        FORM_DURATION
} ValueForm;

static const struct {
        const char *name;
        ValueForm form;
        const char *help;
} option_rows[_OPTION_MAX] = {
        [OPTION_CONFIG] = { "config", FORM_PATH,
                            "the configuration that names socket, database, policies and "
                            "secrets, instead of "
                            "/etc/rollbackd/rollbackd.conf" },
        [OPTION_CONNINFO] = { "conninfo", FORM_TEXT,
                              "the database of the ledger's verbs, as libpq takes it" },
        [OPTION_SOCKET] = { "socket", FORM_PATH,
                            "the daemon's socket, instead of the configuration's" },
        [OPTION_JSON] = { "json", FORM_FLAG, "print JSON instead of text" },
        [OPTION_TIMEOUT] = { "timeout", FORM_DURATION,
                             "how long the whole command may take, 10s unless given; for `db` "
                             "verbs without end unless given; for `follow` the time of each run of "
                             "its command, 60s unless given" },
        [OPTION_YES] = { "yes", FORM_FLAG,
                         "do not ask first; needed where there is no terminal to ask" },
        [OPTION_REASON] = { "reason", FORM_TEXT, "why, in one sentence; it is kept and shown" },
        [OPTION_NOTE] = { "note", FORM_TEXT, "a remark that is kept with it" },
        [OPTION_FOR] = { "for", FORM_DURATION, "for so long, at most 90d" },
        [OPTION_UNTIL] = { "until", FORM_TEXT, "until then, a time as PostgreSQL reads it" },
        [OPTION_STABLE] = { "stable", FORM_FLAG,
                            "somebody vouches for this version: a rollback may go to it" },
        [OPTION_EXPECT_EPOCH] = { "expect-epoch", FORM_NUMBER,
                                  "refuse unless the service is at this epoch" },
        [OPTION_EPOCH] = { "epoch", FORM_NUMBER, "refuse unless the service is at this epoch" },
        [OPTION_CODE_REF] = { "code-ref", FORM_TEXT, "what it was built from, such as a commit" },
        [OPTION_API_VERSION] = { "api-version", FORM_TEXT,
                                 "the version of the interface that it speaks, for version_for()" },
        [OPTION_SCHEMA_MIN] = { "schema-min", FORM_NUMBER,
                                "the oldest schema of the service's own database that this version "
                                "can live with" },
        [OPTION_SCHEMA_MAX] = { "schema-max", FORM_NUMBER,
                                "the newest one; without it every newer schema fits" },
        [OPTION_BARRIER] = { "barrier", FORM_FLAG, "no rollback may go behind this release" },
        [OPTION_ARTEFACT] = { "artefact", FORM_TEXT, "where the built thing lies" },
        [OPTION_ACTOR] = { "actor", FORM_TEXT,
                           "who wanted it, instead of the database role that says so" },
        [OPTION_SOURCE] = { "source", FORM_TEXT, "which pipeline or tool says this" },
        [OPTION_ROLLING] = { "rolling", FORM_FLAG,
                             "instances follow one by one: no automatic act until deploy-done, for "
                             "an hour at most" },
        [OPTION_ROLLING_FOR] = { "rolling-for", FORM_DURATION,
                                 "the same for so long at most, up to 24h" },
        [OPTION_FORCE] = { "force", FORM_FLAG,
                           "deploy a quarantined or banned version; automatic rollback is off for "
                           "it" },
        [OPTION_TO] = { "to", FORM_NAME,
                        "the version to go to, instead of what the policy would choose" },
        [OPTION_TRUE] = { "true", FORM_FLAG, "it was right" },
        [OPTION_FALSE] = { "false", FORM_FLAG, "it was a false alarm" },
        [OPTION_SERVICE] = { "service", FORM_NAME, "only of this service" },
        [OPTION_LIMIT] = { "limit", FORM_LIMIT, "how many, from 1 to 1000; 50 unless given" },
        [OPTION_DIRECTORY] = { "directory", FORM_PATH,
                               "where the SQL files are, instead of those that were installed" },
        [OPTION_DB] = { "db", FORM_FLAG,
                        "also ask the database whether every statement can be run" },
        [OPTION_DATABASE] = { "database", FORM_TEXT, "the database by name" },
        [OPTION_OPERATOR] = { "operator", FORM_NAME,
                              "a person's role: made, or made an operator's" },
        [OPTION_DRY_RUN] = { "dry-run", FORM_FLAG, "print what would be done, and do nothing" },
        [OPTION_OLDER_THAN] = { "older-than", FORM_DURATION, "only what is older" },
        [OPTION_FILE] = { "file", FORM_PATH, "the file to write" },
        [OPTION_POLICY] = { "policy", FORM_PATH,
                            "this policy file, instead of the service's in the directory" },
};

const char *option_name(Option o) {
        return option_rows[o].name;
}

const char *option_help(Option o) {
        return option_rows[o].help;
}

const char *option_value(Option o) {
        static const char *const values[] = {
                [FORM_PATH] = "path",         [FORM_TEXT] = "text",     [FORM_FLAG] = NULL,
                [FORM_NAME] = "name",         [FORM_NUMBER] = "number", [FORM_LIMIT] = "number",
                [FORM_DURATION] = "duration",
        };
        return values[option_rows[o].form];
}

Option option_find(const char *name, size_t n) {
        for (int o = 0; o < _OPTION_MAX; o++)
                if (strlen(option_rows[o].name) == n && strncmp(option_rows[o].name, name, n) == 0)
                        return (Option)o;
        return OPTION_NONE;
}

bool verb_takes(const Verb *verb, Option o) {
        size_t n = strlen(option_rows[o].name);

        for (const char *p = verb->options; *p != '\0';) {
                size_t word = strcspn(p, " ");

                if (word == n && strncmp(p, option_rows[o].name, n) == 0)
                        return true;
                p += word + strspn(p + word, " ");
        }
        return false;
}

/* The word for an option's value, as arguments are written; returns how many bytes it took. */
static int print_value(FILE *f, Option o) {
        const char *word = option_value(o);
        int n = 0;

        if (!word)
                return 0;
        fputc(' ', f);
        for (; word[n] != '\0'; n++)
                fputc(toupper((unsigned char)word[n]), f);
        return n + 1;
}

void verb_print_usage(const Verb *verb, FILE *f) {
        fprintf(f, "usage: rollbackctl %s%s%s", verb->name, verb->arguments[0] != '\0' ? " " : "",
                verb->arguments);
        for (int o = 0; o < _OPTION_MAX; o++)
                if (verb_takes(verb, (Option)o)) {
                        fprintf(f, " [--%s", option_rows[o].name);
                        print_value(f, (Option)o);
                        fputc(']', f);
                }
        fputc('\n', f);
}

void verb_print_options(const Verb *verb, FILE *f) {
        for (int o = 0; o < _OPTION_MAX; o++)
                if (verb_takes(verb, (Option)o)) {
                        int n = fprintf(f, "  --%s", option_rows[o].name);

                        n += print_value(f, (Option)o);
                        fprintf(f, "%*s %s\n", MAX(0, 25 - n), "", option_rows[o].help);
                }
}

static const struct {
        const char *words, *help;
} exit_codes[_EXIT_CODE_MAX] = {
        [EXIT_OK] = { "ok", "done; of check and probe: everything is good" },
        [EXIT_FAILED] = { "failed",
                          "something else went wrong; of check and probe: something is not good" },
        [EXIT_USAGE] = { "usage", "the command line is wrong" },
        [EXIT_UNREACHABLE] = { "unreachable", "the daemon or the database does not answer" },
        [EXIT_REFUSED] = { "refused",
                           "a guard, the policy or the ledger's rules say no; the message says "
                           "which, and what to type" },
        [EXIT_NOT_FOUND] = { "not found", "no such service, version, operation or event" },
        [EXIT_TIMEOUT] = { "timeout",
                           "the time is over; what was asked of the database may have happened "
                           "all the same: look before asking again" },
        [EXIT_NO_RIGHT] = { "no right", "this user or database role may not do that" },
};

const char *exit_code_words(ExitCode code) {
        return exit_codes[code].words;
}

const char *exit_code_help(ExitCode code) {
        return exit_codes[code].help;
}

static ExitCode usage(const Verb *verb, const char *what, const char *wrong) {
        STRBUF(shown, 256);

        strbuf_add_escaped(&shown, wrong, strlen(wrong));
        fprintf(stderr, "rollbackctl %s: %s%s: %s\n", verb->name, shown.text,
                shown.overflow ? "..." : "", what);
        verb_print_usage(verb, stderr);
        return EXIT_USAGE;
}

/* One option at argv[*i]; moves *i over its value. */
static ExitCode parse_option(const Verb *verb, int argc, char *argv[], int *i, CommandLine *line) {
        const char *text = argv[*i] + 2, *equals = strchr(text, '=');
        Option o = option_find(text, equals ? (size_t)(equals - text) : strlen(text));

        if (o == OPTION_NONE || !verb_takes(verb, o))
                return usage(verb, "this verb does not take that option", argv[*i]);
        if (line->values[o])
                return usage(verb, "given twice", argv[*i]);
        if (option_rows[o].form == FORM_FLAG && equals)
                return usage(verb, "takes no value", argv[*i]);
        if (option_rows[o].form != FORM_FLAG && !equals && *i + 1 >= argc)
                return usage(verb, "its value is missing", argv[*i]);
        line->values[o] = option_rows[o].form == FORM_FLAG ? "true" :
                          equals                           ? equals + 1 :
                                                             argv[++*i];
        return EXIT_OK;
}

/* How many arguments the verb's own text asks for. */
static void argument_range(const Verb *verb, size_t *ret_least, size_t *ret_most) {
        *ret_least = *ret_most = 0;
        for (const char *p = verb->arguments; *p != '\0';) {
                size_t word = strcspn(p, " ");

                *ret_least += p[0] != '[';
                *ret_most += 1;
                if (memmem(p, word, "...", 3))
                        *ret_most = ARGUMENTS_MAX;
                p += word + strspn(p + word, " ");
        }
}

static bool is_number(const char *text, uint64_t least, uint64_t most) {
        uint64_t value;

        return number_parse_u64(text, strlen(text), &value) == 0 && value >= least && value <= most;
}

static bool is_duration(const char *text) {
        usec_t t;

        return usec_parse(text, &t) == 0 && t > 0;
}

bool command_is_name(const char *text) {
        static const char first[] =
                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        static const char others[] =
                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._+-";
        size_t n = strlen(text);

        return n > 0 && n < NAME_SIZE && strchr(first, text[0]) && strspn(text, others) == n;
}

static ExitCode check_form(const Verb *verb, ValueForm form, const char *value) {
        switch (form) {
        case FORM_TEXT:
        case FORM_PATH:
        case FORM_FLAG:
                return EXIT_OK;
        case FORM_NAME:
                return command_is_name(value) ?
                               EXIT_OK :
                               usage(verb,
                                     "a name has 1 to 63 letters, digits and . _ + -, and "
                                     "begins with a letter or digit",
                                     value);
        case FORM_NUMBER:
                return is_number(value, 0, INT64_MAX) ? EXIT_OK :
                                                        usage(verb, "write a number", value);
        case FORM_LIMIT:
                return is_number(value, 1, 1000) ?
                               EXIT_OK :
                               usage(verb, "write a number from 1 to 1000", value);
        case FORM_DURATION:
                return is_duration(value) ?
                               EXIT_OK :
                               usage(verb, "write a duration with its unit, as in 10s or 1h30m",
                                     value);
        }
        return EXIT_OK;
}

/* The form of the i-th argument, by its word in the usage: the last word stands for all that
 * follow. */
static ValueForm argument_form(const Verb *verb, size_t i) {
        const char *p = verb->arguments;
        size_t word = strcspn(p, " ");

        for (; i > 0 && p[word] != '\0'; i--) {
                p += word + 1;
                word = strcspn(p, " ");
        }
        if (memmem(p, word, "EPOCH", 5))
                return FORM_NUMBER;
        return memmem(p, word, "SERVICE", 7) || memmem(p, word, "VERSION", 7) ? FORM_NAME :
                                                                                FORM_TEXT;
}

static ExitCode check_follow(const Verb *verb, const CommandLine *line) {
        const char *path = line->values[OPTION_FILE];

        if (!path && line->n_arguments < 2)
                return usage(verb, "what it shall do: --file PATH, a command behind --, or both",
                             "missing");
        if (path && (path[0] == '\0' || path[strlen(path) - 1] == '/'))
                return usage(verb, "write the path of a file", "--file");
        if (line->n_arguments > 1 && line->arguments[1][0] == '\0')
                return usage(verb, "write the name of a program", "COMMAND");
        return EXIT_OK;
}

static ExitCode check_values(const Verb *verb, const CommandLine *line) {
        ExitCode code = EXIT_OK;

        for (size_t i = 0; code == EXIT_OK && i < line->n_arguments; i++)
                code = check_form(verb, argument_form(verb, i), line->arguments[i]);
        for (int o = 0; code == EXIT_OK && o < _OPTION_MAX; o++)
                if (line->values[o])
                        code = check_form(verb, option_rows[o].form, line->values[o]);
        if (code != EXIT_OK)
                return code;
        if (streq(verb->name, "follow"))
                return check_follow(verb, line);
        if (streq(verb->name, "ack") && !line->values[OPTION_TRUE] == !line->values[OPTION_FALSE])
                return usage(verb, "say either --true (it was right) or --false (a false alarm)",
                             "--true, --false");
        if ((streq(verb->name, "pause") || streq(verb->name, "pin")) &&
            !line->values[OPTION_FOR] == !line->values[OPTION_UNTIL])
                return usage(
                        verb,
                        "say either --for DURATION or --until TIME: a pause or pin always ends",
                        "--for, --until");
        return EXIT_OK;
}

static ExitCode parse_word(const Verb *verb, int argc, char *argv[], int *i, size_t most,
                           bool options_over, CommandLine *line) {
        const char *word = argv[*i];

        if (!options_over && strncmp(word, "--", 2) == 0)
                return parse_option(verb, argc, argv, i, line);
        if (!options_over && word[0] == '-')
                return usage(verb, "options are written out, with two dashes", word);
        if (line->n_arguments >= most)
                return usage(verb, "one argument too many", word);
        line->arguments[line->n_arguments++] = word;
        return EXIT_OK;
}

ExitCode command_line_parse(const Verb *verb, int argc, char *argv[], CommandLine *ret) {
        size_t least, most;
        bool options_over = false;

        *ret = (CommandLine){ 0 };
        argument_range(verb, &least, &most);
        for (int i = 1; i < argc; i++) {
                ExitCode code = EXIT_OK;

                if (!options_over && streq(argv[i], "--"))
                        options_over = true;
                else
                        code = parse_word(verb, argc, argv, &i, most, options_over, ret);
                if (code != EXIT_OK)
                        return code;
        }
        if (ret->n_arguments < least)
                return usage(verb, "missing", verb->arguments);
        return check_values(verb, ret);
}
