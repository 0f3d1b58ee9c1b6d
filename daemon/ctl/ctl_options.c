#include <errno.h>

#include "ctl.h"

#define CONFIG_PATH_DEFAULT "/etc/rollbackd/rollbackd.conf"
#define TIMEOUT_DEFAULT (10 * USEC_PER_SEC)

static const struct {
        const char *name;
        bool flag;
} option_rows[_OPTION_MAX] = {
        [OPTION_CONFIG] = { "config", false },
        [OPTION_CONNINFO] = { "conninfo", false },
        [OPTION_SOCKET] = { "socket", false },
        [OPTION_JSON] = { "json", true },
        [OPTION_TIMEOUT] = { "timeout", false },
        [OPTION_YES] = { "yes", true },
        [OPTION_REASON] = { "reason", false },
        [OPTION_NOTE] = { "note", false },
        [OPTION_FOR] = { "for", false },
        [OPTION_UNTIL] = { "until", false },
        [OPTION_STABLE] = { "stable", true },
        [OPTION_EXPECT_EPOCH] = { "expect-epoch", false },
        [OPTION_EPOCH] = { "epoch", false },
        [OPTION_CODE_REF] = { "code-ref", false },
        [OPTION_API_VERSION] = { "api-version", false },
        [OPTION_SCHEMA_MIN] = { "schema-min", false },
        [OPTION_SCHEMA_MAX] = { "schema-max", false },
        [OPTION_BARRIER] = { "barrier", true },
        [OPTION_ARTEFACT] = { "artefact", false },
        [OPTION_SOURCE] = { "source", false },
        [OPTION_ROLLING] = { "rolling", true },
        [OPTION_FORCE] = { "force", true },
        [OPTION_TO] = { "to", false },
        [OPTION_TRUE] = { "true", true },
        [OPTION_FALSE] = { "false", true },
        [OPTION_SERVICE] = { "service", false },
        [OPTION_LIMIT] = { "limit", false },
        [OPTION_DIRECTORY] = { "directory", false },
        [OPTION_DB] = { "db", true },
};

const char *option_name(Option o) {
        return option_rows[o].name;
}

Option option_find(const char *name, size_t n) {
        for (int o = 0; o < _OPTION_MAX; o++)
                if (strlen(option_rows[o].name) == n && strncmp(option_rows[o].name, name, n) == 0)
                        return (Option)o;
        return OPTION_NONE;
}

static bool verb_takes(const Verb *verb, Option o) {
        size_t n = strlen(option_rows[o].name);

        for (const char *p = verb->options; *p != '\0';) {
                size_t word = strcspn(p, " ");

                if (word == n && strncmp(p, option_rows[o].name, n) == 0)
                        return true;
                p += word + strspn(p + word, " ");
        }
        return false;
}

void verb_print_usage(const Verb *verb, FILE *f) {
        fprintf(f, "usage: rollbackctl %s %s", verb->name, verb->arguments);
        for (int o = 0; o < _OPTION_MAX; o++)
                if (verb_takes(verb, (Option)o))
                        fprintf(f, " [--%s%s]", option_rows[o].name, option_rows[o].flag ? "" : " X");
        fputc('\n', f);
}

static ExitCode usage(const Verb *verb, const char *what, const char *wrong) {
        fprintf(stderr, "rollbackctl %s: %s: %s\n", verb->name, wrong, what);
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
        if (option_rows[o].flag && equals)
                return usage(verb, "takes no value", argv[*i]);
        if (!option_rows[o].flag && !equals && *i + 1 >= argc)
                return usage(verb, "its value is missing", argv[*i]);
        line->values[o] = option_rows[o].flag ? "true" : equals ? equals + 1 : argv[++*i];
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

static ExitCode check_values(const Verb *verb, const CommandLine *line) {
        const char *timeout = line->values[OPTION_TIMEOUT];
        usec_t t;

        if (timeout && usec_parse(timeout, &t) < 0)
                return usage(verb, "write a duration with its unit, as in 10s", timeout);
        if (streq(verb->name, "ack") && !line->values[OPTION_TRUE] == !line->values[OPTION_FALSE])
                return usage(verb, "say either --true (it was right) or --false (a false alarm)", "--true, --false");
        if ((streq(verb->name, "pause") || streq(verb->name, "pin")) && !line->values[OPTION_FOR] == !line->values[OPTION_UNTIL])
                return usage(verb, "say either --for DURATION or --until TIME: a pause or pin always ends", "--for, --until");
        return EXIT_OK;
}

ExitCode command_line_parse(const Verb *verb, int argc, char *argv[], CommandLine *ret) {
        size_t least, most;
        bool options_over = false;

        *ret = (CommandLine){ 0 };
        argument_range(verb, &least, &most);
        for (int i = 1; i < argc; i++) {
                ExitCode code = EXIT_OK;

                if (!options_over && streq(argv[i], "--help")) {
                        verb_print_usage(verb, stdout);
                        printf("%s\n", verb->help);
                        exit(EXIT_OK);
                }
                if (!options_over && streq(argv[i], "--"))
                        options_over = true;
                else if (!options_over && strncmp(argv[i], "--", 2) == 0)
                        code = parse_option(verb, argc, argv, &i, ret);
                else if (ret->n_arguments >= most)
                        code = usage(verb, "one argument too many", argv[i]);
                else
                        ret->arguments[ret->n_arguments++] = argv[i];
                if (code != EXIT_OK)
                        return code;
        }
        if (ret->n_arguments < least)
                return usage(verb, "missing", verb->arguments);
        return check_values(verb, ret);
}

usec_t command_timeout(const CommandLine *line) {
        usec_t t = TIMEOUT_DEFAULT;

        return line->values[OPTION_TIMEOUT] && usec_parse(line->values[OPTION_TIMEOUT], &t) < 0 ? TIMEOUT_DEFAULT : t;
}

DaemonConfig *command_config(const CommandLine *line) {
        DaemonConfig *config = NULL;
        STRBUF(error, 4096);

        if (config_read_daemon(line->values[OPTION_CONFIG] ?: CONFIG_PATH_DEFAULT, &config, &error) < 0) {
                if (line->values[OPTION_CONFIG])
                        fprintf(stderr, "rollbackctl: %s", error.text);
                return NULL;
        }
        return config;
}
