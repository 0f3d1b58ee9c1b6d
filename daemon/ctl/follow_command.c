/* The command that is run for a release. Its end is awaited through a descriptor of the process, so
 * that SIGCHLD cannot mislead; its number is that of its group, to which signals are sent, and is
 * not used again before the process is reaped. */
#include "follow.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* Between SIGTERM and SIGKILL. */
#define GRACE (5 * USEC_PER_SEC)
#define VARIABLE_SIZE (NAME_SIZE + 32)

struct FollowCommand {
        Loop *loop;
        const char *const *argv;
        usec_t timeout;
        FollowCommandDone done;
        void *userdata;
        LoopTimer *timer;
        LoopIo *io; /* NULL: it has ended, and what it started has still time to */
        int fd;     /* of the process */
        pid_t pid;  /* 0: nothing is running */
        int sent;   /* the last signal sent to a run that took too long, or 0 */
};

/* Ours, and what belongs between the service manager and us alone. */
static bool is_kept(const char *variable) {
        static const char *const dropped[] = { "ROLLBACKD_SERVICE=", "ROLLBACKD_VERSION=",
                                               "ROLLBACKD_EPOCH=",   "ROLLBACKD_PREVIOUS_VERSION=",
                                               "NOTIFY_SOCKET=",     "WATCHDOG_PID=",
                                               "WATCHDOG_USEC=",     "LISTEN_PID=",
                                               "LISTEN_FDS=",        "LISTEN_FDNAMES=" };

        for (size_t i = 0; i < ELEMENTSOF(dropped); i++)
                if (strncmp(variable, dropped[i], strlen(dropped[i])) == 0)
                        return false;
        return true;
}

/* Our environment with the four at its end; the array is to be freed, the texts are borrowed. NULL
 * without memory. */
static char **environment_new(char *const added[], size_t n_added) {
        char **environment;
        size_t n = 0;

        while (environ[n])
                n++;
        environment = calloc(n + n_added + 1, sizeof *environment);
        if (!environment)
                return NULL;
        n = 0;
        for (char **e = environ; *e; e++)
                if (is_kept(*e))
                        environment[n++] = *e;
        memcpy(environment + n, added, n_added * sizeof *added);
        return environment;
}

/* A group of its own, an empty signal mask and an ordinary SIGPIPE, which service managers ignore.
 */
static int set_attributes(posix_spawnattr_t *attributes) {
        sigset_t none, normal;
        int r;

        if (sigemptyset(&none) < 0 || sigemptyset(&normal) < 0 || sigaddset(&normal, SIGPIPE) < 0)
                return -errno;
        r = posix_spawnattr_setsigmask(attributes, &none);
        if (r == 0)
                r = posix_spawnattr_setsigdefault(attributes, &normal);
        if (r == 0)
                r = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK |
                                                                 POSIX_SPAWN_SETSIGDEF |
                                                                 POSIX_SPAWN_SETPGROUP);
        return -r;
}

static int set_descriptors(posix_spawn_file_actions_t *actions) {
        int r = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);

        if (r == 0)
                r = posix_spawn_file_actions_addclosefrom_np(actions, STDERR_FILENO + 1);
        return -r;
}

static int spawn(FollowCommand *c, char *const environment[]) {
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        int r = -posix_spawn_file_actions_init(&actions);

        if (r < 0)
                return r;
        r = -posix_spawnattr_init(&attributes);
        if (r < 0) {
                (void)posix_spawn_file_actions_destroy(&actions);
                return r;
        }
        r = set_descriptors(&actions);
        if (r == 0)
                r = set_attributes(&attributes);
        if (r == 0)
                r = -posix_spawnp(&c->pid, c->argv[0], &actions, &attributes,
                                  (char *const *)c->argv, environment);
        (void)posix_spawnattr_destroy(&attributes);
        (void)posix_spawn_file_actions_destroy(&actions);
        return r;
}

static void forget(FollowCommand *c) {
        c->io = loop_io_free(c->io);
        if (c->fd >= 0)
                (void)close(c->fd);
        c->fd = -1;
        c->pid = 0;
        loop_timer_set(c->timer, USEC_INFINITY);
}

