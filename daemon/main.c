/* main.c: the command line of rollbackd, and its exit code. */
#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sysexits.h>

#include "dump_machine.h"
#include "log.h"
#include "manager.h"

#define CONFIG_PATH_DEFAULT "/etc/rollbackd/rollbackd.conf"
#define ERRORS_MAX (64 * 1024)

typedef enum Action { ACTION_RUN, ACTION_CHECK, ACTION_DUMP_CONFIG, ACTION_DUMP_MACHINE } Action;

static const char *arg_config = CONFIG_PATH_DEFAULT;
static bool arg_foreground;
static Action arg_action = ACTION_RUN;

static const char help_text[] =
        "rollbackd [OPTION]...\n"
        "Watches versioned services and takes a bad release back.\n\n"
        "  --config PATH        rollbackd.conf to read (default " CONFIG_PATH_DEFAULT ")\n"
        "  --foreground         log to stderr instead of the journal\n"
        "  --check              read the configuration and every policy, say what is wrong, exit 0 "
        "or 78\n"
        "  --dump-config        print configuration and policies with every default filled in\n"
        "  --dump-machine dot   print the state machines as Graphviz\n"
        "  --help, --version\n\n"
        "SIGHUP reads the policies again; SIGTERM ends. See rollbackd(8).\n";

static int parse_arguments(int argc, char *argv[]) {
        enum {
                OPTION_CONFIG = 256,
                OPTION_FOREGROUND,
                OPTION_CHECK,
                OPTION_DUMP,
                OPTION_MACHINE,
                OPTION_HELP,
                OPTION_VERSION
        };
        static const struct option options[] = {
                { "config", required_argument, NULL, OPTION_CONFIG },
                { "foreground", no_argument, NULL, OPTION_FOREGROUND },
                { "check", no_argument, NULL, OPTION_CHECK },
                { "dump-config", no_argument, NULL, OPTION_DUMP },
                { "dump-machine", required_argument, NULL, OPTION_MACHINE },
                { "help", no_argument, NULL, OPTION_HELP },
                { "version", no_argument, NULL, OPTION_VERSION },
                { NULL, 0, NULL, 0 },
        };
        int c;

        while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
                switch (c) {
                case OPTION_CONFIG:
                        arg_config = optarg;
                        break;
                case OPTION_FOREGROUND:
                        arg_foreground = true;
                        break;
                case OPTION_CHECK:
                        arg_action = ACTION_CHECK;
                        break;
                case OPTION_DUMP:
                        arg_action = ACTION_DUMP_CONFIG;
                        break;
                case OPTION_MACHINE:
                        if (!streq(optarg, "dot")) {
                                fprintf(stderr,
                                        "rollbackd: --dump-machine %s: the only form is dot\n",
                                        optarg);
                                return EX_USAGE;
                        }
                        arg_action = ACTION_DUMP_MACHINE;
                        break;
                case OPTION_HELP:
                        fputs(help_text, stdout);
                        return -ECANCELED;
                case OPTION_VERSION:
                        puts("rollbackd " ROLLBACKD_VERSION);
                        return -ECANCELED;
                default:
                        fprintf(stderr, "rollbackd: see rollbackd --help\n");
                        return EX_USAGE;
                }
        if (optind < argc) {
                fprintf(stderr, "rollbackd: %s: no arguments are taken; see rollbackd --help\n",
                        argv[optind]);
                return EX_USAGE;
        }
        return 0;
}

static bool print_dump(const char *text) {
        if (text)
                printf("%s\n", text);
        else
                fputs("rollbackd: out of memory\n", stderr);
        return text != NULL;
}

/* Prints every policy or every mistake. Returns how many files were refused, or -1. */
static int walk_policies(const DaemonConfig *config, bool dump, StrBuf *errors) {
        PolicyFile *files = NULL;
        size_t n = 0;
        int refused = 0;

        if (config_read_directory(config->policies, &files, &n, errors) < 0) {
                fputs(errors->text, stderr);
                return -1;
        }
        for (size_t i = 0; i < n; i++)
                if (!files[i].config) {
                        fputs(files[i].error, stderr);
                        refused++;
                } else if (dump) {
                        _cleanup_(freep) char *text = config_dump_service(files[i].config);

                        refused += !print_dump(text);
                } else
                        printf("%s: good, service %s\n", files[i].path, files[i].service);
        policy_files_free(files, n);
        return refused;
}

static int check_or_dump(const DaemonConfig *config, StrBuf *errors) {
        bool dump = arg_action == ACTION_DUMP_CONFIG;

        if (dump) {
                _cleanup_(freep) char *text = config_dump_daemon(config);

                if (!print_dump(text))
                        return EXIT_FAILURE;
        } else
                printf("%s: good\n", config->path);
        if (walk_policies(config, dump, errors) != 0)
                return EX_CONFIG;
        return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int run(DaemonConfig *config) {
        _cleanup_(manager_freep) Manager *manager = NULL;
        ManagerOptions options = { .config_path = arg_config, .foreground = arg_foreground };
        int r;

        signal(SIGPIPE, SIG_IGN);
        /* Secrets pass through this memory. */
        (void)prctl(PR_SET_DUMPABLE, 0);
        r = manager_new(&manager, &options, config);
        if (r < 0)
                return r == -EBADMSG ? EX_CONFIG : EXIT_FAILURE;
        return manager_run(manager);
}

/* A large page of metrics is a mapping of its own, which grows without being copied and goes back
 * when it has been read. By itself the C library raises the size from which that is so with each
 * one that is freed, and keeps the memory. */
static void give_memory_back(void) {
        (void)mallopt(M_MMAP_THRESHOLD, 256 * 1024);
        (void)mallopt(M_TRIM_THRESHOLD, 1024 * 1024);
}

int main(int argc, char *argv[]) {
        static char storage[ERRORS_MAX];
        _cleanup_(daemon_config_freep) DaemonConfig *config = NULL;
        StrBuf errors;
        int r = parse_arguments(argc, argv);

        if (r != 0)
                return r == -ECANCELED ? EXIT_SUCCESS : r;
        if (arg_action == ACTION_DUMP_MACHINE) {
                dump_machine_dot(stdout);
                return EXIT_SUCCESS;
        }
        strbuf_init(&errors, storage, sizeof storage);
        if (config_read_daemon(arg_config, &config, &errors) < 0) {
                fputs(errors.text, stderr);
                return EX_CONFIG;
        }
        if (arg_action != ACTION_RUN)
                return check_or_dump(config, &errors);
        (void)log_open(arg_foreground);
        give_memory_back();
        r = run(TAKE_PTR(config));
        log_close();
        return r;
}
