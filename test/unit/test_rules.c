/* Verdicts: the table of test/cases/threshold.case, the rule down by counting, and every sentence.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "rules.h"

static const char *sentence(const RulePolicy *r, SignalKind kind, const Verdict *v) {
        static char text[160];
        StrBuf b;
        strbuf_init(&b, text, sizeof text);
        verdict_describe(r, kind, v, &b);
        assert_false(b.overflow);
        return text;
}

static void check_case(const char *line) {
        char verdict[16], why[16], kind[16];
        double lower, fewer, bad, total, seconds;
        int was_bad;
        RulePolicy r = { .kind = RULE_THRESHOLD };

        if (sscanf(line, "%15s %15s %lf %lf | %15s %lf %lf %d %lf %lf %lf %lf %lf %lf", verdict,
                   why, &lower, &fewer, kind, &bad, &total, &was_bad, &r.enter, &r.leave,
                   &r.dispersion, &r.min_samples, &r.min_bad, &seconds) != 14)
                fail_msg("not a case: %s", line);
        r.over = (usec_t)(seconds * 1e6);
        SignalKind k = (SignalKind)signal_kind_from_string(kind);
        WindowSums sums = { .bad = bad, .total = total, .covered = r.over };
        if (k == SIGNAL_RATE)
                sums.covered = (usec_t)(total * 1e6);
        Verdict v = rule_judge_threshold(&r, k, sums, was_bad);
        if (!streq(tri_to_string(v.tri), verdict) || !streq(verdict_why_code(v.why), why) ||
            v.fewer != fewer || !(fabs(v.lower - lower) < 1e-8))
                fail_msg("%sgot %s %s %.9f %g", line, tri_to_string(v.tri), verdict_why_code(v.why),
                         v.lower, v.fewer);
        assert_true(*sentence(&r, k, &v) != '\0');
}

static void threshold_cases(void **state) {
        (void)state;
        char line[256];
        unsigned n = 0;
        FILE *f = fopen("test/cases/threshold.case", "re");
        assert_non_null(f);
        while (fgets(line, sizeof line, f))
                if (line[0] != '#') {
                        check_case(line);
                        n++;
                }
        fclose(f);
        assert_true(n >= 30);
}

static void not_a_number_is_unknown(void **state) {
        (void)state;
        const RulePolicy r = {
                .kind = RULE_THRESHOLD, .enter = 0.05, .leave = 0.02, .dispersion = 1
        };
        assert_int_equal(
                rule_judge_threshold(&r, SIGNAL_RATIO, (WindowSums){ NAN, 1000, 0 }, true).tri,
                TRI_UNKNOWN);
        assert_int_equal(
                rule_judge_threshold(&r, SIGNAL_RATIO, (WindowSums){ 1000, NAN, 0 }, true).tri,
                TRI_UNKNOWN);
        assert_int_equal(
                rule_judge_threshold(&r, SIGNAL_RATE, (WindowSums){ NAN, 0, USEC_PER_MINUTE }, true)
                        .tri,
                TRI_UNKNOWN);
}

/* All combinations of up to 7 targets against the definition, in whole numbers. */
static void down_by_counting(void **state) {
        (void)state;
        for (uint16_t percent = 1; percent <= 100; percent++)
                for (uint16_t all = 1; all <= 7; all++)
                        for (uint16_t down = 0; down <= all; down++)
                                for (uint16_t unknown = 0; unknown <= all - down; unknown++) {
                                        const RulePolicy r = { .kind = RULE_DOWN,
                                                               .at_least = percent / 100.0 };
                                        Verdict v = rule_judge_down(
                                                &r, (TargetCounts){ .all = all,
                                                                    .down = down,
                                                                    .unknown = unknown,
                                                                    .up = (uint16_t)(all - down -
                                                                                     unknown) });
                                        Tri wanted = down > 0 && down * 100 >= percent * all ?
                                                             TRI_BAD :
                                                     (down + unknown) * 100 < percent * all ?
                                                             TRI_GOOD :
                                                             TRI_UNKNOWN;
                                        assert_int_equal(v.tri, wanted);
                                        if (v.tri == TRI_BAD) {
                                                assert_true((down - v.fewer) * 100 < percent * all);
                                                assert_true((down - v.fewer + 1) * 100 >=
                                                            percent * all);
                                        }
                                }
}

