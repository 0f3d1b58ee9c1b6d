/* probe_promql.c: asks a metrics store (Prometheus, Thanos, Mimir, VictoriaMetrics) for one number,
 * by an instant query over libcurl. */
#include <errno.h>
#include <time.h>

#include "digest.h"
#include "promql_answer.h"

#define QUERY_PATH "/api/v1/query"
/* libcurl ends a little before the prober does, and tells what it was waiting for. */
#define AHEAD_MAX (50 * USEC_PER_MSEC)
/* Of one probe in flight: a connection, what libcurl wakes itself with, and its resolver's. */
#define DESCRIPTORS 5

typedef struct PromqlShared {
        HttpClient *client; /* its own, so that nobody waits for another's slow store */
        char *url;
        char *body, *age_body; /* the query, and that for the times of its samples */
} PromqlShared;

typedef struct PromqlRun {
        HttpRequest *request; /* NULL: none now */
        const ProbeTools *tools;
        const PromqlShared *shared;
        usec_t end;         /* of the time for the store */
        ProbeResult result; /* the number, while the age of its samples is asked */
        const PromqlConfig *config;
        ProbeTrace *trace;
        void (*done)(void *userdata, const ProbeResult *result);
        void *userdata;
} PromqlRun;

/* Whole headers, to be wiped. */
typedef struct Headers {
        char *tenant, *authorization;
} Headers;

static void headers_done(Headers *h) {
        if (h->authorization)
                digest_wipe(h->authorization, strlen(h->authorization));
        free(h->authorization);
        free(h->tenant);
}

static void promql_release(void *shared) {
        PromqlShared *s = shared;

        if (!s)
                return;
        http_client_free(s->client);
        free(s->url);
        free(s->body);
        free(s->age_body);
        free(s);
}
DEFINE_CLEANUP(PromqlShared *, promql_release);

static void add_encoded(StrBuf *b, const char *text) {
        static const char digits[] = "0123456789ABCDEF";

        for (; *text; text++) {
                unsigned char c = (unsigned char)*text;

                if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    strchr("-._~", c)) {
                        strbuf_add_char(b, *text);
                        continue;
                }
                strbuf_add_char(b, '%');
                strbuf_add_char(b, digits[c >> 4]);
                strbuf_add_char(b, digits[c & 15]);
        }
}

static usec_t time_for_store(const ProbeConfig *config) {
        return config->timeout - MIN(config->timeout / 10, AHEAD_MAX);
}

/* No `time`: the answer's own then shows the store's clock. A store that does not know
 * lookback_delta looks back as far as it is configured to. */
static char *make_body(const ProbeConfig *config, const char *before, const char *behind) {
        size_t size = 3 * (strlen(before) + strlen(config->promql.query) + strlen(behind)) + 128;
        char *text = malloc(size);
        StrBuf b;

        if (!text)
                return NULL;
        strbuf_init(&b, text, size);
        strbuf_add(&b, "query=");
        add_encoded(&b, before);
        add_encoded(&b, config->promql.query);
        add_encoded(&b, behind);
        strbuf_add(&b, "&timeout=");
        strbuf_add_u64(&b, MAX(time_for_store(config) / USEC_PER_MSEC, (usec_t)1));
        strbuf_add(&b, "ms&lookback_delta=");
        strbuf_add_u64(&b, config->promql.max_age / USEC_PER_MSEC);
        strbuf_add(&b, "ms");
        assert(!b.overflow);
        return text;
}

static char *make_url(const char *base) {
        size_t n = strlen(base), size = n + sizeof QUERY_PATH;
        char *text = malloc(size);
        StrBuf b;

        if (!text)
                return NULL;
        while (n > 0 && base[n - 1] == '/')
                n--;
        strbuf_init(&b, text, size);
        strbuf_add_n(&b, base, n);
        strbuf_add(&b, QUERY_PATH);
        return text;
}

