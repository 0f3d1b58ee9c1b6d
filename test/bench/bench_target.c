/* The target of the benches: one process that answers every HTTP request with "ok" and counts them.
 * A connection is kept when the request allows it. What is asked decides:
 *
 *      /count         how many were answered; as all that follows, not counted itself
 *      /silent        how many are never answered, see /hang
 *      /answer/503    the status for all from then on
 *      /turn/7/503    the status of /victim/7 from then on
 *      /noted/7       when it first answered with it: CLOCK_MONOTONIC in microseconds, 0: not yet
 *      /hang...       accepted, read, and never answered
 *
 * Prints "target PORT" once it listens on 127.0.0.1. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "macro.h"
#include "number.h"

#define DESCRIPTORS 65536
#define REQUEST_MAX 1024
#define EVENTS 256
#define VICTIMS 1000

typedef struct Client {
        size_t n;
        char text[REQUEST_MAX];
} Client;

typedef struct Victim {
        unsigned status;
        uint64_t noted; /* the first answer since its status was turned */
} Victim;

static Client *clients[DESCRIPTORS];
static Victim victims[VICTIMS];
static unsigned status = 200;
static uint64_t answered, silent;

static void hang_up(int fd) {
        free(clients[fd]);
        clients[fd] = NULL;
        (void)close(fd);
}

static uint64_t microseconds(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* "7 ..." or "7/503 ...": the numbers between the slashes; returns how many there are. */
static unsigned parse_numbers(const char *text, uint64_t ret[static 2]) {
        for (unsigned i = 0; i < 2; i++) {
                size_t n = strspn(text, "0123456789");

                if (number_parse_u64(text, n, &ret[i]) < 0)
                        return i;
                if (text[n] != '/')
                        return i + 1;
                text += n + 1;
        }
        return 2;
}

static bool starts(const char *path, const char *word) {
        return strncmp(path, word, strlen(word)) == 0;
}

/* True for a control of this program, which it obeys; *ret is what it answers. */
static bool take_control(const char *path, uint64_t *ret) {
        uint64_t numbers[2] = {};

        if (starts(path, "/count"))
                *ret = answered;
        else if (starts(path, "/silent"))
                *ret = silent;
        else if (starts(path, "/answer/") && parse_numbers(path + 8, numbers) == 1)
                status = (unsigned)(*ret = numbers[0]);
        else if (starts(path, "/turn/") && parse_numbers(path + 6, numbers) == 2 &&
                 numbers[0] < VICTIMS)
                victims[numbers[0]] = (Victim){ .status = (unsigned)(*ret = numbers[1]) };
        else if (starts(path, "/noted/") && parse_numbers(path + 7, numbers) == 1 &&
                 numbers[0] < VICTIMS)
                *ret = victims[numbers[0]].noted;
        else
                return false;
        return true;
}

static unsigned status_of(const char *path) {
        uint64_t number[2];

        if (!starts(path, "/victim/") || parse_numbers(path + 8, number) != 1 ||
            number[0] >= VICTIMS || victims[number[0]].status == 0)
                return status;
        if (victims[number[0]].noted == 0)
                victims[number[0]].noted = microseconds();
        return victims[number[0]].status;
}

static void send_answer(int fd, unsigned told, const char *body, bool close) {
        char text[256];
        int n = snprintf(text, sizeof text,
                         "HTTP/1.1 %u %s\r\nContent-Type: text/plain\r\nContent-Length: "
                         "%zu\r\nConnection: %s\r\n\r\n%s",
                         told, told < 400 ? "OK" : "Unavailable", strlen(body),
                         close ? "close" : "keep-alive", body);

        (void)!send(fd, text, (size_t)n, MSG_NOSIGNAL);
}

/* Most answers are the same one. */
static void send_ok(int fd, bool close) {
        static const char kept[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                                   "Content-Length: 3\r\nConnection: keep-alive\r\n\r\nok\n",
                          closed[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                                     "Content-Length: 3\r\nConnection: close\r\n\r\nok\n";

        (void)!send(fd, close ? closed : kept, close ? sizeof closed - 1 : sizeof kept - 1,
                    MSG_NOSIGNAL);
}

static void answer(int fd) {
        Client *c = clients[fd];
        const char *path = strchr(c->text, ' ');
        bool close = strstr(c->text, " HTTP/1.0\r\n") || strcasestr(c->text, "\nconnection: close");
        char number[32];
        uint64_t value;

        path = path ? path + 1 : "";
        c->n = 0;
        if (starts(path, "/hang")) {
                silent++;
                return;
        }
        if (take_control(path, &value)) {
                snprintf(number, sizeof number, "%llu\n", (unsigned long long)value);
                send_answer(fd, 200, number, close);
        } else {
                unsigned told = status_of(path);

                answered++;
                if (told == 200)
                        send_ok(fd, close);
                else
                        send_answer(fd, told, "bad\n", close);
        }
        if (close)
                hang_up(fd);
}

static void receive(int fd) {
        Client *c = clients[fd];
        ssize_t n = recv(fd, c->text + c->n, sizeof c->text - 1 - c->n, 0);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n > 0) {
                c->n += (size_t)n;
                c->text[c->n] = '\0';
        }
        if (n > 0 && strstr(c->text, "\r\n\r\n"))
                answer(fd);
        else if (n <= 0 || c->n == sizeof c->text - 1)
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
                clients[fd] = malloc(sizeof *clients[fd]);
                if (clients[fd])
                        clients[fd]->n = 0;
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
