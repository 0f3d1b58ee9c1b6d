#include "policy.h"

#include <errno.h>

static const char *const signal_kinds[_SIGNAL_KIND_MAX] = {
        [SIGNAL_AVAILABILITY] = "availability",
        [SIGNAL_RATIO] = "ratio",
        [SIGNAL_RATE] = "rate",
};

static const char *const rule_kinds[_RULE_KIND_MAX] = {
        [RULE_DOWN] = "down",
        [RULE_THRESHOLD] = "threshold",
};

static const char *const responses[_RESPONSE_MAX] = {
        [RESPONSE_NOTIFY] = "notify",
        [RESPONSE_ROLLBACK] = "rollback",
};

static const char *const rollback_modes[_MODE_MAX] = {
        [MODE_OBSERVE] = "observe",
        [MODE_CONFIRM] = "confirm",
        [MODE_AUTOMATIC] = "automatic",
};

static const char *const strategies[_STRATEGY_MAX] = {
        [STRATEGY_LAST_STABLE] = "last_stable",
        [STRATEGY_PREVIOUS] = "previous",
        [STRATEGY_VERSION] = "version",
};

static int find_name(const char *const names[], size_t n, const char *s) {
        for (size_t i = 0; i < n; i++)
                if (streq(names[i], s))
                        return (int)i;
        return -EINVAL;
}

const char *signal_kind_to_string(SignalKind k) {
        return signal_kinds[k];
}

int signal_kind_from_string(const char *s) {
        return find_name(signal_kinds, ELEMENTSOF(signal_kinds), s);
}

const char *rule_kind_to_string(RuleKind k) {
        return rule_kinds[k];
}

int rule_kind_from_string(const char *s) {
        return find_name(rule_kinds, ELEMENTSOF(rule_kinds), s);
}

const char *response_to_string(Response r) {
        return responses[r];
}

int response_from_string(const char *s) {
        return find_name(responses, ELEMENTSOF(responses), s);
}

const char *rollback_mode_to_string(RollbackMode m) {
        return rollback_modes[m];
}

int rollback_mode_from_string(const char *s) {
        return find_name(rollback_modes, ELEMENTSOF(rollback_modes), s);
}

const char *strategy_to_string(Strategy s) {
        return strategies[s];
}

int strategy_from_string(const char *s) {
        return find_name(strategies, ELEMENTSOF(strategies), s);
}
