/* ctl.c: help and main. */
#include "ctl.h"

static const char help_head[] =
        "rollbackctl status                                   what is going on\n"
        "rollbackctl explain users-api                        why\n"
        "rollbackctl rollback users-api --reason \"...\"        take the active release back\n"
        "rollbackctl pause users-api --for 2h --reason \"...\"  leave it alone for a while\n\n"
        "Verbs:\n";
static const char help_tail[] = "\nGeneral options: --config PATH, --conninfo CONNINFO (or "
                                "$ROLLBACKD_CONNINFO), --socket PATH, --json, --timeout DURATION;\n"
                                "`rollbackctl help VERB` says which of them a verb takes.\n"
                                "Exit codes:";

static void print_row(FILE *f, const Verb *verb) {
        int n = fprintf(f, "  %s %s", verb->name, verb->arguments);

        fprintf(f, "%*s %s\n", MAX(0, 34 - n), "", verb->help);
}

static void print_help(FILE *f) {
        fputs(help_head, f);
        for (size_t i = 0; i < verbs_n; i++)
                print_row(f, &verbs[i]);
        fputs(help_tail, f);
        for (int code = 0; code < _EXIT_CODE_MAX; code++)
                fprintf(f, "%s %d %s", code > 0 ? "," : "", code, exit_code_words((ExitCode)code));
        fputs(". See rollbackctl(1).\n", f);
}

static bool is_help(const char *word) {
        return streq(word, "--help") || streq(word, "-h");
}

/* `help VERB` and `VERB --help` are one. */
static ExitCode show_verb(const Verb *verb) {
        verb_print_usage(verb, stdout);
        printf("%s\n", verb->help);
        verb_print_options(verb, stdout);
        return EXIT_OK;
}

static ExitCode refuse_verb(const char *word) {
        if (word[0] == '-')
                fprintf(stderr,
                        "rollbackctl: the verb comes first, then its options, as in: rollbackctl "
                        "status %s\n",
                        word);
        else if (streq(word, "db")) {
                fputs("rollbackctl: which of them?\n", stderr);
                for (size_t i = 0; i < verbs_n; i++)
                        if (strncmp(verbs[i].name, "db ", 3) == 0)
                                print_row(stderr, &verbs[i]);
        } else
                print_failure("rollbackctl: not a verb, see rollbackctl help: ", word);
        return EXIT_USAGE;
}

/* Runs argv[1..] as a verb, or prints what is to be known of it. */
static ExitCode run_verb(int argc, char *argv[], bool help) {
        CommandLine line;
        int words = 0;
        const Verb *verb = verb_find(argc - 1, argv + 1, &words);
        ExitCode code;

        if (!verb)
                return refuse_verb(argv[1]);
        for (int i = words + 1; i < argc && !streq(argv[i], "--"); i++)
                help = help || is_help(argv[i]);
        if (help)
                return show_verb(verb);
        code = command_line_parse(verb, argc - words, argv + words, &line);
        return code == EXIT_OK ? verb->run(verb, &line) : code;
}

int main(int argc, char *argv[]) {
        bool help = argc > 1 && (streq(argv[1], "help") || is_help(argv[1]));
        ExitCode code = EXIT_OK;

        if (argc < 2 || (help && argc == 2)) {
                print_help(argc < 2 ? stderr : stdout);
                code = argc < 2 ? EXIT_USAGE : EXIT_OK;
        } else if (streq(argv[1], "--version"))
                puts("rollbackctl " ROLLBACKD_VERSION);
        else
                code = run_verb(argc - help, argv + help, help);
        return fflush(stdout) != 0 && code == EXIT_OK ? EXIT_FAILED : (int)code;
}
