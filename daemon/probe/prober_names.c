/* The addresses of names: which of them are probed, and in which of the engine's targets. */
#include <errno.h>

#include "prober_internal.h"

#define SPARE (TARGET_ADDRESSES_MAX - 1)

size_t probe_count_targets(const Probe *probe) {
        return probe->n_targets + probe->n_names * SPARE;
}

Target *probe_target(const Probe *probe, size_t index) {
        Target *t;

        if (index < probe->n_targets)
                t = &probe->targets[index];
        else if (index < probe_count_targets(probe))
                t = probe->names[(index - probe->n_targets) / SPARE]
                            .more[(index - probe->n_targets) % SPARE];
        else
                return NULL;
        return t && t->present ? t : NULL;
}

const Address *target_address(const Target *t, Address *storage) {
        size_t length = t->at.family == AF_INET  ? sizeof t->at.v4 :
                        t->at.family == AF_INET6 ? sizeof t->at.v6 :
                                                   0;
        const char *path;

        if (length == 0) {
                path = t->probe->config->targets[t->configured].socket;
                if (path)
                        resolve_socket(path, storage);
                return path ? storage : NULL;
        }
        storage->length = (uint32_t)length;
        storage->routed = false;
        memcpy(&storage->u.storage, &t->at, length);
        return storage;
}

/* Returns whether it is an address of a kind that we know how to keep. */
static bool set_address(Target *t, const Address *a) {
        sa_family_t family = ((const struct sockaddr *)&a->u.storage)->sa_family;

        if ((family != AF_INET && family != AF_INET6) || a->length > sizeof t->at)
                return false;
        memset(&t->at, 0, sizeof t->at);
        memcpy(&t->at, &a->u.storage, a->length);
        return true;
}

int target_init(Target *t, Probe *probe, size_t index, size_t configured) {
        const TargetConfig *config = &probe->config->targets[configured];
        Address address;
        int r;

        t->probe = probe;
        t->index = (uint16_t)index;
        t->configured = (uint16_t)configured;
        if (probe->kind->addressed && !config->socket &&
            resolve_numeric(config->host, config->port, &address))
                (void)set_address(t, &address);
        r = probe->kind->memory_new ? probe->kind->memory_new(probe->config, &t->memory) : 0;
        t->present = r >= 0;
        return r;
}

void target_done(Target *t) {
        if (t->memory)
                t->probe->kind->memory_free(t->memory);
        t->memory = NULL;
        free(TAKE_PTR(t->values));
        t->n_values = 0;
}

void target_retire(Target *t) {
        Prober *p = t->probe->service->prober;

        (void)target_cancel(t);
        place_give_back(t);
        target_leave_fast(t);
        wheel_remove(&p->wheel, &t->item);
        p->counts.targets--;
}

int probe_init_names(Probe *probe) {
        size_t n = 0;

        for (size_t i = 0; i < probe->n_targets; i++)
                n += target_config_is_name(&probe->config->targets[i]);
        if (n == 0 || !probe->kind->addressed)
                return 0;
        probe->names = calloc(n, sizeof *probe->names);
        if (!probe->names)
                return -ENOMEM;
        for (size_t i = 0; i < probe->n_targets; i++) {
                NamedTarget *name = &probe->names[probe->n_names];

                if (!target_config_is_name(&probe->config->targets[i]))
                        continue;
                *name = (NamedTarget){ .probe = probe,
                                       .index = (uint16_t)probe->n_names,
                                       .configured = (uint16_t)i };
                probe->targets[i].name = name;
                probe->n_names++;
        }
        return 0;
}

void probe_done_names(Probe *probe) {
        for (size_t i = 0; i < probe->n_names; i++) {
                resolver_unwatch(&probe->names[i].watch);
                for (size_t k = 0; k < SPARE; k++)
                        if (probe->names[i].more[k]) {
                                target_done(probe->names[i].more[k]);
                                free(probe->names[i].more[k]);
                        }
        }
        free(probe->names);
}

/* The target at one of the name's places, present or not; NULL: none was made. */
static Target *at_place(const NamedTarget *name, size_t place) {
        return place == 0 ? &name->probe->targets[name->configured] : name->more[place - 1];
}

static void tell_present(const NamedTarget *name, uint16_t index, bool present) {
        ProbedService *s = name->probe->service;
        const ProberOwner *owner = &s->prober->owner;

        owner->on_present(owner->userdata, s->handle, name->probe->index, index, present);
}

/* An address has left the name. */
static void empty_place(NamedTarget *name, size_t place) {
        Target *t = at_place(name, place);

        target_retire(t);
        tell_present(name, t->index, false);
        target_done(t);
        if (place > 0)
                free(TAKE_PTR(name->more[place - 1]));
        else
                *t = (Target){ .probe = name->probe, .configured = name->configured };
}

/* Makes the target of a place that is empty. Returns NULL when memory is short: the next answer
 * finds the address without a place again. */
static Target *fill_place(NamedTarget *name, size_t place) {
        Probe *probe = name->probe;
        Target *t = place > 0 ? calloc(1, sizeof *t) : at_place(name, place);
        size_t index = place == 0 ? name->configured :
                                    probe->n_targets + name->index * (size_t)SPARE + place - 1;

        if (!t)
                return NULL;
        if (target_init(t, probe, index, name->configured) < 0) {
                if (place > 0)
                        free(t);
                return NULL;
        }
        t->name = name;
        if (place > 0)
                name->more[place - 1] = t;
        probe->service->prober->counts.targets++;
        tell_present(name, t->index, true);
        return t;
}

