#include <arpa/inet.h>
#include <errno.h>

#include "descriptors.h"
#include "prober_internal.h"

/* As many as one turn may start. */
#define RUNS_KEPT 256

static void on_told(void *userdata) {
        prober_arm(userdata);
}

int prober_new(Prober **ret, Loop *loop, Offload *offload, const char *secrets,
               const ProberOwner *owner, uint64_t seed) {
        _cleanup_(prober_freep) Prober *p = calloc(1, sizeof *p);
        int r;

        if (!p)
                return -ENOMEM;
        p->loop = loop;
        p->owner = *owner;
        p->seed = seed;
        p->armed = USEC_INFINITY;
        p->places = descriptors_share(descriptors_limit()).probes;
        wheel_init(&p->wheel, loop_now(loop));
        ring_init(&p->queue);
        ring_init(&p->slow_queue);
        ring_init(&p->slow);
        r = poller_new(&p->poller, loop, on_told, p);
        if (r < 0)
                return r;
        p->secrets = strdup(secrets);
        if (!p->secrets)
                return -ENOMEM;
        r = bus_new(&p->bus, loop);
        if (r < 0)
                return r;
        r = children_new(&p->children, p->poller);
        if (r < 0)
                return r;
        r = pool_new(&p->runs, PROBE_RUN_SIZE, RUNS_KEPT);
        if (r < 0)
                return r;
        p->tools = (ProbeTools){ .loop = loop,
                                 .poller = p->poller,
                                 .offload = offload,
                                 .secrets = p->secrets,
                                 .bus = p->bus,
                                 .children = p->children,
                                 .runs = p->runs };
        r = resolver_new(&p->resolver, loop, offload);
        if (r < 0)
                return r;
        r = loop_add_timer(loop, prober_run, p, "prober", &p->timer);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(p);
        return 0;
}

static void probe_done(Probe *probe) {
        probe_done_names(probe);
        for (size_t i = 0; probe->targets && i < probe->n_targets; i++)
                target_done(&probe->targets[i]);
        free(probe->targets);
        if (probe->shared)
                probe->kind->release(probe->shared);
}

ProbedService *probed_service_free(ProbedService *s) {
        if (!s)
                return NULL;
        for (size_t i = 0; s->probes && i < s->n_probes; i++)
                probe_done(&s->probes[i]);
        free(s->probes);
        free(s);
        return NULL;
}

/* Takes everything of a service out of the wheel; its memory goes now, or when the owner's
 * callback has returned. */
static void service_retire(Prober *p, ProbedService *s) {
        for (size_t i = 0; i < s->n_probes; i++)
                for (size_t j = 0; j < probe_count_targets(&s->probes[i]); j++) {
                        Target *t = probe_target(&s->probes[i], j);

                        if (t)
                                target_retire(t);
                }
        s->gone = true;
        if (p->depth == 0) {
                probed_service_free(s);
                return;
        }
        s->next_gone = p->gone;
        p->gone = s;
}

Prober *prober_free(Prober *p) {
        if (!p)
                return NULL;
        assert(p->depth == 0);
        while (p->n_services > 0)
                service_retire(p, p->services[--p->n_services]);
        free(p->services);
        loop_timer_free(p->timer);
        resolver_free(p->resolver);
        children_free(p->children);
        pool_free(p->runs);
        poller_free(p->poller);
        bus_free(p->bus);
        free(p->secrets);
        free(p);
        return NULL;
}

