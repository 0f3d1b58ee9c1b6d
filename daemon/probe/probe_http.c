/* probe_http.c: good when the answer is as expected; of a list of steps, when each of them is, one
 * after the other. A redirect is what it is: a status. */
#include <errno.h>

#include "probe_http_internal.h"

#define LABEL_SIZE 64

/* What only a run of steps has. */
typedef struct HttpSteps {
        HttpJourney *journey;
        size_t step;
        usec_t started; /* the step */
        Address address;
        HttpRequest request;
        ProbeResult result;     /* values and version so far */
        char label[LABEL_SIZE]; /* "step 2 (POST /login)" */
        char owed[LABEL_SIZE + 64];
        char note[PROBE_WORDS_SIZE]; /* of a good step: said at a good end */
} HttpSteps;

typedef struct HttpRun {
        ProbeStart start;
        const HttpShared *shared;
        HttpSteps *steps;    /* NULL: a single request */
        size_t trace_length; /* of the answers before this one */
        HttpAnswer answer;
        bool exchanging; /* `exchange` is under way, or at its end */
        HttpExchange exchange;
} HttpRun;
static_assert(sizeof(HttpRun) <= PROBE_RUN_SIZE, "a run fits into its block");

static void end_exchange(HttpRun *run) {
        if (run->exchanging)
                http_exchange_done(&run->exchange);
        run->exchanging = false;
}

static void http_release(void *shared) {
        http_shared_free(shared);
}

