/* Tests of glue/http_server with raw sockets. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "http_server.h"
#include "served_http.h"

static void test_answers_over_tcp(void **state) {
        char text[4096];
        int fd = dial_tcp(*state);

        assert_int_equal(ask(fd,
                             "POST /a%2Fb%20c?q=1%262&x HTTP/1.1\r\nHost: h:1\r\nIf-Match: "
                             "\"4\"\r\nContent-Type: application/json\r\nOrigin: http://o\r\n"
                             "Content-Length: 3\r\n\r\nabc",
                             text, sizeof text),
                         200);
        assert_non_null(strstr(text,
                               "\r\n\r\nPOST /a/b c local=0 uid=-1 q=1&2 match=\"4\" "
                               "type=application/json host=h:1 origin=http://o size=3 body=abc"));
        assert_non_null(strstr(text, "X-Content-Type-Options: nosniff\r\n"));
        assert_non_null(strstr(text, "Cache-Control: no-store\r\n"));
        assert_non_null(strstr(text, "Content-Security-Policy: default-src 'none'\r\n"));
        assert_non_null(strstr(text, "Content-Type: text/plain\r\n"));
        assert_non_null(strstr(text, "ETag: \"7\"\r\n"));
        assert_int_equal(ask(fd, GET("/refused"), text, sizeof text), 405);
        assert_non_null(strstr(text, "Allow: POST\r\n"));
        assert_int_equal(ask(fd, "TRACE /t HTTP/1.1\r\nHost: x\r\n\r\n", text, sizeof text), 200);
        assert_non_null(strstr(text, "\r\n\r\nTRACE /t "));
        close(fd);
}

static void test_unix_peer(void **state) {
        const Served *f = *state;
        char text[2048], expected[64];
        uid_t uid = geteuid() == 0 ? 65534 : geteuid();
        int fd;

        if (geteuid() == 0) {
                assert_int_equal(chmod(f->directory, 0711), 0);
                assert_int_equal(chmod(f->socket, 0666), 0);
                assert_int_equal(seteuid(uid), 0);
        }
        fd = dial_unix(f->socket);
        if (getuid() == 0)
                assert_int_equal(seteuid(0), 0);
        assert_int_equal(ask(fd, GET("/a"), text, sizeof text), 200);
        assert_true(snprintf(expected, sizeof expected, " local=1 uid=%ld ", (long)uid) > 0);
        assert_non_null(strstr(text, expected));
        close(fd);
}

static void test_head(void **state) {
        char text[4096];
        int fd = dial_tcp(*state);

        assert_int_equal(ask(fd, "HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n", text, sizeof text), 200);
        assert_string_equal(strstr(text, "\r\n\r\n"), "\r\n\r\n");
        assert_null(strstr(text, "Content-Length: 0\r\n"));
        assert_serves(fd);
}

static void test_pipelining(void **state) {
        char text[4096];
        int fd = dial_tcp(*state);
        const char *one, *two, *three;

        assert_true(say(
                fd, GET("/1") GET("/2") "GET /3 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
        (void)hear_all(fd, text, sizeof text);
        one = strstr(text, "GET /1 ");
        two = strstr(text, "GET /2 ");
        three = strstr(text, "GET /3 ");
        assert_true(one && two && three && one < two && two < three);
        close(fd);
}

/* Sends `opening`, then a byte every 10 ms; the server must close long before its limits on sizes
 * are reached. */
static void drip(const Served *f, const char *opening) {
        int fd = dial_tcp(f);
        char text[1024];
        unsigned n = 0;

        assert_true(say(fd, opening));
        for (;;) {
                struct pollfd p = { .fd = fd, .events = POLLIN | POLLRDHUP };

                if (poll(&p, 1, 10) > 0)
                        break;
                if (!say(fd, "x"))
                        break;
                assert_true(++n < 3000);
        }
        assert_int_equal(hear_all(fd, text, sizeof text), 0);
        close(fd);
}

static void test_deadline(void **state) {
        const Served *f = *state;
        char text[1024];
        unsigned base = served_descriptors(f);
        int fd;

        drip(f, "GET /a HTTP/1.1\r\nHost: x\r\nX-Slow: ");
        drip(f, "GET /");
        drip(f, "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n");
        fd = dial_tcp(f);
        assert_int_equal(hear_all(fd, text, sizeof text), 0);
        close(fd);
        fd = dial_tcp(f);
        assert_int_equal(ask(fd, GET("/a"), text, sizeof text), 200);
        assert_int_equal(hear_all(fd, text, sizeof text), 0);
        close(fd);
        assert_descriptors(f, base);
}

