/* A name's answer in time:
 *
 *      answered                 due            until                  given up
 *         |------- served -------|-- look-up ---|---- still served ----|
 *                                '-- RESOLVE_LEAD                      '-- RESOLVE_TIMEOUT
 *
 * A look-up that fails before `until` is made again and changes nothing until then. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "resolve.h"
#include "wheel.h"

#define BUCKETS 4096

struct ResolveName {
        WheelItem item; /* first, so that an item is its name */
        Resolver *resolver;
        ResolveName *next; /* in the bucket */
        Ring in_queue;     /* among those whose look-up waits for its turn */
        Ring watches;
        OffloadTask *task; /* while a worker has it */
        bool telling;
        bool failed; /* the last look-up */
        bool more;
        bool in_failed_lane; /* of the look-up that runs */
        uint16_t port;
        Address *addresses;
        size_t n;
        const char *failure; /* static words, when there are no addresses */
        usec_t until;        /* the time of the addresses; later ones are awaited a while longer */
        usec_t asked;        /* when the look-up was wanted, then when it began */
        usec_t retry;        /* after the next failure */
        char host[];
};

struct Resolver {
        Loop *loop;
        Offload *offload;
        LoopTimer *timer;
        Wheel wheel;
        ResolveName *buckets[BUCKETS];
        size_t n_names;
        Ring fresh, failed; /* names that wait for a worker */
        unsigned n_running, n_failed_running;
};

static void on_timer(void *userdata, usec_t now);

int resolver_new(Resolver **ret, Loop *loop, Offload *offload) {
        _cleanup_(resolver_freep) Resolver *r = calloc(1, sizeof *r);
        int k;

        if (!r)
                return -ENOMEM;
        r->loop = loop;
        r->offload = offload;
        ring_init(&r->fresh);
        ring_init(&r->failed);
        wheel_init(&r->wheel, loop_now(loop));
        k = loop_add_timer(loop, on_timer, r, "resolver", &r->timer);
        if (k < 0)
                return k;
        *ret = TAKE_PTR(r);
        return 0;
}

static void name_free(ResolveName *n) {
        if (n->task)
                offload_cancel(n->task);
        free(n->addresses);
        free(n);
}

Resolver *resolver_free(Resolver *r) {
        if (!r)
                return NULL;
        for (size_t i = 0; i < BUCKETS; i++)
                for (ResolveName *n = r->buckets[i], *next; n; n = next) {
                        next = n->next;
                        while (!ring_is_empty(&n->watches)) {
                                ResolveWatch *w = RING_ITEM(n->watches.next, ResolveWatch, link);

                                ring_remove(&w->link);
                                w->name = NULL;
                        }
                        name_free(n);
                }
        loop_timer_free(r->timer);
        free(r);
        return NULL;
}

bool resolve_numeric(const char *host, uint16_t port, Address *ret) {
        struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port) };
        struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };

        if (inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
                *ret = (Address){ .length = sizeof v4 };
                memcpy(&ret->u.storage, &v4, sizeof v4);
                return true;
        }
        if (inet_pton(AF_INET6, host, &v6.sin6_addr) == 1) {
                *ret = (Address){ .length = sizeof v6 };
                memcpy(&ret->u.storage, &v6, sizeof v6);
                return true;
        }
        return false;
}

void resolve_socket(const char *path, Address *ret) {
        struct sockaddr_un name = { .sun_family = AF_UNIX };

        /* The configuration takes no path that is longer. */
        assert(strlen(path) < sizeof name.sun_path);
        memcpy(name.sun_path, path, strlen(path));
        *ret = (Address){ .length = sizeof name };
        memcpy(&ret->u.storage, &name, sizeof name);
}

static ResolveName **bucket_of(Resolver *r, const char *host, uint16_t port) {
        uint32_t hash = 2166136261u ^ port;

        for (; *host; host++)
                hash = (hash ^ (unsigned char)*host) * 16777619u;
        return &r->buckets[hash % BUCKETS];
}

