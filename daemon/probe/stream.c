#include <errno.h>

#include "stream.h"

int stream_new(Stream **ret, const StreamSetup *setup) {
        _cleanup_(stream_freep) Stream *s = calloc(1, sizeof *s);
        int r;

        if (!s)
                return -ENOMEM;
        s->item.fd = s->fd = -1;
        s->poller = setup->poller;
        s->context = setup->tls;
        s->address = *setup->address;
        /* A handshake sends in small pieces, of which none may wait for an acknowledgement. */
        r = s->fd = connection_start(setup->address, setup->tls ? SIZE_MAX : setup->whole);
        if (r >= 0 && setup->tls)
                r = tls_stream_new(&s->tls, setup->tls, s->fd, setup->name, setup->session,
                                   setup->now);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}

Stream *stream_free(Stream *s) {
        if (!s)
                return NULL;
        poller_remove(s->poller, &s->item);
        tls_stream_free(s->tls);
        if (s->fd >= 0)
                connection_close(s->fd, s->ended);
        free(s);
        return NULL;
}

int stream_watch(Stream *s, void (*on_ready)(PollItem *item, uint32_t events), void *owner) {
        uint32_t events = s->blocked ? EPOLLIN | EPOLLOUT : EPOLLIN;

        s->owner = owner;
        if (s->item.fd < 0) {
                s->writable = s->blocked;
                return poller_add(s->poller, &s->item, s->fd, events, on_ready);
        }
        s->item.on_ready = on_ready;
        if (s->blocked == s->writable)
                return 0;
        s->writable = s->blocked;
        return poller_tell_again(s->poller, &s->item, events);
}

void stream_wake(Stream *s, uint32_t events) {
        s->ended |= (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
        if (s->tls)
                tls_stream_wake(s->tls, s->ended);
}

static ssize_t send_plain(Stream *s, const char *data, size_t n) {
        ssize_t sent;

        do
                sent = send(s->fd, data, n, MSG_NOSIGNAL);
        while (sent < 0 && errno == EINTR);
        return sent < 0 ? -errno : sent;
}

static ssize_t send_tls(Stream *s, const char *data, size_t n) {
        int r = tls_stream_handshake(s->tls);

        return r < 0 ? r : tls_stream_send(s->tls, data, n);
}

ssize_t stream_send(Stream *s, const char *data, size_t n) {
        ssize_t sent = s->tls ? send_tls(s, data, n) : send_plain(s, data, n);

        s->blocked = sent == -EAGAIN && (!s->tls || tls_stream_wants_write(s->tls));
        return sent;
}

ssize_t stream_receive(Stream *s, char *data, size_t size) {
        ssize_t n;

        if (s->tls)
                n = tls_stream_receive(s->tls, data, size);
        else {
                do
                        n = recv(s->fd, data, size, 0);
                while (n < 0 && errno == EINTR);
                n = n < 0 ? -errno : n;
        }
        s->ended |= n == 0 || n == -ENODATA;
        return n;
}

bool stream_may_have_more(const Stream *s, ssize_t n, size_t size) {
        return s->tls ? tls_stream_may_have_more(s->tls) : (size_t)n == size || s->ended;
}

bool stream_is_readable(const Stream *s, uint32_t events) {
        return events & EPOLLIN || s->ended || (s->tls && tls_stream_may_have_more(s->tls));
}

/* What TLS has taken from the socket already is not told by it: that it can be written to is. */
int stream_tell_again(Stream *s) {
        s->writable |= s->tls != NULL;
        return poller_tell_again(s->poller, &s->item, s->writable ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

const char *stream_waiting_for(const Stream *s) {
        return !s->tls || !tls_stream_is_connected(s->tls) ? STREAM_OWES_CONNECTION :
               tls_stream_is_established(s->tls)           ? NULL :
                                                             STREAM_OWES_HANDSHAKE;
}

bool stream_leads_to(const Stream *s, const Address *address, const TlsContext *tls) {
        return s->context == tls && s->address.length == address->length &&
               memcmp(&s->address.u, &address->u, address->length) == 0;
}

void stream_explain(const Stream *s, int error, ProbeResult *result) {
        const char *words;

        if (error == -EPROTO && s && s->tls) {
                ProbeOutcome outcome = tls_stream_fault(s->tls, &words);

                probe_result_set(result, outcome, words);
        } else
                probe_result_set_errno(result, error);
}
