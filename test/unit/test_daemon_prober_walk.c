/* A long walk through everything that may happen to the prober at once: names that change their
 * addresses at each answer, connections that are kept, reloads, releases, demands and removals from
 * within its own callbacks, and few places. Nothing is lost, and every place comes back. */
#include <arpa/inet.h>
#include <netdb.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "probe_harness.h"
#include "prober_internal.h"

#define MSEC USEC_PER_MSEC
#define SERVICE 7
#define STEPS 2000
#define LIMIT 64
#define NAMES 4
#define LOOK_UPS_WITH_ADDRESSES 20

/* The name server of this program: up to twenty addresses of the loopback, others each time, and
 * sometimes none. Called by workers. */
static atomic_uint n_look_ups;

int getaddrinfo(const char *name _unused_, const char *service,
                const struct addrinfo *hints _unused_, struct addrinfo **ret) {
        unsigned n = atomic_fetch_add(&n_look_ups, 1), dice = n * 2654435761u >> 8;
        struct addrinfo *first = NULL;

        if (dice % LOOK_UPS_WITH_ADDRESSES == 0)
                return EAI_AGAIN;
        for (unsigned i = 1; i <= 20; i++) {
                struct addrinfo *one;
                struct sockaddr_in *address;

                if (i > 1 && dice >> i % 13 & 1)
                        continue;
                one = calloc(1, sizeof *one + sizeof *address);
                address = (struct sockaddr_in *)(void *)(one + 1);
                address->sin_family = AF_INET;
                address->sin_port = htons((uint16_t)strtoul(service, NULL, 10));
                address->sin_addr.s_addr = htonl(INADDR_LOOPBACK + (i + dice) % 24);
                one->ai_addr = (struct sockaddr *)address;
                one->ai_addrlen = sizeof *address;
                one->ai_next = first;
                first = one;
        }
        *ret = first;
        return 0;
}

void freeaddrinfo(struct addrinfo *list) {
        for (struct addrinfo *next; list; list = next) {
                next = list->ai_next;
                free(list);
        }
}

/* Each connection has a child of its own: one of three answers for ever, one once, one never. */
static void answer(int fd, unsigned n) {
        if (fork() != 0)
                return;
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (n % 3 == 2)
                script_wait_close(fd);
        do
                script_read_request(fd);
        while (script_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") && n % 3 == 0);
        _exit(0);
}

/* At every address of the loopback. */
static void listen_everywhere(ScriptedServer *s) {
        struct sockaddr_in name = { .sin_family = AF_INET };
        socklen_t size = sizeof name;

        *s = (ScriptedServer){ .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
        assert_int_equal(bind(s->fd, (struct sockaddr *)&name, sizeof name), 0);
        assert_int_equal(listen(s->fd, 1024), 0);
        assert_int_equal(getsockname(s->fd, (struct sockaddr *)&name, &size), 0);
        s->port = ntohs(name.sin_port);
}

static uint64_t seed = 1;
static unsigned n_steps;

static unsigned dice(unsigned sides) {
        return (unsigned)usec_jitter(sides, &seed) % sides;
}

static void put(Harness *h) {
        h->probe.interval = (50 + 50 * (usec_t)dice(2)) * MSEC;
        h->probe.reuse = dice(3) > 0 ? 1 + dice(5) : 0;
        assert_int_equal(prober_put_service(h->prober, SERVICE, &h->config), 0);
}

static void forget(Harness *h) {
        for (size_t i = 0; i < HARNESS_PLACES; i++)
                h->absent[i] = i >= h->probe.n_targets;
}

static void step(Harness *h, const Result *result _unused_) {
        h->n_results = 0;
        h->deviating = h->deviating << 1 ^ dice(8);
        if (++n_steps >= STEPS) {
                loop_exit(h->loop, 0);
                return;
        }
        switch (dice(60)) {
        case 0:
                put(h);
                break;
        case 1:
        case 2:
                prober_start_epoch(h->prober, SERVICE);
                break;
        case 3:
        case 4:
                prober_probe_now(h->prober, SERVICE, 0);
                break;
        case 5:
                prober_remove_service(h->prober, SERVICE);
                forget(h);
                put(h);
                break;
        }
}

static void assert_nothing_is_left(const Prober *p) {
        assert_int_equal(p->taken, 0);
        assert_int_equal(p->kept, 0);
        assert_int_equal(p->taken_by_slow, 0);
        assert_int_equal(p->n_fast, 0);
        assert_int_equal(p->counts.in_flight, 0);
        assert_int_equal(p->counts.targets, 0);
        assert_true(ring_is_empty(&p->queue) && ring_is_empty(&p->slow_queue));
        assert_true(ring_is_empty(&p->slow));
        assert_null(p->gone);
}

static void every_place_comes_back(void **state _unused_) {
        static const char *const names[NAMES] = { "a.test", "b.test", "c.test", "d.test" };
        struct rlimit old, few;
        ScriptedServer server;
        Harness h;

        listen_everywhere(&server);
        server_serve(&server, answer);
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
        few = old;
        few.rlim_cur = LIMIT;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        harness_init(&h, PROBE_HTTP, server.port);
        for (size_t i = 0; i < NAMES; i++)
                harness_add_target(&h, names[i], server.port);
        h.probe.interval = 50 * MSEC;
        h.probe.timeout = 40 * MSEC;
        h.probe.fast_interval = 20 * MSEC;
        h.probe.name_ttl = 30 * MSEC;
        h.probe.reuse = 3;
        h.react = step;
        harness_begin(&h);
        harness_run(&h, SIZE_MAX);
        assert_true(n_steps >= STEPS && atomic_load(&n_look_ups) > 4 * NAMES);
        prober_remove_service(h.prober, SERVICE);
        assert_nothing_is_left(h.prober);
        harness_done(&h);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
        server_stop(&server);
}

int main(void) {
        const struct CMUnitTest tests[] = { cmocka_unit_test(every_place_comes_back) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
