#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>

#include "expectation.h"
#include "resolve.h"
#include "survey.h"

#define RESOLVE_WAIT (10 * USEC_PER_SEC)

typedef enum ItemState { ITEM_WAITING, ITEM_RESOLVING, ITEM_RUNNING, ITEM_DONE } ItemState;

/* An entry on its way. */
typedef struct Item {
        SurveyEntry entry;
        Survey *survey;
        const ProbeKind *kind;
        void *shared;
        ItemState state;
        bool has_address;
        Address address;
        OffloadTask *task;
        LoopTimer *timer;
        usec_t started, repaid;
        void *memory, *run;
        char *text; /* of the trace */
} Item;

struct Survey {
        ProbeTools tools;
        const ServiceConfig *config;
        void **shared; /* by probe; NULL: not prepared, or nothing to prepare */
        Item **items;  /* in the order of the policy; more come as names are resolved */
        size_t n_items;
        size_t n_running;
        LoopTimer *timer; /* starts what waits, from the loop */
        void (*on_done)(void *userdata);
        void *userdata;
};

static Item *item_free(Item *item) {
        if (!item)
                return NULL;
        if (item->state == ITEM_RUNNING)
                item->kind->cancel(item->run);
        if (item->task)
                offload_cancel(item->task);
        if (item->memory)
                item->kind->memory_free(item->memory);
        loop_timer_free(item->timer);
        free(item->text);
        free(item);
        return NULL;
}

Survey *survey_free(Survey *s) {
        if (!s)
                return NULL;
        for (size_t i = 0; i < s->n_items; i++)
                item_free(s->items[i]);
        free(s->items);
        for (size_t i = 0; s->shared && i < s->config->n_probes; i++)
                if (s->shared[i])
                        probe_kind(s->config->probes[i].kind)->release(s->shared[i]);
        free(s->shared);
        loop_timer_free(s->timer);
        free(s);
        return NULL;
}

static int add_item(Survey *s, size_t position, const ProbeConfig *probe,
                    const TargetConfig *target, void *shared, Item **ret) {
        Item **items = reallocarray(s->items, s->n_items + 1, sizeof *items);
        Item *item = calloc(1, sizeof *item);

        if (items)
                s->items = items;
        if (!items || !item) {
                free(item);
                return -ENOMEM;
        }
        item->entry.probe = probe;
        item->entry.target = target;
        item->survey = s;
        item->kind = probe_kind(probe->kind);
        item->shared = shared;
        memmove(items + position + 1, items + position, (s->n_items - position) * sizeof *items);
        items[position] = item;
        s->n_items++;
        *ret = item;
        return 0;
}

static size_t position_of(const Survey *s, const Item *item) {
        for (size_t i = 0; i < s->n_items; i++)
                if (s->items[i] == item)
                        return i;
        return s->n_items;
}

static void finish(Item *item, const ProbeResult *result) {
        Survey *s = item->survey;

        probe_trace_mark(&item->entry.trace, MOMENT_DONE);
        if (result)
                item->entry.result = *result;
        if (item->started > 0)
                item->entry.duration = usec_sub(loop_clock(), item->started);
        expectation_apply(item->entry.probe,
                          usec_sub(item->entry.duration, item->entry.result.ours),
                          &item->entry.result);
        item->state = ITEM_DONE;
        item->run = NULL;
        /* It has no deadline before it has an address. */
        if (item->timer)
                loop_timer_set(item->timer, USEC_INFINITY);
        s->n_running--;
        loop_timer_set(s->timer, loop_now(s->tools.loop));
}

static void on_probed(void *userdata, const ProbeResult *result) {
        finish(userdata, result);
}

/* The deadline, as the prober keeps it: what only our own work is left of goes on, and what our
 * workers took is given back. */
