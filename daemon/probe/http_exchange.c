#include <errno.h>

#include "http_exchange.h"

#define READ_SIZE 16384
/* So that one fast and endless body does not keep the loop from the others. */
#define READS_PER_TURN 8

static void on_ready(PollItem *item, uint32_t events);

static bool is_gone(ssize_t error) {
        return error == -EPIPE || error == -ECONNRESET;
}

static void note_certificate(HttpExchange *x) {
        if (x->stream && x->stream->tls)
                x->has_days = tls_stream_certificate_days(x->stream->tls, &x->days);
}

static void finish(HttpExchange *x, ProbeOutcome outcome, const char *words) {
        note_certificate(x);
        if (x->stream)
                poller_remove(x->setup.poller, &x->stream->item);
        /* The exchange may be gone after this. */
        x->setup.on_done(x->setup.userdata, outcome, words);
}

static void finish_errno(HttpExchange *x, int error) {
        ProbeResult result = {};

        stream_explain(x->stream, error, &result);
        finish(x, result.outcome, result.words);
}

static void finish_protocol(HttpExchange *x, Slice rest) {
        STRBUF(words, PROBE_WORDS_SIZE);

        strbuf_add(&words, "not an HTTP/1.1 answer: ");
        if (x->response.foreign) {
                /* Enough to know another protocol by; each byte may take four to write. */
                strbuf_add(&words, "it begins \"");
                strbuf_add_escaped(&words, rest.p, MIN(rest.n, (size_t)24));
                strbuf_add_char(&words, '"');
        } else
                strbuf_add(&words, x->response.error ? x->response.error : "malformed");
        finish(x, OUTCOME_PROTOCOL, words.text);
}

/* The whole answer has come, and `left` bytes that belong to nobody. A connection with anything
 * left on it, now or perhaps, would give it for an answer to the next request. */
static void finish_answer(HttpExchange *x, size_t left, bool more) {
        const HttpResponse *response = &x->response;

        note_certificate(x);
        if (left == 0 && !more && !response->close && x->stream->uses < x->setup.reuse)
                http_peer_keep(x->setup.peer, TAKE_PTR(x->stream));
        finish(x, OUTCOME_OK, "");
}

/* `n`: what receiving said. An end that TLS was not told of may be anybody's work: it ends nothing
 * properly. */
static void finish_closed(HttpExchange *x, ssize_t n) {
        if (n == 0 && http_response_close(&x->response) >= 0)
                finish(x, OUTCOME_OK, "");
        else
                finish(x, OUTCOME_CLOSED,
                       x->answered ? "closed before the end of the answer" :
                                     "closed without an answer");
}

/* Takes body bytes. Returns true when the exchange goes on. */
static bool take_body(HttpExchange *x, Slice body) {
        if (body.n == 0)
                return true;
        if (body.n > x->setup.max_body - x->body_size) {
                STRBUF(words, PROBE_WORDS_SIZE);

                strbuf_add(&words, "body over max_body, ");
                strbuf_add_u64(&words, x->setup.max_body);
                strbuf_add(&words, " bytes");
                finish(x, OUTCOME_TOO_LARGE, words.text);
                return false;
        }
        x->body_size += body.n;
        if (x->setup.on_body(x->setup.userdata, body))
                return true;
        finish(x, OUTCOME_OK, "");
        return false;
}

/* Feeds what was read; `more`: there may be more to read now. Returns true when the exchange goes
 * on. */
static bool take_bytes(HttpExchange *x, const char *data, size_t n, bool more) {
        while (n > 0) {
                HttpPiece piece;
                ssize_t used = http_response_feed(&x->response, data, n, &piece);

                /* Nothing taken and nothing said would be asked again for ever. */
                if (used < 0 || (used == 0 && !x->response.done)) {
                        finish_protocol(x, (Slice){ .p = data, .n = n });
                        return false;
                }
                if (piece.header != SIZE_MAX)
                        x->setup.on_header(x->setup.userdata, piece.header, piece.value,
                                           piece.whole);
                if (!take_body(x, piece.body))
                        return false;
                data += used;
                n -= (size_t)used;
                if (x->response.done) {
                        finish_answer(x, n, more);
                        return false;
                }
        }
        return true;
}

