/* offload.h: the only place with threads: a few workers, tasks in, values out through an eventfd. A
 * task sees nothing but its own argument. An overdue task is disowned: its caller hears -ETIMEDOUT
 * at once and the result is freed when it comes. */
#pragma once

#include <sys/socket.h>

#include "loop.h"

typedef struct Offload Offload;
typedef struct OffloadTask OffloadTask;

/* Runs on a worker; `argument` is the task's alone. Returns a value that the caller owns. */
typedef void *(*OffloadWork)(void *argument);
/* Runs on the loop: r is 0 with the value, or -ETIMEDOUT with NULL. */
typedef void (*OffloadDone)(void *userdata, int r, void *value);
typedef void (*OffloadFree)(void *p);

/* `n_workers` threads, at most `n_tasks` tasks queued or running. */
int offload_new(Offload **ret, Loop *loop, unsigned n_workers, unsigned n_tasks) _must_check_;
/* Waits for no worker: what runs is disowned. */
Offload *offload_free(Offload *o);
DEFINE_CLEANUP(Offload *, offload_free);

/* Queues a task. Hands `argument` over (freed by free_argument after the work). Returns 0, -EAGAIN
 * when the queue is full (argument stays the caller's). */
int offload_run(Offload *o, OffloadWork work, void *argument, OffloadFree free_argument,
                OffloadFree free_value, usec_t timeout, OffloadDone done, void *userdata,
                OffloadTask **ret) _must_check_;
/* The same for work that may sit on its worker, at a dead name server for one: at most `most` tasks
 * of this work run at once, disowned ones included; the others stay queued, and later tasks of
 * other work pass them. */
int offload_run_few(Offload *o, unsigned most, OffloadWork work, void *argument,
                    OffloadFree free_argument, OffloadFree free_value, usec_t timeout,
                    OffloadDone done, void *userdata, OffloadTask **ret) _must_check_;
/* The caller does not want the answer any more; done() is not called. */
void offload_cancel(OffloadTask *t);

/* Name resolution as a task. */
typedef struct Address {
        uint32_t length;
        bool routed; /* of one that was resolved: this host has a route to it */
        union {
                struct sockaddr_storage storage;
        } u; /* of which `length` bytes count */
} Address;
typedef struct AddressList {
        int error; /* 0, or a getaddrinfo() code; words by offload_resolve_words() */
        bool more; /* than there is room for */
        size_t n;
        Address addresses[64];
} AddressList;
/* Whether both name the same place. */
bool address_equal(const Address *a, const Address *b);
/* Resolves host and port (a numeric host too). done() gets an AddressList that it frees with
 * free(): each address once, in an order that does not depend on the answer's. */
int offload_resolve(Offload *o, const char *host, uint16_t port, usec_t timeout, OffloadDone done,
                    void *userdata, OffloadTask **ret) _must_check_;
const char *offload_resolve_words(int error);
