/* http_server_internal.h: what the files of the HTTP server share: a door is one listening socket
 * with a libmicrohttpd daemon of its own, a peer is one connection through it. Included by
 * http_server*.c and their test only. */
#pragma once

#include <microhttpd.h>

#include "http_server.h"

/* Request line and headers together must fit in here, with the answer's headers. */
#define HTTP_SERVER_HEADER_MAX (16 * 1024)
/* A body that is too large is read and thrown away up to here, so that its sender hears 413; after
 * that the connection is closed. */
#define HTTP_SERVER_SWALLOW_MAX (1024 * 1024)

typedef struct Peer {
        int fd;        /* -1: free place */
        usec_t since;  /* of the connection, or of the last request's end; USEC_INFINITY: already
                          shut down */
        bool idle;     /* between two requests of one connection */
        bool bad_path; /* the request's path or query has a NUL or an invalid escape */
        const char *path_end; /* borrowed while a request is parsed: the end of its undecoded path
                                 and query in libmicrohttpd's buffer */
        uid_t uid;
        struct MHD_Connection *suspended; /* while its answer is awaited; else NULL */
} Peer;

typedef struct Door {
        HttpServer *server;
        struct MHD_Daemon *daemon;
        LoopIo *io;
        LoopTimer *timer;
        bool local;
        bool closed; /* a connection ended in this turn: run once more, so that a full door accepts
                        again */
        Peer peers[HTTP_SERVER_CONNECTIONS];
} Door;

struct HttpServer {
        Loop *loop;
        HttpHandler handler;
        void *userdata;
        usec_t deadline;
        Door *unix_door, *tcp_door; /* NULL: not served */
};

/* http_server_new() with another deadline than HTTP_SERVER_DEADLINE. */
int http_server_new_with_deadline(HttpServer **ret, Loop *loop, int unix_fd, int tcp_fd,
                                  HttpHandler handler, void *userdata,
                                  usec_t deadline) _must_check_;

/* libmicrohttpd's callbacks of one request; `cls` is the Door. */
enum MHD_Result http_request_on_access(void *cls, struct MHD_Connection *connection,
                                       const char *url, const char *method, const char *version,
                                       const char *upload, size_t *upload_size, void **context);
void http_request_on_completed(void *cls, struct MHD_Connection *connection, void **context,
                               enum MHD_RequestTerminationCode code);
/* The request's line has come: a follow-up request's deadline starts here. */
void *http_request_on_line(void *cls, const char *uri, struct MHD_Connection *connection);
/* Decodes in place; a %00 or an invalid escape marks the peer. */
size_t http_request_on_unescape(void *cls, struct MHD_Connection *connection, char *text);
/* The Peer of a connection, or NULL when it had no place. */
Peer *http_peer_of(struct MHD_Connection *connection);