/* For whoever looks at a single probe: how far a send has brought it. */
static void note_progress(HttpExchange *x, const HttpRequest *request, ssize_t sent) {
        ProbeTrace *trace = x->setup.trace;
        const char *owed = stream_waiting_for(x->stream);

        if (sent > 0 || (owed && streq(owed, STREAM_OWES_HANDSHAKE)))
                probe_trace_mark(trace, MOMENT_CONNECTED);
        if (sent <= 0 || x->sent > 0)
                return;
        if (x->stream->tls)
                probe_trace_mark(trace, MOMENT_TLS);
        http_request_show(request, trace);
}

/* Sends what is left. Returns 0 when nothing is, -EAGAIN, or why it cannot be sent. */
static int send_rest(HttpExchange *x) {
        const HttpRequest *request = x->last.text ? &x->last : x->setup.request;

        while (x->sent < request->length) {
                ssize_t n = stream_send(x->stream, request->text + x->sent,
                                        request->length - x->sent);

                if (x->setup.trace)
                        note_progress(x, request, n);
                if (n >= 0) {
                        x->sent += (size_t)n;
                        x->state = EXCHANGE_SENDING;
                        continue;
                }
                /* A server may answer and close without reading: what it said decides, and reading
                 * tells the error if it said nothing. */
                if (is_gone(n) && (x->state == EXCHANGE_SENDING || !stream_waiting_for(x->stream)))
                        break;
                return (int)n;
        }
        probe_trace_mark(x->setup.trace, MOMENT_SENT);
        x->state = EXCHANGE_READING;
        return 0;
}

static int begin_on_stream(HttpExchange *x) {
        int r;

        x->state = EXCHANGE_CONNECTING;
        x->sent = 0;
        x->stream->uses++;
        if (x->used && x->stream->uses >= x->setup.reuse) {
                r = http_request_build_last(&x->last, x->setup.request);
                if (r < 0)
                        return r;
        }
        r = send_rest(x);
        if (r < 0 && r != -EAGAIN)
                return r;
        return stream_watch(x->stream, on_ready, x);
}

static int begin_anew(HttpExchange *x, const Address *address) {
        int r;

        http_request_done(&x->last);
        x->used = false;
        r = stream_new(&x->stream, &(StreamSetup){ .poller = x->setup.poller,
                                                   .address = address,
                                                   .whole = x->setup.request->length,
                                                   .tls = x->setup.tls,
                                                   .name = x->setup.name,
                                                   .session = http_peer_session(x->setup.peer),
                                                   .now = x->setup.now });
        return r < 0 ? r : begin_on_stream(x);
}

/* The peer may close a connection that was idle while the request is on its way: that is no failure
 * of the target, once. Returns whether the exchange goes on. */
static bool begin_again(HttpExchange *x) {
        Address address = x->stream->address;
        int r;

        x->stream = stream_free(x->stream);
        r = begin_anew(x, &address);
        if (r < 0)
                finish_errno(x, r);
        return r >= 0;
}

/* Bytes that were read. Returns true when there may be more to read now. */
static bool read_more(HttpExchange *x) {
        _uninitialized_ char buffer[READ_SIZE];
        ssize_t n = stream_receive(x->stream, buffer, sizeof buffer);

        if (n == -EAGAIN)
                return false;
        if (x->used && !x->answered && (n == 0 || n == -ENODATA || is_gone(n))) {
                (void)begin_again(x);
                return false;
        }
        if (n == 0 || n == -ENODATA) {
                finish_closed(x, n);
                return false;
        }
        if (n < 0) {
                finish_errno(x, (int)n);
                return false;
        }
        x->answered = true;
        probe_trace_mark(x->setup.trace, MOMENT_FIRST_BYTE);
        probe_trace_received(x->setup.trace, buffer, (size_t)n);

        bool more = stream_may_have_more(x->stream, n, sizeof buffer);
        return take_bytes(x, buffer, (size_t)n, more) && more;
}

