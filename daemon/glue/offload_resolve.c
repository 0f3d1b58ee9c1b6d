/* Name resolution on a worker: getaddrinfo() blocks, asks several servers and several times. */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "offload.h"

#define HOST_MAX 255 /* longest host name of DNS */

typedef struct ResolveArgument {
        char host[HOST_MAX + 1];
        char port[sizeof "65535"];
        AddressList *list; /* made ahead, so that the worker has no memory failure to report */
} ResolveArgument;

static void resolve_argument_free(void *p) {
        ResolveArgument *a = p;

        free(a->list);
        free(a);
}

static const struct sockaddr *name_of(const Address *a) {
        return (const struct sockaddr *)&a->u.storage;
}

static int compare(const void *a, const void *b) {
        const Address *x = a, *y = b;

        if (x->length != y->length)
                return x->length < y->length ? -1 : 1;
        return memcmp(&x->u.storage, &y->u.storage, x->length);
}

bool address_equal(const Address *a, const Address *b) {
        return compare(a, b) == 0;
}

/* What connect() on a datagram socket asks is only whether there is a route. */
static bool has_route(const Address *a) {
        int fd = socket(name_of(a)->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        bool route;

        if (fd < 0)
                return errno != EAFNOSUPPORT;
        route = connect(fd, name_of(a), a->length) == 0 ||
                (errno != ENETUNREACH && errno != EADDRNOTAVAIL);
        (void)close(fd);
        return route;
}

static bool has_address(const AddressList *list, const Address *a) {
        for (size_t i = 0; i < list->n; i++)
                if (address_equal(&list->addresses[i], a))
                        return true;
        return false;
}

static void take_found(AddressList *list, const struct addrinfo *found) {
        for (const struct addrinfo *i = found; i; i = i->ai_next) {
                Address a = { .length = i->ai_addrlen };

                if (i->ai_addrlen > sizeof a.u.storage)
                        continue;
                memcpy(&a.u.storage, i->ai_addr, i->ai_addrlen);
                if (has_address(list, &a))
                        continue;
                if (list->n == ELEMENTSOF(list->addresses)) {
                        list->more = true;
                        return;
                }
                list->addresses[list->n++] = a;
        }
}

static void *resolve_work(void *p) {
        const struct addrinfo hints = { .ai_family = AF_UNSPEC,
                                        .ai_socktype = SOCK_STREAM,
                                        .ai_flags = AI_NUMERICSERV };
        struct addrinfo *found = NULL;
        ResolveArgument *a = p;
        AddressList *list = TAKE_PTR(a->list);

        list->error = getaddrinfo(a->host, a->port, &hints, &found);
        if (list->error != 0)
                return list;
        take_found(list, found);
        freeaddrinfo(found);
        if (list->n == 0)
                list->error = EAI_NODATA;
        for (size_t i = 0; i < list->n; i++)
                list->addresses[i].routed = has_route(&list->addresses[i]);
        /* Servers turn the order round from answer to answer. */
        qsort(list->addresses, list->n, sizeof list->addresses[0], compare);
        return list;
}

int offload_resolve(Offload *o, const char *host, uint16_t port, usec_t timeout, OffloadDone done,
                    void *userdata, OffloadTask **ret) {
        ResolveArgument *a;
        size_t n;
        int r;

        assert(o && host && done);
        n = strlen(host);
        if (n == 0 || n > HOST_MAX)
                return -EINVAL;
        a = calloc(1, sizeof *a);
        if (!a)
                return -ENOMEM;
        memcpy(a->host, host, n);
        (void)snprintf(a->port, sizeof a->port, "%u", (unsigned)port);
        a->list = calloc(1, sizeof *a->list);
        r = a->list ? offload_run(o, resolve_work, a, resolve_argument_free, free, timeout, done,
                                  userdata, ret) :
                      -ENOMEM;
        if (r < 0)
                resolve_argument_free(a);
        return r;
}

const char *offload_resolve_words(int error) {
        switch (error) {
        case 0:
                return "found";
        case EAI_NONAME:
                return "the name does not exist";
        case EAI_NODATA:
                return "the name has no address";
        case EAI_AGAIN:
                return "the name server is silent, or says that it failed";
        default:
                return gai_strerror(error);
        }
}