static int http_prepare(const ProbeTools *tools, const ProbeConfig *config, void **ret_shared) {
        HttpShared *s;
        int r = http_shared_new(&s, tools, config);

        if (r < 0)
                return r;
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

static void http_memory_renew(void *memory) {
        http_peer_renew(memory);
}

static void http_memory_start_epoch(void *memory) {
        http_peer_start_epoch(memory);
}

static HttpSteps *http_steps_free(HttpSteps *s) {
        if (!s)
                return NULL;
        http_journey_free(s->journey);
        http_request_done(&s->request);
        free(s);
        return NULL;
}

static HttpRun *http_run_free(HttpRun *run) {
        if (!run)
                return NULL;
        if (run->answer.call)
                http_trace_hide(run->start.trace, &run->answer, run->trace_length);
        end_exchange(run);
        http_answer_done(&run->answer);
        /* A connection is kept from step to step; from probe to probe only when that is asked for.
         */
        if (run->steps && run->start.config->reuse == 0)
                http_peer_renew(run->start.memory);
        http_steps_free(run->steps);
        pool_give(run->start.tools->runs, run);
        return NULL;
}
DEFINE_CLEANUP(HttpRun *, http_run_free);

static int steps_new(HttpSteps **ret, const ProbeStart *start) {
        HttpSteps *s = calloc(1, sizeof *s);
        int r;

        if (!s)
                return -ENOMEM;
        r = http_journey_new(&s->journey, start->target->tls);
        if (r < 0) {
                http_steps_free(s);
                return r;
        }
        s->address = *start->address;
        *ret = s;
        return 0;
}

static bool on_body(void *userdata, Slice body) {
        return http_answer_take_body(&((HttpRun *)userdata)->answer, body);
}

static void on_header(void *userdata, size_t header, Slice value, bool whole) {
        http_answer_take_header(&((HttpRun *)userdata)->answer, header, value, whole);
}

static void on_done(void *userdata, ProbeOutcome outcome, const char *words);

/* Returns 0, or a negative errno with what the probe came to. */
static int start_exchange(HttpRun *run, const Address *address, const HttpRequest *request,
                          ProbeResult *reterr) {
        const ProbeStart *start = &run->start;
        const HttpCall *call = run->answer.call;
        TlsContext *tls;
        const char *name;
        int r;

        if (!http_tls_choose(run->shared->tls, start->config, start->target, &tls, &name, reterr))
                return -ENOENT;
        run->answer.exchange = &run->exchange;
        r = http_exchange_start(&run->exchange,
                                &(HttpExchangeSetup){
                                        .poller = start->tools->poller,
                                        .address = address,
                                        .now = loop_now(start->tools->loop),
                                        .trace = start->trace,
                                        .tls = tls,
                                        .name = name,
                                        .request = request,
                                        .peer = start->memory,
                                        .reuse = run->steps && start->config->reuse == 0 ?
                                                         (uint32_t)run->shared->n_calls :
                                                         start->config->reuse,
                                        .max_body = start->config->max_body,
                                        .headers = call->wanted,
                                        .n_headers = call->n_wanted,
                                        .line_size = call->line_size,
                                        .on_header = on_header,
                                        .on_body = on_body,
                                        .on_done = on_done,
                                        .userdata = run,
                                },
                                reterr);
        run->exchanging = r >= 0;
        return r;
}

static void make_label(HttpSteps *s, const HttpCallConfig *config) {
        size_t n = strlen(config->path);
        StrBuf b;

        strbuf_init(&b, s->label, sizeof s->label);
        strbuf_add(&b, "step ");
        strbuf_add_u64(&b, s->step + 1);
        strbuf_add(&b, " (");
        strbuf_add(&b, config->method);
        strbuf_add_char(&b, ' ');
        strbuf_add_n(&b, config->path, MIN(n, HTTP_SHOWN_MAX));
        strbuf_add(&b, n > HTTP_SHOWN_MAX ? "...)" : ")");
}

/* Puts the step before the words of its result; those of a good one wait for the end. */
static void label_words(HttpSteps *s, ProbeResult *result) {
        STRBUF(words, PROBE_WORDS_SIZE);

        if (!result->words[0])
                return;
        strbuf_add(&words, s->label);
        strbuf_add(&words, ": ");
        strbuf_add(&words, result->words);
        probe_result_set(result, result->outcome, words.text);
        if (result->outcome == OUTCOME_OK) {
                memcpy(s->note, result->words, sizeof s->note);
                result->words[0] = '\0';
        }
}

/* Returns 0 when the step is under way, or a negative errno with what it came to. */
static int start_step(HttpRun *run, ProbeResult *reterr) {
        HttpSteps *s = run->steps;
        const HttpCall *call = &run->shared->calls[s->step];
        int r;

        make_label(s, call->config);
        s->started = loop_now(run->start.tools->loop);
        if (run->answer.call) {
                http_trace_hide(run->start.trace, &run->answer, run->trace_length);
                probe_trace_sent(run->start.trace, "\n\n", 2);
                probe_trace_received(run->start.trace, "\n\n", 2);
        }
        if (run->start.trace)
                run->trace_length = run->start.trace->answer.length;
        http_answer_done(&run->answer);
        http_answer_init(&run->answer, call, s->journey);
        http_request_done(&s->request);
        r = http_journey_build(s->journey, call, run->start.target, &s->request);
        if (r == -E2BIG)
                probe_result_set(reterr, OUTCOME_LOCAL,
                                 "the request becomes longer than 8 KiB, or its body than 64 KiB, "
                                 "by what was taken");
        else if (r == -ENOMEM)
                probe_result_set_errno(reterr, r);
        else if (r < 0)
                probe_result_set(reterr, OUTCOME_LOCAL, "no request can be made of what was taken");
        else
                r = start_exchange(run, &s->address, &s->request, reterr);
        if (r < 0)
                label_words(s, reterr);
        return r;
}

/* The result outlives the run. */
static void finish(HttpRun *run, const ProbeResult *result) {
        void (*done)(void *, const ProbeResult *) = run->start.done;
        void *owner = run->start.userdata;

        http_run_free(run);
        done(owner, result);
}

static void read_answer(HttpRun *run, ProbeOutcome outcome, const char *words,
                        ProbeResult *result) {
        result->status = (uint16_t)http_exchange_response(&run->exchange)->status;
        if (outcome != OUTCOME_OK)
                probe_result_set(result, outcome, words);
        else
                http_answer_judge(&run->answer, result);
        http_answer_take_version(&run->answer, result);
        http_exchange_add_values(&run->exchange, result);
}

static void finish_step(HttpRun *run) {
        HttpSteps *s = run->steps;
        usec_t now = loop_now(run->start.tools->loop);
        _uninitialized_ ProbeResult result;
        STRBUF(name, SAMPLE_VALUE_NAME_SIZE);

        strbuf_add(&name, "step_");
        strbuf_add_u64(&name, s->step + 1);
        strbuf_add(&name, "_seconds");
        (void)probe_result_add_value(&s->result, name.text,
                                     (double)(now - s->started) / (double)USEC_PER_SEC);
        label_words(s, &s->result);
        end_exchange(run);
        if (s->result.outcome == OUTCOME_OK && ++s->step < run->shared->n_calls &&
            start_step(run, &s->result) >= 0)
                return;
        if (s->result.outcome == OUTCOME_OK)
                memcpy(s->result.words, s->note, sizeof s->note);
        probe_result_copy(&result, &s->result);
        finish(run, &result);
}

static void on_done(void *userdata, ProbeOutcome outcome, const char *words) {
        HttpRun *run = userdata;

        if (run->steps) {
                read_answer(run, outcome, words, &run->steps->result);
                finish_step(run);
                return;
        }
        _uninitialized_ ProbeResult result;

        probe_result_init(&result);
        read_answer(run, outcome, words, &result);
        finish(run, &result);
}

static int http_start(const ProbeStart *start, ProbeResult *ret, void **ret_run) {
        _cleanup_(http_run_freep) HttpRun *run = NULL;
        const HttpShared *shared = start->shared;
        int r;

        if (shared->unready[0]) {
                probe_result_set(ret, OUTCOME_LOCAL, shared->unready);
                return 0;
        }
        run = pool_take(start->tools->runs, sizeof *run);
        if (!run) {
                probe_result_set_errno(ret, ENOMEM);
                return 0;
        }
        run->start = *start;
        run->start.address = NULL;
        run->shared = shared;
        run->steps = NULL;
        run->trace_length = 0;
        run->exchanging = false;
        run->answer.call = NULL;
        run->answer.body = NULL;
        if (start->config->http.n_steps == 0) {
                http_answer_init(&run->answer, &shared->calls[0], NULL);
                r = start_exchange(run, start->address,
                                   &shared->requests[start->target - start->config->targets], ret);
        } else {
                r = steps_new(&run->steps, start);
                if (r < 0)
                        probe_result_set_errno(ret, r);
                else
                        r = start_step(run, ret);
        }
        if (r < 0)
                return 0;
        *ret_run = TAKE_PTR(run);
        return 1;
}

static const char *http_waiting_for(const void *userdata) {
        const HttpRun *run = userdata;
        const char *owed = http_exchange_waiting_for(&run->exchange);
        StrBuf b;

        if (!run->steps)
                return owed;
        strbuf_init(&b, run->steps->owed, sizeof run->steps->owed);
        strbuf_add(&b, owed);
        strbuf_add(&b, " in ");
        strbuf_add(&b, run->steps->label);
        return run->steps->owed;
}

static void http_cancel(void *userdata) {
        http_run_free(userdata);
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
