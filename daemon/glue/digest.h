/* digest.h: SHA-256, HMAC, base64, random bytes and a comparison in constant time, over OpenSSL's
 * libcrypto. */
#pragma once

#include "macro.h"

#define DIGEST_SIZE 32
#define DIGEST_HEX_SIZE 65

int digest_sha256_hex(const void *data, size_t n,
                      char ret_hex[static DIGEST_HEX_SIZE]) _must_check_;
int digest_hmac_sha256(const void *key, size_t key_size, const void *data, size_t n,
                       uint8_t ret[static DIGEST_SIZE]) _must_check_;
/* Returns the length, or -ENOSPC. */
int digest_base64(const void *data, size_t n, char *storage, size_t size) _must_check_;
/* Returns the number of bytes, -EINVAL or -ENOSPC. */
int digest_base64_decode(const char *text, void *storage, size_t size) _must_check_;
bool digest_equal(const void *a, const void *b, size_t n);
/* getrandom(); never fails but by abort of the kernel's promise: returns -errno. */
int digest_random(void *ret, size_t n) _must_check_;
void digest_wipe(void *p, size_t n);
