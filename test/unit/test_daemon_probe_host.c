/* The probes that look at this host: what a unit's state says, what a real kernel says of its load,
 * and that a reading that hangs is neither waited for nor repeated. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "probe_harness.h"
#include "probe_unit.h"
#include "reader.h"

static void the_state_of_a_unit_is_told_in_words(void **state _unused_) {
        static const struct {
                BusUnit unit;
                ProbeOutcome outcome;
                const char *words;
        } cases[] = {
                { { "loaded", "active", "running", "success", true, 0, 7 }, OUTCOME_OK, "" },
                { { "loaded", "active", "exited", "success", true, 0, 7 }, OUTCOME_OK, "" },
                { { "loaded", "reloading", "reload", "success", true, 0, 7 }, OUTCOME_OK, "" },
                { { "not-found", "active", "running", "", true, 0, 7 }, OUTCOME_OK, "" },
                { { "loaded", "failed", "failed", "exit-code", true, 5, USEC_INFINITY },
                  OUTCOME_BAD_STATE,
                  "failed (exit-code), 5 restarts" },
                { { "loaded", "activating", "auto-restart", "exit-code", true, 1, USEC_INFINITY },
                  OUTCOME_BAD_STATE,
                  "activating (auto-restart, exit-code), 1 restart" },
                { { "loaded", "activating", "start", "success", true, 0, USEC_INFINITY },
                  OUTCOME_BAD_STATE,
                  "activating (start)" },
                { { "loaded", "deactivating", "stop-sigterm", "", true, 0, 7 },
                  OUTCOME_BAD_STATE,
                  "deactivating (stop-sigterm)" },
                { { "loaded", "inactive", "dead", "oom-kill", true, 0, 7 },
                  OUTCOME_BAD_STATE,
                  "inactive (dead, oom-kill)" },
                { { "masked", "inactive", "dead", "success", true, 0, USEC_INFINITY },
                  OUTCOME_BAD_STATE,
                  "inactive (dead), its file is masked" },
                { { "not-found", "inactive", "dead", "success", true, 0, USEC_INFINITY },
                  OUTCOME_LOCAL,
                  "this host has no such unit; correct its name in the policy" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                ProbeResult r = {};

                unit_result(&cases[i].unit, &r);
                assert_int_equal(r.outcome, cases[i].outcome);
                assert_string_equal(r.words, cases[i].words);
                assert_int_equal(r.n_values, r.outcome == OUTCOME_OK    ? 2 :
                                             r.outcome == OUTCOME_LOCAL ? 0 :
                                                                          1);
        }
}

static void values_of_a_unit_that_is_up(void **state _unused_) {
        const BusUnit unit = { "loaded", "active", "running", "success", true, 3, 1500000 };
        const BusUnit target = { .load = "loaded",
                                 .active = "active",
                                 .active_since = USEC_INFINITY };
        ProbeResult r = {};

        unit_result(&unit, &r);
        assert_string_equal(r.values[0].name, "restarts");
        assert_true(r.values[0].value == 3);
        assert_string_equal(r.values[1].name, "active_seconds");
        assert_true(r.values[1].value == 1.5);
        r = (ProbeResult){};
        unit_result(&target, &r);
        assert_int_equal(r.outcome, OUTCOME_OK);
        assert_int_equal(r.n_values, 0);
}

static void init(Harness *h, ProbeKindId kind, const char *name) {
        harness_init(h, kind, 0);
        h->targets[0] = (TargetConfig){ .url = (char *)name, .scheme = TARGET_NAMED };
}

static void no_bus_is_unknown(void **state _unused_) {
        Harness h;

        assert_int_equal(setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus", 1), 0);
        init(&h, PROBE_UNIT, "a.service");
        harness_begin(&h);
        harness_run(&h, 1);
        assert_int_equal(h.results[0].outcome, OUTCOME_LOCAL);
        assert_non_null(strstr(h.results[0].words, "system bus (ENOENT)"));
        assert_int_equal(prober_counts(h.prober).in_flight, 0);
        harness_done(&h);
        assert_int_equal(unsetenv("DBUS_SYSTEM_BUS_ADDRESS"), 0);
}

static void probe_again(Harness *h, const Result *r _unused_) {
        if (h->n_results < h->wanted)
                prober_probe_now(h->prober, 7, 0);
}

static void the_load_of_this_host(void **state _unused_) {
        static const char *const shares[] = { "cpu_some_avg10",    "memory_some_avg10",
                                              "memory_full_avg10", "io_some_avg10",
                                              "io_full_avg10",     "memory_percent",
                                              "disk_percent",      "inodes_percent" };
        const Result *first, *last;
        Harness h;

        init(&h, PROBE_PRESSURE, "host");
        h.probe.pressure.disk = (char *)"/usr";
        h.react = probe_again;
        harness_begin(&h);
        harness_run(&h, 200);
        first = &h.results[0];
        last = &h.results[199];
        assert_int_equal(first->outcome, OUTCOME_OK);
        assert_int_equal(last->outcome, OUTCOME_OK);
        for (size_t i = 0; i < ELEMENTSOF(shares); i++) {
                double value = result_value(last, shares[i]);

                assert_true(value >= 0 && value <= 100);
        }
        assert_true(result_value(last, "memory_bytes") > 1024 * 1024);
        assert_true(result_value(last, "disk_percent") > 0);
        assert_true(result_value(last, "disk_free_bytes") > 0);
        assert_true(result_value(last, "oom_kills") >= 0);
        /* The first one only sets a base. */
        assert_true(isnan(result_value(first, "cpu_percent")));
        assert_true(isnan(result_value(first, "oom_kills")));
        assert_non_null(strstr(first->words, "base"));
        assert_string_equal(last->words, "");
        assert_true(last->n_values <= SAMPLE_VALUES_MAX);
        harness_done(&h);
}

