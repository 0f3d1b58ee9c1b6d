#include "served_http.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "http_server_internal.h"

/* The server's side. */

static unsigned count_descriptors(void) {
        DIR *d = opendir("/proc/self/fd");
        unsigned n = 0;

        while (d && readdir(d))
                n++;
        if (d)
                closedir(d);
        return n;
}

static void on_call(_unused_ void *userdata, const HttpCall *call, HttpAnswer *ret) {
        const char *q = http_call_query(call, "q");
        int n = -1;

        ret->status = 200;
        ret->content_type = "text/plain";
        if (streq(call->path, "/big")) {
                ret->body = calloc(1, SERVED_BIG);
                ret->body_size = SERVED_BIG;
        } else if (streq(call->path, "/descriptors")) {
                n = asprintf(&ret->body, "%u", count_descriptors());
        } else if (streq(call->path, "/refused")) {
                ret->status = 405;
                ret->allow = "POST";
        } else {
                memcpy(ret->etag, "\"7\"", 4);
                n = asprintf(&ret->body,
                             "%s %s local=%d uid=%ld q=%s match=%s type=%s host=%s origin=%s "
                             "size=%zu body=%.40s",
                             call->method, call->path, call->local,
                             call->peer_uid == (uid_t)-1 ? -1L : (long)call->peer_uid, q ? q : "-",
                             call->if_match ? call->if_match : "-",
                             call->content_type ? call->content_type : "-",
                             call->host ? call->host : "-", call->origin ? call->origin : "-",
                             call->body_size, call->body);
        }
        if (n >= 0)
                ret->body_size = (size_t)n;
}

static void on_stop(void *userdata, _unused_ int signal_number) {
        loop_exit(userdata, 0);
}

_Noreturn static void serve(int unix_fd, int tcp_fd, HttpHandler handler, void *userdata,
                            usec_t deadline) {
        Loop *loop = NULL;
        HttpServer *server = NULL;

        if (loop_new(&loop) < 0 || loop_add_signal(loop, SIGTERM, on_stop, loop) < 0 ||
            http_server_new_with_deadline(&server, loop, unix_fd, tcp_fd, handler, userdata,
                                          deadline) < 0)
                exit(2);
        int r = loop_run(loop);
        http_server_free(server);
        loop_free(loop);
        exit(r == 0 ? 0 : 3);
}

int served_start(void **state) {
        return served_start_handler(state, on_call, NULL, SERVED_DEADLINE);
}

