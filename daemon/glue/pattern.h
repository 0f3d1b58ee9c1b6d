/* pattern.h: regular expressions, over PCRE2 with limits on match, depth and heap, no JIT: a
 * monitored page cannot make us spin. Fully anchored, as Prometheus does. */
#pragma once

#include "macro.h"

typedef struct Pattern Pattern;

/* Compiles; anchored at both ends. Returns 0, or -EINVAL with the offset and PCRE2's words. */
int pattern_new(Pattern **ret, const char *text, size_t *reterr_at, char *reterr_why,
                size_t why_size) _must_check_;
Pattern *pattern_free(Pattern *p);
DEFINE_CLEANUP(Pattern *, pattern_free);
/* 1: matches, 0: does not (text that is not UTF-8 never does), -E2BIG: a limit was reached. */
int pattern_match(const Pattern *p, const char *text, size_t n) _must_check_;
