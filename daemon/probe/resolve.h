/* resolve.h: the addresses of names, kept fresh: a name is looked up in offload, once for all who
 * watch it, and again before its time is over, so that nobody waits for a look-up but the first
 * time. Knows nothing of probes. */
#pragma once

#include "offload.h"
#include "ring.h"

/* A failed look-up is made again after so long, the time of an answer that is still good aside. */
#define RESOLVE_FAILED_TTL (2 * USEC_PER_SEC)
/* A look-up begins so long before the old answer's time is over, or halfway if that is later. */
#define RESOLVE_LEAD (5 * USEC_PER_SEC)
/* A look-up that takes longer has failed for now; its answer is still taken when it comes. An old
 * answer is used so long past its time while the next one is awaited. */
#define RESOLVE_TIMEOUT (10 * USEC_PER_SEC)
#define RESOLVE_NAMES_MAX 65536
/* Workers that look up at once, those that a dead name server holds included: offload's workers are
 * others' too. Names that failed get one of them at most. */
#define RESOLVE_CONCURRENT 2

typedef struct Resolver Resolver;
typedef struct ResolveName ResolveName;

/* What is known of a name; borrowed until the next call. */
typedef struct ResolveAnswer {
        const Address *addresses; /* each once */
        size_t n;                 /* 0: none is known that is still good */
        bool more;                /* the answer had more addresses than AddressList holds */
        const char *failure;      /* static words why n is 0; NULL: not known yet */
} ResolveAnswer;

/* Embedded in whoever wants to know a name's addresses. */
typedef struct ResolveWatch {
        Ring link;
        ResolveName *name; /* NULL: watches nothing */
        usec_t ttl;
        /* The answer has changed, or was confirmed. Any watch may be added or removed from within.
         */
        void (*on_answer)(struct ResolveWatch *w, const ResolveAnswer *answer);
} ResolveWatch;

int resolver_new(Resolver **ret, Loop *loop, Offload *offload) _must_check_;
/* Not from within a callback of its own. Nobody watches any more. */
Resolver *resolver_free(Resolver *r);
DEFINE_CLEANUP(Resolver *, resolver_free);
/* Whether the host is a numeric address, with *ret if so. */
bool resolve_numeric(const char *host, uint16_t port, Address *ret);
/* The address of a unix socket, whose path fits. */
void resolve_socket(const char *path, Address *ret);
/* Watches a name from now on, looked up again after `ttl`: the shortest of all who watch it.
 * Returns 0 with what is known now, -ENFILE when more than RESOLVE_NAMES_MAX names are watched, or
 * -ENOMEM. */
int resolver_watch(Resolver *r, ResolveWatch *w, const char *host, uint16_t port, usec_t ttl,
                   void (*on_answer)(ResolveWatch *w, const ResolveAnswer *answer),
                   ResolveAnswer *ret) _must_check_;
/* Nothing more is told. One that watches nothing stays so. */
void resolver_unwatch(ResolveWatch *w);
