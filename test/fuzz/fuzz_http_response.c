/* Any bytes as an answer: fed whole and byte by byte, it must come to the same. The first byte
 * holds the request's options. */
#include <stdlib.h>

#include "http_response.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct Result {
        bool failed, done, close;
        unsigned status;
        size_t used, body;
        uint64_t sum;    /* of the body's bytes, by place */
        uint64_t values; /* of the wanted headers' bytes */
} Result;

static void add(uint64_t *sum, Slice s) {
        for (size_t i = 0; i < s.n; i++)
                *sum = *sum * 31 + (unsigned char)s.p[i];
}

static Result feed(const char *data, size_t size, uint8_t options, size_t piece) {
        Result result = {};
        static const char *const wanted[] = { "x-version", "set-cookie" };
        static char line[HTTP_LINE_MAX];
        HttpResponse r;

        http_response_init(&r, &(HttpResponseSetup){ .head = options & 1,
                                                     .wanted = wanted,
                                                     .n_wanted = options & 2 ? 2 : 0,
                                                     .line = line,
                                                     .line_size = sizeof line });
        while (result.used < size && !r.done) {
                HttpPiece part;
                ssize_t used = http_response_feed(&r, data + result.used,
                                                  MIN(piece, size - result.used), &part);

                if (used < 0) {
                        result.failed = true;
                        break;
                }
                if (used == 0 || part.body.n > (size_t)used ||
                    (part.header != SIZE_MAX &&
                     (part.header >= 2 || part.body.n > 0 || part.value.n > sizeof line)))
                        abort();
                add(&result.sum, part.body);
                if (part.header != SIZE_MAX) {
                        add(&result.values, part.value);
                        result.values = result.values * 31 + part.header * 2 + part.whole;
                }
                result.body += part.body.n;
                result.used += (size_t)used;
        }
        if (!result.failed && options & 4)
                result.failed = http_response_close(&r) < 0;
        if (result.failed != (r.error != NULL) || (r.foreign && !result.failed) ||
            memchr(r.coding, '\0', sizeof r.coding) == NULL)
                abort();
        result.done = r.done;
        result.close = r.close;
        result.status = r.status;
        return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Result whole, cut;

        if (size == 0)
                return 0;
        whole = feed((const char *)data + 1, size - 1, data[0], size);
        cut = feed((const char *)data + 1, size - 1, data[0], 1);
        if (whole.failed != cut.failed || whole.done != cut.done || whole.close != cut.close ||
            whole.status != cut.status)
                abort();
        if (!whole.failed && (whole.used != cut.used || whole.body != cut.body ||
                              whole.sum != cut.sum || whole.values != cut.values))
                abort();
        return 0;
}
