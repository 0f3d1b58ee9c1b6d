#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child_internal.h"
#include "ring.h"

#define READ_SIZE ((size_t)64 * 1024) /* what a pipe holds */
/* Of one output in one turn: a child that never stops writing must not keep the loop. */
#define READS_PER_TURN 4
/* What children that were ended when the daemon ends may take to be gone. */
#define LAST_WAIT_MSEC 100

typedef struct Output {
        PollItem item; /* first, so that an item is its output */
        Child *child;
        char *text;
        size_t n, capacity;
        uint64_t lost;
} Output;

struct Child {
        PollItem item; /* of the pidfd; first, so that an item is its child */
        Children *children;
        Ring in_children;
        pid_t pid;
        int pidfd;
        Output output, errors;
        int fds[2]; /* our ends of the outputs, -1: closed */
        void (*on_end)(void *userdata, const ChildEnd *end); /* NULL: cancelled */
        void *userdata;
};

struct Children {
        Poller *poller;
        Ring children;
        size_t n;
        void *stack;   /* of the one that is being started */
        char *scratch; /* READ_SIZE bytes */
};

int children_new(Children **ret, Poller *poller) {
        _cleanup_(children_freep) Children *c = calloc(1, sizeof *c);
        struct sigaction action;

        if (!c)
                return -ENOMEM;
        c->poller = poller;
        ring_init(&c->children);
        c->stack = mmap(NULL, CHILD_STACK_SIZE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
        if (c->stack == MAP_FAILED) {
                c->stack = NULL;
                return -ENOMEM;
        }
        c->scratch = malloc(READ_SIZE);
        if (!c->scratch)
                return -ENOMEM;
        /* Inherited as ignored, the kernel would throw every exit code away. */
        if (sigaction(SIGCHLD, NULL, &action) == 0 && action.sa_handler == SIG_IGN)
                signal(SIGCHLD, SIG_DFL);
        *ret = TAKE_PTR(c);
        return 0;
}

static Output *output_of(Child *child, unsigned i) {
        return i == 0 ? &child->output : &child->errors;
}

static void close_output(Child *child, unsigned i) {
        if (child->fds[i] < 0)
                return;
        poller_remove(child->children->poller, &output_of(child, i)->item);
        close(child->fds[i]);
        child->fds[i] = -1;
}

static void child_free(Child *child) {
        for (unsigned i = 0; i < 2; i++) {
                close_output(child, i);
                free(output_of(child, i)->text);
        }
        if (child->pidfd >= 0) {
                poller_remove(child->children->poller, &child->item);
                close(child->pidfd);
        }
        if (child->pid > 0) {
                ring_remove(&child->in_children);
                child->children->n--;
        }
        free(child);
}

/* Everybody of its group; the child itself has its number until it has been waited for. */
static void kill_group(const Child *child) {
        (void)kill(-child->pid, SIGKILL);
}

/* Returns whether it has ended. With `options` 0 it is gone from the kernel then; WNOWAIT only
 * looks. */
static bool has_ended(const Child *child, int options, ChildEnd *end) {
        siginfo_t info = { 0 };
        int r;

        do
                r = waitid(P_PIDFD, (id_t)child->pidfd, &info, WEXITED | WNOHANG | options);
        while (r < 0 && errno == EINTR);
        if (r == 0 && info.si_pid == 0)
                return false;
        end->code = r == 0 && info.si_code == CLD_EXITED ? info.si_status : -1;
        end->signal = r == 0 && info.si_code != CLD_EXITED ? info.si_status : 0;
        return true;
}

static void wait_last(Child *child) {
        struct pollfd p = { .fd = child->pidfd, .events = POLLIN };
        ChildEnd ignored;

        (void)poll(&p, 1, LAST_WAIT_MSEC);
        (void)has_ended(child, 0, &ignored);
        child_free(child);
}

Children *children_free(Children *c) {
        if (!c)
                return NULL;
        for (Ring *i = c->children.next; i != &c->children; i = i->next)
                kill_group(RING_ITEM(i, Child, in_children));
        while (!ring_is_empty(&c->children))
                wait_last(RING_ITEM(c->children.next, Child, in_children));
        if (c->stack)
                (void)munmap(c->stack, CHILD_STACK_SIZE);
        free(c->scratch);
        free(c);
        return NULL;
}

/* Without memory for it, it counts as lost. */
static void keep(Output *o, const char *text, size_t n) {
        size_t wanted = MIN(n, CHILD_OUTPUT_MAX - o->n);

        if (o->n + wanted > o->capacity) {
                size_t capacity = MIN(MAX(o->capacity * 2, o->n + wanted), CHILD_OUTPUT_MAX);
                char *larger = realloc(o->text, capacity);

                if (larger) {
                        o->text = larger;
                        o->capacity = capacity;
                } else
                        wanted = 0;
        }
        if (wanted > 0)
                memcpy(o->text + o->n, text, wanted);
        o->n += wanted;
        o->lost += n - wanted;
}

/* Reads what is there, within a turn's measure. Returns whether there may be more. */
static bool read_output(Child *child, unsigned i) {
        Output *o = output_of(child, i);
        char *scratch = child->children->scratch;

        for (unsigned reads = 0; child->fds[i] >= 0 && reads < READS_PER_TURN; reads++) {
                ssize_t n = read(child->fds[i], scratch, READ_SIZE);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN)
                        return false;
                if (n <= 0)
                        close_output(child, i);
                else
                        keep(o, scratch, (size_t)n);
        }
        return child->fds[i] >= 0;
}