static int find_name(Resolver *r, const char *host, uint16_t port, ResolveName **ret) {
        ResolveName **bucket = bucket_of(r, host, port), *n;
        size_t length = strlen(host);

        for (n = *bucket; n; n = n->next)
                if (n->port == port && streq(n->host, host)) {
                        *ret = n;
                        return 0;
                }
        if (r->n_names >= RESOLVE_NAMES_MAX)
                return -ENFILE;
        n = calloc(1, sizeof *n + length + 1);
        if (!n)
                return -ENOMEM;
        n->resolver = r;
        n->port = port;
        memcpy(n->host, host, length + 1);
        ring_init(&n->watches);
        n->next = *bucket;
        *bucket = n;
        r->n_names++;
        *ret = n;
        return 0;
}

/* Frees a name that nobody watches, unless a worker still has it: it counts among those that are
 * busy until it is back. */
static void drop_unwatched(ResolveName *n) {
        Resolver *r = n->resolver;
        ResolveName **p = bucket_of(r, n->host, n->port);

        if (n->telling || n->task || !ring_is_empty(&n->watches))
                return;
        while (*p != n)
                p = &(*p)->next;
        *p = n->next;
        ring_remove(&n->in_queue);
        wheel_remove(&r->wheel, &n->item);
        r->n_names--;
        name_free(n);
}

static ResolveAnswer answer_of(const ResolveName *n) {
        return (ResolveAnswer){ n->addresses, n->n, n->more, n->n == 0 ? n->failure : NULL };
}

/* Whoever is told may remove watches and add some: these have the answer already. */
static void tell(ResolveName *n) {
        ResolveAnswer answer = answer_of(n);
        Ring left;

        ring_init(&left);
        n->telling = true;
        while (!ring_is_empty(&n->watches)) {
                Ring *link = n->watches.next;

                ring_remove(link);
                ring_append(&left, link);
        }
        while (!ring_is_empty(&left)) {
                ResolveWatch *w = RING_ITEM(left.next, ResolveWatch, link);

                ring_remove(&w->link);
                ring_append(&n->watches, &w->link);
                w->on_answer(w, &answer);
        }
        n->telling = false;
        drop_unwatched(n);
}

static usec_t ttl_of(const ResolveName *n) {
        usec_t ttl = USEC_PER_HOUR;

        for (const Ring *link = n->watches.next; link != &n->watches; link = link->next)
                ttl = MIN(ttl, RING_ITEM(link, const ResolveWatch, link)->ttl);
        return ttl;
}

static void set_due(ResolveName *n, usec_t ttl) {
        wheel_set(&n->resolver->wheel, &n->item, n->until - MIN(ttl / 2, RESOLVE_LEAD));
}

/* Until when the old answer is used while a new one is awaited. */
static void set_patience(ResolveName *n) {
        usec_t from = n->task ? n->asked : MAX(n->asked, n->until);

        wheel_set(&n->resolver->wheel, &n->item, MAX(usec_add(from, RESOLVE_TIMEOUT), n->until));
}

static void forget(ResolveName *n, const char *why) {
        n->failure = why;
        n->n = 0;
}

static void take_failure(ResolveName *n, const char *why, usec_t now) {
        usec_t ttl = ttl_of(n);

        n->failed = true;
        n->retry = MIN(MAX(n->retry * 2, RESOLVE_FAILED_TTL), MAX(ttl, RESOLVE_FAILED_TTL));
        wheel_set(&n->resolver->wheel, &n->item, usec_add(now, n->retry));
        if (n->until <= now)
                forget(n, why);
}

static const char *take_answer(ResolveName *n, const AddressList *list, usec_t now) {
        Address *addresses;

        if (!list)
                return "no memory for the answer";
        if (list->error != 0)
                return offload_resolve_words(list->error);
        addresses = reallocarray(n->addresses, list->n, sizeof *addresses);
        if (!addresses)
                return "no memory for the answer";
        memcpy(addresses, list->addresses, list->n * sizeof *addresses);
        n->addresses = addresses;
        n->n = list->n;
        n->more = list->more;
        n->failed = false;
        n->retry = 0;
        n->until = usec_add(now, ttl_of(n));
        set_due(n, ttl_of(n));
        return NULL;
}

