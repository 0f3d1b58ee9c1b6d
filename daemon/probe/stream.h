/* stream.h: one outgoing connection that bytes go over, without blocking: TCP or a unix socket,
 * opened, watched by the poller and closed. It may carry one conversation after another. Knows no
 * protocol. */
#pragma once

#include "connection.h"
#include "poller.h"

typedef struct Stream {
        PollItem item; /* first, so that an item is its stream; whoever uses it sets on_ready */
        Poller *poller;
        void *owner; /* of who uses it now */
        int fd;
        bool ended;    /* the peer has closed its side, or it is broken */
        uint32_t uses; /* conversations that it was used for */
        Address address;
} Stream;

/* Opens and starts to connect; `whole` bytes are to be sent at once. Not watched yet. Returns 0 or
 * the negative errno of what failed at once. */
int stream_new(Stream **ret, Poller *poller, const Address *address, size_t whole) _must_check_;
/* Closes. */
Stream *stream_free(Stream *s);
DEFINE_CLEANUP(Stream *, stream_free);

/* Has its events told to `on_ready`: that there is something to read and the end, and with
 * `writable` that more can be sent, which is asked for while a send said EAGAIN. Returns 0 or a
 * negative errno. */
int stream_watch(Stream *s, void (*on_ready)(PollItem *item, uint32_t events), void *owner,
                 bool writable) _must_check_;
/* Sends what it can. Returns the bytes sent, -EAGAIN (also while not yet connected), or how it
 * failed. */
ssize_t stream_send(Stream *s, const char *data, size_t n);
/* Returns the bytes received, 0 at the end, -EAGAIN, or how it failed. */
ssize_t stream_receive(Stream *s, char *data, size_t size);
/* Whether more may be there now after stream_receive() gave n of `size`. What comes later is told
 * anew, but not an end that has been told. */
bool stream_may_have_more(const Stream *s, ssize_t n, size_t size);
/* Tells again in a later turn. Returns 0 or a negative errno. */
int stream_tell_again(Stream *s) _must_check_;
/* Whether it leads to that address. */
bool stream_leads_to(const Stream *s, const Address *address);
