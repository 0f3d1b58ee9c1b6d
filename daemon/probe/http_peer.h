/* http_peer.h: what is kept of one target from one HTTP exchange to the next: its connection, when
 * connections are to be used again, and its newest TLS session. They are never shared between
 * targets or addresses. Knows nothing of requests. */
#pragma once

#include "stream.h"

typedef struct HttpPeer HttpPeer;

int http_peer_new(HttpPeer **ret) _must_check_;
HttpPeer *http_peer_free(HttpPeer *p);
DEFINE_CLEANUP(HttpPeer *, http_peer_free);

/* Lets go of the connection: after a failure of any kind. */
void http_peer_renew(HttpPeer *p);
/* Lets go of the TLS session too. */
void http_peer_start_epoch(HttpPeer *p);
/* Where the TLS session is kept. */
TlsSession *http_peer_session(HttpPeer *p);
/* Takes out the connection to that address with that TLS, which is the caller's then; NULL: there
 * is none. */
Stream *http_peer_take(HttpPeer *p, const Address *address, const TlsContext *tls);
/* Takes a connection over on which nothing is under way, to be used again. */
void http_peer_keep(HttpPeer *p, Stream *s);
