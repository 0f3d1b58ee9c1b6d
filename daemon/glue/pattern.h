/* pattern.h: regular expressions, over PCRE2 with limits on match, depth and heap, no JIT: a
 * monitored page cannot make us spin. Either fully anchored, as Prometheus does, or to be found
 * somewhere in a text. */
#pragma once

#include "exposition.h"

#define PATTERN_SEARCH_MAX ((size_t)64 * 1024) /* bytes of a text that is searched */

typedef struct Pattern Pattern;

/* Compiles; anchored at both ends. Returns 0, or -EINVAL with the offset and PCRE2's words. */
int pattern_new(Pattern **ret, const char *text, size_t *reterr_at, char *reterr_why,
                size_t why_size) _must_check_;
Pattern *pattern_free(Pattern *p);
DEFINE_CLEANUP(Pattern *, pattern_free);
/* Compiles for pattern_search() instead: bytes, not UTF-8, where `.` is no newline and $ also
 * stands before a last one. */
int pattern_new_search(Pattern **ret, const char *text, size_t *reterr_at, char *reterr_why,
                       size_t why_size) _must_check_;
/* How many groups ( ) it has. */
unsigned pattern_groups(const Pattern *p);
/* Finds its first match in at most PATTERN_SEARCH_MAX bytes. 1: found, and *ret_group (or NULL) is
 * what its first group matched, empty without one; 0: not; -E2BIG: a limit was reached. */
int pattern_search(const Pattern *p, const char *text, size_t n, Slice *ret_group) _must_check_;
/* 1: matches, 0: does not (text that is not UTF-8 never does), -E2BIG: a limit was reached. */
int pattern_match(const Pattern *p, const char *text, size_t n) _must_check_;
