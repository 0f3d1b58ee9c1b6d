#include <errno.h>
#include <unistd.h>

#include "connection.h"
#include "http_exchange.h"

#define READ_SIZE 16384
/* So that one fast and endless body does not keep the loop from the others. */
#define READS_PER_TURN 8

typedef enum ExchangeState {
        EXCHANGE_CONNECTING,
        EXCHANGE_SENDING,
        EXCHANGE_READING
} ExchangeState;

struct HttpExchange {
        HttpExchangeSetup setup;
        ExchangeState state;
        int fd;
        LoopIo *io;
        uint64_t body_size;
        bool answered; /* a byte has come */
        HttpResponse response;
        size_t sent, request_size;
        char request[HTTP_REQUEST_MAX];
};

static bool plain_text(const char *text) {
        for (; *text; text++)
                if (*text <= 0x20 || *text >= 0x7f)
                        return false;
        return true;
}

static int request_build(StrBuf *b, const TargetConfig *target, const char *accept) {
        bool brackets = strchr(target->host, ':');

        /* A blank or a line end in here would write the request anew. */
        if (!plain_text(target->host) || !plain_text(target->path) || target->path[0] != '/')
                return -EINVAL;
        strbuf_add(b, "GET ");
        strbuf_add(b, target->path);
        strbuf_add(b, " HTTP/1.1\r\nHost: ");
        strbuf_add(b, brackets ? "[" : "");
        strbuf_add(b, target->host);
        strbuf_add(b, brackets ? "]" : "");
        if (target->port != 80) {
                strbuf_add(b, ":");
                strbuf_add_u64(b, target->port);
        }
        strbuf_add(b, "\r\nUser-Agent: rollbackd/" ROLLBACKD_VERSION "\r\nAccept: ");
        strbuf_add(b, accept);
        strbuf_add(b, "\r\nConnection: close\r\n\r\n");
        return b->overflow ? -E2BIG : 0;
}

int http_exchange_check(const TargetConfig *target, const char *accept) {
        STRBUF(b, HTTP_REQUEST_MAX);

        return request_build(&b, target, accept);
}

static void finish(HttpExchange *x, ProbeOutcome outcome, const char *words) {
        x->io = loop_io_free(x->io);
        /* The exchange may be gone after this. */
        x->setup.on_done(x->setup.userdata, outcome, words);
}

static void finish_errno(HttpExchange *x, int error) {
        ProbeResult result = {};

        probe_result_set_errno(&result, error);
        finish(x, result.outcome, result.words);
}

static void finish_protocol(HttpExchange *x) {
        STRBUF(words, PROBE_WORDS_SIZE);

        strbuf_add(&words, "not an HTTP/1.1 answer: ");
        strbuf_add(&words, x->response.error ? x->response.error : "malformed");
        finish(x, OUTCOME_PROTOCOL, words.text);
}

static void finish_closed(HttpExchange *x) {
        if (http_response_close(&x->response) >= 0)
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

/* Feeds what was read. Returns true when the exchange goes on. */
static bool take_bytes(HttpExchange *x, const char *data, size_t n) {
        while (n > 0) {
                Slice body = {};
                ssize_t used = http_response_feed(&x->response, data, n, &body);

                /* Nothing taken and nothing said would be asked again for ever. */
                if (used < 0 || (used == 0 && !x->response.done)) {
                        finish_protocol(x);
                        return false;
                }
                if (!take_body(x, body))
                        return false;
                data += used;
                n -= (size_t)used;
                if (x->response.done) {
                        finish(x, OUTCOME_OK, "");
                        return false;
                }
        }
        return true;
}

static void read_answer(HttpExchange *x) {
        char buffer[READ_SIZE];

        for (unsigned i = 0; i < READS_PER_TURN; i++) {
                ssize_t n = recv(x->fd, buffer, sizeof buffer, 0);

                if (n < 0) {
                        if (errno == EINTR)
                                continue;
                        if (errno != EAGAIN)
                                finish_errno(x, errno);
                        return;
                }
                if (n == 0) {
                        finish_closed(x);
                        return;
                }
                x->answered = true;
                if (!take_bytes(x, buffer, (size_t)n))
                        return;
        }
}

static void send_request(HttpExchange *x) {
        while (x->sent < x->request_size) {
                ssize_t n = send(x->fd, x->request + x->sent, x->request_size - x->sent,
                                 MSG_NOSIGNAL);

                if (n >= 0) {
                        x->sent += (size_t)n;
                        continue;
                }
                if (errno == EINTR)
                        continue;
                if (errno == EAGAIN)
                        return;
                /* A server may answer and close without reading: what it said decides, and reading
                 * tells the error if it said nothing. */
                if (errno == EPIPE || errno == ECONNRESET)
                        break;
                finish_errno(x, errno);
                return;
        }

        int r = loop_io_set(x->io, EPOLLIN);
        if (r < 0)
                finish_errno(x, r);
        else
                x->state = EXCHANGE_READING;
}

static void on_event(void *userdata, int fd, uint32_t events _unused_) {
        HttpExchange *x = userdata;

        switch (x->state) {
        case EXCHANGE_CONNECTING: {
                int r = connection_result(fd);

                if (r < 0) {
                        finish_errno(x, r);
                        return;
                }
                x->state = EXCHANGE_SENDING;
                send_request(x);
                return;
        }
        case EXCHANGE_SENDING:
                send_request(x);
                return;
        case EXCHANGE_READING:
                read_answer(x);
                return;
        }
}

int http_exchange_start(HttpExchange **ret, const HttpExchangeSetup *setup) {
        _cleanup_(http_exchange_freep) HttpExchange *x = calloc(1, sizeof *x);
        StrBuf b;
        int r;

        if (!x)
                return -ENOMEM;
        x->setup = *setup;
        x->setup.address = NULL;
        x->fd = -1;
        strbuf_init(&b, x->request, sizeof x->request);
        r = request_build(&b, setup->target, setup->accept);
        if (r < 0)
                return r;
        x->request_size = b.length;
        http_response_init(&x->response, false, setup->capture);
        r = x->fd = connection_start(setup->address);
        if (r < 0)
                return r;
        r = loop_add_io(setup->loop, x->fd, EPOLLOUT, on_event, x, "probe-http", &x->io);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(x);
        return 0;
}

HttpExchange *http_exchange_free(HttpExchange *x) {
        if (!x)
                return NULL;
        loop_io_free(x->io);
        if (x->fd >= 0)
                close(x->fd);
        free(x);
        return NULL;
}

const HttpResponse *http_exchange_response(const HttpExchange *x) {
        return &x->response;
}

const char *http_exchange_waiting_for(const HttpExchange *x) {
        if (x->state == EXCHANGE_CONNECTING)
                return "connection";
        return x->answered ? "end of the answer" : "answer";
}
