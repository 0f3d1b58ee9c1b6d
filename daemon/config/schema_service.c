/* schema_service.c: the keys of a policy file's top, of `release`, `rollback` and `notify`. */
#include "config.h"
#include "config_schema_rows.h"

static const char *channel_word(_unused_ unsigned i) {
        return "webhook";
}

static const char *mode_word(unsigned i) {
        return rollback_mode_to_string((RollbackMode)i);
}

static const char *strategy_word(unsigned i) {
        return strategy_to_string((Strategy)i);
}

static const ConfigWords channels = { 1, channel_word };
static const ConfigWords modes = { _MODE_MAX, mode_word };
static const ConfigWords strategies = { _STRATEGY_MAX, strategy_word };

static const ConfigKey rows[] = {
        { SECTION_SERVICE, "service", KIND_NAME, AT(ServiceConfig, service), .required = true,
          .help = "name of the service, as it is registered in the ledger" },
        { SECTION_SERVICE, "unknown_after", KIND_DURATION, AT(ServiceConfig, policy.unknown_after),
          .fallback = "1m", .minimum = "1s", .maximum = "1d",
          .help = "time without any answer from the rules after which the service is called "
                  "blind" },
        { SECTION_SERVICE, "release", KIND_SECTION, .inner = SECTION_RELEASE,
          .help = "what a new version must go through" },
        { SECTION_SERVICE, "probes", KIND_NAMED, ARRAY(ServiceConfig, probes),
          .inner = SECTION_PROBE, .minimum = "1", .maximum = "32", .required = true,
          .help = "ways to sample the service, by name" },
        { SECTION_SERVICE, "signals", KIND_NAMED, ARRAY(ServiceConfig, signals),
          .inner = SECTION_SIGNAL, .maximum = "32",
          .help = "numbers computed from samples, by name" },
        { SECTION_SERVICE, "rules", KIND_LIST, ARRAY(ServiceConfig, rules), .inner = SECTION_RULE,
          .maximum = "32", .help = "when the service is bad, and what to do then" },
        { SECTION_SERVICE, "rollback", KIND_SECTION, .inner = SECTION_ROLLBACK,
          .help = "how to go back" },
        { SECTION_SERVICE, "notify", KIND_LIST, ARRAY(ServiceConfig, notify),
          .inner = SECTION_CHANNEL, .maximum = "16",
          .help = "who is told of this service's events" },

        { SECTION_RELEASE, "warmup", KIND_DURATION, AT(ServiceConfig, policy.release.warmup),
          .fallback = "1m", .minimum = "0s", .maximum = "1d",
          .help = "time after a release in which samples do not count" },
        { SECTION_RELEASE, "watch", KIND_DURATION, AT(ServiceConfig, policy.release.watch),
          .fallback = "1d", .minimum = "1s", .maximum = "365d",
          .help = "time after a release in which it may be rolled back without a person" },
        { SECTION_RELEASE, "bake", KIND_SECTION, .inner = SECTION_BAKE,
          .help = "what makes a version stable" },
        { SECTION_BAKE, "time", KIND_DURATION, AT(ServiceConfig, policy.release.bake_time),
          .fallback = "30m", .minimum = "1s", .maximum = "365d",
          .help = "time that every rule must be good; a bad one starts it again" },
        { SECTION_BAKE, "requests", KIND_INTEGER, AT(ServiceConfig, policy.release.bake_requests),
          .fallback = "0", .minimum = "0", .maximum = "1000000000000",
          .help = "requests that must be seen meanwhile; needs a signal of kind ratio" },

        { SECTION_ROLLBACK, "mode", KIND_ENUM, AT(ServiceConfig, policy.rollback.mode),
          .words = &modes, .fallback = "observe",
          .help = "observe: only record; confirm: ask; automatic: act" },
        { SECTION_ROLLBACK, "strategy", KIND_ENUM, AT(ServiceConfig, policy.rollback.strategy),
          .words = &strategies, .fallback = "last_stable", .help = "which version to go back to" },
        { SECTION_ROLLBACK, "version", KIND_NAME, AT(ServiceConfig, policy.rollback.version),
          .help = "the version to go back to, with strategy version and only then" },
        { SECTION_ROLLBACK, "settle", KIND_DURATION, AT(ServiceConfig, policy.rollback.settle),
          .fallback = "10s", .minimum = "0s", .maximum = "1h",
          .help = "time after a rollback in which samples do not count" },
        { SECTION_ROLLBACK, "verify", KIND_DURATION, AT(ServiceConfig, policy.rollback.verify),
          .fallback = "2m", .minimum = "1s", .maximum = "1d",
          .help = "time that the restored version is judged before the rollback is called "
                  "recovered" },
        { SECTION_ROLLBACK, "cooldown", KIND_DURATION, AT(ServiceConfig, policy.rollback.cooldown),
          .fallback = "10m", .minimum = "0s", .maximum = "30d",
          .help = "time after an automatic rollback before the next one" },
        { SECTION_ROLLBACK, "budget", KIND_SECTION, .inner = SECTION_BUDGET,
          .help = "how many automatic rollbacks in which time" },
        { SECTION_ROLLBACK, "steps", KIND_LIST, ARRAY(ServiceConfig, steps), .inner = SECTION_STEP,
          .maximum = "32", .help = "what else a rollback does, in this order" },

        { SECTION_BUDGET, "count", KIND_INTEGER, AT(ServiceConfig, policy.rollback.budget_count),
          .fallback = "2", .minimum = "1", .maximum = "1000", .help = "automatic rollbacks" },
        { SECTION_BUDGET, "per", KIND_DURATION, AT(ServiceConfig, policy.rollback.budget_per),
          .fallback = "1d", .minimum = "1m", .maximum = "365d", .help = "in this time" },

        { SECTION_CHANNEL, "kind", KIND_WORD, AT(ChannelConfig, kind), .words = &channels,
          .required = true, .help = "how to tell" },
        { SECTION_CHANNEL, "url", KIND_URL, AT(ChannelConfig, url), .required = true,
          .help = "where to POST" },
        { SECTION_CHANNEL, "secret_file", KIND_SECRET, AT(ChannelConfig, secret_file),
          .help = "name of the secret that signs; unsigned unless given" },
};

const ConfigTable config_schema_service = { rows, ELEMENTSOF(rows) };
