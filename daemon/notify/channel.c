#include "channel.h"

#include <stdio.h>
#include <time.h>

#include "json.h"

static const ChannelKind *const channel_kinds[] = {
        &channel_kind_webhook,
};

const ChannelKind *channel_kind_find(const char *name) {
        for (size_t i = 0; name && i < ELEMENTSOF(channel_kinds); i++)
                if (streq(channel_kinds[i]->name, name))
                        return channel_kinds[i];
        return NULL;
}

usec_t channel_retry_delay(unsigned attempt, usec_t retry_after, uint64_t *seed) {
        static const usec_t spans[] = {
                5 * USEC_PER_SEC,   5 * USEC_PER_MINUTE, 30 * USEC_PER_MINUTE, 2 * USEC_PER_HOUR,  5 * USEC_PER_HOUR,
                10 * USEC_PER_HOUR, 14 * USEC_PER_HOUR,  20 * USEC_PER_HOUR,   24 * USEC_PER_HOUR,
        };
        usec_t delay;

        if (attempt == 0 || attempt > ELEMENTSOF(spans))
                return USEC_INFINITY;
        delay = usec_jitter(spans[attempt - 1], seed);
        return MAX(delay, retry_after);
}

char *channel_body(const char *type, const char *timestamp, const char *data) {
        _cleanup_(json_freep) Json *body = json_new_object();
        STRBUF(error, 128);
        Json *fields = json_parse(data, strlen(data), &error);

        if (!fields || !json_is_object(fields) || !body) {
                json_free(fields);
                return NULL;
        }
        json_set_text(body, "type", type);
        json_set_text(body, "timestamp", timestamp);
        json_set(body, "data", fields);
        return json_text(body);
}

void channel_timestamp(char ret[static 32]) {
        struct timespec t;
        struct tm parts;

        clock_gettime(CLOCK_REALTIME, &t);
        gmtime_r(&t.tv_sec, &parts);
        strftime(ret, 32, "%Y-%m-%dT%H:%M:%S", &parts);
        snprintf(ret + strlen(ret), 8, ".%03uZ", (unsigned)(t.tv_nsec / 1000000) % 1000);
}
