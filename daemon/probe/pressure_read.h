/* pressure_read.h: reads how loaded this host or one of its control groups is, and how full a file
 * system. Blocks, for workers only. Knows nothing of what was read before. */
#pragma once

#include "pressure.h"
#include "strbuf.h"

/* Figures that are not there are NAN. */
typedef struct PressureReading {
        bool failed; /* nothing is known, and `words` says why */
        char words[160];
        PressureAverages cpu, memory, io;
        bool has_ticks;
        PressureTicks ticks; /* host: of all processors; group: microseconds of one */
        double memory_bytes, memory_percent;
        bool has_oom_kills;
        uint64_t oom_kills; /* since it exists */
        double disk_percent, disk_free_bytes, inodes_percent;
} PressureReading;

/* `cgroup` NULL: the host; `disk` NULL: none. Fills all of *ret. */
void pressure_read(const char *cgroup, const char *disk, PressureReading *ret);