static void stragglers_convict_nobody(void **state) {
        (void)state;
        const RulePolicy r = { .kind = RULE_DOWN, .at_least = 1 };
        Verdict v = rule_judge_down(&r, (TargetCounts){ .stragglers = 3 });
        assert_int_equal(v.tri, TRI_UNKNOWN);
        assert_int_equal(v.why, WHY_NO_TARGETS);
        assert_int_equal(rule_judge_down(&r, (TargetCounts){ 0 }).why, WHY_NO_DATA);
}

static void sentences(void **state) {
        (void)state;
        RulePolicy r = { .kind = RULE_THRESHOLD,
                         .enter = 0.05,
                         .leave = 0.02,
                         .dispersion = 5,
                         .min_samples = 100,
                         .min_bad = 10 };
        Verdict v = rule_judge_threshold(&r, SIGNAL_RATIO, (WindowSums){ 200, 1012, 0 }, false);
        assert_string_equal(sentence(&r, SIGNAL_RATIO, &v),
                            "20% > 5.0% (200 of 1,012, dispersion 5)");
        v = rule_judge_threshold(&r, SIGNAL_RATIO, (WindowSums){ 12, 1234567, 0 }, false);
        assert_non_null(strstr(sentence(&r, SIGNAL_RATIO, &v), "(12 of 1,234,567, dispersion 5)"));
        v = rule_judge_threshold(&r, SIGNAL_RATIO, (WindowSums){ 0, 0, 0 }, false);
        assert_string_equal(sentence(&r, SIGNAL_RATIO, &v),
                            "unknown: nothing has been sampled since the evidence began");
        r.enter = 0.5;
        r.leave = 0.1;
        r.over = USEC_PER_MINUTE;
        r.dispersion = 1.5;
        v = rule_judge_threshold(&r, SIGNAL_RATE, (WindowSums){ 300, 0, USEC_PER_MINUTE }, false);
        assert_string_equal(sentence(&r, SIGNAL_RATE, &v),
                            "5.00/s > 0.50/s (300 in 60 s, dispersion 1.5)");
        const RulePolicy down = { .kind = RULE_DOWN, .at_least = 1 };
        v = rule_judge_down(&down, (TargetCounts){ .all = 2, .down = 2 });
        assert_string_equal(sentence(&down, SIGNAL_AVAILABILITY, &v),
                            "2 of 2 targets down, at least 100%");
        for (VerdictWhy w = WHY_NONE; w < _VERDICT_WHY_MAX; w++)
                assert_true(strlen(verdict_why_words(w)) > 8 && strlen(verdict_why_code(w)) > 1);
}

static void names_read_back(void **state) {
        (void)state;
        for (int i = 0; i < _SIGNAL_KIND_MAX; i++)
                assert_int_equal(signal_kind_from_string(signal_kind_to_string((SignalKind)i)), i);
        for (int i = 0; i < _RULE_KIND_MAX; i++)
                assert_int_equal(rule_kind_from_string(rule_kind_to_string((RuleKind)i)), i);
        for (int i = 0; i < _RESPONSE_MAX; i++)
                assert_int_equal(response_from_string(response_to_string((Response)i)), i);
        for (int i = 0; i < _MODE_MAX; i++)
                assert_int_equal(
                        rollback_mode_from_string(rollback_mode_to_string((RollbackMode)i)), i);
        for (int i = 0; i < _STRATEGY_MAX; i++)
                assert_int_equal(strategy_from_string(strategy_to_string((Strategy)i)), i);
        assert_true(strategy_from_string("newest") < 0 && response_from_string("") < 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(threshold_cases),  cmocka_unit_test(not_a_number_is_unknown),
                cmocka_unit_test(down_by_counting), cmocka_unit_test(stragglers_convict_nobody),
                cmocka_unit_test(sentences),        cmocka_unit_test(names_read_back),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