/* A client that asks and never reads is cut off in the middle of the answer. */
static void test_never_reads(void **state) {
        const Served *f = *state;
        unsigned base = served_descriptors(f);
        char text[1024];
        int fd = dial_tcp(f);

        for (unsigned i = 0; i < 16; i++)
                assert_true(say(fd, GET("/big")));
        assert_descriptors(f, base);
        assert_true(hear_all(fd, text, sizeof text) < 16 * (size_t)SERVED_BIG);
        close(fd);
}

static unsigned long cpu_ticks(pid_t pid) {
        char path[64], text[1024];
        unsigned long user = 0, kernel = 0;
        FILE *file;

        assert_true(snprintf(path, sizeof path, "/proc/%d/stat", (int)pid) > 0);
        file = fopen(path, "re");
        assert_non_null(file);
        assert_non_null(fgets(text, sizeof text, file));
        fclose(file);
        assert_int_equal(sscanf(strrchr(text, ')') + 1,
                                " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
                                &kernel),
                         2);
        return user + kernel;
}

/* Connections that wait must not keep the loop busy: 0.4 s of it would be 40 ticks. */
static void test_waiting_costs_nothing(void **state) {
        const Served *f = *state;
        char text[1024];
        int idle = dial_tcp(f), begun = dial_tcp(f);
        unsigned long before;

        assert_int_equal(ask(idle, GET("/a"), text, sizeof text), 200);
        assert_true(say(begun, "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nab"));
        before = cpu_ticks(f->server);
        assert_int_equal(hear_all(begun, text, sizeof text), 0);
        assert_int_equal(hear_all(idle, text, sizeof text), 0);
        assert_true(cpu_ticks(f->server) - before < 10);
        close(begun);
        close(idle);
}

static void test_full_house(void **state) {
        const Served *f = *state;
        unsigned base = served_descriptors(f);
        int fds[200];

        for (size_t i = 0; i < ELEMENTSOF(fds); i++)
                fds[i] = dial_tcp(f);
        for (unsigned i = 0; i < 20; i++)
                assert_serves(dial_unix(f->socket));
        assert_serves(dial_tcp(f));
        for (size_t i = 0; i < ELEMENTSOF(fds); i++)
                close(fds[i]);
        assert_descriptors(f, base);
}

/* The moment at which a full door has room again must not pass unseen: nothing else would wake it.
 */
static void test_room_again(void **state) {
        const Served *f = *state;
        int fds[HTTP_SERVER_CONNECTIONS], waiting;
        char text[1024];

        for (size_t i = 0; i < ELEMENTSOF(fds); i++)
                fds[i] = dial_tcp(f);
        waiting = dial_tcp(f);
        assert_true(say(waiting, GET("/a")));
        assert_serves(dial_unix(f->socket));
        for (size_t i = 0; i < ELEMENTSOF(fds); i++)
                close(fds[i]);
        assert_int_equal(hear(waiting, text, sizeof text, false), 200);
        close(waiting);
}

