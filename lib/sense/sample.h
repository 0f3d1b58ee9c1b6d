/* sample.h: one result of one probe of one target at one instant, as the engine takes it.
 * Knows nothing of sockets or pages. */
#pragma once

#include "outcome.h"
#include "usec.h"

/* Counters that the signals of one probe may read. */
#define SAMPLE_VALUES_MAX 16
#define SAMPLE_VALUE_NAME_SIZE 32 /* with the NUL */

/* A number that a probe reports beside its outcome: "certificate_days", "lag". */
typedef struct SampleValue {
        char name[SAMPLE_VALUE_NAME_SIZE];
        double value;
} SampleValue;

typedef struct Sample {
        uint32_t service; /* the engine's handle */
        uint16_t probe;   /* index in the service's policy */
        uint16_t target;  /* index in the probe's targets */
        ProbeOutcome outcome;
        uint16_t status; /* HTTP status, 0: none */
        usec_t started;  /* when the probe was sent */
        usec_t at;       /* when its result was known */
        /* `at` of the previous page whose counters these increases start from; 0: this sample
         * only set a base */
        usec_t since;
        /* the version that answered; borrowed for the call; NULL: the probe cannot tell */
        const char *version;
        /* one per operand of the probe, borrowed; NAN: no such series on the page */
        const double *increases;
        size_t n_increases;
        const SampleValue *values; /* borrowed */
        size_t n_values;           /* at most SAMPLE_VALUES_MAX */
} Sample;
