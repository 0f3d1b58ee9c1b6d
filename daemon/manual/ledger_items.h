/* ledger_items.h: functions and views of the ledger, between reading the migrations and writing the
 * page. Knows nothing of mdoc. */
#pragma once

#include "macro.h"

#define ITEMS_MAX 256
#define ROLES_MAX 5

typedef struct Item {
        bool view;
        char *name, *arguments, *returns, *comment; /* NULL: not said */
        bool roles[ROLES_MAX];
} Item;

/* In the order of the manual: what everybody may call first. */
extern const char *const roles[ROLES_MAX];
/* By name. */
extern Item items[ITEMS_MAX];
extern size_t n_items;

/* The length up to and with the parenthesis that closes the one at p. */
size_t manual_closed_length(const char *p);
/* The first n bytes as a text of their own, to be freed; ends the program without memory. */
char *manual_copy(const char *s, size_t n);
