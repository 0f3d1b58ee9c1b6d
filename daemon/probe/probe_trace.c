#include "loop.h"
#include "probe_trace.h"

void probe_trace_mark(ProbeTrace *t, ProbeMoment moment) {
        if (t && t->moments[moment] == 0)
                t->moments[moment] = loop_clock();
}

void probe_trace_sent(ProbeTrace *t, const char *text, size_t n) {
        if (t)
                strbuf_add_n(&t->request, text, n);
}

void probe_trace_received(ProbeTrace *t, const char *text, size_t n) {
        if (t)
                strbuf_add_n(&t->answer, text, n);
}
