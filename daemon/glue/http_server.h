/* http_server.h: incoming HTTP, over libmicrohttpd on the loop: a unix socket and a loopback port,
 * a deadline per request counted from its first byte, limits on connections, headers and bodies.
 * Hands whole requests to one handler and takes one whole answer. Knows no routes. */
#pragma once

#include <sys/types.h>

#include "loop.h"

#define HTTP_SERVER_CONNECTIONS 128 /* of each of the two sockets */
#define HTTP_SERVER_BODY_MAX (64 * 1024)
#define HTTP_SERVER_DEADLINE (10 * USEC_PER_SEC)

typedef struct HttpServer HttpServer;

typedef struct HttpCall {
        const char *method, *path; /* path decoded by MHD, without the query */
        const char *if_match;      /* or NULL */
        const char *content_type;  /* or NULL */
        const char *host;          /* or NULL */
        const char *origin;        /* or NULL */
        const char *body;
        size_t body_size;
        bool local;        /* came by the unix socket */
        uid_t peer_uid;    /* of the unix socket's peer, else (uid_t)-1 */
        const void *query; /* for http_call_query() */
        void *request;     /* for http_call_postpone() */
} HttpCall;

typedef struct HttpAnswer {
        unsigned status;
        const char *content_type;
        char *body; /* malloc'ed, handed over; NULL: empty */
        size_t body_size;
        const char *allow;    /* for 405 */
        char etag[32];        /* or "" */
        unsigned retry_after; /* seconds after which it may be asked again; 0: not said */
} HttpAnswer;

typedef struct HttpPending HttpPending; /* a request whose answer comes later */

/* Fills *ret, which begins as an empty 500. HEAD comes as GET. */
typedef void (*HttpHandler)(void *userdata, const HttpCall *call, HttpAnswer *ret);

/* Serves on listening sockets that the caller opened (or was passed); both may be -1. Takes the
 * descriptors over. */
int http_server_new(HttpServer **ret, Loop *loop, int unix_fd, int tcp_fd, HttpHandler handler,
                    void *userdata) _must_check_;
/* Accepts nobody any more; who has connected is still served. */
void http_server_close_doors(HttpServer *s);
/* Whether anybody who was accepted still waits for an answer, or has yet to ask. */
bool http_server_is_busy(const HttpServer *s);
HttpServer *http_server_free(HttpServer *s);
DEFINE_CLEANUP(HttpServer *, http_server_free);
/* Value of a query argument, borrowed for the call; "" when it has none ("?verbose"), NULL when it
 * is not there. */
const char *http_call_query(const HttpCall *call, const char *name);
/* From within the handler: the answer comes later, and what the handler fills in is not sent. The
 * deadline goes on. To be ended with http_pending_answer() or http_pending_free(), also after the
 * server. NULL without memory. */
HttpPending *http_call_postpone(const HttpCall *call);
/* Sends the answer, unless the connection is gone; takes the body and `pending` over. */
void http_pending_answer(HttpPending *pending, const HttpAnswer *answer);
/* Who still waits gets an empty 500. */
HttpPending *http_pending_free(HttpPending *pending);
/* Opens a listening unix socket (replacing a stale one; mode 0660, group by name when it exists) or
 * a loopback TCP socket ("127.0.0.1:0"). Returns the descriptor, or -EADDRINUSE (somebody serves
 * the path), -ENOTSOCK (something else lies there), -EPERM (not loopback; or the group exists and
 * may not be given), -EINVAL, other -errno. */
int http_listen_unix(const char *path, const char *group) _must_check_;
int http_listen_tcp(const char *address, char *ret_bound, size_t size) _must_check_;
