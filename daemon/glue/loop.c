/* loop.c: sd-event behind our own names. Lifetimes: a timer or descriptor watch is the caller's,
 * and so is its userdata, which must outlive the watch. Either may be freed inside its own
 * callback: sd-event keeps its source until the dispatch is over, and nothing here touches our half
 * after the callback. */
#include "loop.h"

#include <errno.h>
#include <time.h>

#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

/* sd-event reads 0 as 250 ms. */
#define ACCURACY USEC_PER_MSEC
#define GAP_MAX (2 * USEC_PER_SEC)

typedef struct LoopSignal LoopSignal;

struct LoopSignal {
        LoopSignalCallback callback;
        void *userdata;
        sd_event_source *source;
        LoopSignal *next;
};

struct Loop {
        sd_event *event;
        LoopSignal *signals;
        LoopTimer *timers;
        LoopJumpCallback on_jump;
        void *jump_userdata;
        LoopAfterCallback after;
        void *after_userdata;
        usec_t last_turn;
        usec_t slept_at;       /* when it went to sleep; 0: it did not since the last turn */
        sd_event_source *mark; /* comes after all that was ready when the turn began */
        bool mark_wanted, mark_set, marked;
        usec_t turn_cpu; /* of the thread, when the turn began */
        usec_t longest_turn;
        usec_t turn_began, stalled;
        usec_t stalled_until; /* all stalls up to this instant are in */
};

struct LoopTimer {
        Loop *loop;
        sd_event_source *source;
        LoopTimer *previous, *next;
        usec_t at;     /* what it is set to; USEC_INFINITY: it is not */
        usec_t latest; /* instant by which it is to come; USEC_INFINITY: it is not set */
        usec_t slack;
        usec_t armed; /* the instant at which it was */
        LoopTimerCallback callback;
        void *userdata;
};

struct LoopIo {
        sd_event_source *source;
        LoopIoCallback callback;
        void *userdata;
};

static usec_t clock_usec(clockid_t clock) {
        struct timespec t;

        if (clock_gettime(clock, &t) < 0)
                return 0;
        return (usec_t)t.tv_sec * USEC_PER_SEC + (usec_t)t.tv_nsec / 1000;
}

usec_t loop_now(Loop *l) {
        uint64_t now;

        assert(l);
        /* Fails only for a clock that sd-event does not know, or in a forked child. */
        return sd_event_now(l->event, CLOCK_BOOTTIME, &now) < 0 ? clock_usec(CLOCK_BOOTTIME) : now;
}

usec_t loop_clock(void) {
        return clock_usec(CLOCK_BOOTTIME);
}

static usec_t stall_of(usec_t from, usec_t to) {
        usec_t time = usec_sub(to, from);

        return time >= LOOP_STALL ? time : 0;
}

usec_t loop_stalled(const Loop *l) {
        assert(l);
        return l->stalled + stall_of(l->turn_began, loop_clock());
}

static void note_stall(Loop *l, usec_t from, usec_t to) {
        if (stall_of(from, to) == 0)
                return;
        l->stalled += to - from;
        l->stalled_until = to;
}

/* A timer that was due while the loop slept: who should have woken us did not. */
static void note_late_wake(Loop *l, usec_t at) {
        note_stall(l, MAX(at, l->stalled_until), l->turn_began);
}

static int on_mark(sd_event_source *source, uint64_t at, void *userdata) {
        Loop *l = userdata;

        (void)source;
        (void)at;
        l->mark_set = false;
        l->marked = true;
        return 0;
}

int loop_new(Loop **ret) {
        _cleanup_(loop_freep) Loop *l = calloc(1, sizeof *l);
        int r;

        assert(ret);
        if (!l)
                return -ENOMEM;
        r = sd_event_new(&l->event);
        if (r < 0)
                return r;
        r = sd_event_add_time(l->event, &l->mark, CLOCK_BOOTTIME, 0, ACCURACY, on_mark, l);
        if (r < 0)
                return r;
        (void)sd_event_source_set_description(l->mark, "mark");
        r = sd_event_source_set_enabled(l->mark, SD_EVENT_OFF);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(l);
        return 0;
}

Loop *loop_free(Loop *l) {
        if (!l)
                return NULL;
        /* Whoever owns one may go later than the loop. */
        for (LoopTimer *t = l->timers; t; t = t->next)
                t->loop = NULL;
        while (l->signals) {
                LoopSignal *s = l->signals;

                l->signals = s->next;
                sd_event_source_disable_unref(s->source);
                free(s);
        }
        sd_event_source_disable_unref(l->mark);
        sd_event_unref(l->event);
        free(l);
        return NULL;
}

