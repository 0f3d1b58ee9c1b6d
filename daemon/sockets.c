#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "manager_internal.h"

#define ADMIN_GROUP "rollbackd-admin"
#define FIRST_PASSED_FD 3

/* A socket of the service manager's is taken for ours only when it is what the configuration would
 * have opened: whoever connects to it may write. */
static int take_passed_socket(int n) {
        struct sockaddr_storage address;
        socklen_t size = sizeof address;
        int listening = 0;
        socklen_t listening_size = sizeof listening;

        if (n != 1) {
                log_message(SEVERITY_CRITICAL,
                            "the service manager passed %d sockets, and rollbackd takes one: the "
                            "unix socket of rollbackd.socket",
                            n);
                return -EINVAL;
        }
        if (getsockname(FIRST_PASSED_FD, (struct sockaddr *)&address, &size) < 0 ||
            address.ss_family != AF_UNIX ||
            getsockopt(FIRST_PASSED_FD, SOL_SOCKET, SO_ACCEPTCONN, &listening, &listening_size) <
                    0 ||
            !listening) {
                log_message(SEVERITY_CRITICAL,
                            "the socket that the service manager passed is no listening unix "
                            "socket: mend ListenStream= of rollbackd.socket");
                return -EINVAL;
        }
        return FIRST_PASSED_FD;
}

static int open_unix_socket(const Manager *m) {
        int passed = loop_listen_fds(), fd;

        if (passed != 0)
                return passed < 0 ? passed : take_passed_socket(passed);
        fd = http_listen_unix(m->config->socket, ADMIN_GROUP);
        if (fd < 0)
                log_message(SEVERITY_CRITICAL,
                            "%s: http.socket %s could not be opened, error %d; is another "
                            "rollbackd running?",
                            m->config->path, m->config->socket, -fd);
        return fd;
}

int manager_open_sockets(Manager *m) {
        int unix_fd = -1, tcp_fd = -1;
        char bound[64] = "";

        if (m->config->socket[0] != '\0') {
                unix_fd = open_unix_socket(m);
                if (unix_fd < 0)
                        return unix_fd;
        }
        if (m->config->listen[0] != '\0') {
                tcp_fd = http_listen_tcp(m->config->listen, bound, sizeof bound);
                if (tcp_fd < 0) {
                        log_message(SEVERITY_CRITICAL,
                                    "%s: http.listen %s could not be opened, error %d",
                                    m->config->path, m->config->listen, -tcp_fd);
                        if (unix_fd >= 0)
                                close(unix_fd);
                        return tcp_fd;
                }
                log_message(SEVERITY_INFO,
                            "reads are open to every local user at http://%s; writes only over %s",
                            bound, m->config->socket);
        }
        return http_server_new(&m->server, m->loop, unix_fd, tcp_fd, api_handle, m->api);
}
