#include <errno.h>

#include "http_server_internal.h"
#include "number.h"

/* One request while it comes in. */
typedef struct Request {
        char *body; /* HTTP_SERVER_BODY_MAX + 1 bytes at the first piece, NUL-terminated */
        size_t body_size;
        size_t swallowed;     /* bytes beyond the limit */
        HttpPending *pending; /* while the answer is awaited, else NULL */
        Door *door;           /* of a suspended connection, else NULL */
        Peer *peer;
        bool answered; /* `answer` came later and is to be sent */
        HttpAnswer answer;
} Request;

/* Outlives the request when the connection ends first. */
struct HttpPending {
        Request *request; /* NULL: nobody waits any more */
};

static const char *request_header(struct MHD_Connection *connection, const char *name) {
        return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

static bool add_security_headers(struct MHD_Response *response) {
        static const char *const headers[][2] = {
                { "X-Content-Type-Options", "nosniff" },
                { "Cache-Control", "no-store" },
                { "Content-Security-Policy", "default-src 'none'" },
        };

        for (size_t i = 0; i < ELEMENTSOF(headers); i++)
                if (MHD_add_response_header(response, headers[i][0], headers[i][1]) != MHD_YES)
                        return false;
        return true;
}

static bool add_header(struct MHD_Response *response, const char *name, const char *value) {
        return !value || !*value || MHD_add_response_header(response, name, value) == MHD_YES;
}

/* Takes the answer's body over. MHD_NO closes the connection. */
static enum MHD_Result send_answer(struct MHD_Connection *connection, HttpAnswer *answer,
                                   bool last) {
        struct MHD_Response *response;
        enum MHD_Result result = MHD_NO;
        STRBUF(retry_after, 24);

        if (answer->retry_after > 0)
                strbuf_add_u64(&retry_after, answer->retry_after);
        response = MHD_create_response_from_buffer(
                answer->body ? answer->body_size : 0, answer->body,
                answer->body ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
        if (!response) {
                free(answer->body);
                return MHD_NO;
        }
        if (add_security_headers(response) &&
            add_header(response, "Content-Type", answer->content_type) &&
            add_header(response, "Allow", answer->allow) &&
            add_header(response, "ETag", answer->etag) &&
            add_header(response, "Retry-After", retry_after.text) &&
            add_header(response, "Connection", last ? "close" : NULL))
                result = MHD_queue_response(connection, answer->status, response);
        MHD_destroy_response(response);
        return result;
}

/* What is wrong with the request itself, before any route sees it; the connection ends with it. */
static enum MHD_Result refuse(struct MHD_Connection *connection, unsigned status, const char *title,
                              const char *detail) {
        HttpAnswer answer = { .status = status, .content_type = "application/problem+json" };
        STRBUF(text, 512);

        strbuf_add(&text, "{\"type\":\"about:blank\",\"title\":\"");
        strbuf_add(&text, title);
        strbuf_add(&text, "\",\"status\":");
        strbuf_add_u64(&text, status);
        strbuf_add(&text, ",\"detail\":\"");
        strbuf_add(&text, detail);
        strbuf_add(&text, "\"}\n");
        answer.body = malloc(text.length);
        if (!answer.body)
                return MHD_NO;
        memcpy(answer.body, text.text, text.length);
        answer.body_size = text.length;
        return send_answer(connection, &answer, true);
}

/* Headers of which a request has one at most: two of them are how requests are smuggled. */
static const char *const single_headers[] = {
        MHD_HTTP_HEADER_HOST,     MHD_HTTP_HEADER_CONTENT_LENGTH, MHD_HTTP_HEADER_TRANSFER_ENCODING,
        MHD_HTTP_HEADER_IF_MATCH, MHD_HTTP_HEADER_CONTENT_TYPE,   MHD_HTTP_HEADER_ORIGIN,
};

typedef struct HeaderCount {
        unsigned seen[ELEMENTSOF(single_headers)];
        bool twice;
} HeaderCount;

static enum MHD_Result count_header(void *cls, _unused_ enum MHD_ValueKind kind, const char *key,
                                    _unused_ const char *value) {
        HeaderCount *count = cls;

        for (size_t i = 0; i < ELEMENTSOF(single_headers); i++)
                if (strcasecmp(key, single_headers[i]) == 0 && ++count->seen[i] > 1)
                        count->twice = true;
        return MHD_YES;
}

/* A raw NUL ends the path early for us, but not for libmicrohttpd, which parses the line by length:
 * then the version does not come right behind the path's end. */
static bool line_has_nul(const Peer *peer, const char *version) {
        uintptr_t end = (uintptr_t)peer->path_end, next = (uintptr_t)version;

        return next > end + 1 && next - end <= HTTP_SERVER_HEADER_MAX;
}

/* Judges the head of a request. Answers and returns MHD_YES or MHD_NO through *ret_result when it
 * is refused. */
static bool request_is_refused(struct MHD_Connection *connection, const char *version,
                               enum MHD_Result *ret_result) {
        const char *length = request_header(connection, MHD_HTTP_HEADER_CONTENT_LENGTH);
        const char *encoding = request_header(connection, MHD_HTTP_HEADER_TRANSFER_ENCODING);
        Peer *peer = http_peer_of(connection);
        HeaderCount count = { 0 };
        uint64_t n = 0;

        (void)MHD_get_connection_values(connection, MHD_HEADER_KIND, count_header, &count);
        if (!peer)
                *ret_result = MHD_NO;
        else if (peer->bad_path || line_has_nul(peer, version))
                *ret_result = refuse(connection, 400, "Bad Request",
                                     "the path or the query has an invalid escape or a NUL");
        else if (count.twice)
                *ret_result = refuse(connection, 400, "Bad Request",
                                     "a header that must be single is there twice");
        else if (length && encoding)
                *ret_result = refuse(connection, 400, "Bad Request",
                                     "Content-Length and Transfer-Encoding exclude each other");
        else if (encoding && strcasecmp(encoding, "chunked") != 0)
                *ret_result = refuse(connection, 501, "Not Implemented",
                                     "the only Transfer-Encoding known is chunked");
        else if (length && number_parse_u64(length, strlen(length), &n) < 0)
                *ret_result = refuse(connection, 400, "Bad Request",
                                     "Content-Length is not a number");
        else if (n > HTTP_SERVER_BODY_MAX)
                *ret_result = refuse(connection, 413, "Content Too Large",
                                     "a body may have 65536 bytes");
        else
                return false;
        return true;
}

/* Keeps a piece of the body, or throws it away beyond the limit; there the sender still hears 413
 * at the end. */
static enum MHD_Result request_take_body(Request *q, const char *piece, size_t *size) {
        size_t n = *size;

        *size = 0;
        if (q->swallowed > 0 || n > HTTP_SERVER_BODY_MAX - q->body_size) {
                q->swallowed += n;
                return q->swallowed > HTTP_SERVER_SWALLOW_MAX ? MHD_NO : MHD_YES;
        }
        if (!q->body)
                q->body = malloc(HTTP_SERVER_BODY_MAX + 1);
        if (!q->body)
                return MHD_NO;
        memcpy(q->body + q->body_size, piece, n);
        q->body_size += n;
        q->body[q->body_size] = '\0';
        return MHD_YES;
}

HttpPending *http_call_postpone(const HttpCall *call) {
        Request *q = call->request;

        q->pending = malloc(sizeof *q->pending);
        if (q->pending)
                q->pending->request = q;
        return q->pending;
}

/* libmicrohttpd then asks for the answer once more, when it is run: it wakes nobody by itself. */
void http_pending_answer(HttpPending *pending, const HttpAnswer *answer) {
        Request *q = pending->request;

        free(pending);
        if (!q) {
                free(answer->body);
                return;
        }
        q->pending = NULL;
        q->answer = *answer;
        q->answered = true;
        if (q->door) {
                MHD_resume_connection(TAKE_PTR(q->peer->suspended));
                loop_timer_set(q->door->timer, loop_now(q->door->server->loop));
        }
}

HttpPending *http_pending_free(HttpPending *pending) {
        if (pending)
                http_pending_answer(pending, &(HttpAnswer){ .status = 500 });
        return NULL;
}

static enum MHD_Result send_postponed(struct MHD_Connection *connection, Request *q) {
        HttpAnswer answer = q->answer;

        q->answer.body = NULL;
        return send_answer(connection, &answer, false);
}

static void request_free(Request *q) {
        if (q->pending)
                q->pending->request = NULL;
        free(q->answer.body);
        free(q->body);
        free(q);
}

/* HEAD is GET to the handler; libmicrohttpd leaves the body out. */
static enum MHD_Result request_answer(Door *d, struct MHD_Connection *connection,
                                      const char *method, const char *path, Request *q) {
        Peer *peer = http_peer_of(connection);
        HttpAnswer answer = { .status = 500 };
        HttpCall call = {
                .method = streq(method, MHD_HTTP_METHOD_HEAD) ? MHD_HTTP_METHOD_GET : method,
                .path = path,
                .if_match = request_header(connection, MHD_HTTP_HEADER_IF_MATCH),
                .content_type = request_header(connection, MHD_HTTP_HEADER_CONTENT_TYPE),
                .host = request_header(connection, MHD_HTTP_HEADER_HOST),
                .origin = request_header(connection, MHD_HTTP_HEADER_ORIGIN),
                .body = q->body ? q->body : "",
                .body_size = q->body_size,
                .local = d->local,
                .peer_uid = peer ? peer->uid : (uid_t)-1,
                .query = connection,
                .request = q,
        };

        d->server->handler(d->server->userdata, &call, &answer);
        if (!q->pending && !q->answered)
                return send_answer(connection, &answer, false);
        free(answer.body);
        if (q->answered)
                return send_postponed(connection, q);
        q->door = d;
        q->peer = peer;
        peer->suspended = connection;
        MHD_suspend_connection(connection);
        return MHD_YES;
}

/* The first call of a request has its head only, the next ones each a piece of its body, the last
 * one nothing more. A postponed answer makes one more of them. */
enum MHD_Result http_request_on_access(void *cls, struct MHD_Connection *connection,
                                       const char *url, const char *method, const char *version,
                                       const char *upload, size_t *upload_size, void **context) {
        Request *q = *context;
        enum MHD_Result result;

        if (!q) {
                q = *context = calloc(1, sizeof *q);
                if (!q)
                        return MHD_NO;
                return request_is_refused(connection, version, &result) ? result : MHD_YES;
        }
        if (*upload_size > 0)
                return request_take_body(q, upload, upload_size);
        if (q->swallowed > 0)
                return refuse(connection, 413, "Content Too Large", "a body may have 65536 bytes");
        if (q->answered)
                return send_postponed(connection, q);
        return request_answer(cls, connection, method, url, q);
}

void http_request_on_completed(void *cls, struct MHD_Connection *connection, void **context,
                               _unused_ enum MHD_RequestTerminationCode code) {
        Door *d = cls;
        Request *q = *context;
        Peer *p = http_peer_of(connection);

        if (q) {
                request_free(q);
                *context = NULL;
        }
        if (p && p->fd >= 0 && p->since != USEC_INFINITY) {
                p->since = loop_now(d->server->loop);
                p->idle = true;
        }
}

void *http_request_on_line(void *cls, const char *uri, struct MHD_Connection *connection) {
        Door *d = cls;
        Peer *p = http_peer_of(connection);

        if (p && p->idle && p->since != USEC_INFINITY)
                p->since = loop_now(d->server->loop);
        if (p) {
                p->idle = false;
                p->bad_path = false;
                p->path_end = uri + strlen(uri);
        }
        return NULL;
}

static int hex_value(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;
        return -1;
}

size_t http_request_on_unescape(_unused_ void *cls, struct MHD_Connection *connection, char *text) {
        Peer *p = http_peer_of(connection);
        char *out = text;

        for (const char *in = text; *in; in++) {
                int high, low;

                if (*in != '%') {
                        *out++ = *in;
                        continue;
                }
                high = hex_value(in[1]);
                low = high < 0 ? -1 : hex_value(in[2]);
                if (low < 0 || (high == 0 && low == 0)) {
                        if (p)
                                p->bad_path = true;
                        *out++ = '%';
                        continue;
                }
                *out++ = (char)(high * 16 + low);
                in += 2;
        }
        *out = '\0';
        return (size_t)(out - text);
}

const char *http_call_query(const HttpCall *call, const char *name) {
        const char *value = NULL;

        if (MHD_lookup_connection_value_n((struct MHD_Connection *)call->query,
                                          MHD_GET_ARGUMENT_KIND, name, strlen(name), &value,
                                          NULL) != MHD_YES)
                return NULL;
        return value ? value : "";
}
