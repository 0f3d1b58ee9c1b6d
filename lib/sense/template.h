/* template.h: a text with ${name}s in it, taken apart: literal pieces and names. "$${" stands for
 * "${" itself. Knows nothing of what the names mean. */
#pragma once

#include "exposition.h"

typedef struct TemplatePiece {
        Slice text; /* literal; or, when `name` is set, the name */
        bool name;
} TemplatePiece;

/* Takes the next piece off *text. Returns 1; 0 at the end; -EINVAL at a "${" without a name of
 * letters, digits and . _ + - and its "}". */
int template_next(const char **text, TemplatePiece *ret) _must_check_;
