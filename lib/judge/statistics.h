/* statistics.h: the formulas of the judge, each with its source. Knows nothing of rules. */
#pragma once

#include "macro.h"

/* Normal quantile of the one-sided level 0.0005: limits of `threshold` are crossed by chance
 * less than that at one look. */
#define WILSON_Z 3.29

/* Lower bound of Wilson's score interval for k of n (real numbers, 0 <= k <= n, n > 0; 0 when n
 * <= 0). (E. B. Wilson, Probable inference, the law of succession, and statistical inference,
 * JASA 22 (1927) 209-212.) */
double wilson_lower(double k, double n, double z);
/* Upper bound of the same interval; 1 when n <= 0. */
double wilson_upper(double k, double n, double z);
/* Lower bound of the score interval of a Poisson rate, x events in `seconds`, per second: (x +
 * z^2/2 - z sqrt(x + z^2/4)) / seconds, the limit of Wilson's bound for n -> infinity. */
double poisson_rate_lower(double x, double seconds, double z);
/* The smallest number of bad ones fewer, of the same n, for which the lower bound would not be
 * above `limit` ("12 errors fewer"). All of one dispersion: k and n are raw counts, divided by
 * phi inside. */
double wilson_fewer(double k, double n, double phi, double z, double limit);
