#include <errno.h>
#include <math.h>

#include "prober_internal.h"

/* Starts and deadlines handled in one turn: a connect costs some 20 us, and a turn is to stay far
 * below 50 ms even when everything is due at once. */
#define ACTS_PER_TURN 256
/* A deadline that is served later than this was missed by our loop, not by the target. */
#define OVERDUE_MAX (500 * USEC_PER_MSEC)
/* One of so many targets at most is probed at fast_interval. */
#define FAST_SHARE 10

/* The first point of the grid after `now`. */
static usec_t next_on_grid(const Target *t, usec_t now) {
        usec_t interval = t->probe->config->interval;

        if (now < t->phase)
                return t->phase;
        return now + interval - (now - t->phase) % interval;
}

void target_schedule_first(Target *t, usec_t now) {
        Prober *p = t->probe->service->prober;

        t->phase = t->due = now + usec_jitter(t->probe->config->interval, &p->seed);
        target_schedule(t, now);
}

void target_schedule(Target *t, usec_t now) {
        Prober *p = t->probe->service->prober;
        usec_t at = t->state != TARGET_IDLE ? t->deadline :
                    t->on_demand            ? MIN(now, t->due) :
                                              t->due;

        schedule_set(&p->schedule, &t->item, at);
}

void prober_arm(Prober *p) {
        const ScheduleItem *first = schedule_first(&p->schedule);
        usec_t at = first ? first->at : USEC_INFINITY;

        if (p->running || at == p->armed)
                return;
        p->armed = at;
        loop_timer_set(p->timer, at);
}

bool target_cancel(Target *t) {
        TargetState state = t->state;

        t->state = TARGET_IDLE;
        switch (state) {
        case TARGET_IDLE:
                return false;
        case TARGET_RESOLVING:
                resolver_cancel(TAKE_PTR(t->query));
                break;
        case TARGET_RUNNING:
                t->probe->kind->cancel(TAKE_PTR(t->run));
                break;
        }
        t->probe->service->prober->counts.in_flight--;
        return true;
}

void target_leave_fast(Target *t) {
        if (t->fast)
                t->probe->service->prober->n_fast--;
        t->fast = false;
}

static void choose_pace(Target *t, bool deviates, usec_t now) {
        Prober *p = t->probe->service->prober;
        usec_t fast_interval = t->probe->config->fast_interval;

        if (!deviates || fast_interval == 0)
                target_leave_fast(t);
        else if (!t->fast && p->n_fast < MAX(p->counts.targets / FAST_SHARE, (uint64_t)1)) {
                t->fast = true;
                p->n_fast++;
        }
        t->due = t->fast ? usec_add(t->started, fast_interval) : next_on_grid(t, t->started);
        target_schedule(t, now);
}

static void bury(Prober *p) {
        while (p->depth == 0 && p->gone) {
                ProbedService *s = p->gone;

                p->gone = s->next_gone;
                probed_service_free(s);
        }
}

/* What our own loop was too late for is not the target's fault, whatever it looks like now. */
static void excuse(Target *t, ProbeResult *result, usec_t now) {
        usec_t slack = MIN(t->probe->config->timeout / 2, OVERDUE_MAX);

        if (outcome_verdict(result->outcome) == TRI_BAD && now > usec_add(t->deadline, slack)) {
                STRBUF(words, PROBE_WORDS_SIZE);

                strbuf_add(&words, "rollbackd's own loop was ");
                strbuf_add_usec_words(&words, now - t->deadline);
                strbuf_add(&words, " late, so nothing is known of the target");
                probe_result_set(result, OUTCOME_OVERDUE, words.text);
        }
        if (result->outcome == OUTCOME_OVERDUE)
                t->probe->service->prober->counts.overdue++;
}

static void tell_owner(Target *t, const ProbeResult *result, usec_t now) {
        Probe *probe = t->probe;
        ProbedService *service = probe->service;
        Prober *p = service->prober;
        uint32_t handle = service->handle;
        double increases[SAMPLE_VALUES_MAX];
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
                           },
                           result->words);

        bool deviates = !service->gone &&
                        p->owner.deviates(p->owner.userdata, handle, probe->index, t->index);
        p->depth--;
        /* A target that the owner has put in flight again keeps the pace that it has. */
        if (!service->gone && t->state == TARGET_IDLE)
                choose_pace(t, deviates, now);
}

