/* The files in which Linux says how loaded it is, as kernels write them, and what is none of them.
 */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "pressure.h"

#define TEXT(s) s, sizeof(s) - 1

static void averages_are_read(void **state _unused_) {
        PressureAverages a;

        assert_int_equal(pressure_parse_averages(
                                 TEXT("some avg10=17.27 avg60=33.71 avg300=36.56 total=919208\n"
                                      "full avg10=0.05 avg60=0.00 avg300=0.00 total=0\n"),
                                 &a),
                         0);
        assert_true(a.some == 17.27 && a.full == 0.05);
        /* Kernels before 5.13 have no line "full" for processors. */
        assert_int_equal(pressure_parse_averages(
                                 TEXT("some avg10=1.00 avg60=0.00 avg300=0.00 total=5\n"), &a),
                         0);
        assert_true(a.some == 1 && isnan(a.full));
        /* A line that is not known yet is passed over. */
        assert_int_equal(pressure_parse_averages(TEXT("most avg10=x\nfull avg10=2.5"), &a), 0);
        assert_true(isnan(a.some) && a.full == 2.5);
}

static void what_is_no_average_is_refused(void **state _unused_) {
        static const char *const texts[] = {
                "",
                "\n",
                "some",
                "some avg10",
                "some avg10=",
                "some avg10=x",
                "some avg10=-1.0",
                "some avg10=NaN",
                "some avg10=Inf",
                "some avg60=1.0 avg10=1.0",
                "some avg10=1.0\nfull avg10=y",
                "cpu avg10=1.0",
        };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                PressureAverages a = { 7, 7 };

                assert_int_equal(pressure_parse_averages(texts[i], strlen(texts[i]), &a), -EINVAL);
                assert_true(a.some == 7 && a.full == 7);
        }
}

static void a_number_is_read(void **state _unused_) {
        static const char *const wrong[] = { "",       "\n",   "x\n",       "1 2\n",
                                             "1\n2\n", "-1\n", "1048576kB", "maximum" };
        uint64_t n = 7;

        assert_int_equal(pressure_parse_number(TEXT("1048576\n"), &n), 0);
        assert_int_equal(n, 1048576);
        assert_int_equal(pressure_parse_number(TEXT("18446744073709551615"), &n), 0);
        assert_true(n == UINT64_MAX);
        assert_int_equal(pressure_parse_number(TEXT("max\n"), &n), -ENODATA);
        for (size_t i = 0; i < ELEMENTSOF(wrong); i++)
                assert_int_equal(pressure_parse_number(wrong[i], strlen(wrong[i]), &n), -EINVAL);
        assert_true(n == UINT64_MAX);
}

static void a_key_is_found(void **state _unused_) {
        static const char events[] = "low 0\nhigh 12\nmax 3\noom 1\noom_kill 2\n";
        uint64_t n = 7;

        assert_int_equal(pressure_parse_keyed(TEXT(events), "oom_kill", &n), 0);
        assert_int_equal(n, 2);
        assert_int_equal(pressure_parse_keyed(TEXT(events), "oom", &n), 0);
        assert_int_equal(n, 1);
        assert_int_equal(pressure_parse_keyed(TEXT(events), "oo", &n), -ENODATA);
        assert_int_equal(pressure_parse_keyed(TEXT(""), "oom", &n), -ENODATA);
        assert_int_equal(pressure_parse_keyed(TEXT("oom\n"), "oom", &n), -EINVAL);
        assert_int_equal(pressure_parse_keyed(TEXT("oom x\n"), "oom", &n), -EINVAL);
        assert_int_equal(n, 1);
        /* /proc/meminfo */
        assert_int_equal(pressure_parse_keyed(TEXT("MemTotal:       25277168 kB\n"
                                                   "MemAvailable:   24644968 kB\n"),
                                              "MemAvailable", &n),
                         0);
        assert_int_equal(n, 24644968);
}

static void the_time_of_processors_is_added(void **state _unused_) {
        PressureTicks t;

        /* user nice system idle iowait irq softirq steal guest guest_nice */
        assert_int_equal(pressure_parse_ticks(TEXT("cpu  100 2 30 1000 50 6 7 8 90 1\n"
                                                   "cpu0 50 1 15 500 25 3 3 4 45 1\n"),
                                              &t),
                         0);
        assert_int_equal(t.busy, 100 + 2 + 30 + 6 + 7 + 8);
        assert_int_equal(t.all, t.busy + 1000 + 50);
        assert_int_equal(pressure_parse_ticks(TEXT("cpu 1 2 3 4"), &t), 0);
        assert_int_equal(t.busy, 6);
        assert_int_equal(t.all, 10);
}

static void what_is_no_time_is_refused(void **state _unused_) {
        static const char *const texts[] = { "",
                                             "cpu\n",
                                             "cpu 1 2 3\n",
                                             "cpu0 1 2 3 4\n",
                                             "cpu 1 x 3 4\n",
                                             "cpu 1 -2 3 4\n",
                                             "cpu 18446744073709551615 1 1 1\n" };

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                PressureTicks t = { 7, 7 };

                assert_int_equal(pressure_parse_ticks(texts[i], strlen(texts[i]), &t), -EINVAL);
                assert_true(t.busy == 7 && t.all == 7);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(averages_are_read),
                cmocka_unit_test(what_is_no_average_is_refused),
                cmocka_unit_test(a_number_is_read),
                cmocka_unit_test(a_key_is_found),
                cmocka_unit_test(the_time_of_processors_is_added),
                cmocka_unit_test(what_is_no_time_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
