#include "notice.h"

#include <stdio.h>
#include <time.h>

#define LARGE_MEMBER 1024
#define CUT_MARK " [...]"

void notice_timestamp(char ret[static 32]) {
        struct timespec t = { 0 };
        struct tm parts = { 0 };
        size_t n;

        (void)clock_gettime(CLOCK_REALTIME, &t);
        (void)gmtime_r(&t.tv_sec, &parts);
        n = strftime(ret, 32, "%Y-%m-%dT%H:%M:%S", &parts);
        (void)snprintf(ret + n, 32 - n, ".%03uZ", (unsigned)(t.tv_nsec / 1000000) % 1000);
}

static void mark_cut(StrBuf *b) {
        size_t at = b->size - sizeof CUT_MARK;

        if (!b->overflow || b->size <= sizeof CUT_MARK)
                return;
        /* Not in the middle of a UTF-8 sequence. */
        while (at > 0 && ((unsigned char)b->text[at] & 0xc0) == 0x80)
                at--;
        memcpy(b->text + at, CUT_MARK, sizeof CUT_MARK);
        b->length = at + strlen(CUT_MARK);
}

/* A field "text" is the sentence itself: the engine renders its own, with words that no field
 * carries. */
static const char *given_sentence(const EventFieldValue fields[], size_t n) {
        for (size_t i = 0; i < n; i++)
                if (streq(fields[i].name, "text") && fields[i].value && fields[i].value[0] != '\0')
                        return fields[i].value;
        return NULL;
}

void notice_render(const EventRow *row, bool over, const EventFieldValue fields[], size_t n,
                   StrBuf *sentence, StrBuf *type_now) {
        const char *given = given_sentence(fields, n);

        if (given)
                strbuf_add(sentence, given);
        else
                event_render(over && row->over ? row->over : row->text, fields, n, sentence);
        mark_cut(sentence);
        if (!over && row->type_now)
                event_render(row->type_now, fields, n, type_now);
        mark_cut(type_now);
}

/* `data` stays the caller's. */
static char *wrap(const char *type, const char *timestamp, const Json *data) {
        _cleanup_(json_freep) Json *body = json_new_object();

        json_set_text(body, "type", type);
        json_set_text(body, "timestamp", timestamp);
        json_set(body, "data", json_copy(data));
        return json_text(body);
}

static Json *without_large_members(const Json *data) {
        Json *small = json_new_object(), *omitted = json_new_array();
        const Json *value;
        const char *key;
        void *at = NULL;

        while ((key = json_next(data, &at, &value))) {
                _cleanup_(freep) char *text = json_text(value);

                if (text && strlen(text) <= LARGE_MEMBER)
                        json_set(small, key, json_copy(value));
                else
                        json_add_text(omitted, key);
        }
        json_set(small, "omitted", omitted);
        return small;
}

char *notice_body_plain(const char *type, const char *timestamp, Json *data) {
        _cleanup_(json_freep) Json *whole = data, *small = NULL;
        char *body = wrap(type, timestamp, whole);

        if (!body || strlen(body) <= NOTICE_BODY_MAX)
                return body;
        free(body);
        small = without_large_members(whole);
        return wrap(type, timestamp, small);
}

char *notice_body(const EventRow *row, bool over, const char *timestamp, Json *data,
                  const EventFieldValue fields[], size_t n) {
        STRBUF(sentence, NOTICE_TEXT_MAX);
        STRBUF(type_now, NOTICE_TEXT_MAX);

        notice_render(row, over, fields, n, &sentence, &type_now);
        json_set_text(data, "severity", severity_to_string(row->severity));
        json_set_bool(data, "over", over);
        json_set_text(data, "text", sentence.text);
        json_set_text(data, "type_now", type_now.length > 0 ? type_now.text : NULL);
        return notice_body_plain(row->type, timestamp, data);
}
