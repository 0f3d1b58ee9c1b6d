/* guarded.h: bytes that end where an unreadable page begins, so that reading one too many ends the
 * test. Knows nothing of what is tested; include it after cmocka. */
#pragma once

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef struct Guarded {
        char *area;
        size_t area_size;
        char *bytes; /* the last of them is the last readable byte */
        size_t n;
} Guarded;

/* Copies n bytes up against an unreadable page. guarded_done() gives them back. */
static inline Guarded guarded_copy(const void *bytes, size_t n) {
        size_t page = (size_t)sysconf(_SC_PAGESIZE), usable = (n / page + 1) * page;
        Guarded g = { .area_size = usable + page, .n = n };

        g.area = mmap(NULL, g.area_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                      0);
        assert_true(g.area != MAP_FAILED);
        assert_int_equal(mprotect(g.area + usable, page, PROT_NONE), 0);
        g.bytes = g.area + usable - n;
        if (n > 0)
                memcpy(g.bytes, bytes, n);
        return g;
}

static inline void guarded_done(Guarded *g) {
        assert_int_equal(munmap(g->area, g->area_size), 0);
}
