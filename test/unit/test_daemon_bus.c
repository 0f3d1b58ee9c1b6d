/* The states of units over a bus that a child of ours plays: what systemd answers, what it refuses,
 * and what is known when it says nothing or goes. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <systemd/sd-bus.h>

#include "probe_harness.h"

static char directory[] = "/tmp/bus.XXXXXX", path[64];

typedef struct FakeBus {
        int fd;
        pid_t pid;
} FakeBus;

/* A unit's name says how it is: "failed.service", "silent.service". */
static bool is(const char *unit, const char *name) {
        return strncmp(unit, name, strlen(name)) == 0;
}

static int answer_all(sd_bus_message *m, const char *unit) {
        bool failed = is(unit, "failed"), unborn = is(unit, "unborn");
        const char *active = failed ? "failed" : unborn ? "inactive" : "active";

        return sd_bus_reply_method_return(
                m, "a{sv}", 5, "Id", "s", unit, "LoadState", "s", unborn ? "not-found" : "loaded",
                "ActiveState", "s", active, "SubState", "s", failed ? "failed" : "running",
                "ActiveEnterTimestampMonotonic", "t", (uint64_t)(failed ? 0 : 1));
}

static int answer(sd_bus_message *m, _unused_ void *userdata, _unused_ sd_bus_error *error) {
        char *unit = NULL;
        const char *interface, *property;
        int r;

        if (sd_bus_message_is_method_call(m, NULL, "Hello"))
                return sd_bus_reply_method_return(m, "s", ":1.1");
        r = sd_bus_path_decode(sd_bus_message_get_path(m), "/org/freedesktop/systemd1/unit", &unit);
        if (r <= 0)
                return r;
        if (is(unit, "silent"))
                r = 1;
        else if (is(unit, "denied"))
                r = sd_bus_reply_method_errorf(m, SD_BUS_ERROR_ACCESS_DENIED, "not you");
        else if (is(unit, "strange"))
                r = sd_bus_reply_method_return(m, "i", 7);
        else if (is(unit, "refused"))
                r = sd_bus_reply_method_errorf(m, "org.example.Odd", "an odd \x1b word");
        else if (is(unit, "hangup"))
                _exit(0);
        else if (sd_bus_message_is_method_call(m, NULL, "GetAll"))
                r = answer_all(m, unit);
        else if (sd_bus_message_read(m, "ss", &interface, &property) >= 0 &&
                 streq(property, "NRestarts"))
                r = sd_bus_reply_method_return(m, "v", "u", 4U);
        else
                r = sd_bus_reply_method_return(m, "v", "s",
                                               is(unit, "failed") ? "exit-code" : "success");
        free(unit);
        return r < 0 ? r : 1;
}

/* Plays one connection to its end; in the child. */
static void play(int fd) {
        sd_bus *bus = NULL;
        sd_id128_t id = { .bytes = { 1 } };
        int r = sd_bus_new(&bus);

        if (r >= 0)
                r = sd_bus_set_fd(bus, fd, fd);
        if (r >= 0)
                r = sd_bus_set_server(bus, 1, id);
        if (r >= 0)
                r = sd_bus_add_filter(bus, NULL, answer, NULL);
        if (r >= 0)
                r = sd_bus_start(bus);
        while (r >= 0) {
                r = sd_bus_process(bus, NULL);
                if (r == 0)
                        r = sd_bus_wait(bus, UINT64_MAX);
        }
        sd_bus_unref(bus);
}

static void bus_listen(FakeBus *b) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        memcpy(address.sun_path, path, strlen(path) + 1);
        *b = (FakeBus){ .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) };
        assert_true(b->fd >= 0);
        assert_int_equal(bind(b->fd, (struct sockaddr *)&address, sizeof address), 0);
        assert_int_equal(listen(b->fd, 8), 0);
}

