/* usec.h: time as a number of microseconds: saturating arithmetic, jitter, parsing and words.
 * Reads no clock: `now` is always a parameter, and means microseconds of CLOCK_BOOTTIME. */
#pragma once

#include "macro.h"
#include "strbuf.h"

typedef uint64_t usec_t;

#define USEC_INFINITY UINT64_MAX
#define USEC_PER_MSEC ((usec_t)1000)
#define USEC_PER_SEC ((usec_t)1000000)
#define USEC_PER_MINUTE (60 * USEC_PER_SEC)
#define USEC_PER_HOUR (60 * USEC_PER_MINUTE)
#define USEC_PER_DAY (24 * USEC_PER_HOUR)

/* a + b, or USEC_INFINITY where that would overflow or either is infinite. */
static inline usec_t usec_add(usec_t a, usec_t b) {
        return a > USEC_INFINITY - b ? USEC_INFINITY : a + b;
}

/* a - b, or 0 where b is later; infinity minus anything stays infinite. */
static inline usec_t usec_sub(usec_t a, usec_t b) {
        return a == USEC_INFINITY ? a : a > b ? a - b : 0;
}

/* A uniform delay in [0, span); advances *seed (splitmix64), so that tests fix the seed. */
usec_t usec_jitter(usec_t span, uint64_t *seed);

/* Parses one or more of "250ms", "30s", "5m", "1h30m", "2d", "1us"; units are mandatory, each at
 * most once and the longest first, no blanks, no sign. Returns 0, -EINVAL for anything else,
 * -ERANGE past USEC_INFINITY - 1. */
int usec_parse(const char *text, usec_t *ret) _must_check_;

/* Appends the canonical text that usec_parse() reads back ("1h30m", "250ms"), or "infinity",
 * which it does not. */
void strbuf_add_usec(StrBuf *b, usec_t t);

/* Appends words for people, rounded down, at most two units ("250 ms", "1.5 s", "42 s", "12 min
 * 40 s", "3 d 4 h"; "forever"). */
void strbuf_add_usec_words(StrBuf *b, usec_t t);