static int on_timer(sd_event_source *source, uint64_t at, void *userdata) {
        LoopTimer *t = userdata;

        (void)source;
        (void)at;
        note_late_wake(t->loop, MAX(t->latest, t->armed));
        t->at = t->latest = USEC_INFINITY;
        t->callback(t->userdata, loop_now(t->loop));
        return 0;
}

int loop_add_timer(Loop *l, LoopTimerCallback callback, void *userdata, const char *name,
                   LoopTimer **ret) {
        _cleanup_(loop_timer_freep) LoopTimer *t = calloc(1, sizeof *t);
        int r;

        assert(l && callback && ret);
        if (!t)
                return -ENOMEM;
        *t = (LoopTimer){ .loop = l,
                          .at = USEC_INFINITY,
                          .latest = USEC_INFINITY,
                          .slack = ACCURACY,
                          .callback = callback,
                          .userdata = userdata };
        r = sd_event_add_time(l->event, &t->source, CLOCK_BOOTTIME, USEC_INFINITY, ACCURACY,
                              on_timer, t);
        if (r < 0)
                return r;
        r = sd_event_source_set_enabled(t->source, SD_EVENT_OFF);
        if (r < 0)
                return r;
        (void)sd_event_source_set_description(t->source, name);
        t->next = l->timers;
        if (t->next)
                t->next->previous = t;
        l->timers = t;
        *ret = TAKE_PTR(t);
        return 0;
}

void loop_timer_set(LoopTimer *t, usec_t at) {
        loop_timer_set_within(t, at, ACCURACY);
}

