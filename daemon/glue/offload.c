/* offload.c: the workers. What they and the loop share is one `Pool` under one mutex, counted by
 * its users (the loop's Offload and every worker), so that Offload may go while a worker still sits
 * in a resolver: the last to leave frees the pool. A task belongs to the loop until it is disowned
 * while running; then the worker frees it. */
#include "offload.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define WORKERS_MAX 16

typedef enum TaskState { TASK_QUEUED, TASK_RUNNING, TASK_FINISHED } TaskState;

typedef struct Pool {
        pthread_mutex_t lock;
        pthread_cond_t work;
        OffloadTask *queue, *queue_last;       /* not started yet, oldest first */
        OffloadTask *finished, *finished_last; /* to be handed to the loop, oldest first */
        unsigned n_users;
        unsigned n_running;                /* disowned ones too */
        OffloadTask *running[WORKERS_MAX]; /* theirs; NULL: none */
        bool stopping;
        int event_fd;
} Pool;

struct OffloadTask {
        Offload *offload;
        OffloadWork work;
        unsigned most; /* of this work at once; 0: any number */
        void *argument, *value;
        OffloadFree free_argument, free_value;
        OffloadDone done;
        void *userdata;
        usec_t deadline;
        OffloadTask *next; /* in queue or finished, under the lock */
        OffloadTask *active_next,
                **active_at; /* in the loop's list of tasks whose answer is awaited */
        TaskState state;     /* under the lock */
        bool disowned;       /* under the lock */
};

struct Offload {
        Loop *loop;
        LoopIo *io;
        LoopTimer *timer;
        Pool *pool;
        OffloadTask *active;
        unsigned n_waiting, n_tasks;
        bool calling; /* done() callbacks run, one of which may free us: then */
        bool gone;    /* all but this memory is freed, which goes after the last of them */
};

static void task_free(OffloadTask *t) {
        if (t->argument && t->free_argument)
                t->free_argument(t->argument);
        if (t->value && t->free_value)
                t->free_value(t->value);
        free(t);
}

/* Called with the lock held, which it releases. */
static void pool_leave(Pool *p) {
        bool last = --p->n_users == 0;

        (void)pthread_mutex_unlock(&p->lock);
        if (!last)
                return;
        (void)close(p->event_fd);
        (void)pthread_cond_destroy(&p->work);
        (void)pthread_mutex_destroy(&p->lock);
        free(p);
}

static void list_append(OffloadTask **first, OffloadTask **last, OffloadTask *t) {
        t->next = NULL;
        if (*first)
                (*last)->next = t;
        else
                *first = t;
        *last = t;
}

static OffloadTask *list_take_first(OffloadTask **first) {
        OffloadTask *t = *first;

        if (t)
                *first = t->next;
        return t;
}

static void list_remove(OffloadTask **first, OffloadTask **last, OffloadTask *t) {
        OffloadTask *before = NULL;

        for (OffloadTask *i = *first; i && i != t; i = i->next)
                before = i;
        if (before)
                before->next = t->next;
        else
                *first = t->next;
        if (*last == t)
                *last = before;
}

static bool may_run(const Pool *p, const OffloadTask *t) {
        unsigned n = 0;

        for (size_t i = 0; i < WORKERS_MAX; i++)
                n += p->running[i] && p->running[i]->work == t->work;
        return t->most == 0 || n < t->most;
}

/* The oldest task that may run now. What may not, a worker that ends a task looks at again. */
static OffloadTask *queue_take(Pool *p) {
        OffloadTask *t = p->queue;

        while (t && !may_run(p, t))
                t = t->next;
        if (t)
                list_remove(&p->queue, &p->queue_last, t);
        return t;
}

static void note_running(Pool *p, const OffloadTask *was, OffloadTask *is) {
        for (size_t i = 0; i < WORKERS_MAX; i++)
                if (p->running[i] == was) {
                        p->running[i] = is;
                        return;
                }
}

