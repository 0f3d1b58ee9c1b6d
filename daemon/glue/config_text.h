/* config_text.h: looks at the text of a configuration file before libconfig does, and refuses what
 * libconfig 1.5 reads as something else without a word: NUL bytes, @include, numbers that do not
 * fit, a comment that never ends, groups without end. Reads strings and comments as libconfig does.
 * Pure; knows no keys. */
#pragma once

#include "strbuf.h"

#define CONFIG_FILE_DEPTH_MAX 16

/* Returns 0, or -EINVAL with the line (from 1) in *reterr_line and "what is wrong, what to do" in
 * *reterr. */
int config_text_check(const char *text, size_t size, unsigned *reterr_line,
                      StrBuf *reterr) _must_check_;
