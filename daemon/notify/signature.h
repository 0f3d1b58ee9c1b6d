/* signature.h: the signature of Standard Webhooks 1.0.0: HMAC-SHA256 over "id.timestamp.body",
 * base64, as "v1,...". Knows nothing of HTTP. */
#pragma once

#include "macro.h"

#define SIGNATURE_SIZE 48 /* "v1," and 44 base64 digits with the NUL */
#define SIGNATURE_KEY_MAX 64
#define SIGNATURE_KEY_MIN 16

/* `secret`: "whsec_" with the base64 of 24 to 64 bytes, or other text of 16 to 64 bytes, taken as
 * it is. Returns 0 or -EINVAL. */
int signature_make(const char *secret, const char *id, int64_t timestamp, const char *body,
                   char ret[static SIGNATURE_SIZE]) _must_check_;
