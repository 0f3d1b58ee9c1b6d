#include <errno.h>
#include <strings.h>

#include "api_internal.h"
#include "number.h"

typedef struct Route {
        const char *method;
        const char *path; /* '*' stands for one segment: a name or an id */
        bool socket_only; /* writes: whoever may connect to the unix socket may write */
        RouteHandler handler;
} Route;

static const Route routes[] = {
        { "GET", "/livez", false, api_get_livez },
        { "GET", "/readyz", false, api_get_readyz },
        { "GET", "/metrics", false, api_get_metrics },
        { "GET", "/api/v1/services", false, api_get_services },
        { "GET", "/api/v1/services/*", false, api_get_service },
        { "GET", "/api/v1/services/*/explain", false, api_get_explain },
        { "GET", "/api/v1/operations", false, api_get_operations },
        { "GET", "/api/v1/operations/*", false, api_get_operation },
        { "GET", "/api/v1/events", false, api_get_events },
        { "POST", "/api/v1/services/*/rollback", true, api_post_rollback },
        { "POST", "/api/v1/services/*/restore", true, api_post_restore },
};

static const char *status_title(unsigned status) {
        static const struct {
                unsigned status;
                const char *title;
        } titles[] = {
                { 400, "Bad request" },
                { 403, "Forbidden" },
                { 404, "Not found" },
                { 405, "Method not allowed" },
                { 409, "Conflict" },
                { 412, "Precondition failed" },
                { 413, "Content too large" },
                { 415, "Unsupported media type" },
                { 422, "Unprocessable content" },
                { 500, "Internal error" },
                { 503, "Service unavailable" },
        };

        for (size_t i = 0; i < ELEMENTSOF(titles); i++)
                if (titles[i].status == status)
                        return titles[i].title;
        return "Error";
}

static void answer_body(HttpAnswer *ret, unsigned status, const char *type, char *body) {
        ret->status = body ? status : 500;
        ret->content_type = type;
        ret->body = body;
        ret->body_size = body ? strlen(body) : 0;
}

void api_answer_json(HttpAnswer *ret, unsigned status, Json *value) {
        answer_body(ret, status, "application/json", value ? json_text(value) : NULL);
        json_free(value);
}

void api_answer_text(HttpAnswer *ret, unsigned status, const char *text) {
        answer_body(ret, status, "text/plain; charset=utf-8", strdup(text));
}

void api_answer_problem(HttpAnswer *ret, unsigned status, const char *detail) {
        _cleanup_(json_freep) Json *problem = json_new_object();

        if (problem) {
                json_set_text(problem, "type", "about:blank");
                json_set_text(problem, "title", status_title(status));
                json_set_u64(problem, "status", status);
                json_set_text(problem, "detail", detail);
        }
        answer_body(ret, status, "application/problem+json", problem ? json_text(problem) : NULL);
}

bool api_read_number(const HttpCall *call, const char *name, uint64_t least, uint64_t most,
                     uint64_t fallback, uint64_t *ret, HttpAnswer *answer) {
        const char *text = http_call_query(call, name);
        STRBUF(words, 128);

        *ret = fallback;
        if (!text ||
            (number_parse_u64(text, strlen(text), ret) == 0 && *ret >= least && *ret <= most))
                return true;
        strbuf_add(&words, name);
        strbuf_add(&words, " must be a number from ");
        strbuf_add_u64(&words, least);
        strbuf_add(&words, " to ");
        strbuf_add_u64(&words, most);
        api_answer_problem(answer, 400, words.text);
        return false;
}

/* Matches a path; the segment at '*' is copied. Returns false also for a segment that no name can
 * be. */
static bool path_matches(const char *pattern, const char *path, char argument[static NAME_SIZE]) {
        argument[0] = '\0';
        while (*pattern != '\0') {
                if (*pattern == '*') {
                        size_t n = strcspn(path, "/");

                        if (n == 0 || n >= NAME_SIZE)
                                return false;
                        memcpy(argument, path, n);
                        argument[n] = '\0';
                        path += n;
                        pattern++;
                } else if (*pattern++ != *path++)
                        return false;
        }
        return *path == '\0';
}

/* A page of another site must not reach us through a name that it points at 127.0.0.1. */
static bool host_is_local(const char *host) {
        static const char *const names[] = { "localhost", "127.0.0.1", "[::1]" };

        for (size_t i = 0; host && i < ELEMENTSOF(names); i++) {
                size_t n = strlen(names[i]);

                if (strncasecmp(host, names[i], n) == 0 && (host[n] == '\0' || host[n] == ':'))
                        return true;
        }
        return false;
}

void api_handle(void *userdata, const HttpCall *call, HttpAnswer *ret) {
        Api *a = userdata;
        char argument[NAME_SIZE];
        const Route *other = NULL;

        if (!call->local && !host_is_local(call->host)) {
                api_answer_problem(ret, 403,
                                   "the Host header must name localhost, 127.0.0.1 or [::1]");
                return;
        }
        for (size_t i = 0; i < ELEMENTSOF(routes); i++) {
                if (!path_matches(routes[i].path, call->path, argument))
                        continue;
                other = &routes[i];
                if (!streq(other->method, call->method))
                        continue;
                if (other->socket_only && !call->local)
                        api_answer_problem(
                                ret, 403,
                                "writes are taken over the unix socket only; use rollbackctl");
                else
                        other->handler(a, call, argument, ret);
                return;
        }
        if (other) {
                api_answer_problem(ret, 405, "this path does not take that method");
                ret->allow = streq(other->method, "GET") ? "GET, HEAD" : other->method;
        } else
                api_answer_problem(ret, 404,
                                   "there is no such path; services are at /api/v1/services");
}

int api_new(Api **ret, const ApiOwner *owner) {
        Api *a = calloc(1, sizeof *a);

        if (!a)
                return -ENOMEM;
        a->owner = *owner;
        *ret = a;
        return 0;
}

Api *api_free(Api *a) {
        if (!a)
                return NULL;
        for (size_t i = 0; i < ELEMENTSOF(a->lookups); i++)
                http_pending_free(a->lookups[i].pending);
        json_free(a->operations);
        json_free(a->events);
        free(a);
        return NULL;
}

void api_set_recent(Api *a, Json *operations, Json *events) {
        json_free(a->operations);
        json_free(a->events);
        a->operations = operations;
        a->events = events;
}
