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
        [OUTCOME_BAD_HEADER] = { TRI_BAD, "bad_header", "unexpected header" },
        [OUTCOME_BAD_VALUE] = { TRI_BAD, "bad_value", "a value is outside its limits" },
        [OUTCOME_BAD_STATE] = { TRI_BAD, "bad_state", "not in the expected state" },
        [OUTCOME_ERROR] = { TRI_BAD, "error", "answered with an error" },
        [OUTCOME_SLOW] = { TRI_BAD, "slow", "answered later than expected" },
        [OUTCOME_TLS] = { TRI_BAD, "tls", "the TLS handshake failed" },
        [OUTCOME_TLS_UNTRUSTED] = { TRI_BAD, "tls_untrusted",
                                    "the certificate is of no trusted authority" },
        [OUTCOME_TLS_EXPIRED] = { TRI_BAD, "tls_expired", "the certificate is not valid now" },
        [OUTCOME_TLS_NAME] = { TRI_BAD, "tls_name", "the certificate is of another host" },
        [OUTCOME_TLS_VERSION] = { TRI_BAD, "tls_version", "no TLS version that both sides speak" },
        [OUTCOME_NETWORK_DOWN] = { TRI_UNKNOWN, "network_down", "our own network is down" },
        [OUTCOME_RESOURCES] = { TRI_UNKNOWN, "resources",
                                "no descriptor, port or memory left for the probe" },
        [OUTCOME_RESOLVER] = { TRI_UNKNOWN, "resolver", "the name could not be resolved" },
        [OUTCOME_NO_DATA] = { TRI_UNKNOWN, "no_data", "no usable data in the answer" },
        [OUTCOME_OVERDUE] = { TRI_UNKNOWN, "overdue",
                              "our own schedule was late or the probe was cancelled" },
        [OUTCOME_LOCAL] = { TRI_UNKNOWN, "local", "our own side of the probe does not work" },
        [OUTCOME_DENIED] = { TRI_UNKNOWN, "denied", "our credentials were not taken" },
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
        { EACCES, OUTCOME_LOCAL },
        { EPERM, OUTCOME_LOCAL },
        { EINVAL, OUTCOME_LOCAL },
        { EMFILE, OUTCOME_RESOURCES },
        { ENFILE, OUTCOME_RESOURCES },
        { ENOBUFS, OUTCOME_RESOURCES },
        { ENOMEM, OUTCOME_RESOURCES },
};

/* Where the outcome's own words say too little to our operator. */
static const struct {
        int error;
        const char *words;
} errno_words[] = {
        { EADDRNOTAVAIL, "no address or port of ours is left for it" },
        { EACCES, "a route, packet filter or file mode here forbids it" },
        { EPERM, "a packet filter here forbids it" },
        { EINVAL, "our system refuses the address, as behind a blackhole route" },
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
        return OUTCOME_LOCAL;
}

const char *outcome_errno_words(int error) {
        for (size_t i = 0; i < ELEMENTSOF(errno_words); i++)
                if (errno_words[i].error == error)
                        return errno_words[i].words;
        return outcome_words(outcome_from_errno(error));
}

const char *tri_to_string(Tri t) {
        static const char *const names[] = {
                [TRI_UNKNOWN] = "unknown", [TRI_GOOD] = "good", [TRI_BAD] = "bad"
        };

        assert((unsigned)t < _TRI_MAX);
        return names[t];
}
