#include <errno.h>

#include "connection.h"
#include "http_exchange.h"

#define READ_SIZE 16384
/* So that one fast and endless body does not keep the loop from the others. */
#define READS_PER_TURN 8

typedef enum ExchangeState {
        EXCHANGE_CONNECTING, /* until the first bytes are sent */
        EXCHANGE_SENDING,
        EXCHANGE_READING
} ExchangeState;

struct HttpExchange {
        PollItem item; /* first, so that an item is its exchange */
        HttpExchangeSetup setup;
        ExchangeState state;
        int fd;
        uint64_t body_size;
        bool answered; /* a byte has come */
        bool ended;    /* the peer has closed its side */
        size_t sent;
        HttpResponse response;
};

static void finish(HttpExchange *x, ProbeOutcome outcome, const char *words) {
        poller_remove(x->setup.poller, &x->item);
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

/* Bytes that were read. Returns true when there may be more to read now. */
static bool read_more(HttpExchange *x) {
        char buffer[READ_SIZE];
        ssize_t n = recv(x->fd, buffer, sizeof buffer, 0);

        if (n < 0 && errno == EINTR)
                return true;
        if (n < 0) {
                if (errno != EAGAIN)
                        finish_errno(x, errno);
                return false;
        }
        if (n == 0) {
                x->ended = true;
                finish_closed(x);
                return false;
        }
        x->answered = true;
        /* What comes after a short read is told anew, but not an end that has been told. */
        return take_bytes(x, buffer, (size_t)n) && ((size_t)n == sizeof buffer || x->ended);
}

static void read_answer(HttpExchange *x) {
        for (unsigned i = 0; i < READS_PER_TURN; i++)
                if (!read_more(x))
                        return;

        int r = poller_tell_again(x->setup.poller, &x->item, EPOLLIN);
        if (r < 0)
                finish_errno(x, r);
}

/* Sends what is left. Returns 0 when nothing is, -EAGAIN, or why it cannot be sent. */
static int send_rest(HttpExchange *x) {
        const HttpRequest *request = x->setup.request;

        while (x->sent < request->length) {
                ssize_t n = send(x->fd, request->text + x->sent, request->length - x->sent,
                                 MSG_NOSIGNAL);

                if (n >= 0) {
                        x->sent += (size_t)n;
                        x->state = EXCHANGE_SENDING;
                        continue;
                }
                if (errno == EINTR)
                        continue;
                /* A server may answer and close without reading: what it said decides, and reading
                 * tells the error if it said nothing. */
                if (x->state == EXCHANGE_SENDING && (errno == EPIPE || errno == ECONNRESET))
                        break;
                return -errno;
        }
        x->state = EXCHANGE_READING;
        return 0;
}

static void on_ready(PollItem *item, uint32_t events) {
        HttpExchange *x = (HttpExchange *)item;

        x->ended = events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
        if (x->state != EXCHANGE_READING) {
                int r = send_rest(x);

                if (r == -EAGAIN)
                        return;
                if (r < 0) {
                        finish_errno(x, r);
                        return;
                }
        }
        if (events & EPOLLIN || x->ended)
                read_answer(x);
}

int http_exchange_start(HttpExchange **ret, const HttpExchangeSetup *setup) {
        _cleanup_(http_exchange_freep) HttpExchange *x = NULL;
        int r;

        x = malloc(sizeof *x);
        if (!x)
                return -ENOMEM;
        *x = (HttpExchange){ .item.fd = -1, .setup = *setup, .fd = -1 };
        x->setup.address = NULL;
        http_response_init(&x->response, setup->request->head, setup->capture);
        r = x->fd = connection_start(setup->address, setup->request->length);
        if (r < 0)
                return r;
        r = send_rest(x);
        if (r < 0 && r != -EAGAIN)
                return r;
        r = poller_add(setup->poller, &x->item, x->fd, r < 0 ? EPOLLIN | EPOLLOUT : EPOLLIN,
                       on_ready);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(x);
        return 0;
}

HttpExchange *http_exchange_free(HttpExchange *x) {
        if (!x)
                return NULL;
        poller_remove(x->setup.poller, &x->item);
        if (x->fd >= 0)
                connection_close(x->fd, x->ended);
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
