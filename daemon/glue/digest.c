#include <errno.h>
#include <sys/random.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "digest.h"

/* The largest text or key that one call takes: OpenSSL counts some of its sizes in int. */
#define DIGEST_INPUT_MAX ((size_t)INT32_MAX)

int digest_sha256_hex(const void *data, size_t n, char ret_hex[static DIGEST_HEX_SIZE]) {
        static const char digits[] = "0123456789abcdef";
        uint8_t digest[DIGEST_SIZE];
        unsigned size = 0;

        if (EVP_Digest(data, n, digest, &size, EVP_sha256(), NULL) != 1 || size != DIGEST_SIZE)
                return -ENOMEM;
        for (size_t i = 0; i < DIGEST_SIZE; i++) {
                ret_hex[2 * i] = digits[digest[i] >> 4];
                ret_hex[2 * i + 1] = digits[digest[i] & 15];
        }
        ret_hex[2 * DIGEST_SIZE] = '\0';
        return 0;
}

int digest_hmac_sha256(const void *key, size_t key_size, const void *data, size_t n,
                       uint8_t ret[static DIGEST_SIZE]) {
        uint8_t digest[DIGEST_SIZE];
        unsigned size = 0;

        if (key_size > DIGEST_INPUT_MAX)
                return -E2BIG;
        if (!HMAC(EVP_sha256(), key, (int)key_size, n > 0 ? data : (const void *)"", n, digest,
                  &size) ||
            size != DIGEST_SIZE)
                return -ENOMEM;
        memcpy(ret, digest, DIGEST_SIZE);
        digest_wipe(digest, sizeof digest);
        return 0;
}

int digest_base64(const void *data, size_t n, char *storage, size_t size) {
        if (n > DIGEST_INPUT_MAX / 2 || (n + 2) / 3 * 4 + 1 > size)
                return -ENOSPC;
        if (n == 0) {
                storage[0] = '\0';
                return 0;
        }
        return EVP_EncodeBlock((unsigned char *)storage, data, (int)n);
}

/* Decodes four characters. Returns how many bytes they are (1..3), or -EINVAL, also for the forms
 * that encode the same bytes in other characters. */
static int base64_decode_quadruple(const char *text, uint8_t ret[static 3]) {
        unsigned char again[5];
        int n = 3;

        if (text[3] == '=')
                n = text[2] == '=' ? 1 : 2;
        if (EVP_DecodeBlock(ret, (const unsigned char *)text, 4) != 3)
                return -EINVAL;
        (void)EVP_EncodeBlock(again, ret, n);
        return memcmp(again, text, 4) == 0 ? n : -EINVAL;
}

int digest_base64_decode(const char *text, void *storage, size_t size) {
        size_t n = strlen(text), used = 0;
        uint8_t *out = storage;

        if (n % 4 != 0 || n > DIGEST_INPUT_MAX)
                return -EINVAL;
        for (size_t i = 0; i < n; i += 4) {
                uint8_t bytes[3];
                int k = base64_decode_quadruple(text + i, bytes);

                if (k < 0 || (k < 3 && i + 4 < n))
                        return -EINVAL;
                if ((size_t)k > size - used)
                        return -ENOSPC;
                memcpy(out + used, bytes, (size_t)k);
                used += (size_t)k;
        }
        return (int)used;
}

bool digest_equal(const void *a, const void *b, size_t n) {
        return CRYPTO_memcmp(a, b, n) == 0;
}

int digest_random(void *ret, size_t n) {
        uint8_t *p = ret;

        while (n > 0) {
                ssize_t k = getrandom(p, n, 0);

                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return -errno;
                p += k;
                n -= (size_t)k;
        }
        return 0;
}

void digest_wipe(void *p, size_t n) {
        if (p)
                OPENSSL_cleanse(p, n);
}
