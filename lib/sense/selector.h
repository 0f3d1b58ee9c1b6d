/* selector.h: which series a signal reads: `name{label="a",other!="b",code=~"5.."}`. Equality is
 * decided here; the regular expressions are the shell's, which asks once per new label set. */
#pragma once

#include "exposition.h"

#define SELECTOR_MATCHERS_MAX 8
#define SELECTOR_TEXT_MAX 512

typedef enum MatcherKind {
        MATCHER_EQUAL,
        MATCHER_NOT_EQUAL,
        MATCHER_REGEX,
        MATCHER_NOT_REGEX
} MatcherKind;

typedef struct Matcher {
        MatcherKind kind;
        const char *label; /* into the selector's own text */
        const char *value; /* unescaped */
} Matcher;

typedef struct Selector {
        /* working copy; name, labels and values point into it, so a Selector must not be moved
         * once parsed */
        char text[SELECTOR_TEXT_MAX];
        const char *name;
        Matcher matchers[SELECTOR_MATCHERS_MAX];
        size_t n_matchers;
} Selector;

/* Parses into *ret. Returns 0, or -EINVAL with *reterr_at (offset) and *reterr_why (static
 * text). */
int selector_parse(const char *text, Selector *ret, size_t *reterr_at,
                   const char **reterr_why) _must_check_;

/* True when the name and every matcher but the regular ones agree. A label that the line lacks
 * counts as the empty string, as in Prometheus. */
bool selector_matches_plain(const Selector *s, const ExpositionLine *line);

/* The raw value of label `label` on a line (empty slice when absent). */
Slice selector_label(const ExpositionLine *line, const char *label);

/* Parses the form `metric.label` of version_label into its two halves, in caller's storage.
 * Returns 0 or -EINVAL. */
int selector_parse_label_path(const char *text, char *metric, size_t metric_size, char *label,
                              size_t label_size) _must_check_;
