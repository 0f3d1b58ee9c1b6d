#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "fed_answer.h"

/* A message with a NUL byte in it gives its own size. */
#define BYTES(text) text, sizeof text - 1

static void whole_answers_are_read_however_they_are_cut(void **state _unused_) {
        /* clang-format off */
        static const struct {
                const char *text;
                size_t n;
                Request request;
                unsigned status;
                const char *body;
                bool close;
        } rows[] = {
                { BYTES("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"), {}, 200, "hello", false },
                { BYTES("HTTP/1.1 200\r\ncontent-length:5\r\n\r\nhello"), {}, 200, "hello", false },
                { BYTES("HTTP/1.1 200 \r\nCONTENT-LENGTH: \t 5 \t \r\n\r\nhello"), {}, 200, "hello", false },
                { BYTES("HTTP/1.1 404 Not Found\nContent-Length: 2\n\nno"), {}, 404, "no", false },
                { BYTES("HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n"), {}, 500, "", false },
                { BYTES("HTTP/1.1 200 OK\r\n\r\nuntil closed"), { .closes = true }, 200, "until closed", true },
                { BYTES("HTTP/1.1 200 OK\r\n\r\n"), { .closes = true }, 200, "", true },
                { BYTES("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"), {}, 200, "ok", true },
                { BYTES("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nok"), {}, 200, "ok", false },
                { BYTES("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nok"), { .closes = true }, 200, "ok", true },
                { BYTES("HTTP/1.1 200 OK\r\nConnection: foo , Close\r\nContent-Length: 2\r\n\r\nok"), {}, 200, "ok", true },
                { BYTES("HTTP/1.0 200 OK\r\nConnection: close\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok"), {}, 200, "ok", true },
                { BYTES("HTTP/1.1 200 OK\r\nConnection: closed\r\nContent-Length: 2\r\n\r\nok"), {}, 200, "ok", false },
                { BYTES("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"), {}, 200, "hello!", false },
                { BYTES("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n00a;x=\"y\" ; z\r\n0123456789\r\n0 ;last\r\nX-T: 1\r\nContent-Length: 9\r\n\r\n"), {}, 200, "0123456789", false },
                { BYTES("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nA\r\n\r\n\r\n\r\n\r\n\r\n\r\n0\r\n\r\n"), {}, 200, "\r\n\r\n\r\n\r\n\r\n", false },
                { BYTES("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), {}, 200, "", false },
                { BYTES("HTTP/1.1 100 Continue\r\nX: y\r\n\r\nHTTP/1.1 103 Early\r\nContent-Length: 7\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), {}, 200, "ok", false },
                { BYTES("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"), {}, 204, "", false },
                { BYTES("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"), {}, 304, "", false },
                { BYTES("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), { .head = true }, 200, "", false },
                { BYTES("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), { .head = true }, 200, "", false },
                { BYTES("HTTP/1.1 200 OK\r\n\r\n"), { .head = true }, 200, "", false },
                { BYTES("HTTP/1.1 599 \xff\r\nX-Empty:\r\nX-Odd: \x01\xff\r\nContent-Length: 1\r\n\r\n\0"), {}, 599, "", false },
        };
        /* clang-format on */

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                Result result = feed_every_way(rows[i].request, rows[i].text, rows[i].n);

                if (result.r < 0)
                        fail_msg("row %zu: %s", i, result.error);
                assert_true(result.done);
                assert_null(result.error);
                assert_int_equal(result.status, rows[i].status);
                assert_int_equal(result.close, rows[i].close);
                assert_int_equal(result.used, rows[i].n);
                if (rows[i].status == 599) /* its body is a NUL byte */
                        assert_int_equal(result.body_size, 1);
                else {
                        assert_int_equal(result.body_size, strlen(rows[i].body));
                        assert_memory_equal(result.body, rows[i].body, result.body_size);
                }
        }
}

static void what_could_be_read_in_two_ways_is_refused(void **state _unused_) {
#define HEAD "HTTP/1.1 200 OK\r\n"
#define CHUNKED HEAD "Transfer-Encoding: chunked\r\n\r\n"
        /* clang-format off */
        static const struct {
                const char *text;
                size_t n;
                const char *error;
        } rows[] = {
                { BYTES("<html>\r\n"), "not an HTTP/1 answer" },
                { BYTES("SSH-2.0-OpenSSH_9.2\r\n"), "not an HTTP/1 answer" },
                { BYTES("HTTP/2.0 200 OK\r\n"), "not an HTTP/1 answer" },
                { BYTES("http/1.1 200 OK\r\n"), "not an HTTP/1 answer" },
                { BYTES(" HTTP/1.1 200 OK\r\n"), "not an HTTP/1 answer" },
                { BYTES("\r\n"), "not an HTTP/1 answer" },
                { BYTES("\n"), "malformed status line" },
                { BYTES("HT\0P/1.1 200 OK\r\n"), "not an HTTP/1 answer" },
                { BYTES("\x15\x03\x01\0\x02\x02\x16"), "it speaks TLS; write https://" },
                { BYTES("\x16\x03\x01"), "it speaks TLS; write https://" },
                { BYTES("HTTP/1.\r\n"), "malformed status line" },
                { BYTES("HTTP/1.x 200 OK\r\n"), "malformed status line" },
                { BYTES("HTTP/1.10 200 OK\r\n"), "malformed status line" },
                { BYTES("HTTP/1.1  200 OK\r\n"), "malformed status line" },
                { BYTES("HTTP/1.1\t200 OK\r\n"), "malformed status line" },
                { BYTES("HTTP/1.1 20 OK\r\n"), "malformed status line" },
                { BYTES("HTTP/1.1 2000 OK\r\n"), "malformed status line" },
                { BYTES("HTTP/1.1 +20 OK\r\n"), "malformed status line" },
                { BYTES("HTTP/1.1 099 OK\r\n"), "status outside 100..599" },
                { BYTES("HTTP/1.1 600 OK\r\n"), "status outside 100..599" },
                { BYTES("HTTP/1.1 101 Switching Protocols\r\n"), "status 101: nobody asked for another protocol" },
                { BYTES("HTTP/1.1 200 O\0K\r\n"), "NUL byte in the headers" },
                { BYTES("HTTP/1.1 200 O\rK\r\n"), "carriage return inside a line" },
                { BYTES(HEAD "X: y\r\r\n"), "carriage return inside a line" },
                { BYTES(HEAD "X: \0\r\n"), "NUL byte in the headers" },
                { BYTES(HEAD "X: y\r\n folded\r\n"), "header folded over two lines" },
                { BYTES(HEAD "\tX: y\r\n"), "header folded over two lines" },
                { BYTES(HEAD "X y\r\n"), "malformed header name" },
                { BYTES(HEAD ": y\r\n"), "malformed header name" },
                { BYTES(HEAD "Content-Length : 5\r\n"), "malformed header name" },
                { BYTES(HEAD "X(y): 5\r\n"), "malformed header name" },
                { BYTES(HEAD "X\xc3\xbc: 5\r\n"), "malformed header name" },
                { BYTES(HEAD "Content-Length: 5\r\nContent-Length: 5\r\n"), "Content-Length stands twice" },
                { BYTES(HEAD "Content-Length: 5, 5\r\n"), "Content-Length is not a whole number" },
                { BYTES(HEAD "Content-Length:\r\n"), "Content-Length is not a whole number" },
                { BYTES(HEAD "Content-Length: -1\r\n"), "Content-Length is not a whole number" },
                { BYTES(HEAD "Content-Length: +1\r\n"), "Content-Length is not a whole number" },
                { BYTES(HEAD "Content-Length: 0x5\r\n"), "Content-Length is not a whole number" },
                { BYTES(HEAD "Content-Length: 18446744073709551616\r\n"), "Content-Length over 64 bits" },
                { BYTES(HEAD "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"), "Content-Length beside Transfer-Encoding" },
                { BYTES(HEAD "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"), "Content-Length beside Transfer-Encoding" },
                { BYTES(HEAD "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), "Transfer-Encoding stands twice" },
                { BYTES(HEAD "Transfer-Encoding: gzip, chunked\r\n"), "Transfer-Encoding other than chunked" },
                { BYTES(HEAD "Transfer-Encoding: identity\r\n"), "Transfer-Encoding other than chunked" },
                { BYTES(HEAD "Transfer-Encoding:\r\n"), "Transfer-Encoding other than chunked" },
                { BYTES("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n"), "Transfer-Encoding in an HTTP/1.0 answer" },
                { BYTES(CHUNKED "\r\n"), "malformed chunk size" },
                { BYTES(CHUNKED "x\r\n"), "malformed chunk size" },
                { BYTES(CHUNKED "-1\r\n"), "malformed chunk size" },
                { BYTES(CHUNKED " 1\r\n"), "malformed chunk size" },
                { BYTES(CHUNKED "0x1\r\n"), "malformed chunk size" },
                { BYTES(CHUNKED "1 1\r\n"), "malformed chunk size" },
                { BYTES(CHUNKED "10000000000000000\r\n"), "chunk size over 64 bits" },
                { BYTES(CHUNKED "5\n"), "chunk size line without carriage return" },
                { BYTES(CHUNKED "1\r\nab\r\n"), "chunk longer than its size" },
                { BYTES(CHUNKED "1\r\na\n"), "chunk end without carriage return" },
                { BYTES(CHUNKED "0\r\n folded\r\n"), "header folded over two lines" },
                { BYTES(CHUNKED "0\r\nno trailer\r\n"), "malformed header name" },
        };
        /* clang-format on */

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                Result result = feed_every_way((Request){}, rows[i].text, rows[i].n);

                assert_int_equal(result.r, -EBADMSG);
                assert_string_equal(result.error, rows[i].error);
                assert_true(result.close);
                assert_false(result.done);
        }
}

static void what_is_no_http_is_told_at_its_first_byte(void **state _unused_) {
        static const char start[] = "HTTP/1.";

        for (size_t n = 1; n < sizeof start; n++) {
                char text[sizeof start];

                memcpy(text, start, n);
                assert_int_equal(feed((Request){}, text, n, n, NULL, true).r, 0);
                text[n - 1] ^= 1;
                assert_int_equal(feed((Request){}, text, n, n, NULL, true).r, -EBADMSG);
        }
}

static void an_answer_cut_short_anywhere_is_told(void **state _unused_) {
        static const char *const rows[] = {
                HEAD "Content-Length: 5\r\n\r\nhello",
                CHUNKED "5\r\nhello\r\n0\r\nX: y\r\n\r\n",
                "HTTP/1.1 100 Continue\r\n\r\n" HEAD "Content-Length: 1\r\n\r\nx",
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                for (size_t n = 0; n <= strlen(rows[i]); n++) {
                        Result result = feed((Request){ .closes = true }, rows[i], n, n + 1, NULL,
                                             true);
                        bool whole = n == strlen(rows[i]),
                             in_body = strstr(rows[i], "\r\n\r\n") + 4 <= rows[i] + n && i < 2;

                        assert_int_equal(result.r, whole ? 0 : -EBADMSG);
                        assert_int_equal(result.done, whole);
                        if (n == 0)
                                assert_string_equal(result.error, "closed before an answer");
                        else if (!whole && i < 2)
                                assert_string_equal(result.error,
                                                    in_body ?
                                                            "closed in the middle of the body" :
                                                            "closed in the middle of the headers");
                }
}

static void what_follows_the_answer_is_left_alone(void **state _unused_) {
        static const char first[] = HEAD "Content-Length: 2\r\n\r\nok",
                          both[] = HEAD "Content-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n";
        char line[HTTP_LINE_MAX];
        HttpResponse r;
        HttpPiece part;

        assert_int_equal(feed_every_way((Request){}, both, sizeof both - 1).used, sizeof first - 1);
        http_response_init(&r, &(HttpResponseSetup){ .line = line, .line_size = sizeof line });
        assert_int_equal(http_response_feed(&r, both, sizeof both - 1, &part), sizeof first - 1);
        assert_int_equal(http_response_feed(&r, "x", 1, &part), 0);
        assert_int_equal(part.body.n, 0);
        assert_int_equal(http_response_close(&r), 0);
}

/* An answer with these headers, whose version and cookies are wanted. */
static Result feed_headers(const char *headers, size_t line_size) {
        STRBUF(b, 8192);

        strbuf_add(&b, HEAD);
        strbuf_add(&b, headers);
        strbuf_add(&b, "Content-Length: 2\r\n\r\n\x1f\x8b");

        Result result = feed_every_way(
                (Request){ .wanted = { "X-Version", "set-cookie" }, .line_size = line_size },
                b.text, b.length);
        assert_int_equal(result.r, 0);
        assert_int_equal(result.body_size, 2);
        return result;
}

static void wanted_headers_are_handed_out(void **state _unused_) {
        static const struct {
                const char *headers, *values, *coding;
        } rows[] = {
                { "", "", "" },
                { "X-Other: a\r\nx-VERSION:  2.4.1 beta\t\r\nX-Versio: 1\r\nX-Version1: 1\r\n",
                  "0=2.4.1 beta;", "" },
                { "X-Version:\r\n", "0=;", "" },
                { "X-Version: 1\r\nSet-Cookie: a=b\r\nX-Version: 2\r\nSet-Cookie: c=d\r\n",
                  "0=1;1=a=b;0=2;1=c=d;", "" },
                { "X-Version: 1\nSet-Cookie: a\n", "0=1;1=a;", "" },
                { "Content-Encoding: identity\r\n", "", "" },
                { "content-encoding:gzip\r\n", "", "gzip" },
                { "Content-Encoding: br\r\nContent-Encoding: gzip\r\n", "", "br" },
                { "Content-Encoding: deflate, gzip, br\r\n", "", "deflate, gzip, " },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                Result result = feed_headers(rows[i].headers, HTTP_LINE_MAX);

                assert_string_equal(result.headers, rows[i].values);
                assert_string_equal(result.coding, rows[i].coding);
        }
        /* A 1xx answer and a trailer are not the answer. */
        static const char around[] = "HTTP/1.1 103 Early\r\nX-Version: 1\r\n\r\n" CHUNKED
                                     "0\r\nX-Version: 2\r\n\r\n";
        Result result = feed_every_way((Request){ .wanted = { "X-Version" } }, around,
                                       sizeof around - 1);
        assert_true(result.done);
        assert_string_equal(result.headers, "");
}

/* A limit of ours on the header that we want is no fault of the answer. */
static void a_wanted_header_that_is_too_long_is_handed_out_cut(void **state _unused_) {
        static const char name[] = "X-Version: ";

        for (size_t size = HTTP_LINE_MAX; size <= 3 * HTTP_LINE_MAX; size += HTTP_LINE_MAX)
                for (size_t extra = 0; extra < 2; extra++) {
                        size_t n = size - strlen(name) + extra;
                        STRBUF(b, 4096);

                        strbuf_add(&b, name);
                        for (size_t i = 0; i < n; i++)
                                strbuf_add_char(&b, 'v');
                        strbuf_add(&b, "\r\n");

                        Result result = feed_headers(b.text, size);
                        assert_int_equal(strlen(result.headers), n + 3 - extra);
                        assert_int_equal(result.headers[1], extra ? '~' : '=');
                }
}

/* Status line, one header of `n` bytes with its line end, the empty line. */
static void long_header(StrBuf *b, const char *name, size_t n) {
        size_t start;

        strbuf_add(b, HEAD);
        start = b->length;
        strbuf_add(b, name);
        while (b->length < start + n - 2)
                strbuf_add_char(b, '1');
        strbuf_add(b, "\r\n\r\n");
        assert_false(b->overflow);
}

static void a_long_header_that_nobody_needs_is_passed_over(void **state _unused_) {
        static char storage[2 * HTTP_HEADERS_MAX];
        StrBuf b;

        strbuf_init(&b, storage, sizeof storage);
        long_header(&b, "Content-Security-Policy: ", 5000);
        assert_int_equal(feed_every_way((Request){ .head = true }, b.text, b.length).r, 0);
        strbuf_init(&b, storage, sizeof storage);
        long_header(&b, "Connection: ", HTTP_LINE_MAX + 2);
        assert_int_equal(feed_every_way((Request){ .head = true }, b.text, b.length).r, 0);
        strbuf_init(&b, storage, sizeof storage);
        long_header(&b, "Connection: ", HTTP_LINE_MAX + 3);
        assert_string_equal(feed_every_way((Request){ .head = true }, b.text, b.length).error,
                            "a header that is needed is longer than 1024 bytes");
}

static void headers_have_at_most_32_kib_together(void **state _unused_) {
        static char storage[2 * HTTP_HEADERS_MAX];
        StrBuf b;

        for (size_t extra = 0; extra < 2; extra++) {
                strbuf_init(&b, storage, sizeof storage);
                long_header(&b, "X: ", HTTP_HEADERS_MAX - strlen(HEAD) - 2 + extra);
                assert_int_equal(b.length, HTTP_HEADERS_MAX + extra);
                Result result = feed_every_way((Request){ .head = true }, b.text, b.length);
                assert_int_equal(result.r, extra == 0 ? 0 : -EBADMSG);
                if (extra > 0)
                        assert_string_equal(result.error, "headers over 32 KiB");
        }
        /* Interim answers and trailers count as well: no peer can go on for ever. */
        strbuf_init(&b, storage, sizeof storage);
        while (b.length <= HTTP_HEADERS_MAX)
                strbuf_add(&b, "HTTP/1.1 100 Continue\r\n\r\n");
        assert_string_equal(feed((Request){}, b.text, b.length, 4096, NULL, true).error,
                            "headers over 32 KiB");
        strbuf_init(&b, storage, sizeof storage);
        strbuf_add(&b, CHUNKED "0\r\n");
        while (b.length <= HTTP_HEADERS_MAX + 3)
                strbuf_add(&b, "X: y\r\n");
        assert_string_equal(feed((Request){}, b.text, b.length, 4096, NULL, true).error,
                            "headers over 32 KiB");
}

static void a_chunk_size_line_has_at_most_1_kib(void **state _unused_) {
        for (size_t extra = 0; extra < 2; extra++) {
                STRBUF(b, 4096);

                strbuf_add(&b, CHUNKED "1;");
                for (size_t i = 2; i < HTTP_LINE_MAX + extra; i++)
                        strbuf_add_char(&b, 'e');
                strbuf_add(&b, "\r\nx\r\n0\r\n\r\n");
                Result result = feed_every_way((Request){}, b.text, b.length);
                assert_int_equal(result.r, extra == 0 ? 0 : -EBADMSG);
                if (extra > 0)
                        assert_string_equal(result.error, "chunk size line longer than 1024 bytes");
        }
}

static void lengths_beyond_memory_are_counted_right(void **state _unused_) {
        static const char text[] = HEAD "Content-Length: 18446744073709551615\r\n\r\nabc";
        static const char chunk[] = CHUNKED "ffffffffffffffff\r\nabc";

        assert_memory_equal(feed_every_way((Request){}, text, sizeof text - 1).body, "abc", 3);
        assert_memory_equal(feed_every_way((Request){}, chunk, sizeof chunk - 1).body, "abc", 3);
}

static void no_answer_depends_on_how_it_is_cut(void **state _unused_) {
        static const char *const seeds[] = {
                HEAD "Content-Length: 5\r\nX-Version: 1\r\n\r\nhello",
                CHUNKED "5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n",
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 OK\r\n\r\nbody",
        };
        uint64_t seed = 13;
        size_t good = 0, bad = 0;

        for (int i = 0; i < 4000; i++) {
                static const char bytes[] = "\r\n: \t0519a;\0\xff"
                                            "HT/.";
                char text[128];
                size_t n = strlen(seeds[i % 3]);

                memcpy(text, seeds[i % 3], n);
                for (usec_t changes = usec_jitter(4, &seed); changes > 0; changes--)
                        text[usec_jitter(n, &seed)] = bytes[usec_jitter(sizeof bytes - 1, &seed)];
                Result result = feed_every_way(
                        (Request){ .closes = true, .wanted = { "X-Version" } }, text, n);
                good += result.r == 0;
                bad += result.r < 0;
        }
        assert_true(good > 400 && bad > 400);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(whole_answers_are_read_however_they_are_cut),
                cmocka_unit_test(what_could_be_read_in_two_ways_is_refused),
                cmocka_unit_test(what_is_no_http_is_told_at_its_first_byte),
                cmocka_unit_test(an_answer_cut_short_anywhere_is_told),
                cmocka_unit_test(what_follows_the_answer_is_left_alone),
                cmocka_unit_test(wanted_headers_are_handed_out),
                cmocka_unit_test(a_wanted_header_that_is_too_long_is_handed_out_cut),
                cmocka_unit_test(a_long_header_that_nobody_needs_is_passed_over),
                cmocka_unit_test(headers_have_at_most_32_kib_together),
                cmocka_unit_test(a_chunk_size_line_has_at_most_1_kib),
                cmocka_unit_test(lengths_beyond_memory_are_counted_right),
                cmocka_unit_test(no_answer_depends_on_how_it_is_cut),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
