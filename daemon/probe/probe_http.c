/* probe_http.c: good when the status is in one of the accepted ranges and the body contains the
 * wanted text. A redirect is what it is: a status. The version that answered may be named by a
 * header. */
#include <errno.h>

#include "http_exchange.h"
#include "http_tls.h"

#define ACCEPT "*/*"

/* The wanted text with its failure table (Knuth, Morris, Pratt): a body is searched as it comes,
 * however it is cut. */
typedef struct HttpShared {
        HttpRequest *requests; /* one for each target */
        size_t n_requests;
        HttpTls *tls; /* NULL: no target wants it */
        size_t length;
        uint32_t *fallback; /* [i]: length of the longest proper prefix of the text that ends at its
                               byte i */
} HttpShared;

typedef struct HttpRun {
        HttpExchange *exchange;
        const ProbeConfig *config;
        const HttpShared *shared;
        size_t matched; /* bytes of the text that the body ends with so far; all of them: found */
        const char *header;      /* the wanted one, or NULL */
        char version[NAME_SIZE]; /* that the answer names */
        size_t version_length;   /* from NAME_SIZE on: too long */
        bool several;            /* it names more than one */
        void (*done)(void *userdata, const ProbeResult *result);
        void *userdata;
} HttpRun;

static void http_release(void *shared) {
        HttpShared *s = shared;

        if (!s)
                return;
        http_requests_free(s->requests, s->n_requests);
        http_tls_free(s->tls);
        free(s->fallback);
        free(s);
}

static int http_prepare(const ProbeTools *tools, const ProbeConfig *config, void **ret_shared) {
        HttpShared *s = calloc(1, sizeof *s);
        int r;

        if (!s)
                return -ENOMEM;
        r = http_requests_new(&s->requests, config,
                              &(HttpRequestParts){ .accept = ACCEPT, .keep = config->reuse > 0 });
        if (r < 0) {
                http_release(s);
                return r;
        }
        s->n_requests = config->n_targets;
        r = http_tls_new(&s->tls, tools, config);
        if (r < 0) {
                http_release(s);
                return r;
        }
        s->length = config->body ? strlen(config->body) : 0;
        s->fallback = calloc(s->length + 1, sizeof *s->fallback);
        if (!s->fallback) {
                http_release(s);
                return -ENOMEM;
        }

        uint32_t matched = 0;
        for (size_t i = 1; i < s->length; i++) {
                while (matched > 0 && config->body[i] != config->body[matched])
                        matched = s->fallback[matched - 1];
                if (config->body[i] == config->body[matched])
                        matched++;
                s->fallback[i] = matched;
        }
        *ret_shared = s;
        return 0;
}

static int http_memory_new(const ProbeConfig *config _unused_, void **ret_memory) {
        HttpPeer *peer;
        int r = http_peer_new(&peer);

        if (r < 0)
                return r;
        *ret_memory = peer;
        return 0;
}

static void http_memory_free(void *memory) {
        http_peer_free(memory);
}

static void http_memory_start_epoch(void *memory) {
        http_peer_start_epoch(memory);
}

static void http_memory_renew(void *memory) {
        http_peer_renew(memory);
}

static bool status_accepted(const ProbeConfig *config, unsigned status) {
        for (size_t i = 0; i < config->n_status; i++)
                if (status >= config->status[i].low && status <= config->status[i].high)
                        return true;
        return false;
}

static bool on_body(void *userdata, Slice body) {
        HttpRun *run = userdata;
        const char *text = run->config->body;

        /* The rest of a refused answer changes nothing. */
        if (!status_accepted(run->config, http_exchange_response(run->exchange)->status))
                return false;
        for (size_t i = 0; i < body.n && run->matched < run->shared->length; i++) {
                while (run->matched > 0 && body.p[i] != text[run->matched])
                        run->matched = run->shared->fallback[run->matched - 1];
                if (body.p[i] == text[run->matched])
                        run->matched++;
        }
        return true;
}

