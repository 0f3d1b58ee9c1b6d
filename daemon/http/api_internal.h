/* api_internal.h: the API's inside, for its own files: api.c (routes), api_services.c, api_lists.c,
 * api_writes.c, api_metrics.c and
 * api_metrics_services.c, api_health.c. */
#pragma once

#include "api.h"

#define API_LIST_MAX 1000
#define API_LIST_DEFAULT 100
#define API_REASON_MAX (sizeof((OperationPlan *)NULL)->reason - 1)
#define API_METRICS_HEAD_MAX (64 * 1024) /* of the daemon itself */

struct ApiLookup {
        HttpPending *pending; /* NULL: the place is free */
};

struct Api {
        ApiOwner owner;
        Json *operations, *events; /* as last given; NULL: not yet */
        ServiceSnapshot snapshot;  /* large: one for all requests, which come one by one */
        ApiLookup lookups[API_LOOKUPS_MAX];
};

/* What a route's handler is given: the call, and the name or id that stood in the path ("" when
 * there is none). */
typedef void (*RouteHandler)(Api *a, const HttpCall *call, const char *argument, HttpAnswer *ret);

/* One JSON answer; takes the value over. */
void api_answer_json(HttpAnswer *ret, unsigned status, Json *value);
/* ?NAME= as a number from `least` to `most`, `fallback` when it is not there; false when it is
 * something else, which has been answered. */
bool api_read_number(const HttpCall *call, const char *name, uint64_t least, uint64_t most,
                     uint64_t fallback, uint64_t *ret, HttpAnswer *answer);
/* RFC 9457. */
void api_answer_problem(HttpAnswer *ret, unsigned status, const char *detail);
void api_answer_text(HttpAnswer *ret, unsigned status, const char *text);

void api_get_livez(Api *a, const HttpCall *call, const char *argument, HttpAnswer *ret);
void api_get_readyz(Api *a, const HttpCall *call, const char *argument, HttpAnswer *ret);
void api_get_metrics(Api *a, const HttpCall *call, const char *argument, HttpAnswer *ret);
void api_get_services(Api *a, const HttpCall *call, const char *argument, HttpAnswer *ret);
void api_get_service(Api *a, const HttpCall *call, const char *argument, HttpAnswer *ret);
void api_get_explain(Api *a, const HttpCall *call, const char *argument, HttpAnswer *ret);
void api_get_operations(Api *a, const HttpCall *call, const char *argument, HttpAnswer *ret);
void api_get_operation(Api *a, const HttpCall *call, const char *argument, HttpAnswer *ret);
void api_get_events(Api *a, const HttpCall *call, const char *argument, HttpAnswer *ret);
void api_post_rollback(Api *a, const HttpCall *call, const char *argument, HttpAnswer *ret);
void api_post_restore(Api *a, const HttpCall *call, const char *argument, HttpAnswer *ret);
