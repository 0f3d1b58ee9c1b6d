/* api.h: what the world may see and ask over HTTP: one route table, JSON of services, operations
 * and events from snapshots, metrics, livez and readyz, and the two writes of the unix socket.
 * Answers from memory; only what it does not remember is looked up in the ledger, while the asker
 * waits. Knows the engine's snapshots, and everything else only through its owner. */
#pragma once

#include "config.h"
#include "http_server.h"
#include "json.h"
#include "snapshot.h"

#define API_LOOKUPS_MAX 4 /* at once: they share the connection that commits use */

typedef struct Api Api;
typedef struct ApiLookup ApiLookup; /* somebody waits for an operation or event */

typedef struct ApiStatus {
        bool ready;      /* configuration loaded, ledger reached */
        char words[320]; /* one line: what STATUS= says */
        bool ledger_up;
        char ledger_words[1280]; /* why not, and what to do */
        bool reload_ok;
        double reloaded_at; /* unix seconds of the last good reload */
        double started_at;
        double heartbeat_at, retention_at; /* unix seconds; 0: not since the start */
        uint64_t ledger_schema;            /* 0: not known */
        uint64_t policies_refused;
        uint64_t probes, samples, late, overdue, targets;
        uint64_t commits, commits_failed, alerts_dropped, log_lost, deliveries_done,
                deliveries_dead;
        usec_t longest_turn;
} ApiStatus;

typedef struct ApiUnconfigured { /* a policy file that was refused */
        const char *path, *service /* or NULL */, *error;
        bool in_force; /* an earlier good one is still in force */
} ApiUnconfigured;

typedef struct ApiProbeDetail {
        const char *words; /* borrowed until the next call */
        usec_t duration;
        const char *address;       /* that is probed, likewise; "": none, or not known yet */
        unsigned left_out;         /* further addresses of the name, which are not probed */
        const SampleValue *values; /* that the last result reported, likewise */
        size_t n_values;
} ApiProbeDetail;

typedef struct ApiOwner {
        void *userdata;
        const Engine *engine;
        void (*status)(void *userdata, ApiStatus *ret);
        usec_t (*now)(void *userdata);
        const ServiceConfig *(*config)(void *userdata, uint32_t service);
        bool (*probe_detail)(void *userdata, uint32_t service, uint16_t probe, uint16_t target,
                             ApiProbeDetail *ret);
        /* The i-th refused policy file, false past the end. */
        bool (*unconfigured)(void *userdata, size_t i, ApiUnconfigured *ret);
        /* When a drill of the service last succeeded, in unix seconds, 0: never; false while the
         * ledger has not told. */
        bool (*drill)(void *userdata, const char *service, double *ret_succeeded_at);
        /* engine_request() on behalf of `actor`, and the pump. Same results, and -ESHUTDOWN once
         * the daemon is stopping. */
        int (*request)(void *userdata, uint32_t service, OperationKind kind, const char *target,
                       uint64_t epoch, const char *actor, const char *reason,
                       char ret_id[static OPERATION_ID_SIZE], StrBuf *why);
        /* Looks in the ledger for the operation or event with this id. Returns 0: api_found() will
         * be called, once; -EINVAL: it can be none; -ENOTCONN: the ledger cannot be asked; -EAGAIN;
         * -ENOMEM. */
        int (*find)(void *userdata, const char *id, ApiLookup *lookup);
} ApiOwner;

int api_new(Api **ret, const ApiOwner *owner) _must_check_;
Api *api_free(Api *a);
DEFINE_CLEANUP(Api *, api_free);
/* The ledger's latest operations and events (arrays as its views print them, newest first), handed
 * over. */
void api_set_recent(Api *a, Json *operations, Json *events);
/* The end of a look-up. `failure`: why the ledger did not answer, NULL when it did; then `what` is
 * "operation" or "event", and `record`, handed over, NULL when there is none. */
void api_found(ApiLookup *lookup, const char *failure, const char *what, Json *record);
/* An HttpHandler; userdata is the Api. */
void api_handle(void *userdata, const HttpCall *call, HttpAnswer *ret);
