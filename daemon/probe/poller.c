#include <errno.h>
#include <unistd.h>

#include "poller.h"

/* Fetched with one call. */
#define EVENTS_AT_ONCE 128
/* Between two looks at the clock: one event may cost 5 ms, the first part of a large page. */
#define EVENTS_PER_LOOK 8
/* The other sources of the loop get their turn. */
#define TURN_MAX (5 * USEC_PER_MSEC)

/* By descriptor. An event names its descriptor and the generation of its watch: one that was
 * fetched before its descriptor was closed, and perhaps opened anew, is nobody's. */
typedef struct Watch {
        PollItem *item;
        uint32_t generation;
        uint32_t events;
} Watch;

struct Poller {
        int epoll;
        LoopIo *io;
        Watch *watches;
        size_t n_watches;
        void (*on_told)(void *userdata);
        void *userdata;
        bool serving;
};

static void on_readable(void *userdata, int fd _unused_, uint32_t events _unused_) {
        (void)poller_serve(userdata);
}

int poller_new(Poller **ret, Loop *loop, void (*on_told)(void *userdata), void *userdata) {
        _cleanup_(poller_freep) Poller *p = calloc(1, sizeof *p);
        int r;

        if (!p)
                return -ENOMEM;
        p->on_told = on_told;
        p->userdata = userdata;
        p->epoll = epoll_create1(EPOLL_CLOEXEC);
        if (p->epoll < 0)
                return -errno;
        r = loop_add_io(loop, p->epoll, EPOLLIN, on_readable, p, "poller", &p->io);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(p);
        return 0;
}

Poller *poller_free(Poller *p) {
        if (!p)
                return NULL;
        loop_io_free(p->io);
        if (p->epoll >= 0)
                close(p->epoll);
        free(p->watches);
        free(p);
        return NULL;
}

static int make_room(Poller *p, size_t n) {
        size_t larger = MAX(p->n_watches * 2, (size_t)64);

        if (n <= p->n_watches)
                return 0;
        while (larger < n)
                larger *= 2;

        Watch *watches = reallocarray(p->watches, larger, sizeof *watches);
        if (!watches)
                return -ENOMEM;
        memset(watches + p->n_watches, 0, (larger - p->n_watches) * sizeof *watches);
        p->watches = watches;
        p->n_watches = larger;
        return 0;
}

static int control(Poller *p, int operation, int fd, uint32_t events) {
        struct epoll_event e = {
                .events = events | EPOLLRDHUP | EPOLLET,
                .data.u64 = (uint64_t)p->watches[fd].generation << 32 | (uint32_t)fd,
        };

        p->watches[fd].events = events;
        return epoll_ctl(p->epoll, operation, fd, &e) < 0 ? -errno : 0;
}

int poller_add(Poller *p, PollItem *i, int fd, uint32_t events,
               void (*on_ready)(PollItem *item, uint32_t events)) {
        int r;

        *i = (PollItem){ .on_ready = on_ready, .fd = -1 };
        r = make_room(p, (size_t)fd + 1);
        if (r < 0)
                return r;
        r = control(p, EPOLL_CTL_ADD, fd, events);
        if (r < 0)
                return r;
        i->fd = fd;
        p->watches[fd].item = i;
        return 0;
}

void poller_remove(Poller *p, PollItem *i) {
        if (i->fd < 0)
                return;
        p->watches[i->fd].item = NULL;
        p->watches[i->fd].generation++;
        i->fd = -1;
}

void poller_detach(Poller *p, PollItem *i) {
        if (i->fd >= 0)
                (void)control(p, EPOLL_CTL_DEL, i->fd, 0);
        poller_remove(p, i);
}

int poller_tell_again(Poller *p, const PollItem *i, uint32_t events) {
        return control(p, EPOLL_CTL_MOD, i->fd, events);
}

/* Whose event it is; NULL: nobody's any more. */
static const Watch *watch_of(const Poller *p, const struct epoll_event *e) {
        const Watch *w = &p->watches[e->data.u64 & UINT32_MAX];

        return w->item && w->generation == e->data.u64 >> 32 ? w : NULL;
}

/* Tells one event after the other, until `end`. Returns how many. */
static int tell(Poller *p, const struct epoll_event events[], int n, usec_t end) {
        for (int i = 0; i < n; i++) {
                const Watch *w = watch_of(p, &events[i]);

                if (w)
                        w->item->on_ready(w->item, events[i].events);
                if ((i + 1) % EVENTS_PER_LOOK == 0 && loop_clock() >= end)
                        return i + 1;
        }
        return n;
}

/* What was fetched and not told is told in a later turn: the edge is made anew. */
static void put_back(Poller *p, const struct epoll_event events[], int n) {
        for (int i = 0; i < n; i++) {
                const Watch *w = watch_of(p, &events[i]);

                if (w)
                        (void)control(p, EPOLL_CTL_MOD, w->item->fd, w->events);
        }
}

static bool serve(Poller *p) {
        struct epoll_event events[EVENTS_AT_ONCE];
        usec_t end = usec_add(loop_clock(), TURN_MAX);

        do {
                int n = epoll_wait(p->epoll, events, EVENTS_AT_ONCE, 0),
                    told = tell(p, events, n, end);

                put_back(p, events + told, n - told);
                if (told < n)
                        return false;
                if (n < EVENTS_AT_ONCE)
                        return n >= 0;
        } while (loop_clock() < end);
        return false;
}

bool poller_serve(Poller *p) {
        bool all;

        p->serving = true;
        all = serve(p);
        p->serving = false;
        if (p->on_told)
                p->on_told(p->userdata);
        return all;
}

bool poller_is_serving(const Poller *p) {
        return p->serving;
}
