#include <sys/resource.h>

#include "descriptors.h"
#include "macro.h"

/* Connections to the ledger, alerts and deliveries under way, look-ups, the loop's own: some 20 on
 * a quiet day. */
#define OWN_LEAST 24
#define OWN_MOST 64
#define DOOR_MOST 128

DescriptorShares descriptors_share(size_t limit) {
        size_t own = MIN(MAX(limit / 2, (size_t)OWN_LEAST), (size_t)OWN_MOST);
        size_t left = limit > own ? limit - own : 0;
        size_t door = MIN(MAX(left / 4, (size_t)1), (size_t)DOOR_MOST);

        return (DescriptorShares){
                .probes = left > 2 * door ? left - 2 * door : 1,
                .door = (unsigned)door,
        };
}

size_t descriptors_limit(void) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return 1024;
        return limit.rlim_cur;
}
