/* The formulas: by known values, by their own inverses, and against the exact binomial. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "statistics.h"

static void assert_close(double got, double wanted) {
        if (!(fabs(got - wanted) <= 1e-12 + 1e-9 * fabs(wanted))) {
                print_error("%.15g instead of %.15g\n", got, wanted);
                fail();
        }
}

/* A bound is where the observed share is just z standard errors away. */
static void bounds_solve_their_equation(void **state) {
        (void)state;
        static const double cases[][2] = { { 1, 1 },     { 1, 10 },     { 5, 100 },
                                           { 84, 1012 }, { 999, 1000 }, { 0.4, 7.3 } };
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                double k = cases[i][0], n = cases[i][1], p = k / n;
                double lower = wilson_lower(k, n, WILSON_Z), upper = wilson_upper(k, n, WILSON_Z);
                assert_true(lower > 0 && lower < p && upper <= 1 && upper >= p);
                assert_close(p - lower, WILSON_Z * sqrt(lower * (1 - lower) / n));
                if (k < n)
                        assert_close(upper - p, WILSON_Z * sqrt(upper * (1 - upper) / n));
        }
}

static void edges_stay_inside(void **state) {
        (void)state;
        assert_true(wilson_lower(0, 100, WILSON_Z) == 0);
        assert_true(wilson_lower(0, 0, WILSON_Z) == 0);
        assert_true(wilson_upper(0, 0, WILSON_Z) == 1);
        assert_true(wilson_upper(100, 100, WILSON_Z) == 1);
        assert_true(wilson_lower(NAN, 100, WILSON_Z) == 0);
        assert_true(wilson_lower(1, NAN, WILSON_Z) == 0);
        assert_true(wilson_lower(7, 5, WILSON_Z) <=
                    1); /* more bad ones than all: counted at different instants */
        assert_true(wilson_lower(1e12, 1e13, WILSON_Z) < 0.1);
        assert_true(poisson_rate_lower(0, 60, WILSON_Z) == 0);
        assert_true(poisson_rate_lower(5, 0, WILSON_Z) == 0);
        assert_true(poisson_rate_lower(NAN, 60, WILSON_Z) == 0);
}

static void rate_is_the_limit_of_a_share(void **state) {
        (void)state;
        for (double x = 1; x < 1000; x *= 3) {
                double rate = poisson_rate_lower(x, 1, WILSON_Z);
                assert_true(fabs(wilson_lower(x, 1e9, WILSON_Z) * 1e9 - rate) < 1e-3 * rate);
                assert_close(x - rate, WILSON_Z * sqrt(rate));
        }
}

static void fewer_is_the_smallest_number(void **state) {
        (void)state;
        static const double limits[] = { 0.001, 0.02, 0.05, 0.3 }, dispersions[] = { 1, 2.5, 5 };
        unsigned bad = 0;
        for (size_t l = 0; l < ELEMENTSOF(limits); l++)
                for (size_t d = 0; d < ELEMENTSOF(dispersions); d++)
                        for (double n = 20; n < 3000; n += 371)
                                for (double k = 0; k <= n; k += 7) {
                                        double phi = dispersions[d],
                                               f = wilson_fewer(k, n, phi, WILSON_Z, limits[l]);
                                        bool above = wilson_lower(k / phi, n / phi, WILSON_Z) >
                                                     limits[l];
                                        assert_true(above == (f > 0));
                                        if (!above)
                                                continue;
                                        bad++;
                                        assert_false(wilson_lower((k - f) / phi, n / phi,
                                                                  WILSON_Z) > limits[l]);
                                        if (f > 1)
                                                assert_true(wilson_lower((k - f + 1) / phi, n / phi,
                                                                         WILSON_Z) > limits[l]);
                                }
        assert_true(bad > 1000);
}

/* How often a healthy service of share p crosses its own limit p at one look: the exact binomial
 * tail. */
static double crossing_probability(unsigned n, double p) {
        double probability = 0;
        for (unsigned k = 0; k <= n; k++)
                if (wilson_lower(k, n, WILSON_Z) > p)
                        probability += exp(lgamma(n + 1.0) - lgamma(k + 1.0) - lgamma(n - k + 1.0) +
                                           k * log(p) + (n - k) * log1p(-p));
        return probability;
}

static void healthy_services_rarely_cross(void **state) {
        (void)state;
        assert_true(crossing_probability(2000, 0.05) < 0.001);
        assert_true(crossing_probability(500, 0.05) < 0.002);
        assert_true(crossing_probability(500, 0.05) > 0.00001);
        assert_true(crossing_probability(500, 0.02) < 0.003);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(bounds_solve_their_equation),
                cmocka_unit_test(edges_stay_inside),
                cmocka_unit_test(rate_is_the_limit_of_a_share),
                cmocka_unit_test(fewer_is_the_smallest_number),
                cmocka_unit_test(healthy_services_rarely_cross),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
