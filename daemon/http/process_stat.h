/* process_stat.h: what the kernel says of our own process. Knows nothing of metrics. */
#pragma once

typedef struct ProcessStat {
        double cpu_seconds, resident_bytes, open_fds, max_fds; /* 0 where /proc does not tell */
} ProcessStat;

ProcessStat process_stat_read(void);
