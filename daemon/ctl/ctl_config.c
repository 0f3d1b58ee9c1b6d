/* What every verb needs around its work: the configuration, and the end of patience. */
#include <errno.h>
#include <sys/time.h>
#include <unistd.h>

#include "ctl.h"

#define TIMEOUT_DEFAULT (10 * USEC_PER_SEC)

usec_t command_timeout(const CommandLine *line) {
        usec_t t = TIMEOUT_DEFAULT;

        return line->values[OPTION_TIMEOUT] && usec_parse(line->values[OPTION_TIMEOUT], &t) < 0 ?
                       TIMEOUT_DEFAULT :
                       t;
}

static void on_alarm(int signal_number _unused_) {
        static const char words[] =
                "rollbackctl: the database did not answer in time. What was asked may have "
                "happened all the same: look before asking again\n";

        (void)!write(STDERR_FILENO, words, sizeof words - 1);
        _exit(EXIT_TIMEOUT);
}

void command_start_clock(const CommandLine *line) {
        usec_t t = command_timeout(line);
        struct itimerval in = { .it_value = { .tv_sec = (time_t)(t / USEC_PER_SEC),
                                              .tv_usec = (suseconds_t)(t % USEC_PER_SEC) } };

        signal(SIGALRM, on_alarm);
        (void)setitimer(ITIMER_REAL, &in, NULL);
}

const char *command_config_path(const CommandLine *line) {
        return line->values[OPTION_CONFIG] ?: CONFIG_PATH_DEFAULT;
}

ExitCode command_config(const CommandLine *line, DaemonConfig **ret) {
        STRBUF(error, CONFIG_ERROR_SIZE);
        int r = config_read_daemon(command_config_path(line), ret, &error);

        if (r >= 0)
                return EXIT_OK;
        *ret = NULL;
        if (r == -ENOENT && !line->values[OPTION_CONFIG])
                return EXIT_OK;
        print_failure("rollbackctl: ", error.text);
        return r == -EACCES || r == -EPERM ? EXIT_NO_RIGHT : EXIT_FAILED;
}