static void on_deadline(void *userdata, usec_t now) {
        Item *item = userdata;
        const char *owed = item->kind->waiting_for(item->run);
        usec_t ours = item->kind->ours ? item->kind->ours(item->run) : 0;
        STRBUF(words, PROBE_WORDS_SIZE);

        if (!owed || ours > item->repaid) {
                loop_timer_set(item->timer, usec_add(now, owed ? ours - item->repaid :
                                                                 item->entry.probe->timeout));
                item->repaid = ours;
                return;
        }
        strbuf_add(&words, "no ");
        strbuf_add(&words, owed);
        strbuf_add(&words, " within ");
        strbuf_add_usec_words(&words, item->entry.probe->timeout);
        probe_result_set(&item->entry.result, item->kind->late ?: OUTCOME_TIMEOUT, words.text);
        item->kind->cancel(TAKE_PTR(item->run));
        finish(item, NULL);
}

static int prepare_run(Item *item) {
        int r = loop_add_timer(item->survey->tools.loop, on_deadline, item, "survey", &item->timer);

        if (r >= 0 && item->kind->memory_new)
                r = item->kind->memory_new(item->entry.probe, &item->memory);
        return r;
}

static void run(Item *item) {
        Survey *s = item->survey;
        ProbeResult result = {};
        int r = prepare_run(item);

        if (r < 0) {
                probe_result_set_errno(&result, r);
                finish(item, &result);
                return;
        }
        item->state = ITEM_RUNNING;
        item->started = loop_clock();
        probe_trace_mark(&item->entry.trace, MOMENT_BEGUN);
        loop_timer_set(item->timer, usec_add(item->started, item->entry.probe->timeout));
        if (!item->kind->start(&(ProbeStart){ .tools = &s->tools,
                                              .service = s->config->service,
                                              .config = item->entry.probe,
                                              .target = item->entry.target,
                                              .address = item->has_address ? &item->address : NULL,
                                              .shared = item->shared,
                                              .memory = item->memory,
                                              .trace = &item->entry.trace,
                                              .done = on_probed,
                                              .userdata = item },
                               &result, &item->run))
                finish(item, &result);
}

static void set_address(Item *item, const Address *address) {
        const void *storage = &address->u.storage;
        const struct sockaddr_in *v4 = storage;
        const struct sockaddr_in6 *v6 = storage;

        item->address = *address;
        item->has_address = true;
        if (address->u.storage.ss_family == AF_INET)
                (void)inet_ntop(AF_INET, &v4->sin_addr, item->entry.address,
                                sizeof item->entry.address);
        else if (address->u.storage.ss_family == AF_INET6)
                (void)inet_ntop(AF_INET6, &v6->sin6_addr, item->entry.address,
                                sizeof item->entry.address);
}

/* The first address is this item's, each other one becomes an item behind it, which waits. */
static void take_addresses(Item *item, const AddressList *list) {
        size_t position = position_of(item->survey, item);

        set_address(item, &list->addresses[0]);
        for (size_t i = 1; i < list->n; i++) {
                Item *other;

                if (add_item(item->survey, ++position, item->entry.probe, item->entry.target,
                             item->shared, &other) >= 0)
                        set_address(other, &list->addresses[i]);
        }
}

static void on_resolved(void *userdata, int r, void *value) {
        Item *item = userdata;
        _cleanup_(freep) AddressList *list = value;
        STRBUF(words, PROBE_WORDS_SIZE);
        ProbeResult result = {};

        item->task = NULL;
        probe_trace_mark(&item->entry.trace, MOMENT_RESOLVED);
        if (r >= 0 && list && list->error == 0 && list->n > 0) {
                take_addresses(item, list);
                run(item);
                return;
        }
        strbuf_add(&words, "cannot resolve ");
        strbuf_add(&words, item->entry.target->host);
        strbuf_add(&words, ": ");
        strbuf_add(&words, r < 0 || !list ? "the name server did not answer" :
                           list->error    ? offload_resolve_words(list->error) :
                                            "the name has no address");
        probe_result_set(&result, OUTCOME_RESOLVER, words.text);
        finish(item, &result);
}