static void test_sizes(void **state) {
        const Served *f = *state;
        static char request[128 * 1024];
        char text[2048], *p;
        unsigned status;
        int fd;

        memset(request, 'a', sizeof request - 1);
        memcpy(request, "GET /a HTTP/1.1\r\nHost: x\r\nX: ", 30);
        status = ask_last(f, request, 64 * 1024);
        assert_true(status == 0 || status == 431 || status == 413);
        memcpy(request, "GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 30);
        status = ask_last(f, request, 64 * 1024);
        assert_true(status == 0 || status == 414 || status == 413);
        p = stpcpy(request, "GET /a HTTP/1.1\r\nHost: x\r\n");
        for (unsigned i = 0; i < 5000; i++)
                p = stpcpy(p, "abcd: b\r\n");
        status = ask_last(f, request, (size_t)(p - request));
        assert_true(status == 0 || status == 431 || status == 413);

        assert_int_equal(
                ask_last(f, "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n", 53),
                413);
        fd = dial_tcp(f);
        assert_true(say(fd, "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 65536\r\n\r\n"));
        memset(request, 'b', 65536);
        assert_true(say_n(fd, request, 65536));
        assert_int_equal(hear(fd, text, sizeof text, false), 200);
        assert_non_null(strstr(text, " size=65536 body=bbbb"));
        close(fd);
}

static void test_chunked(void **state) {
        const Served *f = *state;
        static char chunk[0x4000 + 8];
        char text[2048];
        int fd = dial_tcp(f);
        unsigned n = 0;

        memcpy(chunk, "4000\r\n", 6);
        memset(chunk + 6, 'c', 0x4000);
        memcpy(chunk + 6 + 0x4000, "\r\n", 2);
        assert_true(say(fd, "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
                            "chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"));
        assert_int_equal(hear(fd, text, sizeof text, false), 200);
        assert_non_null(strstr(text, " size=5 body=abcde"));

        assert_true(say(fd, "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"));
        for (unsigned i = 0; i < 5; i++)
                assert_true(say_n(fd, chunk, sizeof chunk));
        assert_true(say(fd, "0\r\n\r\n"));
        assert_int_equal(hear(fd, text, sizeof text, false), 413);
        assert_int_equal(hear_all(fd, text, sizeof text), 0);
        close(fd);

        /* 64 KiB are kept, 1 MiB is thrown away, and a unix socket holds little in between. */
        fd = dial_unix(f->socket);
        assert_true(say(fd, "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"));
        while (say_n(fd, chunk, sizeof chunk))
                assert_true(++n < 128);
        close(fd);
}

static void test_refused_heads(void **state) {
        static const struct {
                const char *request;
                unsigned status;
        } cases[] = {
                { "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: "
                  "chunked\r\n\r\n0\r\n\r\n",
                  400 },
                { "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: "
                  "6\r\n\r\nabcde",
                  400 },
                { "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n", 400 },
                { "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5x\r\n\r\n", 400 },
                { "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n",
                  413 },
                { "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501 },
                { "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400 },
                { "GET /a HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400 },
                { "GET /a HTTP/1.1\r\nHost: x\r\nIf-Match: \"1\"\r\nIf-Match: \"2\"\r\n\r\n", 400 },
                { "GET /a%00b HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
                { "GET /a%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
                { "GET /a% HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
                { "GET /a?q=%00 HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
                { "GET /a HTTP/1.1\r\n\r\n", 400 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                unsigned status = ask_last(*state, cases[i].request, strlen(cases[i].request));

                if (status != cases[i].status)
                        fail_msg("%s: %u instead of %u", cases[i].request, status, cases[i].status);
        }
}

static void test_garbage(void **state) {
        const Served *f = *state;
        unsigned base = served_descriptors(f);
        uint64_t x = 42;
        char garbage[600];

        for (unsigned round = 0; round < 40; round++) {
                int fd = dial_tcp(f);

                for (size_t i = 0; i < sizeof garbage; i++) {
                        x = x * 6364136223846793005u + 1442695040888963407u;
                        garbage[i] = (char)(x >> 56);
                }
                (void)say_n(fd, garbage, sizeof garbage);
                (void)say(fd, round % 2 ? "\r\n\r\n" : "");
                shutdown(fd, SHUT_WR);
                close(fd);
        }
        assert_int_equal(ask_last(f, "GET /a\0b HTTP/1.1\r\nHost: x\r\n\r\n", 30), 400);
        assert_int_not_equal(
                ask_last(f, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 15), 200);
        assert_serves(dial_tcp(f));
        assert_descriptors(f, base);
}

int main(void) {
        const struct CMUnitTest served[] = {
                cmocka_unit_test(test_answers_over_tcp),
                cmocka_unit_test(test_unix_peer),
                cmocka_unit_test(test_head),
                cmocka_unit_test(test_pipelining),
                cmocka_unit_test(test_deadline),
                cmocka_unit_test(test_never_reads),
                cmocka_unit_test(test_full_house),
                cmocka_unit_test(test_waiting_costs_nothing),
                cmocka_unit_test(test_sizes),
                cmocka_unit_test(test_chunked),
                cmocka_unit_test(test_refused_heads),
                cmocka_unit_test(test_garbage),
                cmocka_unit_test(test_room_again),
        };

        return cmocka_run_group_tests_name("http_server", served, served_start, served_stop);
}
