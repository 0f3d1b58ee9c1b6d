/* log.h: one sentence per transition, with fields: to the journal when it listens, else to stderr
 * as "<level> sentence". Never blocks the loop: a journal that does not take a datagram at once
 * loses it, and the loss is counted and said later. No other file prints. */
#pragma once

#include "events.h"

typedef struct LogField {
        const char *name; /* journal name, upper case: ROLLBACKD_SERVICE */
        const char *value;
} LogField;

/* Opens the journal's socket unless `foreground` (then stderr). Returns 0 or -errno (and falls back
 * to stderr). */
int log_open(bool foreground);
/* The same with the journal's socket at `path`. */
int log_open_at(const char *path);
void log_close(void);
void log_message(Severity severity, const char *format, ...) _printf_(2, 3);
/* With an event's message id (or NULL) and fields. */
void log_event(Severity severity, const char *message_id, const LogField *fields, size_t n,
               const char *sentence);
uint64_t log_lost(void);
/* Says how many messages were lost since that was last said, if whoever reads takes it; the next
 * message does the same. */
void log_say_lost(void);
