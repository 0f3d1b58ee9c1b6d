/* private_redis.h: throw-away Redis servers, each on a port that the kernel gave and on a unix
 * socket in a folder of its own, for tests. Knows nothing of what is tested. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "probe_harness.h"

#define PRIVATE_REDIS_TRIES 1500 /* of 20 ms */

typedef struct PrivateRedis {
        char folder[64], socket[80], port[8];
        uint16_t number; /* of the port */
        pid_t pid;
} PrivateRedis;

/* Sends a command as a line and returns the answer's beginning, "" while nobody answers. */
static inline const char *private_redis_ask(const PrivateRedis *p, const char *line) {
        static char answer[4096];
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ssize_t n = 0;

        (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", p->socket);
        if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0 &&
            send(fd, line, strlen(line), MSG_NOSIGNAL) > 0 &&
            send(fd, "\r\n", 2, MSG_NOSIGNAL) == 2)
                n = recv(fd, answer, sizeof answer - 1, 0);
        close(fd);
        answer[n > 0 ? n : 0] = '\0';
        return answer;
}

static inline void private_redis_wait(const PrivateRedis *p, const char *line, const char *wanted) {
        for (unsigned i = 0; !strstr(private_redis_ask(p, line), wanted); i++) {
                if (i >= PRIVATE_REDIS_TRIES)
                        fail_msg("%s: \"%s\", never \"%s\"", line, private_redis_ask(p, line),
                                 wanted);
                (void)poll(NULL, 0, 20);
        }
}

/* Starts one, with more arguments of redis-server, and waits until it answers. */
static inline void private_redis_start(PrivateRedis *p, const char *const more[]) {
        const char *arguments[32] = { "redis-server",
                                      "--port",
                                      p->port,
                                      "--unixsocket",
                                      p->socket,
                                      "--dir",
                                      p->folder,
                                      "--save",
                                      "",
                                      "--bind",
                                      "127.0.0.1",
                                      "--repl-diskless-sync-delay",
                                      "0",
                                      "--logfile",
                                      "log" };
        ScriptedServer port;
        size_t n = 0;

        (void)snprintf(p->folder, sizeof p->folder, "/tmp/redis.%s", "XXXXXX");
        assert_non_null(mkdtemp(p->folder));
        (void)snprintf(p->socket, sizeof p->socket, "%s/socket", p->folder);
        server_listen(&port);
        p->number = port.port;
        (void)snprintf(p->port, sizeof p->port, "%u", port.port);
        close(port.fd);
        while (arguments[n])
                n++;
        for (size_t i = 0; more && more[i]; i++)
                arguments[n++] = more[i];
        p->pid = fork();
        assert_true(p->pid >= 0);
        if (p->pid == 0) {
                (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
                (void)execvp(arguments[0], (char *const *)arguments);
                _exit(127);
        }
        for (unsigned i = 0; !*private_redis_ask(p, "PING"); i++) {
                if (i >= PRIVATE_REDIS_TRIES)
                        fail_msg("the private Redis does not answer");
                (void)poll(NULL, 0, 20);
        }
}

static inline void private_redis_kill(PrivateRedis *p) {
        if (p->pid <= 0)
                return;
        (void)kill(p->pid, SIGKILL);
        (void)waitpid(p->pid, NULL, 0);
        p->pid = 0;
}

static inline void private_redis_remove(PrivateRedis *p) {
        char path[128];

        private_redis_kill(p);
        for (const char *const *name = (const char *const[]){ "socket", "log", "dump.rdb", NULL };
             *name; name++) {
                (void)snprintf(path, sizeof path, "%s/%s", p->folder, *name);
                (void)unlink(path);
        }
        assert_int_equal(rmdir(p->folder), 0);
}
