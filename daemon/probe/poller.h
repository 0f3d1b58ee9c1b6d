/* poller.h: the descriptors of all probes behind one source of the loop. A descriptor is added once
 * and is edge-triggered: whoever waits for it reads or writes until nothing is left. Knows nothing
 * of probes. */
#pragma once

#include "loop.h"

typedef struct Poller Poller;
typedef struct PollItem PollItem;

/* Embedded in whoever waits. Inside the callback any item may be removed and its memory freed, its
 * own too, and any may be added. */
struct PollItem {
        void (*on_ready)(PollItem *item, uint32_t events);
        int fd; /* -1: not watched */
};

/* `on_told`, or NULL, is called after each turn's last callback. */
int poller_new(Poller **ret, Loop *loop, void (*on_told)(void *userdata),
               void *userdata) _must_check_;
Poller *poller_free(Poller *p);
DEFINE_CLEANUP(Poller *, poller_free);

/* Watches a descriptor, which stays the caller's, for `events` (EPOLLIN, EPOLLOUT); its end and its
 * errors are told with any. Returns 0, or a negative errno and i->fd is -1. */
int poller_add(Poller *p, PollItem *i, int fd, uint32_t events,
               void (*on_ready)(PollItem *item, uint32_t events)) _must_check_;
/* Nothing more is told. The descriptor is to be closed next: that takes it out of the epoll. */
void poller_remove(Poller *p, PollItem *i);
/* The same for a descriptor that stays open for now: it may be added again. */
void poller_detach(Poller *p, PollItem *i);
/* Tells again in a later turn what is ready now, for one that left something unread. Returns 0 or a
 * negative errno. */
int poller_tell_again(Poller *p, const PollItem *i, uint32_t events) _must_check_;
/* Tells what is ready, for a bounded time. Returns whether everybody has been told: then whoever
 * was not has nothing. Not from within a callback of its own. */
bool poller_serve(Poller *p);
/* Whether one of its callbacks runs. */
bool poller_is_serving(const Poller *p);
