/* pool.h: memory for what lives as long as one probe, in blocks of one size. The block that came
 * back last is handed out first, while the caches still have it; a few are kept, so that a burst
 * of ends and starts is not the allocator's work. Knows nothing of what lives in them. */
#pragma once

#include <stddef.h>

#include "macro.h"

typedef struct Pool Pool;

/* Blocks of `size` bytes, of which `most` are kept while nobody has them. */
int pool_new(Pool **ret, size_t size, size_t most) _must_check_;
/* Every block is back. */
Pool *pool_free(Pool *p);
DEFINE_CLEANUP(Pool *, pool_free);

/* At least n bytes, n being at most a block's, whose content is anything; NULL when memory is
 * short. Without a pool (NULL) they come from the allocator. */
void *pool_take(Pool *p, size_t n) _must_check_;
/* Gives them back to where they came from; NULL is none. */
void pool_give(Pool *p, void *block);
