/* probe_kind.h: what a kind of probe is: how one probe of one target is started, cancelled and
 * told. A kind senses and nothing more: schedule, deadline, retry and limits live once, in the
 * prober. Kinds never see each other. */
#pragma once

#include "bus.h"
#include "child.h"
#include "config.h"
#include "offload.h"
#include "poller.h"
#include "pool.h"
#include "probe_trace.h"
#include "sample.h"

#define PROBE_WORDS_SIZE 160
/* A block of ProbeTools.runs. */
#define PROBE_RUN_SIZE ((size_t)2048)

/* What one probe came to. Most have no numbers: what lies behind the counts is neither set nor
 * copied beyond them. */
typedef struct ProbeResult {
        ProbeOutcome outcome;
        uint16_t status;              /* of HTTP, 0: none */
        char version[NAME_SIZE];      /* that answered; "": the probe cannot tell */
        char words[PROBE_WORDS_SIZE]; /* what went wrong, for people; "" when nothing did */
        usec_t ours;  /* of its time, what went by on our side: for a worker, for a name server */
        usec_t since; /* metrics: `at` of the page that the increases start from; 0: a base */
        size_t n_increases, n_values;
        double increases[SAMPLE_VALUES_MAX];
        SampleValue values[SAMPLE_VALUES_MAX];
} ProbeResult;

/* What kinds work with; outlives them. */
typedef struct ProbeTools {
        Loop *loop;
        Poller *poller;
        Offload *offload;
        const char *secrets; /* directory, for config_read_secret() */
        Bus *bus;
        Children *children;
        Pool *runs; /* for kinds whose probes come and go by the thousand; NULL: none is kept */
} ProbeTools;

/* Everything that one probe needs; borrowed until it is done or cancelled, but the struct itself
 * for the call only. */
typedef struct ProbeStart {
        const ProbeTools *tools;
        const char *service;
        const ProbeConfig *config;
        const TargetConfig *target;
        const Address *address; /* for the call only; NULL for a kind without addresses */
        void *shared;           /* the kind's own, one for each probe */
        void *memory;           /* the kind's own, one for each target, kept from probe to probe */
        ProbeTrace *trace;      /* NULL: nobody wants to see it */
        /* The end, told once, from the loop, never from within start(); the run is gone when it is
         * called. */
        void (*done)(void *userdata, const ProbeResult *result);
        void *userdata;
} ProbeStart;

typedef struct ProbeKind {
        const char *name;
        bool addressed;       /* its targets have addresses to be resolved */
        unsigned descriptors; /* that one probe in flight holds at most; 0: one */
        ProbeOutcome late;    /* of a probe that did not end in time; OUTCOME_OK: OUTCOME_TIMEOUT */
        /* Makes what all targets of the probe share. Returns 0, -EINVAL or -E2BIG for a
         * configuration that cannot be probed, -ENOMEM. What is missing on our side is no error
         * here: each probe says it (OUTCOME_LOCAL). Both are NULL when there is nothing to
         * prepare. */
        int (*prepare)(const ProbeTools *tools, const ProbeConfig *config, void **ret_shared);
        void (*release)(void *shared);
        /* Makes, frees and rebases what a target keeps; all NULL when it keeps nothing. */
        int (*memory_new)(const ProbeConfig *config, void **ret_memory);
        void (*memory_free)(void *memory);
        void (*memory_start_epoch)(void *memory);
        /* The result was not good: what a target keeps open is to be opened anew. NULL: nothing is.
         */
        void (*memory_renew)(void *memory);
        /* Returns 1 when the probe is in flight, with *ret_run; 0 when it ended at once, with *ret.
         */
        int (*start)(const ProbeStart *start, ProbeResult *ret, void **ret_run);
        /* What the target still owes ("connection", "answer"), or NULL when only our own work is
         * left. */
        const char *(*waiting_for)(const void *run);
        /* Of the time of a probe in flight, what went by on our side so far: the target gets it
         * back. NULL: nothing does. */
        usec_t (*ours)(const void *run);
        /* Ends a probe in flight without a word to done(). */
        void (*cancel)(void *run);
} ProbeKind;

/* The row of a kind. */
const ProbeKind *probe_kind(ProbeKindId id);

extern const ProbeKind probe_kind_http;
extern const ProbeKind probe_kind_tcp;
extern const ProbeKind probe_kind_metrics;
extern const ProbeKind probe_kind_unit;
extern const ProbeKind probe_kind_journal;
extern const ProbeKind probe_kind_pressure;
extern const ProbeKind probe_kind_postgres;
extern const ProbeKind probe_kind_redis;
extern const ProbeKind probe_kind_exec;
extern const ProbeKind probe_kind_promql;

/* Starts a result: good, and nothing to say. */
void probe_result_init(ProbeResult *r);
void probe_result_copy(ProbeResult *r, const ProbeResult *from);
/* Fills a result with an outcome and its words; an empty text takes the outcome's own words. What
 * does not fit is cut. */
void probe_result_set(ProbeResult *r, ProbeOutcome outcome, const char *words);
/* Fills a result from an errno of socket, connect, send or recv (positive or negative). */
void probe_result_set_errno(ProbeResult *r, int error);
/* Adds a value; of a name that is there already the last one counts. A name that does not fit is
 * cut. Returns 0, or -ENOSPC when there are SAMPLE_VALUES_MAX. */
int probe_result_add_value(ProbeResult *r, const char *name, double value);
/* Takes a version that came from outside: printable ASCII without blanks, shorter than NAME_SIZE.
 * Another text leaves the version empty; a good result then says so in its words. */
void probe_result_set_version(ProbeResult *r, const char *text, size_t n);
