#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "descriptors.h"
#include "http_server_internal.h"

Peer *http_peer_of(struct MHD_Connection *connection) {
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(
                connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

        return info ? info->socket_context : NULL;
}

static usec_t door_earliest_deadline(const Door *d) {
        usec_t since = USEC_INFINITY;

        for (size_t i = 0; i < ELEMENTSOF(d->peers); i++)
                if (d->peers[i].fd >= 0)
                        since = MIN(since, d->peers[i].since);
        return usec_add(since, d->server->deadline);
}

/* One timer serves three ends: what libmicrohttpd still has to do (its timeout is relative, 0 means
 * now), the earliest deadline, and another run after a close. */
static void door_arm(Door *d) {
        usec_t now = loop_now(d->server->loop), at = door_earliest_deadline(d);
        MHD_UNSIGNED_LONG_LONG timeout;

        if (MHD_get_timeout(d->daemon, &timeout) == MHD_YES)
                at = MIN(at, usec_add(now, timeout * USEC_PER_MSEC));
        if (d->closed)
                at = now;
        loop_timer_set(d->timer, at);
}

static void door_run(Door *d) {
        d->closed = false;
        (void)MHD_run(d->daemon);
        door_arm(d);
}

static void door_on_io(void *userdata, _unused_ int fd, _unused_ uint32_t events) {
        door_run(userdata);
}

/* libmicrohttpd owns the descriptor: it is only shut down here, which makes the library close it.
 */
static void door_on_timer(void *userdata, usec_t now) {
        Door *d = userdata;

        for (size_t i = 0; i < ELEMENTSOF(d->peers); i++) {
                Peer *p = &d->peers[i];

                if (p->fd < 0 || usec_add(p->since, d->server->deadline) > now ||
                    p->since == USEC_INFINITY)
                        continue;
                (void)shutdown(p->fd, SHUT_RDWR);
                p->since = USEC_INFINITY;
        }
        door_run(d);
}

static uid_t peer_uid(int fd) {
        struct ucred credentials;
        socklen_t size = sizeof credentials;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0)
                return (uid_t)-1;
        return credentials.uid;
}

static Peer *door_add_peer(Door *d, int fd) {
        for (size_t i = 0; i < ELEMENTSOF(d->peers); i++)
                if (d->peers[i].fd < 0) {
                        d->peers[i] = (Peer){
                                .fd = fd,
                                .since = loop_now(d->server->loop),
                                .uid = d->local ? peer_uid(fd) : (uid_t)-1,
                        };
                        return &d->peers[i];
                }
        return NULL;
}

static void door_on_connection(void *cls, struct MHD_Connection *connection, void **socket_context,
                               enum MHD_ConnectionNotificationCode code) {
        Door *d = cls;
        const union MHD_ConnectionInfo *info;

        if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
                Peer *p = *socket_context;

                d->closed = true;
                if (p)
                        p->fd = -1;
                return;
        }
        info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        if (!info)
                return;
        *socket_context = door_add_peer(d, info->connect_fd);
        if (!*socket_context)
                (void)shutdown(info->connect_fd, SHUT_RDWR);
}

static struct MHD_Daemon *door_start(Door *d, int fd) {
        return MHD_start_daemon(
                MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, http_request_on_access, d,
                MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
                descriptors_share(descriptors_limit()).door, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                (size_t)HTTP_SERVER_HEADER_MAX, MHD_OPTION_CONNECTION_TIMEOUT, 0U,
                MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_NOTIFY_CONNECTION, door_on_connection,
                d, MHD_OPTION_NOTIFY_COMPLETED, http_request_on_completed, d,
                MHD_OPTION_URI_LOG_CALLBACK, http_request_on_line, d, MHD_OPTION_UNESCAPE_CALLBACK,
                http_request_on_unescape, d, MHD_OPTION_END);
}

