/* prober_internal.h: the prober's own values, shared by its five files: prober.c keeps the
 * services, prober_names.c the addresses of names, prober_pace.c says when, prober_places.c how
 * many at once, prober_run.c starts and ends probes. Nobody else includes it. */
#pragma once

#include <netinet/in.h>

#include "probe_kind.h"
#include "prober.h"
#include "resolve.h"
#include "wheel.h"

typedef struct Probe Probe;
typedef struct ProbedService ProbedService;
typedef struct NamedTarget NamedTarget;

typedef enum TargetState {
        TARGET_IDLE,
        TARGET_WAITING,   /* due, and no place is free */
        TARGET_RESOLVING, /* nothing is known of its name yet */
        TARGET_RUNNING
} TargetState;

/* One address of one target. While idle its wheel item stands at the next start, else at the
 * deadline: one item for each, one timer for all. Starts stand on a grid, so that lateness never
 * adds up:
 *
 *      phase        +interval     +interval     +interval
 *        |-- probe --| |- probe -| |-- probe ----|
 */
typedef struct Target {
        WheelItem item; /* first, so that an item is its target */
        Probe *probe;
        NamedTarget *name;   /* NULL: no name, one address */
        uint16_t index;      /* the engine's */
        uint16_t configured; /* index in the configuration's targets */
        TargetState state;
        bool present;   /* else it is in no schedule */
        bool reached;   /* any probe told whether it is good */
        bool fast;      /* holds one of the places for fast_interval */
        bool on_demand; /* asked for: starts as soon as it is free */
        bool prompt;    /* its last probe that told anything was no timeout */
        bool holds_as_slow,
                keeps;  /* of `holds`: among those of targets that may hang; between probes
                         */
        uint16_t holds; /* descriptors that it has a place for */
        Ring in_queue;  /* while waiting: the prober's `queue` or `slow_queue` */
        Ring in_slow;   /* deviates and has no place for fast_interval: the prober's `slow` */
        usec_t phase;   /* a point of the grid */
        usec_t due;     /* next regular start */
        usec_t slot;    /* the instant that the last start was due at, unless it was late */
        usec_t started, deadline;
        usec_t stalled;      /* loop_stalled() when it started */
        usec_t repaid;       /* of what the loop stalled since then, put on the deadline */
        void *run;           /* the kind's, while running */
        void *memory;        /* the kind's, kept from probe to probe */
        SampleValue *values; /* of the last result; NULL: it had none */
        size_t n_values;
        /* Where it is probed at; family 0: not known, or the configuration says it otherwise. */
        union {
                sa_family_t family;
                struct sockaddr_in v4;
                struct sockaddr_in6 v6;
        } at;
        ProbeDetail detail;
} Target;

/* A target that is a name. An address keeps its place while the name has it: the place is the
 * engine's target. The first place is the configured target's own, and stands for the name until an
 * address is known. */
struct NamedTarget {
        ResolveWatch watch; /* first, so that a watch is its name */
        Probe *probe;
        uint16_t index; /* in the probe's names */
        uint16_t configured;
        uint16_t left_out;                      /* addresses that found no place */
        bool answered;                          /* anything is known of the name */
        const char *failure;                    /* static words, or NULL */
        Target *more[TARGET_ADDRESSES_MAX - 1]; /* NULL: absent */
};

struct Probe {
        ProbedService *service;
        const ProbeConfig *config;
        const ProbeKind *kind;
        uint64_t identity;
        void *shared; /* the kind's */
        uint16_t index;
        Target *targets; /* one for each configured one */
        size_t n_targets;
        NamedTarget *names;
        size_t n_names;
};

struct ProbedService {
        Prober *prober;
        uint32_t handle;
        const char *name; /* the configuration's */
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
        Bus *bus;
        ProbeTools tools;
        Poller *poller;
        Pool *runs;
        Children *children;
        Resolver *resolver;
        LoopTimer *timer;
        usec_t armed; /* instant that the timer is set to */
        Wheel wheel;
        Ring queue, slow_queue; /* targets that wait for a place, in the order of their due time */
        Ring slow;              /* targets that wait for fast_interval, longest first */
        size_t places;          /* descriptors that probes may have at once */
        size_t taken, taken_by_slow, kept; /* of them */
        ProbedService **services;          /* by handle, ascending */
        size_t n_services;
        ProbedService *gone;
        unsigned depth; /* callbacks of the owner that run */
        bool running;   /* inside the timer, which is armed at its end */
        uint64_t seed;
        size_t n_fast;
        ProberCounts counts;
};

/* prober_names.c: the targets of the engine that a probe has places for, and one of them; NULL: it
 * is absent. */
size_t probe_count_targets(const Probe *probe);
Target *probe_target(const Probe *probe, size_t index);
/* Makes the names of a probe whose targets are made. Returns 0 or -ENOMEM. */
int probe_init_names(Probe *probe) _must_check_;
/* Watches the names; `before`, or NULL, is the probe whose addresses and schedule are taken over.
 */
void probe_begin_names(Probe *probe, Probe *before, usec_t now);
/* Frees the names; nothing of theirs is in a schedule. */
void probe_done_names(Probe *probe);
/* Makes what a kind keeps for the target. */
int target_init(Target *t, Probe *probe, size_t index, size_t configured) _must_check_;
/* Frees what the kind keeps. */
void target_done(Target *t);
/* Takes it out of every schedule, without a sample. */
void target_retire(Target *t);
/* The address to probe, or NULL when the target has none. */
const Address *target_address(const Target *t, Address *storage);

/* Frees a service that is in no schedule and has nothing in flight. */
ProbedService *probed_service_free(ProbedService *s);
DEFINE_CLEANUP(ProbedService *, probed_service_free);
/* The timer's callback: ends what is overdue, starts what is due. */
void prober_run(void *userdata, usec_t now);
/* prober_places.c: takes a place for a probe of the target, which has not to wait. */
void place_take(Target *t);
/* Gives it back, also one that was kept. */
void place_give_back(Target *t);
/* The probe has ended: its place goes back, or stays with the connection that is kept. */
void place_end(Target *t, const ProbeResult *result);
/* Whether the target has to queue; puts it at the end. */
bool place_must_wait(const Target *t);
void place_wait(Target *t);
/* The first of those that queue and have a place now; NULL: none. */
Target *place_next(const Prober *p);
/* Sets the timer to what is due first. */
void prober_arm(Prober *p);
/* The first point of a target's grid after `now`. */
usec_t target_next_on_grid(const Target *t, usec_t now);
/* First start of a target: spread over the interval. */
void target_schedule_first(Target *t, usec_t now);
/* A start was late, or left out. */
void target_count_late(Target *t);
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