static void a_group_or_a_disk_that_is_not_there_is_unknown(void **state _unused_) {
        Harness h;

        init(&h, PROBE_PRESSURE, "no/such.slice");
        h.probe.pressure.cgroup = (char *)"no/such.slice";
        harness_begin(&h);
        harness_run(&h, 1);
        assert_int_equal(h.results[0].outcome, OUTCOME_LOCAL);
        assert_string_equal(h.results[0].words, "this host has no control group no/such.slice");
        harness_done(&h);

        init(&h, PROBE_PRESSURE, "host");
        h.probe.pressure.disk = (char *)"/no/such";
        harness_begin(&h);
        harness_run(&h, 1);
        assert_int_equal(h.results[0].outcome, OUTCOME_LOCAL);
        assert_string_equal(h.results[0].words,
                            "cannot look at the file system of /no/such (ENOENT)");
        harness_done(&h);
}

static void a_disk_that_is_hidden_is_unknown(void **state _unused_) {
        char path[] = "/tmp/hidden.XXXXXX";
        Harness h;

        assert_non_null(mkdtemp(path));
        assert_int_equal(chmod(path, 0), 0);
        init(&h, PROBE_PRESSURE, "host");
        h.probe.pressure.disk = path;
        harness_begin(&h);
        harness_run(&h, 1);
        assert_int_equal(h.results[0].outcome, OUTCOME_LOCAL);
        assert_non_null(strstr(h.results[0].words, "ProtectHome"));
        harness_done(&h);
        assert_int_equal(rmdir(path), 0);
}

/* A control group of our own with a child that does nothing but work. */
typedef struct BusyGroup {
        char name[64], path[128];
        pid_t child;
} BusyGroup;

static const char *find_root(void) {
        return access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0 ? "/sys/fs/cgroup" :
                                                                        "/sys/fs/cgroup/unified";
}

static void put(const char *path, const char *text) {
        int fd = open(path, O_WRONLY | O_CLOEXEC);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, text, strlen(text)), strlen(text));
        close(fd);
}

static bool busy_group_start(BusyGroup *g) {
        char procs[160], pid[32];

        (void)snprintf(g->name, sizeof g->name, "rollbackd-test-%d", (int)getpid());
        (void)snprintf(g->path, sizeof g->path, "%s/%s", find_root(), g->name);
        if (mkdir(g->path, 0755) < 0)
                return false;
        g->child = fork();
        assert_true(g->child >= 0);
        if (g->child == 0)
                for (volatile unsigned n = 0;; n++)
                        ;
        (void)snprintf(procs, sizeof procs, "%s/cgroup.procs", g->path);
        (void)snprintf(pid, sizeof pid, "%d", (int)g->child);
        put(procs, pid);
        return true;
}

static void busy_group_end(BusyGroup *g) {
        assert_int_equal(kill(g->child, SIGKILL), 0);
        assert_int_equal(waitpid(g->child, NULL, 0), g->child);
        /* The kernel takes the process out of its group after it was waited for. */
        for (unsigned i = 0; rmdir(g->path) < 0; i++) {
                assert_true(i < 10000);
                (void)poll(NULL, 0, 1);
        }
}

/* As long as it takes until the child has had its turn. */
static void until_busy(Harness *h, const Result *r) {
        if (result_value(r, "cpu_percent") > 1) {
                loop_exit(h->loop, 0);
                return;
        }
        h->n_results = 0;
        prober_probe_now(h->prober, 7, 0);
}

