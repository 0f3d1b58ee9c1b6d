#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "digest.h"

static void hex(const uint8_t *data, size_t n, char *ret) {
        static const char digits[] = "0123456789abcdef";

        for (size_t i = 0; i < n; i++) {
                ret[2 * i] = digits[data[i] >> 4];
                ret[2 * i + 1] = digits[data[i] & 15];
        }
        ret[2 * n] = '\0';
}

/* FIPS 180-4 and its examples. */
static void sha256_gives_the_standards_examples(_unused_ void **state) {
        static const struct {
                const char *text, *digest;
        } cases[] = {
                { "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
                { "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
                { "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
        };
        char digest[DIGEST_HEX_SIZE];

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                assert_int_equal(digest_sha256_hex(cases[i].text, strlen(cases[i].text), digest),
                                 0);
                assert_string_equal(digest, cases[i].digest);
        }
}

/* RFC 4231, test cases 1, 2, 3, 6. */
static void hmac_gives_the_rfc_examples(_unused_ void **state) {
        uint8_t key1[20], key6[131], key3[20], data3[50], digest[DIGEST_SIZE];
        const char *text6 = "Test Using Larger Than Block-Size Key - Hash Key First";
        char text[DIGEST_HEX_SIZE];

        memset(key1, 0x0b, sizeof key1);
        memset(key3, 0xaa, sizeof key3);
        memset(key6, 0xaa, sizeof key6);
        memset(data3, 0xdd, sizeof data3);
        assert_int_equal(digest_hmac_sha256(key1, sizeof key1, "Hi There", 8, digest), 0);
        hex(digest, sizeof digest, text);
        assert_string_equal(text,
                            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
        assert_int_equal(digest_hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, digest),
                         0);
        hex(digest, sizeof digest, text);
        assert_string_equal(text,
                            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        assert_int_equal(digest_hmac_sha256(key3, sizeof key3, data3, sizeof data3, digest), 0);
        hex(digest, sizeof digest, text);
        assert_string_equal(text,
                            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
        assert_int_equal(digest_hmac_sha256(key6, sizeof key6, text6, strlen(text6), digest), 0);
        hex(digest, sizeof digest, text);
        assert_string_equal(text,
                            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

static void hmac_takes_an_empty_key_and_an_empty_text(_unused_ void **state) {
        uint8_t digest[DIGEST_SIZE];
        char text[DIGEST_HEX_SIZE];

        assert_int_equal(digest_hmac_sha256(NULL, 0, NULL, 0, digest), 0);
        hex(digest, sizeof digest, text);
        assert_string_equal(text,
                            "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

/* RFC 4648, section 10. */
static const struct {
        const char *plain, *encoded;
} base64_cases[] = {
        { "", "" },
        { "f", "Zg==" },
        { "fo", "Zm8=" },
        { "foo", "Zm9v" },
        { "foob", "Zm9vYg==" },
        { "fooba", "Zm9vYmE=" },
        { "foobar", "Zm9vYmFy" },
};

static void base64_gives_the_rfc_examples_both_ways(_unused_ void **state) {
        char text[16];
        uint8_t bytes[16];

        for (size_t i = 0; i < ELEMENTSOF(base64_cases); i++) {
                size_t n = strlen(base64_cases[i].plain), m = strlen(base64_cases[i].encoded);

                assert_int_equal(digest_base64(base64_cases[i].plain, n, text, sizeof text), m);
                assert_string_equal(text, base64_cases[i].encoded);
                assert_int_equal(digest_base64_decode(base64_cases[i].encoded, bytes, sizeof bytes),
                                 n);
                assert_memory_equal(bytes, base64_cases[i].plain, n);
        }
}

static void base64_needs_room_for_all(_unused_ void **state) {
        char text[9];
        uint8_t bytes[6];

        assert_int_equal(digest_base64("foobar", 6, text, 9), 8);
        assert_int_equal(digest_base64("foobar", 6, text, 8), -ENOSPC);
        assert_int_equal(digest_base64("", 0, text, 0), -ENOSPC);
        assert_int_equal(digest_base64_decode("Zm9vYmFy", bytes, 6), 6);
        assert_int_equal(digest_base64_decode("Zm9vYmFy", bytes, 5), -ENOSPC);
        assert_int_equal(digest_base64_decode("Zm9vYg==", bytes, 4), 4);
}

static void base64_refuses_everything_else(_unused_ void **state) {
        static const char *const bad[] = { "Z",    "Zg",       "Zg=",   "Zg===",    "Z===",
                                           "====", "Zg==Zm9v", "Zm9\n", " m9v",     "Zm9v\n",
                                           "Zm-_", "Zh==",     "Zm9=",  "Zm9v====", "=m9v" };
        uint8_t bytes[32];

        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_int_equal(digest_base64_decode(bad[i], bytes, sizeof bytes), -EINVAL);
}

static void comparison_sees_every_byte(_unused_ void **state) {
        uint8_t a[DIGEST_SIZE] = { 0 }, b[DIGEST_SIZE] = { 0 };

        assert_true(digest_equal(a, b, sizeof a));
        for (size_t i = 0; i < sizeof b; i++) {
                b[i] = 0x80;
                assert_false(digest_equal(a, b, sizeof a));
                b[i] = 0;
        }
        assert_true(digest_equal("a", "b", 0));
}

static void random_bytes_differ_and_wiped_ones_are_zero(_unused_ void **state) {
        uint8_t a[32] = { 0 }, b[32] = { 0 }, zero[32] = { 0 };

        assert_int_equal(digest_random(a, sizeof a), 0);
        assert_int_equal(digest_random(b, sizeof b), 0);
        assert_memory_not_equal(a, b, sizeof a);
        assert_memory_not_equal(a, zero, sizeof a);
        digest_wipe(a, sizeof a);
        assert_memory_equal(a, zero, sizeof a);
        digest_wipe(NULL, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(sha256_gives_the_standards_examples),
                cmocka_unit_test(hmac_gives_the_rfc_examples),
                cmocka_unit_test(hmac_takes_an_empty_key_and_an_empty_text),
                cmocka_unit_test(base64_gives_the_rfc_examples_both_ways),
                cmocka_unit_test(base64_needs_room_for_all),
                cmocka_unit_test(base64_refuses_everything_else),
                cmocka_unit_test(comparison_sees_every_byte),
                cmocka_unit_test(random_bytes_differ_and_wiped_ones_are_zero),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
