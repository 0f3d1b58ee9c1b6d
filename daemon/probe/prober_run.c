#include <errno.h>
#include <math.h>

#include "expectation.h"
#include "prober_internal.h"

/* Starts and deadlines handled in one turn: a connect costs some 20 us, and a turn is to stay far
 * below 50 ms even when everything is due at once. */
#define ACTS_PER_TURN 256
/* What our loop was away for longer than this may be why a target did not do its part. */
#define STALL_MAX (500 * USEC_PER_MSEC)

bool target_cancel(Target *t) {
        TargetState state = t->state;

        t->state = TARGET_IDLE;
        switch (state) {
        case TARGET_IDLE:
                return false;
        case TARGET_WAITING:
                ring_remove(&t->in_queue);
                return true;
        case TARGET_RESOLVING:
                break;
        case TARGET_RUNNING:
                t->probe->kind->cancel(TAKE_PTR(t->run));
                place_give_back(t);
                break;
        }
        t->probe->service->prober->counts.in_flight--;
        return true;
}

static void bury(Prober *p) {
        while (p->depth == 0 && p->gone) {
                ProbedService *s = p->gone;

                p->gone = s->next_gone;
                probed_service_free(s);
        }
}

/* How long our own loop was away since the probe began. */
static usec_t stall_of(const Target *t) {
        return loop_stalled(t->probe->service->prober->loop) - t->stalled;
}

static void say_overdue(ProbeResult *result, usec_t stall) {
        STRBUF(words, PROBE_WORDS_SIZE);

        strbuf_add(&words, "rollbackd's own loop was ");
        strbuf_add_usec_words(&words, stall);
        strbuf_add(&words, " late, so nothing is known of the target");
        probe_result_set(result, OUTCOME_OVERDUE, words.text);
}

/* A target that we kept waiting may hang up, or answer that it was kept waiting. That nobody is
 * there is told by the kernels, who do not wait for us; a timeout has been put off by as much. */
static void excuse(const Target *t, ProbeResult *result) {
        usec_t stall = stall_of(t);

        if (outcome_verdict(result->outcome) != TRI_BAD || result->outcome == OUTCOME_REFUSED ||
            result->outcome == OUTCOME_NO_ROUTE || result->outcome == OUTCOME_TIMEOUT)
                return;
        if (stall > MIN(t->probe->config->timeout / 2, STALL_MAX))
                say_overdue(result, stall);
}

static void tell_owner(Target *t, const ProbeResult *result, usec_t now) {
        Probe *probe = t->probe;
        ProbedService *service = probe->service;
        Prober *p = service->prober;
        uint32_t handle = service->handle;
        _uninitialized_ double increases[SAMPLE_VALUES_MAX];
        size_t n = MIN(probe->config->n_operands, (size_t)SAMPLE_VALUES_MAX);

        for (size_t i = 0; i < n; i++)
                increases[i] = i < result->n_increases ? result->increases[i] : NAN;
        p->depth++;
        p->owner.on_sample(p->owner.userdata,
                           &(Sample){
                                   .service = handle,
                                   .probe = probe->index,
                                   .target = t->index,
                                   .outcome = result->outcome,
                                   .status = result->status,
                                   .started = t->started,
                                   .at = now,
                                   .since = result->since,
                                   .version = result->version[0] ? result->version : NULL,
                                   .increases = n > 0 ? increases : NULL,
                                   .n_increases = n,
                                   .values = result->values,
                                   .n_values = result->n_values,
                           },
                           result->words);

        bool deviates = !service->gone &&
                        p->owner.deviates(p->owner.userdata, handle, probe->index, t->index);
        p->depth--;
        /* A target that the owner has put in flight again keeps the pace that it has. */
        if (!service->gone && t->state == TARGET_IDLE)
                target_choose_pace(t, deviates, now);
}

/* For whoever looks later; most probes report nothing. What memory is short for is not kept. */
static void keep_values(Target *t, const ProbeResult *result) {
        size_t size = result->n_values * sizeof *t->values;

        if (result->n_values != t->n_values) {
                free(t->values);
                t->values = result->n_values > 0 ? malloc(size) : NULL;
                t->n_values = t->values ? result->n_values : 0;
        }
        if (t->values)
                memcpy(t->values, result->values, size);
}

