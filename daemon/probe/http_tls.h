/* http_tls.h: the TLS of one probe's https targets, made of its configuration and the files that it
 * names, which are read when the policy is. Knows nothing of connections. */
#pragma once

#include "probe_kind.h"

typedef struct HttpTls HttpTls;

/* Makes it. A file that is missing or of no use is no error here: each probe says so. Returns 0 or
 * -ENOMEM; *ret is NULL when no target wants TLS. */
int http_tls_new(HttpTls **ret, const ProbeTools *tools, const ProbeConfig *config) _must_check_;
HttpTls *http_tls_free(HttpTls *t);
/* Whether a probe of the target may start: it wants no TLS (*ret_context is NULL), or there is one
 * with the name to ask for, borrowed. If not, *ret says why. */
bool http_tls_choose(const HttpTls *t, const ProbeConfig *config, const TargetConfig *target,
                     TlsContext **ret_context, const char **ret_name, ProbeResult *ret);
