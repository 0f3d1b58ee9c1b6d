/* journal_read.h: counts what the journal has new of a unit, over sd-journal. A journal is opened,
 * read and closed within one call, because it must not move between threads; it blocks, and is for
 * workers only. Nothing is written, and journald is not asked. */
#pragma once

#include "usec.h"

#define JOURNAL_CURSOR_SIZE 256
#define JOURNAL_ENTRIES_MAX 10000 /* that one call looks at */

typedef struct JournalQuestion {
        const char *directory; /* of journal files; NULL: the host's own */
        const char *unit;
        uint32_t priority;   /* of syslog; this and what is more urgent */
        const char *matches; /* regular expression on the whole message; NULL: any */
        const char *cursor;  /* the place up to which was read; NULL: only find out the place now */
        usec_t deadline;     /* of loop_clock(): stops counting then */
} JournalQuestion;

typedef struct JournalAnswer {
        char words[160]; /* why nothing is known; "" when it is */
        uint64_t entries;
        bool cut;  /* there may be more entries than were counted; they are passed over */
        usec_t at; /* of loop_clock(): when the place was taken */
        char cursor[JOURNAL_CURSOR_SIZE]; /* for the next question; "": the journal is empty */
} JournalAnswer;

/* Fills all of *ret. */
void journal_read(const JournalQuestion *q, JournalAnswer *ret);
