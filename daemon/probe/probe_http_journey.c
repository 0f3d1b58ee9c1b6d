/* probe_http_journey.c: what one run of steps keeps: values that were taken, and cookies. All of it
 * is gone with the run. */
#include <errno.h>

#include "cookie.h"
#include "digest.h"
#include "probe_http_internal.h"
#include "template.h"

#define TAKEN_MAX ((size_t)HTTP_STEPS_MAX * HTTP_TAKES_MAX)
#define ACCEPT "*/*"

/* A name, which a taken value borrows of the configuration and a cookie owns, and its value. */
typedef struct Kept {
        char *name;
        char *value;
        bool secure; /* a cookie for TLS alone */
} Kept;

struct HttpJourney {
        bool secure; /* the target speaks TLS */
        Kept *taken;
        size_t n_taken;
        Kept cookies[HTTP_COOKIES_MAX];
        size_t n_cookies;
};

int http_journey_new(HttpJourney **ret, bool secure) {
        _cleanup_(http_journey_freep) HttpJourney *j = calloc(1, sizeof *j);

        if (!j)
                return -ENOMEM;
        j->taken = calloc(TAKEN_MAX, sizeof *j->taken);
        if (!j->taken)
                return -ENOMEM;
        j->secure = secure;
        *ret = TAKE_PTR(j);
        return 0;
}

static void wipe(char *text) {
        if (text)
                digest_wipe(text, strlen(text));
        free(text);
}

HttpJourney *http_journey_free(HttpJourney *j) {
        if (!j)
                return NULL;
        for (size_t i = 0; i < j->n_taken; i++)
                wipe(j->taken[i].value);
        for (size_t i = 0; i < j->n_cookies; i++) {
                free(j->cookies[i].name);
                wipe(j->cookies[i].value);
        }
        free(j->taken);
        free(j);
        return NULL;
}

static bool has_control(Slice s) {
        for (size_t i = 0; i < s.n; i++)
                if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
                        return true;
        return false;
}

int http_journey_take(HttpJourney *j, const char *name, Slice value) {
        char *copy;

        if (has_control(value))
                return -EINVAL;
        if (value.n > HTTP_TAKEN_MAX || j->n_taken >= TAKEN_MAX)
                return -E2BIG;
        copy = strndup(value.p, value.n);
        if (!copy)
                return -ENOMEM;
        j->taken[j->n_taken++] = (Kept){ .name = (char *)name, .value = copy };
        return 0;
}

static Kept *find_cookie(HttpJourney *j, const char *name) {
        for (size_t i = 0; i < j->n_cookies; i++)
                if (streq(j->cookies[i].name, name))
                        return &j->cookies[i];
        return NULL;
}

int http_journey_take_cookie(HttpJourney *j, Slice header) {
        _cleanup_(freep) char *name = NULL, *value = NULL;
        Cookie cookie;
        Kept *kept;

        if (cookie_parse(header, &cookie) < 0)
                return 0;
        if (cookie.name.n + cookie.value.n > HTTP_TAKEN_MAX)
                return -E2BIG;
        name = strndup(cookie.name.p, cookie.name.n);
        value = strndup(cookie.value.p, cookie.value.n);
        if (!name || !value)
                return -ENOMEM;
        kept = find_cookie(j, name);
        if (!kept) {
                if (j->n_cookies >= HTTP_COOKIES_MAX)
                        return -E2BIG;
                kept = &j->cookies[j->n_cookies++];
                *kept = (Kept){ .name = TAKE_PTR(name) };
        }
        wipe(kept->value);
        kept->value = TAKE_PTR(value);
        kept->secure = cookie.secure;
        return 0;
}

static const char *find_taken(const HttpJourney *j, Slice name) {
        for (size_t i = 0; i < j->n_taken; i++)
                if (strlen(j->taken[i].name) == name.n &&
                    memcmp(j->taken[i].name, name.p, name.n) == 0)
                        return j->taken[i].value;
        return NULL;
}

bool http_journey_has(const HttpJourney *j, const char *name) {
        return find_taken(j, (Slice){ .p = name, .n = strlen(name) }) != NULL;
}

static void add_percent_encoded(StrBuf *b, const char *text) {
        static const char digits[] = "0123456789ABCDEF";

        for (; *text; text++) {
                unsigned char c = (unsigned char)*text;

                if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    strchr("-._~", c)) {
                        strbuf_add_char(b, (char)c);
                        continue;
                }
                strbuf_add_char(b, '%');
                strbuf_add_char(b, digits[c >> 4]);
                strbuf_add_char(b, digits[c & 15]);
        }
}

/* No control character is ever taken. */
static void add_json_escaped(StrBuf *b, const char *text) {
        for (; *text; text++) {
                if (*text == '"' || *text == '\\')
                        strbuf_add_char(b, '\\');
                strbuf_add_char(b, *text);
        }
}

void http_add_in_form(StrBuf *b, HttpForm form, const char *text) {
        switch (form) {
        case HTTP_FORM_PERCENT:
                add_percent_encoded(b, text);
                return;
        case HTTP_FORM_JSON:
                add_json_escaped(b, text);
                return;
        case HTTP_FORM_PLAIN:
        case _HTTP_FORM_MAX:
                strbuf_add(b, text);
                return;
        }
}

