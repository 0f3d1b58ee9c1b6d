/* sql_refusal.h: statements that no step may be, by their first keyword: they would end the
 * transaction that the step runs in, or change or block the connection that all steps share. Knows
 * no grammar beyond that word. */
#pragma once

#include "macro.h"

/* Why a statement that starts with this word is refused and what to do, behind the word; NULL: it
 * is not. Upper and lower case are the same. */
const char *sql_refusal(const char *word, size_t n);
