/* The floor of the benches: what checks over kept connections cost a program that does nothing
 * else. Every connection has its interval; each 10 ms tick the requests that are due are sent and
 * what has come is read, told good when it is a 200 whose body has "ok", and counted. There is no
 * policy, no judge, no deadline, and no answer that comes in parts.
 *
 *      bench_floor PORT CONNECTIONS INTERVAL_MS
 *
 * Asks a bench_target on 127.0.0.1, without end. Prints "floor CONNECTIONS" once all are open. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "macro.h"
#include "number.h"

#define EVENTS 256
#define STARTS 256 /* between two looks at what has come */
#define TICK_MS 10

typedef struct Peer {
        int fd;
        bool asked;
        uint64_t due;
        char request[160];
        size_t length;
} Peer;

static uint64_t milliseconds(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int peer_open(Peer *p, size_t index, uint16_t port, int epoll) {
        struct sockaddr_in address = { .sin_family = AF_INET,
                                       .sin_port = htons(port),
                                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        struct epoll_event e = { .events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = p };

        p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (p->fd < 0 || connect(p->fd, (struct sockaddr *)&address, sizeof address) < 0 ||
            epoll_ctl(epoll, EPOLL_CTL_ADD, p->fd, &e) < 0)
                return -errno;
        p->length = (size_t)snprintf(p->request, sizeof p->request,
                                     "GET /%zu HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n"
                                     "User-Agent: bench\r\nAccept: */*\r\n"
                                     "Accept-Encoding: identity\r\n\r\n",
                                     index, port);
        return 0;
}

static bool ask(Peer *p) {
        p->asked = send(p->fd, p->request, p->length, MSG_DONTWAIT | MSG_NOSIGNAL) ==
                   (ssize_t)p->length;
        return p->asked;
}

/* Returns whether the answer is as expected; nobody looks at the rest of the bench otherwise. */
static bool take_answer(Peer *p) {
        char text[16384];
        ssize_t n = recv(p->fd, text, sizeof text, MSG_DONTWAIT);

        if (n < 0 && errno == EAGAIN)
                return true;
        p->asked = false;
        if (n < 12 || memcmp(text + 8, " 200", 4) != 0)
                return false;

        const char *body = memmem(text, (size_t)n, "\r\n\r\n", 4);
        return body && memmem(body, (size_t)(text + n - body), "ok", 2);
}

/* Asks those that are due, in turns, until there were STARTS of them. Returns where to go on. */
static size_t start_due(Peer *peers, size_t n, size_t from, uint64_t interval, bool *ret_more) {
        uint64_t now = milliseconds() / TICK_MS * TICK_MS;
        unsigned starts = 0;

        for (size_t i = 0; i < n; i++, from = (from + 1) % n) {
                Peer *p = &peers[from];

                if (p->asked || p->due > now)
                        continue;
                if (starts++ == STARTS) {
                        *ret_more = true;
                        return from;
                }
                p->due = p->due + interval > now ? p->due + interval : now + interval;
                if (!ask(p))
                        perror("bench_floor");
        }
        *ret_more = false;
        return from;
}

static int run(Peer *peers, size_t n, uint64_t interval, int epoll) {
        struct epoll_event events[EVENTS];
        size_t next = 0;
        uint64_t begun = 0; /* the last tick whose starts have begun */
        bool more = false;

        for (;;) {
                uint64_t now = milliseconds();
                int wait, ready;

                if (more || now / TICK_MS != begun)
                        next = start_due(peers, n, next, interval, &more);
                begun = now / TICK_MS;
                wait = more ? 0 : (int)(TICK_MS - now % TICK_MS);
                do {
                        ready = epoll_wait(epoll, events, EVENTS, wait);
                        for (int i = 0; i < ready; i++)
                                if (!take_answer(events[i].data.ptr)) {
                                        (void)fputs("bench_floor: a bad answer\n", stderr);
                                        return 1;
                                }
                        wait = 0;
                } while (ready == EVENTS);
        }
}

int main(int argc, char **argv) {
        uint64_t port, n, interval;
        int epoll = epoll_create1(EPOLL_CLOEXEC), r;

        if (argc != 4 || number_parse_u64(argv[1], strlen(argv[1]), &port) < 0 ||
            number_parse_u64(argv[2], strlen(argv[2]), &n) < 0 ||
            number_parse_u64(argv[3], strlen(argv[3]), &interval) < 0 || interval < TICK_MS) {
                (void)fputs("usage: bench_floor PORT CONNECTIONS INTERVAL_MS\n", stderr);
                return 2;
        }
        Peer *peers = calloc(n, sizeof *peers);
        if (!peers)
                return 1;
        for (size_t i = 0; i < n; i++) {
                peers[i].due = milliseconds() + i * interval / n;
                r = peer_open(&peers[i], i, (uint16_t)port, epoll);
                if (r < 0) {
                        (void)fprintf(stderr, "bench_floor: %s\n", strerrordesc_np(-r));
                        return 1;
                }
        }
        printf("floor %llu\n", (unsigned long long)n);
        (void)fflush(stdout);
        return run(peers, n, interval, epoll);
}
