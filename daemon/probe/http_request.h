/* http_request.h: the text of an HTTP/1.1 request: its line, headers and body as they go over the
 * wire. Knows nothing of connections, nor of where the parts come from. */
#pragma once

#include "config.h"
#include "exposition.h"
#include "probe_trace.h"

#define HTTP_REQUEST_MAX 8192                     /* bytes of a request's line and headers */
#define HTTP_REQUEST_BODY_MAX ((size_t)64 * 1024) /* bytes of its body */

typedef struct HttpHeader {
        const char *name, *value;
} HttpHeader;

/* What a request is made of; borrowed for the call. */
typedef struct HttpRequestParts {
        const char *method; /* NULL: GET */
        const char *path;   /* NULL: the target's */
        const char *accept; /* media types to ask for */
        /* The caller's own, which take the place of Host, User-Agent and Accept. What frames the
         * message (Connection, Content-Length, Transfer-Encoding, ...) is not his to say. */
        const HttpHeader *headers;
        size_t n_headers;
        Slice body; /* n 0: none, which a POST, PUT or PATCH still says */
        bool keep;  /* the connection is to be kept: does not ask the peer to close it */
} HttpRequestParts;

typedef struct HttpRequest {
        char *text; /* may hold any byte in its body */
        size_t length;
        size_t headers_length; /* up to the empty line: where one more header may go */
        bool head;             /* its answer has no body */
        bool once;             /* a POST: goes over a connection on which it cannot get lost */
} HttpRequest;

/* Makes a request, to be ended with http_request_done(). Returns 0; -EINVAL for a part that would
 * write the request anew or speaks of framing; -E2BIG; -ENOMEM. */
int http_request_build(HttpRequest *ret, const TargetConfig *target,
                       const HttpRequestParts *parts) _must_check_;
/* The same request, asking the peer to close the connection after its answer. */
int http_request_build_last(HttpRequest *ret, const HttpRequest *request) _must_check_;
void http_request_done(HttpRequest *r);
/* Writes it into a trace, with *** in place of what proves who asks. */
void http_request_show(const HttpRequest *r, ProbeTrace *trace);
/* One for each target of a probe, in their order, or as http_request_build(). */
int http_requests_new(HttpRequest **ret, const ProbeConfig *config,
                      const HttpRequestParts *parts) _must_check_;
void http_requests_free(HttpRequest *requests, size_t n);
