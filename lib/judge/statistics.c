#include "statistics.h"

#include <math.h>

/* Rounding noise of a few ulp must not turn "12 fewer" into "13 fewer". */
#define COUNT_SLACK 1e-6

double wilson_lower(double k, double n, double z) {
        if (!(n > 0) || !(k > 0))
                return 0;
        double p = k < n ? k / n : 1;
        double z2n = z * z / n;
        double half = z * sqrt(p * (1 - p) / n + z2n / (4 * n));
        double lower = (p + z2n / 2 - half) / (1 + z2n);
        return lower > 0 ? lower : 0;
}

double wilson_upper(double k, double n, double z) {
        if (!(n > 0))
                return 1;
        return 1 - wilson_lower(n - k, n, z);
}

double poisson_rate_lower(double x, double seconds, double z) {
        if (!(seconds > 0) || !(x > 0))
                return 0;
        double lower = x + z * z / 2 - z * sqrt(x + z * z / 4);
        return lower > 0 ? lower / seconds : 0;
}

/* The bound is above the limit exactly when p > limit + z sqrt(limit (1 - limit) / n): the score
 * test that Wilson's interval inverts. */
double wilson_fewer(double k, double n, double phi, double z, double limit) {
        if (!(wilson_lower(k / phi, n / phi, z) > limit))
                return 0;
        double most = n * (limit + z * sqrt(limit * (1 - limit) * phi / n));
        double fewer = ceil(k - most - COUNT_SLACK);
        return fewer > 1 ? fewer : 1;
}