static void bus_serve(FakeBus *b) {
        b->pid = fork();
        assert_true(b->pid >= 0);
        if (b->pid == 0)
                (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        while (b->pid == 0) {
                int fd = accept(b->fd, NULL, NULL);

                if (fd < 0)
                        _exit(1);
                play(fd);
        }
}

static void bus_stop(FakeBus *b) {
        if (b->pid > 0) {
                (void)kill(b->pid, SIGKILL);
                assert_int_equal(waitpid(b->pid, NULL, 0), b->pid);
        }
        if (b->fd >= 0)
                close(b->fd);
        (void)unlink(path);
        *b = (FakeBus){ .fd = -1 };
}

static void init(Harness *h, const char *const *units, size_t n) {
        harness_init(h, PROBE_UNIT, 0);
        h->probe.n_targets = 0;
        for (size_t i = 0; i < n; i++) {
                harness_add_target(h, "", 0);
                h->targets[i] = (TargetConfig){ .url = (char *)units[i], .scheme = TARGET_NAMED };
        }
}

static const Result *result_of(const Harness *h, uint16_t target) {
        for (size_t i = h->n_results; i-- > 0;)
                if (h->results[i].target == target)
                        return &h->results[i];
        fail();
        return NULL;
}

static void each_unit_is_told_apart_over_one_connection(void **state _unused_) {
        static const char *const units[] = { "good.service",   "failed.service",  "unborn.service",
                                             "denied.service", "strange.service", "refused.service",
                                             "good@1.service", "good.target" };
        static const struct {
                ProbeOutcome outcome;
                const char *words;
        } wanted[] = {
                { OUTCOME_OK, "" },
                { OUTCOME_BAD_STATE, "failed (exit-code), 4 restarts" },
                { OUTCOME_LOCAL, "this host has no such unit; correct its name in the policy" },
                { OUTCOME_LOCAL, "the system bus does not let rollbackd ask systemd" },
                { OUTCOME_LOCAL, "systemd's answer over the system bus is not understood" },
                { OUTCOME_LOCAL, "systemd does not answer: an odd \\x1b word" },
                { OUTCOME_OK, "" },
                { OUTCOME_OK, "" },
        };
        FakeBus bus;
        Harness h;

        bus_listen(&bus);
        bus_serve(&bus);
        init(&h, units, ELEMENTSOF(units));
        harness_begin(&h);
        harness_run(&h, ELEMENTSOF(units));
        for (uint16_t i = 0; i < ELEMENTSOF(units); i++) {
                assert_int_equal(result_of(&h, i)->outcome, wanted[i].outcome);
                assert_string_equal(result_of(&h, i)->words, wanted[i].words);
        }
        assert_true(result_value(result_of(&h, 0), "restarts") == 4);
        assert_true(result_value(result_of(&h, 0), "active_seconds") > 0);
        assert_int_equal(result_of(&h, 7)->n_values, 1);
        harness_done(&h);
        bus_stop(&bus);
}

static void silence_is_unknown_at_the_deadline(void **state _unused_) {
        static const char *const units[] = { "silent.service" };
        FakeBus bus;
        Harness h;

        /* First of systemd, then of the bus itself, which does not even say hello. */
        for (unsigned i = 0; i < 2; i++) {
                bus_listen(&bus);
                if (i == 0)
                        bus_serve(&bus);
                init(&h, units, 1);
                h.probe.timeout = 50 * USEC_PER_MSEC;
                harness_begin(&h);
                harness_run(&h, 1);
                assert_int_equal(h.results[0].outcome, OUTCOME_LOCAL);
                assert_string_equal(h.results[0].words, "no answer of systemd over the system bus");
                assert_int_equal(prober_counts(h.prober).in_flight, 0);
                harness_done(&h);
                bus_stop(&bus);
        }
}

/* A bus that goes with a question unanswered, and one that comes again. */
typedef struct Story {
        FakeBus bus;
        bool back;
} Story;

static void until_good(Harness *h, const Result *r) {
        Story *story = h->extra;

        assert_int_not_equal(outcome_verdict(r->outcome), TRI_BAD);
        if (r->target == 1 && r->outcome == OUTCOME_OK) {
                loop_exit(h->loop, 0);
                return;
        }
        if (!story->back) {
                bus_stop(&story->bus);
                bus_listen(&story->bus);
                bus_serve(&story->bus);
                story->back = true;
                /* From now on nobody hangs up. */
                h->targets[0].url = (char *)"good.service";
        }
        h->n_results = 0;
        prober_probe_now(h->prober, 7, 0);
}

static void a_bus_that_goes_is_asked_again_when_it_is_back(void **state _unused_) {
        static const char *const units[] = { "hangup.service", "good.service" };
        Story story = {};
        Harness h;

        bus_listen(&story.bus);
        bus_serve(&story.bus);
        init(&h, units, 2);
        h.extra = &story;
        h.react = until_good;
        harness_begin(&h);
        harness_run(&h, 0);
        assert_true(story.back);
        harness_done(&h);
        bus_stop(&story.bus);
}

static void nothing_is_left_of_a_probe_that_is_cancelled(void **state _unused_) {
        static const char *const units[] = { "silent.service", "good.service" };
        FakeBus bus;
        Harness h;

        bus_listen(&bus);
        bus_serve(&bus);
        init(&h, units, 2);
        harness_begin(&h);
        harness_run(&h, 1);
        assert_int_equal(h.results[0].target, 1);
        assert_int_equal(prober_counts(h.prober).in_flight, 1);
        prober_remove_service(h.prober, 7);
        assert_int_equal(prober_counts(h.prober).in_flight, 0);
        harness_done(&h);
        bus_stop(&bus);
}

static int set_up(void **state _unused_) {
        char address[96];

        if (!mkdtemp(directory))
                return -1;
        (void)snprintf(path, sizeof path, "%s/socket", directory);
        (void)snprintf(address, sizeof address, "unix:path=%s", path);
        return setenv("DBUS_SYSTEM_BUS_ADDRESS", address, 1);
}

static int tear_down(void **state _unused_) {
        return rmdir(directory);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(each_unit_is_told_apart_over_one_connection),
                cmocka_unit_test(silence_is_unknown_at_the_deadline),
                cmocka_unit_test(a_bus_that_goes_is_asked_again_when_it_is_back),
                cmocka_unit_test(nothing_is_left_of_a_probe_that_is_cancelled),
        };

        return cmocka_run_group_tests(tests, set_up, tear_down);
}
