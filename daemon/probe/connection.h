/* connection.h: one outgoing TCP connection attempt on a socket of its own, without blocking. Knows
 * no protocol. */
#pragma once

#include "offload.h"

/* Opens a non-blocking socket and starts to connect it. Returns the descriptor, which becomes
 * writable once the attempt has ended (ask connection_result()), or the negative errno of an
 * attempt that failed at once. */
int connection_start(const Address *address) _must_check_;
/* How the attempt ended: 0, or a negative errno. */
int connection_result(int fd) _must_check_;
