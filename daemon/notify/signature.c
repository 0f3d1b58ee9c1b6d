#include "signature.h"

#include <errno.h>
#include <stdio.h>

#include "digest.h"

#define SECRET_PREFIX "whsec_"
#define ENCODED_KEY_MIN 24

/* Returns the key's length or -EINVAL. */
static int read_key(const char *secret, uint8_t key[static SIGNATURE_KEY_MAX]) {
        size_t n = strlen(secret);

        if (strncmp(secret, SECRET_PREFIX, strlen(SECRET_PREFIX)) == 0) {
                int length = digest_base64_decode(secret + strlen(SECRET_PREFIX), key,
                                                  SIGNATURE_KEY_MAX);

                return length >= ENCODED_KEY_MIN ? length : -EINVAL;
        }
        if (n < SIGNATURE_KEY_MIN || n > SIGNATURE_KEY_MAX)
                return -EINVAL;
        memcpy(key, secret, n);
        return (int)n;
}

int signature_make(const char *secret, const char *id, int64_t timestamp, const char *body,
                   char ret[static SIGNATURE_SIZE]) {
        uint8_t key[SIGNATURE_KEY_MAX], mac[DIGEST_SIZE];
        _cleanup_(freep) char *text = NULL;
        int n = read_key(secret, key), length, r;

        if (n < 0)
                return n;
        length = asprintf(&text, "%s.%lld.%s", id, (long long)timestamp, body);
        if (length < 0)
                text = NULL;
        r = length < 0 ? -ENOMEM : digest_hmac_sha256(key, (size_t)n, text, (size_t)length, mac);
        digest_wipe(key, sizeof key);
        if (r < 0)
                return r;
        memcpy(ret, "v1,", 3);
        r = digest_base64(mac, sizeof mac, ret + 3, SIGNATURE_SIZE - 3);
        return r < 0 ? r : 0;
}
