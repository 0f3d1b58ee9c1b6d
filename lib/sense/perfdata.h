/* perfdata.h: what a Nagios plugin prints: the line for people, and the numbers behind '|' on the
 * first line and behind the first '|' of the later ones. Validates each number that it is asked
 * for, copies nothing but names. Knows nothing of programs, exit codes or limits. */
#pragma once

#include "exposition.h"
#include "sample.h"

typedef struct Perfdata {
        const char *p, *end;           /* what is left of the first line's numbers */
        const char *later, *later_end; /* the numbers of the later lines */
} Perfdata;

typedef struct PerfValue {
        Slice text; /* `label=value...` as printed */
        /* the label with _ in place of what a value's name cannot have, cut at its size */
        char name[SAMPLE_VALUE_NAME_SIZE];
        /* in seconds, bytes (KB, MB... and KiB, MiB... are powers of 1024) or as printed; NAN for U
         */
        double value;
} PerfValue;

/* The first line up to its '|', without blanks around it. */
Slice perfdata_words(const char *text, size_t n);
/* Starts over the whole output, borrowed as long as *p and its values are used. */
void perfdata_init(Perfdata *p, const char *text, size_t n);
/* The next number. Returns 1; 0 at the end; -EBADMSG when it is malformed, with only `text` filled;
 * the one behind it can be asked for then. */
int perfdata_next(Perfdata *p, PerfValue *ret) _must_check_;
