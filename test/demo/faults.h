/* faults.h: how a version misbehaves: which share of its requests fails, and since which release.
 * Repeatable by its seed. Knows nothing of what a request is. */
#pragma once

#include "macro.h"

#define FAULTS_MAX 4

typedef struct Fault {
        char version[64];
        unsigned percent;
        uint64_t since_epoch; /* of the active release; 0: always */
} Fault;

typedef struct Faults {
        Fault rows[FAULTS_MAX];
        size_t n;
        uint64_t random; /* never 0 */
} Faults;

void faults_init(Faults *f, uint64_t seed);
/* Reads "VERSION=PERCENT" or "VERSION=PERCENT@EPOCH". Returns 0, -EINVAL, or -E2BIG (FAULTS_MAX
 * are there). */
int faults_add(Faults *f, const char *text) _must_check_;
/* Whether this request of `version` fails while the release of `epoch` is the active one. */
bool faults_strike(Faults *f, const char *version, uint64_t epoch);
