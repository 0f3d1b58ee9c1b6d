/* outcome.h: what one probe of one target came to: a named outcome with its verdict, short code
 * and words. A failed check is data, not an error. Knows nothing of how probes are made. */
#pragma once

#include "macro.h"

/* Three values everywhere. UNKNOWN is never BAD. */
typedef enum Tri {
        TRI_UNKNOWN, /* zero, so that what was never set is unknown */
        TRI_GOOD,
        TRI_BAD,
        _TRI_MAX,
} Tri;

typedef enum ProbeOutcome {
        /* The target answered as expected. */
        OUTCOME_OK,
        /* The target's fault. */
        OUTCOME_REFUSED,
        OUTCOME_RESET,
        OUTCOME_TIMEOUT,
        OUTCOME_NO_ROUTE, /* EHOSTUNREACH: what a dead host of the local network gives */
        OUTCOME_CLOSED,   /* closed before a whole answer */
        OUTCOME_PROTOCOL, /* not the protocol asked for */
        OUTCOME_BAD_STATUS,
        OUTCOME_BAD_BODY,
        OUTCOME_TOO_LARGE, /* over the body cap */
        OUTCOME_BAD_HEADER,
        OUTCOME_BAD_VALUE,     /* a reported value is outside its limits */
        OUTCOME_BAD_STATE,     /* not in the wanted state: a unit, a replica's role */
        OUTCOME_ERROR,         /* it answered that something is wrong with it */
        OUTCOME_SLOW,          /* good, but later than expected */
        OUTCOME_TLS,           /* the handshake failed */
        OUTCOME_TLS_UNTRUSTED, /* no chain to a trusted root */
        OUTCOME_TLS_EXPIRED,   /* or not valid yet */
        OUTCOME_TLS_NAME,      /* of another host */
        OUTCOME_TLS_VERSION,   /* no version that both speak */
        /* Ours, or nobody's: unknown. */
        OUTCOME_NETWORK_DOWN, /* ENETUNREACH, EADDRNOTAVAIL */
        OUTCOME_RESOURCES,    /* EMFILE, ENFILE, ENOBUFS, ENOMEM */
        OUTCOME_RESOLVER,     /* the name could not be resolved */
        OUTCOME_NO_DATA,      /* a page without the wanted series, or a malformed one */
        OUTCOME_OVERDUE,      /* our own schedule was late, or the probe was cancelled */
        OUTCOME_LOCAL,  /* our side does not work: a program, a right or a secret is missing */
        OUTCOME_DENIED, /* it does not take our credentials */
        _OUTCOME_MAX,
} ProbeOutcome;

/* Good, bad (the target's fault) or unknown (ours). */
Tri outcome_verdict(ProbeOutcome o);
/* Short stable code for status pages and JSON: "ok", "refused", "timeout", ... */
const char *outcome_code(ProbeOutcome o);
/* Words for people: "connection refused". */
const char *outcome_words(ProbeOutcome o);
/* The outcome that code names, or -EINVAL. */
int outcome_from_code(const char *code);
/* The outcome of a positive errno of connect, send or recv; an errno that the table does not
 * know is OUTCOME_LOCAL (unknown, never bad). */
ProbeOutcome outcome_from_errno(int error);
/* Words for people that go with it. */
const char *outcome_errno_words(int error);
/* "unknown", "good", "bad". */
const char *tri_to_string(Tri t);
