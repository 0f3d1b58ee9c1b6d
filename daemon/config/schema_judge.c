/* schema_judge.c: the keys of `signals` and `rules`. */
#include "config.h"
#include "config_schema_rows.h"

static const char *signal_kind_word(unsigned i) {
        return signal_kind_to_string((SignalKind)i);
}

static const char *rule_kind_word(unsigned i) {
        return rule_kind_to_string((RuleKind)i);
}

static const char *response_word(unsigned i) {
        return response_to_string((Response)i);
}

static const ConfigWords signal_kinds = { _SIGNAL_KIND_MAX, signal_kind_word };
static const ConfigWords rule_kinds = { _RULE_KIND_MAX, rule_kind_word };
static const ConfigWords responses = { _RESPONSE_MAX, response_word };

static const ConfigKey rows[] = {
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
};

const ConfigTable config_schema_judge = { rows, ELEMENTSOF(rows) };
