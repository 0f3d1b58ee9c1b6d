/* config_tree.h: walks a tree of nodes and the schema side by side: fills structs, collects every
 * mistake with its place, and writes structs back as text. Knows no key by name but `kind` and the
 * names of array entries. */
#pragma once

#include "config_file.h"
#include "config_schema.h"

#define CONFIG_PATH_SIZE 320

typedef struct ConfigErrors {
        const char *file;
        StrBuf *text; /* one line per mistake */
        unsigned n;   /* mistakes found; those beyond CONFIG_MISTAKES_MAX are only counted */
        bool no_memory;
} ConfigErrors;

/* Adds "file:line: key: words". */
void config_errors_add(ConfigErrors *e, unsigned line, const char *key, const char *words);
/* Says how many mistakes are not told. Returns 0 without mistakes, else -EINVAL or -ENOMEM. */
int config_errors_finish(ConfigErrors *e) _must_check_;

/* Fills the zeroed struct at `base` with what the group says and with defaults. An array entry in
 * which a mistake was found gets line 0. */
void config_tree_read(ConfigSection section, const ConfigNode *group, void *base, ConfigErrors *e);
/* Frees everything that config_tree_read() put into the struct. */
void config_tree_free(ConfigSection section, void *base);
/* All keys of a section but those of pace, as the file would have them: equal texts make samples
 * that compare. To be freed; NULL when memory is short. */
char *config_dump_comparable(ConfigSection section, const void *base);

/* Array entries by the row of their array. */
size_t config_array_length(const ConfigKey *k, const void *base);
void *config_array_at(const ConfigKey *k, const void *base, size_t i);
/* Bit of the entry's kind; 0 for sections without kinds. */
unsigned config_entry_kind(ConfigSection section, const void *entry);
