/* tls.h: TLS for outgoing connections, over a socket that its caller opens, watches and closes:
 * who the peer is, sessions that are resumed, and what went wrong in words. Knows nothing of what
 * is sent. */
#pragma once

#include "outcome.h"
#include "strbuf.h"
#include "usec.h"

#include <sys/types.h>

#define TLS_WORDS_SIZE 160
/* A session is resumed without a look at the peer's certificate: at least this often it is looked
 * at again. */
#define TLS_SESSION_AGE_MAX (5 * USEC_PER_MINUTE)

typedef enum TlsVersion { TLS_VERSION_1_2, TLS_VERSION_1_3, _TLS_VERSION_MAX } TlsVersion;
/* "1.2", "1.3". */
const char *tls_version_to_string(TlsVersion v);

/* What all connections of one purpose share. It lives as long as any of them needs it. */
typedef struct TlsContext TlsContext;

typedef struct TlsSettings {
        bool verify;                  /* false: any certificate will do */
        const char *ca_file;          /* PEM; NULL: those that the host trusts */
        const char *certificate_file; /* PEM, ours, with its chain; NULL: none */
        const char *key;              /* PEM, its private key; NULL: in certificate_file */
        TlsVersion minimum_version;
} TlsSettings;

/* Returns 0, or a negative errno with what is wrong with which file in *reterr. */
int tls_context_new(TlsContext **ret, const TlsSettings *settings, StrBuf *reterr) _must_check_;
/* Lets go of it. */
TlsContext *tls_context_free(TlsContext *c);
DEFINE_CLEANUP(TlsContext *, tls_context_free);

/* The newest session with one peer. Zero bytes: none. */
typedef struct TlsSession {
        void *session;
        TlsContext *context;
        usec_t verified; /* loop time of the last look at the certificate */
} TlsSession;
/* Forgets it. */
void tls_session_clear(TlsSession *s);

typedef struct TlsStream TlsStream;

/* Begins on a socket that is connected or about to be. `name` (a host name or a numeric address) is
 * asked for and the certificate must be for it. `session` outlives the stream: it is resumed when
 * it is of the same context, and takes the newest one. Returns 0 or a negative errno. */
int tls_stream_new(TlsStream **ret, TlsContext *context, int fd, const char *name,
                   TlsSession *session, usec_t now) _must_check_;
/* Frees, and says nothing to the peer. */
TlsStream *tls_stream_free(TlsStream *s);

/* Tells that the socket has had an event; `ended`: the peer has closed its side. */
void tls_stream_wake(TlsStream *s, bool ended);
/* The handshake: 0 once it is done, -EAGAIN, or how it failed, as with the two below. */
int tls_stream_handshake(TlsStream *s) _must_check_;
/* Returns the bytes sent; -EAGAIN; -EPROTO: tls_stream_fault() says more; or another errno of the
 * socket. */
ssize_t tls_stream_send(TlsStream *s, const char *data, size_t n);
/* Returns the bytes received; 0 at the end that the peer has declared; -ENODATA: at one that it has
 * not; the rest as above. */
ssize_t tls_stream_receive(TlsStream *s, char *data, size_t size);
/* After -EAGAIN: whether the socket must become writable. */
bool tls_stream_wants_write(const TlsStream *s);
/* Whether there may be more to receive before the next event: something was taken from the socket
 * and not handed out, or the socket was not emptied. */
bool tls_stream_may_have_more(const TlsStream *s);
/* Whether the connection stands, and the peer owes its part of the handshake. */
bool tls_stream_is_connected(const TlsStream *s);
/* Whether the handshake is done. */
bool tls_stream_is_established(const TlsStream *s);
/* What failed, and its words, borrowed. */
ProbeOutcome tls_stream_fault(const TlsStream *s, const char **ret_words);
/* Whether the session was resumed. */
bool tls_stream_is_resumed(const TlsStream *s);
/* Days until the peer's certificate expires, below 0 after that. False: not known. */
bool tls_stream_certificate_days(const TlsStream *s, double *ret_days);
