/* child_start.c: from our process to the program. Between clone() and execve() the child runs in
 * our memory while we stand still: it makes system calls and writes to its own Birth only. */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child_internal.h"

/* Above what the three standard descriptors are put on. */
#define DESCRIPTOR_ASIDE 10
#define DESCRIPTORS_SOFT_MAX 1024 /* programs that use select() can count on it */
/* The kernel, short of memory, is to end a program and not the daemon, whose own score they would
 * inherit. */
#define OOM_SCORE "500"
#define OOM_SCORE_TRIES 50 /* some tenths of a millisecond */

typedef struct Birth {
        const ChildSetup *setup;
        int output, errors;
        pid_t parent;
        /* told by the child when it fails */
        int error;
        const char *call;
} Birth;

/* Nothing of ours: not even a pipe's write end that got one of the lowest numbers. */
static const char *set_descriptors(const Birth *b) {
        int output = fcntl(b->output, F_DUPFD, DESCRIPTOR_ASIDE),
            errors = fcntl(b->errors, F_DUPFD, DESCRIPTOR_ASIDE), null;

        if (output < 0 || errors < 0)
                return "fcntl";
        null = open("/dev/null", O_RDONLY);
        if (null < 0)
                return "open /dev/null";
        if (dup2(null, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 ||
            dup2(errors, STDERR_FILENO) < 0)
                return "dup2";
        return close_range(STDERR_FILENO + 1, ~0U, 0) < 0 ? "close_range" : NULL;
}

static const char *set_limits(void) {
        struct rlimit none = { 0, 0 }, descriptors;

        if (setrlimit(RLIMIT_CORE, &none) < 0 || getrlimit(RLIMIT_NOFILE, &descriptors) < 0)
                return "setrlimit";
        if (descriptors.rlim_cur > DESCRIPTORS_SOFT_MAX)
                descriptors.rlim_cur = DESCRIPTORS_SOFT_MAX;
        return setrlimit(RLIMIT_NOFILE, &descriptors) < 0 ? "setrlimit" : NULL;
}

/* From outside: the child has our memory until execve(), which is closed to everybody but root,
 * and so are its files in /proc then. That they are its own again can take a moment longer than
 * our standing still; of a program that may not be read they never are. Where the score cannot be
 * set, the kernel chooses as it likes. */
static void set_oom_score(pid_t pid) {
        char path[64];
        int fd = -1;

        (void)snprintf(path, sizeof path, "/proc/%d/oom_score_adj", (int)pid);
        for (unsigned i = 0; fd < 0 && i < OOM_SCORE_TRIES; i++) {
                if (i > 0)
                        (void)sched_yield();
                fd = open(path, O_WRONLY | O_CLOEXEC);
        }
        if (fd < 0)
                return;
        if (write(fd, OOM_SCORE, sizeof OOM_SCORE - 1) < 0)
                errno = 0;
        close(fd);
}

static const char *set_signals(void) {
        /* As the kernel has it: the library would refuse its own two signals, which whoever started
         * us may have left ignored. */
        static const struct {
                void (*handler)(int);
                unsigned long flags;
                void (*restorer)(void);
                uint64_t mask;
        } usual = { .handler = SIG_DFL };
        sigset_t none;

        /* The kernel refuses two. */
        for (int i = 1; i < NSIG; i++)
                (void)syscall(SYS_rt_sigaction, i, &usual, NULL, sizeof usual.mask);
        sigemptyset(&none);
        return sigprocmask(SIG_SETMASK, &none, NULL) < 0 ? "sigprocmask" : NULL;
}

static const char *become(const Birth *b) {
        const char *failed;

        /* We may be killed: nobody would know of the program then. */
        if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
                return "prctl";
        if (getppid() != b->parent)
                return "getppid";
        if (setsid() < 0)
                return "setsid";
        failed = set_descriptors(b) ?: set_limits();
        if (failed)
                return failed;
        umask(022);
        if (chdir("/") < 0)
                return "chdir";
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return "prctl";
        failed = set_signals();
        if (failed)
                return failed;
        execve(b->setup->command[0], b->setup->command, b->setup->environment);
        return "execve";
}

/* AddressSanitizer does not know the stack that this runs on. */
__attribute__((no_sanitize_address)) static int be_born(void *userdata) {
        Birth *b = userdata;

        b->call = become(b);
        b->error = errno;
        _exit(127);
}

pid_t child_spawn(const ChildSetup *setup, int output, int errors, void *stack, int *ret_pidfd,
                  const char **reterr_call) {
        Birth b = { .setup = setup, .output = output, .errors = errors, .parent = getpid() };
        sigset_t all, before;
        int pidfd = -1, error;
        pid_t pid;

        /* No handler of ours may run in the child. */
        sigfillset(&all);
        if (sigprocmask(SIG_SETMASK, &all, &before) < 0) {
                *reterr_call = "sigprocmask";
                return -errno;
        }
        pid = clone(be_born, (char *)stack + CHILD_STACK_SIZE,
                    CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &b, &pidfd);
        error = errno;
        (void)sigprocmask(SIG_SETMASK, &before, NULL);
        if (pid < 0) {
                *reterr_call = "clone";
                return -error;
        }
        if (!b.call) {
                set_oom_score(pid);
                *ret_pidfd = pidfd;
                return pid;
        }
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
                ;
        close(pidfd);
        *reterr_call = b.call;
        return -b.error;
}
