#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "http_server.h"
#include "number.h"

#define LISTEN_BACKLOG 128
#define SOCKET_MODE 0660

static void closep(int *fd) {
        if (*fd >= 0)
                close(*fd);
}

static int take_fd(int *fd) {
        int taken = *fd;

        *fd = -1;
        return taken;
}

static int socket_new(int family) {
        int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        return fd < 0 ? -errno : fd;
}

/* Removes a socket that nobody serves any more. Returns 0 when the path is free, -EADDRINUSE when
 * it is served, -ENOTSOCK when something else lies there. */
static int unlink_stale(const struct sockaddr_un *address) {
        _cleanup_(closep) int fd = -1;
        struct stat st;

        if (lstat(address->sun_path, &st) < 0)
                return errno == ENOENT ? 0 : -errno;
        if (!S_ISSOCK(st.st_mode))
                return -ENOTSOCK;
        fd = socket_new(AF_UNIX);
        if (fd < 0)
                return fd;
        if (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 ||
            errno != ECONNREFUSED)
                return -EADDRINUSE;
        return unlink(address->sun_path) < 0 ? -errno : 0;
}

/* Returns 0 also when no such group exists: the socket then stays the owner's own group's. */
static int give_to_group(const char *path, const char *group) {
        char storage[16 * 1024];
        struct group entry, *found = NULL;
        int r;

        if (!group)
                return 0;
        r = getgrnam_r(group, &entry, storage, sizeof storage, &found);
        if (r != 0 || !found)
                return -r;
        return lchown(path, (uid_t)-1, entry.gr_gid) < 0 ? -errno : 0;
}

/* Nobody can connect before listen(), so mode and group are in force from the first connection on,
 * whatever the umask is. */
static int open_to_group(int fd, const char *path, const char *group) {
        int r;

        if (chmod(path, SOCKET_MODE) < 0)
                return -errno;
        r = give_to_group(path, group);
        if (r < 0)
                return r;
        return listen(fd, LISTEN_BACKLOG) < 0 ? -errno : 0;
}

int http_listen_unix(const char *path, const char *group) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        _cleanup_(closep) int fd = -1;
        int r;

        if (*path != '/')
                return -EINVAL;
        if (strlen(path) >= sizeof address.sun_path)
                return -ENAMETOOLONG;
        memcpy(address.sun_path, path, strlen(path) + 1);
        r = unlink_stale(&address);
        if (r < 0)
                return r;
        fd = socket_new(AF_UNIX);
        if (fd < 0)
                return take_fd(&fd);
        if (bind(fd, (const struct sockaddr *)&address, sizeof address) < 0)
                return -errno;
        r = open_to_group(fd, path, group);
        if (r < 0) {
                (void)unlink(path);
                return r;
        }
        return take_fd(&fd);
}

typedef union InternetAddress {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
} InternetAddress;

/* "127.0.0.1:7331" or "[::1]:7331". Returns 0, -EINVAL, or -EPERM for what is not loopback. */
static int parse_loopback(const char *text, InternetAddress *ret) {
        const char *colon = strrchr(text, ':');
        bool v6 = *text == '[';
        InternetAddress a = { 0 };
        char host[INET6_ADDRSTRLEN];
        uint64_t port;
        size_t n;

        if (!colon || number_parse_u64(colon + 1, strlen(colon + 1), &port) < 0 ||
            port > UINT16_MAX)
                return -EINVAL;
        n = (size_t)(colon - text);
        if (v6 && (n < 2 || text[n - 1] != ']'))
                return -EINVAL;
        text += v6;
        n -= v6 ? 2 : 0;
        if (n >= sizeof host)
                return -EINVAL;
        memcpy(host, text, n);
        host[n] = '\0';
        if (v6) {
                a.v6.sin6_family = AF_INET6;
                a.v6.sin6_port = htons((uint16_t)port);
                if (inet_pton(AF_INET6, host, &a.v6.sin6_addr) != 1)
                        return -EINVAL;
                if (!IN6_IS_ADDR_LOOPBACK(&a.v6.sin6_addr))
                        return -EPERM;
        } else {
                a.v4.sin_family = AF_INET;
                a.v4.sin_port = htons((uint16_t)port);
                if (inet_pton(AF_INET, host, &a.v4.sin_addr) != 1)
                        return -EINVAL;
                if (ntohl(a.v4.sin_addr.s_addr) >> 24 != IN_LOOPBACKNET)
                        return -EPERM;
        }
        *ret = a;
        return 0;
}

static int write_bound(int fd, char *ret_bound, size_t size) {
        InternetAddress a = { 0 };
        socklen_t n = sizeof a;
        char host[INET6_ADDRSTRLEN] = "";
        bool v6;
        StrBuf b;

        if (getsockname(fd, &a.any, &n) < 0)
                return -errno;
        v6 = a.any.sa_family == AF_INET6;
        if (!inet_ntop(a.any.sa_family, v6 ? (const void *)&a.v6.sin6_addr : &a.v4.sin_addr, host,
                       sizeof host))
                return -errno;
        strbuf_init(&b, ret_bound, size);
        strbuf_add(&b, v6 ? "[" : "");
        strbuf_add(&b, host);
        strbuf_add(&b, v6 ? "]:" : ":");
        strbuf_add_u64(&b, ntohs(v6 ? a.v6.sin6_port : a.v4.sin_port));
        return b.overflow ? -ENOSPC : 0;
}

int http_listen_tcp(const char *address, char *ret_bound, size_t size) {
        _cleanup_(closep) int fd = -1;
        const int on = 1;
        InternetAddress a;
        int r;

        r = parse_loopback(address, &a);
        if (r < 0)
                return r;
        fd = socket_new(a.any.sa_family);
        if (fd < 0)
                return take_fd(&fd);
        if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0)
                return -errno;
        if (bind(fd, &a.any, a.any.sa_family == AF_INET6 ? sizeof a.v6 : sizeof a.v4) < 0)
                return -errno;
        if (listen(fd, LISTEN_BACKLOG) < 0)
                return -errno;
        r = write_bound(fd, ret_bound, size);
        if (r < 0)
                return r;
        return take_fd(&fd);
}
