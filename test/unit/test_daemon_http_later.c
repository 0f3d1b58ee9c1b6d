/* Tests of glue/http_server: answers that come later than the handler's return. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#include "http_server.h"
#include "served_http.h"

#define LAST(path) "GET " path " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

/* The server's side: who asks for /later waits until somebody asks for /now, which tells how many
 * waited. */

static HttpPending *waiting[8];
static size_t n_waiting;

static void answer_waiting(void) {
        for (size_t i = 0; i < n_waiting; i++) {
                HttpAnswer late = { .status = 503, .retry_after = 7, .body = strdup("late") };

                late.body_size = late.body ? 4 : 0;
                http_pending_answer(waiting[i], &late);
        }
        n_waiting = 0;
}

static void on_call(_unused_ void *userdata, const HttpCall *call, HttpAnswer *ret) {
        int n = -1;

        /* Who waits when the server ends is answered after it has gone. */
        if (streq(call->path, "/first"))
                (void)atexit(answer_waiting);
        else if (streq(call->path, "/later") || streq(call->path, "/at-once"))
                waiting[n_waiting++] = http_call_postpone(call);
        else if (streq(call->path, "/given-up"))
                (void)http_pending_free(http_call_postpone(call));
        if (streq(call->path, "/now") || streq(call->path, "/how-many"))
                n = asprintf(&ret->body, "%zu", n_waiting);
        if (streq(call->path, "/at-once") || streq(call->path, "/now"))
                answer_waiting();
        ret->status = 200;
        ret->body_size = n >= 0 ? (size_t)n : 0;
}

static int start_with(void **state, usec_t deadline) {
        char text[1024];
        int fd;

        assert_int_equal(served_start_handler(state, on_call, NULL, deadline), 0);
        fd = dial_tcp(*state);
        assert_int_equal(ask(fd, GET("/first"), text, sizeof text), 200);
        close(fd);
        return 0;
}

static int start(void **state) {
        return start_with(state, 30 * USEC_PER_SEC);
}

static int start_impatient(void **state) {
        return start_with(state, SERVED_DEADLINE);
}

/* The client's side. */

static unsigned count_waiting(const Served *f, const char *request) {
        char text[1024];
        int fd = dial_unix(f->socket);

        assert_int_equal(ask(fd, request, text, sizeof text), 200);
        close(fd);
        return (unsigned)strtoul(strstr(text, "\r\n\r\n") + 4, NULL, 10);
}

/* Lets so many answers come: those who asked for them may yet have to be heard. */
static void let_answers_come(const Served *f, unsigned expected) {
        unsigned seen = 0;

        for (int i = 0; seen < expected && i < SERVED_PATIENCE; i += 10) {
                seen += count_waiting(f, GET("/now"));
                if (seen < expected)
                        (void)poll(NULL, 0, 10);
        }
        assert_int_equal(seen, expected);
}

/* On each of both doors, and before the answer to what was asked behind it. */
static void test_answers_come_later(void **state) {
        int fds[] = { dial_tcp(*state), dial_tcp(*state), dial_unix(((Served *)*state)->socket) };
        char text[4096];

        for (size_t i = 0; i < ELEMENTSOF(fds); i++)
                assert_true(say(fds[i], GET("/later") LAST("/behind")));
        let_answers_come(*state, ELEMENTSOF(fds));
        for (size_t i = 0; i < ELEMENTSOF(fds); i++) {
                (void)hear_all(fds[i], text, sizeof text);
                assert_true(strncmp(text, "HTTP/1.1 503 ", 13) == 0);
                assert_non_null(strstr(text, "Retry-After: 7\r\n"));
                assert_non_null(strstr(text, "\r\n\r\nlateHTTP/1.1 200 "));
                close(fds[i]);
        }
}

static void test_head(void **state) {
        int fd = dial_tcp(*state);
        char text[4096];

        assert_true(say(fd, "HEAD /later HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
        let_answers_come(*state, 1);
        (void)hear_all(fd, text, sizeof text);
        assert_true(strncmp(text, "HTTP/1.1 503 ", 13) == 0);
        assert_string_equal(strstr(text, "\r\n\r\n"), "\r\n\r\n");
        close(fd);
}

/* The answer may be there before the handler has returned. */
static void test_at_once(void **state) {
        int fd = dial_tcp(*state);
        char text[4096];

        assert_int_equal(ask(fd, GET("/at-once"), text, sizeof text), 503);
        assert_non_null(strstr(text, "\r\n\r\nlate"));
        assert_int_equal(ask(fd, GET("/given-up"), text, sizeof text), 500);
        close(fd);
}

/* Who has waited for too long, or has gone, is answered in vain. */
static void test_too_late(void **state) {
        int patient = dial_tcp(*state), gone = dial_tcp(*state);
        unsigned base = served_descriptors(*state);
        char text[1024];

        assert_true(say(gone, GET("/later")));
        assert_true(say(patient, GET("/later")));
        close(gone);
        assert_int_equal(hear_all(patient, text, sizeof text), 0);
        close(patient);
        let_answers_come(*state, 2);
        assert_descriptors(*state, base - 2);
}

/* The tear-down sees that the server ends well. */
static void test_the_end(void **state) {
        const Served *f = *state;
        int fd = dial_tcp(f);
        unsigned seen = 0;

        assert_true(say(fd, GET("/later")));
        for (int i = 0; seen == 0 && i < SERVED_PATIENCE; i += 10) {
                seen = count_waiting(f, GET("/how-many"));
                (void)poll(NULL, 0, 10);
        }
        assert_int_equal(seen, 1);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_answers_come_later, start, served_stop),
                cmocka_unit_test_setup_teardown(test_head, start, served_stop),
                cmocka_unit_test_setup_teardown(test_at_once, start, served_stop),
                cmocka_unit_test_setup_teardown(test_too_late, start_impatient, served_stop),
                cmocka_unit_test_setup_teardown(test_the_end, start, served_stop),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
