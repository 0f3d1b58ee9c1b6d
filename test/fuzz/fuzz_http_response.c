/* Any bytes as an answer: fed whole and byte by byte, it must come to the same. The first byte
 * holds the request's options. */
#include <stdlib.h>

#include "http_response.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct Result {
        bool failed, done, close;
        unsigned status;
        size_t used, body;
        uint64_t sum; /* of the body's bytes, by place */
} Result;

static Result feed(const char *data, size_t size, uint8_t options, size_t piece) {
        Result result = {};
        HttpResponse r;

        http_response_init(&r, options & 1, options & 2 ? "x-version" : NULL);
        while (result.used < size && !r.done) {
                Slice body;
                ssize_t used = http_response_feed(&r, data + result.used,
                                                  MIN(piece, size - result.used), &body);

                if (used < 0) {
                        result.failed = true;
                        break;
                }
                if (used == 0 || body.n > (size_t)used)
                        abort();
                for (size_t i = 0; i < body.n; i++)
                        result.sum = result.sum * 31 + (unsigned char)body.p[i];
                result.body += body.n;
                result.used += (size_t)used;
        }
        if (!result.failed && options & 4)
                result.failed = http_response_close(&r) < 0;
        if (result.failed != (r.error != NULL) || (r.foreign && !result.failed) ||
            memchr(r.capture, '\0', sizeof r.capture) == NULL ||
            memchr(r.coding, '\0', sizeof r.coding) == NULL ||
            (r.captured == HTTP_CAPTURED_WHOLE) != (r.capture[0] != '\0'))
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
        if (!whole.failed &&
            (whole.used != cut.used || whole.body != cut.body || whole.sum != cut.sum))
                abort();
        return 0;
}