static Door *door_free(Door *d) {
        if (!d)
                return NULL;
        loop_io_free(d->io);
        loop_timer_free(d->timer);
        /* The library does not end with a connection that is suspended. */
        for (size_t i = 0; i < ELEMENTSOF(d->peers); i++)
                if (d->peers[i].fd >= 0 && d->peers[i].suspended)
                        MHD_resume_connection(d->peers[i].suspended);
        if (d->daemon)
                MHD_stop_daemon(d->daemon);
        free(d);
        return NULL;
}
DEFINE_CLEANUP(Door *, door_free);

/* Takes fd over in any case. */
static int door_new(Door **ret, HttpServer *s, int fd, bool local) {
        _cleanup_(door_freep) Door *d = calloc(1, sizeof *d);
        const union MHD_DaemonInfo *info;
        int r;

        if (!d) {
                close(fd);
                return -ENOMEM;
        }
        d->server = s;
        d->local = local;
        for (size_t i = 0; i < ELEMENTSOF(d->peers); i++)
                d->peers[i].fd = -1;
        d->daemon = door_start(d, fd);
        if (!d->daemon) {
                close(fd);
                return -EIO;
        }
        info = MHD_get_daemon_info(d->daemon, MHD_DAEMON_INFO_EPOLL_FD);
        if (!info || info->epoll_fd < 0)
                return -EIO;
        r = loop_add_timer(s->loop, door_on_timer, d, local ? "http-unix-timer" : "http-tcp-timer",
                           &d->timer);
        if (r < 0)
                return r;
        r = loop_add_io(s->loop, info->epoll_fd, EPOLLIN, door_on_io, d,
                        local ? "http-unix" : "http-tcp", &d->io);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(d);
        return 0;
}

int http_server_new_with_deadline(HttpServer **ret, Loop *loop, int unix_fd, int tcp_fd,
                                  HttpHandler handler, void *userdata, usec_t deadline) {
        _cleanup_(http_server_freep) HttpServer *s = calloc(1, sizeof *s);
        int r = s ? 0 : -ENOMEM;

        if (s)
                *s = (HttpServer){
                        .loop = loop, .handler = handler, .userdata = userdata, .deadline = deadline
                };
        if (r == 0 && unix_fd >= 0)
                r = door_new(&s->unix_door, s, unix_fd, true);
        else if (unix_fd >= 0)
                close(unix_fd);
        if (r == 0 && tcp_fd >= 0)
                r = door_new(&s->tcp_door, s, tcp_fd, false);
        else if (tcp_fd >= 0)
                close(tcp_fd);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}

int http_server_new(HttpServer **ret, Loop *loop, int unix_fd, int tcp_fd, HttpHandler handler,
                    void *userdata) {
        return http_server_new_with_deadline(ret, loop, unix_fd, tcp_fd, handler, userdata,
                                             HTTP_SERVER_DEADLINE);
}

/* The library gives its listening socket back. One that the service manager passed stays open
 * there, and who connects waits in its queue; to any other, nobody connects in vain. */
static void door_close(Door *d) {
        MHD_socket fd = d ? MHD_quiesce_daemon(d->daemon) : MHD_INVALID_SOCKET;

        if (fd != MHD_INVALID_SOCKET)
                (void)close(fd);
}

void http_server_close_doors(HttpServer *s) {
        door_close(s->unix_door);
        door_close(s->tcp_door);
}

static bool door_is_busy(const Door *d) {
        for (size_t i = 0; d && i < ELEMENTSOF(d->peers); i++)
                if (d->peers[i].fd >= 0 && !d->peers[i].idle && d->peers[i].since != USEC_INFINITY)
                        return true;
        return false;
}

bool http_server_is_busy(const HttpServer *s) {
        return door_is_busy(s->unix_door) || door_is_busy(s->tcp_door);
}

HttpServer *http_server_free(HttpServer *s) {
        if (!s)
                return NULL;
        door_free(s->unix_door);
        door_free(s->tcp_door);
        free(s);
        return NULL;
}
