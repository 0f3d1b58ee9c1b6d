/* Any bytes as a page: the scanner must stay inside, and what it returns must be well-formed. */
#include <stdlib.h>

#include "exposition.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_labels(Slice labels) {
        Slice name, value, known[EXPOSITION_LABELS_MAX];
        size_t position = 0, n = 0;
        char storage[32];

        while (exposition_next_label(labels, &position, &name, &value) > 0) {
                ssize_t length = exposition_unescape(value, storage, sizeof storage);

                if (name.n == 0 || name.p < labels.p || value.p + value.n >= labels.p + labels.n ||
                    n == EXPOSITION_LABELS_MAX)
                        abort();
                if (length > (ssize_t)value.n || (length < 0 && value.n <= sizeof storage))
                        abort();
                for (size_t i = 0; i < n; i++)
                        if (known[i].n == name.n && memcmp(known[i].p, name.p, name.n) == 0)
                                abort();
                known[n++] = name;
        }
        if ((n == 0) != (labels.n == 0))
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        ExpositionLine line;
        unsigned last = 0;
        Exposition x;
        int r;

        if (exposition_init(&x, (const char *)data, size) < 0)
                return 0;
        while ((r = exposition_next(&x, &line)) != 0) {
                if (x.line <= last || (r < 0) != (x.error != NULL))
                        abort();
                last = x.line;
                if (r > 0)
                        check_labels(line.labels);
        }
        if (x.position != size)
                abort();
        return 0;
}