/* Runs one task; called and returns with the lock held. */
static void worker_run(Pool *p, OffloadTask *t) {
        const uint64_t one = 1;
        void *value;

        t->state = TASK_RUNNING;
        p->n_running++;
        note_running(p, NULL, t);
        (void)pthread_mutex_unlock(&p->lock);
        value = t->work(t->argument);
        if (t->free_argument)
                t->free_argument(t->argument);
        t->argument = NULL;
        (void)pthread_mutex_lock(&p->lock);
        p->n_running--;
        note_running(p, t, NULL);
        t->state = TASK_FINISHED;
        t->value = value;
        if (t->disowned) {
                /* Nobody else knows it any more; freeing may take as long as the work did, so the
                 * loop must not wait for it at the lock. */
                (void)pthread_mutex_unlock(&p->lock);
                task_free(t);
                (void)pthread_mutex_lock(&p->lock);
                return;
        }
        list_append(&p->finished, &p->finished_last, t);
        /* Cannot be full: the loop reads the whole counter at once. */
        if (write(p->event_fd, &one, sizeof one) < 0)
                assert(errno == EAGAIN);
}

static void *worker(void *argument) {
        Pool *p = argument;

        (void)pthread_mutex_lock(&p->lock);
        while (!p->stopping) {
                OffloadTask *t = queue_take(p);

                if (t)
                        worker_run(p, t);
                else
                        (void)pthread_cond_wait(&p->work, &p->lock);
        }
        pool_leave(p);
        return NULL;
}

static void active_remove(OffloadTask *t) {
        *t->active_at = t->active_next;
        if (t->active_next)
                t->active_next->active_at = t->active_at;
        t->offload->n_waiting--;
}

/* Gives the task up: frees it now, or leaves that to the worker that runs it. The pool's lock is
 * not held. */
static void task_disown(OffloadTask *t) {
        Pool *p = t->offload->pool;
        bool running;

        active_remove(t);
        (void)pthread_mutex_lock(&p->lock);
        running = t->state == TASK_RUNNING;
        if (running)
                t->disowned = true;
        else if (t->state == TASK_QUEUED)
                list_remove(&p->queue, &p->queue_last, t);
        else
                list_remove(&p->finished, &p->finished_last, t);
        (void)pthread_mutex_unlock(&p->lock);
        if (!running)
                task_free(t);
}

static void arm_timer(Offload *o) {
        usec_t next = USEC_INFINITY;

        for (OffloadTask *t = o->active; t; t = t->active_next)
                next = MIN(next, t->deadline);
        loop_timer_set(o->timer, next);
}

static OffloadTask *active_find_overdue(Offload *o, usec_t now) {
        for (OffloadTask *t = o->active; t; t = t->active_next)
                if (t->deadline <= now)
                        return t;
        return NULL;
}

static void on_deadline(void *userdata, usec_t now) {
        Offload *o = userdata;
        OffloadTask *t;

        o->calling = true;
        while (!o->gone && (t = active_find_overdue(o, now))) {
                OffloadDone done = t->done;
                void *for_done = t->userdata;

                task_disown(t);
                done(for_done, -ETIMEDOUT, NULL);
        }
        o->calling = false;
        if (o->gone)
                free(o);
        else
                arm_timer(o);
}

static OffloadTask *pool_take_finished(Pool *p) {
        OffloadTask *t;

        (void)pthread_mutex_lock(&p->lock);
        t = list_take_first(&p->finished);
        (void)pthread_mutex_unlock(&p->lock);
        return t;
}

static void on_finished(void *userdata, int fd, uint32_t events) {
        Offload *o = userdata;
        OffloadTask *t;
        uint64_t count;

        (void)events;
        /* A failed read leaves the descriptor readable, and we come again. */
        if (read(fd, &count, sizeof count) < 0)
                return;
        o->calling = true;
        while (!o->gone && (t = pool_take_finished(o->pool))) {
                active_remove(t);
                t->done(t->userdata, 0, TAKE_PTR(t->value));
                task_free(t);
        }
        o->calling = false;
        if (o->gone)
                free(o);
}

static int pool_new(Pool **ret) {
        _cleanup_(freep) Pool *p = calloc(1, sizeof *p);
        int r;

        if (!p)
                return -ENOMEM;
        p->n_users = 1;
        p->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        if (p->event_fd < 0)
                return -errno;
        r = pthread_mutex_init(&p->lock, NULL);
        if (r == 0) {
                r = pthread_cond_init(&p->work, NULL);
                if (r == 0) {
                        *ret = TAKE_PTR(p);
                        return 0;
                }
                (void)pthread_mutex_destroy(&p->lock);
        }
        (void)close(p->event_fd);
        return -r;
}

