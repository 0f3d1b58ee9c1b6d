/* probe_http_trace.c: takes out of a trace what nobody may see: secrets of the policy, values that
 * steps take, and cookies. */
#include "digest.h"
#include "probe_http_internal.h"

#define HIDDEN "***"

/* Puts *** in the place of n bytes; fewer stars where there are fewer bytes. */
static void hide_at(StrBuf *b, size_t at, size_t n) {
        size_t stars = MIN(n, sizeof HIDDEN - 1);

        memcpy(b->text + at, HIDDEN, stars);
        memmove(b->text + at + stars, b->text + at + n, b->length - at - n + 1);
        b->length -= n - stars;
}

static void hide_text(StrBuf *b, const char *text) {
        size_t n = strlen(text);

        for (size_t i = 0; n >= HTTP_SECRET_MIN && i < b->length; i++) {
                size_t rest = b->length - i, shown = MIN(n, rest);

                /* At the end of what was cut a part of it may stand. */
                if ((shown == n || b->overflow) && memcmp(b->text + i, text, shown) == 0) {
                        hide_at(b, i, shown);
                        i += MIN(shown, sizeof HIDDEN - 1) - 1;
                }
        }
}

/* The values of Set-Cookie headers, from byte `from` up to the empty line. */
static void hide_cookies(StrBuf *b, size_t from) {
        static const char name[] = "set-cookie:";

        while (from < b->length && b->text[from] != '\r' && b->text[from] != '\n') {
                const char *line = b->text + from;
                size_t n = strcspn(line, "\r\n");

                if (strncasecmp(line, name, sizeof name - 1) == 0)
                        hide_at(b, from + sizeof name - 1, n - (sizeof name - 1));
                from += strcspn(b->text + from, "\n");
                from += from < b->length;
        }
}

/* A body that a value is taken of may hold it in other words than those that are sent. */
static void hide_body(StrBuf *b, size_t from) {
        const char *end = strstr(b->text + from, "\r\n\r\n");
        size_t at = end ? (size_t)(end + 4 - b->text) : b->length;

        if (at < b->length)
                hide_at(b, at, b->length - at);
}

static void hide_in_form(ProbeTrace *trace, HttpForm form, const char *secret) {
        size_t size = 3 * strlen(secret) + 1;
        _cleanup_(freep) char *storage = malloc(size);
        StrBuf b;

        /* Who has no memory for it shows nothing at all. */
        if (!storage) {
                strbuf_init(&trace->request, trace->request.text, trace->request.size);
                strbuf_init(&trace->answer, trace->answer.text, trace->answer.size);
                return;
        }
        strbuf_init(&b, storage, size);
        http_add_in_form(&b, form, secret);
        hide_text(&trace->request, b.text);
        hide_text(&trace->answer, b.text);
        digest_wipe(b.text, b.length);
}

void http_trace_hide(ProbeTrace *trace, const HttpAnswer *a, size_t from) {
        const HttpCallConfig *config = a->call->config;
        const char *secret;

        if (!trace)
                return;
        from = MIN(from, trace->answer.length);
        for (size_t i = 0; i < config->n_take; i++)
                if (!config->take[i].header)
                        hide_body(&trace->answer, from);
        hide_cookies(&trace->answer, from);
        for (size_t i = 0; (secret = http_answer_secret(a, i)); i++)
                for (HttpForm form = 0; form < _HTTP_FORM_MAX; form++)
                        hide_in_form(trace, form, secret);
}