static void add_end(StrBuf *b, const FollowCommand *c, int status) {
        if (c->sent != 0) {
                strbuf_add(b, "no end within ");
                strbuf_add_usec_words(b, c->timeout);
                strbuf_add(b, c->sent == SIGKILL ? ", not even after SIGTERM, killed" :
                                                   ", ended by SIGTERM");
        } else if (WIFEXITED(status)) {
                strbuf_add(b, "exit code ");
                strbuf_add_u64(b, (uint64_t)WEXITSTATUS(status));
        } else {
                strbuf_add(b, "signal ");
                strbuf_add_u64(b, (uint64_t)WTERMSIG(status));
        }
}

static void finish(FollowCommand *c) {
        STRBUF(words, 128);
        int status = 0;
        bool good;

        if (waitpid(c->pid, &status, WNOHANG) == 0)
                return;
        good = c->sent == 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
        add_end(&words, c, status);
        forget(c);
        c->done(c->userdata, good ? NULL : words.text);
}

/* One that ended by SIGTERM may have left others of its group, who got it too: they have the same
 * time to end. */
static void on_exit_of(void *userdata, int fd _unused_, uint32_t events _unused_) {
        FollowCommand *c = userdata;

        if (c->sent == SIGTERM)
                c->io = loop_io_free(c->io);
        else
                finish(c);
}

static void on_overdue(void *userdata, usec_t now) {
        FollowCommand *c = userdata;
        bool first = c->sent == 0, ended = !c->io;

        if (!ended)
                c->sent = first ? SIGTERM : SIGKILL;
        (void)kill(-c->pid, first ? SIGTERM : SIGKILL);
        if (first)
                loop_timer_set(c->timer, usec_add(now, GRACE));
        else if (ended)
                finish(c);
}

int follow_command_new(FollowCommand **ret, Loop *loop, const char *const argv[], usec_t timeout,
                       FollowCommandDone done, void *userdata) {
        _cleanup_(follow_command_freep) FollowCommand *c = calloc(1, sizeof *c);
        int r;

        assert(ret && argv && argv[0] && done);
        if (!c)
                return -ENOMEM;
        *c = (FollowCommand){ .loop = loop,
                              .argv = argv,
                              .timeout = timeout,
                              .done = done,
                              .userdata = userdata,
                              .fd = -1 };
        r = loop_add_timer(loop, on_overdue, c, "command", &c->timer);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(c);
        return 0;
}

/* Watches the fresh process; without a watch it cannot be left running. */
static int watch(FollowCommand *c) {
        int r;

        c->fd = pidfd_open(c->pid, 0);
        r = c->fd < 0 ? -errno :
                        loop_add_io(c->loop, c->fd, EPOLLIN, on_exit_of, c, "command", &c->io);
        if (r < 0) {
                (void)kill(-c->pid, SIGKILL);
                (void)waitpid(c->pid, NULL, 0);
                forget(c);
                return r;
        }
        loop_timer_set(c->timer, usec_add(loop_now(c->loop), c->timeout));
        return 0;
}

int follow_command_start(FollowCommand *c, const FollowRelease *release) {
        STRBUF(service, VARIABLE_SIZE);
        STRBUF(version, VARIABLE_SIZE);
        STRBUF(epoch, VARIABLE_SIZE);
        STRBUF(previous, VARIABLE_SIZE);
        char *const added[] = { service.text, version.text, epoch.text, previous.text };
        _cleanup_(freep) char **environment = NULL;
        int r;

        assert(c && !follow_command_is_running(c));
        strbuf_add(&service, "ROLLBACKD_SERVICE=");
        strbuf_add(&service, release->service);
        strbuf_add(&version, "ROLLBACKD_VERSION=");
        strbuf_add(&version, release->version);
        strbuf_add(&epoch, "ROLLBACKD_EPOCH=");
        strbuf_add_u64(&epoch, release->epoch);
        strbuf_add(&previous, "ROLLBACKD_PREVIOUS_VERSION=");
        strbuf_add(&previous, release->previous);
        environment = environment_new(added, ELEMENTSOF(added));
        if (!environment)
                return -ENOMEM;
        c->sent = 0;
        r = spawn(c, environment);
        if (r < 0) {
                c->pid = 0;
                return r;
        }
        return watch(c);
}

bool follow_command_is_running(const FollowCommand *c) {
        return c && c->pid != 0;
}

FollowCommand *follow_command_free(FollowCommand *c) {
        if (!c)
                return NULL;
        if (c->pid != 0) {
                (void)kill(-c->pid, SIGKILL);
                forget(c);
        }
        loop_timer_free(c->timer);
        free(c);
        return NULL;
}
