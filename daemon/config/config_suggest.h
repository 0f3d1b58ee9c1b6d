/* config_suggest.h: what somebody meant who wrote a word that is not known. Knows the schema's
 * keys, and nothing of values. */
#pragma once

#include "config_schema.h"
#include "strbuf.h"

/* Letters to change, add, drop or swap until `a` is `b`; at least the limit when that is reached.
 */
unsigned config_distance(const char *a, const char *b, unsigned limit);
/* Appends `unknown key; did you mean "interval"?` or, when nothing is near, every key that could be
 * written. */
void config_suggest_key(ConfigSection section, unsigned kind, const char *key, StrBuf *b);
/* Appends `; did you mean "x"?` for the nearest of the names, or nothing. `name(userdata, i)` is
 * one of `n`. */
void config_suggest_name(const char *written, size_t n,
                         const char *(*name)(const void *userdata, size_t i), const void *userdata,
                         StrBuf *b);
