/* probe_http_call.c: makes ready what all targets of an http probe share: secrets, expressions, the
 * names of wanted headers, and for a single request its text. */
#include <errno.h>

#include "digest.h"
#include "probe_http_internal.h"

#define ACCEPT "*/*"

static void call_done(HttpCall *c) {
        for (size_t i = 0; i < c->n_secrets; i++) {
                digest_wipe(c->secrets[i], strlen(c->secrets[i]));
                free(c->secrets[i]);
        }
        for (size_t i = 0; i < ELEMENTSOF(c->header_matches); i++)
                pattern_free(c->header_matches[i]);
        for (size_t i = 0; i < ELEMENTSOF(c->take_matches); i++)
                pattern_free(c->take_matches[i]);
        pattern_free(c->body_matches);
        free(c->fallback);
}

HttpShared *http_shared_free(HttpShared *s) {
        if (!s)
                return NULL;
        for (size_t i = 0; i < s->n_calls; i++)
                call_done(&s->calls[i]);
        free(s->calls);
        for (size_t i = 0; s->requests && i < s->n_requests; i++)
                digest_wipe(s->requests[i].text, s->requests[i].length);
        http_requests_free(s->requests, s->n_requests);
        http_tls_free(s->tls);
        free(s);
        return NULL;
}

/* Reads a secret. Returns it, owned by the call, or NULL after saying why in s->unready. */
static const char *read_secret(HttpShared *s, HttpCall *c, const char *directory,
                               const char *name) {
        STRBUF(error, 512);
        char *text;

        if (config_read_secret(directory, name, &text, &error) < 0) {
                StrBuf b;

                strbuf_init(&b, s->unready, sizeof s->unready);
                strbuf_add(&b, error.text);
                return NULL;
        }
        c->secrets[c->n_secrets++] = text;
        return text;
}

static void refuse_secret(HttpShared *s, const char *name, const char *words) {
        StrBuf b;

        strbuf_init(&b, s->unready, sizeof s->unready);
        strbuf_add(&b, "secret ");
        strbuf_add(&b, name);
        strbuf_add(&b, words);
}

static bool has_control(const char *text) {
        for (; *text; text++)
                if (((unsigned char)*text < 0x20 && *text != '\t') || *text == 0x7f)
                        return true;
        return false;
}

static void make_headers(HttpShared *s, HttpCall *c, const char *directory) {
        const HttpCallConfig *config = c->config;

        for (size_t i = 0; i < config->n_headers; i++) {
                const HttpHeaderConfig *h = &config->headers[i];
                const char *value = h->value ?: read_secret(s, c, directory, h->value_file);

                if (!h->value && value && has_control(value)) {
                        refuse_secret(s, h->value_file,
                                      " has a line end or another control character, which no "
                                      "header may have");
                        value = NULL;
                }
                c->headers[c->n_headers++] = (HttpHeader){ h->name, value ?: "" };
        }
        if (config->content_type)
                c->headers[c->n_headers++] = (HttpHeader){ "Content-Type", config->content_type };
        if (c->keep > 0 || c->text_length > 0)
                c->headers[c->n_headers++] = (HttpHeader){ "Accept-Encoding", "identity" };
}

static void make_body(HttpShared *s, HttpCall *c, const char *directory) {
        const char *body = c->config->body;

        if (c->config->body_file)
                body = read_secret(s, c, directory, c->config->body_file);
        if (body)
                c->body = (Slice){ .p = body, .n = strlen(body) };
        if (c->body.n > HTTP_REQUEST_BODY_MAX)
                refuse_secret(s, c->config->body_file, " is longer than 64 KiB");
}

/* Adds a name that may be there already. Returns its place. */
static size_t want(HttpCall *c, const char *name) {
        for (size_t i = 0; i < c->n_wanted; i++)
                if (strcasecmp(c->wanted[i], name) == 0)
                        return i;
        assert(c->n_wanted < ELEMENTSOF(c->wanted));
        c->wanted[c->n_wanted] = name;
        return c->n_wanted++;
}

static void make_wanted(HttpCall *c, bool journey) {
        const HttpCallConfig *config = c->config;

        for (size_t i = 0; i < config->n_expect_headers; i++)
                c->expected_as[i] = want(c, config->expect_headers[i].name);
        for (size_t i = 0; i < config->n_take; i++)
                c->taken_as[i] = config->take[i].header ? want(c, config->take[i].header) :
                                                          SIZE_MAX;
        /* A version has room in the usual line. */
        c->line_size = c->n_wanted > 0 || journey ? HTTP_WANTED_LINE_MAX : 0;
        c->version_as = config->version_header ? want(c, config->version_header) : SIZE_MAX;
        c->cookie_as = journey ? want(c, "Set-Cookie") : SIZE_MAX;
}

