/* api_metrics.h: the inside of /metrics, for its own files: api_metrics.c (the format, the daemon
 * itself), api_metrics_services.c (the services). Knows nothing of HTTP beyond the text that it
 * writes, nor where the numbers come from. */
#pragma once

#include "api_internal.h"

/* HELP and TYPE; what follows is of this family until the next one begins. */
void metrics_begin_family(StrBuf *b, const char *name, const char *type, const char *help);
/* One sample; a NULL label name ends the labels. */
void metrics_add_sample(StrBuf *b, const char *name, const char *label1, const char *value1,
                        const char *label2, const char *value2, double value);

#define METRICS_SERVICE_FAMILIES 11
/* Each family into a text of its own, so that each service is looked at once: eleven looks at
 * thousands of services would hold the loop. */
void metrics_write_services(Api *a, StrBuf families[static METRICS_SERVICE_FAMILIES]);
