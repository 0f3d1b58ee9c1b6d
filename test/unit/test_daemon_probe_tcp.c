/* The tcp probe, and what connecting itself can come to. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "probe_harness.h"
#include "probe_kind.h"

static const Result *probe_port(Harness *h, uint16_t port) {
        harness_init(h, PROBE_TCP, port);
        harness_begin(h);
        harness_run(h, 1);
        return &h->results[0];
}

static void a_port_that_listens_is_good(void **state _unused_) {
        ScriptedServer server;
        Harness h;

        server_listen(&server);
        const Result *r = probe_port(&h, server.port);
        assert_int_equal(r->outcome, OUTCOME_OK);
        assert_string_equal(r->words, "");
        assert_int_equal(r->status, 0);
        assert_false(r->has_version);
        harness_done(&h);
        server_stop(&server);
}

static void a_port_that_nobody_holds_is_refused(void **state _unused_) {
        ScriptedServer server;
        Harness h;

        server_listen(&server);
        server_stop(&server);
        const Result *r = probe_port(&h, server.port);
        assert_int_equal(r->outcome, OUTCOME_REFUSED);
        assert_string_equal(r->words, outcome_words(OUTCOME_REFUSED));
        harness_done(&h);
}

static void hurry(ScriptedServer *server, Harness *h, ProbeKindId kind) {
        server_listen_full(server);
        harness_init(h, kind, server->port);
        h->probe.timeout = 100 * USEC_PER_MSEC;
        harness_begin(h);
        harness_run(h, 1);
        assert_int_equal(h->results[0].outcome, OUTCOME_TIMEOUT);
        assert_string_equal(h->results[0].words, "no connection within 100 ms");
        harness_done(h);
        server_stop(server);
}

static void a_connection_that_does_not_come_is_bad(void **state _unused_) {
        ScriptedServer server;
        Harness h;

        hurry(&server, &h, PROBE_TCP);
        hurry(&server, &h, PROBE_HTTP);
}

typedef struct Opening {
        ScriptedServer server;
        LoopTimer *timer;
} Opening;

static void answer(int fd, unsigned n _unused_) {
        script_read_request(fd);
        script_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

static void open_up(void *userdata, usec_t now _unused_) {
        server_serve(&((Opening *)userdata)->server, answer);
}

static void wait_for_connection(ProbeKindId kind) {
        Opening opening;
        Harness h;

        server_listen_full(&opening.server);
        harness_init(&h, kind, opening.server.port);
        assert_int_equal(loop_add_timer(h.loop, open_up, &opening, "open", &opening.timer), 0);
        loop_timer_set(opening.timer, loop_now(h.loop) + 100 * USEC_PER_MSEC);
        harness_begin(&h);
        harness_run(&h, 1);
        assert_int_equal(h.results[0].outcome, OUTCOME_OK);
        /* It was not there at once. */
        assert_true(h.results[0].at - h.results[0].started > 100 * USEC_PER_MSEC);
        loop_timer_free(opening.timer);
        harness_done(&h);
        server_stop(&opening.server);
}

static void a_connection_that_comes_late_is_used(void **state _unused_) {
        wait_for_connection(PROBE_TCP);
        wait_for_connection(PROBE_HTTP);
}

static void no_descriptors_of_our_own_is_unknown(void **state _unused_) {
        struct rlimit old, none;
        ScriptedServer server;
        Harness h;

        server_listen(&server);
        harness_init(&h, PROBE_TCP, server.port);
        harness_begin(&h);
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
        none = old;
        none.rlim_cur = 0; /* no new descriptor; those that are open stay */
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        harness_run(&h, 1);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);

        assert_int_equal(h.results[0].outcome, OUTCOME_RESOURCES);
        assert_int_equal(outcome_verdict(h.results[0].outcome), TRI_UNKNOWN);
        assert_non_null(strstr(h.results[0].words, "EMFILE"));
        assert_int_equal(prober_counts(h.prober).in_flight, 0);
        harness_done(&h);
        server_stop(&server);
}

static void a_name_is_resolved_and_kept(void **state _unused_) {
        ScriptedServer server;
        Harness h;

        server_listen(&server);
        harness_init(&h, PROBE_TCP, server.port);
        h.targets[0].host = (char *)"localhost";
        harness_add_target(&h, "localhost", server.port);
        harness_begin(&h);
        harness_run(&h, 2);
        /* localhost may be ::1 first, where nobody listens: an address was found either way. */
        for (size_t i = 0; i < 2; i++)
                assert_true(h.results[i].outcome == OUTCOME_OK ||
                            h.results[i].outcome == OUTCOME_REFUSED);
        harness_done(&h);
        server_stop(&server);
}

static void a_name_that_does_not_resolve_is_unknown(void **state _unused_) {
        Harness h;

        harness_init(&h, PROBE_TCP, 1);
        h.targets[0].host = (char *)"no-such-host.invalid";
        harness_begin(&h);
        harness_run(&h, 1);
        assert_int_equal(h.results[0].outcome, OUTCOME_RESOLVER);
        assert_int_equal(outcome_verdict(h.results[0].outcome), TRI_UNKNOWN);
        assert_non_null(strstr(h.results[0].words, "no-such-host.invalid"));
        harness_done(&h);
}

/* What a path comes to. */
static ProbeOutcome probe_socket(const char *path, char words[static PROBE_WORDS_SIZE]) {
        ProbeOutcome outcome;
        Harness h;
        StrBuf b;

        harness_init(&h, PROBE_TCP, 0);
        h.targets[0].host = (char *)"localhost";
        h.targets[0].socket = (char *)path;
        harness_begin(&h);
        harness_run(&h, 1);
        outcome = h.results[0].outcome;
        strbuf_init(&b, words, PROBE_WORDS_SIZE);
        strbuf_add(&b, h.results[0].words);
        harness_done(&h);
        return outcome;
}

