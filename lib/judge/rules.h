/* rules.h: from windows and target counts to one rule's answer, good, bad or unknown, with the
 * numbers that it came from. One row of a table per rule kind. Knows nothing of time sources,
 * holds, guards or responses. */
#pragma once

#include "policy.h"
#include "window.h"

/* Counts of one probe's targets after rise and fall; stragglers are counted apart and are in
 * none of the others. */
typedef struct TargetCounts {
        uint16_t all, up, down, unknown, stragglers;
} TargetCounts;

/* Why a verdict is unknown, or what made it: code, and the sentence that explain, audit and page
 * show. */
typedef enum VerdictWhy {
        WHY_NONE,
        WHY_NO_DATA,         /* nothing has been sampled since the evidence began */
        WHY_FEW_SAMPLES,     /* n / dispersion below min_samples */
        WHY_FEW_BAD,         /* above the limit, but k / dispersion below min_bad */
        WHY_BETWEEN,         /* between the leave limit and certainty about the enter limit */
        WHY_UNCOVERED,       /* a rate with less than half of its window covered */
        WHY_TARGETS_UNKNOWN, /* too many targets unknown to say */
        WHY_NO_TARGETS,      /* all targets are stragglers */
        WHY_STALE,           /* what was known is too old to act upon */
        WHY_WARMING,         /* within warm-up or settle, which convict nobody */
        WHY_ABOVE,           /* bad: above the enter limit with certainty */
        WHY_NOT_BELOW,       /* still bad: not yet below the leave limit */
        WHY_BELOW,           /* good: below the leave limit */
        WHY_DOWN,            /* bad: share of targets down */
        WHY_UP,              /* good: too few targets could be down */
        _VERDICT_WHY_MAX,
} VerdictWhy;

typedef struct Verdict {
        Tri tri;
        VerdictWhy why;
        double k, n;  /* raw: bad and all (requests, samples, targets, or events and seconds) */
        double value; /* k / n */
        double lower; /* lower bound after dispersion */
        double limit; /* enter, leave or at_least: the one that decided */
        double fewer; /* bad ones fewer for which it would not be bad; 0 when it is not bad */
} Verdict;

/* With k bad of n and dispersion phi: unknown if n/phi < min_samples; bad if k/phi >= min_bad
 * and the Wilson lower bound of (k/phi, n/phi) > enter, and then until k/n < leave; good if k/n
 * < leave; else unknown. `was_bad`: the rule's last answer other than unknown was bad (then it
 * stays bad until below `leave`). */
Verdict rule_judge_threshold(const RulePolicy *r, SignalKind kind, WindowSums sums, bool was_bad);
Verdict rule_judge_down(const RulePolicy *r, TargetCounts counts);
/* The sentence of `why`, with no numbers in it. */
const char *verdict_why_words(VerdictWhy w);
const char *verdict_why_code(VerdictWhy w);
/* Appends the rule's reading for people: "7.2% > 5% (84 of 1,012, dispersion 5)", "2 of 2
 * targets down, at least 100%". */
void verdict_describe(const RulePolicy *r, SignalKind kind, const Verdict *v, StrBuf *b);