static void read_answer(HttpExchange *x) {
        for (unsigned i = 0; i < READS_PER_TURN; i++)
                if (!read_more(x))
                        return;

        int r = stream_tell_again(x->stream);
        if (r < 0)
                finish_errno(x, r);
}

static void on_ready(PollItem *item, uint32_t events) {
        Stream *s = (Stream *)item;
        HttpExchange *x = s->owner;

        stream_wake(s, events);
        if (x->state != EXCHANGE_READING) {
                int r = send_rest(x);

                if (r == -EAGAIN)
                        r = stream_watch(s, on_ready, x);
                if (r == 0 && x->state != EXCHANGE_READING)
                        return;
                if (r < 0) {
                        finish_errno(x, r);
                        return;
                }
        }
        if (stream_is_readable(s, events))
                read_answer(x);
}

static int begin(HttpExchange *x, const Address *address) {
        int r = 0;

        /* A policy that was read anew may ask for it no more. And the peer may end what is kept
         * while a request is on its way, which is sent again then: nobody may order twice. */
        if (x->setup.reuse == 0 || x->setup.request->once)
                http_peer_renew(x->setup.peer);
        x->stream = http_peer_take(x->setup.peer, address, x->setup.tls);
        x->used = x->stream;
        if (x->used) {
                r = begin_on_stream(x);
                if (is_gone(r))
                        x->stream = stream_free(x->stream);
        }
        return x->stream ? r : begin_anew(x, address);
}

/* Everything but the room for the line. */
static int exchange_init(HttpExchange *x, const HttpExchangeSetup *setup) {
        size_t line_size = MAX(setup->line_size, sizeof x->line);

        x->setup = *setup;
        x->setup.address = NULL;
        x->stream = NULL;
        x->answered = false;
        x->body_size = 0;
        x->has_days = false;
        x->last = (HttpRequest){};
        x->long_line = NULL;
        if (line_size > sizeof x->line) {
                x->long_line = malloc(line_size);
                if (!x->long_line)
                        return -ENOMEM;
        }
        http_response_init(&x->response, &(HttpResponseSetup){ .head = setup->request->head,
                                                               .wanted = setup->headers,
                                                               .n_wanted = setup->n_headers,
                                                               .line = x->long_line ?: x->line,
                                                               .line_size = line_size });
        return 0;
}

int http_exchange_start(HttpExchange *x, const HttpExchangeSetup *setup, ProbeResult *reterr) {
        int r = exchange_init(x, setup);

        if (r < 0) {
                probe_result_set_errno(reterr, r);
                return r;
        }
        r = begin(x, setup->address);
        if (r < 0) {
                stream_explain(x->stream, r, reterr);
                note_certificate(x);
                http_exchange_add_values(x, reterr);
                http_exchange_done(x);
        }
        return r;
}

void http_exchange_done(HttpExchange *x) {
        x->stream = stream_free(x->stream);
        http_request_done(&x->last);
        free(x->long_line);
}

const HttpResponse *http_exchange_response(const HttpExchange *x) {
        return &x->response;
}

bool http_exchange_add_coding(const HttpExchange *x, const char *body, StrBuf *b) {
        const char *coding = x->response.coding;

        if (!*coding)
                return false;
        strbuf_add(b, "the ");
        strbuf_add(b, body);
        strbuf_add(b, " came as Content-Encoding ");
        strbuf_add_escaped(b, coding, strlen(coding));
        strbuf_add(b, ", which nobody asked for");
        return true;
}

void http_exchange_add_values(const HttpExchange *x, ProbeResult *result) {
        if (x->has_days)
                (void)probe_result_add_value(result, "certificate_days", x->days);
}

const char *http_exchange_waiting_for(const HttpExchange *x) {
        const char *owed = x->state == EXCHANGE_CONNECTING ? stream_waiting_for(x->stream) : NULL;

        if (owed)
                return owed;
        return x->answered ? "end of the answer" : "answer";
}
