#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "outcome.h"

static void every_outcome_has_its_own_code_and_words(void **state _unused_) {
        for (int i = 0; i < _OUTCOME_MAX; i++) {
                ProbeOutcome o = (ProbeOutcome)i;

                assert_true(outcome_code(o)[0] != '\0');
                assert_true(outcome_words(o)[0] != '\0');
                assert_int_equal(outcome_from_code(outcome_code(o)), i);
                for (int j = 0; j < i; j++)
                        assert_string_not_equal(outcome_words(o), outcome_words((ProbeOutcome)j));
        }
        assert_int_equal(outcome_from_code("no such code"), -EINVAL);
        assert_int_equal(outcome_from_code(""), -EINVAL);
}

static void only_the_targets_fault_is_bad(void **state _unused_) {
        for (int i = 0; i < _OUTCOME_MAX; i++) {
                Tri expected = TRI_UNKNOWN;

                switch ((ProbeOutcome)i) {
                case OUTCOME_OK:
                        expected = TRI_GOOD;
                        break;
                case OUTCOME_REFUSED:
                case OUTCOME_RESET:
                case OUTCOME_TIMEOUT:
                case OUTCOME_NO_ROUTE:
                case OUTCOME_CLOSED:
                case OUTCOME_PROTOCOL:
                case OUTCOME_BAD_STATUS:
                case OUTCOME_BAD_BODY:
                case OUTCOME_TOO_LARGE:
                case OUTCOME_BAD_HEADER:
                case OUTCOME_BAD_VALUE:
                case OUTCOME_BAD_STATE:
                case OUTCOME_ERROR:
                case OUTCOME_SLOW:
                case OUTCOME_TLS:
                case OUTCOME_TLS_UNTRUSTED:
                case OUTCOME_TLS_EXPIRED:
                case OUTCOME_TLS_NAME:
                case OUTCOME_TLS_VERSION:
                        expected = TRI_BAD;
                        break;
                case OUTCOME_NETWORK_DOWN:
                case OUTCOME_RESOURCES:
                case OUTCOME_RESOLVER:
                case OUTCOME_NO_DATA:
                case OUTCOME_OVERDUE:
                case OUTCOME_LOCAL:
                case OUTCOME_DENIED:
                case _OUTCOME_MAX:
                        break;
                }
                assert_int_equal(outcome_verdict((ProbeOutcome)i), expected);
        }
}

static void each_error_of_a_socket_names_whose_fault_it_is(void **state _unused_) {
        static const struct {
                int error;
                ProbeOutcome outcome;
        } rows[] = {
                { ECONNREFUSED, OUTCOME_REFUSED },
                { ENOENT, OUTCOME_REFUSED },
                { ECONNRESET, OUTCOME_RESET },
                { ECONNABORTED, OUTCOME_RESET },
                { EPIPE, OUTCOME_RESET },
                { ETIMEDOUT, OUTCOME_TIMEOUT },
                { EHOSTUNREACH, OUTCOME_NO_ROUTE },
                { EHOSTDOWN, OUTCOME_NO_ROUTE },
                { ENETUNREACH, OUTCOME_NETWORK_DOWN },
                { ENETDOWN, OUTCOME_NETWORK_DOWN },
                { EADDRNOTAVAIL, OUTCOME_NETWORK_DOWN },
                { EMFILE, OUTCOME_RESOURCES },
                { ENFILE, OUTCOME_RESOURCES },
                { ENOBUFS, OUTCOME_RESOURCES },
                { ENOMEM, OUTCOME_RESOURCES },
                { EACCES, OUTCOME_LOCAL },
                { EPERM, OUTCOME_LOCAL },
                { EINVAL, OUTCOME_LOCAL },
                { EAGAIN, OUTCOME_LOCAL },
                { 0, OUTCOME_LOCAL },
                { -1, OUTCOME_LOCAL },
                { 100000, OUTCOME_LOCAL },
        };

        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                assert_int_equal(outcome_from_errno(rows[i].error), rows[i].outcome);
        /* The operator of rollbackd is told which of his things it is. */
        assert_string_equal(outcome_errno_words(ENETUNREACH), "our own network is down");
        assert_string_equal(outcome_errno_words(EADDRNOTAVAIL),
                            "no address or port of ours is left for it");
        assert_string_equal(outcome_errno_words(EACCES),
                            "a route, packet filter or file mode here forbids it");
}

static void no_error_that_the_table_does_not_list_is_bad(void **state _unused_) {
        static const int bad[] = { ECONNREFUSED, ENOENT,    ECONNRESET,   ECONNABORTED,
                                   EPIPE,        ETIMEDOUT, EHOSTUNREACH, EHOSTDOWN };

        for (int error = 0; error < 200; error++) {
                bool listed = false;

                for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                        listed |= bad[i] == error;
                assert_int_equal(outcome_verdict(outcome_from_errno(error)),
                                 listed ? TRI_BAD : TRI_UNKNOWN);
        }
}

static void three_values_have_names_and_unset_is_unknown(void **state _unused_) {
        assert_string_equal(tri_to_string((Tri){ 0 }), "unknown");
        assert_string_equal(tri_to_string(TRI_GOOD), "good");
        assert_string_equal(tri_to_string(TRI_BAD), "bad");
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_outcome_has_its_own_code_and_words),
                cmocka_unit_test(only_the_targets_fault_is_bad),
                cmocka_unit_test(each_error_of_a_socket_names_whose_fault_it_is),
                cmocka_unit_test(no_error_that_the_table_does_not_list_is_bad),
                cmocka_unit_test(three_values_have_names_and_unset_is_unknown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
