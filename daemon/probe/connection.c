#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "connection.h"

int connection_start(const Address *address) {
        static const int yes = 1;
        const struct sockaddr *name = (const struct sockaddr *)&address->u.storage;
        int fd = socket(name->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);

        if (fd < 0)
                return -errno;
        /* Without it the request waits for nothing worse than a delayed acknowledgement. */
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        if (connect(fd, name, address->length) < 0 && errno != EINPROGRESS) {
                int r = -errno;

                close(fd);
                return r;
        }
        return fd;
}

int connection_result(int fd) {
        int error = 0;
        socklen_t length = sizeof error;

        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0)
                return -errno;
        return -error;
}
