/* loop.h: the one event loop, over sd-event: timers, descriptors, signals, child-free.
 * CLOCK_BOOTTIME is read here and nowhere else. Callbacks run one at a time on the loop's thread.
 * Knows nothing of what they do. */
#pragma once

#include <signal.h>
#include <sys/epoll.h>

#include "usec.h"

typedef struct Loop Loop;
typedef struct LoopTimer LoopTimer;
typedef struct LoopIo LoopIo;

typedef void (*LoopTimerCallback)(void *userdata, usec_t now);
typedef void (*LoopIoCallback)(void *userdata, int fd, uint32_t events);
typedef void (*LoopSignalCallback)(void *userdata, int signal_number);
/* `gap`: how long the loop stood still, or 0 when the clock went back. */
typedef void (*LoopJumpCallback)(void *userdata, usec_t gap, usec_t now);

int loop_new(Loop **ret) _must_check_;
Loop *loop_free(Loop *l);
DEFINE_CLEANUP(Loop *, loop_free);

/* The instant at which this turn of the loop began. */
usec_t loop_now(Loop *l);
/* The clock itself, for whoever bounds what it does in one turn. */
usec_t loop_clock(void);
/* Time so far for which the loop was there for nobody: turns that took LOOP_STALL or longer, the
 * present one included, and wake-ups that came as late. Whoever waits for others takes it off. */
#define LOOP_STALL (10 * USEC_PER_MSEC)
usec_t loop_stalled(const Loop *l);

/* A timer that is not armed yet. Owned by the caller; free before its userdata goes. */
int loop_add_timer(Loop *l, LoopTimerCallback callback, void *userdata, const char *name,
                   LoopTimer **ret) _must_check_;
/* Arms it once for `at` (1 ms accuracy, never early); USEC_INFINITY disarms. */
void loop_timer_set(LoopTimer *t, usec_t at);
/* The same for an instant from `at` on that is at most `slack` later: it comes with whatever else
 * wakes the loop, so that what nobody waits for wakes a loop at rest seldom, and all at once. */
void loop_timer_set_within(LoopTimer *t, usec_t at, usec_t slack);
LoopTimer *loop_timer_free(LoopTimer *t);
DEFINE_CLEANUP(LoopTimer *, loop_timer_free);

/* Watches a descriptor, which stays the caller's. `events`: EPOLLIN, EPOLLOUT, EPOLLET. */
int loop_add_io(Loop *l, int fd, uint32_t events, LoopIoCallback callback, void *userdata,
                const char *name, LoopIo **ret) _must_check_;
int loop_io_set(LoopIo *io, uint32_t events) _must_check_;
LoopIo *loop_io_free(LoopIo *io);
DEFINE_CLEANUP(LoopIo *, loop_io_free);

/* Blocks the signal in the thread and calls back from the loop. */
int loop_add_signal(Loop *l, int signal_number, LoopSignalCallback callback,
                    void *userdata) _must_check_;
/* Called ahead of a turn when the one before took more than 2 s, a timer comes more than 2 s late,
 * or the clock went back. */
void loop_on_jump(Loop *l, LoopJumpCallback callback, void *userdata);
/* Called after every callback of the loop; NULL: no more. */
typedef void (*LoopAfterCallback)(void *userdata);
void loop_after_each(Loop *l, LoopAfterCallback callback, void *userdata);
/* Turns the service manager's watchdog on when it asks for one; it is fed by this loop. */
int loop_enable_watchdog(Loop *l) _must_check_;
/* sd_notify(): READY=1, STATUS=..., as `text`; nothing happens without a manager. */
void loop_notify(Loop *l, const char *text);
/* sd_listen_fds(): descriptors passed by the manager; returns their number, the first being 3. */
int loop_listen_fds(void);
/* Runs until loop_exit(). Returns its code or a negative errno. */
int loop_run(Loop *l) _must_check_;
/* The same, but returns 0 after the callback that set *done, and may be called again. */
int loop_run_until(Loop *l, const bool *done) _must_check_;
void loop_exit(Loop *l, int code);
/* The longest CPU time of one turn so far, for metrics: of all that was ready together, which is
 * how long anything waits for its own turn. */
usec_t loop_longest_turn(const Loop *l);
