#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "connection.h"

/* What fits into the first segment anywhere leaves at once; more would wait for an acknowledgement
 * that the peer may delay. */
#define SEGMENT_LEAST 536

int connection_start(const Address *address, size_t whole) {
        static const int yes = 1, no = 0;
        const struct sockaddr *name = (const struct sockaddr *)&address->u.storage;
        bool local = name->sa_family == AF_UNIX;
        int fd = socket(name->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
                        local ? 0 : IPPROTO_TCP);

        if (fd < 0)
                return -errno;
        if (!local && whole > SEGMENT_LEAST)
                (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        /* The acknowledgement that ends the handshake goes out with the request. */
        if (!local && whole > 0)
                (void)setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &no, sizeof no);
        if (connect(fd, name, address->length) < 0 && errno != EINPROGRESS) {
                /* Nobody takes the connections of a unix socket whose queue is full, and no event
                 * would tell when that ends. */
                int r = errno == EAGAIN && local ? -ETIMEDOUT : -errno;

                close(fd);
                return r;
        }
        return fd;
}

int connection_result(int fd) {
        return send(fd, "", 0, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

void connection_close(int fd, bool ended) {
        static const struct linger reset = { .l_onoff = 1 };

        if (ended)
                (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(fd);
}
