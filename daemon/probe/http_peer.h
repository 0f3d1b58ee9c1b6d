/* http_peer.h: what is kept of one target from one HTTP exchange to the next: its connection, when
 * connections are to be used again. It is never shared between targets or addresses. Knows nothing
 * of requests. */
#pragma once

#include "stream.h"

typedef struct HttpPeer HttpPeer;

int http_peer_new(HttpPeer **ret) _must_check_;
HttpPeer *http_peer_free(HttpPeer *p);
DEFINE_CLEANUP(HttpPeer *, http_peer_free);

/* Lets go of what is kept: after a failure of any kind, and at a new epoch. */
void http_peer_renew(HttpPeer *p);
/* Takes out the connection to that address, which is the caller's then; NULL: there is none. */
Stream *http_peer_take(HttpPeer *p, const Address *address);
/* Takes a connection over on which nothing is under way, to be used again. */
void http_peer_keep(HttpPeer *p, Stream *s);
