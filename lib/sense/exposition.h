/* exposition.h: a scanner of the Prometheus text format 0.0.4 (and the OpenMetrics lines that
 * look the same): sample lines one by one, out of a whole page in memory, without copying.
 * Validates each line that it is asked to look at. Knows nothing of which metrics are wanted. */
#pragma once

#include <sys/types.h>

#include "macro.h"

/* Bytes of one line without its end; longer is malformed. */
#define EXPOSITION_LINE_MAX (64 * 1024)
/* of one line; keeps the search for a name that stands twice short */
#define EXPOSITION_LABELS_MAX 64

typedef struct Slice {
        const char *p;
        size_t n;
} Slice;

typedef struct ExpositionLine {
        Slice name;   /* metric name */
        Slice labels; /* raw text between { and }, empty when there are none */
        double value;
        bool has_timestamp;
        int64_t timestamp_ms;
} ExpositionLine;

typedef struct Exposition {
        const char *text; /* borrowed page */
        size_t size, position;
        unsigned line;     /* number of the line last returned or found malformed, from 1 */
        const char *error; /* static text after -EBADMSG: what is wrong with the line */
} Exposition;

/* Starts over a whole page, borrowed until the last call of exposition_next(). Returns 0, or
 * -EBADMSG with x->error set when the last newline is missing (a truncated page) or the page is
 * empty. */
int exposition_init(Exposition *x, const char *text, size_t size) _must_check_;

/* The next sample line; comments and blank lines are passed over. Returns 1 and fills *ret
 * (slices into the page), 0 at the end, -EBADMSG for a malformed line, with x->line and x->error
 * set; a further call would go on behind it. */
int exposition_next(Exposition *x, ExpositionLine *ret) _must_check_;

/* Walks the labels of a line: *position starts at 0. Returns 1 with the name and the raw (still
 * escaped) value, 0 at the end. The text must come from exposition_next(), which validated it. */
int exposition_next_label(Slice labels, size_t *position, Slice *ret_name, Slice *ret_raw_value);

/* Unescapes a raw label value (\\ \" \n) into storage, without a NUL. Returns the length, or
 * -ENOSPC. */
ssize_t exposition_unescape(Slice raw, char *storage, size_t size);