static void start_waiting(Resolver *r);
static void arm(Resolver *r);

static void on_resolved(void *userdata, int r _unused_, void *value) {
        ResolveName *n = userdata;
        Resolver *resolver = n->resolver;
        usec_t now = loop_now(resolver->loop);
        const char *why;

        n->task = NULL;
        resolver->n_running--;
        resolver->n_failed_running -= n->in_failed_lane;
        why = take_answer(n, value, now);
        free(value);
        if (why)
                take_failure(n, why, now);
        tell(n);
        start_waiting(resolver);
        arm(resolver);
}

static int start(ResolveName *n) {
        Resolver *r = n->resolver;
        int k = offload_resolve(r->offload, n->host, n->port, USEC_INFINITY, on_resolved, n,
                                &n->task);

        if (k < 0)
                return k;
        ring_remove(&n->in_queue);
        n->asked = loop_now(r->loop);
        n->in_failed_lane = n->failed;
        r->n_running++;
        r->n_failed_running += n->failed;
        set_patience(n);
        return 0;
}

/* What offload has no room for waits for the next look-up that ends, or the next turn of the timer.
 */
static void start_waiting(Resolver *r) {
        while (r->n_running < RESOLVE_CONCURRENT) {
                bool failed = ring_is_empty(&r->fresh);
                Ring *queue = failed ? &r->failed : &r->fresh;

                if (ring_is_empty(queue) ||
                    (failed && r->n_failed_running >= RESOLVE_CONCURRENT - 1) ||
                    start(RING_ITEM(queue->next, ResolveName, in_queue)) < 0)
                        return;
        }
}

static void want_look_up(ResolveName *n, usec_t now) {
        Resolver *r = n->resolver;

        n->asked = now;
        ring_append(n->failed ? &r->failed : &r->fresh, &n->in_queue);
        set_patience(n);
}

static void give_up_for_now(ResolveName *n) {
        n->failed = true;
        forget(n, n->task ? "the name server did not answer" :
                            "the name server keeps other names waiting");
        tell(n);
}

static void arm(Resolver *r) {
        usec_t at = wheel_next(&r->wheel);

        if (r->n_running == 0 && !(ring_is_empty(&r->fresh) && ring_is_empty(&r->failed)))
                at = MIN(at, usec_add(loop_now(r->loop), RESOLVE_FAILED_TTL));
        loop_timer_set(r->timer, at);
}

static void on_timer(void *userdata, usec_t now) {
        Resolver *r = userdata;
        WheelItem *item;

        while ((item = wheel_take(&r->wheel, now))) {
                ResolveName *n = (ResolveName *)item;

                if (n->task || ring_has(&n->in_queue))
                        give_up_for_now(n);
                else
                        want_look_up(n, now);
        }
        start_waiting(r);
        arm(r);
}

int resolver_watch(Resolver *r, ResolveWatch *w, const char *host, uint16_t port, usec_t ttl,
                   void (*on_answer)(ResolveWatch *w, const ResolveAnswer *answer),
                   ResolveAnswer *ret) {
        usec_t now = loop_now(r->loop);
        ResolveName *n;
        int k = find_name(r, host, port, &n);

        if (k < 0)
                return k;
        *w = (ResolveWatch){ .name = n, .ttl = ttl, .on_answer = on_answer };
        ring_append(&n->watches, &w->link);
        if (n->n > 0 && n->until > usec_add(now, ttl)) {
                n->until = usec_add(now, ttl);
                if (!n->task && !ring_has(&n->in_queue))
                        set_due(n, ttl);
        } else if (!n->task && !ring_has(&n->in_queue) && !ring_has(&n->item.link))
                want_look_up(n, now);
        start_waiting(r);
        arm(r);
        *ret = answer_of(n);
        return 0;
}

void resolver_unwatch(ResolveWatch *w) {
        ResolveName *n = w->name;

        if (!n)
                return;
        ring_remove(&w->link);
        w->name = NULL;
        drop_unwatched(n);
}
