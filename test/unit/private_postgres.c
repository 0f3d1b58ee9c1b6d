/* private_postgres.c: processes are started with fork and exec, and die with the test
 * (PR_SET_PDEATHSIG). */
#include "private_postgres.h"

#include <fcntl.h>
#include <glob.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <libpq-fe.h>

#define SOCKET_NAME ".s.PGSQL.5432"
#define TRIES 1500 /* of 20 ms */

static bool find_program(const char *name, char *storage, size_t size) {
        char pattern[80];
        glob_t found;
        bool there;

        (void)snprintf(pattern, sizeof pattern, "/usr/lib/postgresql/*/bin/%s", name);
        there = glob(pattern, 0, NULL, &found) == 0 && found.gl_pathc > 0;
        if (there)
                (void)snprintf(storage, size, "%s", found.gl_pathv[found.gl_pathc - 1]);
        globfree(&found);
        return there;
}

/* PostgreSQL refuses root. */
static void become_postgres(void) {
        const struct passwd *user = getuid() == 0 ? getpwnam("postgres") : NULL;

        if (user &&
            (setgroups(0, NULL) < 0 || setgid(user->pw_gid) < 0 || setuid(user->pw_uid) < 0))
                _exit(126);
}

#define ARGUMENTS_MAX 32

/* PostgreSQL's programs look for each other beside the path by which they were called. */
static pid_t start(const char *const arguments[]) {
        const char *whole[ARGUMENTS_MAX] = { NULL };
        char program[160];
        pid_t pid;

        if (!find_program(arguments[0], program, sizeof program)) {
                printf("# %s is not installed\n", arguments[0]);
                return -1;
        }
        whole[0] = program;
        for (size_t i = 1; arguments[i] && i + 1 < ARGUMENTS_MAX; i++)
                whole[i] = arguments[i];
        pid = fork();
        if (pid != 0)
                return pid;
        become_postgres();
        (void)prctl(PR_SET_PDEATHSIG, SIGINT);
        (void)dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO);
        if (chdir("/") == 0)
                (void)execv(program, (char *const *)whole);
        _exit(127);
}

static bool wait_for_success(pid_t pid) {
        int status;

        return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
               WEXITSTATUS(status) == 0;
}

static bool make_folder(char *storage, size_t size) {
        const struct passwd *user = getuid() == 0 ? getpwnam("postgres") : NULL;

        (void)snprintf(storage, size,
                       "/tmp/rollbackd-pg-XX"
                       "XX"
                       "XX");
        return mkdtemp(storage) && (!user || chown(storage, user->pw_uid, user->pw_gid) == 0);
}

static bool wait_until_answers(const char *conninfo) {
        for (unsigned i = 0; i < TRIES; i++) {
                if (PQping(conninfo) == PQPING_OK)
                        return true;
                (void)poll(NULL, 0, 20);
        }
        printf("# the private PostgreSQL does not answer\n");
        return false;
}

bool private_postgres_again(PrivatePostgres *p) {
        char data[80];

        (void)snprintf(data, sizeof data, "%s/data", p->folder);
        p->pid = start((const char *const[]){
                "postgres", "-D", data, "-k", p->folder, "-c", "listen_addresses=", "-c",
                "fsync=off", "-c", "log_min_messages=panic", "-c", "log_destination=stderr", "-c",
                "log_min_error_statement=panic", NULL });
        return p->pid > 0 && wait_until_answers(p->conninfo);
}

bool private_postgres_start(PrivatePostgres *p) {
        char data[80];

        p->pid = 0;
        if (!make_folder(p->folder, sizeof p->folder))
                return false;
        (void)snprintf(p->conninfo, sizeof p->conninfo,
                       "host=%s port=5432 user=postgres dbname=postgres", p->folder);
        (void)snprintf(data, sizeof data, "%s/data", p->folder);
        if (!wait_for_success(start((const char *const[]){ "initdb", "-D", data, "-A", "trust",
                                                           "-U", "postgres", "-E", "UTF8",
                                                           "--no-locale", "--no-sync", NULL }))) {
                printf("# initdb failed\n");
                return false;
        }
        return private_postgres_again(p);
}