static int make_pattern(Pattern **ret, const char *text) {
        return text ? pattern_new_search(ret, text, NULL, NULL, 0) : 0;
}

static int make_patterns(HttpCall *c) {
        const HttpCallConfig *config = c->config;
        int r = make_pattern(&c->body_matches, config->body_matches);

        for (size_t i = 0; r >= 0 && i < config->n_expect_headers; i++)
                r = make_pattern(&c->header_matches[i], config->expect_headers[i].matches);
        for (size_t i = 0; r >= 0 && i < config->n_take; i++)
                r = make_pattern(&c->take_matches[i], config->take[i].matches);
        return r;
}

static int make_search(HttpCall *c) {
        const char *text = c->config->expect_body;
        uint32_t matched = 0;

        if (!text)
                return 0;
        c->text_length = strlen(text);
        c->fallback = calloc(c->text_length + 1, sizeof *c->fallback);
        if (!c->fallback)
                return -ENOMEM;
        for (size_t i = 1; i < c->text_length; i++) {
                while (matched > 0 && text[i] != text[matched])
                        matched = c->fallback[matched - 1];
                if (text[i] == text[matched])
                        matched++;
                c->fallback[i] = matched;
        }
        return 0;
}

/* How much of the body is kept: all of it as JSON, the beginning for expressions. */
static void make_keep(HttpCall *c, uint64_t max_body) {
        const HttpCallConfig *config = c->config;
        bool search = config->body_matches;

        c->json = config->n_json > 0 || config->version_pointer;
        for (size_t i = 0; i < config->n_take; i++) {
                c->json |= config->take[i].pointer != NULL;
                search |= config->take[i].matches != NULL;
        }
        if (c->json)
                c->keep = (size_t)MIN(max_body, HTTP_JSON_BODY_MAX);
        else if (search)
                c->keep = PATTERN_SEARCH_MAX;
}

static int call_init(HttpShared *s, HttpCall *c, const HttpCallConfig *config,
                     const ProbeTools *tools, const ProbeConfig *probe) {
        int r;

        c->config = config;
        make_keep(c, probe->max_body);
        make_wanted(c, probe->http.n_steps > 0);
        r = make_search(c);
        if (r >= 0)
                r = make_patterns(c);
        if (r < 0)
                return r;
        make_headers(s, c, tools->secrets);
        make_body(s, c, tools->secrets);
        return 0;
}

/* The text of a single request never changes. */
static int make_requests(HttpShared *s, const ProbeConfig *config) {
        const HttpCall *c = &s->calls[0];
        int r = http_requests_new(&s->requests, config,
                                  &(HttpRequestParts){ .method = c->config->method,
                                                       .accept = ACCEPT,
                                                       .headers = c->headers,
                                                       .n_headers = c->n_headers,
                                                       .body = c->body,
                                                       .keep = config->reuse > 0 });

        /* The rest has been looked at when the policy was read. */
        if (r == -E2BIG && c->n_secrets > 0) {
                refuse_secret(s, "of a header", " makes the request longer than 8 KiB");
                return 0;
        }
        if (r >= 0)
                s->n_requests = config->n_targets;
        return r;
}

int http_shared_new(HttpShared **ret, const ProbeTools *tools, const ProbeConfig *config) {
        _cleanup_(http_shared_freep) HttpShared *s = calloc(1, sizeof *s);
        const HttpCallConfig *calls = config->http.n_steps > 0 ? config->http.steps :
                                                                 &config->http.call;
        size_t n = MAX(config->http.n_steps, (size_t)1);
        int r;

        if (!s)
                return -ENOMEM;
        s->calls = calloc(n, sizeof *s->calls);
        if (!s->calls)
                return -ENOMEM;
        s->n_calls = n;
        for (size_t i = 0; i < n; i++) {
                r = call_init(s, &s->calls[i], &calls[i], tools, config);
                if (r < 0)
                        return r;
        }
        r = http_tls_new(&s->tls, tools, config);
        if (r >= 0 && config->http.n_steps == 0 && !s->unready[0])
                r = make_requests(s, config);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}