static void a_busy_group_is_seen_and_then_gone(void **state _unused_) {
        const Result *last;
        BusyGroup g;
        Harness h;

        if (!busy_group_start(&g))
                skip();
        init(&h, PROBE_PRESSURE, g.name);
        h.probe.pressure.cgroup = g.name;
        h.react = until_busy;
        harness_begin(&h);
        harness_run(&h, 0);
        last = &h.results[h.n_results - 1];
        assert_int_equal(last->outcome, OUTCOME_OK);
        assert_true(result_value(last, "cpu_percent") > 1);
        assert_true(result_value(last, "cpu_some_avg10") >= 0);
        busy_group_end(&g);
        harness_done(&h);

        init(&h, PROBE_PRESSURE, g.name);
        h.probe.pressure.cgroup = g.name;
        harness_begin(&h);
        harness_run(&h, 1);
        assert_int_equal(h.results[0].outcome, OUTCOME_LOCAL);
        harness_done(&h);
}

typedef struct Hanging {
        Harness h;
        int ends[2];
        Reader *reader;
        unsigned n_done;
        ProbeResult result;
        bool over;
} Hanging;

static void *hang(void *argument) {
        char byte;

        (void)!read(*(int *)argument, &byte, 1);
        return malloc(1);
}

static void keep(void *argument _unused_) {
}

static void take_nothing(void *memory _unused_, const void *value, ProbeResult *result) {
        assert_non_null(value);
        result->outcome = OUTCOME_OK;
}

static void on_hung(void *userdata, const ProbeResult *result) {
        Hanging *s = userdata;

        s->result = *result;
        s->n_done++;
        s->over = true;
}

/* Returns whether the reading has begun. */
static bool run_hanging(Hanging *s, usec_t timeout) {
        const ProbeTools tools = { .loop = s->h.loop, .offload = s->h.offload };
        const ProbeConfig config = { .timeout = timeout };
        const TargetConfig target = { .url = (char *)"x" };
        void *run;

        s->over = false;
        return reader_start(&(ProbeStart){ .tools = &tools,
                                           .config = &config,
                                           .target = &target,
                                           .done = on_hung,
                                           .userdata = s },
                            &(ReadingSetup){ .reader = s->reader,
                                             .work = hang,
                                             .argument = &s->ends[0],
                                             .free_argument = keep,
                                             .take = take_nothing,
                                             .what = "" },
                            &s->result, &run) > 0;
}

static void a_reading_that_hangs_is_not_repeated(void **state _unused_) {
        Hanging s = {};

        harness_init(&s.h, PROBE_TCP, 1);
        assert_int_equal(pipe(s.ends), 0);
        assert_int_equal(reader_new(&s.reader), 0);
        assert_true(run_hanging(&s, 20 * USEC_PER_MSEC));
        assert_int_equal(loop_run_until(s.h.loop, &s.over), 0);
        assert_int_equal(s.result.outcome, OUTCOME_LOCAL);
        assert_string_equal(s.result.words, "could not be read within 20 ms");

        for (unsigned i = 0; i < 3; i++) {
                assert_false(run_hanging(&s, USEC_PER_MINUTE));
                assert_int_equal(s.result.outcome, OUTCOME_LOCAL);
                assert_non_null(strstr(s.result.words, "still hangs"));
        }

        /* It comes back, and is asked again. */
        assert_int_equal(write(s.ends[1], "x", 1), 1);
        for (unsigned i = 0; !run_hanging(&s, USEC_PER_MINUTE); i++) {
                assert_true(i < 60000);
                (void)poll(NULL, 0, 1);
        }
        /* The target goes while its reading hangs; the reading ends by itself. */
        s.reader = reader_free(s.reader);
        assert_int_equal(write(s.ends[1], "x", 1), 1);
        assert_int_equal(loop_run_until(s.h.loop, &s.over), 0);
        assert_int_equal(s.result.outcome, OUTCOME_OK);
        assert_int_equal(s.n_done, 2);
        harness_done(&s.h);
        close(s.ends[0]);
        close(s.ends[1]);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_state_of_a_unit_is_told_in_words),
                cmocka_unit_test(values_of_a_unit_that_is_up),
                cmocka_unit_test(no_bus_is_unknown),
                cmocka_unit_test(the_load_of_this_host),
                cmocka_unit_test(a_group_or_a_disk_that_is_not_there_is_unknown),
                cmocka_unit_test(a_disk_that_is_hidden_is_unknown),
                cmocka_unit_test(a_busy_group_is_seen_and_then_gone),
                cmocka_unit_test(a_reading_that_hangs_is_not_repeated),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
