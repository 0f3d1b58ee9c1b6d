#include "backend.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define PATIENCE_USEC 200000

static struct sockaddr_in loopback(uint16_t port) {
        return (struct sockaddr_in){
                .sin_family = AF_INET,
                .sin_port = htons(port),
                .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        };
}

static int listen_on(uint16_t port) {
        struct sockaddr_in address = loopback(port);
        socklen_t size = sizeof address;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

        if (fd < 0)
                return -errno;
        /* The port is taken again after a stop, while old connections linger. */
        if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
            bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, 128) < 0 ||
            getsockname(fd, (struct sockaddr *)&address, &size) < 0) {
                int r = -errno;

                (void)close(fd);
                return r;
        }
        printf("backend %u\n", (unsigned)ntohs(address.sin_port));
        fflush(stdout);
        return fd;
}

int backend_serve(uint16_t port) {
        int fd = listen_on(port);

        if (fd < 0)
                return fd;
        for (;;) {
                int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

                if (client < 0 && (errno == EINTR || errno == ECONNABORTED))
                        continue;
                if (client < 0)
                        return -errno;
                /* Whoever only wanted to see that the port is open has gone already. */
                (void)send(client, "ok\n", 3, MSG_NOSIGNAL | MSG_DONTWAIT);
                (void)close(client);
        }
}

bool backend_answers(uint16_t port) {
        struct sockaddr_in address = loopback(port);
        struct timeval patience = { .tv_usec = PATIENCE_USEC };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        char answer[3];
        bool yes;

        if (fd < 0)
                return false;
        yes = setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) == 0 &&
              setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0 &&
              connect(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
              recv(fd, answer, sizeof answer, MSG_WAITALL) == (ssize_t)sizeof answer &&
              memcmp(answer, "ok\n", sizeof answer) == 0;
        (void)close(fd);
        return yes;
}