static int promql_prepare(const ProbeTools *tools, const ProbeConfig *config, void **ret_shared) {
        _cleanup_(promql_releasep) PromqlShared *s = calloc(1, sizeof *s);
        int r;

        if (!s)
                return -ENOMEM;
        s->url = make_url(config->promql.url);
        s->body = make_body(config, "", "");
        /* Of a plain selector these are the times of its samples, of all else that of the answer. A
         * comment may end the query: so the line ends. */
        s->age_body = make_body(config, "timestamp(", "\n)");
        if (!s->url || !s->body || !s->age_body)
                return -ENOMEM;
        r = http_client_new(&s->client, tools->loop, PROMQL_ANSWER_MAX);
        if (r < 0)
                return r;
        *ret_shared = TAKE_PTR(s);
        return 0;
}

static int make_header(char **ret, const char *name, const char *value) {
        size_t size = strlen(name) + strlen(value) + 1;
        StrBuf b;

        *ret = malloc(size);
        if (!*ret)
                return -ENOMEM;
        strbuf_init(&b, *ret, size);
        strbuf_add(&b, name);
        strbuf_add(&b, value);
        return 0;
}

static int make_basic(char **ret, const char *user, const char *password) {
        size_t n = strlen(user) + 1 + strlen(password), size = 4 * ((n + 2) / 3) + 1;
        char *plain = malloc(n + 1), *encoded = malloc(size);
        StrBuf b;
        int r = -ENOMEM;

        if (plain && encoded) {
                strbuf_init(&b, plain, n + 1);
                strbuf_add(&b, user);
                strbuf_add_char(&b, ':');
                strbuf_add(&b, password);
                r = digest_base64(plain, n, encoded, size);
        }
        if (r >= 0)
                r = make_header(ret, "Authorization: Basic ", encoded);
        if (plain)
                digest_wipe(plain, n + 1);
        if (encoded)
                digest_wipe(encoded, size);
        free(plain);
        free(encoded);
        return r;
}

/* The secret is read anew each time, so that a rotated one is taken up by itself. Returns 0, or a
 * negative errno with the words in *reterr. */
static int make_authorization(char **ret, const PromqlConfig *config, const char *secrets,
                              StrBuf *reterr) {
        const char *name = config->password_file ?: config->token_file;
        char *secret = NULL;
        int r;

        if (!name)
                return 0;
        r = config_read_secret(secrets, name, &secret, reterr);
        if (r < 0)
                return r;
        if (secret[strcspn(secret, "\r\n")] != '\0') {
                strbuf_add(reterr, "the secret ");
                strbuf_add(reterr, name);
                strbuf_add(reterr, " has more than one line; write the secret alone into it");
                r = -EINVAL;
        } else if (config->user)
                r = make_basic(ret, config->user, secret);
        else
                r = make_header(ret, "Authorization: Bearer ", secret);
        digest_wipe(secret, strlen(secret));
        free(secret);
        return r;
}

static void trace_request(ProbeTrace *t, const PromqlShared *shared, const PromqlConfig *config,
                          const Headers *h) {
        const char *const parts[] = {
                "POST ",
                shared->url,
                h->tenant ? "\n" : "",
                h->tenant ?: "",
                h->authorization ? "\nAuthorization: ***" : "",
                "\n\nquery=",
                config->query,
        };

        for (size_t i = 0; i < ELEMENTSOF(parts); i++)
                probe_trace_sent(t, parts[i], strlen(parts[i]));
}

