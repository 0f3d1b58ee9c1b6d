/* http_response.h: an HTTP/1.x response parser, fed piece by piece: strict framing (status line,
 * headers, Content-Length, chunked with trailers, close-delimited, 1xx passed over, no body on
 * 204, 304 and HEAD). A line may end with a bare newline except within chunked framing; folded
 * headers, NUL bytes, lone carriage returns, two lengths and two framings are refused. Body
 * bytes and the headers that are wanted are handed out as slices. Keeps nothing of them but the
 * name of a content coding, which it never undoes. Knows nothing of sockets. */
#pragma once

#include "exposition.h"

#define HTTP_HEADERS_MAX (32 * 1024) /* bytes of status lines, headers and trailers together */
/* bytes of a line that are looked at: a header of framing or a chunk size must fit, any other
 * may be longer */
#define HTTP_LINE_MAX 1024
#define HTTP_CODING_MAX 16 /* bytes of a content coding's name that are kept, with the NUL */

/* A piece of an answer; borrowed until the next call. */
typedef struct HttpPiece {
        Slice body;    /* body bytes, may be none */
        size_t header; /* of the wanted ones: whose value has come; SIZE_MAX: none */
        Slice value;
        bool whole; /* false: only the beginning of the value had room */
} HttpPiece;

/* What to read; borrowed until the end. */
typedef struct HttpResponseSetup {
        bool head;                 /* the request was HEAD */
        const char *const *wanted; /* names of headers (any case) to hand out */
        size_t n_wanted;
        char *line;       /* storage for a line that comes in parts */
        size_t line_size; /* at least HTTP_LINE_MAX; a wanted header's line should fit */
} HttpResponseSetup;

typedef struct HttpResponse {
        /* result */
        /* 200..599 once the headers have been seen, else 0 or that of a 1xx being passed over */
        unsigned status;
        bool done;         /* the whole message has been seen */
        bool close;        /* the connection cannot be used again */
        const char *error; /* static text after -EBADMSG */
        bool foreign;      /* the error is that it does not even begin like HTTP/1 */
        /* Content-Encoding, cut; "" when there is none. We ask for none. */
        char coding[HTTP_CODING_MAX];
        /* inner state: http_response.c alone reads it */
        HttpResponseSetup setup;
        unsigned state;
        size_t header_bytes;
        uint64_t remaining;
        bool chunked, has_length;
        bool old;        /* HTTP/1.0 */
        bool must_close; /* the peer said so */
        bool cr;         /* the line so far ends with a carriage return */
        size_t line_length;
} HttpResponse;

/* Starts. */
void http_response_init(HttpResponse *r, const HttpResponseSetup *setup);
/* Consumes a prefix of data. Returns the number of bytes consumed (>= 1 for n >= 1 until
 * r->done) and sets *ret to what is among them: at most one wanted header or some body bytes;
 * call again with the rest until it consumes everything or r->done. -EBADMSG, now and ever
 * after: not HTTP/1.x, or over a limit. */
ssize_t http_response_feed(HttpResponse *r, const char *data, size_t n, HttpPiece *ret);
/* The peer closed. Returns 0 when that ends the message properly, -EBADMSG with r->error when it
 * is cut short. */
int http_response_close(HttpResponse *r) _must_check_;
/* Without blanks and tabs at both ends. */
Slice http_trim(Slice s);
