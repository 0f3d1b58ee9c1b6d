/* ring.h: a list whose links lie in its items: in and out at any place without searching and
 * without memory. Knows nothing of what it links. */
#pragma once

#include <stddef.h>

#include "macro.h"

/* A head, or a link of an item. A zeroed link is in no list; a head must be set up. */
typedef struct Ring Ring;
struct Ring {
        Ring *next, *previous;
};

/* The item that holds this link. */
#define RING_ITEM(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

static inline void ring_init(Ring *head) {
        head->next = head->previous = head;
}

static inline bool ring_is_empty(const Ring *head) {
        return head->next == head;
}

static inline bool ring_has(const Ring *link) {
        return link->next;
}

/* Puts a link that is in no list at the end. */
static inline void ring_append(Ring *head, Ring *link) {
        link->next = head;
        link->previous = head->previous;
        head->previous->next = link;
        head->previous = link;
}

/* Takes a link out; one that is in no list stays out. */
static inline void ring_remove(Ring *link) {
        if (!link->next)
                return;
        link->next->previous = link->previous;
        link->previous->next = link->next;
        *link = (Ring){};
}
