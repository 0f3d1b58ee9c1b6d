/* backend.h: what the platform leans on: another server that takes a connection and says "ok". One
 * side listens as a process of its own, the other asks whether it is there.
 * Knows nothing of users or versions. */
#pragma once

#include "macro.h"

/* Serves on a loopback port (0: the kernel's choice), printed as "backend PORT", until a signal
 * ends the process. Returns a negative errno. */
int backend_serve(uint16_t port);
/* Whether the backend on that loopback port answers; waits for a fifth of a second at most. */
bool backend_answers(uint16_t port);
