/* Any text as a selector, and as a label path: what is taken lies inside its room and matches what
 * it names. */
#include <stdlib.h>

#include "selector.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const Selector *s, const char *p) {
        if (p < s->text || p >= s->text + sizeof s->text ||
            memchr(p, '\0', (size_t)(s->text + sizeof s->text - p)) == NULL)
                abort();
}

static void check_selector(const char *text) {
        static const char page[] = "up{code=\"500\",path=\"a\\\\b\"} 1\n";
        const char *why = NULL;
        size_t at = 0;
        ExpositionLine line;
        Exposition x;
        Selector s;

        if (selector_parse(text, &s, &at, &why) < 0) {
                if (!why || at > strlen(text))
                        abort();
                return;
        }
        check(&s, s.name);
        for (size_t i = 0; i < s.n_matchers; i++) {
                check(&s, s.matchers[i].label);
                check(&s, s.matchers[i].value);
        }
        if (exposition_init(&x, page, sizeof page - 1) < 0 || exposition_next(&x, &line) != 1)
                abort();
        if (selector_matches_plain(&s, &line) && !streq(s.name, "up"))
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(freep) char *text = malloc(size + 1);
        char metric[24], label[24];

        if (!text)
                return 0;
        memcpy(text, data, size);
        text[size] = '\0';
        check_selector(text);
        if (selector_parse_label_path(text, metric, sizeof metric, label, sizeof label) >= 0 &&
            (strlen(metric) + 1 + strlen(label) != strlen(text) || strlen(metric) >= sizeof metric))
                abort();
        return 0;
}
