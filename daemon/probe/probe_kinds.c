#include <errno.h>

#include "probe_kind.h"

static const ProbeKind *const probe_kinds[_PROBE_KIND_MAX] = {
        [PROBE_HTTP] = &probe_kind_http,       [PROBE_TCP] = &probe_kind_tcp,
        [PROBE_METRICS] = &probe_kind_metrics, [PROBE_UNIT] = &probe_kind_unit,
        [PROBE_JOURNAL] = &probe_kind_journal, [PROBE_PRESSURE] = &probe_kind_pressure,
        [PROBE_REDIS] = &probe_kind_redis,     [PROBE_POSTGRES] = &probe_kind_postgres,
        [PROBE_EXEC] = &probe_kind_exec,       [PROBE_PROMQL] = &probe_kind_promql,
};

const ProbeKind *probe_kind(ProbeKindId id) {
        assert(id < _PROBE_KIND_MAX);
        return probe_kinds[id];
}

void probe_result_init(ProbeResult *r) {
        r->outcome = OUTCOME_OK;
        r->status = 0;
        r->version[0] = r->words[0] = '\0';
        r->since = r->ours = 0;
        r->n_increases = r->n_values = 0;
}

void probe_result_copy(ProbeResult *r, const ProbeResult *from) {
        memcpy(r, from, offsetof(ProbeResult, increases));
        memcpy(r->increases, from->increases, from->n_increases * sizeof *r->increases);
        memcpy(r->values, from->values, from->n_values * sizeof *r->values);
}

void probe_result_set(ProbeResult *r, ProbeOutcome outcome, const char *words) {
        StrBuf b;

        r->outcome = outcome;
        strbuf_init(&b, r->words, sizeof r->words);
        strbuf_add(&b, *words ? words : outcome_words(outcome));
}

void probe_result_set_errno(ProbeResult *r, int error) {
        if (error < 0)
                error = -error;

        ProbeOutcome outcome = outcome_from_errno(error);
        const char *name = strerrorname_np(error);
        STRBUF(words, PROBE_WORDS_SIZE);

        strbuf_add(&words, outcome_errno_words(error));
        /* What is our own fault is for our own operator, who wants the cause. */
        if (outcome_verdict(outcome) == TRI_UNKNOWN) {
                strbuf_add(&words, " (");
                strbuf_add(&words, name ? name : "an errno without a name");
                strbuf_add(&words, ")");
        }
        probe_result_set(r, outcome, words.text);
}

int probe_result_add_value(ProbeResult *r, const char *name, double value) {
        StrBuf b;
        char cut[SAMPLE_VALUE_NAME_SIZE];

        strbuf_init(&b, cut, sizeof cut);
        strbuf_add(&b, name);
        for (size_t i = 0; i < r->n_values; i++)
                if (streq(r->values[i].name, cut)) {
                        r->values[i].value = value;
                        return 0;
                }
        if (r->n_values >= SAMPLE_VALUES_MAX)
                return -ENOSPC;
        memcpy(r->values[r->n_values].name, cut, sizeof cut);
        r->values[r->n_values++].value = value;
        return 0;
}

void probe_result_set_version(ProbeResult *r, const char *text, size_t n) {
        bool sound = n < sizeof r->version;

        for (size_t i = 0; sound && i < n; i++)
                sound = text[i] > 0x20 && text[i] < 0x7f;
        r->version[0] = '\0';
        if (sound) {
                memcpy(r->version, text, n);
                r->version[n] = '\0';
        } else if (r->outcome == OUTCOME_OK)
                probe_result_set(r, OUTCOME_OK,
                                 "the version that it names is no plain text of 1 to 63 "
                                 "characters: not used");
}
