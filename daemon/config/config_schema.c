#include "config.h"
#include "config_schema.h"

#define BIT(kind) (1U << (kind))
#define AT(type, member) .offset = offsetof(type, member), .size = sizeof(((type *)0)->member)
#define ARRAY(type, member)                                                                        \
        AT(type, member), .offset_n = offsetof(type, n_##member),                                  \
                          .element = sizeof(*((type *)0)->member)

/* Words of our own are listed here, those of the judge are asked from it. */
static const char *probe_kind_word(unsigned i) {
        static const char *const words[_PROBE_KIND_MAX] = {
                [PROBE_HTTP] = "http",
                [PROBE_TCP] = "tcp",
                [PROBE_METRICS] = "metrics",
        };
        return words[i];
}

static const char *step_kind_word(unsigned i) {
        static const char *const words[_STEP_KIND_MAX] = {
                [STEP_SQL] = "sql",
                [STEP_CACHE] = "cache",
                [STEP_SESSION] = "session",
        };
        return words[i];
}

static const char *on_error_word(unsigned i) {
        static const char *const words[] = { "continue", "abort" };
        return words[i];
}

static const char *store_word(_unused_ unsigned i) {
        return "postgres";
}

static const char *channel_word(_unused_ unsigned i) {
        return "webhook";
}

static const char *signal_kind_word(unsigned i) {
        return signal_kind_to_string((SignalKind)i);
}

static const char *rule_kind_word(unsigned i) {
        return rule_kind_to_string((RuleKind)i);
}

static const char *response_word(unsigned i) {
        return response_to_string((Response)i);
}

static const char *mode_word(unsigned i) {
        return rollback_mode_to_string((RollbackMode)i);
}

static const char *strategy_word(unsigned i) {
        return strategy_to_string((Strategy)i);
}

static const ConfigWords probe_kinds = { _PROBE_KIND_MAX, probe_kind_word };
static const ConfigWords step_kinds = { _STEP_KIND_MAX, step_kind_word };
static const ConfigWords on_errors = { 2, on_error_word };
static const ConfigWords stores = { 1, store_word };
static const ConfigWords channels = { 1, channel_word };
static const ConfigWords signal_kinds = { _SIGNAL_KIND_MAX, signal_kind_word };
static const ConfigWords rule_kinds = { _RULE_KIND_MAX, rule_kind_word };
static const ConfigWords responses = { _RESPONSE_MAX, response_word };
static const ConfigWords modes = { _MODE_MAX, mode_word };
static const ConfigWords strategies = { _STRATEGY_MAX, strategy_word };

const ConfigKey config_schema[] = {
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

        { SECTION_PROBE, "kind", KIND_ENUM, AT(ProbeConfig, kind), .words = &probe_kinds,
          .required = true, .help = "how to probe" },
        { SECTION_PROBE, "targets", KIND_TARGETS, ARRAY(ProbeConfig, targets), .minimum = "1",
          .maximum = "256", .required = true, .help = "what to probe: URLs, or host:port for tcp" },
        { SECTION_PROBE, "interval", KIND_DURATION, AT(ProbeConfig, interval), .fallback = "5s",
          .minimum = "50ms", .maximum = "1h", .help = "from the start of one probe to the next" },
        { SECTION_PROBE, "fast_interval", KIND_DURATION, AT(ProbeConfig, fast_interval),
          .minimum = "50ms", .maximum = "1h",
          .help = "the interval of a target that began to deviate; none unless given" },
        { SECTION_PROBE, "timeout", KIND_DURATION, AT(ProbeConfig, timeout), .minimum = "1ms",
          .maximum = "1m",
          .help = "for one probe as a whole; unless given 2s, or the interval if that is shorter" },
        { SECTION_PROBE, "rise", KIND_INTEGER, AT(ProbeConfig, rise), .fallback = "2",
          .minimum = "1", .maximum = "100",
          .help = "good samples in a row that turn a target good" },
        { SECTION_PROBE, "fall", KIND_INTEGER, AT(ProbeConfig, fall), .fallback = "3",
          .minimum = "1", .maximum = "100", .help = "bad samples in a row that turn a target bad" },
        { SECTION_PROBE, "dependency", KIND_BOOL, AT(ProbeConfig, dependency), .fallback = "false",
          .help = "true: not the service but what it leans on; while it is bad nothing is rolled "
                  "back" },
        { SECTION_PROBE, "expect", KIND_SECTION, .inner = SECTION_EXPECT, .kinds = BIT(PROBE_HTTP),
          .help = "what a good answer looks like" },
        { SECTION_PROBE, "version_header", KIND_HEADER, AT(ProbeConfig, version_header),
          .kinds = BIT(PROBE_HTTP), .help = "answer's header that names the version" },
        { SECTION_PROBE, "version_label", KIND_LABEL, AT(ProbeConfig, version_label),
          .kinds = BIT(PROBE_METRICS), .help = "metric.label that names the version" },
        { SECTION_PROBE, "max_body", KIND_BYTES, AT(ProbeConfig, max_body),
          .kinds = BIT(PROBE_HTTP), .fallback = "1MiB", .minimum = "1KiB", .maximum = "64MiB",
          .help = "largest body that is read" },
        { SECTION_PROBE, "max_body", KIND_BYTES, AT(ProbeConfig, max_body),
          .kinds = BIT(PROBE_METRICS), .fallback = "16MiB", .minimum = "1KiB", .maximum = "64MiB",
          .help = "largest page that is read" },
        { SECTION_EXPECT, "status", KIND_STATUSES, ARRAY(ProbeConfig, status),
          .fallback = "200-299", .minimum = "1", .maximum = "16", .kinds = BIT(PROBE_HTTP),
          .help = "good status codes and ranges of them" },
        { SECTION_EXPECT, "body", KIND_TEXT, AT(ProbeConfig, body), .minimum = "1",
          .maximum = "1024", .kinds = BIT(PROBE_HTTP),
          .help = "text that the body must contain; any unless given" },

        { SECTION_SIGNAL, "kind", KIND_ENUM, AT(SignalConfig, kind), .words = &signal_kinds,
          .required = true, .help = "how to compute it" },
        { SECTION_SIGNAL, "probe", KIND_NAME, AT(SignalConfig, probe), .required = true,
          .help = "the probe whose samples it reads" },
        { SECTION_SIGNAL, "bad", KIND_SELECTOR, AT(SignalConfig, bad), .required = true,
          .kinds = BIT(SIGNAL_RATIO) | BIT(SIGNAL_RATE),
          .help = "selector of the counters of bad events" },
        { SECTION_SIGNAL, "total", KIND_SELECTOR, AT(SignalConfig, total), .required = true,
          .kinds = BIT(SIGNAL_RATIO), .help = "selector of the counters of all events" },

        { SECTION_RULE, "name", KIND_NAME, AT(RuleConfig, name), .required = true,
          .help = "name of the rule in messages" },
        { SECTION_RULE, "kind", KIND_ENUM, AT(RuleConfig, kind), .words = &rule_kinds,
          .required = true, .help = "how to judge" },
        { SECTION_RULE, "response", KIND_ENUM, AT(RuleConfig, response), .words = &responses,
          .fallback = "notify", .help = "what to do when it has been bad for `hold`" },
        { SECTION_RULE, "hold", KIND_DURATION, AT(RuleConfig, hold), .fallback = "30s",
          .minimum = "0s", .maximum = "1d",
          .help = "time that it must be bad before the response" },
        { SECTION_RULE, "probe", KIND_NAME, AT(RuleConfig, probe), .required = true,
          .kinds = BIT(RULE_DOWN), .help = "the probe whose targets count" },
        { SECTION_RULE, "at_least", KIND_PERCENT, AT(RuleConfig, at_least), .fallback = "100%",
          .minimum = "1%", .kinds = BIT(RULE_DOWN), .help = "share of targets down that is bad" },
        { SECTION_RULE, "signal", KIND_NAME, AT(RuleConfig, signal), .required = true,
          .kinds = BIT(RULE_THRESHOLD), .help = "the signal that it reads" },
        { SECTION_RULE, "over", KIND_DURATION, AT(RuleConfig, over), .fallback = "1m",
          .minimum = "1s", .maximum = "7d", .kinds = BIT(RULE_THRESHOLD), .help = "the window" },
        { SECTION_RULE, "enter", KIND_LIMIT, AT(RuleConfig, enter), .required = true,
          .kinds = BIT(RULE_THRESHOLD),
          .help = "bad when certainly above: a share, or events per second for a rate" },
        { SECTION_RULE, "leave", KIND_LIMIT, AT(RuleConfig, leave), .required = true,
          .kinds = BIT(RULE_THRESHOLD), .help = "good again when below; at most `enter`" },
        { SECTION_RULE, "dispersion", KIND_NUMBER, AT(RuleConfig, dispersion), .fallback = "5",
          .minimum = "1", .maximum = "1000", .kinds = BIT(RULE_THRESHOLD),
          .help = "how much more errors vary than independent ones would: they come in clusters" },
        { SECTION_RULE, "min_samples", KIND_NUMBER, AT(RuleConfig, min_samples), .minimum = "1",
          .maximum = "1000000000", .kinds = BIT(RULE_THRESHOLD),
          .help = "fewer samples, divided by the dispersion, are no evidence; 100 unless given; "
                  "not for a rate" },
        { SECTION_RULE, "min_bad", KIND_NUMBER, AT(RuleConfig, min_bad), .fallback = "10",
          .minimum = "0", .maximum = "1000000000", .kinds = BIT(RULE_THRESHOLD),
          .help = "fewer bad ones, divided by the dispersion, are no evidence" },

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

        { SECTION_STEP, "kind", KIND_ENUM, AT(StepConfig, kind), .words = &step_kinds,
          .required = true, .help = "what to do" },
        { SECTION_STEP, "atomic", KIND_BOOL, AT(StepConfig, atomic), .fallback = "false",
          .kinds = BIT(STEP_SQL), .help = "true: in the transaction that moves the pointer" },
        { SECTION_STEP, "on_error", KIND_ENUM, AT(StepConfig, abort_on_error), .words = &on_errors,
          .fallback = "continue", .kinds = BIT(STEP_SQL),
          .help = "abort: without this step the pointer does not move; only with atomic" },
        { SECTION_STEP, "role", KIND_IDENTIFIER, AT(StepConfig, role),
          .help = "the PostgreSQL role that it runs as" },
        { SECTION_STEP, "statement", KIND_TEXT, AT(StepConfig, statement), .required = true,
          .minimum = "1", .maximum = "65536", .kinds = BIT(STEP_SQL), .help = "one SQL statement" },
        { SECTION_STEP, "store", KIND_WORD, AT(StepConfig, store), .words = &stores,
          .kinds = BIT(STEP_CACHE) | BIT(STEP_SESSION), .help = "where the rows are" },
        { SECTION_STEP, "table", KIND_TABLE, AT(StepConfig, table),
          .kinds = BIT(STEP_CACHE) | BIT(STEP_SESSION), .help = "table to delete from" },
        { SECTION_STEP, "key", KIND_IDENTIFIER, AT(StepConfig, key), .kinds = BIT(STEP_CACHE),
          .help = "column of the cache key" },
        { SECTION_STEP, "prefix", KIND_TEXT, AT(StepConfig, prefix), .minimum = "1",
          .maximum = "512", .kinds = BIT(STEP_CACHE),
          .help = "keys that start with this are deleted" },
        { SECTION_STEP, "delimiter", KIND_TEXT, AT(StepConfig, delimiter), .fallback = ":",
          .minimum = "0", .maximum = "1", .kinds = BIT(STEP_CACHE),
          .help = "character at which the prefix ends, so that user does not match users; empty: "
                  "none" },
        { SECTION_STEP, "where", KIND_TEXT, AT(StepConfig, where), .minimum = "1",
          .maximum = "65536", .kinds = BIT(STEP_SESSION),
          .help = "SQL condition of the sessions to delete" },
        { SECTION_STEP, "generation", KIND_NAME, AT(StepConfig, generation),
          .kinds = BIT(STEP_CACHE) | BIT(STEP_SESSION),
          .help = "count this generation up instead of deleting" },
        { SECTION_STEP, "batch", KIND_INTEGER, AT(StepConfig, batch), .fallback = "1000",
          .minimum = "1", .maximum = "5000", .kinds = BIT(STEP_CACHE) | BIT(STEP_SESSION),
          .help = "rows per commit" },
        { SECTION_STEP, "timeout", KIND_DURATION, AT(StepConfig, timeout), .fallback = "5s",
          .minimum = "10ms", .maximum = "10m",
          .help = "of one statement; an atomic one has always 5s" },

        { SECTION_CHANNEL, "kind", KIND_WORD, AT(ChannelConfig, kind), .words = &channels,
          .required = true, .help = "how to tell" },
        { SECTION_CHANNEL, "url", KIND_URL, AT(ChannelConfig, url), .required = true,
          .help = "where to POST" },
        { SECTION_CHANNEL, "secret_file", KIND_SECRET, AT(ChannelConfig, secret_file),
          .help = "name of the secret that signs; unsigned unless given" },

        { SECTION_DAEMON, "ledger", KIND_SECTION, .inner = SECTION_LEDGER, .help = "the database" },
        { SECTION_DAEMON, "http", KIND_SECTION, .inner = SECTION_HTTP, .help = "where to listen" },
        { SECTION_DAEMON, "alerts", KIND_LIST, ARRAY(DaemonConfig, alerts),
          .inner = SECTION_CHANNEL, .maximum = "1",
          .help = "who is told when rollbackd itself needs a person" },
        { SECTION_DAEMON, "policies", KIND_PATH, AT(DaemonConfig, policies),
          .fallback = "/etc/rollbackd/policies.d", .help = "directory of the policy files" },
        { SECTION_DAEMON, "secrets", KIND_PATH, AT(DaemonConfig, secrets),
          .fallback = "/etc/rollbackd/secrets", .help = "directory of the secrets" },
        { SECTION_DAEMON, "retention", KIND_DURATION, AT(DaemonConfig, retention),
          .fallback = "400d", .minimum = "30d", .maximum = "3650d",
          .help = "age at which events, deliveries and closed operations go from the ledger" },
        { SECTION_LEDGER, "conninfo", KIND_CONNINFO, AT(DaemonConfig, conninfo),
          .help = "how to connect, as libpq takes it; without it nothing is recorded and nothing "
                  "done" },
        { SECTION_LEDGER, "password_file", KIND_SECRET, AT(DaemonConfig, password_file),
          .help = "name of the secret that is the password" },
        { SECTION_HTTP, "socket", KIND_SOCKET, AT(DaemonConfig, socket),
          .fallback = "/run/rollbackd/rollbackd.sock",
          .help = "unix socket, reads and writes; empty: none" },
        { SECTION_HTTP, "listen", KIND_LISTEN, AT(DaemonConfig, listen),
          .fallback = "127.0.0.1:7331", .help = "loopback address, reads only; empty: none" },
};

const size_t config_schema_size = ELEMENTSOF(config_schema);

const ConfigKey *config_schema_find(ConfigSection section, const char *key, unsigned kind) {
        for (size_t i = 0; i < config_schema_size; i++) {
                const ConfigKey *k = &config_schema[i];

                if (k->section == section && streq(k->key, key) &&
                    (kind == 0 || k->kinds == 0 || (k->kinds & kind)))
                        return k;
        }
        return NULL;
}

const char *config_section_path(ConfigSection section) {
        static const char *const paths[_SECTION_MAX] = {
                [SECTION_SERVICE] = "",
                [SECTION_RELEASE] = "release",
                [SECTION_BAKE] = "release.bake",
                [SECTION_PROBE] = "probes.*",
                [SECTION_EXPECT] = "probes.*.expect",
                [SECTION_SIGNAL] = "signals.*",
                [SECTION_RULE] = "rules[]",
                [SECTION_ROLLBACK] = "rollback",
                [SECTION_BUDGET] = "rollback.budget",
                [SECTION_STEP] = "rollback.steps[]",
                [SECTION_CHANNEL] = "notify[], alerts[]",
                [SECTION_DAEMON] = "",
                [SECTION_LEDGER] = "ledger",
                [SECTION_HTTP] = "http",
        };
        return paths[section];
}

const ConfigWords *config_section_kinds(ConfigSection section) {
        const ConfigKey *k = config_schema_find(section, "kind", 0);

        return k && k->kind == KIND_ENUM ? k->words : NULL;
}

size_t config_section_line(ConfigSection section) {
        switch (section) {
        case SECTION_PROBE:
                return offsetof(ProbeConfig, line);
        case SECTION_SIGNAL:
                return offsetof(SignalConfig, line);
        case SECTION_RULE:
                return offsetof(RuleConfig, line);
        case SECTION_STEP:
                return offsetof(StepConfig, line);
        case SECTION_CHANNEL:
                return offsetof(ChannelConfig, line);
        case SECTION_SERVICE:
        case SECTION_RELEASE:
        case SECTION_BAKE:
        case SECTION_EXPECT:
        case SECTION_ROLLBACK:
        case SECTION_BUDGET:
        case SECTION_DAEMON:
        case SECTION_LEDGER:
        case SECTION_HTTP:
        case _SECTION_MAX:
                break;
        }
        return SIZE_MAX;
}
