/* stream.h: one outgoing connection that bytes go over, without blocking: TCP or a unix socket,
 * either with TLS, opened, watched by the poller and closed. It may carry one conversation after
 * another. Knows no protocol above. */
#pragma once

#include "connection.h"
#include "probe_kind.h"
#include "tls.h"

typedef struct Stream {
        PollItem item; /* first, so that an item is its stream; whoever uses it sets on_ready */
        Poller *poller;
        void *owner;    /* of who uses it now */
        TlsStream *tls; /* NULL: bytes go over as they are */
        TlsContext *context;
        int fd;
        bool blocked;  /* nothing more can be sent now */
        bool writable; /* that more can be sent is told */
        bool ended;    /* the peer has closed its side, or it is broken */
        uint32_t uses; /* conversations that it was used for */
        Address address;
} Stream;

/* Borrowed: the context and the session while the stream lives, the rest for the call. */
typedef struct StreamSetup {
        Poller *poller;
        const Address *address;
        size_t whole;        /* bytes that are to be sent at once */
        TlsContext *tls;     /* NULL: without TLS, and the rest does not matter */
        const char *name;    /* of the peer: asked for, and in its certificate */
        TlsSession *session; /* resumed, and replaced by the newest one */
        usec_t now;
} StreamSetup;

/* Opens and starts to connect. Not watched yet. Returns 0 or the negative errno of what failed at
 * once. */
int stream_new(Stream **ret, const StreamSetup *setup) _must_check_;
/* Closes. */
Stream *stream_free(Stream *s);
DEFINE_CLEANUP(Stream *, stream_free);

/* Has its events told to `on_ready`: that there is something to read, the end, and, after a send
 * that said EAGAIN, that more can be sent. The callback begins with stream_wake(). Returns 0 or a
 * negative errno. */
int stream_watch(Stream *s, void (*on_ready)(PollItem *item, uint32_t events),
                 void *owner) _must_check_;
/* Takes notice of what was told. */
void stream_wake(Stream *s, uint32_t events);
/* Sends what it can, after the handshake. Returns the bytes sent, -EAGAIN (also while not yet
 * connected), -EPROTO when TLS failed (tls_stream_fault() says how), or another errno. */
ssize_t stream_send(Stream *s, const char *data, size_t n);
/* Returns the bytes received; 0 at the end; -ENODATA at an end that TLS was not told of; else as
 * above. */
ssize_t stream_receive(Stream *s, char *data, size_t size);
/* Whether more may be there now after stream_receive() gave n of `size`. What comes later is told
 * anew, but not an end that has been told. */
bool stream_may_have_more(const Stream *s, ssize_t n, size_t size);
/* Whether there may be something to receive after what was told. */
bool stream_is_readable(const Stream *s, uint32_t events);
/* Tells again in a later turn. Returns 0 or a negative errno. */
int stream_tell_again(Stream *s) _must_check_;
#define STREAM_OWES_CONNECTION "connection"
#define STREAM_OWES_HANDSHAKE "TLS handshake"
/* What the peer is known to owe before a byte can be sent; NULL: nothing. Of a stream without TLS
 * only the first send tells. */
const char *stream_waiting_for(const Stream *s);
/* Whether it leads to that address, with that TLS. */
bool stream_leads_to(const Stream *s, const Address *address, const TlsContext *tls);
/* Fills a result from a negative errno of the calls above: TLS has words of its own. `s` may be
 * NULL: the connection could not be begun. */
void stream_explain(const Stream *s, int error, ProbeResult *result);