static void apply_expectation(const Target *t, ProbeResult *result, usec_t now) {
        const ProbeConfig *config = t->probe->config;
        /* The clock is read only for whom it matters. */
        usec_t duration = config->latency > 0 ? usec_sub(usec_sub(now, t->started),
                                                         usec_add(stall_of(t), result->ours)) :
                                                0;

        expectation_apply(config, duration, result);
}

/* The one end of every probe that is not cancelled. */
static void target_finish(Target *t, ProbeResult *result) {
        Prober *p = t->probe->service->prober;
        usec_t now = loop_now(p->loop);
        StrBuf words;

        if (t->state != TARGET_WAITING)
                p->counts.in_flight--;
        t->state = TARGET_IDLE;
        t->run = NULL;
        if (result->outcome == OUTCOME_OK)
                apply_expectation(t, result, now);
        t->reached = t->reached || outcome_verdict(result->outcome) != TRI_UNKNOWN;
        excuse(t, result);
        place_end(t, result);
        p->counts.probes++;
        p->counts.overdue += result->outcome == OUTCOME_OVERDUE;
        t->detail.probes++;
        t->detail.duration = usec_sub(now, t->started);
        strbuf_init(&words, t->detail.words, sizeof t->detail.words);
        if (result->words[0])
                strbuf_add(&words, result->words);
        keep_values(t, result);
        target_schedule(t, now);
        tell_owner(t, result, now);
        bury(p);
        prober_arm(p);
}

static void on_kind_done(void *userdata, const ProbeResult *result) {
        _uninitialized_ ProbeResult copy;

        probe_result_copy(&copy, result);
        target_finish(userdata, &copy);
}

static void start_kind(Target *t) {
        Probe *probe = t->probe;
        _uninitialized_ ProbeResult result;
        _uninitialized_ Address address;

        probe_result_init(&result);
        t->state = TARGET_RUNNING;
        place_take(t);
        int in_flight = probe->kind->start(
                &(ProbeStart){
                        .tools = &probe->service->prober->tools,
                        .service = probe->service->name,
                        .config = probe->config,
                        .target = &probe->config->targets[t->configured],
                        .address = target_address(t, &address),
                        .shared = probe->shared,
                        .memory = t->memory,
                        .done = on_kind_done,
                        .userdata = t,
                },
                &result, &t->run);
        if (!in_flight)
                target_finish(t, &result);
}

static void finish_unresolved(Target *t, const char *why) {
        ProbeResult result = {};
        STRBUF(words, PROBE_WORDS_SIZE);

        strbuf_add(&words, "cannot resolve ");
        strbuf_add(&words, t->probe->config->targets[t->configured].host);
        strbuf_add(&words, ": ");
        strbuf_add(&words, why);
        probe_result_set(&result, OUTCOME_RESOLVER, words.text);
        target_finish(t, &result);
}

/* A probe that may take as long as its interval ends in time for the next one: what this one was
 * late must not make that one later still. */
static usec_t deadline_of(const Target *t, usec_t now, bool regular) {
        const ProbeConfig *config = t->probe->config;
        usec_t deadline = usec_add(now, config->timeout), next = target_next_on_grid(t, now);

        return regular && deadline > next && deadline - next <= config->interval / 10 ? next :
                                                                                        deadline;
}

/* Books a start that was due, now or a while ago. */
static void take_due(Target *t, usec_t now) {
        const ProbeConfig *config = t->probe->config;
        bool regular = t->due <= now;

        if (regular && now - t->due > config->interval / 10)
                target_count_late(t);
        t->on_demand = false;
        t->slot = regular && now - t->due < WHEEL_TICK ? t->due : now;
        t->deadline = deadline_of(t, now, regular);
        t->due = t->fast ? usec_add(t->slot, config->fast_interval) : target_next_on_grid(t, now);
}

static void target_begin(Target *t, usec_t now) {
        Prober *p = t->probe->service->prober;

        take_due(t, now);
        t->started = now;
        t->stalled = loop_stalled(p->loop);
        t->repaid = 0;
        t->state = TARGET_RESOLVING;
        p->counts.in_flight++;
        target_schedule(t, now);

        if (t->name && t->name->failure)
                finish_unresolved(t, t->name->failure);
        else if (!t->name || t->at.family != 0)
                start_kind(t);
}

