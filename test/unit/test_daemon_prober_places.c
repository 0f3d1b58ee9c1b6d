/* Who may have how many descriptors, what targets that hang leave to the others, and their own
 * schedule. */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "descriptors.h"
#include "probe_harness.h"

#define MSEC USEC_PER_MSEC
#define LIMIT 64
#define GOOD 4
#define HUNG 40

static void every_part_has_a_share_under_any_limit(void **state _unused_) {
        for (size_t limit = 32; limit <= 1 << 20; limit++) {
                DescriptorShares s = descriptors_share(limit);

                assert_true(s.probes >= 1 && s.door >= 1 && s.door <= 128);
                assert_true(s.probes + 2 * s.door + 24 <= limit);
                assert_true(limit < 640 || s.probes + 2 * s.door + 64 == limit);
        }
        assert_int_equal(descriptors_share(65536).probes, 65536 - 64 - 2 * 128);
        /* Less than nothing is still something: it says so for each probe. */
        assert_int_equal(descriptors_share(0).probes, 1);
}

/* The four good ones are due with forty that hang, which would fill every place all the time. */
static void targets_that_hang_leave_places_to_the_others(void **state _unused_) {
        ScriptedServer silent, closed;
        unsigned told[2] = {}, overdue[2] = {};
        struct rlimit old, few;
        Harness h;

        server_listen(&silent);
        server_listen(&closed);
        server_stop(&closed);
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
        few = old;
        few.rlim_cur = LIMIT;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        harness_init(&h, PROBE_HTTP, closed.port);
        while (h.probe.n_targets < GOOD)
                harness_add_target(&h, "127.0.0.1", closed.port);
        while (h.probe.n_targets < GOOD + HUNG)
                harness_add_target(&h, "127.0.0.1", silent.port);
        h.probe.interval = 200 * MSEC;
        h.probe.timeout = 200 * MSEC;
        harness_begin(&h);
        harness_run(&h, 800);
        for (size_t i = 200; i < h.n_results; i++) {
                const Result *r = &h.results[i];
                bool hangs = r->target >= GOOD;

                told[hangs]++;
                if (strstr(r->words, "LimitNOFILE"))
                        overdue[hangs]++;
                else
                        assert_true(r->outcome == (hangs ? OUTCOME_TIMEOUT : OUTCOME_REFUSED) ||
                                    r->outcome == OUTCOME_OVERDUE);
        }
        /* There are 16 places, of which those that hang have 12. */
        assert_true(told[0] >= 10 && overdue[0] == 0);
        assert_true(overdue[1] > told[1] / 4 && overdue[1] < told[1]);
        harness_done(&h);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
        server_stop(&silent);
}

/* The loop is away once, in the middle of a probe that takes its whole time. */
static void be_away_once(Harness *h, const Result *r) {
        bool *done = h->extra;

        if (r->target != 1 || h->n_results < 4 || *done)
                return;
        *done = true;
        (void)poll(NULL, 0, 250);
}

static void a_target_that_hangs_is_not_late_for_ever(void **state _unused_) {
        ScriptedServer silent, closed;
        ProbeDetail detail;
        bool done = false;
        Harness h;

        server_listen(&silent);
        server_listen(&closed);
        server_stop(&closed);
        harness_init(&h, PROBE_HTTP, silent.port);
        harness_add_target(&h, "127.0.0.1", closed.port);
        h.probe.interval = h.probe.timeout = 300 * MSEC;
        h.react = be_away_once;
        h.extra = &done;
        harness_begin(&h);
        harness_run(&h, 40);
        assert_true(done);
        assert_true(prober_detail(h.prober, 7, 0, 0, &detail));
        assert_true(detail.probes >= 10 && detail.late < detail.probes / 2);
        harness_done(&h);
        server_stop(&silent);
}

static void answer_for_ever(int fd, unsigned n _unused_) {
        do
                script_read_request(fd);
        while (script_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
}

/* Each connection has a child of its own, which takes its time. */
static void refuse_slowly(int fd, unsigned n _unused_) {
        if (fork() != 0)
                return;
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        script_read_request(fd);
        (void)script_pace(fd, 150);
        (void)script_send(fd, "HTTP/1.1 404 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        _exit(0);
}

/* More are due than there are places for, and never one hangs. */
static void who_has_a_place_does_not_queue_for_one(void **state _unused_) {
        ScriptedServer kept, slow;
        struct rlimit old, few;
        ProbeDetail detail;
        unsigned overdue = 0;
        Harness h;

        server_start(&kept, answer_for_ever);
        server_listen(&slow);
        server_serve(&slow, refuse_slowly);
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
        few = old;
        few.rlim_cur = LIMIT;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        harness_init(&h, PROBE_HTTP, kept.port);
        while (h.probe.n_targets <= HUNG)
                harness_add_target(&h, "127.0.0.1", slow.port);
        h.probe.reuse = 1000000;
        h.probe.interval = 200 * MSEC;
        h.probe.timeout = 200 * MSEC;
        harness_begin(&h);
        harness_run(&h, 1000);
        for (size_t i = 0; i < h.n_results; i++)
                overdue += h.results[i].outcome == OUTCOME_OVERDUE;
        assert_true(overdue > 100);
        assert_true(prober_detail(h.prober, 7, 0, 0, &detail));
        assert_true(detail.probes > 4 && detail.late < detail.probes / 2);
        harness_done(&h);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
        server_stop(&slow);
        server_stop(&kept);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_part_has_a_share_under_any_limit),
                cmocka_unit_test(a_target_that_hangs_is_not_late_for_ever),
                cmocka_unit_test(targets_that_hang_leave_places_to_the_others),
                cmocka_unit_test(who_has_a_place_does_not_queue_for_one),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
