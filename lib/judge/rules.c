#include "rules.h"

#include <math.h>

#include "statistics.h"

/* Shares that are equal on paper (1/3 and "33.3333333333%") must not differ by rounding. */
#define SHARE_SLACK 1e-9

static const struct {
        const char *code, *words;
} whys[_VERDICT_WHY_MAX] = {
        [WHY_NONE] = { "none", "not judged yet" },
        [WHY_NO_DATA] = { "no_data", "nothing has been sampled since the evidence began" },
        [WHY_FEW_SAMPLES] = { "few_samples", "too few samples to say" },
        [WHY_FEW_BAD] = { "few_bad", "above the limit, but too few bad ones to act upon" },
        [WHY_BETWEEN] = { "between",
                          "between the leave limit and certainty about the enter limit" },
        [WHY_UNCOVERED] = { "uncovered", "less than half of the window is covered" },
        [WHY_TARGETS_UNKNOWN] = { "targets_unknown", "too many targets are unknown to say" },
        [WHY_NO_TARGETS] = { "no_targets", "all targets still answer another version" },
        [WHY_STALE] = { "stale", "what was known is too old to act upon" },
        [WHY_WARMING] = { "warming", "samples of the warm-up do not count" },
        [WHY_ABOVE] = { "above", "above the enter limit with certainty" },
        [WHY_NOT_BELOW] = { "not_below", "was bad, and is not yet below the leave limit" },
        [WHY_BELOW] = { "below", "below the leave limit" },
        [WHY_DOWN] = { "down", "the share of targets that are down reaches the limit" },
        [WHY_UP] = { "up", "the share of targets that could be down is below the limit" },
};

/* The smallest whole number of bad ones fewer for which k < bound (strictly). */
static double fewer_to_fall_below(double k, double bound) {
        double fewer = floor(k - bound + SHARE_SLACK) + 1;
        return fewer > 0 ? fewer : 0;
}

static Verdict verdict_unknown(VerdictWhy why, double k, double n, double limit) {
        return (Verdict){ .tri = TRI_UNKNOWN,
                          .why = why,
                          .k = k,
                          .n = n,
                          .value = n > 0 ? k / n : 0,
                          .limit = limit };
}

static double lower_bound(const RulePolicy *r, SignalKind kind, double k, double n) {
        double phi = r->dispersion;
        if (kind == SIGNAL_RATE)
                return poisson_rate_lower(k / phi, n / phi, WILSON_Z);
        return wilson_lower(k / phi, n / phi, WILSON_Z);
}

/* How many bad ones fewer a fresh judgement would have let pass. */
static double fewer_to_pass(const RulePolicy *r, SignalKind kind, double k, double n) {
        double phi = r->dispersion, by_count = fewer_to_fall_below(k, r->min_bad * phi);
        double by_bound;
        if (kind == SIGNAL_RATE) {
                /* The score inversion of the Poisson bound: above the limit when x > m + z sqrt(m).
                 */
                double m = r->enter * n / phi;
                double most = phi * (m + WILSON_Z * sqrt(m));
                by_bound = ceil(k - most - SHARE_SLACK * (1 + k));
        } else
                by_bound = wilson_fewer(k, n, phi, WILSON_Z, r->enter);
        double fewer = by_count < by_bound ? by_count : by_bound;
        return fewer > 1 ? fewer : 1;
}

static Verdict judge_certainty(const RulePolicy *r, SignalKind kind, double k, double n,
                               bool was_bad) {
        double value = k / n, lower = lower_bound(r, kind, k, n);
        bool above = lower > r->enter, enough = k / r->dispersion >= r->min_bad;
        Verdict v = { .k = k, .n = n, .value = value, .lower = lower, .limit = r->enter };

        if (above && enough) {
                v.tri = TRI_BAD;
                v.why = WHY_ABOVE;
                v.fewer = was_bad ? fewer_to_fall_below(k, r->leave * n) :
                                    fewer_to_pass(r, kind, k, n);
        } else if (value < r->leave) {
                v.tri = TRI_GOOD;
                v.why = WHY_BELOW;
                v.limit = r->leave;
        } else if (was_bad) {
                v.tri = TRI_BAD;
                v.why = WHY_NOT_BELOW;
                v.limit = r->leave;
                v.fewer = fewer_to_fall_below(k, r->leave * n);
        } else
                v.why = above ? WHY_FEW_BAD : WHY_BETWEEN;
        return v;
}

