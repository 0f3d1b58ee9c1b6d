/* glue/tls by itself: how long a session is resumed for, in a time of the test's own. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tls.h"
#include "tls_site.h"

static void serve(int fd, unsigned n _unused_) {
        void *ssl = tls_site_accept(fd);
        bool last;

        while (ssl && tls_site_hear(ssl, &last))
                tls_site_say(ssl, "ok");
        tls_site_hang_up(ssl, true);
}

static int dial(uint16_t port) {
        struct sockaddr_in name = { .sin_family = AF_INET,
                                    .sin_port = htons(port),
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        assert_true(fd >= 0);
        assert_true(connect(fd, (struct sockaddr *)&name, sizeof name) == 0 ||
                    errno == EINPROGRESS);
        return fd;
}

/* Waits for the socket after -EAGAIN. Returns false for what is over. */
static bool goes_on(TlsStream *s, int fd, ssize_t r) {
        struct pollfd p = { .fd = fd, .events = tls_stream_wants_write(s) ? POLLOUT : POLLIN };

        if (r != -EAGAIN)
                return false;
        assert_int_equal(poll(&p, 1, 30000), 1);
        tls_stream_wake(s, p.revents & POLLHUP);
        return true;
}

/* Asks once over a connection of its own. Returns whether its session was resumed. */
static bool ask(TlsContext *context, uint16_t port, TlsSession *session, usec_t now) {
        int fd = dial(port);
        TlsStream *s;
        char text[16];
        bool resumed;
        ssize_t r;

        assert_int_equal(tls_stream_new(&s, context, fd, "127.0.0.1", session, now), 0);
        do
                r = tls_stream_handshake(s);
        while (goes_on(s, fd, r));
        assert_int_equal(r, 0);
        assert_int_equal(tls_stream_send(s, "a\r\n\r\n", 5), 5);
        do
                r = tls_stream_receive(s, text, sizeof text);
        while (goes_on(s, fd, r));
        assert_int_equal(r, 2);
        resumed = tls_stream_is_resumed(s);
        tls_stream_free(s);
        close(fd);
        return resumed;
}

static TlsContext *make_context(const char *authority) {
        TlsSettings settings = { .verify = true, .ca_file = tls_site_path(authority) };
        TlsContext *context;
        STRBUF(error, 256);

        assert_int_equal(tls_context_new(&context, &settings, &error), 0);
        return context;
}

static void the_certificate_is_looked_at_again_in_time(void **state _unused_) {
        const usec_t begin = 77 * USEC_PER_MINUTE, end = begin + TLS_SESSION_AGE_MAX;
        TlsContext *context = make_context("ca.pem");
        TlsSession session = {};
        ScriptedServer server;

        tls_site = (TlsSite){ .certificate = "good.pem", .key = "good.key" };
        server_start(&server, serve);
        assert_false(ask(context, server.port, &session, begin));
        assert_true(ask(context, server.port, &session, begin + USEC_PER_SEC));
        /* Being resumed does not make it younger. */
        assert_true(ask(context, server.port, &session, end - 1));
        assert_false(ask(context, server.port, &session, end));
        assert_true(ask(context, server.port, &session, end + 1));
        tls_session_clear(&session);
        assert_false(ask(context, server.port, &session, end + 2));
        tls_session_clear(&session);
        tls_context_free(context);
        server_stop(&server);
}

static void a_session_is_of_its_context_alone(void **state _unused_) {
        TlsContext *context = make_context("ca.pem"), *same = make_context("ca.pem");
        TlsSession session = {};
        ScriptedServer server;

        tls_site = (TlsSite){ .certificate = "good.pem", .key = "good.key" };
        server_start(&server, serve);
        assert_false(ask(context, server.port, &session, 1));
        /* The session lives on without the one that it was made with, and is of no use to others.
         */
        tls_context_free(context);
        assert_false(ask(same, server.port, &session, 2));
        assert_true(ask(same, server.port, &session, 3));
        tls_context_free(same);
        tls_session_clear(&session);
        server_stop(&server);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_certificate_is_looked_at_again_in_time),
                cmocka_unit_test(a_session_is_of_its_context_alone),
        };

        return cmocka_run_group_tests(tests, tls_site_set_up, tls_site_tear_down);
}