static void on_output(PollItem *item, uint32_t events _unused_) {
        Child *child = ((Output *)item)->child;
        unsigned i = item == &child->errors.item;

        /* One whose pipe can no longer be told is not left to fill it and wait for ever. */
        if (read_output(child, i) && poller_tell_again(child->children->poller, item, EPOLLIN) < 0)
                close_output(child, i);
}

static ChildOutput output_result(const Output *o) {
        return (ChildOutput){ .text = o->text ?: "", .n = o->n, .lost = o->lost };
}

static void on_exit_ready(PollItem *item, uint32_t events _unused_) {
        Child *child = (Child *)item;
        ChildEnd end = { .code = -1 };

        if (!has_ended(child, WNOWAIT, &end))
                return;
        /* It is a zombie by now, which keeps the number of its group: whoever it left behind is
         * ended before another program can get that number. */
        kill_group(child);
        (void)has_ended(child, 0, &end);
        for (unsigned i = 0; child->on_end && i < 2; i++)
                (void)read_output(child, i);
        end.output = output_result(&child->output);
        end.errors = output_result(&child->errors);
        if (child->on_end)
                child->on_end(child->userdata, &end);
        child_free(child);
}

/* Our end of a pipe, which never blocks, and the child's, which does. */
static int open_pipe(int *ret_read, int *ret_write) {
        int fds[2];

        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        if (fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0) {
                int r = -errno;

                close(fds[0]);
                close(fds[1]);
                return r;
        }
        *ret_read = fds[0];
        *ret_write = fds[1];
        return 0;
}

static int watch(Child *child) {
        Poller *p = child->children->poller;
        int r = poller_add(p, &child->item, child->pidfd, EPOLLIN, on_exit_ready);

        for (unsigned i = 0; r >= 0 && i < 2; i++)
                r = poller_add(p, &output_of(child, i)->item, child->fds[i], EPOLLIN, on_output);
        return r;
}

static int spawn(Child *child, const ChildSetup *setup, const char **reterr_call) {
        int theirs[2] = { -1, -1 };
        int r = 0;

        *reterr_call = "pipe2";
        for (unsigned i = 0; r >= 0 && i < 2; i++)
                r = open_pipe(&child->fds[i], &theirs[i]);
        if (r >= 0)
                r = child_spawn(setup, theirs[0], theirs[1], child->children->stack, &child->pidfd,
                                reterr_call);
        for (unsigned i = 0; i < 2; i++)
                if (theirs[i] >= 0)
                        close(theirs[i]);
        return r;
}

int child_start(Child **ret, Children *c, const ChildSetup *setup, const char **reterr_call) {
        Child *child;
        int r;

        if (c->n >= CHILDREN_MAX)
                return -EBUSY;
        child = calloc(1, sizeof *child);
        if (!child) {
                *reterr_call = "calloc";
                return -ENOMEM;
        }
        *child = (Child){
                .children = c,
                .item.fd = -1,
                .pidfd = -1,
                .fds = { -1, -1 },
                .output = { .item.fd = -1, .child = child },
                .errors = { .item.fd = -1, .child = child },
                .on_end = setup->on_end,
                .userdata = setup->userdata,
        };
        r = spawn(child, setup, reterr_call);
        if (r < 0) {
                child_free(child);
                return r;
        }
        child->pid = r;
        ring_append(&c->children, &child->in_children);
        c->n++;
        r = watch(child);
        if (r < 0) {
                *reterr_call = "epoll_ctl";
                kill_group(child);
                wait_last(child);
                return r;
        }
        *ret = child;
        return 0;
}

void child_cancel(Child *child) {
        if (!child)
                return;
        child->on_end = NULL;
        for (unsigned i = 0; i < 2; i++)
                close_output(child, i);
        kill_group(child);
}
