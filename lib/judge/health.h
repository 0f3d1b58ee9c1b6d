/* health.h: the health of a service as a table of numbered rows, each with its sentence, which
 * is log text, audit text and graph label. First match wins. Knows nothing of operations or
 * guards. */
#pragma once

#include "policy.h"

typedef enum Health {
        HEALTH_NEW, /* no release known, or nothing judged yet */
        HEALTH_WARMING,
        HEALTH_WATCHING, /* no rule bad */
        HEALTH_SUSPECT,  /* a rule is bad, within its hold */
        HEALTH_BAD,
        HEALTH_BLIND, /* every rule with a response above notify is unknown for unknown_after */
        _HEALTH_MAX,
} Health;

/* What the engine saw at a step, strongest first. */
typedef enum HealthEvent {
        HEALTH_EVENT_RELEASE, /* evidence starts anew at a release or after a settled change */
        HEALTH_EVENT_WARM,    /* warm-up or settle is over */
        HEALTH_EVENT_FIRING,  /* a rule was bad for its hold */
        HEALTH_EVENT_BREACH,  /* a rule is bad, within its hold */
        HEALTH_EVENT_BLIND,   /* unknown for unknown_after */
        HEALTH_EVENT_CLEAR,   /* no rule is bad, at least one is known */
        HEALTH_EVENT_QUIET,   /* no rule is bad and none is known, not yet for unknown_after */
        _HEALTH_EVENT_MAX,
} HealthEvent;

typedef struct HealthRow {
        uint16_t number; /* stable, with gaps; 1xx */
        Health state;
        HealthEvent event;
        Health next;
        const char *why;
} HealthRow;

extern const HealthRow health_rows[];
extern const size_t health_rows_n;

/* The row for state and event, or NULL when the pair is an explicit no-change
 * (health_ignores()). */
const HealthRow *health_row(Health state, HealthEvent event);
bool health_ignores(Health state, HealthEvent event);
const char *health_to_string(Health h);
const char *health_event_to_string(HealthEvent e);