bool private_postgres_follow(PrivatePostgres *p, const PrivatePostgres *primary) {
        char data[80];

        p->pid = 0;
        if (!make_folder(p->folder, sizeof p->folder))
                return false;
        (void)snprintf(p->conninfo, sizeof p->conninfo,
                       "host=%s port=5432 user=postgres dbname=postgres", p->folder);
        (void)snprintf(data, sizeof data, "%s/data", p->folder);
        if (!wait_for_success(start((const char *const[]){ "pg_basebackup", "-D", data, "-d",
                                                           primary->conninfo, "-R", "-c", "fast",
                                                           "-X", "stream", "--no-sync", NULL }))) {
                printf("# pg_basebackup failed\n");
                return false;
        }
        return private_postgres_again(p);
}

void private_postgres_kill(PrivatePostgres *p) {
        if (p->pid <= 0)
                return;
        (void)kill(p->pid, SIGQUIT);
        (void)waitpid(p->pid, NULL, 0);
        p->pid = 0;
}

static void remove_folder(const char *folder) {
        pid_t pid = fork();

        if (pid == 0) {
                (void)execl("/bin/rm", "rm", "-rf", "--", folder, (char *)NULL);
                _exit(127);
        }
        (void)waitpid(pid, NULL, 0);
}

void private_postgres_remove(PrivatePostgres *p) {
        private_postgres_kill(p);
        if (p->folder[0])
                remove_folder(p->folder);
}

static int unix_socket(const char *folder, bool listening) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        (void)snprintf(address.sun_path, sizeof address.sun_path, "%.80s/" SOCKET_NAME, folder);
        if (fd < 0)
                return -1;
        if (listening ? bind(fd, (const struct sockaddr *)&address, sizeof address) < 0 ||
                                listen(fd, 8) < 0 :
                        connect(fd, (const struct sockaddr *)&address, sizeof address) < 0) {
                (void)close(fd);
                return -1;
        }
        return fd;
}

/* Hands bytes on until either side closes. The word is looked for with its NUL, as the end of a
 * statement, and must come in one piece, as libpq sends short ones. */
static void proxy_serve(int client, int server, const char *word) {
        bool swallowing = false;
        char buffer[65536];

        for (;;) {
                struct pollfd p[] = { { .fd = client, .events = POLLIN },
                                      { .fd = server, .events = POLLIN } };

                if (poll(p, 2, -1) < 0)
                        return;
                for (unsigned i = 0; i < 2; i++) {
                        ssize_t n = p[i].revents ? read(p[i].fd, buffer, sizeof buffer) : -1;

                        if (!p[i].revents)
                                continue;
                        if (n <= 0)
                                return;
                        if (i == 0 && memmem(buffer, (size_t)n, word, strlen(word) + 1))
                                swallowing = true;
                        if ((i == 0 || !swallowing) && write(p[1 - i].fd, buffer, (size_t)n) != n)
                                return;
                        /* The answer is there, so the server has done what was asked. */
                        if (i == 1 && swallowing)
                                return;
                }
        }
}

static void proxy_run(int listening, const char *behind, const char *word) {
        int client;

        (void)signal(SIGCHLD, SIG_IGN);
        while ((client = accept(listening, NULL, NULL)) >= 0) {
                if (fork() == 0) {
                        int server = unix_socket(behind, false);

                        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
                        if (server >= 0)
                                proxy_serve(client, server, word);
                        _exit(0);
                }
                (void)close(client);
        }
        _exit(1);
}

bool swallowing_proxy_start(SwallowingProxy *x, const PrivatePostgres *p, const char *word) {
        int listening;

        if (!make_folder(x->folder, sizeof x->folder))
                return false;
        (void)snprintf(x->conninfo, sizeof x->conninfo,
                       "host=%s port=5432 user=postgres dbname=postgres", x->folder);
        listening = unix_socket(x->folder, true);
        if (listening < 0)
                return false;
        x->pid = fork();
        if (x->pid == 0) {
                (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
                proxy_run(listening, p->folder, word);
        }
        (void)close(listening);
        return x->pid > 0;
}

void swallowing_proxy_stop(SwallowingProxy *x) {
        if (x->pid > 0) {
                (void)kill(x->pid, SIGKILL);
                (void)waitpid(x->pid, NULL, 0);
        }
        if (x->folder[0])
                remove_folder(x->folder);
}
