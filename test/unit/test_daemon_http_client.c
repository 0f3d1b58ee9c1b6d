/* Tests of glue/http_client against a real server of many vices in a process of its own. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "http_client.h"

#define MOST (HTTP_CLIENT_CONCURRENT + HTTP_CLIENT_SPARE)
#define PATIENCE (20 * USEC_PER_SEC)

/* Paths are vices; every request is counted, so that a followed redirect shows. */
static const char server_source[] =
        "import http.server, socket, sys, threading, os\n"
        "seen = []\n"
        "class H(http.server.BaseHTTPRequestHandler):\n"
        "    protocol_version = 'HTTP/1.1'\n"
        "    def log_message(self, *a): pass\n"
        "    def say(self, status, body=b'', headers=()):\n"
        "        self.send_response(status)\n"
        "        for k, v in headers: self.send_header(k, v)\n"
        "        self.send_header('Content-Length', str(len(body)))\n"
        "        self.end_headers(); self.wfile.write(body)\n"
        "    def do_GET(self):\n"
        "        self.say(200, b'got ' + self.path.encode())\n"
        "    def do_POST(self):\n"
        "        body = self.rfile.read(int(self.headers.get('Content-Length', 0)))\n"
        "        p = self.path\n"
        "        seen.append(p)\n"
        "        h = self.headers\n"
        "        try:\n"
        "            if p == '/echo': self.say(200, b'|'.join([body, h['User-Agent'].encode(), "
        "str(h['Expect']).encode(), str(h['X-Own']).encode(), "
        "str(h['Accept-Encoding']).encode()]))\n"
        "            elif p.startswith('/status/'): self.say(int(p[8:]), b'no')\n"
        "            elif p == '/later': self.say(429, b'', [('Retry-After', '17')])\n"
        "            elif p == '/redirect': self.say(302, b'', [('Location', '/followed')])\n"
        "            elif p == '/seen': self.say(200, ' '.join(seen).encode())\n"
        "            elif p == '/endless':\n"
        "                self.send_response(200); self.end_headers()\n"
        "                while True: self.wfile.write(b'x' * 65536)\n"
        "            elif p == '/headers':\n"
        "                self.send_response(200); self.flush_headers()\n"
        "                while True: self.wfile.write(b'X-A: ' + b'y' * 1000 + b'\\r\\n')\n"
        "            elif p == '/silent': threading.Event().wait()\n"
        "            elif p == '/slow':\n"
        "                self.send_response(200); self.end_headers()\n"
        "                while not threading.Event().wait(0.02): self.wfile.write(b'.'); "
        "self.wfile.flush()\n"
        "            elif p == '/hangup': self.connection.shutdown(socket.SHUT_RDWR)\n"
        "            elif p == '/early':\n"
        "                self.wfile.write(b'HTTP/1.1 200 OK\\r\\nContent-Length: "
        "50\\r\\n\\r\\nhalf'); self.close_connection = True\n"
        "            elif p == '/garbage': self.wfile.write(b'\\x00\\x01 what is "
        "this\\r\\n\\r\\n'); self.close_connection = True\n"
        "        except OSError: self.close_connection = True\n"
        "class U(http.server.ThreadingHTTPServer):\n"
        "    address_family = socket.AF_UNIX\n"
        "    def server_bind(self): socket.socket.bind(self.socket, self.server_address); "
        "self.server_name = 'u'; self.server_port = 0\n"
        "    def get_request(self): c, a = self.socket.accept(); return c, ('u', 0)\n"
        "tcp = http.server.ThreadingHTTPServer(('127.0.0.1', 0), H); tcp.daemon_threads = True\n"
        "unix = U(sys.argv[1], H); unix.daemon_threads = True\n"
        "threading.Thread(target=unix.serve_forever, daemon=True).start()\n"
        "print(tcp.server_port, flush=True)\n"
        "tcp.serve_forever()\n";

typedef struct Fixture {
        char directory[64], socket[96], url[64];
        pid_t server;
        Loop *loop;
        HttpClient *client;
        LoopTimer *timer;
        HttpReply reply;
        char body[2048];
        unsigned n_replies;
} Fixture;

