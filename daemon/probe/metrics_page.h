/* metrics_page.h: reads one page of metrics for one target: which lines feed which operands, the
 * version that the page names, and what the counters grew by since the page before. A page is read
 * in parts, so that a large one does not keep the loop. Knows nothing of sockets. */
#pragma once

#include "pattern.h"
#include "probe_kind.h"
#include "series.h"

#define METRICS_ENTRIES_MAX 65536 /* label sets of the wanted metrics, of one target */
#define METRICS_ENTRIES_FIRST 64
/* Bytes of a label value that a regular expression or version_label looks at. */
#define METRICS_LABEL_MAX 4096
#define METRICS_BYTES_PER_TURN (1024 * 1024) /* some 5 ms of work */
#define METRICS_GAP_MAX 10 /* intervals between two pages whose counters are still compared */

/* What all targets of a probe share. */
typedef struct MetricsWanted {
        const ProbeConfig *config;
        bool versioned;
        char version_metric[256], version_label[256];
        Pattern *patterns[SAMPLE_VALUES_MAX]
                         [SELECTOR_MATCHERS_MAX]; /* of the regular matchers, else NULL */
} MetricsWanted;

int metrics_wanted_new(MetricsWanted **ret, const ProbeConfig *config) _must_check_;
MetricsWanted *metrics_wanted_free(MetricsWanted *w);
DEFINE_CLEANUP(MetricsWanted *, metrics_wanted_free);

/* What a target keeps from page to page. */
typedef struct MetricsMemory {
        Series series;
        SeriesEntry *storage;
        usec_t at;               /* of the last good page; 0: the next one only sets a base */
        bool epoch;              /* a release began since then */
        char version[NAME_SIZE]; /* that the last good page named */
} MetricsMemory;

int metrics_memory_new(MetricsMemory **ret) _must_check_;
MetricsMemory *metrics_memory_free(MetricsMemory *m);
DEFINE_CLEANUP(MetricsMemory *, metrics_memory_free);

/* A page that is being read. */
typedef struct MetricsPage {
        const MetricsWanted *wanted;
        MetricsMemory *memory;
        Exposition exposition;
        bool open; /* between begin and end of the series' page */
        bool versions_differ;
        char version[NAME_SIZE];
        ProbeResult *result;
} MetricsPage;

/* Starts on a whole page, borrowed until the end; so is `result`, which the end fills. Returns 1:
 * go on with metrics_page_read(); 0: *result is set. */
int metrics_page_begin(MetricsPage *page, const MetricsWanted *wanted, MetricsMemory *memory,
                       const char *text, size_t size, ProbeResult *result) _must_check_;
/* Reads at most METRICS_BYTES_PER_TURN further. Returns 1: there is more; 0: *result is set. `now`
 * is this turn's instant: the last part's is the `at` of the sample, and so the `since` of the next
 * one. */
int metrics_page_read(MetricsPage *page, usec_t now) _must_check_;
/* Gives a page up that has not been read to its end; does nothing after it. */
void metrics_page_abandon(MetricsPage *page);