static void a_unix_socket_is_connected_to(void **state _unused_) {
        char folder[] = "/tmp/probe-XXXXXX", words[PROBE_WORDS_SIZE];
        struct sockaddr_un name = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), waiting[8];

        assert_non_null(mkdtemp(folder));
        snprintf(name.sun_path, sizeof name.sun_path, "%s/s", folder);
        assert_int_equal(probe_socket(name.sun_path, words), OUTCOME_REFUSED);
        assert_int_equal(bind(fd, (struct sockaddr *)&name, sizeof name), 0);
        assert_int_equal(probe_socket(name.sun_path, words), OUTCOME_REFUSED);
        assert_int_equal(listen(fd, 1), 0);
        assert_int_equal(probe_socket(name.sun_path, words), OUTCOME_OK);
        assert_string_equal(words, "");

        /* Nobody accepts, and the queue is full. */
        for (size_t i = 0; i < ELEMENTSOF(waiting); i++) {
                waiting[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
                (void)!connect(waiting[i], (struct sockaddr *)&name, sizeof name);
        }
        assert_int_equal(probe_socket(name.sun_path, words), OUTCOME_TIMEOUT);
        for (size_t i = 0; i < ELEMENTSOF(waiting); i++)
                close(waiting[i]);
        close(fd);
        assert_int_equal(unlink(name.sun_path), 0);
        assert_int_equal(rmdir(folder), 0);
}

/* The right to enter the folder is ours to have. */
static void a_unix_socket_that_is_not_ours_is_unknown(void **state _unused_) {
        char folder[] = "/tmp/probe-XXXXXX", path[64], words[PROBE_WORDS_SIZE];
        ProbeOutcome outcome;

        uid_t before = geteuid();

        assert_non_null(mkdtemp(folder));
        snprintf(path, sizeof path, "%s/s", folder);
        assert_int_equal(chmod(folder, 0), 0);
        /* Root may enter everywhere. */
        assert_true(before != 0 || seteuid(65534) == 0);
        outcome = probe_socket(path, words);
        assert_int_equal(seteuid(before), 0);
        assert_int_equal(outcome, OUTCOME_LOCAL);
        assert_int_equal(outcome_verdict(outcome), TRI_UNKNOWN);
        assert_non_null(strstr(words, "EACCES"));
        assert_int_equal(rmdir(folder), 0);
}

static void *wait_for_end(void *argument) {
        char byte;

        (void)!read(*(int *)argument, &byte, 1);
        return NULL;
}

static void no_answer(void *userdata _unused_, int r _unused_, void *value _unused_) {
}

static void a_name_server_that_hangs_is_unknown_at_the_deadline(void **state _unused_) {
        int ends[2];
        Harness h;

        harness_init(&h, PROBE_TCP, 1);
        h.targets[0].host = (char *)"localhost";
        h.probe.timeout = 100 * USEC_PER_MSEC;
        /* Every worker waits for the pipe, so that the look-up is never begun. */
        assert_int_equal(pipe(ends), 0);
        for (unsigned i = 0; i < HARNESS_WORKERS; i++) {
                OffloadTask *task;

                assert_int_equal(offload_run(h.offload, wait_for_end, &ends[0], NULL, NULL,
                                             USEC_PER_MINUTE, no_answer, NULL, &task),
                                 0);
        }
        harness_begin(&h);
        harness_run(&h, 1);
        assert_int_equal(h.results[0].outcome, OUTCOME_RESOLVER);
        assert_string_equal(h.results[0].words, "no answer of the name server within 100 ms");
        assert_int_equal(prober_counts(h.prober).in_flight, 0);
        close(ends[1]);
        harness_done(&h);
        close(ends[0]);
}

static int descriptors(void) {
        int n = 0;

        for (int fd = 0; fd < 1024; fd++)
                n += fcntl(fd, F_GETFD) >= 0;
        return n;
}

/* Counts when nothing is in flight: between the end of a probe and the start of the next. */
static void count_descriptors(Harness *h, const Result *r _unused_) {
        int *counts = h->extra;

        counts[h->n_results == 1 ? 0 : 1] = descriptors();
        if (h->n_results < h->wanted)
                prober_probe_now(h->prober, 7, 0);
}

static void descriptors_come_back(void **state _unused_) {
        ScriptedServer server;
        int counts[2] = {};
        Harness h;

        server_listen(&server);
        harness_init(&h, PROBE_TCP, server.port);
        h.extra = counts;
        h.react = count_descriptors;
        harness_begin(&h);
        harness_run(&h, 101);
        assert_true(counts[0] > 0);
        assert_int_equal(counts[1], counts[0]);
        harness_done(&h);
        server_stop(&server);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_port_that_listens_is_good),
                cmocka_unit_test(a_port_that_nobody_holds_is_refused),
                cmocka_unit_test(a_connection_that_does_not_come_is_bad),
                cmocka_unit_test(a_connection_that_comes_late_is_used),
                cmocka_unit_test(no_descriptors_of_our_own_is_unknown),
                cmocka_unit_test(a_unix_socket_is_connected_to),
                cmocka_unit_test(a_unix_socket_that_is_not_ours_is_unknown),
                cmocka_unit_test(a_name_is_resolved_and_kept),
                cmocka_unit_test(a_name_that_does_not_resolve_is_unknown),
                cmocka_unit_test(a_name_server_that_hangs_is_unknown_at_the_deadline),
                cmocka_unit_test(descriptors_come_back),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
