/* macro.h: the few words that every file uses: cleanup, hand-over, array size, attributes.
 * Knows no type of ours. */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef NDEBUG
#error "assertions stay on in every build"
#endif

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _must_check_ __attribute__((warn_unused_result))
#define _printf_(a, b) __attribute__((format(printf, a, b)))
#define _unused_ __attribute__((unused))
/* Of a large local variable that is written before it is read: the hardened build zeroes others. */
#define _uninitialized_ __attribute__((uninitialized))

#define ELEMENTSOF(x) (sizeof(x) / sizeof((x)[0]))

/* Hands a pointer over: the variable is NULL afterwards. */
#define TAKE_PTR(p)                                                                                \
        ({                                                                                         \
                __typeof__(p) *_pp = &(p);                                                         \
                __typeof__(p) _p = *_pp;                                                           \
                *_pp = NULL;                                                                       \
                _p;                                                                                \
        })

/* Defines x_freep() for _cleanup_ from a function that frees a pointer. */
#define DEFINE_CLEANUP(type, f)                                                                    \
        static inline void f##p(type *p) {                                                         \
                if (*p)                                                                            \
                        f(*p);                                                                     \
        }                                                                                          \
        struct _swallow_semicolon_

static inline void freep(void *p) {
        free(*(void **)p);
}

static inline bool streq(const char *a, const char *b) {
        return strcmp(a, b) == 0;
}

#define MIN(a, b)                                                                                  \
        ({                                                                                         \
                __typeof__(a) _min_a = (a);                                                        \
                __typeof__(b) _min_b = (b);                                                        \
                _min_a < _min_b ? _min_a : _min_b;                                                 \
        })
#define MAX(a, b)                                                                                  \
        ({                                                                                         \
                __typeof__(a) _max_a = (a);                                                        \
                __typeof__(b) _max_b = (b);                                                        \
                _max_a > _max_b ? _max_a : _max_b;                                                 \
        })
