#include <math.h>

#include "config_value.h"
#include "expectation.h"

static const SampleValue *find_value(const ProbeResult *result, const char *name) {
        for (size_t i = 0; i < result->n_values; i++)
                if (streq(result->values[i].name, name))
                        return &result->values[i];
        return NULL;
}

static void say_value(ProbeResult *result, const char *name, double value, const char *relation,
                      double limit) {
        STRBUF(words, PROBE_WORDS_SIZE);

        strbuf_add(&words, name);
        strbuf_add(&words, " is ");
        config_add_number(&words, value);
        strbuf_add(&words, relation);
        config_add_number(&words, limit);
        probe_result_set(result, OUTCOME_BAD_VALUE, words.text);
}

/* Returns whether the value stays within its limits. */
static bool check_value(const ValueExpectation *wanted, ProbeResult *result) {
        const SampleValue *v = find_value(result, wanted->name);
        STRBUF(words, PROBE_WORDS_SIZE);

        if (!v || isnan(v->value)) {
                strbuf_add(&words, wanted->name);
                strbuf_add(&words, v ? " is not a number" : " was not reported");
                /* What a good result says of itself is why. */
                strbuf_add(&words, result->words[0] ? ": " : "");
                strbuf_add(&words, result->words);
                probe_result_set(result, OUTCOME_NO_DATA, words.text);
                return false;
        }
        if (v->value < wanted->at_least) {
                say_value(result, v->name, v->value, ", less than ", wanted->at_least);
                return false;
        }
        if (v->value > wanted->at_most) {
                say_value(result, v->name, v->value, ", more than ", wanted->at_most);
                return false;
        }
        return true;
}

void expectation_apply(const ProbeConfig *config, usec_t duration, ProbeResult *result) {
        if (result->outcome != OUTCOME_OK)
                return;
        if (config->latency > 0 && duration > config->latency) {
                STRBUF(words, PROBE_WORDS_SIZE);

                strbuf_add(&words, "answered after ");
                strbuf_add_usec_words(&words, duration);
                strbuf_add(&words, ", later than ");
                strbuf_add_usec_words(&words, config->latency);
                probe_result_set(result, OUTCOME_SLOW, words.text);
                return;
        }
        for (size_t i = 0; i < config->n_values; i++)
                if (!check_value(&config->values[i], result))
                        return;
}
