/* promql_answer.h: what a metrics store's answer to an instant query comes to: one number, or why
 * there is none. The store is not the service: whatever is wrong with it or with the query leaves
 * the service unknown, never bad. Knows nothing of how the answer came. */
#pragma once

#include "http_client.h"
#include "json.h"
#include "probe_kind.h"

/* Bytes of an answer that are read: some 5,000 series. */
#define PROMQL_ANSWER_MAX JSON_INPUT_MAX
#define PROMQL_VALUE "value" /* the name of the number */

/* Fills *ret. `now`: seconds since 1970 on this host's clock. Returns whether the number is of
 * series, whose samples may be older than the answer. */
bool promql_judge(const PromqlConfig *config, const HttpReply *reply, double now, ProbeResult *ret);
/* Of the answer to timestamp(query): makes *result unknown when a sample is older than max_age. */
void promql_judge_age(const PromqlConfig *config, const HttpReply *reply, ProbeResult *result);