/* A body is what its type says: a sign in a value must not end the value there. */
static HttpForm form_of(const char *content_type) {
        static const char form[] = "application/x-www-form-urlencoded", json[] = "application/json",
                          suffix[] = "+json";
        size_t n = content_type ? strcspn(content_type, "; ") : 0;

        if (n == sizeof form - 1 && strncasecmp(content_type, form, n) == 0)
                return HTTP_FORM_PERCENT;
        if ((n == sizeof json - 1 && strncasecmp(content_type, json, n) == 0) ||
            (n > sizeof suffix - 1 &&
             strncasecmp(content_type + n - (sizeof suffix - 1), suffix, sizeof suffix - 1) == 0))
                return HTTP_FORM_JSON;
        return HTTP_FORM_PLAIN;
}

/* The text with its ${name}s replaced, to be freed. Returns 0, -EINVAL for a name that was not
 * taken, -E2BIG when it becomes longer than `max` bytes, -ENOMEM. */
static int fill(const HttpJourney *j, const char *text, HttpForm form, size_t max, char **ret) {
        _cleanup_(freep) char *storage = malloc(max + 1);
        TemplatePiece piece;
        StrBuf b;
        int r;

        if (!storage)
                return -ENOMEM;
        strbuf_init(&b, storage, max + 1);
        while ((r = template_next(&text, &piece)) > 0) {
                const char *value = piece.name ? find_taken(j, piece.text) : NULL;

                if (piece.name && !value)
                        return -EINVAL;
                if (piece.name)
                        http_add_in_form(&b, form, value);
                else
                        strbuf_add_n(&b, piece.text.p, piece.text.n);
        }
        if (r < 0 || b.overflow)
                return r < 0 ? r : -E2BIG;
        *ret = TAKE_PTR(storage);
        return 0;
}

static int make_cookies(const HttpJourney *j, char **ret) {
        _cleanup_(freep) char *storage = malloc(HTTP_REQUEST_MAX);
        StrBuf b;

        if (!storage)
                return -ENOMEM;
        strbuf_init(&b, storage, HTTP_REQUEST_MAX);
        for (size_t i = 0; i < j->n_cookies; i++) {
                const Kept *c = &j->cookies[i];

                if (c->secure && !j->secure)
                        continue;
                strbuf_add(&b, b.length > 0 ? "; " : "");
                strbuf_add(&b, c->name);
                strbuf_add_char(&b, '=');
                strbuf_add(&b, c->value);
        }
        if (b.overflow)
                return -E2BIG;
        if (b.length > 0)
                *ret = TAKE_PTR(storage);
        return 0;
}

/* The texts that a request is made of while it is made. */
typedef struct Filled {
        char *path, *body, *cookies;
        char *values[HTTP_HEADERS_SENT_MAX + 2];
        HttpHeader headers[HTTP_HEADERS_SENT_MAX + 3];
        size_t n_headers;
} Filled;

static void filled_done(Filled *f) {
        free(f->path);
        wipe(f->body);
        wipe(f->cookies);
        for (size_t i = 0; i < ELEMENTSOF(f->values); i++)
                wipe(f->values[i]);
}

static int fill_headers(const HttpJourney *j, const HttpCall *call, Filled *f) {
        for (size_t i = 0; i < call->n_headers; i++) {
                f->headers[i] = call->headers[i];
                /* The first ones are those of the configuration, in its order; what a secret or
                 * ourselves say is no template. */
                if (i >= call->config->n_headers || !call->config->headers[i].value)
                        continue;
                int r = fill(j, call->headers[i].value, HTTP_FORM_PLAIN, HTTP_REQUEST_MAX,
                             &f->values[i]);

                if (r < 0)
                        return r;
                f->headers[i].value = f->values[i];
        }
        f->n_headers = call->n_headers;
        if (f->cookies)
                f->headers[f->n_headers++] = (HttpHeader){ "Cookie", f->cookies };
        return 0;
}

int http_journey_build(const HttpJourney *j, const HttpCall *call, const TargetConfig *target,
                       HttpRequest *ret) {
        _cleanup_(filled_done) Filled f = {};
        Slice body = call->body;
        int r;

        r = fill(j, call->config->path, HTTP_FORM_PERCENT, HTTP_REQUEST_MAX, &f.path);
        if (r >= 0)
                r = make_cookies(j, &f.cookies);
        if (r >= 0)
                r = fill_headers(j, call, &f);
        if (r >= 0 && call->config->body) {
                r = fill(j, call->config->body, form_of(call->config->content_type),
                         HTTP_REQUEST_BODY_MAX, &f.body);
                if (r >= 0)
                        body = (Slice){ .p = f.body, .n = strlen(f.body) };
        }
        if (r < 0)
                return r;
        return http_request_build(ret, target,
                                  &(HttpRequestParts){ .method = call->config->method,
                                                       .path = f.path,
                                                       .accept = ACCEPT,
                                                       .headers = f.headers,
                                                       .n_headers = f.n_headers,
                                                       .body = body,
                                                       .keep = true });
}

const char *http_journey_secret(const HttpJourney *j, size_t i) {
        if (i < j->n_taken)
                return j->taken[i].value;
        return i - j->n_taken < j->n_cookies ? j->cookies[i - j->n_taken].value : NULL;
}
