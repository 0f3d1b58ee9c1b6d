/* reader.h: one reading of a target at a time, in a worker. A reading that hangs in the kernel is
 * given up by its probe and stays where it is: the next one is refused until it is back, so that
 * nothing piles up. Knows nothing of what is read. */
#pragma once

#include "probe_kind.h"

typedef struct Reader Reader;

int reader_new(Reader **ret) _must_check_;
/* What still runs ends by itself, and frees what it shares with us. */
Reader *reader_free(Reader *r);
DEFINE_CLEANUP(Reader *, reader_free);

/* One reading of a target, as probes of kinds that read make it. */
typedef struct ReadingSetup {
        Reader *reader;
        OffloadWork work; /* on a worker; returns what free() frees, NULL: no memory */
        void *argument;   /* taken in any case */
        OffloadFree free_argument;
        /* Says what was read; from the loop, before the probe's done(). */
        void (*take)(void *memory, const void *value, ProbeResult *result);
        const char *what; /* "journal of " the target */
} ReadingSetup;
/* What ProbeKind's functions of the same names do. */
int reader_start(const ProbeStart *start, const ReadingSetup *setup, ProbeResult *ret,
                 void **ret_run);
const char *reader_waiting_for(const void *run);
void reader_cancel(void *run);
