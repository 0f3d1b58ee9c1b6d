/* fed_answer.h: an answer of HTTP/1 fed to the parser in every way of cutting it, and what came
 * out. Knows nothing of which answers are good; include it after cmocka. */
#pragma once

#include <errno.h>

#include "guarded.h"
#include "http_response.h"
#include "strbuf.h"
#include "usec.h"

/* What became of a message, however it was cut into pieces. */
typedef struct Result {
        int r; /* 0, or -EBADMSG */
        unsigned status;
        bool done, close;
        const char *error;
        char headers[8192]; /* "0=value;" of each wanted one, "0~value;" of one that was cut */
        char coding[HTTP_CODING_MAX];
        char body[512];
        size_t body_size;
        size_t used;
} Result;

typedef struct Request {
        bool head;
        bool closes;           /* the peer closes behind the message */
        const char *wanted[2]; /* headers, or NULL */
        size_t line_size;      /* 0: HTTP_LINE_MAX */
} Request;

static inline void add_header(StrBuf *b, const HttpPiece *piece) {
        if (piece->header == SIZE_MAX)
                return;
        strbuf_add_u64(b, piece->header);
        strbuf_add_char(b, piece->whole ? '=' : '~');
        strbuf_add_n(b, piece->value.p, piece->value.n);
        strbuf_add_char(b, ';');
        assert_false(b->overflow);
}

/* Feeds pieces of at most `piece` bytes (from `seed`: of random sizes up to it), each against an
 * unreadable page when `guarded`. */
static inline Result feed(Request request, const char *text, size_t n, size_t piece, uint64_t *seed,
                          bool guarded) {
        static char line[8192];
        Result result = {};
        HttpResponse r;
        StrBuf headers;

        strbuf_init(&headers, result.headers, sizeof result.headers);
        HttpResponseSetup setup = { .head = request.head,
                                    .wanted = request.wanted,
                                    .n_wanted = request.wanted[1] ? 2 :
                                                request.wanted[0] ? 1 :
                                                                    0,
                                    .line = line,
                                    .line_size = request.line_size ?: HTTP_LINE_MAX };
        http_response_init(&r, &setup);
        while (result.used < n && !r.done && result.r == 0) {
                size_t size = MIN(seed ? 1 + usec_jitter(piece, seed) : piece, n - result.used);
                Guarded g = {};
                const char *data = text + result.used;
                HttpPiece part = {};

                if (guarded) {
                        g = guarded_copy(data, size);
                        data = g.bytes;
                }
                ssize_t used = http_response_feed(&r, data, size, &part);
                if (used < 0)
                        result.r = (int)used;
                else {
                        assert_true(used > 0 && (size_t)used <= size);
                        assert_true(part.body.n <= (size_t)used);
                        assert_true(result.body_size + part.body.n <= sizeof result.body);
                        memcpy(result.body + result.body_size, part.body.p, part.body.n);
                        result.body_size += part.body.n;
                        add_header(&headers, &part);
                        result.used += (size_t)used;
                }
                if (guarded)
                        guarded_done(&g);
        }
        if (result.r < 0) { /* and for ever */
                HttpPiece part;

                assert_int_equal(http_response_feed(&r, "HTTP/1.1 200 OK\r\n\r\n", 19, &part),
                                 -EBADMSG);
                assert_int_equal(http_response_close(&r), -EBADMSG);
        } else if (request.closes)
                result.r = http_response_close(&r);
        result.status = r.status;
        result.done = r.done;
        result.close = r.close;
        result.error = r.error;
        memcpy(result.coding, r.coding, sizeof result.coding);
        return result;
}

/* Feeds a message whole, byte by byte and in every other way of cutting, which must not matter. */
static inline Result feed_every_way(Request request, const char *text, size_t n) {
        Result whole = feed(request, text, n, n, NULL, true);
        uint64_t seed = 12;

        for (size_t piece = 1; piece < n; piece += 1 + piece / 8) {
                Result cut = feed(request, text, n, piece, piece % 2 ? NULL : &seed, n < 200);

                assert_int_equal(cut.r, whole.r);
                assert_int_equal(cut.status, whole.status);
                assert_int_equal(cut.done, whole.done);
                assert_int_equal(cut.close, whole.close);
                assert_int_equal(cut.error != NULL,
                                 whole.error != NULL); /* which of two faults is named may differ */
                assert_string_equal(cut.coding, whole.coding);
                if (whole.r == 0) {
                        assert_string_equal(cut.headers, whole.headers);
                        assert_int_equal(cut.body_size, whole.body_size);
                        assert_memory_equal(cut.body, whole.body, whole.body_size);
                        assert_int_equal(cut.used, whole.used);
                }
        }
        return whole;
}
