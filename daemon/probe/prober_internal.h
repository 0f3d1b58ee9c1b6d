/* prober_internal.h: the prober's own values, shared by its three files: prober.c keeps the
 * services, prober_pace.c says when, prober_run.c starts and ends probes. Nobody else includes it.
 */
#pragma once

#include "probe_kind.h"
#include "prober.h"
#include "resolve.h"
#include "wheel.h"

typedef struct Probe Probe;
typedef struct ProbedService ProbedService;

typedef enum TargetState {
        TARGET_IDLE,
        TARGET_WAITING, /* due, and no place is free */
        TARGET_RESOLVING,
        TARGET_RUNNING
} TargetState;

/* One target. While idle its wheel item stands at the next start, else at the deadline: one item
 * for each, one timer for all. Starts stand on a grid, so that lateness never adds up:
 *
 *      phase        +interval     +interval     +interval
 *        |-- probe --| |- probe -| |-- probe ----|
 */
typedef struct Target {
        WheelItem item; /* first, so that an item is its target */
        Probe *probe;
        uint16_t index;
        TargetState state;
        bool fast;      /* holds one of the places for fast_interval */
        bool on_demand; /* asked for: starts as soon as it is free */
        Ring in_queue;  /* while waiting: the prober's `queue` */
        Ring in_slow;   /* deviates and has no place for fast_interval: the prober's `slow` */
        usec_t phase;   /* a point of the grid */
        usec_t due;     /* next regular start */
        usec_t slot;    /* the instant that the last start was due at, unless it was late */
        usec_t started, deadline;
        usec_t stalled;      /* loop_stalled() when it started */
        usec_t repaid;       /* of what the loop stalled since then, put on the deadline */
        ResolveQuery *query; /* while resolving */
        void *run;           /* the kind's, while running */
        void *memory;        /* the kind's, kept from probe to probe */
        ProbeDetail detail;
} Target;

struct Probe {
        ProbedService *service;
        const ProbeConfig *config;
        const ProbeKind *kind;
        uint64_t identity;
        void *shared; /* the kind's */
        uint16_t index;
        Target *targets;
        size_t n_targets;
};

struct ProbedService {
        Prober *prober;
        uint32_t handle;
        bool gone; /* replaced or removed while a callback of the owner runs; freed when it has
                      returned */
        ProbedService *next_gone;
        Probe *probes;
        size_t n_probes;
};

struct Prober {
        Loop *loop;
        ProberOwner owner;
        char *secrets;
        ProbeTools tools;
        Poller *poller;
        Resolver *resolver;
        LoopTimer *timer;
        usec_t armed; /* instant that the timer is set to */
        Wheel wheel;
        Ring queue;    /* targets that wait for a place, in the order of their due time */
        Ring slow;     /* targets that wait for fast_interval, longest first */
        size_t places; /* probes that may be in flight at once */
        ProbedService **services; /* by handle, ascending */
        size_t n_services;
        ProbedService *gone;
        unsigned depth; /* callbacks of the owner that run */
        bool running;   /* inside the timer, which is armed at its end */
        uint64_t seed;
        size_t n_fast;
        ProberCounts counts;
};

/* Frees a service that is in no schedule and has nothing in flight. */
ProbedService *probed_service_free(ProbedService *s);
DEFINE_CLEANUP(ProbedService *, probed_service_free);
/* The timer's callback: ends what is overdue, starts what is due. */
void prober_run(void *userdata, usec_t now);
/* Sets the timer to what is due first. */
void prober_arm(Prober *p);
/* The first point of a target's grid after `now`. */
usec_t target_next_on_grid(const Target *t, usec_t now);
/* First start of a target: spread over the interval. */
void target_schedule_first(Target *t, usec_t now);
/* Puts the wheel item where the target's state wants it. */
void target_schedule(Target *t, usec_t now);
/* Ends what is in flight without a sample. Returns whether anything was. */
bool target_cancel(Target *t);
/* Decides on the next start of a target that is idle again. */
void target_choose_pace(Target *t, bool deviates, usec_t now);
/* Gives the place for fast_interval back, or the wish for one. */
void target_leave_fast(Target *t);
/* Passes places for fast_interval that are free on to those who wait longest. */
void prober_pass_fast(Prober *p);
/* The descriptors that this process may have, less those that others need. */
size_t prober_count_places(void);
