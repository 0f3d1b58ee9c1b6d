/* probe_trace.h: what one probe sent, what came back and when, for a person who asks. The daemon
 * keeps no such thing: everything here takes NULL and then does nothing. Secrets never enter it:
 * who sends one writes *** in its place. */
#pragma once

#include "strbuf.h"
#include "usec.h"

#define PROBE_TRACE_TEXT_MAX ((size_t)16 * 1024) /* of the request, and of the answer */

typedef enum ProbeMoment {
        MOMENT_STARTED,
        MOMENT_RESOLVED,
        MOMENT_BEGUN, /* by its kind: any name is resolved */
        MOMENT_CONNECTED,
        MOMENT_TLS, /* the handshake is done */
        MOMENT_SENT,
        MOMENT_FIRST_BYTE,
        MOMENT_DONE,
        _MOMENT_MAX,
} ProbeMoment;

typedef struct ProbeTrace {
        usec_t moments[_MOMENT_MAX]; /* of the clock; 0: did not come */
        StrBuf request, answer;      /* what did not fit is cut, and `overflow` set */
} ProbeTrace;

/* Notes that the moment is now; only the first one of a kind counts. */
void probe_trace_mark(ProbeTrace *t, ProbeMoment moment);
/* Appends to the request, or to the answer. */
void probe_trace_sent(ProbeTrace *t, const char *text, size_t n);
void probe_trace_received(ProbeTrace *t, const char *text, size_t n);
