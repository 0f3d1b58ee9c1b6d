#include "config_suggest.h"

#define WORD_MAX 64 /* longer words are near to nothing */

unsigned config_distance(const char *a, const char *b, unsigned limit) {
        unsigned rows[3][WORD_MAX + 1];
        size_t n = strlen(a), m = strlen(b);

        if (n > WORD_MAX || m > WORD_MAX)
                return limit;
        for (size_t j = 0; j <= m; j++)
                rows[0][j] = (unsigned)j;
        for (size_t i = 1; i <= n; i++) {
                unsigned *row = rows[i % 3], *above = rows[(i - 1) % 3],
                         *before = rows[(i + 1) % 3];

                row[0] = (unsigned)i;
                for (size_t j = 1; j <= m; j++) {
                        row[j] = above[j - 1] + (a[i - 1] != b[j - 1] ? 1U : 0U);
                        row[j] = MIN(row[j], above[j] + 1);
                        row[j] = MIN(row[j], row[j - 1] + 1);
                        if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                                row[j] = MIN(row[j], before[j - 2] + 1);
                }
        }
        return MIN(rows[n % 3][m], limit);
}

/* One slip in three letters, two at least for words of five. */
static unsigned distance_limit(const char *word) {
        size_t n = strlen(word);

        return n < 3 ? 1 : (unsigned)MAX(n / 3, n < 5 ? (size_t)1 : (size_t)2) + 1;
}

void config_suggest_key(ConfigSection section, unsigned kind, const char *key, StrBuf *b) {
        unsigned best = distance_limit(key);
        const char *nearest = NULL;
        bool first = true;

        CONFIG_SCHEMA_FOREACH (k) {
                unsigned d = k->section == section ? config_distance(key, k->key, best) : best;

                if (d < best && config_schema_find(section, k->key, kind)) {
                        best = d;
                        nearest = k->key;
                }
        }
        if (nearest) {
                strbuf_add(b, "unknown key; did you mean \"");
                strbuf_add(b, nearest);
                strbuf_add(b, "\"?");
                return;
        }
        strbuf_add(b, "unknown key; write one of ");
        CONFIG_SCHEMA_FOREACH (k) {
                if (k->section != section || (k->kinds && kind && !(k->kinds & kind)))
                        continue;
                strbuf_add(b, first ? "" : ", ");
                strbuf_add(b, k->key);
                first = false;
        }
}

void config_suggest_name(const char *written, size_t n,
                         const char *(*name)(const void *userdata, size_t i), const void *userdata,
                         StrBuf *b) {
        unsigned best = distance_limit(written);
        const char *nearest = NULL;

        for (size_t i = 0; i < n; i++) {
                unsigned d = config_distance(written, name(userdata, i), best);

                if (d < best) {
                        best = d;
                        nearest = name(userdata, i);
                }
        }
        if (!nearest)
                return;
        strbuf_add(b, "; did you mean \"");
        strbuf_add(b, nearest);
        strbuf_add(b, "\"?");
}
