/* connection.h: one outgoing TCP connection attempt on a socket of its own, without blocking. Knows
 * no protocol. */
#pragma once

#include "offload.h"

/* Opens a non-blocking socket and starts to connect it. `whole` bytes are to be sent at once, 0:
 * none. Returns the descriptor, or the negative errno of an attempt that failed at once. How the
 * attempt ends is told by the first send(), which says EAGAIN until then: asking with it costs no
 * call of its own, and a near target has often answered before we ask. */
int connection_start(const Address *address, size_t whole) _must_check_;
/* The same for who has nothing to send: 0 once connected, -EAGAIN, or how it failed. */
int connection_result(int fd) _must_check_;
/* Closes, after all that was wanted has been read. `ended`: the peer has closed its side. Then a
 * reset tells nobody anything, and spares both kernels the rest of the farewell and the peer its
 * TIME_WAIT; a peer that still listens would log it. */
void connection_close(int fd, bool ended);