static bool is_at(const Target *t, const Address *a) {
        Address storage;
        const Address *mine = target_address(t, &storage);

        return mine && address_equal(mine, a);
}

static bool any_routed(const ResolveAnswer *answer) {
        for (size_t i = 0; i < answer->n; i++)
                if (answer->addresses[i].routed)
                        return true;
        return false;
}

/* An address that this host has no route to is left out while the name has others, so that a name
 * with both families is no riddle on a host with one; but what was once reached stays, for then it
 * is our own network that has changed. */
static bool is_wanted(const ResolveAnswer *answer, const Target *t, bool routed) {
        for (size_t i = 0; i < answer->n; i++)
                if (is_at(t, &answer->addresses[i]))
                        return answer->addresses[i].routed || t->reached || !routed;
        return false;
}

static bool has_address(const NamedTarget *name, const Address *a) {
        for (size_t i = 0; i < TARGET_ADDRESSES_MAX; i++) {
                const Target *t = at_place(name, i);

                if (t && t->present && is_at(t, a))
                        return true;
        }
        return false;
}

/* The lowest place without an address. */
static size_t free_place(const NamedTarget *name) {
        size_t i = 0;

        for (; i < TARGET_ADDRESSES_MAX; i++) {
                const Target *t = at_place(name, i);

                if (!t || !t->present || t->at.family == 0)
                        break;
        }
        return i;
}

/* Is probed at once: what has waited for it, and what nothing is known of. */
static void start_soon(Target *t, usec_t now) {
        (void)target_cancel(t);
        t->on_demand = true;
        target_schedule(t, now);
}

static void take_new(NamedTarget *name, const Address *a, usec_t now) {
        size_t place = free_place(name);
        Target *t = place < TARGET_ADDRESSES_MAX ? at_place(name, place) : NULL;
        bool standing = t && t->present;

        if (place == TARGET_ADDRESSES_MAX || (!standing && !(t = fill_place(name, place)))) {
                name->left_out++;
                return;
        }
        if (!set_address(t, a))
                return;
        if (!standing)
                target_schedule_first(t, now);
        start_soon(t, now);
}

static void take_addresses(NamedTarget *name, const ResolveAnswer *answer, usec_t now) {
        const ProbedService *s = name->probe->service;
        const ProberOwner *owner = &s->prober->owner;
        bool routed = any_routed(answer), told = name->left_out > 0;

        for (size_t i = 0; i < TARGET_ADDRESSES_MAX; i++) {
                const Target *t = at_place(name, i);

                if (t && t->present && t->at.family != 0 && !is_wanted(answer, t, routed))
                        empty_place(name, i);
        }
        name->left_out = answer->more;
        for (size_t i = 0; i < answer->n; i++)
                if (!has_address(name, &answer->addresses[i]) &&
                    (answer->addresses[i].routed || !routed))
                        take_new(name, &answer->addresses[i], now);
        if (name->left_out > 0 && !told)
                owner->on_left_out(owner->userdata, s->handle, name->probe->index, name->configured,
                                   name->left_out);
}

static void on_answer(ResolveWatch *w, const ResolveAnswer *answer) {
        NamedTarget *name = (NamedTarget *)w;
        Prober *p = name->probe->service->prober;
        usec_t now = loop_now(p->loop);

        name->answered = answer->n > 0 || answer->failure;
        name->failure = answer->failure;
        if (answer->n > 0)
                take_addresses(name, answer, now);
        for (size_t i = 0; i < TARGET_ADDRESSES_MAX && name->answered; i++) {
                Target *t = at_place(name, i);

                if (t && t->present && t->state == TARGET_RESOLVING)
                        start_soon(t, now);
        }
        prober_arm(p);
}

/* Samples go on: the addresses keep their places. */
static void take_over(NamedTarget *name, NamedTarget *old, usec_t now) {
        usec_t interval = name->probe->config->interval;

        for (size_t i = 0; i < SPARE; i++) {
                Target *t = TAKE_PTR(old->more[i]);

                if (!t)
                        continue;
                target_leave_fast(t);
                t->on_demand = target_cancel(t) || t->on_demand;
                name->more[i] = t;
                t->name = name;
                if (interval == t->probe->config->interval) {
                        t->probe = name->probe;
                        target_schedule(t, now);
                } else {
                        t->probe = name->probe;
                        target_schedule_first(t, now);
                }
        }
        name->left_out = old->left_out;
        name->answered = old->answered;
        name->failure = old->failure;
}

static void watch(NamedTarget *name) {
        const ProbeConfig *config = name->probe->config;
        const TargetConfig *target = &config->targets[name->configured];
        ResolveAnswer answer = {};
        int r = resolver_watch(name->probe->service->prober->resolver, &name->watch, target->host,
                               target->port, config->name_ttl, on_answer, &answer);

        if (r < 0) {
                name->answered = true;
                name->failure = r == -ENFILE ? "too many names are in use" : "out of memory";
        } else if (answer.n > 0 || answer.failure)
                on_answer(&name->watch, &answer);
}

void probe_begin_names(Probe *probe, Probe *before, usec_t now) {
        for (size_t i = 0; i < probe->n_names; i++) {
                if (before)
                        take_over(&probe->names[i], &before->names[i], now);
                watch(&probe->names[i]);
        }
}
