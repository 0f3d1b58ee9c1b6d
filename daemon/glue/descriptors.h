/* descriptors.h: who may have how many of the process' descriptors, so that none of its parts takes
 * the last one from another: a probe must not shut the API out, nor the API's clients the ledger.
 * Knows none of them. */
#pragma once

#include <stddef.h>

typedef struct DescriptorShares {
        size_t probes; /* that probes have at once */
        unsigned door; /* connections of clients at each of the API's two sockets */
} DescriptorShares;

/* The shares under a limit on descriptors; what is left of it is for the ledger, the alerts, the
 * resolver and the loop. */
DescriptorShares descriptors_share(size_t limit);
/* The limit of this process, RLIMIT_NOFILE. */
size_t descriptors_limit(void);