/* Starts one worker with every signal blocked, so that signals stay with the loop. */
static int pool_start_worker(Pool *p, unsigned number) {
        sigset_t all, before;
        pthread_t thread;
        char name[16];
        int r;

        (void)sigfillset(&all);
        r = pthread_sigmask(SIG_SETMASK, &all, &before);
        if (r != 0)
                return -r;
        (void)pthread_mutex_lock(&p->lock);
        p->n_users++;
        (void)pthread_mutex_unlock(&p->lock);
        r = pthread_create(&thread, NULL, worker, p);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (r != 0) {
                (void)pthread_mutex_lock(&p->lock);
                pool_leave(p);
                return -r;
        }
        (void)snprintf(name, sizeof name, "offload-%u", number);
        (void)pthread_setname_np(thread, name);
        (void)pthread_detach(thread);
        return 0;
}

int offload_new(Offload **ret, Loop *loop, unsigned n_workers, unsigned n_tasks) {
        _cleanup_(offload_freep) Offload *o = NULL;
        int r;

        assert(ret && loop && n_workers > 0 && n_workers <= WORKERS_MAX && n_tasks > 0);
        o = calloc(1, sizeof *o);
        if (!o)
                return -ENOMEM;
        o->loop = loop;
        o->n_tasks = n_tasks;
        r = pool_new(&o->pool);
        if (r < 0)
                return r;
        r = loop_add_io(loop, o->pool->event_fd, EPOLLIN, on_finished, o, "offload", &o->io);
        if (r < 0)
                return r;
        r = loop_add_timer(loop, on_deadline, o, "offload deadline", &o->timer);
        if (r < 0)
                return r;
        for (unsigned i = 0; i < n_workers; i++) {
                r = pool_start_worker(o->pool, i);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(o);
        return 0;
}

Offload *offload_free(Offload *o) {
        if (!o)
                return NULL;
        loop_io_free(o->io);
        loop_timer_free(o->timer);
        while (o->active)
                task_disown(o->active);
        if (o->pool) {
                (void)pthread_mutex_lock(&o->pool->lock);
                o->pool->stopping = true;
                (void)pthread_cond_broadcast(&o->pool->work);
                pool_leave(o->pool);
        }
        o->gone = true;
        if (!o->calling)
                free(o);
        return NULL;
}

/* Tasks that take up room: those whose answer is awaited, and the disowned ones that still run. */
static unsigned count_tasks(Offload *o) {
        unsigned n = o->n_waiting;

        (void)pthread_mutex_lock(&o->pool->lock);
        n = MAX(n, o->pool->n_running);
        (void)pthread_mutex_unlock(&o->pool->lock);
        return n;
}

int offload_run(Offload *o, OffloadWork work, void *argument, OffloadFree free_argument,
                OffloadFree free_value, usec_t timeout, OffloadDone done, void *userdata,
                OffloadTask **ret) {
        return offload_run_few(o, 0, work, argument, free_argument, free_value, timeout, done,
                               userdata, ret);
}

int offload_run_few(Offload *o, unsigned most, OffloadWork work, void *argument,
                    OffloadFree free_argument, OffloadFree free_value, usec_t timeout,
                    OffloadDone done, void *userdata, OffloadTask **ret) {
        OffloadTask *t;

        assert(o && work && done);
        if (count_tasks(o) >= o->n_tasks)
                return -EAGAIN;
        t = malloc(sizeof *t);
        if (!t)
                return -ENOMEM;
        *t = (OffloadTask){
                .offload = o,
                .work = work,
                .most = most,
                .argument = argument,
                .free_argument = free_argument,
                .free_value = free_value,
                .done = done,
                .userdata = userdata,
                .deadline = usec_add(loop_now(o->loop), timeout),
                .active_next = o->active,
                .active_at = &o->active,
        };
        if (o->active)
                o->active->active_at = &t->active_next;
        o->active = t;
        o->n_waiting++;
        arm_timer(o);
        (void)pthread_mutex_lock(&o->pool->lock);
        list_append(&o->pool->queue, &o->pool->queue_last, t);
        (void)pthread_cond_signal(&o->pool->work);
        (void)pthread_mutex_unlock(&o->pool->lock);
        if (ret)
                *ret = t;
        return 0;
}

void offload_cancel(OffloadTask *t) {
        if (t)
                task_disown(t);
}
