/* The target of the benches: one process that answers every HTTP request with the same status and
 * counts them. GET /count tells how many it answered; GET /answer/503 changes the status for all
 * from then on; neither is counted. Prints "target PORT" once it listens on 127.0.0.1. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "macro.h"
#include "number.h"

#define DESCRIPTORS 8192
#define REQUEST_MAX 1024
#define EVENTS 256

typedef struct Client {
        size_t n;
        char text[REQUEST_MAX];
} Client;

static Client *clients[DESCRIPTORS];
static unsigned status = 200;
static uint64_t answered;

static void hang_up(int fd) {
        free(clients[fd]);
        clients[fd] = NULL;
        (void)close(fd);
}

/* True for a control of this program, which it obeys. */
static bool take_control(const Client *c) {
        const char *path = memchr(c->text, ' ', c->n);
        size_t left = path ? c->n - (size_t)(path - c->text) : 0;
        uint64_t value;

        if (left > 7 && memcmp(path, " /count", 7) == 0)
                return true;
        if (left < 12 || memcmp(path, " /answer/", 9) != 0 ||
            number_parse_u64(path + 9, 3, &value) < 0)
                return false;
        status = (unsigned)value;
        return true;
}

static void answer(int fd) {
        bool control = take_control(clients[fd]);
        unsigned told = control ? 200 : status;
        char body[32], text[256];

        answered += !control;
        int n_body = snprintf(body, sizeof body, "%llu\n", (unsigned long long)answered);
        int n = snprintf(text, sizeof text,
                         "HTTP/1.1 %u %s\r\nContent-Type: text/plain\r\nContent-Length: "
                         "%d\r\nConnection: close\r\n\r\n%s",
                         told, told < 400 ? "OK" : "Unavailable", n_body, body);

        (void)!send(fd, text, (size_t)n, MSG_NOSIGNAL);
        hang_up(fd);
}

static void receive(int fd) {
        Client *c = clients[fd];
        ssize_t n = recv(fd, c->text + c->n, sizeof c->text - c->n, 0);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n > 0)
                c->n += (size_t)n;
        if (n > 0 && memmem(c->text, c->n, "\r\n\r\n", 4))
                answer(fd);
        else if (n <= 0 || c->n == sizeof c->text)
                hang_up(fd);
}

static void accept_all(int listener, int epoll) {
        int fd;

        while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
                struct epoll_event e = { .events = EPOLLIN, .data.fd = fd };

                if (fd >= DESCRIPTORS) {
                        (void)close(fd);
                        continue;
                }
                clients[fd] = calloc(1, sizeof *clients[fd]);
                if (!clients[fd] || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) < 0)
                        hang_up(fd);
        }
}

static int open_listener(void) {
        struct sockaddr_in address = { .sin_family = AF_INET,
                                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t size = sizeof address;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

        if (fd < 0 || bind(fd, (const struct sockaddr *)&address, size) < 0 ||
            listen(fd, 4096) < 0 || getsockname(fd, (struct sockaddr *)&address, &size) < 0)
                return -errno;
        printf("target %u\n", ntohs(address.sin_port));
        (void)fflush(stdout);
        return fd;
}

int main(void) {
        int listener = open_listener(), epoll = epoll_create1(EPOLL_CLOEXEC);
        struct epoll_event events[EVENTS] = { { .events = EPOLLIN, .data.fd = listener } };

        if (listener < 0 || epoll < 0 ||
            epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &events[0]) < 0) {
                perror("bench_target");
                return 1;
        }
        for (;;) {
                int n = epoll_wait(epoll, events, EVENTS, -1);

                for (int i = 0; i < n; i++)
                        if (events[i].data.fd == listener)
                                accept_all(listener, epoll);
                        else
                                receive(events[i].data.fd);
        }
}