void loop_timer_set_within(LoopTimer *t, usec_t at, usec_t slack) {
        assert(t);
        /* Whoever sets it to what is due next often sets it to the same again. */
        if (at == t->at && slack == t->slack)
                return;
        t->at = at;
        t->latest = slack > ACCURACY ? usec_add(at, slack) : at;
        t->armed = loop_clock();
        if (slack != t->slack)
                (void)sd_event_source_set_time_accuracy(t->source, slack);
        t->slack = slack;
        /* Neither call allocates for a source that is there; they refuse only when the loop has
         * finished, and then no timer matters. */
        if (at != USEC_INFINITY)
                (void)sd_event_source_set_time(t->source, at);
        (void)sd_event_source_set_enabled(t->source,
                                          at == USEC_INFINITY ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
}

LoopTimer *loop_timer_free(LoopTimer *t) {
        if (!t)
                return NULL;
        if (t->next)
                t->next->previous = t->previous;
        if (t->previous)
                t->previous->next = t->next;
        else if (t->loop && t->loop->timers == t)
                t->loop->timers = t->next;
        sd_event_source_disable_unref(t->source);
        free(t);
        return NULL;
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        LoopIo *io = userdata;

        (void)source;
        io->callback(io->userdata, fd, events);
        return 0;
}

int loop_add_io(Loop *l, int fd, uint32_t events, LoopIoCallback callback, void *userdata,
                const char *name, LoopIo **ret) {
        _cleanup_(loop_io_freep) LoopIo *io = calloc(1, sizeof *io);
        int r;

        assert(l && callback && ret);
        if (!io)
                return -ENOMEM;
        *io = (LoopIo){ .callback = callback, .userdata = userdata };
        r = sd_event_add_io(l->event, &io->source, fd, events, on_io, io);
        if (r < 0)
                return r;
        (void)sd_event_source_set_description(io->source, name);
        *ret = TAKE_PTR(io);
        return 0;
}

int loop_io_set(LoopIo *io, uint32_t events) {
        assert(io);
        return sd_event_source_set_io_events(io->source, events);
}

LoopIo *loop_io_free(LoopIo *io) {
        if (!io)
                return NULL;
        sd_event_source_disable_unref(io->source);
        free(io);
        return NULL;
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        LoopSignal *s = userdata;

        (void)source;
        s->callback(s->userdata, (int)info->ssi_signo);
        return 0;
}

int loop_add_signal(Loop *l, int signal_number, LoopSignalCallback callback, void *userdata) {
        _cleanup_(freep) LoopSignal *s = calloc(1, sizeof *s);
        sigset_t set;
        int r;

        assert(l && callback);
        if (!s)
                return -ENOMEM;
        s->callback = callback;
        s->userdata = userdata;
        if (sigemptyset(&set) < 0 || sigaddset(&set, signal_number) < 0 ||
            sigprocmask(SIG_BLOCK, &set, NULL) < 0)
                return -errno;
        r = sd_event_add_signal(l->event, &s->source, signal_number, on_signal, s);
        if (r < 0)
                return r;
        s->next = l->signals;
        l->signals = TAKE_PTR(s);
        return 0;
}

void loop_on_jump(Loop *l, LoopJumpCallback callback, void *userdata) {
        assert(l);
        l->on_jump = callback;
        l->jump_userdata = userdata;
}

void loop_after_each(Loop *l, LoopAfterCallback callback, void *userdata) {
        assert(l);
        l->after = callback;
        l->after_userdata = userdata;
}

int loop_enable_watchdog(Loop *l) {
        int r;

        assert(l);
        r = sd_event_set_watchdog(l->event, 1);
        return r < 0 ? r : 0;
}

void loop_notify(Loop *l, const char *text) {
        assert(l && text);
        (void)sd_notify(0, text);
}

int loop_listen_fds(void) {
        return sd_listen_fds(1);
}

/* How late the first of the timers is that are due. */
static usec_t lateness(const Loop *l, usec_t now) {
        usec_t first = now;

        for (const LoopTimer *t = l->timers; t; t = t->next)
                first = MIN(first, MAX(t->latest, t->armed));
        return now - first;
}

/* Compares this turn's instant with the one before, ahead of every callback of the turn. A loop
 * sleeps for as long as nothing is due: only what lasts beyond that is standing still, and who has
 * nothing to do misses nothing. */
static void watch_clock(Loop *l) {
        usec_t now = loop_now(l), last = l->last_turn, slept_at = l->slept_at, gap;

        /* A sleep that a signal ended was given no instant of its own. */
        if (now < slept_at)
                now = loop_clock();
        l->last_turn = now;
        l->slept_at = 0;
        if (!l->on_jump)
                return;
        if (now < last) {
                l->on_jump(l->jump_userdata, 0, now);
                return;
        }
        if (now - last <= GAP_MAX)
                return;
        gap = slept_at > 0 ? MAX(usec_sub(slept_at, last), lateness(l, now)) : now - last;
        if (gap > GAP_MAX)
                l->on_jump(l->jump_userdata, gap, now);
}

static void begin_turn(Loop *l) {
        l->turn_cpu = clock_usec(CLOCK_THREAD_CPUTIME_ID);
        l->turn_began = loop_clock();
        l->mark_wanted = true;
        l->marked = false;
}

static void end_turn(Loop *l) {
        usec_t cpu = clock_usec(CLOCK_THREAD_CPUTIME_ID);

        l->longest_turn = MAX(l->longest_turn, usec_sub(cpu, l->turn_cpu));
        note_stall(l, l->turn_began, loop_clock());
}

/* A turn is what was ready together: it is over when nothing is left to do or, in a loop that is
 * never idle, at the mark. sd-event serves sources in the order of the iterations in which they
 * became ready, so a timer that is due at once comes after all that is ready when it is set (a
 * defer source would not: it counts as ready since it was made). A turn of one callback needs none.
 */
static int dispatch(Loop *l, bool first) {
        int r;

        if (l->mark_wanted && !first) {
                l->mark_wanted = false;
                l->mark_set = true;
                (void)sd_event_source_set_enabled(l->mark, SD_EVENT_ONESHOT);
        }
        watch_clock(l);
        r = sd_event_dispatch(l->event);
        if (r < 0)
                return r;
        if (l->marked) {
                end_turn(l);
                begin_turn(l);
        } else if (l->after)
                l->after(l->after_userdata);
        return r;
}

/* Nothing is left for the mark to come after, and it would only end the sleep that begins now. True
 * when it was set: the loop is to be prepared anew, or goes on with what is ready meanwhile. */
static bool take_mark(Loop *l, int *ret) {
        if (!l->mark_set)
                return false;
        l->mark_set = false;
        (void)sd_event_source_set_enabled(l->mark, SD_EVENT_OFF);
        *ret = sd_event_wait(l->event, 0);
        end_turn(l);
        begin_turn(l);
        return true;
}

int loop_run_until(Loop *l, const bool *done) {
        int r, code = 0;

        assert(l);
        l->last_turn = loop_clock();
        begin_turn(l);
        while (sd_event_get_state(l->event) != SD_EVENT_FINISHED) {
                bool idle;

                if (done && *done)
                        return 0;
                r = sd_event_prepare(l->event);
                idle = r == 0;
                if (idle && !take_mark(l, &r)) {
                        end_turn(l);
                        l->slept_at = loop_clock();
                        r = sd_event_wait(l->event, USEC_INFINITY);
                        begin_turn(l);
                        /* Only the watchdog was to be fed, and then the loop sleeps on. */
                        if (r == 0)
                                watch_clock(l);
                }
                if (r > 0)
                        r = dispatch(l, idle);
                if (r < 0)
                        return r;
        }
        r = sd_event_get_exit_code(l->event, &code);
        return r < 0 ? r : code;
}

int loop_run(Loop *l) {
        return loop_run_until(l, NULL);
}

void loop_exit(Loop *l, int code) {
        assert(l);
        (void)sd_event_exit(l->event, code);
}

usec_t loop_longest_turn(const Loop *l) {
        assert(l);
        return l->longest_turn;
}
