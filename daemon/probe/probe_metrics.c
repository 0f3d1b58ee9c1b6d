/* probe_metrics.c: fetches a page of metrics and has it read. Good when the page is whole and
 * well-formed, whatever it says; a page that is not tells nothing (unknown); a target that does not
 * give one is bad. */
#include <errno.h>

#include "http_exchange.h"
#include "http_tls.h"
#include "metrics_page.h"

#define ACCEPT "text/plain;version=0.0.4,*/*;q=0.1"
#define BODY_FIRST (16 * 1024)

typedef struct MetricsShared {
        HttpRequest *requests; /* one for each target */
        size_t n_requests;
        HttpTls *tls; /* NULL: no target wants it */
        MetricsWanted *wanted;
} MetricsShared;

/* Kept of a target. */
typedef struct MetricsTarget {
        MetricsMemory *counters;
        HttpPeer *peer;
} MetricsTarget;

typedef struct MetricsRun {
        Loop *loop;
        LoopTimer *timer; /* once the page is there: the next part of it */
        char *body;
        size_t size, capacity;
        bool out_of_memory;
        const MetricsWanted *wanted;
        MetricsMemory *memory;
        MetricsPage page;
        ProbeResult result;
        void (*done)(void *userdata, const ProbeResult *result);
        void *userdata;
        bool exchanging; /* until the page is there */
        HttpExchange exchange;
} MetricsRun;

static void end_exchange(MetricsRun *run) {
        if (run->exchanging)
                http_exchange_done(&run->exchange);
        run->exchanging = false;
}

static MetricsRun *metrics_run_free(MetricsRun *run) {
        if (!run)
                return NULL;
        end_exchange(run);
        loop_timer_free(run->timer);
        free(run->body);
        free(run);
        return NULL;
}
DEFINE_CLEANUP(MetricsRun *, metrics_run_free);

static void metrics_release(void *shared) {
        MetricsShared *s = shared;

        if (!s)
                return;
        http_requests_free(s->requests, s->n_requests);
        http_tls_free(s->tls);
        metrics_wanted_free(s->wanted);
        free(s);
}

static int metrics_prepare(const ProbeTools *tools, const ProbeConfig *config, void **ret_shared) {
        MetricsShared *s = calloc(1, sizeof *s);
        int r;

        if (!s)
                return -ENOMEM;
        r = http_requests_new(&s->requests, config,
                              &(HttpRequestParts){ .accept = ACCEPT, .keep = config->reuse > 0 });
        if (r >= 0) {
                s->n_requests = config->n_targets;
                r = metrics_wanted_new(&s->wanted, config);
        }
        if (r >= 0)
                r = http_tls_new(&s->tls, tools, config);
        if (r < 0) {
                metrics_release(s);
                return r;
        }
        *ret_shared = s;
        return 0;
}

static void memory_free(void *memory) {
        MetricsTarget *t = memory;

        if (!t)
                return;
        metrics_memory_free(t->counters);
        http_peer_free(t->peer);
        free(t);
}

static int memory_new(const ProbeConfig *config _unused_, void **ret) {
        MetricsTarget *t = calloc(1, sizeof *t);
        int r;

        if (!t)
                return -ENOMEM;
        r = metrics_memory_new(&t->counters);
        if (r >= 0)
                r = http_peer_new(&t->peer);
        if (r < 0) {
                memory_free(t);
                return r;
        }
        *ret = t;
        return 0;
}

static void memory_renew(void *memory) {
        http_peer_renew(((MetricsTarget *)memory)->peer);
}

static void memory_start_epoch(void *memory) {
        MetricsTarget *t = memory;

        t->counters->epoch = true;
        http_peer_start_epoch(t->peer);
}

static void finish(MetricsRun *run) {
        ProbeResult result = run->result;
        void (*done)(void *, const ProbeResult *) = run->done;
        void *owner = run->userdata;

        metrics_run_free(run);
        done(owner, &result);
}

static bool on_body(void *userdata, Slice body) {
        MetricsRun *run = userdata;

        if (http_exchange_response(&run->exchange)->status != 200)
                return false;
        if (run->size + body.n > run->capacity) {
                size_t capacity = MAX(run->capacity * 2, (size_t)BODY_FIRST);

                while (capacity < run->size + body.n)
                        capacity *= 2;

                char *larger = realloc(run->body, capacity);

                if (!larger) {
                        run->out_of_memory = true;
                        return false;
                }
                run->body = larger;
                run->capacity = capacity;
        }
        memcpy(run->body + run->size, body.p, body.n);
        run->size += body.n;
        return true;
}

