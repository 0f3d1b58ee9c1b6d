/* probe_harness.h: what the tests of probes share: a scripted server in a child process, a service
 * of one probe made by hand, and a prober on a real loop that keeps every sample. Knows nothing of
 * what is expected. */
#pragma once

#include <sys/types.h>

#include "prober.h"

#define HARNESS_RESULTS_MAX 1024
#define HARNESS_TARGETS_MAX 256
#define HARNESS_WORKERS 2
#define HARNESS_PLACES (2 * HARNESS_TARGETS_MAX)

/* Plays one connection, number n from 0, in the child; blocking. The connection is closed when it
 * returns. */
typedef void (*ServerScript)(int fd, unsigned n);

typedef struct ScriptedServer {
        int fd;        /* listening; the parent keeps it so that the port stays */
        uint16_t port; /* given by the kernel */
        pid_t pid;     /* 0: nobody accepts, which is a server that hangs */
} ScriptedServer;

void server_listen(ScriptedServer *s);
/* Listens, with room for no further connection: the kernel leaves whoever comes next without an
 * answer, and he tries again after a second. */
void server_listen_full(ScriptedServer *s);
/* Accepts and plays from now on. */
void server_serve(ScriptedServer *s, ServerScript script);
/* Both. */
void server_start(ScriptedServer *s, ServerScript script);
void server_stop(ScriptedServer *s);

/* For scripts: reads up to the end of a request's headers; sends a text, waiting as long as it
 * takes; waits for the peer to close; closes with RST. */
void script_read_request(int fd);
bool script_send(int fd, const char *text);
bool script_send_n(int fd, const void *data, size_t n);
void script_wait_close(int fd);
void script_reset(int fd);
/* Waits until the peer has sent or closed, or the pace is over; true: the peer is gone or has
 * spoken. */
bool script_pace(int fd, int milliseconds);

typedef struct Result {
        uint32_t service;
        uint16_t target, status;
        ProbeOutcome outcome;
        usec_t started, at, since;
        bool has_version;
        char version[64], words[160];
        size_t n_increases;
        double increases[SAMPLE_VALUES_MAX];
        size_t n_values;
        SampleValue values[SAMPLE_VALUES_MAX];
} Result;

/* The value of that name, NAN when it was not reported. */
double result_value(const Result *r, const char *name);

typedef struct Harness Harness;
struct Harness {
        Loop *loop;
        Offload *offload;
        Prober *prober;
        LoopTimer *guard;
        ServiceConfig config;
        ProbeConfig probe;
        ProbePolicy policy;
        TargetConfig targets[HARNESS_TARGETS_MAX];
        OperandConfig *operands[SAMPLE_VALUES_MAX];
        StatusRange status;
        Result results[HARNESS_RESULTS_MAX];
        size_t n_results, wanted;                        /* the loop ends at `wanted` results */
        uint64_t deviating;                              /* bit i: target i (below 64) deviates */
        void (*react)(Harness *h, const Result *result); /* or NULL; after each result, from within
                                                            the prober's callback */
        bool absent[HARNESS_PLACES];    /* by the engine's target, as the prober told it */
        void (*on_present)(Harness *h); /* or NULL; after each such word */
        unsigned left_out;              /* addresses, as the prober told it */
        void *extra;
};

/* A service with one probe of one target at 127.0.0.1:port; interval 60 s, timeout 20 s, so that
 * nothing but a demand starts a probe in a test. */
void harness_init(Harness *h, ProbeKindId kind, uint16_t port);
void harness_add_target(Harness *h, const char *host, uint16_t port);
void harness_add_operand(Harness *h, const char *selector);
/* Puts the service (handle 7) and asks for a probe at once. */
void harness_begin(Harness *h);
/* Runs until `wanted` results are there. Fails the test when that takes longer than a minute. */
void harness_run(Harness *h, size_t wanted);
/* Frees it, and waits until the last worker has gone: what follows may count descriptors. */
void harness_done(Harness *h);
/* The whole of it for one probe of a scripted server: begin, run, stop. Returns the only result,
 * kept in *h. */
const Result *harness_probe_once(Harness *h, ServerScript script);