static void judge_answer(const HttpRun *run, ProbeResult *result) {
        STRBUF(words, PROBE_WORDS_SIZE);

        if (!status_accepted(run->config, result->status)) {
                strbuf_add(&words, "HTTP ");
                strbuf_add_u64(&words, result->status);
                if (result->status >= 300 && result->status < 400)
                        strbuf_add(&words, ", a redirect, which a probe does not follow");
                probe_result_set(result, OUTCOME_BAD_STATUS, words.text);
        } else if (run->matched < run->shared->length &&
                   http_exchange_add_coding(run->exchange, "body", &words)) {
                probe_result_set(result, OUTCOME_BAD_BODY, words.text);
        } else if (run->matched < run->shared->length) {
                strbuf_add(&words, "body lacks \"");
                /* Cut so that the closing quote fits, even when every byte takes four to write. */
                strbuf_add_escaped(&words, run->config->body, MIN(run->shared->length, (size_t)32));
                strbuf_add(&words, run->shared->length > 32 ? "...\"" : "\"");
                probe_result_set(result, OUTCOME_BAD_BODY, words.text);
        }
}

static void on_header(void *userdata, _unused_ size_t header, Slice value, bool whole) {
        HttpRun *run = userdata;

        if (whole && value.n == 0)
                return;
        if (run->version_length > 0) {
                run->several |= value.n != run->version_length ||
                                memcmp(run->version, value.p, value.n) != 0;
                return;
        }
        run->version_length = whole ? MIN(value.n, sizeof run->version) : sizeof run->version;
        memcpy(run->version, value.p, MIN(value.n, sizeof run->version));
}

static void take_version(const HttpRun *run, ProbeResult *result) {
        if (run->several && result->outcome == OUTCOME_OK)
                probe_result_set(result, OUTCOME_OK,
                                 "the answer names more than one version: none is used");
        else if (run->version_length > 0 && !run->several)
                probe_result_set_version(result, run->version, run->version_length);
}

static void on_done(void *userdata, ProbeOutcome outcome, const char *words) {
        HttpRun *run = userdata;
        const HttpResponse *response = http_exchange_response(run->exchange);
        ProbeResult result = { .outcome = outcome, .status = (uint16_t)response->status };

        if (outcome != OUTCOME_OK)
                probe_result_set(&result, outcome, words);
        else
                judge_answer(run, &result);
        take_version(run, &result);
        http_exchange_add_values(run->exchange, &result);

        void (*done)(void *, const ProbeResult *) = run->done;
        void *owner = run->userdata;
        http_exchange_free(run->exchange);
        free(run);
        done(owner, &result);
}

static int http_start(const ProbeStart *start, ProbeResult *ret, void **ret_run) {
        _cleanup_(freep) HttpRun *run = calloc(1, sizeof *run);
        int r;

        if (!run) {
                probe_result_set_errno(ret, ENOMEM);
                return 0;
        }
        *run = (HttpRun){
                .config = start->config,
                .shared = start->shared,
                .header = start->config->version_header,
                .done = start->done,
                .userdata = start->userdata,
        };

        size_t target = (size_t)(start->target - start->config->targets);
        TlsContext *tls;
        const char *name;

        if (!http_tls_choose(run->shared->tls, start->config, start->target, &tls, &name, ret))
                return 0;
        r = http_exchange_start(&run->exchange,
                                &(HttpExchangeSetup){
                                        .poller = start->tools->poller,
                                        .address = start->address,
                                        .now = loop_now(start->tools->loop),
                                        .trace = start->trace,
                                        .tls = tls,
                                        .name = name,
                                        .request = &run->shared->requests[target],
                                        .peer = start->memory,
                                        .reuse = start->config->reuse,
                                        .max_body = start->config->max_body,
                                        .headers = &run->header,
                                        .n_headers = run->header != NULL,
                                        .on_header = on_header,
                                        .on_body = on_body,
                                        .on_done = on_done,
                                        .userdata = run,
                                },
                                ret);
        if (r < 0)
                return 0;
        *ret_run = TAKE_PTR(run);
        return 1;
}

static const char *http_waiting_for(const void *run) {
        return http_exchange_waiting_for(((const HttpRun *)run)->exchange);
}

static void http_cancel(void *userdata) {
        HttpRun *run = userdata;

        http_exchange_free(run->exchange);
        free(run);
}

const ProbeKind probe_kind_http = {
        .name = "http",
        .addressed = true,
        .prepare = http_prepare,
        .release = http_release,
        .memory_new = http_memory_new,
        .memory_free = http_memory_free,
        .memory_start_epoch = http_memory_start_epoch,
        .memory_renew = http_memory_renew,
        .start = http_start,
        .waiting_for = http_waiting_for,
        .cancel = http_cancel,
};
