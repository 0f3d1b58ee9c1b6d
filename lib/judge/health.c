#include "health.h"

const HealthRow health_rows[] = {
        { 101, HEALTH_NEW, HEALTH_EVENT_RELEASE, HEALTH_WARMING,
          "a release is known; what is sampled within its warm-up is not counted" },
        { 111, HEALTH_WARMING, HEALTH_EVENT_RELEASE, HEALTH_WARMING,
          "another release became active within the warm-up; the warm-up starts again" },
        { 113, HEALTH_WARMING, HEALTH_EVENT_WARM, HEALTH_WATCHING,
          "the warm-up is over; samples count from here on" },
        { 115, HEALTH_WARMING, HEALTH_EVENT_FIRING, HEALTH_BAD,
          "all targets are down although the warm-up is not over, for as long as the rule's hold" },
        { 117, HEALTH_WARMING, HEALTH_EVENT_BREACH, HEALTH_SUSPECT,
          "all targets are down although the warm-up is not over" },
        { 121, HEALTH_WATCHING, HEALTH_EVENT_RELEASE, HEALTH_WARMING,
          "another release became active; its evidence starts after its warm-up" },
        { 123, HEALTH_WATCHING, HEALTH_EVENT_FIRING, HEALTH_BAD,
          "a rule is bad and has no hold left" },
        { 125, HEALTH_WATCHING, HEALTH_EVENT_BREACH, HEALTH_SUSPECT,
          "a rule is bad; its hold runs" },
        { 127, HEALTH_WATCHING, HEALTH_EVENT_BLIND, HEALTH_BLIND,
          "every rule that could ask for more than a notice has been unknown for too long" },
        { 131, HEALTH_SUSPECT, HEALTH_EVENT_RELEASE, HEALTH_WARMING,
          "the evidence starts anew while a rule was suspect; warm-up" },
        { 133, HEALTH_SUSPECT, HEALTH_EVENT_FIRING, HEALTH_BAD,
          "a rule was bad for as long as its hold" },
        { 135, HEALTH_SUSPECT, HEALTH_EVENT_BLIND, HEALTH_BLIND,
          "the suspect rule lost its data, and every rule that could ask for more than a notice "
          "has been unknown for too long" },
        { 137, HEALTH_SUSPECT, HEALTH_EVENT_CLEAR, HEALTH_WATCHING,
          "no rule is bad any more, before the hold was over" },
        { 139, HEALTH_SUSPECT, HEALTH_EVENT_QUIET, HEALTH_WATCHING,
          "the suspect rule became unknown; its hold stands still" },
        { 141, HEALTH_BAD, HEALTH_EVENT_RELEASE, HEALTH_WARMING,
          "the evidence starts anew while a rule was bad; warm-up" },
        { 143, HEALTH_BAD, HEALTH_EVENT_BREACH, HEALTH_SUSPECT,
          "the rule that fired is no longer bad; another is bad, within its hold" },
        { 145, HEALTH_BAD, HEALTH_EVENT_BLIND, HEALTH_BLIND,
          "the rule that fired lost its data, and every rule that could ask for more than a notice "
          "has been unknown for too long" },
        { 147, HEALTH_BAD, HEALTH_EVENT_CLEAR, HEALTH_WATCHING, "no rule is bad any more" },
        { 149, HEALTH_BAD, HEALTH_EVENT_QUIET, HEALTH_WATCHING,
          "the rule that fired became unknown; nothing is done on what is not known" },
        { 151, HEALTH_BLIND, HEALTH_EVENT_RELEASE, HEALTH_WARMING,
          "another release became active while nothing was known; warm-up" },
        { 153, HEALTH_BLIND, HEALTH_EVENT_FIRING, HEALTH_BAD,
          "data came back, and a rule is bad with no hold left" },
        { 155, HEALTH_BLIND, HEALTH_EVENT_BREACH, HEALTH_SUSPECT,
          "data came back, and a rule is bad; its hold runs" },
        { 157, HEALTH_BLIND, HEALTH_EVENT_CLEAR, HEALTH_WATCHING,
          "data came back, and no rule is bad" },
};

const size_t health_rows_n = ELEMENTSOF(health_rows);

#define EVENT_BIT(event) (1U << HEALTH_EVENT_##event)

/* Pairs that change nothing, each on purpose: before a release is known nothing is judged; warm-up
 * only listens to all targets being down; the rest say what the state already says. */
static const unsigned ignored[_HEALTH_MAX] = {
        [HEALTH_NEW] = EVENT_BIT(WARM) | EVENT_BIT(FIRING) | EVENT_BIT(BREACH) | EVENT_BIT(BLIND) |
                       EVENT_BIT(CLEAR) | EVENT_BIT(QUIET),
        [HEALTH_WARMING] = EVENT_BIT(BLIND) | EVENT_BIT(CLEAR) | EVENT_BIT(QUIET),
        [HEALTH_WATCHING] = EVENT_BIT(WARM) | EVENT_BIT(CLEAR) | EVENT_BIT(QUIET),
        [HEALTH_SUSPECT] = EVENT_BIT(WARM) | EVENT_BIT(BREACH),
        [HEALTH_BAD] = EVENT_BIT(WARM) | EVENT_BIT(FIRING),
        [HEALTH_BLIND] = EVENT_BIT(WARM) | EVENT_BIT(BLIND) | EVENT_BIT(QUIET),
};

static const char *const names[_HEALTH_MAX] = {
        [HEALTH_NEW] = "new",         [HEALTH_WARMING] = "warming", [HEALTH_WATCHING] = "watching",
        [HEALTH_SUSPECT] = "suspect", [HEALTH_BAD] = "bad",         [HEALTH_BLIND] = "blind",
};

static const char *const event_names[_HEALTH_EVENT_MAX] = {
        [HEALTH_EVENT_RELEASE] = "release", [HEALTH_EVENT_WARM] = "warm",
        [HEALTH_EVENT_FIRING] = "firing",   [HEALTH_EVENT_BREACH] = "breach",
        [HEALTH_EVENT_BLIND] = "blind",     [HEALTH_EVENT_CLEAR] = "clear",
        [HEALTH_EVENT_QUIET] = "quiet",
};

const HealthRow *health_row(Health state, HealthEvent event) {
        if (health_ignores(state, event))
                return NULL;
        for (size_t i = 0; i < ELEMENTSOF(health_rows); i++)
                if (health_rows[i].state == state && health_rows[i].event == event)
                        return &health_rows[i];
        return NULL;
}

bool health_ignores(Health state, HealthEvent event) {
        return ignored[state] & (1U << event);
}

const char *health_to_string(Health h) {
        return names[h];
}

const char *health_event_to_string(HealthEvent e) {
        return event_names[e];
}
