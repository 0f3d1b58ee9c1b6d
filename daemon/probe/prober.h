/* prober.h: keeps the schedule of every probe of every service and turns results into samples: one
 * in flight per address of a target, spread start, intervals from start to start, a deadline each,
 * fast_interval while the engine says that a target deviates, probes on demand. Knows nothing of
 * verdicts; kinds are reached only through their row. */
#pragma once

#include "config.h"
#include "offload.h"
#include "sample.h"

typedef struct Prober Prober;

/* Everything the prober asks of its owner; userdata is the owner's. */
typedef struct ProberOwner {
        void *userdata;
        /* A result. The sample and `words` (what went wrong, for people; "" when nothing did) are
         * borrowed for the call. */
        void (*on_sample)(void *userdata, const Sample *s, const char *words);
        /* True while the target should be probed at fast_interval; asked after on_sample()
         * returned. */
        bool (*deviates)(void *userdata, uint32_t service, uint16_t probe, uint16_t target);
        /* A name has one address more, or one less: the engine's target for it. */
        void (*on_present)(void *userdata, uint32_t service, uint16_t probe, uint16_t target,
                           bool present);
        /* A name has so many addresses more than are probed; told once while that lasts. `target`
         * is its index in the configuration. */
        void (*on_left_out)(void *userdata, uint32_t service, uint16_t probe, uint16_t target,
                            unsigned n);
} ProberOwner;

/* `secrets`: the directory that probes read secrets from; copied. */
int prober_new(Prober **ret, Loop *loop, Offload *offload, const char *secrets,
               const ProberOwner *owner, uint64_t seed) _must_check_;
Prober *prober_free(Prober *p);
DEFINE_CLEANUP(Prober *, prober_free);

/* Starts probing for `service` (the engine's handle) as `config` says, which is borrowed until
 * replaced or removed. Replacing keeps schedule, counters, addresses and last results of probes
 * whose identity is unchanged. On an error the service is not probed any more. */
int prober_put_service(Prober *p, uint32_t service, const ServiceConfig *config) _must_check_;
void prober_remove_service(Prober *p, uint32_t service);
/* Probes every target of the probe at once; a target in flight is probed again as soon as it is
 * free. */
void prober_probe_now(Prober *p, uint32_t service, uint16_t probe);
/* A new release: what is in flight is cancelled without a sample, counters start a new base on
 * versions that changed. */
void prober_start_epoch(Prober *p, uint32_t service);

typedef struct ProbeDetail {
        uint64_t probes, late; /* done; started later than 10 % of the interval after their time */
        usec_t duration;       /* of the last probe */
        char words[160];       /* of the last result */
} ProbeDetail;
bool prober_detail(const Prober *p, uint32_t service, uint16_t probe, uint16_t target,
                   ProbeDetail *ret);
/* The values that the target's last result reported; borrowed until the next turn of the loop. */
size_t prober_values(const Prober *p, uint32_t service, uint16_t probe, uint16_t target,
                     const SampleValue **ret);
/* Where the engine's target is probed at: appends a numeric address without port, nothing while
 * none is known or for what has none. Returns how many further addresses its name has that are not
 * probed. */
unsigned prober_address(const Prober *p, uint32_t service, uint16_t probe, uint16_t target,
                        StrBuf *address);

typedef struct ProberCounts {
        uint64_t probes, late, overdue, in_flight, targets;
} ProberCounts;
ProberCounts prober_counts(const Prober *p);
