/* Calls to the daemon over its unix socket, and the two writes. */
#include <errno.h>
#include <unistd.h>

#include "ctl.h"
#include "http_client.h"
#include "number.h"

#define SOCKET_DEFAULT "/run/rollbackd/rollbackd.sock"

static ExitCode code_of(unsigned status) {
        switch (status) {
        case 403:
                return EXIT_NO_RIGHT;
        case 404:
                return EXIT_NOT_FOUND;
        case 409:
        case 412:
        case 422:
                return EXIT_REFUSED;
        case 503:
                return EXIT_UNREACHABLE;
        default:
                return EXIT_FAILED;
        }
}

static ExitCode unreachable(const char *socket, int r) {
        if (r == -ETIMEDOUT) {
                fprintf(stderr, "rollbackctl: rollbackd did not answer in time at %s\n", socket);
                return EXIT_TIMEOUT;
        }
        if (access(socket, F_OK) == 0 && access(socket, W_OK) != 0) {
                fprintf(stderr,
                        "rollbackctl: only members of the group rollbackd-admin may use %s; as "
                        "root, type: usermod -aG rollbackd-admin NAME, then log in again\n",
                        socket);
                return EXIT_NO_RIGHT;
        }
        fprintf(stderr,
                "rollbackctl: no rollbackd answers at %s; type: systemctl status rollbackd. "
                "Without it, in psql: SELECT rollbackd.rollback('SERVICE', 'why')\n",
                socket);
        return EXIT_UNREACHABLE;
}

void url_add_name(StrBuf *b, const char *name) {
        for (; *name != '\0'; name++)
                /* Of the characters of names the only one that means something else in a query. */
                if (*name == '+')
                        strbuf_add(b, "%2B");
                else
                        strbuf_add_char(b, *name);
}

ExitCode http_call(const CommandLine *line, const char *method, const char *path, const char *body,
                   Json **ret) {
        _cleanup_(daemon_config_freep) DaemonConfig *config = NULL;
        const char *socket = line->values[OPTION_SOCKET];
        _cleanup_(freep) char *reply = NULL;
        char match[48] = "";
        const char *headers[3] = { body ? "Content-Type: application/json" : NULL, NULL, NULL };
        STRBUF(url, 512);
        STRBUF(error, 256);
        size_t size = 0;
        int status;

        if (!socket) {
                ExitCode code = command_config(line, &config);

                /* The daemon may run on, with what it read before somebody broke the file: whoever
                 * must act now is not kept from it. */
                if (code != EXIT_OK && line->values[OPTION_CONFIG])
                        return code;
                if (code != EXIT_OK)
                        fprintf(stderr, "rollbackctl: asking at %s all the same\n", SOCKET_DEFAULT);
                socket = config ? config->socket : SOCKET_DEFAULT;
        }
        if (socket[0] == '\0') {
                fprintf(stderr,
                        "rollbackctl: %s gives rollbackd no socket: set http.socket, or say "
                        "--socket PATH\n",
                        command_config_path(line));
                return EXIT_UNREACHABLE;
        }
        if (line->values[OPTION_EPOCH]) {
                snprintf(match, sizeof match, "If-Match: \"%s\"", line->values[OPTION_EPOCH]);
                headers[body ? 1 : 0] = match;
        }
        strbuf_add(&url, "http://localhost");
        strbuf_add(&url, path);
        if (url.overflow) {
                fprintf(stderr, "rollbackctl: the name is too long\n");
                return EXIT_USAGE;
        }
        status = http_client_call(socket, method, url.text, headers, body, command_timeout(line),
                                  &reply, &size);
        if (status < 0)
                return unreachable(socket, status);
        *ret = json_parse(reply ?: "", size, &error);
        if (*ret && !json_is_object(*ret)) {
                *ret = json_free(*ret);
                strbuf_add(&error, "a value where an object belongs");
        }
        if (status >= 200 && status < 300 && *ret)
                return EXIT_OK;
        if (*ret)
                print_failure("rollbackctl: ", json_get_text(*ret, "detail", "rollbackd refused"));
        else
                fprintf(stderr,
                        "rollbackctl: rollbackd answered %d with something that is not its JSON: "
                        "%s\n",
                        status, error.text);
        *ret = json_free(*ret);
        return status >= 200 && status < 300 ? EXIT_FAILED : code_of((unsigned)status);
}

/* On a terminal a person is asked; a script says --yes. */
static ExitCode confirm(const CommandLine *line, const char *verb) {
        char answer[16];

        if (line->values[OPTION_YES])
                return EXIT_OK;
        if (!isatty(STDIN_FILENO)) {
                fprintf(stderr,
                        "rollbackctl %s: this changes production; say --yes where no one can be "
                        "asked\n",
                        verb);
                return EXIT_USAGE;
        }
        fprintf(stderr, "%s of %s (%s). Type yes to go on: ", verb, line->arguments[0],
                line->values[OPTION_REASON]);
        if (fgets(answer, sizeof answer, stdin) && streq(answer, "yes\n"))
                return EXIT_OK;
        fprintf(stderr, "rollbackctl %s: nothing was done\n", verb);
        return EXIT_FAILED;
}

static ExitCode write_operation(const Verb *verb, const CommandLine *line) {
        _cleanup_(json_freep) Json *body = json_new_object(), *reply = NULL;
        _cleanup_(freep) char *text = NULL;
        STRBUF(path, 256);
        ExitCode code;

        if (!line->values[OPTION_REASON]) {
                fprintf(stderr,
                        "rollbackctl %s: --reason is missing: it is what others will read in the "
                        "history\n",
                        verb->name);
                return EXIT_USAGE;
        }
        code = confirm(line, verb->name);
        if (code != EXIT_OK)
                return code;
        json_set_text(body, "reason", line->values[OPTION_REASON]);
        if (line->values[OPTION_TO])
                json_set_text(body, "target", line->values[OPTION_TO]);
        text = json_text(body);
        strbuf_add(&path, "/api/v1/services/");
        url_add_name(&path, line->arguments[0]);
        strbuf_add_char(&path, '/');
        strbuf_add(&path, verb->name);
        code = http_call(line, "POST", path.text, text, &reply);
        if (code != EXIT_OK)
                return code;
        if (line->values[OPTION_JSON])
                print_json(reply);
        else {
                print_paragraph("", json_get_text(reply, "operation", NULL));
                fprintf(stderr, "rollbackd goes on by itself; type: rollbackctl explain %s\n",
                        json_get_text(reply, "operation", "ID"));
        }
        return EXIT_OK;
}

ExitCode run_rollback(const Verb *verb, const CommandLine *line) {
        return write_operation(verb, line);
}

ExitCode run_restore(const Verb *verb, const CommandLine *line) {
        return write_operation(verb, line);
}
