/* http_client.h: outgoing requests that are no checks of a target (webhooks, questions to a metrics
 * store), over libcurl's multi interface on the loop: total deadline, no proxy, no redirects, body
 * cap counted in the write callback, CURLOPT_QUICK_EXIT. And one blocking request over a unix
 * socket for rollbackctl. */
#pragma once

#include "offload.h"

#define HTTP_CLIENT_REPLY_MAX (256 * 1024)
#define HTTP_CLIENT_CONCURRENT 8
#define HTTP_CLIENT_SPARE 4 /* more, for alerts, which must not wait for deliveries */
#define HTTP_CLIENT_CALL_MAX (16 * 1024 * 1024)

typedef struct HttpClient HttpClient;
typedef struct HttpRequest HttpRequest;

typedef struct HttpReply {
        int error; /* 0, or -ETIMEDOUT, -ECONNREFUSED, -EHOSTUNREACH (name or route), -EPROTO (TLS
                      and the rest), -EFBIG */
        char words[160]; /* of the error */
        bool unresolved; /* of the error: there was no address of the host yet */
        unsigned status;
        usec_t retry_after; /* from Retry-After in seconds; 0: none */
        const char *body;   /* borrowed, NUL-terminated */
        size_t body_size;
} HttpReply;

typedef void (*HttpReplyCallback)(void *userdata, const HttpReply *reply);

/* `reply_max`: bytes of a reply's body that are taken; more is -EFBIG. */
int http_client_new(HttpClient **ret, Loop *loop, size_t reply_max) _must_check_;
HttpClient *http_client_free(HttpClient *c);
DEFINE_CLEANUP(HttpClient *, http_client_free);
/* POSTs `body` (copied) with `headers` ("Name: value", copied, NULL-terminated). http and https
 * (verified). Returns 0, -EAGAIN (HTTP_CLIENT_CONCURRENT + HTTP_CLIENT_SPARE in flight), -EINVAL.
 */
int http_client_post(HttpClient *c, const char *url, const char *const *headers, const char *body,
                     size_t body_size, usec_t timeout, HttpReplyCallback callback, void *userdata,
                     HttpRequest **ret) _must_check_;
/* Whether there is an address of the host. */
bool http_request_is_resolved(const HttpRequest *r);
/* The callback is not called. Not for a request whose callback has begun. NULL: nothing. */
void http_request_cancel(HttpRequest *r);

/* Blocking, rollbackctl only: over a unix socket, or TCP when `socket` is NULL. Body of the reply
 * (at most HTTP_CLIENT_CALL_MAX) is malloc'ed into *ret_body, NUL-terminated. `headers` and `body`
 * as above, body NULL: none. Returns the status, a negative errno of HttpReply, or -ENOENT and
 * -EACCES of the socket. */
int http_client_call(const char *socket, const char *method, const char *url,
                     const char *const *headers, const char *body, usec_t timeout, char **ret_body,
                     size_t *ret_size) _must_check_;