/* Starts a target that is due, or lets it queue. */
static void target_start(Target *t, usec_t now) {
        if (!place_must_wait(t)) {
                target_begin(t, now);
                return;
        }
        t->state = TARGET_WAITING;
        t->started = now;
        t->deadline = usec_add(now, t->probe->config->timeout);
        place_wait(t);
        target_schedule(t, now);
}

/* No place came free in time. */
static void give_up_waiting(Target *t, usec_t now) {
        ProbeResult result = {};
        STRBUF(words, PROBE_WORDS_SIZE);

        strbuf_add(&words, "not probed: of the ");
        strbuf_add_u64(&words, t->probe->service->prober->places);
        strbuf_add(&words,
                   " descriptors that rollbackd's LimitNOFILE leaves for probes none was free");
        probe_result_set(&result, OUTCOME_OVERDUE, words.text);
        ring_remove(&t->in_queue);
        take_due(t, now);
        target_finish(t, &result);
}

static void put_off(Target *t, usec_t by, usec_t now) {
        t->deadline = usec_add(now, by);
        target_schedule(t, now);
}

/* What our own loop was away for, or our workers took, the target gets back. Returns whether its
 * time is over. */
static bool is_over(Target *t, ProbeResult *result, usec_t now) {
        const ProbeKind *kind = t->probe->kind;
        usec_t stall = stall_of(t), ours = usec_add(stall, kind->ours ? kind->ours(t->run) : 0);

        if (stall > t->probe->config->timeout) {
                say_overdue(result, stall);
                return true;
        }
        if (ours <= t->repaid) {
                probe_result_set(result, OUTCOME_TIMEOUT, "");
                return true;
        }
        put_off(t, ours - t->repaid, now);
        t->repaid = ours;
        return false;
}

/* The time of a target that is connected to, or about to be, has come. `told`: all that had come by
 * now has been told. */
static void expire_run(Target *t, usec_t now, bool told) {
        const char *owed = t->probe->kind->waiting_for(t->run);
        ProbeResult result = {};

        if (!owed) {
                /* The target has done its part in time; ours takes longer. */
                put_off(t, t->probe->config->timeout, now);
                return;
        }
        if (!told) {
                put_off(t, WHEEL_TICK, now);
                return;
        }
        if (!is_over(t, &result, now))
                return;
        if (result.outcome == OUTCOME_TIMEOUT) {
                STRBUF(words, PROBE_WORDS_SIZE);

                strbuf_add(&words, "no ");
                strbuf_add(&words, owed);
                strbuf_add(&words, " within ");
                strbuf_add_usec_words(&words, t->probe->config->timeout);
                probe_result_set(&result, t->probe->kind->late ?: OUTCOME_TIMEOUT, words.text);
        }
        t->probe->kind->cancel(TAKE_PTR(t->run));
        target_finish(t, &result);
}

static void expire_query(Target *t) {
        ProbeResult result = {};
        STRBUF(words, PROBE_WORDS_SIZE);

        strbuf_add(&words, "no answer of the name server within ");
        strbuf_add_usec_words(&words, t->probe->config->timeout);
        probe_result_set(&result, OUTCOME_RESOLVER, words.text);
        target_finish(t, &result);
}

static void target_serve(Target *t, usec_t now, bool told) {
        switch (t->state) {
        case TARGET_IDLE:
                target_start(t, now);
                return;
        case TARGET_WAITING:
                give_up_waiting(t, now);
                return;
        case TARGET_RESOLVING:
                expire_query(t);
                return;
        case TARGET_RUNNING:
                expire_run(t, now, told);
                return;
        }
}

void prober_run(void *userdata, usec_t now) {
        Prober *p = userdata;
        unsigned acts = 0;
        WheelItem *item;
        Target *t;
        bool told;

        p->running = true;
        p->armed = USEC_INFINITY;
        /* What has come in time is no timeout, however late we look. */
        told = poller_serve(p->poller);
        while (acts++ < ACTS_PER_TURN && (t = place_next(p))) {
                ring_remove(&t->in_queue);
                t->state = TARGET_IDLE;
                target_begin(t, now);
        }
        while (acts++ < ACTS_PER_TURN && (item = wheel_take(&p->wheel, now)))
                target_serve((Target *)item, now, told);
        p->running = false;
        prober_arm(p);
}
