#include <errno.h>

#include "http_response.h"
#include "number.h"

/*   STATUS -> HEADER -> BODY_LENGTH ----------------------------------> DONE
 *     ^         | |--> BODY_CLOSE ---------------- peer closes --------> DONE
 *     '-- 1xx --' '--> CHUNK_SIZE -> CHUNK_DATA -> CHUNK_END -.
 *                           ^  '-> TRAILER -------------------+--------> DONE
 *                           '---------------------------------'           */
typedef enum State {
        STATE_STATUS,
        STATE_HEADER,
        STATE_BODY_LENGTH,
        STATE_BODY_CLOSE,
        STATE_CHUNK_SIZE,
        STATE_CHUNK_DATA,
        STATE_CHUNK_END,
        STATE_TRAILER,
        STATE_DONE,
        STATE_FAILED,
} State;

static int fail(HttpResponse *r, const char *why) {
        r->state = STATE_FAILED;
        r->error = why;
        r->close = true;
        return -EBADMSG;
}

static int finish(HttpResponse *r) {
        r->state = STATE_DONE;
        r->done = true;
        return 0;
}

void http_response_init(HttpResponse *r, const HttpResponseSetup *setup) {
        assert(setup->line_size >= HTTP_LINE_MAX);
        *r = (HttpResponse){ .setup = *setup };
}

