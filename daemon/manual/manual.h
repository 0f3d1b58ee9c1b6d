/* manual.h: the generated parts of the manual: what the pages' lines `.\" @word argument` stand
 * for. It reads the tables that the programs themselves use, and the ledger's migrations, and
 * writes mdoc to the standard output. Knows nothing of the pages' prose. */
#pragma once

#include <stdio.h>

#include "config_schema.h"
#include "ctl.h"

/* Prints text for a line of mdoc: special characters escaped, `word` quoted. */
void manual_text(const char *text);
/* The same with a capital letter before and a full stop behind. */
void manual_sentence(const char *text);

/* manual_keys.c */
/* The name by which a page asks for a section of the configuration's schema. */
const char *manual_section_name(ConfigSection section);
/* The keys of the section of that name as items of a list. Returns 0, or -EINVAL with the reason
 * printed, as all of these. */
int manual_keys(const char *name);
/* The forms of values that the keys of these sections take, each once, as items of a list. */
int manual_values(const bool sections[static _SECTION_MAX]);

/* manual_verbs.c */
/* The head and first sentence of one verb, as an item. */
int manual_verb(const char *name);
/* The same for every verb that has no `@verb` line in this page. */
int manual_verbs(const char *page);
int manual_options(void);
int manual_exits(void);

/* manual_ledger.c, manual_functions.c */
/* Reads every migration of the directory, in order. */
int manual_ledger_read(const char *directory);
/* The functions whose first role, in the order of the manual, is this one. */
int manual_functions(const char *role);
int manual_views(void);
