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

/* As offload_run(); also -EBUSY while the one before still runs.
 * `argument` is taken in any case. */
int reader_run(Reader *r, const ProbeTools *tools, OffloadWork work, void *argument,
               OffloadFree free_argument, OffloadFree free_value, usec_t timeout, OffloadDone done,
               void *userdata, OffloadTask **ret) _must_check_;
/* The result of a reading that did not start or did not end (`error` of reader_run() or of done()).
 */
void reader_set_error(ProbeResult *result, int error, usec_t timeout);