static char lower(char c) {
        return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static bool slice_is(Slice s, const char *word) {
        size_t i;

        for (i = 0; i < s.n && word[i] != '\0'; i++)
                if (lower(s.p[i]) != lower(word[i]))
                        return false;
        return i == s.n && word[i] == '\0';
}

static bool is_blank(char c) {
        return c == ' ' || c == '\t';
}

Slice http_trim(Slice s) {
        while (s.n > 0 && is_blank(s.p[0]))
                s = (Slice){ .p = s.p + 1, .n = s.n - 1 };
        while (s.n > 0 && is_blank(s.p[s.n - 1]))
                s.n--;
        return s;
}

/* Whether one of the comma-separated words of a value is `word`. */
static bool has_word(Slice value, const char *word) {
        while (value.n > 0) {
                const char *comma = memchr(value.p, ',', value.n);
                size_t n = comma ? (size_t)(comma - value.p) : value.n;

                if (slice_is(http_trim((Slice){ .p = value.p, .n = n }), word))
                        return true;
                n += comma != NULL;
                value = (Slice){ .p = value.p + n, .n = value.n - n };
        }
        return false;
}

/* A table, because each byte of each header's name is looked up. */
static bool is_token(Slice s) {
        static const bool token[256] = {
                ['a' ... 'z'] = true, ['A' ... 'Z'] = true, ['0' ... '9'] = true, ['!'] = true,
                ['#'] = true,         ['$'] = true,         ['%'] = true,         ['&'] = true,
                ['\''] = true,        ['*'] = true,         ['+'] = true,         ['-'] = true,
                ['.'] = true,         ['^'] = true,         ['_'] = true,         ['`'] = true,
                ['|'] = true,         ['~'] = true,
        };

        for (size_t i = 0; i < s.n; i++)
                if (!token[(unsigned char)s.p[i]])
                        return false;
        return s.n > 0;
}

/* "HTTP/1.1 200" with a reason behind a blank, or none. */
static int take_status(HttpResponse *r, Slice line) {
        static const char start[] = "HTTP/1.";
        const char *digits = line.p + 9;
        uint64_t status;

        if (line.n < 12 || memcmp(line.p, start, sizeof start - 1) != 0 || line.p[8] != ' ' ||
            (line.n > 12 && line.p[12] != ' '))
                return fail(r, "malformed status line");
        if (line.p[7] < '0' || line.p[7] > '9' || number_parse_u64(digits, 3, &status) < 0)
                return fail(r, "malformed status line");
        if (status < 100 || status > 599)
                return fail(r, "status outside 100..599");
        if (status == 101)
                return fail(r, "status 101: nobody asked for another protocol");
        r->old = line.p[7] == '0';
        r->close = r->old;
        r->status = (unsigned)status;
        r->state = STATE_HEADER;
        return 0;
}

static int take_length(HttpResponse *r, Slice value) {
        if (r->has_length)
                return fail(r, "Content-Length stands twice");
        int error = number_parse_u64(value.p, value.n, &r->remaining);
        if (error < 0)
                return fail(r, error == -ERANGE ? "Content-Length over 64 bits" :
                                                  "Content-Length is not a whole number");
        r->has_length = true;
        return 0;
}

static int take_coding(HttpResponse *r, Slice value) {
        if (r->chunked)
                return fail(r, "Transfer-Encoding stands twice");
        if (!slice_is(value, "chunked"))
                return fail(r, "Transfer-Encoding other than chunked");
        if (r->old)
                return fail(r, "Transfer-Encoding in an HTTP/1.0 answer");
        r->chunked = true;
        return 0;
}

static void take_content_coding(HttpResponse *r, Slice value) {
        size_t n = MIN(value.n, sizeof r->coding - 1);

        if (r->coding[0] != '\0' || slice_is(value, "identity"))
                return;
        memcpy(r->coding, value.p, n);
        r->coding[n] = '\0';
}

static void take_connection(HttpResponse *r, Slice value) {
        if (has_word(value, "close"))
                r->must_close = true;
        else if (r->old && has_word(value, "keep-alive"))
                r->close = false;
}

static void hand_out(const HttpResponse *r, Slice name, Slice value, HttpPiece *ret) {
        for (size_t i = 0; i < r->setup.n_wanted; i++)
                if (slice_is(name, r->setup.wanted[i])) {
                        ret->header = i;
                        ret->value = value;
                        ret->whole = r->line_length <= r->setup.line_size;
                        return;
                }
}

/* A header or trailer line that is not empty. Only the first bytes of a long one are there: enough
 * for its name. */
static int take_header(HttpResponse *r, Slice line, HttpPiece *ret) {
        const char *colon = memchr(line.p, ':', line.n);
        Slice name, value;
        bool length, coding, connection;

        if (is_blank(line.p[0]))
                return fail(r, "header folded over two lines");
        if (!colon || !is_token((Slice){ .p = line.p, .n = (size_t)(colon - line.p) }))
                return fail(r, "malformed header name");
        if (r->state == STATE_TRAILER || r->status < 200)
                return 0;
        name = (Slice){ .p = line.p, .n = (size_t)(colon - line.p) };
        value = http_trim((Slice){ .p = colon + 1, .n = line.n - name.n - 1 });
        length = slice_is(name, "content-length");
        coding = slice_is(name, "transfer-encoding");
        connection = slice_is(name, "connection");
        if (r->line_length > HTTP_LINE_MAX && (length || coding || connection))
                return fail(r, "a header that is needed is longer than 1024 bytes");
        if (slice_is(name, "content-encoding"))
                take_content_coding(r, value);
        if (connection)
                take_connection(r, value);
        if (length && take_length(r, value) < 0)
                return -EBADMSG;
        if (coding && take_coding(r, value) < 0)
                return -EBADMSG;
        hand_out(r, name, value, ret);
        return 0;
}

/* The empty line after the headers: what follows? */
static int end_headers(HttpResponse *r) {
        if (r->status < 200) {
                r->status = 0;
                r->state = STATE_STATUS;
                return 0;
        }
        if (r->chunked && r->has_length)
                return fail(r, "Content-Length beside Transfer-Encoding");
        r->close |= r->must_close;
        if (r->setup.head || r->status == 204 || r->status == 304)
                return finish(r);
        if (r->chunked)
                r->state = STATE_CHUNK_SIZE;
        else if (!r->has_length) {
                r->state = STATE_BODY_CLOSE;
                r->close = true;
        } else if (r->remaining > 0)
                r->state = STATE_BODY_LENGTH;
        else
                return finish(r);
        return 0;
}

static int hex_digit(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        c = lower(c);
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "1a2b" and extensions, which are passed over. */
static int take_chunk_size(HttpResponse *r, Slice line) {
        uint64_t size = 0;
        size_t i;

        for (i = 0; i < line.n && hex_digit(line.p[i]) >= 0; i++) {
                if (size >> 60 != 0)
                        return fail(r, "chunk size over 64 bits");
                size = size << 4 | (uint64_t)hex_digit(line.p[i]);
        }
        if (i == 0)
                return fail(r, "malformed chunk size");
        line = http_trim((Slice){ .p = line.p + i, .n = line.n - i });
        if (line.n > 0 && line.p[0] != ';')
                return fail(r, "malformed chunk size");
        r->remaining = size;
        r->state = size > 0 ? STATE_CHUNK_DATA : STATE_TRAILER;
        return 0;
}

/* A whole line, without its end. */
static int take_line(HttpResponse *r, Slice line, HttpPiece *ret) {
        switch ((State)r->state) {
        case STATE_STATUS:
                return take_status(r, line);
        case STATE_HEADER:
                return line.n > 0 ? take_header(r, line, ret) : end_headers(r);
        case STATE_CHUNK_SIZE:
                return r->cr ? take_chunk_size(r, line) :
                               fail(r, "chunk size line without carriage return");
        case STATE_CHUNK_END:
                if (!r->cr)
                        return fail(r, "chunk end without carriage return");
                r->state = STATE_CHUNK_SIZE;
                return 0;
        case STATE_TRAILER:
                return line.n > 0 ? take_header(r, line, ret) : finish(r);
        case STATE_BODY_LENGTH:
        case STATE_BODY_CLOSE:
        case STATE_CHUNK_DATA:
        case STATE_DONE:
        case STATE_FAILED:
                break;
        }
        return fail(r, "a line where none belongs");
}

/* Checks a piece of a line (without the newline); unless it is all of it, keeps what there is room
 * for. */
static int add_piece(HttpResponse *r, Slice piece, bool keep) {
        const char *cr;
        size_t room = r->line_length < r->setup.line_size ? r->setup.line_size - r->line_length : 0;

        if (piece.n == 0)
                return 0;
        if (r->cr)
                return fail(r, "carriage return inside a line");
        if (memchr(piece.p, '\0', piece.n))
                return fail(r, "NUL byte in the headers");
        cr = memchr(piece.p, '\r', piece.n);
        if (cr) {
                if (cr != piece.p + piece.n - 1)
                        return fail(r, "carriage return inside a line");
                r->cr = true;
                piece.n--;
        }
        if (keep && piece.n > 0 && room > 0)
                memcpy(r->setup.line + r->line_length, piece.p, MIN(piece.n, room));
        r->line_length += piece.n;
        return 0;
}

/* What does not even begin like an answer is told without waiting for the end of the line. */
static int check_beginning(HttpResponse *r, Slice piece) {
        static const char start[] = "HTTP/1.";
        size_t at = MIN(r->line_length, sizeof start - 1), n = MIN(piece.n, sizeof start - 1 - at);

        if (memcmp(piece.p, start + at, n) == 0)
                return 0;
        /* The types of a record that a TLS server begins with: an alert, or its handshake. */
        if (at == 0 && (piece.p[0] == 0x15 || piece.p[0] == 0x16))
                return fail(r, "it speaks TLS; write https://");
        r->foreign = true;
        return fail(r, "not an HTTP/1 answer");
}

/* Consumes at most one line, or as much of it as there is. Returns the bytes consumed. */
static ssize_t feed_line(HttpResponse *r, const char *data, size_t n, HttpPiece *ret) {
        const char *newline = memchr(data, '\n', n);
        size_t piece = newline ? (size_t)(newline - data) : n, used = piece + (newline != NULL);
        bool counted = r->state == STATE_STATUS || r->state == STATE_HEADER ||
                       r->state == STATE_TRAILER;
        bool parted = !newline || r->line_length > 0 || r->cr;
        int error;

        if (counted) {
                r->header_bytes += used;
                if (r->header_bytes > HTTP_HEADERS_MAX)
                        return fail(r, "headers over 32 KiB");
        }
        if (r->state == STATE_STATUS && check_beginning(r, (Slice){ .p = data, .n = piece }) < 0)
                return -EBADMSG;
        if (add_piece(r, (Slice){ .p = data, .n = piece }, parted) < 0)
                return -EBADMSG;
        if (r->state == STATE_CHUNK_END && r->line_length > 0)
                return fail(r, "chunk longer than its size");
        if (!counted && r->line_length > HTTP_LINE_MAX)
                return fail(r, "chunk size line longer than 1024 bytes");
        if (!newline)
                return (ssize_t)used;
        error = take_line(r,
                          (Slice){ .p = parted ? r->setup.line : data,
                                   .n = MIN(r->line_length, r->setup.line_size) },
                          ret);
        r->line_length = 0;
        r->cr = false;
        return error < 0 ? error : (ssize_t)used;
}

/* Hands out body bytes. Returns their number. */
static size_t feed_body(HttpResponse *r, const char *data, size_t n, Slice *ret_body) {
        if (r->state != STATE_BODY_CLOSE) {
                n = r->remaining < n ? (size_t)r->remaining : n;
                r->remaining -= n;
                if (r->remaining == 0 && r->state == STATE_CHUNK_DATA)
                        r->state = STATE_CHUNK_END;
                else if (r->remaining == 0)
                        finish(r);
        }
        *ret_body = (Slice){ .p = data, .n = n };
        return n;
}

ssize_t http_response_feed(HttpResponse *r, const char *data, size_t n, HttpPiece *ret) {
        size_t used = 0;
        ssize_t piece;

        *ret = (HttpPiece){ .body.p = data, .header = SIZE_MAX };
        if (r->state == STATE_FAILED)
                return -EBADMSG;
        while (used < n && !r->done && ret->header == SIZE_MAX) {
                if (r->state == STATE_BODY_LENGTH || r->state == STATE_BODY_CLOSE ||
                    r->state == STATE_CHUNK_DATA)
                        return (ssize_t)(used + feed_body(r, data + used, n - used, &ret->body));
                piece = feed_line(r, data + used, n - used, ret);
                if (piece < 0)
                        return piece;
                used += (size_t)piece;
        }
        return (ssize_t)used;
}

int http_response_close(HttpResponse *r) {
        if (r->done)
                return 0;
        if (r->state == STATE_BODY_CLOSE)
                return finish(r);
        if (r->state == STATE_FAILED)
                return -EBADMSG;
        if (r->state == STATE_STATUS || r->state == STATE_HEADER)
                return fail(r, r->header_bytes == 0 ? "closed before an answer" :
                                                      "closed in the middle of the headers");
        return fail(r, "closed in the middle of the body");
}
