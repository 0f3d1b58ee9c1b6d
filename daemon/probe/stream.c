#include <errno.h>

#include "stream.h"

int stream_new(Stream **ret, Poller *poller, const Address *address, size_t whole) {
        int fd = connection_start(address, whole);
        Stream *s;

        if (fd < 0)
                return fd;
        s = malloc(sizeof *s);
        if (!s) {
                connection_close(fd, false);
                return -ENOMEM;
        }
        s->item = (PollItem){ .fd = -1 };
        s->poller = poller;
        s->owner = NULL;
        s->fd = fd;
        s->ended = false;
        s->uses = 0;
        memcpy(&s->address.u, &address->u, address->length);
        s->address.length = address->length;
        *ret = s;
        return 0;
}

Stream *stream_free(Stream *s) {
        if (!s)
                return NULL;
        poller_remove(s->poller, &s->item);
        connection_close(s->fd, s->ended);
        free(s);
        return NULL;
}

int stream_watch(Stream *s, void (*on_ready)(PollItem *item, uint32_t events), void *owner,
                 bool writable) {
        uint32_t events = writable ? EPOLLIN | EPOLLOUT : EPOLLIN;

        s->owner = owner;
        if (s->item.fd < 0)
                return poller_add(s->poller, &s->item, s->fd, events, on_ready);
        s->item.on_ready = on_ready;
        return writable ? poller_tell_again(s->poller, &s->item, events) : 0;
}

ssize_t stream_send(Stream *s, const char *data, size_t n) {
        ssize_t sent;

        do
                sent = send(s->fd, data, n, MSG_NOSIGNAL);
        while (sent < 0 && errno == EINTR);
        return sent < 0 ? -errno : sent;
}

ssize_t stream_receive(Stream *s, char *data, size_t size) {
        ssize_t n;

        do
                n = recv(s->fd, data, size, 0);
        while (n < 0 && errno == EINTR);
        s->ended |= n == 0;
        return n < 0 ? -errno : n;
}

bool stream_may_have_more(const Stream *s, ssize_t n, size_t size) {
        return (size_t)n == size || s->ended;
}

int stream_tell_again(Stream *s) {
        return poller_tell_again(s->poller, &s->item, EPOLLIN);
}

bool stream_leads_to(const Stream *s, const Address *address) {
        return s->address.length == address->length &&
               memcmp(&s->address.u, &address->u, address->length) == 0;
}
