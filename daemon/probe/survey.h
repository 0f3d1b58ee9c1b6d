/* survey.h: makes the probes of a policy once, now and outside any schedule, and keeps what each
 * came to with its trace. For a person who asks; the daemon has the prober. Knows nothing of how it
 * is shown. */
#pragma once

#include "config.h"
#include "probe_kind.h"

#define SURVEY_CONCURRENT 32 /* probes in flight */
#define SURVEY_ALL SIZE_MAX

typedef struct Survey Survey;

/* One probe of one target at one of its addresses. */
typedef struct SurveyEntry {
        const ProbeConfig *probe;
        const TargetConfig *target;
        char address[64]; /* as text, without the port; "": it has none, or none was found */
        ProbeResult result;
        usec_t duration; /* of the probe itself: names are resolved before it */
        ProbeTrace trace;
} SurveyEntry;

/* Starts the probe with that index, or SURVEY_ALL, of every target at each of its addresses.
 * `on_done` is called once, from the loop, when the last one has ended. Everything is borrowed
 * until survey_free(). Returns 0, -ENOMEM, or what ProbeKind.prepare() refused with. */
int survey_new(Survey **ret, const ProbeTools *tools, const ServiceConfig *config, size_t probe,
               void (*on_done)(void *userdata), void *userdata) _must_check_;
Survey *survey_free(Survey *s);
DEFINE_CLEANUP(Survey *, survey_free);
/* What there is so far, in the order of the policy; whole once on_done() was called. */
size_t survey_length(const Survey *s);
const SurveyEntry *survey_entry(const Survey *s, size_t i);