Verdict rule_judge_threshold(const RulePolicy *r, SignalKind kind, WindowSums sums, bool was_bad) {
        double k = sums.bad, n = sums.total;

        if (kind == SIGNAL_RATE) {
                n = (double)sums.covered / (double)USEC_PER_SEC;
                if (!(n > 0) || !(k >= 0))
                        return verdict_unknown(WHY_NO_DATA, 0, 0, r->enter);
                if (sums.covered < r->over / 2)
                        return verdict_unknown(WHY_UNCOVERED, k, n, r->enter);
                return judge_certainty(r, kind, k, n, was_bad);
        }
        if (!(n > 0) || !(k >= 0))
                return verdict_unknown(WHY_NO_DATA, 0, 0, r->enter);
        if (!(n / r->dispersion >= r->min_samples))
                return verdict_unknown(WHY_FEW_SAMPLES, k, n, r->enter);
        return judge_certainty(r, kind, k, n, was_bad);
}

Verdict rule_judge_down(const RulePolicy *r, TargetCounts counts) {
        double all = counts.all, down = counts.down;
        double bound = r->at_least * all - SHARE_SLACK;

        if (counts.all == 0)
                return verdict_unknown(counts.stragglers ? WHY_NO_TARGETS : WHY_NO_DATA, 0, 0,
                                       r->at_least);
        Verdict v = { .why = WHY_TARGETS_UNKNOWN,
                      .k = down,
                      .n = all,
                      .value = down / all,
                      .lower = down / all,
                      .limit = r->at_least };
        if (counts.down > 0 && down >= bound) {
                v.tri = TRI_BAD;
                v.why = WHY_DOWN;
                v.fewer = fewer_to_fall_below(down, bound);
        } else if (down + counts.unknown < bound) {
                v.tri = TRI_GOOD;
                v.why = WHY_UP;
        }
        return v;
}

const char *verdict_why_words(VerdictWhy w) {
        return whys[w].words;
}

const char *verdict_why_code(VerdictWhy w) {
        return whys[w].code;
}

/* "84 of 1,012": a count with thousands set apart; counts are whole but for what a target reports
 * as a fraction. */
static void add_count(StrBuf *b, double value) {
        if (!(value < 1e15)) {
                strbuf_add_double(b, value, 0);
                return;
        }
        uint64_t whole = value > 0 ? (uint64_t)(value + 0.5) : 0, scale = 1;
        while (whole / scale >= 1000)
                scale *= 1000;
        strbuf_add_u64(b, whole / scale);
        for (scale /= 1000; scale > 0; scale /= 1000) {
                uint64_t group = whole / scale % 1000;
                strbuf_add_char(b, ',');
                strbuf_add_char(b, (char)('0' + group / 100));
                strbuf_add_char(b, (char)('0' + group / 10 % 10));
                strbuf_add_char(b, (char)('0' + group % 10));
        }
}

static void add_value(StrBuf *b, SignalKind kind, double value) {
        if (kind == SIGNAL_RATE) {
                strbuf_add_double(b, value, 2);
                strbuf_add(b, "/s");
        } else
                strbuf_add_percent(b, value);
}

static void describe_down(const RulePolicy *r, const Verdict *v, StrBuf *b) {
        add_count(b, v->k);
        strbuf_add(b, " of ");
        add_count(b, v->n);
        strbuf_add(b, v->n == 1 ? " target down, " : " targets down, ");
        strbuf_add(b, v->tri == TRI_BAD ? "at least " : "bad from ");
        strbuf_add_percent(b, r->at_least);
}

void verdict_describe(const RulePolicy *r, SignalKind kind, const Verdict *v, StrBuf *b) {
        if (v->tri == TRI_UNKNOWN) {
                strbuf_add(b, "unknown: ");
                strbuf_add(b, verdict_why_words(v->why));
                if (!(v->n > 0))
                        return;
                strbuf_add(b, ": ");
        }
        if (r->kind == RULE_DOWN) {
                describe_down(r, v, b);
                return;
        }
        add_value(b, kind, v->value);
        if (v->tri != TRI_UNKNOWN) {
                strbuf_add(b, v->value > v->limit ? " > " : v->value < v->limit ? " < " : " = ");
                add_value(b, kind, v->limit);
        }
        strbuf_add(b, " (");
        add_count(b, v->k);
        strbuf_add(b, kind == SIGNAL_RATE ? " in " : " of ");
        add_count(b, v->n);
        strbuf_add(b, kind == SIGNAL_RATE ? " s, dispersion " : ", dispersion ");
        strbuf_add_double(b, r->dispersion, r->dispersion == floor(r->dispersion) ? 0 : 1);
        strbuf_add_char(b, ')');
}