/* The one end of every probe that is not cancelled. */
static void target_finish(Target *t, ProbeResult *result) {
        Prober *p = t->probe->service->prober;
        usec_t now = loop_now(p->loop);
        StrBuf words;

        t->state = TARGET_IDLE;
        t->run = NULL;
        t->query = NULL;
        excuse(t, result, now);
        p->counts.in_flight--;
        p->counts.probes++;
        t->detail.probes++;
        t->detail.duration = usec_sub(now, t->started);
        strbuf_init(&words, t->detail.words, sizeof t->detail.words);
        strbuf_add(&words, result->words);
        target_schedule(t, now);
        tell_owner(t, result, now);
        bury(p);
        prober_arm(p);
}

static void on_kind_done(void *userdata, const ProbeResult *result) {
        ProbeResult copy = *result;

        target_finish(userdata, &copy);
}

static void start_kind(Target *t, const Address *address) {
        Probe *probe = t->probe;
        ProbeResult result = {};

        t->state = TARGET_RUNNING;
        int in_flight = probe->kind->start(
                &(ProbeStart){
                        .loop = probe->service->prober->loop,
                        .config = probe->config,
                        .target = &probe->config->targets[t->index],
                        .address = address,
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
        strbuf_add(&words, t->probe->config->targets[t->index].host);
        strbuf_add(&words, ": ");
        strbuf_add(&words, why);
        probe_result_set(&result, OUTCOME_RESOLVER, words.text);
        target_finish(t, &result);
}

static void on_address(void *userdata, const Address *address, const char *words) {
        Target *t = userdata;

        t->query = NULL;
        if (address)
                start_kind(t, address);
        else
                finish_unresolved(t, words);
}

/* A probe that may take as long as its interval ends in time for the next one: what this one was
 * late must not make that one later still. */
static usec_t deadline_of(const Target *t, usec_t now, bool regular) {
        const ProbeConfig *config = t->probe->config;
        usec_t deadline = usec_add(now, config->timeout), next = next_on_grid(t, now);

        return regular && deadline > next && deadline - next <= config->interval / 10 ? next :
                                                                                        deadline;
}

static void target_start(Target *t, usec_t now) {
        Prober *p = t->probe->service->prober;
        const ProbeConfig *config = t->probe->config;
        const TargetConfig *target = &config->targets[t->index];
        bool regular = t->due <= now;
        const char *words = NULL;
        Address address;

        if (regular && now - t->due > config->interval / 10) {
                t->detail.late++;
                p->counts.late++;
        }
        t->on_demand = false;
        t->started = now;
        t->deadline = deadline_of(t, now, regular);
        t->due = t->fast ? usec_add(now, config->fast_interval) : next_on_grid(t, now);
        t->state = TARGET_RESOLVING;
        p->counts.in_flight++;
        target_schedule(t, now);

        int r = resolver_ask(p->resolver, target->host, target->port, on_address, t, &address,
                             &t->query, &words);
        if (r > 0)
                start_kind(t, &address);
        else if (r < 0)
                finish_unresolved(t, words        ? words :
                                     r == -ENFILE ? "too many names are in use" :
                                                    "out of memory");
}

/* The deadline of a probe in flight has come. */
static void target_expire(Target *t, usec_t now) {
        ProbeResult result = {};
        STRBUF(words, PROBE_WORDS_SIZE);

        if (t->state == TARGET_RESOLVING) {
                resolver_cancel(TAKE_PTR(t->query));
                strbuf_add(&words, "no answer of the name server within ");
        } else {
                const char *owed = t->probe->kind->waiting_for(t->run);

                if (!owed) {
                        /* The target has done its part in time; ours takes longer. */
                        t->deadline = usec_add(now, t->probe->config->timeout);
                        target_schedule(t, now);
                        return;
                }
                strbuf_add(&words, "no ");
                strbuf_add(&words, owed);
                strbuf_add(&words, " within ");
                t->probe->kind->cancel(TAKE_PTR(t->run));
        }
        strbuf_add_usec_words(&words, t->probe->config->timeout);
        probe_result_set(&result, t->state == TARGET_RESOLVING ? OUTCOME_RESOLVER : OUTCOME_TIMEOUT,
                         words.text);
        target_finish(t, &result);
}

void prober_run(void *userdata, usec_t now) {
        Prober *p = userdata;
        ScheduleItem *first;

        p->running = true;
        p->armed = USEC_INFINITY;
        for (unsigned i = 0;
             i < ACTS_PER_TURN && (first = schedule_first(&p->schedule)) && first->at <= now; i++) {
                Target *t = (Target *)first;

                if (t->state == TARGET_IDLE)
                        target_start(t, now);
                else
                        target_expire(t, now);
        }
        p->running = false;
        prober_arm(p);
}
