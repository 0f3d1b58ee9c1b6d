/* notice.h: what a notice says: an event's row rendered with its fields, and the JSON body {type,
 * timestamp, data} that every channel sends. Knows nothing of queues, receivers or signatures. */
#pragma once

#include "events.h"
#include "json.h"

#define NOTICE_BODY_MAX 20000 /* bytes; the Standard Webhooks limit */
#define NOTICE_TEXT_MAX 4096
#define NOTICE_FIELDS_MAX 64

/* Now as RFC 3339 in UTC with milliseconds. */
void notice_timestamp(char ret[static 32]);
/* The sentence: the field `text` if there is one, else rendered from the row (`over`: the one for
 * the end of a lasting state), and what to type now ("" : nothing). A text that does not fit ends
 * with "[...]". */
void notice_render(const EventRow *row, bool over, const EventFieldValue fields[], size_t n,
                   StrBuf *sentence, StrBuf *type_now);
/* The body, to be freed: `data` (handed over) with severity, over, text and type_now added. Where
 * that is above NOTICE_BODY_MAX, the members above 1 KiB are left out and named in data.omitted.
 * NULL without memory. */
char *notice_body(const EventRow *row, bool over, const char *timestamp, Json *data,
                  const EventFieldValue fields[], size_t n);
/* The same for a kind of event that has no row: `data` as it is. */
char *notice_body_plain(const char *type, const char *timestamp, Json *data);