/* Position of a service, or where it would be put. */
static size_t service_position(const Prober *p, uint32_t handle) {
        size_t low = 0, high = p->n_services;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (p->services[middle]->handle < handle)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

static ProbedService *find_service(const Prober *p, uint32_t handle) {
        size_t position = service_position(p, handle);

        return position < p->n_services && p->services[position]->handle == handle ?
                       p->services[position] :
                       NULL;
}

static Probe *find_probe(const Prober *p, uint32_t handle, uint16_t probe) {
        ProbedService *s = find_service(p, handle);

        return s && probe < s->n_probes ? &s->probes[probe] : NULL;
}

static int probe_init(Probe *probe, ProbedService *service, const ServiceConfig *config,
                      size_t index) {
        const ProbeKind *kind = probe_kind(config->probes[index].kind);
        const ProbeConfig *pc = &config->probes[index];
        int r;

        *probe = (Probe){
                .service = service,
                .config = pc,
                .kind = kind,
                .identity = config->policy.probes[index].identity,
                .index = (uint16_t)index,
                .n_targets = pc->n_targets,
                .targets = calloc(MAX(pc->n_targets, (size_t)1), sizeof *probe->targets),
        };
        if (!probe->targets)
                return -ENOMEM;
        if (pc->interval == 0 || pc->timeout == 0 || pc->n_targets > UINT16_MAX)
                return -EINVAL;
        if (kind->prepare) {
                r = kind->prepare(&service->prober->tools, pc, &probe->shared);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < pc->n_targets; i++) {
                r = target_init(&probe->targets[i], probe, i, i);
                if (r < 0)
                        return r;
        }
        return probe_init_names(probe);
}

static int service_new(ProbedService **ret, Prober *p, uint32_t handle,
                       const ServiceConfig *config) {
        _cleanup_(probed_service_freep) ProbedService *s = calloc(1, sizeof *s);

        if (!s)
                return -ENOMEM;
        s->prober = p;
        s->handle = handle;
        s->name = config->service;
        s->n_probes = config->n_probes;
        s->probes = calloc(MAX(config->n_probes, (size_t)1), sizeof *s->probes);
        if (!s->probes)
                return -ENOMEM;
        for (size_t i = 0; i < config->n_probes; i++) {
                int r = probe_init(&s->probes[i], s, config, i);

                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(s);
        return 0;
}

/* A target whose samples go on: what it had in flight is asked again, for it borrows from the old
 * configuration. */
static void target_inherit(Target *t, Target *old, usec_t now) {
        usec_t interval = t->probe->config->interval;
        void *memory = t->memory;

        t->on_demand = target_cancel(old) || old->on_demand;
        t->present = old->present;
        t->reached = old->reached;
        t->prompt = old->prompt;
        t->holds_as_slow = old->holds_as_slow;
        t->holds = old->holds;
        t->keeps = old->keeps;
        old->holds = 0;
        old->keeps = false;
        t->at = old->at;
        t->detail = old->detail;
        t->started = old->started;
        t->memory = old->memory;
        old->memory = memory;
        t->values = TAKE_PTR(old->values);
        t->n_values = old->n_values;
        if (!t->present)
                t->probe->service->prober->counts.targets--;
        else if (interval == old->probe->config->interval) {
                t->phase = old->phase;
                t->due = old->due;
                target_schedule(t, now);
        } else
                target_schedule_first(t, now);
}

static void probe_begin(Probe *probe, const ProbedService *old, usec_t now) {
        Probe *before = NULL;

        for (size_t i = 0; old && i < old->n_probes && !before; i++)
                if (old->probes[i].identity == probe->identity &&
                    old->probes[i].kind == probe->kind &&
                    old->probes[i].n_targets == probe->n_targets &&
                    old->probes[i].n_names == probe->n_names &&
                    streq(old->probes[i].config->name, probe->config->name))
                        before = &old->probes[i];
        for (size_t i = 0; i < probe->n_targets; i++)
                if (before)
                        target_inherit(&probe->targets[i], &before->targets[i], now);
                else
                        target_schedule_first(&probe->targets[i], now);
        probe_begin_names(probe, before, now);
}

int prober_put_service(Prober *p, uint32_t service, const ServiceConfig *config) {
        _cleanup_(probed_service_freep) ProbedService *s = NULL;
        size_t position = service_position(p, service), n_targets = 0;
        ProbedService *old = find_service(p, service);
        int r;

        r = service_new(&s, p, service, config);
        if (r < 0) {
                /* What it borrows is about to go. */
                prober_remove_service(p, service);
                return r;
        }
        for (size_t i = 0; i < s->n_probes; i++)
                n_targets += s->probes[i].n_targets;
        if (!old) {
                ProbedService **services = reallocarray(p->services, p->n_services + 1,
                                                        sizeof *services);

                if (!services)
                        return -ENOMEM;
                p->services = services;
                memmove(services + position + 1, services + position,
                        (p->n_services - position) * sizeof *services);
                p->n_services++;
        }
        /* Nothing fails from here on. */
        p->counts.targets += n_targets;
        for (size_t i = 0; i < s->n_probes; i++)
                probe_begin(&s->probes[i], old, loop_now(p->loop));
        p->services[position] = TAKE_PTR(s);
        if (old)
                service_retire(p, old);
        prober_pass_fast(p);
        prober_arm(p);
        return 0;
}

void prober_remove_service(Prober *p, uint32_t service) {
        size_t position = service_position(p, service);
        ProbedService *s = find_service(p, service);

        if (!s)
                return;
        p->n_services--;
        memmove(p->services + position, p->services + position + 1,
                (p->n_services - position) * sizeof *p->services);
        service_retire(p, s);
        prober_pass_fast(p);
        prober_arm(p);
}

void prober_probe_now(Prober *p, uint32_t service, uint16_t probe) {
        Probe *which = find_probe(p, service, probe);

        for (size_t i = 0; which && i < probe_count_targets(which); i++) {
                Target *t = probe_target(which, i);

                if (!t)
                        continue;
                t->on_demand = true;
                target_schedule(t, loop_now(p->loop));
        }
        prober_arm(p);
}

void prober_start_epoch(Prober *p, uint32_t service) {
        ProbedService *s = find_service(p, service);

        for (size_t i = 0; s && i < s->n_probes; i++)
                for (size_t j = 0; j < probe_count_targets(&s->probes[i]); j++) {
                        Target *t = probe_target(&s->probes[i], j);

                        if (!t)
                                continue;
                        if (target_cancel(t))
                                t->on_demand = true;
                        place_give_back(t);
                        if (t->memory)
                                s->probes[i].kind->memory_start_epoch(t->memory);
                        target_schedule(t, loop_now(p->loop));
                }
        prober_arm(p);
}

bool prober_detail(const Prober *p, uint32_t service, uint16_t probe, uint16_t target,
                   ProbeDetail *ret) {
        const Probe *which = find_probe(p, service, probe);
        const Target *t = which ? probe_target(which, target) : NULL;

        if (!t)
                return false;
        *ret = t->detail;
        return true;
}

size_t prober_values(const Prober *p, uint32_t service, uint16_t probe, uint16_t target,
                     const SampleValue **ret) {
        const Probe *which = find_probe(p, service, probe);
        const Target *t = which ? probe_target(which, target) : NULL;

        *ret = t ? t->values : NULL;
        return t ? t->n_values : 0;
}

unsigned prober_address(const Prober *p, uint32_t service, uint16_t probe, uint16_t target,
                        StrBuf *address) {
        const Probe *which = find_probe(p, service, probe);
        const Target *t = which ? probe_target(which, target) : NULL;
        char text[INET6_ADDRSTRLEN];

        if (!t)
                return 0;
        if (t->at.family == AF_INET)
                strbuf_add(address,
                           inet_ntop(AF_INET, &t->at.v4.sin_addr, text, sizeof text) ?: "");
        else if (t->at.family == AF_INET6)
                strbuf_add(address,
                           inet_ntop(AF_INET6, &t->at.v6.sin6_addr, text, sizeof text) ?: "");
        return t->name ? t->name->left_out : 0;
}

ProberCounts prober_counts(const Prober *p) {
        return p->counts;
}
