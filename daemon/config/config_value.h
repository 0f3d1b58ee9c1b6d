/* config_value.h: one value of one key: from a node of the file or from a default's text into its
 * place in a struct, and back into text. One row per kind of value. Knows nothing of sections, nor
 * of what keys mean. */
#pragma once

#include "config_file.h"
#include "config_schema.h"

/* How a value lies in its struct. */
typedef enum ConfigForm {
        FORM_NONE, /* groups and lists of groups */
        FORM_TEXT,
        FORM_DURATION,
        FORM_INTEGER,
        FORM_NUMBER,
        FORM_BOOL,
        FORM_LIMIT,
        FORM_LIST,
} ConfigForm;

/* The form of the row's value. */
ConfigForm config_value_form(const ConfigKey *k);
/* Reads the node into the value of row `k` in the struct at `base`. Returns 0; -EINVAL with "what
 * is wrong, what to write" in *reterr; -ENOMEM. The value keeps what it owned before unless 0 is
 * returned; it must be zero or hold a default. */
int config_value_read(const ConfigKey *k, const ConfigNode *n, void *base,
                      StrBuf *reterr) _must_check_;
/* Sets the default that the row names, or leaves zero bytes (NAN for numbers). The value must be
 * zero bytes. Returns 0 or -ENOMEM. */
int config_value_default(const ConfigKey *k, void *base) _must_check_;
/* True when there is nothing to write for it: no text, no number, a duration that was left out. */
bool config_value_absent(const ConfigKey *k, const void *base);
/* Appends the value as the file would have it. */
void config_value_add(const ConfigKey *k, const void *base, StrBuf *b);
/* Frees what the value owns and leaves zero bytes. */
void config_value_free(const ConfigKey *k, void *base);
/* What to write for a key: `a duration in quotes with its unit, such as "30s"`; of words, each one.
 */
void config_value_add_wanted(const ConfigKey *k, StrBuf *b);
/* Appends text in quotes as libconfig reads it back. */
void config_add_quoted(StrBuf *b, const char *text);
/* Appends text from the file in quotes for a message: escaped, shortened when long, and without
 * what a URL has before its host. */
void config_add_shown(StrBuf *b, const char *text);
/* Appends a number with up to nine decimals, without zeros at the end. */
void config_add_number(StrBuf *b, double value);
