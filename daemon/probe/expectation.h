/* expectation.h: the limits that a policy puts on any kind of probe: on the values that it reported
 * and on the time that it took. Kinds never compare with limits. Knows nothing of kinds. */
#pragma once

#include "probe_kind.h"

/* Turns a good result bad when it took longer than expected or a value is outside its limits, and
 * unknown when a value that has limits was not reported or is NaN. Leaves any other result alone.
 * `duration` is without what our own loop was away for. */
void expectation_apply(const ProbeConfig *config, usec_t duration, ProbeResult *result);
