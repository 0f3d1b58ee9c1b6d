/* pressure.h: the small text files in which Linux says how loaded a host or a control group is.
 * Pure: who reads the files hands their text over. A figure that a file does not give is NAN. Knows
 * nothing of paths or limits. */
#pragma once

#include "macro.h"

/* Pressure stall information ("some avg10=0.00 avg60=... total=...", and a line "full"): percent of
 * the last ten seconds. */
typedef struct PressureAverages {
        double some, full; /* NAN: no such line */
} PressureAverages;

/* Returns 0, or -EINVAL when the text is none of it. */
int pressure_parse_averages(const char *text, size_t n, PressureAverages *ret) _must_check_;
/* A file that is one number: "1048576". Returns 0, -ENODATA for "max" (no limit), -EINVAL. */
int pressure_parse_number(const char *text, size_t n, uint64_t *ret) _must_check_;
/* A file of "key value" lines; a colon behind the key and a unit behind the value are passed over.
 * Returns 0, -ENODATA without such a line, -EINVAL when its value is no number. */
int pressure_parse_keyed(const char *text, size_t n, const char *key, uint64_t *ret) _must_check_;

/* Time of all processors together since the boot, in ticks of the clock. */
typedef struct PressureTicks {
        uint64_t busy, all;
} PressureTicks;

/* The first line of /proc/stat. Returns 0 or -EINVAL. */
int pressure_parse_ticks(const char *text, size_t n, PressureTicks *ret) _must_check_;
