/* Any bytes as each of the files of pressure: what is taken is a figure that can be compared, and
 * what is refused leaves the result alone. */
#include <math.h>
#include <stdlib.h>

#include "pressure.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_average(double value) {
        if (!isnan(value) && !(value >= 0 && isfinite(value)))
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        /* Of its exact size, so that a byte behind it is found out. */
        _cleanup_(freep) char *text = malloc(size + !size);
        PressureAverages averages = { -1, -1 };
        PressureTicks ticks = { 7, 7 };
        uint64_t number = 7;

        if (!text)
                return 0;
        if (size > 0)
                memcpy(text, data, size);
        if (pressure_parse_averages(text, size, &averages) == 0) {
                check_average(averages.some);
                check_average(averages.full);
                if (isnan(averages.some) && isnan(averages.full))
                        abort();
        } else if (averages.some != -1 || averages.full != -1)
                abort();
        if (pressure_parse_ticks(text, size, &ticks) == 0 ? ticks.busy > ticks.all :
                                                            ticks.busy != 7 || ticks.all != 7)
                abort();
        if (pressure_parse_number(text, size, &number) < 0 && number != 7)
                abort();
        number = 7;
        if (pressure_parse_keyed(text, size, "oom_kill", &number) < 0 && number != 7)
                abort();
        return 0;
}
