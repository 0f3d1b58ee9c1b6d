/* http_exchange.h: one request and its answer over a connection of its own or over the one that is
 * kept of the target: connect, send, feed the answer to the parser, hand the body out, close or
 * keep. Follows no redirect and keeps no deadline: that is the prober's. Knows nothing of what the
 * answer means. */
#pragma once

#include "http_peer.h"
#include "http_request.h"
#include "http_response.h"
#include "probe_kind.h"

/* Borrowed until the end but for `address`, which is for the call. */
typedef struct HttpExchangeSetup {
        Poller *poller;
        const Address *address;
        TlsContext *tls;  /* NULL: without TLS */
        const char *name; /* with TLS: of the peer */
        usec_t now;
        ProbeTrace *trace; /* or NULL */
        const HttpRequest *request;
        HttpPeer *peer;    /* what is kept of the target */
        uint32_t reuse;    /* exchanges that a connection is used for; 0: one, and it is not kept */
        uint64_t max_body; /* bytes, after the transfer coding */
        /* Headers that are wanted, told as they come with the index of their name; `whole` false:
         * only the beginning of the value had room. No header when n_headers is 0. */
        const char *const *headers;
        size_t n_headers;
        size_t line_size; /* room for the line of a wanted header; 0: HTTP_LINE_MAX */
        void (*on_header)(void *userdata, size_t header, Slice value, bool whole);
        /* Body bytes, borrowed for the call. False: enough has been seen, end well. */
        bool (*on_body)(void *userdata, Slice body);
        /* The end, once, with the transport's outcome and words; the exchange may be freed from
         * within. Never called from http_exchange_start(). */
        void (*on_done)(void *userdata, ProbeOutcome outcome, const char *words);
        void *userdata;
} HttpExchangeSetup;

typedef enum HttpExchangeState {
        EXCHANGE_CONNECTING, /* until the first bytes are sent */
        EXCHANGE_SENDING,
        EXCHANGE_READING
} HttpExchangeState;

/* Lies in the run of its probe, so that a probe is one piece of memory. http_exchange.c alone reads
 * it. */
typedef struct HttpExchange {
        HttpExchangeSetup setup;
        Stream *stream;
        HttpExchangeState state;
        uint64_t body_size;
        HttpRequest last; /* the request in the words that end the connection; else empty */
        bool used;     /* the connection was used before: its end before an answer tells nothing */
        bool answered; /* a byte has come */
        bool has_days;
        double days; /* until the certificate expires */
        size_t sent;
        HttpResponse response;
        char *long_line; /* for the response, when `line` is too short */
        char line[HTTP_LINE_MAX];
} HttpExchange;

/* Starts, with *x as storage, which may be anything and stays where it is. Returns 0, or a negative
 * errno when it failed at once; *reterr says how, and nothing is left to end. */
int http_exchange_start(HttpExchange *x, const HttpExchangeSetup *setup,
                        ProbeResult *reterr) _must_check_;
/* Closes, without a word to on_done(). */
void http_exchange_done(HttpExchange *x);
/* The answer so far: its status (0: none yet) and how it is framed. */
const HttpResponse *http_exchange_response(const HttpExchange *x);
/* Adds "the BODY came as Content-Encoding gzip, which nobody asked for" when it did, and returns
 * whether: then its bytes are not what they stand for. */
bool http_exchange_add_coding(const HttpExchange *x, const char *body, StrBuf *b);
/* Adds what the connection itself reports: with TLS `certificate_days`, until the target's
 * certificate expires. */
void http_exchange_add_values(const HttpExchange *x, ProbeResult *result);
/* What the target still owes: "connection", "TLS handshake", "answer", "end of the answer". */
const char *http_exchange_waiting_for(const HttpExchange *x);