static void on_turn(void *userdata, usec_t now) {
        MetricsRun *run = userdata;

        if (metrics_page_read(&run->page, now) > 0)
                loop_timer_set(run->timer, now);
        else
                finish(run);
}

/* Reads the first part at once; most pages have no other. Returns whether there is more to come. */
static bool read_page(MetricsRun *run) {
        usec_t now = loop_now(run->loop);

        if (metrics_page_begin(&run->page, run->wanted, run->memory, run->body, run->size,
                               &run->result) == 0 ||
            metrics_page_read(&run->page, now) == 0)
                return false;

        int r = loop_add_timer(run->loop, on_turn, run, "probe-metrics", &run->timer);
        if (r < 0) {
                metrics_page_abandon(&run->page);
                probe_result_set_errno(&run->result, ENOMEM);
                return false;
        }
        loop_timer_set(run->timer, now);
        return true;
}

static void on_done(void *userdata, ProbeOutcome outcome, const char *words) {
        MetricsRun *run = userdata;
        STRBUF(status, 64);
        STRBUF(coding, PROBE_WORDS_SIZE);
        bool coded = http_exchange_add_coding(&run->exchange, "page", &coding);

        run->result.status = (uint16_t)http_exchange_response(&run->exchange)->status;
        http_exchange_add_values(&run->exchange, &run->result);
        end_exchange(run);
        if (outcome != OUTCOME_OK)
                probe_result_set(&run->result, outcome, words);
        else if (run->result.status != 200) {
                strbuf_add(&status, "HTTP ");
                strbuf_add_u64(&status, run->result.status);
                strbuf_add(&status, " instead of a page of metrics");
                probe_result_set(&run->result, OUTCOME_BAD_STATUS, status.text);
        } else if (run->out_of_memory)
                probe_result_set_errno(&run->result, ENOMEM);
        else if (coded)
                probe_result_set(&run->result, OUTCOME_NO_DATA, coding.text);
        else if (read_page(run))
                return;
        finish(run);
}

static int metrics_start(const ProbeStart *start, ProbeResult *ret, void **ret_run) {
        _cleanup_(metrics_run_freep) MetricsRun *run = calloc(1, sizeof *run);
        const MetricsShared *shared = start->shared;
        const MetricsTarget *memory = start->memory;
        size_t target = (size_t)(start->target - start->config->targets);
        TlsContext *tls;
        const char *name;
        int r;

        if (!run) {
                probe_result_set_errno(ret, ENOMEM);
                return 0;
        }
        if (!http_tls_choose(shared->tls, start->config, start->target, &tls, &name, ret))
                return 0;
        run->loop = start->tools->loop;
        run->wanted = shared->wanted;
        run->memory = memory->counters;
        run->done = start->done;
        run->userdata = start->userdata;
        r = http_exchange_start(&run->exchange,
                                &(HttpExchangeSetup){
                                        .poller = start->tools->poller,
                                        .address = start->address,
                                        .now = loop_now(start->tools->loop),
                                        .trace = start->trace,
                                        .tls = tls,
                                        .name = name,
                                        .request = &shared->requests[target],
                                        .peer = memory->peer,
                                        .reuse = start->config->reuse,
                                        .max_body = start->config->max_body,
                                        .on_body = on_body,
                                        .on_done = on_done,
                                        .userdata = run,
                                },
                                ret);
        if (r < 0)
                return 0;
        run->exchanging = true;
        *ret_run = TAKE_PTR(run);
        return 1;
}

static const char *metrics_waiting_for(const void *userdata) {
        const MetricsRun *run = userdata;

        return run->exchanging ? http_exchange_waiting_for(&run->exchange) : NULL;
}

static void metrics_cancel(void *userdata) {
        MetricsRun *run = userdata;

        if (!run->exchanging)
                metrics_page_abandon(&run->page);
        metrics_run_free(run);
}

const ProbeKind probe_kind_metrics = {
        .name = "metrics",
        .addressed = true,
        .prepare = metrics_prepare,
        .release = metrics_release,
        .memory_new = memory_new,
        .memory_free = memory_free,
        .memory_start_epoch = memory_start_epoch,
        .memory_renew = memory_renew,
        .start = metrics_start,
        .waiting_for = metrics_waiting_for,
        .cancel = metrics_cancel,
};
