/* resolve.h: the addresses that targets are probed at. A numeric host is an address at once; a name
 * is looked up in offload, once for all who ask, and kept for RESOLVE_TTL. Of several addresses the
 * first one is used. Knows nothing of probes. */
#pragma once

#include "offload.h"

#define RESOLVE_TTL (30 * USEC_PER_SEC)
/* A failure is kept too, so that a dead name server is not asked for every target. */
#define RESOLVE_FAILED_TTL (2 * USEC_PER_SEC)
/* Longer than most deadlines of those who ask: a slow answer still serves the next one. */
#define RESOLVE_TIMEOUT (10 * USEC_PER_SEC)
#define RESOLVE_NAMES_MAX 4096
/* Look-ups at once: offload's workers are others' too. */
#define RESOLVE_CONCURRENT 2

typedef struct Resolver Resolver;
typedef struct ResolveQuery ResolveQuery;

/* The answer: NULL and why, or an address borrowed for the call. The query is gone when it is
 * called. Never called from resolver_ask(). */
typedef void (*ResolveDone)(void *userdata, const Address *address, const char *words);

int resolver_new(Resolver **ret, Loop *loop, Offload *offload) _must_check_;
/* Not from within a callback of its own. Whoever still waits hears nothing. */
Resolver *resolver_free(Resolver *r);
DEFINE_CLEANUP(Resolver *, resolver_free);
/* Returns 1 with *ret_address when it is known; 0 when done() will be called, with *ret_query;
 * -ENOENT with *reterr_words (static) when the name is known not to resolve; -ENFILE when more than
 * RESOLVE_NAMES_MAX names are in use; -ENOMEM. */
int resolver_ask(Resolver *r, const char *host, uint16_t port, ResolveDone done, void *userdata,
                 Address *ret_address, ResolveQuery **ret_query,
                 const char **reterr_words) _must_check_;
/* The caller does not want the answer any more. */
void resolver_cancel(ResolveQuery *q);
