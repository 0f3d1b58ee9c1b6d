/* Tests of the Standard Webhooks signature, against the example of its reference libraries and
 * against values made by another implementation of HMAC. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "signature.h"

static void test_known_values(_unused_ void **state) {
        static const struct {
                const char *secret, *id;
                int64_t timestamp;
                const char *body, *expected;
        } cases[] = {
                { "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek",
                  1614265330, "{\"test\": 2432232314}",
                  "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" },
                { "0123456789abcdef", "m", 0, "",
                  "v1,ODDN1lT4LhVhWe2I0E3MJWSS8bt21c9l9iZgdvUPsQ4=" },
                { "whsec_"
                  "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7"
                  "PD0+Pw==",
                  "alert_00", 1795270000, "{\"a\":\"ä\"}",
                  "v1,5+j+482Kl/ShkpvA1Tm0Remwhimp39RNfj9Bf8aZcgo=" },
                { "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "d",
                  9999999999, "{}", "v1,KlCe0UqI4GhRHoBEpAf5XvW3169DsfVt6F8USol409Q=" },
        };
        char signature[SIGNATURE_SIZE];

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                assert_int_equal(signature_make(cases[i].secret, cases[i].id, cases[i].timestamp,
                                                cases[i].body, signature),
                                 0);
                assert_string_equal(signature, cases[i].expected);
        }
}

static void test_refused_secrets(_unused_ void **state) {
        static const char *const secrets[] = {
                "",
                "too short",
                "whsec_",
                "whsec_c2hvcnQ=",                         /* 5 bytes */
                "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS",  /* cut base64 */
                "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa*w", /* not base64 */
                "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n",
                "12345678901234567890123456789012345678901234567890123456789012345", /* 65 bytes */
        };
        char signature[SIGNATURE_SIZE] = "untouched";

        for (size_t i = 0; i < ELEMENTSOF(secrets); i++) {
                assert_int_equal(signature_make(secrets[i], "m", 1, "{}", signature), -EINVAL);
                assert_string_equal(signature, "untouched");
        }
}

/* Each of the three signed parts matters, and so do their borders. */
static void test_every_part_is_signed(_unused_ void **state) {
        static const char secret[] = "a secret of 24 bytes or so";
        char base[SIGNATURE_SIZE], other[SIGNATURE_SIZE];

        assert_int_equal(signature_make(secret, "id", 12, "{}", base), 0);
        assert_int_equal(signature_make(secret, "ie", 12, "{}", other), 0);
        assert_string_not_equal(base, other);
        assert_int_equal(signature_make(secret, "id", 13, "{}", other), 0);
        assert_string_not_equal(base, other);
        assert_int_equal(signature_make(secret, "id", 12, "{} ", other), 0);
        assert_string_not_equal(base, other);
        assert_int_equal(signature_make(secret, "id", 1, "2{}", other), 0);
        assert_string_not_equal(base, other);
        assert_int_equal(signature_make("a secret of 24 bytes or sO", "id", 12, "{}", other), 0);
        assert_string_not_equal(base, other);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_known_values),
                cmocka_unit_test(test_refused_secrets),
                cmocka_unit_test(test_every_part_is_signed),
        };

        return cmocka_run_group_tests_name("signature", tests, NULL, NULL);
}