int served_start_handler(void **state, HttpHandler handler, void *userdata, usec_t deadline) {
        static Served served;
        Served *f = &served;
        int unix_fd, tcp_fd;

        *f = (Served){ 0 };
        memcpy(f->directory, "/tmp/http-server-XXXXXX", 24);
        assert_non_null(mkdtemp(f->directory));
        assert_true(snprintf(f->socket, sizeof f->socket, "%s/socket", f->directory) > 0);
        unix_fd = http_listen_unix(f->socket, NULL);
        assert_true(unix_fd >= 0);
        tcp_fd = http_listen_tcp("127.0.0.1:0", f->bound, sizeof f->bound);
        assert_true(tcp_fd >= 0);
        f->port = (uint16_t)strtoul(strrchr(f->bound, ':') + 1, NULL, 10);
        fflush(NULL);
        f->server = fork();
        assert_true(f->server >= 0);
        if (f->server == 0) {
                (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
                serve(unix_fd, tcp_fd, handler, userdata, deadline);
        }
        close(unix_fd);
        close(tcp_fd);
        *state = f;
        return 0;
}

int served_stop(void **state) {
        Served *f = *state;
        int status = -1;

        kill(f->server, SIGTERM);
        assert_int_equal(waitpid(f->server, &status, 0), f->server);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
        unlink(f->socket);
        assert_int_equal(rmdir(f->directory), 0);
        return 0;
}

/* The client's side. */

int dial_tcp(const Served *f) {
        struct sockaddr_in a = { .sin_family = AF_INET,
                                 .sin_port = htons(f->port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_true(fd >= 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
        return fd;
}

int dial_unix(const char *path) {
        struct sockaddr_un a = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_true(fd >= 0);
        assert_true(snprintf(a.sun_path, sizeof a.sun_path, "%s", path) < (int)sizeof a.sun_path);
        assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
        return fd;
}

bool say_n(int fd, const char *data, size_t n) {
        while (n > 0) {
                struct pollfd p = { .fd = fd, .events = POLLOUT };
                ssize_t k;

                assert_int_equal(poll(&p, 1, SERVED_PATIENCE), 1);
                k = send(fd, data, n, MSG_NOSIGNAL | MSG_DONTWAIT);
                if (k < 0 && errno != EAGAIN)
                        return false;
                if (k > 0) {
                        data += k;
                        n -= (size_t)k;
                }
        }
        return true;
}

bool say(int fd, const char *text) {
        return say_n(fd, text, strlen(text));
}

size_t hear_all(int fd, char *text, size_t size) {
        static char piece[64 * 1024];
        size_t n = 0;

        text[0] = '\0';
        for (;;) {
                struct pollfd p = { .fd = fd, .events = POLLIN };
                ssize_t k;

                assert_int_equal(poll(&p, 1, SERVED_PATIENCE), 1);
                k = recv(fd, piece, sizeof piece, 0);
                if (k <= 0)
                        return n;
                if (n < size - 1) {
                        size_t fits = MIN((size_t)k, size - 1 - n);

                        memcpy(text + n, piece, fits);
                        text[n + fits] = '\0';
                }
                n += (size_t)k;
        }
}

unsigned hear(int fd, char *text, size_t size, bool head) {
        size_t n = 0, whole = SIZE_MAX;

        text[0] = '\0';
        while (n < whole) {
                struct pollfd p = { .fd = fd, .events = POLLIN };
                const char *end, *length;
                ssize_t k;

                assert_int_equal(poll(&p, 1, SERVED_PATIENCE), 1);
                k = recv(fd, text + n, MIN(whole, size - 1) - n, 0);
                assert_true(k > 0);
                n += (size_t)k;
                text[n] = '\0';
                end = strstr(text, "\r\n\r\n");
                length = strcasestr(text, "Content-Length: ");
                if (end && length)
                        whole = (size_t)(end + 4 - text) +
                                (head ? 0 : strtoul(length + 16, NULL, 10));
        }
        assert_true(strncmp(text, "HTTP/1.1 ", 9) == 0);
        return (unsigned)strtoul(text + 9, NULL, 10);
}

unsigned ask(int fd, const char *request, char *text, size_t size) {
        assert_true(say(fd, request));
        return hear(fd, text, size, strncmp(request, "HEAD", 4) == 0);
}

unsigned ask_last(const Served *f, const char *request, size_t n) {
        char text[4096];
        int fd = dial_tcp(f);

        (void)say_n(fd, request, n);
        (void)hear_all(fd, text, sizeof text);
        close(fd);
        return strncmp(text, "HTTP/1.1 ", 9) == 0 ? (unsigned)strtoul(text + 9, NULL, 10) : 0;
}

void assert_serves(int fd) {
        char text[2048];

        assert_int_equal(ask(fd, GET("/a"), text, sizeof text), 200);
        close(fd);
}

unsigned served_descriptors(const Served *f) {
        char text[1024];
        int fd = dial_unix(f->socket);

        assert_int_equal(ask(fd, GET("/descriptors"), text, sizeof text), 200);
        close(fd);
        return (unsigned)strtoul(strstr(text, "\r\n\r\n") + 4, NULL, 10);
}

void assert_descriptors(const Served *f, unsigned base) {
        for (unsigned i = 0; i < SERVED_PATIENCE / 10; i++) {
                if (served_descriptors(f) <= base)
                        return;
                (void)poll(NULL, 0, 10);
        }
        fail_msg("descriptors stay above %u", base);
}
