/* http_client_internal.h: what the two files of the HTTP client share: one transfer, that is a curl
 * handle set up so that nothing surprises, and its collected answer. Included by http_client*.c
 * only. */
#pragma once

#include <curl/curl.h>

#include "http_client.h"

/* Status line and headers of an answer; more ends the transfer like a body that is too large. */
#define HTTP_CLIENT_HEADER_MAX (64 * 1024)

typedef struct HttpTransfer {
        CURL *easy;
        struct curl_slist *headers;
        char *body; /* NUL-terminated, NULL while empty */
        size_t body_size, body_max, header_size;
        bool too_large;
} HttpTransfer;

/* Sets everything up but the method and the body. Returns 0, -EINVAL (URL: not http or https, or
 * with credentials; a header with a line break), -ENOMEM. To be done in any case. */
int http_transfer_init(HttpTransfer *t, const char *url, const char *const *headers,
                       size_t body_max, usec_t timeout) _must_check_;
void http_transfer_done(HttpTransfer *t);
/* Whether there is an address of the host. */
bool http_transfer_is_resolved(const HttpTransfer *t);
/* Result of a finished transfer; the reply's body is borrowed from t. */
void http_transfer_reply(const HttpTransfer *t, CURLcode code, usec_t timeout, HttpReply *ret);
