/* series.h: the counters of one target: label set -> which operands it feeds, and its last
 * value. From page to page it turns counters into increases: a counter that fell was reset and
 * counts from zero, the first page only sets a base, a series that is new on a later page counts
 * from zero (it did not exist before). One that is missing from a page and comes back goes on
 * from its last value, until the room that such ones take is needed. Open addressing over the
 * caller's storage, one probe as a rule. Knows nothing of selectors or pages. */
#pragma once

#include "exposition.h"
#include "sample.h"

typedef struct SeriesEntry {
        /* of name and raw labels, 128-bit pair below makes an accidental match negligible; 0:
         * free */
        uint64_t hash;
        uint64_t check; /* second hash, keyed by another seed */
        /* bit i: feeds operand i; 0 is remembered too, so that a regex is asked once */
        uint32_t operands;
        uint32_t page; /* number of the page on which it was last seen, 0: on none yet */
        double value;  /* last finite one, NAN: none yet */
} SeriesEntry;

typedef struct Series {
        SeriesEntry *entries; /* borrowed storage */
        size_t capacity;      /* a power of two */
        size_t used;
        size_t taken;    /* entries seen on the page being read */
        uint32_t page;   /* of the page being read; 1 is the first */
        bool based;      /* the page before was read to its end */
        unsigned resets; /* counters that fell on the page being read */
        /* a series that feeds an operand stood twice on the page being read; the first one was
         * taken */
        bool duplicate;
        /* a series that feeds an operand was NaN, infinite or negative on the page being read;
         * it was not taken */
        bool not_finite;
        double increases[SAMPLE_VALUES_MAX]; /* of the page being read */
        uint32_t seen; /* bit i: operand i had a series on the page being read */
} Series;

/* Starts empty over `capacity` entries (a power of two, at least 4), which it clears; borrowed
 * until series_move(). */
void series_init(Series *s, SeriesEntry *storage, size_t capacity);
/* Starts reading a page. */
void series_begin_page(Series *s);
/* Looks a label set up: returns its entry, or NULL when it is new. Hash both with series_hash(). */
SeriesEntry *series_find(Series *s, uint64_t hash, uint64_t check);
/* Adds a new label set. Returns its entry, or NULL when the table is 3/4 full: grow with
 * series_move() and try again. */
SeriesEntry *series_add(Series *s, uint64_t hash, uint64_t check, uint32_t operands);
/* Takes a value of the page being read for an entry; to be called for every entry found or
 * added, or it counts as missing from the page. */
void series_take(Series *s, SeriesEntry *e, double value);
/* Ends the page: ret_increases[i] is the increase of operand i since the last page, NAN when no
 * series of it stood there; returns true when these are increases, and false when the page only
 * set a base (they are 0 then). Forgets the label sets that are missing from the page when they
 * fill more than a quarter of the table. */
bool series_end_page(Series *s, size_t n_operands, double ret_increases[]);
/* Gives up a page that turned out malformed: nothing is counted, and the next page only sets a
 * base. A full table is emptied. */
void series_abandon_page(Series *s);
/* Moves everything into larger storage; the old one is the caller's again. */
void series_move(Series *s, SeriesEntry *storage, size_t capacity);
/* Two independent 64-bit hashes of name and raw labels, never 0. */
void series_hash(Slice name, Slice labels, uint64_t *ret_hash, uint64_t *ret_check);