static double wall_clock(void) {
        struct timespec t;

        clock_gettime(CLOCK_REALTIME, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void finish(PromqlRun *run) {
        void (*done)(void *, const ProbeResult *) = run->done;
        void *owner = run->userdata;
        ProbeResult result = run->result;

        free(run);
        done(owner, &result);
}

/* Returns 0 once the store is asked, or a negative errno with the words, if any, in *reterr. */
static int ask_store(PromqlRun *run, const char *body, HttpReplyCallback callback, StrBuf *reterr) {
        const PromqlConfig *config = run->config;
        const PromqlShared *shared = run->shared;
        const char *headers[] = { "Content-Type: application/x-www-form-urlencoded",
                                  "Accept: application/json", NULL, NULL, NULL };
        usec_t left = usec_sub(run->end, loop_now(run->tools->loop));
        Headers own = {};
        size_t n = 2;
        int r = 0;

        if (config->tenant)
                r = make_header(&own.tenant, "X-Scope-OrgID: ", config->tenant);
        if (r >= 0)
                r = make_authorization(&own.authorization, config, run->tools->secrets, reterr);
        if (r >= 0 && own.tenant)
                headers[n++] = own.tenant;
        if (r >= 0 && own.authorization)
                headers[n++] = own.authorization;
        if (r >= 0 && body == shared->body)
                trace_request(run->trace, shared, config, &own);
        if (r >= 0)
                r = http_client_post(shared->client, shared->url, headers, body, strlen(body),
                                     MAX(left, (usec_t)1), callback, run, &run->request);
        headers_done(&own);
        return r;
}

static void set_not_asked(ProbeResult *r, int error, const StrBuf *words) {
        *r = (ProbeResult){};
        if (error == -ENOMEM || error == -EAGAIN)
                probe_result_set_errno(r, ENOMEM);
        else
                probe_result_set(r, OUTCOME_LOCAL,
                                 words->length > 0 ? words->text : "the request cannot be made");
}

static void on_age(void *userdata, const HttpReply *reply) {
        PromqlRun *run = userdata;

        promql_judge_age(run->config, reply, &run->result);
        finish(run);
}

static void on_reply(void *userdata, const HttpReply *reply) {
        PromqlRun *run = userdata;
        STRBUF(words, PROBE_WORDS_SIZE);
        int r = 1;

        run->request = NULL;
        probe_trace_mark(run->trace, MOMENT_FIRST_BYTE);
        probe_trace_received(run->trace, reply->body, reply->body_size);
        if (promql_judge(run->config, reply, wall_clock(), &run->result))
                r = ask_store(run, run->shared->age_body, on_age, &words);
        if (r < 0)
                set_not_asked(&run->result, r, &words);
        if (r != 0)
                finish(run);
}

static int promql_start(const ProbeStart *start, ProbeResult *ret, void **ret_run) {
        _cleanup_(freep) PromqlRun *run = calloc(1, sizeof *run);
        STRBUF(words, PROBE_WORDS_SIZE);
        int r = -ENOMEM;

        if (run) {
                *run = (PromqlRun){ .tools = start->tools,
                                    .shared = start->shared,
                                    .config = &start->config->promql,
                                    .end = usec_add(loop_now(start->tools->loop),
                                                    time_for_store(start->config)),
                                    .trace = start->trace,
                                    .done = start->done,
                                    .userdata = start->userdata };
                r = ask_store(run, run->shared->body, on_reply, &words);
        }
        if (r < 0) {
                set_not_asked(ret, r, &words);
                return 0;
        }
        probe_trace_mark(start->trace, MOMENT_SENT);
        *ret_run = TAKE_PTR(run);
        return 1;
}

static const char *promql_waiting_for(const void *userdata) {
        const PromqlRun *run = userdata;

        return run->request && http_request_is_resolved(run->request) ?
                       "answer of the metrics store" :
                       "address of the metrics store";
}

static void promql_cancel(void *userdata) {
        PromqlRun *run = userdata;

        http_request_cancel(run->request);
        free(run);
}

const ProbeKind probe_kind_promql = {
        .name = "promql",
        .descriptors = DESCRIPTORS,
        .late = OUTCOME_NO_DATA,
        .prepare = promql_prepare,
        .release = promql_release,
        .start = promql_start,
        .waiting_for = promql_waiting_for,
        .cancel = promql_cancel,
};
