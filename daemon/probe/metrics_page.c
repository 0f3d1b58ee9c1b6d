#include <errno.h>
#include <math.h>

#include "metrics_page.h"

static int compile_patterns(MetricsWanted *w, size_t operand) {
        const Selector *s = &w->config->operands[operand]->selector;

        for (size_t i = 0; i < s->n_matchers; i++) {
                char why[128];
                size_t at;

                if (s->matchers[i].kind != MATCHER_REGEX &&
                    s->matchers[i].kind != MATCHER_NOT_REGEX)
                        continue;
                int r = pattern_new(&w->patterns[operand][i], s->matchers[i].value, &at, why,
                                    sizeof why);
                if (r < 0)
                        return r;
        }
        return 0;
}

int metrics_wanted_new(MetricsWanted **ret, const ProbeConfig *config) {
        _cleanup_(metrics_wanted_freep) MetricsWanted *w = calloc(1, sizeof *w);
        int r;

        if (!w)
                return -ENOMEM;
        if (config->n_operands > SAMPLE_VALUES_MAX)
                return -EINVAL;
        w->config = config;
        if (config->version_label) {
                r = selector_parse_label_path(config->version_label, w->version_metric,
                                              sizeof w->version_metric, w->version_label,
                                              sizeof w->version_label);
                if (r < 0)
                        return r;
                w->versioned = true;
        }
        for (size_t i = 0; i < config->n_operands; i++) {
                r = compile_patterns(w, i);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(w);
        return 0;
}

MetricsWanted *metrics_wanted_free(MetricsWanted *w) {
        if (!w)
                return NULL;
        for (size_t i = 0; i < SAMPLE_VALUES_MAX; i++)
                for (size_t j = 0; j < SELECTOR_MATCHERS_MAX; j++)
                        pattern_free(w->patterns[i][j]);
        free(w);
        return NULL;
}

int metrics_memory_new(MetricsMemory **ret) {
        _cleanup_(metrics_memory_freep) MetricsMemory *m = calloc(1, sizeof *m);

        if (!m)
                return -ENOMEM;
        m->storage = calloc(METRICS_ENTRIES_FIRST, sizeof *m->storage);
        if (!m->storage)
                return -ENOMEM;
        series_init(&m->series, m->storage, METRICS_ENTRIES_FIRST);
        *ret = TAKE_PTR(m);
        return 0;
}

MetricsMemory *metrics_memory_free(MetricsMemory *m) {
        if (!m)
                return NULL;
        free(m->storage);
        free(m);
        return NULL;
}

/* A page that tells nothing: unknown, and what comes next is only a base, for increments of this
 * interval are lost. */
static int give_up(MetricsPage *page, const char *why) {
        STRBUF(words, PROBE_WORDS_SIZE);

        if (page->exposition.line > 0) {
                strbuf_add(&words, "line ");
                strbuf_add_u64(&words, page->exposition.line);
                strbuf_add(&words, ": ");
        }
        strbuf_add(&words, why);
        probe_result_set(page->result, OUTCOME_NO_DATA, words.text);
        metrics_page_abandon(page);
        return 0;
}

void metrics_page_abandon(MetricsPage *page) {
        if (page->open)
                series_abandon_page(&page->memory->series);
        page->open = false;
        page->memory->at = 0;
}

static bool same_text(Slice a, const char *b) {
        size_t n = strlen(b);

        return a.n == n && memcmp(a.p, b, n) == 0;
}

/* Returns 1 or 0, -ENOSPC for a value that is too long to look at, -E2BIG for a pattern that
 * reached its limits. */
static int matches_regular(const MetricsWanted *w, size_t operand, const ExpositionLine *line) {
        const Selector *s = &w->config->operands[operand]->selector;

        for (size_t i = 0; i < s->n_matchers; i++) {
                char value[METRICS_LABEL_MAX];

                if (!w->patterns[operand][i])
                        continue;
                ssize_t n = exposition_unescape(selector_label(line, s->matchers[i].label), value,
                                                sizeof value);
                if (n < 0)
                        return (int)n;
                int r = pattern_match(w->patterns[operand][i], value, (size_t)n);
                if (r < 0)
                        return r;
                if ((r > 0) != (s->matchers[i].kind == MATCHER_REGEX))
                        return 0;
        }
        return 1;
}

/* Which operands a new label set feeds, as bits; or as matches_regular(). */
static int operands_of(const MetricsWanted *w, const ExpositionLine *line, uint32_t *ret) {
        uint32_t operands = 0;

        for (size_t i = 0; i < w->config->n_operands; i++) {
                int r = selector_matches_plain(&w->config->operands[i]->selector, line);

                if (r > 0)
                        r = matches_regular(w, i, line);
                if (r < 0)
                        return r;
                if (r > 0)
                        operands |= UINT32_C(1) << i;
        }
        *ret = operands;
        return 0;
}

static int grow(MetricsMemory *m) {
        size_t capacity = m->series.capacity * 2;

        if (capacity > METRICS_ENTRIES_MAX)
                return -ENFILE;

        SeriesEntry *storage = calloc(capacity, sizeof *storage);
        if (!storage)
                return -ENOMEM;
        series_move(&m->series, storage, capacity);
        free(m->storage);
        m->storage = storage;
        return 0;
}

/* Returns 0 with the entry of a label set, which is made when it is new. */
static int find_entry(MetricsPage *page, const ExpositionLine *line, SeriesEntry **ret) {
        Series *series = &page->memory->series;
        uint64_t hash, check;
        uint32_t operands;
        int r;

        series_hash(line->name, line->labels, &hash, &check);
        *ret = series_find(series, hash, check);
        if (*ret)
                return 0;
        r = operands_of(page->wanted, line, &operands);
        if (r < 0)
                return r;
        while (!(*ret = series_add(series, hash, check, operands))) {
                r = grow(page->memory);
                if (r < 0)
                        return r;
        }
        return 0;
}

static bool wanted_name(const MetricsWanted *w, Slice name) {
        for (size_t i = 0; i < w->config->n_operands; i++)
                if (same_text(name, w->config->operands[i]->selector.name))
                        return true;
        return false;
}

/* An info metric stands at 1; at 0 or NaN it says nothing. Two series that name different versions
 * name none. */
static void take_version(MetricsPage *page, const ExpositionLine *line) {
        Slice raw = selector_label(line, page->wanted->version_label);
        char text[METRICS_LABEL_MAX];
        ProbeResult named = {};
        ssize_t n;

        if (!(line->value > 0) || raw.n == 0)
                return;
        n = exposition_unescape(raw, text, sizeof text);
        /* One that is too long to be looked at is refused like any other that is no version. */
        probe_result_set_version(&named, text, n < 0 ? sizeof text : (size_t)n);
        if (named.words[0])
                memcpy(page->result->words, named.words, sizeof named.words);
        else if (page->version[0] && !streq(page->version, named.version))
                page->versions_differ = true;
        else
                memcpy(page->version, named.version, sizeof named.version);
}

static const char *entry_error(int r) {
        switch (r) {
        case -ENFILE:
                return "more label sets of the wanted metrics than fit in 65536 entries; narrow "
                       "the page or the selectors";
        case -E2BIG:
                return "a regular expression of a signal is too costly for this label value";
        case -ENOSPC:
                return "a label value that a signal matches is longer than 4096 bytes";
        default:
                return "out of memory for the page's series";
        }
}

int metrics_page_begin(MetricsPage *page, const MetricsWanted *wanted, MetricsMemory *memory,
                       const char *text, size_t size, ProbeResult *result) {
        *page = (MetricsPage){ .wanted = wanted, .memory = memory, .result = result };
        if (exposition_init(&page->exposition, text, size) < 0) {
                page->exposition.line = 0;
                return give_up(
                        page, size == 0 ? "the page is empty" :
                                          "the page is cut short: it does not end with a line end");
        }
        series_begin_page(&memory->series);
        page->open = true;
        return 1;
}

static int end_page(MetricsPage *page, usec_t now) {
        MetricsMemory *m = page->memory;
        const ProbeConfig *config = page->wanted->config;
        ProbeResult *result = page->result;

        page->exposition.line = 0;
        if (m->series.duplicate)
                return give_up(page, "a series that a signal reads stands twice on the page");
        if (m->series.not_finite)
                return give_up(
                        page,
                        "a counter that a signal reads is negative, infinite or not a number");
        if (page->versions_differ) {
                page->version[0] = '\0';
                probe_result_set(result, OUTCOME_OK,
                                 "the page names more than one version: none is used");
        }

        /* Only pages of one version, not too far apart, make increases that say something of that
         * version. */
        bool goes_on = m->at > 0 && now - m->at <= METRICS_GAP_MAX * config->interval &&
                       streq(m->version, page->version) && !(m->epoch && page->version[0] == '\0');
        uint32_t seen = m->series.seen;

        page->open = false;
        goes_on = series_end_page(&m->series, config->n_operands, result->increases) && goes_on;
        for (size_t i = 0; !goes_on && i < config->n_operands; i++)
                result->increases[i] = seen >> i & 1 ? 0 : NAN;
        result->n_increases = config->n_operands;
        result->since = goes_on ? m->at : 0;
        result->outcome = OUTCOME_OK;
        memcpy(result->version, page->version, sizeof result->version);
        memcpy(m->version, page->version, sizeof m->version);
        m->at = now;
        m->epoch = false;
        return 0;
}

int metrics_page_read(MetricsPage *page, usec_t now) {
        size_t stop = page->exposition.position + METRICS_BYTES_PER_TURN;
        ExpositionLine line;
        int r;

        while ((r = exposition_next(&page->exposition, &line)) > 0) {
                if (page->wanted->versioned && same_text(line.name, page->wanted->version_metric))
                        take_version(page, &line);
                if (wanted_name(page->wanted, line.name)) {
                        SeriesEntry *entry;

                        r = find_entry(page, &line, &entry);
                        if (r < 0)
                                return give_up(page, entry_error(r));
                        series_take(&page->memory->series, entry, line.value);
                }
                if (page->exposition.position >= stop)
                        return 1;
        }
        if (r < 0)
                return give_up(page, page->exposition.error ? page->exposition.error : "malformed");
        return end_page(page, now);
}