static void on_impatience(void *userdata, _unused_ usec_t now) {
        loop_exit(userdata, 9);
}

static int start(void **state) {
        static Fixture fixture;
        Fixture *f = &fixture;
        int out[2];
        FILE *from;
        unsigned port = 0;

        memcpy(f->directory, "/tmp/http-client-XXXXXX", 24);
        assert_non_null(mkdtemp(f->directory));
        assert_true(snprintf(f->socket, sizeof f->socket, "%s/socket", f->directory) > 0);
        assert_int_equal(pipe(out), 0);
        fflush(NULL);
        f->server = fork();
        if (f->server == 0) {
                (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
                dup2(out[1], 1);
                close(out[0]);
                execl("/usr/bin/python3", "python3", "-c", server_source, f->socket, (char *)NULL);
                _exit(127);
        }
        close(out[1]);
        from = fdopen(out[0], "re");
        assert_non_null(from);
        assert_int_equal(fscanf(from, "%u", &port), 1);
        fclose(from);
        assert_true(snprintf(f->url, sizeof f->url, "http://127.0.0.1:%u", port) > 0);
        *state = f;
        return 0;
}

static int stop(void **state) {
        Fixture *f = *state;

        kill(f->server, SIGKILL);
        waitpid(f->server, NULL, 0);
        unlink(f->socket);
        assert_int_equal(rmdir(f->directory), 0);
        return 0;
}

static int set_up(void **state) {
        Fixture *f = *state;

        assert_int_equal(loop_new(&f->loop), 0);
        assert_int_equal(http_client_new(&f->client, f->loop, HTTP_CLIENT_REPLY_MAX), 0);
        assert_int_equal(loop_add_timer(f->loop, on_impatience, f->loop, "impatience", &f->timer),
                         0);
        loop_timer_set(f->timer, usec_add(loop_now(f->loop), PATIENCE));
        f->n_replies = 0;
        return 0;
}

static int tear_down(void **state) {
        Fixture *f = *state;

        loop_timer_free(f->timer);
        f->client = http_client_free(f->client);
        f->loop = loop_free(f->loop);
        return 0;
}

static void on_reply(void *userdata, const HttpReply *reply) {
        Fixture *f = userdata;

        f->reply = *reply;
        f->n_replies++;
        assert_true(snprintf(f->body, sizeof f->body, "%s", reply->body) >= 0);
        loop_exit(f->loop, 0);
}

static int post(Fixture *f, const char *path, usec_t timeout, HttpReplyCallback callback,
                HttpRequest **ret) {
        static const char *const headers[] = { "Content-Type: text/plain", "X-Own: mine", NULL };
        char url[128];

        assert_true(snprintf(url, sizeof url, "%s%s", f->url, path) > 0);
        return http_client_post(f->client, url, headers, "a\0b", 3, timeout, callback, f, ret);
}

/* One request from beginning to end; the loop is made anew for the next one. */
static const HttpReply *talk(void **state, const char *path, usec_t timeout) {
        Fixture *f = *state;

        tear_down(state);
        set_up(state);
        assert_int_equal(post(f, path, timeout, on_reply, NULL), 0);
        assert_int_equal(loop_run(f->loop), 0);
        return &f->reply;
}

static void test_statuses(void **state) {
        static const unsigned statuses[] = { 204, 400, 404, 410, 500, 503 };
        Fixture *f = *state;
        const HttpReply *reply = talk(state, "/echo", PATIENCE);

        assert_int_equal(reply->error, 0);
        assert_int_equal(reply->status, 200);
        assert_memory_equal(f->body, "a", 2);
        assert_int_equal(reply->body_size,
                         3 + strlen("|rollbackd/" ROLLBACKD_VERSION "|None|mine|None"));
        for (size_t i = 0; i < ELEMENTSOF(statuses); i++) {
                char path[32];

                assert_true(snprintf(path, sizeof path, "/status/%u", statuses[i]) > 0);
                reply = talk(state, path, PATIENCE);
                assert_int_equal(reply->error, 0);
                assert_int_equal(reply->status, statuses[i]);
                assert_int_equal(reply->retry_after, 0);
        }
        reply = talk(state, "/later", PATIENCE);
        assert_int_equal(reply->status, 429);
        assert_int_equal(reply->retry_after, 17 * USEC_PER_SEC);
}

static void test_redirect_is_an_answer(void **state) {
        Fixture *f = *state;

        assert_int_equal(talk(state, "/redirect", PATIENCE)->status, 302);
        assert_int_equal(talk(state, "/seen", PATIENCE)->status, 200);
        assert_non_null(strstr(f->body, "/redirect"));
        assert_null(strstr(f->body, "/followed"));
}

static void assert_failure(void **state, const char *path, usec_t timeout, int error,
                           const char *words) {
        const HttpReply *reply = talk(state, path, timeout);

        if (reply->error != error || !streq(reply->words, words))
                fail_msg("%s: %d %s", path, reply->error, reply->words);
        assert_int_equal(reply->status, 0);
}

static void test_failures(void **state) {
        static const char too_large[] = "the answer is larger than is accepted";

        assert_failure(state, "/endless", PATIENCE, -EFBIG, too_large);
        assert_failure(state, "/headers", PATIENCE, -EFBIG, too_large);
        assert_failure(state, "/silent", 300 * USEC_PER_MSEC, -ETIMEDOUT,
                       "no whole answer in time (300 ms)");
        assert_failure(state, "/slow", 300 * USEC_PER_MSEC, -ETIMEDOUT,
                       "no whole answer in time (300 ms)");
        assert_failure(state, "/hangup", PATIENCE, -EPROTO,
                       "the connection was closed without an answer");
        assert_failure(state, "/early", PATIENCE, -EPROTO, "the answer ended too early");
        assert_failure(state, "/garbage", PATIENCE, -EPROTO, "the answer is not HTTP/1.1");
}

/* Port 1 is reserved and has no listener on a Debian host. */
static void test_refused(void **state) {
        Fixture *f = *state;

        assert_int_equal(http_client_post(f->client, "http://127.0.0.1:1/", NULL, "", 0, PATIENCE,
                                          on_reply, f, NULL),
                         0);
        assert_int_equal(loop_run(f->loop), 0);
        assert_int_equal(f->reply.error, -ECONNREFUSED);
        assert_string_equal(f->reply.words, "connection refused");
}

static void test_no_such_name(void **state) {
        Fixture *f = *state;

        assert_int_equal(http_client_post(f->client, "http://name.invalid/", NULL, "", 0,
                                          5 * USEC_PER_SEC, on_reply, f, NULL),
                         0);
        assert_int_equal(loop_run(f->loop), 0);
        assert_true(f->reply.error == -EHOSTUNREACH || f->reply.error == -ETIMEDOUT);
}

static void test_bad_requests(void **state) {
        static const char *const urls[] = { "",
                                            "nonsense",
                                            "file:///etc/passwd",
                                            "ftp://h/",
                                            "gopher://h/",
                                            "http://user:secret@h/",
                                            "http://user@h/",
                                            "//h/" };
        static const char *const split[] = { "X: a\r\nY: b", NULL }, *const nameless[] = {
                "nothing", NULL
        };
        Fixture *f = *state;

        for (size_t i = 0; i < ELEMENTSOF(urls); i++)
                assert_int_equal(http_client_post(f->client, urls[i], NULL, "", 0, PATIENCE,
                                                  on_reply, f, NULL),
                                 -EINVAL);
        assert_int_equal(
                http_client_post(f->client, f->url, split, "", 0, PATIENCE, on_reply, f, NULL),
                -EINVAL);
        assert_int_equal(
                http_client_post(f->client, f->url, nameless, "", 0, PATIENCE, on_reply, f, NULL),
                -EINVAL);
}

/* A proxy in the environment would be a way to be made to talk to somebody else. */
static void test_no_proxy(void **state) {
        assert_int_equal(setenv("http_proxy", "http://127.0.0.1:1", 1), 0);
        assert_int_equal(setenv("ALL_PROXY", "http://127.0.0.1:1", 1), 0);
        assert_int_equal(talk(state, "/status/204", PATIENCE)->status, 204);
        unsetenv("http_proxy");
        unsetenv("ALL_PROXY");
}

static void on_counted(void *userdata, const HttpReply *reply) {
        Fixture *f = userdata;

        assert_int_equal(reply->status, 200);
        if (++f->n_replies == MOST)
                loop_exit(f->loop, 0);
}

static void test_many_at_once(void **state) {
        Fixture *f = *state;

        for (unsigned i = 0; i < MOST; i++)
                assert_int_equal(post(f, "/echo", PATIENCE, on_counted, NULL), 0);
        assert_int_equal(post(f, "/echo", PATIENCE, on_counted, NULL), -EAGAIN);
        assert_int_equal(loop_run(f->loop), 0);
        assert_int_equal(f->n_replies, MOST);
        assert_int_equal(post(f, "/echo", PATIENCE, on_counted, NULL), 0);
}

static void on_never(_unused_ void *userdata, _unused_ const HttpReply *reply) {
        fail();
}

/* A cancelled request is silent, in flight or finished, and freeing the client cancels the rest. */
static void test_cancel(void **state) {
        Fixture *f = *state;
        HttpRequest *one, *two;

        assert_int_equal(post(f, "/silent", PATIENCE, on_never, &one), 0);
        assert_int_equal(post(f, "/hangup", PATIENCE, on_never, &two), 0);
        assert_int_equal(post(f, "/slow", PATIENCE, on_never, NULL), 0);
        http_request_cancel(two);
        http_request_cancel(NULL);
        assert_int_equal(post(f, "/echo", PATIENCE, on_reply, NULL), 0);
        assert_int_equal(loop_run(f->loop), 0);
        http_request_cancel(one);
        assert_int_equal(f->n_replies, 1);
}

static void on_reply_free(void *userdata, const HttpReply *reply) {
        Fixture *f = userdata;

        f->client = http_client_free(f->client);
        on_reply(f, reply);
}

static void test_free_in_callback(void **state) {
        Fixture *f = *state;

        assert_int_equal(post(f, "/silent", PATIENCE, on_never, NULL), 0);
        assert_int_equal(post(f, "/echo", PATIENCE, on_reply_free, NULL), 0);
        assert_int_equal(loop_run(f->loop), 0);
        assert_int_equal(f->reply.status, 200);
        assert_non_null(strstr(f->body, "a"));
}

static void test_call(void **state) {
        const Fixture *f = *state;
        char *body = NULL, url[128], missing[128];
        size_t size = 0;

        assert_int_equal(http_client_call(f->socket, "GET", "http://localhost/x?y=1", NULL, NULL,
                                          PATIENCE, &body, &size),
                         200);
        assert_string_equal(body, "got /x?y=1");
        assert_int_equal(size, 10);
        free(body);
        assert_true(snprintf(url, sizeof url, "%s/status/404", f->url) > 0);
        assert_int_equal(http_client_call(NULL, "POST", url, NULL, "{}", PATIENCE, &body, &size),
                         404);
        assert_string_equal(body, "no");
        free(body);
        assert_true(snprintf(missing, sizeof missing, "%s/missing", f->directory) > 0);
        body = NULL;
        assert_int_equal(http_client_call(missing, "GET", "http://localhost/", NULL, NULL, PATIENCE,
                                          &body, &size),
                         -ENOENT);
        assert_int_equal(http_client_call(NULL, "GET", "http://127.0.0.1:1/", NULL, NULL, PATIENCE,
                                          &body, &size),
                         -ECONNREFUSED);
        assert_int_equal(http_client_call(f->socket, "POST", "http://localhost/silent", NULL, "",
                                          200 * USEC_PER_MSEC, &body, &size),
                         -ETIMEDOUT);
        assert_null(body);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_statuses, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_redirect_is_an_answer, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_failures, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_no_such_name, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_bad_requests, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_no_proxy, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_many_at_once, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_cancel, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_free_in_callback, set_up, tear_down),
                cmocka_unit_test(test_call),
        };

        return cmocka_run_group_tests_name("http_client", tests, start, stop);
}
