#include "pool.h"

#include <errno.h>

/* What is used after its end is to be seen: under a sanitizer nothing is kept. */
#ifdef __SANITIZE_ADDRESS__
#define KEEPS false
#else
#define KEEPS true
#endif

typedef struct Block Block;
struct Block {
        Block *next;
};

struct Pool {
        Block *first; /* kept */
        size_t n, most, size;
};

int pool_new(Pool **ret, size_t size, size_t most) {
        Pool *p = malloc(sizeof *p);

        if (!p)
                return -ENOMEM;
        *p = (Pool){ .most = KEEPS ? most : 0, .size = MAX(size, sizeof(Block)) };
        *ret = p;
        return 0;
}

Pool *pool_free(Pool *p) {
        if (!p)
                return NULL;
        while (p->first)
                free(pool_take(p, 0));
        free(p);
        return NULL;
}

void *pool_take(Pool *p, size_t n) {
        Block *b = p ? p->first : NULL;

        assert(!p || n <= p->size);
        if (!b)
                return malloc(p ? p->size : n);
        p->first = b->next;
        p->n--;
        return b;
}

void pool_give(Pool *p, void *block) {
        Block *b = block;

        if (!b || !p || p->n >= p->most) {
                free(b);
                return;
        }
        b->next = p->first;
        p->first = b;
        p->n++;
}
