/* probe_unit.h: what the state of a unit says of it: good, bad or unknown, in words. Knows no bus.
 */
#pragma once

#include "bus.h"
#include "probe_kind.h"

/* Fills the result: good while the unit is active or reloading, unknown when this host has no such
 * unit, else bad. */
void unit_result(const BusUnit *unit, ProbeResult *ret);
