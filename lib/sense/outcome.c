#include <errno.h>

#include "outcome.h"

static const struct {
        Tri verdict;
        const char *code;
        const char *words;
} outcomes[] = {
        [OUTCOME_OK] = { TRI_GOOD, "ok", "answered as expected" },
        [OUTCOME_REFUSED] = { TRI_BAD, "refused", "connection refused" },
        [OUTCOME_RESET] = { TRI_BAD, "reset", "connection reset" },
        [OUTCOME_TIMEOUT] = { TRI_BAD, "timeout", "no answer in time" },
        [OUTCOME_NO_ROUTE] = { TRI_BAD, "no_route", "host unreachable" },
        [OUTCOME_CLOSED] = { TRI_BAD, "closed", "connection closed before the whole answer" },
        [OUTCOME_PROTOCOL] = { TRI_BAD, "protocol", "the answer is not of the protocol asked for" },
        [OUTCOME_BAD_STATUS] = { TRI_BAD, "bad_status", "unexpected status" },
        [OUTCOME_BAD_BODY] = { TRI_BAD, "bad_body", "unexpected body" },
        [OUTCOME_TOO_LARGE] = { TRI_BAD, "too_large", "the body is over its size limit" },
        [OUTCOME_NETWORK_DOWN] = { TRI_UNKNOWN, "network_down", "our own network is down" },
        [OUTCOME_RESOURCES] = { TRI_UNKNOWN, "resources",
                                "no descriptor, port or memory left for the probe" },
        [OUTCOME_RESOLVER] = { TRI_UNKNOWN, "resolver", "the name could not be resolved" },
        [OUTCOME_NO_DATA] = { TRI_UNKNOWN, "no_data", "no usable series on the page" },
        [OUTCOME_OVERDUE] = { TRI_UNKNOWN, "overdue",
                              "our own schedule was late or the probe was cancelled" },
};

_Static_assert(ELEMENTSOF(outcomes) == _OUTCOME_MAX, "every outcome has its row");

static const struct {
        int error;
        ProbeOutcome outcome;
} errors[] = {
        { ECONNREFUSED, OUTCOME_REFUSED },
        { ENOENT, OUTCOME_REFUSED }, /* a unix socket that nobody has bound */
        { ECONNRESET, OUTCOME_RESET },
        { ECONNABORTED, OUTCOME_RESET },
        { EPIPE, OUTCOME_RESET },
        { ETIMEDOUT, OUTCOME_TIMEOUT },
        { EHOSTUNREACH, OUTCOME_NO_ROUTE },
        { EHOSTDOWN, OUTCOME_NO_ROUTE },
        { ENETUNREACH, OUTCOME_NETWORK_DOWN },
        { ENETDOWN, OUTCOME_NETWORK_DOWN },
        { EADDRNOTAVAIL, OUTCOME_NETWORK_DOWN },
        { EMFILE, OUTCOME_RESOURCES },
        { ENFILE, OUTCOME_RESOURCES },
        { ENOBUFS, OUTCOME_RESOURCES },
        { ENOMEM, OUTCOME_RESOURCES },
};

Tri outcome_verdict(ProbeOutcome o) {
        assert((unsigned)o < _OUTCOME_MAX);
        return outcomes[o].verdict;
}

const char *outcome_code(ProbeOutcome o) {
        assert((unsigned)o < _OUTCOME_MAX);
        return outcomes[o].code;
}

const char *outcome_words(ProbeOutcome o) {
        assert((unsigned)o < _OUTCOME_MAX);
        return outcomes[o].words;
}

int outcome_from_code(const char *code) {
        for (size_t i = 0; i < ELEMENTSOF(outcomes); i++)
                if (streq(outcomes[i].code, code))
                        return (int)i;
        return -EINVAL;
}

ProbeOutcome outcome_from_errno(int error) {
        for (size_t i = 0; i < ELEMENTSOF(errors); i++)
                if (errors[i].error == error)
                        return errors[i].outcome;
        return OUTCOME_RESOURCES;
}

const char *tri_to_string(Tri t) {
        static const char *const names[] = {
                [TRI_UNKNOWN] = "unknown", [TRI_GOOD] = "good", [TRI_BAD] = "bad"
        };

        assert((unsigned)t < _TRI_MAX);
        return names[t];
}
