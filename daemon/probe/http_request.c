#include <errno.h>

#include "http_request.h"

#define CLOSE "Connection: close\r\n"

/* A blank or a line end in a path or a host would write the request anew. */
static bool is_plain(const char *text) {
        for (; *text; text++)
                if (*text <= 0x20 || *text >= 0x7f)
                        return false;
        return true;
}

static bool is_token(const char *text) {
        static const char signs[] = "!#$%&'*+-.^_`|~";

        if (!*text)
                return false;
        for (; *text; text++)
                if (!(*text >= 'a' && *text <= 'z') && !(*text >= 'A' && *text <= 'Z') &&
                    !(*text >= '0' && *text <= '9') && !memchr(signs, *text, sizeof signs - 1))
                        return false;
        return true;
}

static bool is_value(const char *text) {
        for (; *text; text++)
                if ((unsigned char)*text < 0x20 ? *text != '\t' : *text == 0x7f)
                        return false;
        return true;
}

static bool has_header(const HttpRequestParts *parts, const char *name) {
        for (size_t i = 0; i < parts->n_headers; i++)
                if (strcasecmp(parts->headers[i].name, name) == 0)
                        return true;
        return false;
}

static void add_header(StrBuf *b, const char *name, const char *value) {
        strbuf_add(b, name);
        strbuf_add(b, ": ");
        strbuf_add(b, value);
        strbuf_add(b, "\r\n");
}

static void add_host(StrBuf *b, const TargetConfig *target) {
        bool brackets = strchr(target->host, ':');

        strbuf_add(b, brackets ? "Host: [" : "Host: ");
        strbuf_add(b, target->host);
        strbuf_add(b, brackets ? "]" : "");
        if (target->port != (target->tls ? 443 : 80)) {
                strbuf_add(b, ":");
                strbuf_add_u64(b, target->port);
        }
        strbuf_add(b, "\r\n");
}

static int check_parts(const TargetConfig *target, const HttpRequestParts *parts) {
        const char *path = parts->path ?: target->path;

        if (!is_plain(target->host) || !is_plain(path) || path[0] != '/' ||
            !is_token(parts->method ?: "GET"))
                return -EINVAL;
        for (size_t i = 0; i < parts->n_headers; i++) {
                const HttpHeader *h = &parts->headers[i];

                if (!is_token(h->name) || !is_value(h->value) || http_header_frames(h->name))
                        return -EINVAL;
        }
        return parts->body.n > HTTP_REQUEST_BODY_MAX ? -E2BIG : 0;
}

static bool wants_length(const char *method, Slice body) {
        return body.n > 0 || streq(method, "POST") || streq(method, "PUT") ||
               streq(method, "PATCH");
}

/* The line and the headers, without the empty line. */
static void add_head(StrBuf *b, const TargetConfig *target, const HttpRequestParts *parts) {
        const char *method = parts->method ?: "GET";

        strbuf_add(b, method);
        strbuf_add_char(b, ' ');
        strbuf_add(b, parts->path ?: target->path);
        strbuf_add(b, " HTTP/1.1\r\n");
        if (!has_header(parts, "Host"))
                add_host(b, target);
        if (!has_header(parts, "User-Agent"))
                add_header(b, "User-Agent", "rollbackd/" ROLLBACKD_VERSION);
        if (!has_header(parts, "Accept"))
                add_header(b, "Accept", parts->accept);
        for (size_t i = 0; i < parts->n_headers; i++)
                add_header(b, parts->headers[i].name, parts->headers[i].value);
        if (wants_length(method, parts->body)) {
                strbuf_add(b, "Content-Length: ");
                strbuf_add_u64(b, parts->body.n);
                strbuf_add(b, "\r\n");
        }
        if (!parts->keep)
                strbuf_add(b, CLOSE);
}

static bool slice_starts_with(Slice s, const char *text) {
        return s.n >= strlen(text) && memcmp(s.p, text, strlen(text)) == 0;
}

/* Joins the headers, what is added to them, and the rest. */
static int join(HttpRequest *ret, Slice headers, const char *more, Slice rest) {
        size_t n = strlen(more);
        char *text = malloc(headers.n + n + rest.n);

        if (!text)
                return -ENOMEM;
        memcpy(text, headers.p, headers.n);
        memcpy(text + headers.n, more, n);
        if (rest.n > 0)
                memcpy(text + headers.n + n, rest.p, rest.n);
        *ret = (HttpRequest){ .text = text,
                              .length = headers.n + n + rest.n,
                              .headers_length = headers.n,
                              .head = slice_starts_with(headers, "HEAD "),
                              .once = slice_starts_with(headers, "POST ") };
        return 0;
}

int http_request_build(HttpRequest *ret, const TargetConfig *target,
                       const HttpRequestParts *parts) {
        STRBUF(b, HTTP_REQUEST_MAX);
        int r = check_parts(target, parts);

        if (r < 0)
                return r;
        add_head(&b, target, parts);
        if (b.overflow)
                return -E2BIG;
        return join(ret, (Slice){ .p = b.text, .n = b.length }, "\r\n", parts->body);
}

int http_request_build_last(HttpRequest *ret, const HttpRequest *request) {
        Slice headers = { .p = request->text, .n = request->headers_length };
        Slice rest = { .p = request->text + headers.n, .n = request->length - headers.n };

        return join(ret, headers, CLOSE, rest);
}

void http_request_done(HttpRequest *r) {
        free(r->text);
        *r = (HttpRequest){};
}

static bool is_secret(Slice line) {
        static const char *const names[] = { "Authorization:", "Proxy-Authorization:", "Cookie:",
                                             "X-Api-Key:" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (line.n > strlen(names[i]) &&
                    strncasecmp(line.p, names[i], strlen(names[i])) == 0)
                        return true;
        return false;
}

void http_request_show(const HttpRequest *r, ProbeTrace *trace) {
        const char *p = r->text, *end = r->text + r->headers_length;

        while (p < end) {
                const char *newline = memchr(p, '\n', (size_t)(end - p));
                Slice line = { .p = p, .n = (size_t)((newline ? newline + 1 : end) - p) };
                const char *colon = memchr(p, ':', line.n);

                if (is_secret(line)) {
                        probe_trace_sent(trace, p, (size_t)(colon + 1 - p));
                        probe_trace_sent(trace, " ***\r\n", 6);
                } else
                        probe_trace_sent(trace, p, line.n);
                p += line.n;
        }
        probe_trace_sent(trace, end, r->length - r->headers_length);
}

int http_requests_new(HttpRequest **ret, const ProbeConfig *config, const HttpRequestParts *parts) {
        HttpRequest *requests = calloc(MAX(config->n_targets, (size_t)1), sizeof *requests);

        if (!requests)
                return -ENOMEM;
        for (size_t i = 0; i < config->n_targets; i++) {
                int r = http_request_build(&requests[i], &config->targets[i], parts);

                if (r < 0) {
                        http_requests_free(requests, i);
                        return r;
                }
        }
        *ret = requests;
        return 0;
}

void http_requests_free(HttpRequest *requests, size_t n) {
        for (size_t i = 0; requests && i < n; i++)
                http_request_done(&requests[i]);
        free(requests);
}