static void start_trace(Item *item) {
        ProbeTrace *t = &item->entry.trace;

        item->text = malloc(2 * PROBE_TRACE_TEXT_MAX);
        if (!item->text)
                return;
        strbuf_init(&t->request, item->text, PROBE_TRACE_TEXT_MAX);
        strbuf_init(&t->answer, item->text + PROBE_TRACE_TEXT_MAX, PROBE_TRACE_TEXT_MAX);
        probe_trace_mark(t, MOMENT_STARTED);
}

static void resolve(Item *item) {
        const TargetConfig *target = item->entry.target;
        Survey *s = item->survey;
        ProbeResult result = {};
        int r;

        item->state = ITEM_RESOLVING;
        r = offload_resolve(s->tools.offload, target->host, target->port, RESOLVE_WAIT, on_resolved,
                            item, &item->task);
        if (r >= 0)
                return;
        probe_result_set_errno(&result, r);
        finish(item, &result);
}

/* Whether the item knows where it goes: it needs no address, has one, or its target says it. */
static bool is_led(Item *item) {
        const TargetConfig *target = item->entry.target;
        Address address;

        if (!item->kind->addressed || item->has_address)
                return true;
        if (target->socket)
                resolve_socket(target->socket, &address);
        else if (!resolve_numeric(target->host, target->port, &address))
                return false;
        set_address(item, &address);
        return true;
}

static void start(Item *item) {
        ProbeResult result = {};

        item->survey->n_running++;
        start_trace(item);
        if (!item->text) {
                probe_result_set_errno(&result, ENOMEM);
                finish(item, &result);
        } else if (is_led(item))
                run(item);
        else
                resolve(item);
}

static void on_turn(void *userdata, _unused_ usec_t now) {
        Survey *s = userdata;
        size_t left = 0;

        for (size_t i = 0; i < s->n_items; i++) {
                if (s->items[i]->state == ITEM_WAITING && s->n_running < SURVEY_CONCURRENT)
                        start(s->items[i]);
                left += s->items[i]->state != ITEM_DONE;
        }
        if (left > 0)
                return;
        loop_timer_set(s->timer, USEC_INFINITY);
        s->on_done(s->userdata);
}

static int add_probe(Survey *s, size_t probe) {
        const ProbeConfig *config = &s->config->probes[probe];
        const ProbeKind *kind = probe_kind(config->kind);
        Item *item;
        int r = 0;

        if (kind->prepare)
                r = kind->prepare(&s->tools, config, &s->shared[probe]);
        for (size_t i = 0; r >= 0 && i < config->n_targets; i++)
                r = add_item(s, s->n_items, config, &config->targets[i], s->shared[probe], &item);
        return r;
}

int survey_new(Survey **ret, const ProbeTools *tools, const ServiceConfig *config, size_t probe,
               void (*on_done)(void *userdata), void *userdata) {
        _cleanup_(survey_freep) Survey *s = calloc(1, sizeof *s);
        int r;

        if (!s)
                return -ENOMEM;
        s->tools = *tools;
        s->config = config;
        s->on_done = on_done;
        s->userdata = userdata;
        s->shared = calloc(config->n_probes + 1, sizeof *s->shared);
        if (!s->shared)
                return -ENOMEM;
        for (size_t i = 0; i < config->n_probes; i++) {
                r = probe == SURVEY_ALL || probe == i ? add_probe(s, i) : 0;
                if (r < 0)
                        return r;
        }
        r = loop_add_timer(tools->loop, on_turn, s, "survey", &s->timer);
        if (r < 0)
                return r;
        loop_timer_set(s->timer, loop_now(tools->loop));
        *ret = TAKE_PTR(s);
        return 0;
}

size_t survey_length(const Survey *s) {
        return s->n_items;
}

const SurveyEntry *survey_entry(const Survey *s, size_t i) {
        return &s->items[i]->entry;
}
