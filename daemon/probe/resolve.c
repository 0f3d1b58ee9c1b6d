#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>

#include "resolve.h"

#define BUCKETS 1024

typedef struct Name Name;

struct ResolveQuery {
        Name *name;
        ResolveQuery *next,
                **link; /* among those who wait for the name; link points at whoever points here */
        ResolveDone done;
        void *userdata;
};

struct Name {
        Resolver *resolver;
        Name *next;      /* in the bucket */
        Name *next_idle; /* among those whose look-up waits for its turn */
        OffloadTask *task;
        bool pending; /* looked up, or waiting for it, or telling the answer */
        bool known;
        Address address;
        const char *failure; /* static words, when not known */
        usec_t until;
        ResolveQuery *waiting;
        uint16_t port;
        char host[];
};

struct Resolver {
        Loop *loop;
        Offload *offload;
        Name *buckets[BUCKETS];
        size_t n_names;
        Name *idle, **idle_end;
        unsigned n_running;
};

int resolver_new(Resolver **ret, Loop *loop, Offload *offload) {
        Resolver *r = calloc(1, sizeof *r);

        if (!r)
                return -ENOMEM;
        r->loop = loop;
        r->offload = offload;
        r->idle_end = &r->idle;
        *ret = r;
        return 0;
}

static void name_free(Name *n) {
        while (n->waiting)
                resolver_cancel(n->waiting);
        if (n->task)
                offload_cancel(n->task);
        free(n);
}

Resolver *resolver_free(Resolver *r) {
        if (!r)
                return NULL;
        for (size_t i = 0; i < BUCKETS; i++)
                for (Name *n = r->buckets[i], *next; n; n = next) {
                        next = n->next;
                        name_free(n);
                }
        free(r);
        return NULL;
}

static bool numeric_address(const char *host, uint16_t port, Address *ret) {
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

static Name **bucket_of(Resolver *r, const char *host, uint16_t port) {
        uint32_t hash = 2166136261u ^ port;

        for (; *host; host++)
                hash = (hash ^ (unsigned char)*host) * 16777619u;
        return &r->buckets[hash % BUCKETS];
}

/* Names that nobody needs any more make room. */
static void forget_expired(Resolver *r, usec_t now) {
        for (size_t i = 0; i < BUCKETS; i++)
                for (Name **p = &r->buckets[i]; *p;) {
                        Name *n = *p;

                        if (n->pending || n->until > now) {
                                p = &n->next;
                                continue;
                        }
                        *p = n->next;
                        name_free(n);
                        r->n_names--;
                }
}

static int find_name(Resolver *r, const char *host, uint16_t port, usec_t now, Name **ret) {
        Name **bucket = bucket_of(r, host, port);
        size_t length = strlen(host);

        for (Name *n = *bucket; n; n = n->next)
                if (n->port == port && streq(n->host, host)) {
                        *ret = n;
                        return 0;
                }
        if (r->n_names >= RESOLVE_NAMES_MAX)
                forget_expired(r, now);
        if (r->n_names >= RESOLVE_NAMES_MAX)
                return -ENFILE;

        Name *n = calloc(1, sizeof *n + length + 1);
        if (!n)
                return -ENOMEM;
        n->resolver = r;
        n->port = port;
        memcpy(n->host, host, length + 1);
        n->next = *bucket;
        *bucket = n;
        r->n_names++;
        *ret = n;
        return 0;
}

static void start_idle(Resolver *r);

static void take_answer(Name *n, int r, const AddressList *list) {
        n->known = false;
        n->failure = r < 0        ? "the name server did not answer" :
                     !list        ? "no memory for the answer" :
                     list->error  ? offload_resolve_words(list->error) :
                     list->n == 0 ? "the name has no address" :
                                    NULL;
        if (!n->failure) {
                n->known = true;
                n->address = list->addresses[0];
        }
        n->until = usec_add(loop_now(n->resolver->loop),
                            n->known ? RESOLVE_TTL : RESOLVE_FAILED_TTL);
}

static void on_resolved(void *userdata, int r, void *value) {
        Name *n = userdata;
        Resolver *resolver = n->resolver;
        ResolveQuery *q;

        n->task = NULL;
        resolver->n_running--;
        take_answer(n, r, value);
        free(value);

        /* Whoever is told may cancel others who wait, or ask again, and then hears at once. */
        while ((q = n->waiting)) {
                ResolveDone done = q->done;
                void *owner = q->userdata;

                resolver_cancel(q);
                done(owner, n->known ? &n->address : NULL, n->failure);
        }
        n->pending = false;
        start_idle(resolver);
}

/* Starts look-ups that wait for their turn; what offload has no room for waits on. */
static void start_idle(Resolver *r) {
        while (r->idle && r->n_running < RESOLVE_CONCURRENT) {
                Name *n = r->idle;

                if (offload_resolve(r->offload, n->host, n->port, RESOLVE_TIMEOUT, on_resolved, n,
                                    &n->task) < 0)
                        return;
                r->n_running++;
                r->idle = n->next_idle;
                if (!r->idle)
                        r->idle_end = &r->idle;
                n->next_idle = NULL;
        }
}

static int wait_for_name(Name *n, ResolveDone done, void *userdata, ResolveQuery **ret) {
        ResolveQuery *q = calloc(1, sizeof *q);

        if (!q)
                return -ENOMEM;
        *q = (ResolveQuery){ .name = n,
                             .next = n->waiting,
                             .link = &n->waiting,
                             .done = done,
                             .userdata = userdata };
        if (q->next)
                q->next->link = &q->next;
        n->waiting = q;
        *ret = q;
        return 0;
}

int resolver_ask(Resolver *r, const char *host, uint16_t port, ResolveDone done, void *userdata,
                 Address *ret_address, ResolveQuery **ret_query, const char **reterr_words) {
        usec_t now = loop_now(r->loop);
        Name *n;
        int k;

        if (numeric_address(host, port, ret_address))
                return 1;
        k = find_name(r, host, port, now, &n);
        if (k < 0)
                return k;
        if (n->until > now) {
                if (!n->known) {
                        *reterr_words = n->failure;
                        return -ENOENT;
                }
                *ret_address = n->address;
                return 1;
        }
        k = wait_for_name(n, done, userdata, ret_query);
        if (k < 0)
                return k;
        if (!n->pending) {
                n->pending = true;
                *r->idle_end = n;
                r->idle_end = &n->next_idle;
        }
        start_idle(r);
        return 0;
}

void resolver_cancel(ResolveQuery *q) {
        if (!q)
                return;
        *q->link = q->next;
        if (q->next)
                q->next->link = q->link;
        free(q);
}
