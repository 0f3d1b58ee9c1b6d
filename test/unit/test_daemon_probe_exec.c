/* The exec probe with real programs: what their ends mean, what they may do to us, and what of ours
 * they see. */
#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "exec_support.h"

#include "child.h"

static unsigned count_descriptors(void) {
        DIR *d = opendir("/proc/self/fd");
        unsigned n = 0;

        assert_non_null(d);
        for (const struct dirent *e; (e = readdir(d));)
                n += e->d_name[0] != '.';
        closedir(d);
        return n;
}

static void exit_codes_are_verdicts(void **state _unused_) {
        static const struct {
                const char *script;
                ProbeOutcome outcome;
                const char *words;
        } cases[] = {
                { "echo 'DISK OK - fine | a=1'", OUTCOME_OK, "DISK OK - fine" },
                { "exit 0", OUTCOME_OK, "" },
                { "echo 'DISK WARNING - full'; exit 1", OUTCOME_OK, "DISK WARNING - full" },
                { "exit 1", OUTCOME_LOCAL, "exit code 1 without a line of output" },
                { "echo 'DISK CRITICAL'; exit 2", OUTCOME_ERROR, "DISK CRITICAL" },
                { "exit 2", OUTCOME_LOCAL, "exit code 2 without a line of output" },
                { "echo 'no idea'; exit 3", OUTCOME_NO_DATA, "no idea" },
                { "exit 3", OUTCOME_NO_DATA, "exit code 3" },
                { "echo 'usage: ...'; exit 4", OUTCOME_LOCAL, "exit code 4: usage: ..." },
                { "exit 126", OUTCOME_LOCAL, "exit code 126" },
                { "/nonexistent/x", OUTCOME_LOCAL,
                  "exit code 127: /bin/sh: 1: /nonexistent/x: not found" },
                { "exit 255", OUTCOME_LOCAL, "exit code 255" },
                { "kill -SEGV $$", OUTCOME_LOCAL, "the program was ended by signal SIGSEGV" },
                { "echo half; kill -KILL $$", OUTCOME_LOCAL,
                  "the program was ended by signal SIGKILL: half" },
                { "echo why >&2; exit 2", OUTCOME_LOCAL,
                  "exit code 2 without a line of output: why" },
                { "echo why >&2; echo what; exit 2", OUTCOME_ERROR, "what" },
                { "printf 'a\\033[31mb\\377'; exit 2", OUTCOME_ERROR, "a\\x1b[31mb\\xff" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Harness h;
                const Result *r = run_script(&h, cases[i].script);

                assert_string_equal(r->words, cases[i].words);
                assert_int_equal(r->outcome, cases[i].outcome);
                done(&h);
        }
}

static void a_warning_is_bad_where_the_policy_says_so(void **state _unused_) {
        Harness h;

        init(&h, "/bin/sh", "-c", "echo WARNING; exit 1");
        h.probe.exec.warning_is_bad = true;
        assert_int_equal(run(&h)->outcome, OUTCOME_ERROR);
        done(&h);
}

static void numbers_become_values(void **state _unused_) {
        Harness h;
        const Result *r = run_script(&h, "echo \"OK | 'the load'=1.5;2;3 rta=20ms size=2KB u=U\"");

        assert_int_equal(r->outcome, OUTCOME_OK);
        assert_int_equal(r->n_values, 4);
        assert_true(result_value(r, "the_load") == 1.5);
        assert_true(result_value(r, "rta") == 0.02);
        assert_true(result_value(r, "size") == 2048);
        assert_true(isnan(result_value(r, "u")));
        done(&h);
        r = run_script(&h, "echo 'CRITICAL | a=7'; exit 2");
        assert_int_equal(r->outcome, OUTCOME_ERROR);
        assert_true(result_value(r, "a") == 7);
        done(&h);
}

static void what_is_wrong_with_numbers_is_said_and_no_more(void **state _unused_) {
        Harness h;
        const Result *r = run_script(&h, "echo 'OK | a=1 b=x c d=4 a=9'");

        assert_int_equal(r->outcome, OUTCOME_OK);
        assert_string_equal(r->words, "OK; no number: b=x; 1 more; 1 of a name that stands twice");
        assert_true(result_value(r, "a") == 1 && result_value(r, "d") == 4);
        done(&h);
}

static void the_values_with_limits_come_first(void **state _unused_) {
        ValueExpectation wanted = { .name = (char *)"v20", .at_least = NAN, .at_most = 19 };
        Harness h;

        init(&h, "/bin/sh", "-c",
             "printf 'OK |'; for i in $(seq 1 20); do printf \" v$i=$i\"; done");
        h.probe.values = &wanted;
        h.probe.n_values = 1;
        const Result *r = run(&h);
        assert_int_equal(r->outcome, OUTCOME_BAD_VALUE);
        assert_string_equal(r->words, "v20 is 20, more than 19");
        assert_int_equal(r->n_values, 16);
        done(&h);
        r = run_script(&h, command[2]);
        assert_int_equal(r->outcome, OUTCOME_OK);
        assert_string_equal(r->words, "OK; 4 values beyond 16");
        done(&h);
}

static void a_program_that_does_not_end_is_ended(void **state _unused_) {
        static const char *const scripts[] = {
                "echo $$ >pid; exec sleep 1000",
                "trap '' TERM INT HUP; echo $$ >pid; while :; do :; done",
                "echo $$ >pid; kill -STOP $$",
                "echo $$ >pid; exec yes",
                "echo $$ >pid; exec >&- 2>&-; exec sleep 1000",
        };

        for (size_t i = 0; i < ELEMENTSOF(scripts); i++) {
                char script[256];
                Harness h;

                (void)snprintf(script, sizeof script, "cd %s; %s", directory, scripts[i]);
                init(&h, "/bin/sh", "-c", script);
                h.probe.timeout = 500 * USEC_PER_MSEC;
                const Result *r = run(&h);
                assert_int_equal(r->outcome, OUTCOME_LOCAL);
                assert_string_equal(r->words, "no end of the program within 500 ms");
                wait_gone(take_pid("pid"));
                done(&h);
        }
}

static void whom_it_leaves_behind_is_ended_too(void **state _unused_) {
        char script[256];
        Harness h;

        /* The sleeper has the pipe open: its end is not waited for. */
        (void)snprintf(script, sizeof script,
                       "sleep 1000 & echo $! >%s/pid; echo 'OK | a=1'; exit 0", directory);
        const Result *r = run_script(&h, script);
        assert_int_equal(r->outcome, OUTCOME_OK);
        assert_true(result_value(r, "a") == 1);
        wait_gone(take_pid("pid"));
        done(&h);
}

static void one_in_a_session_of_its_own_holds_nothing_up(void **state _unused_) {
        char script[256];
        Harness h;

        (void)snprintf(script, sizeof script,
                       "setsid sh -c 'echo $$ >%s/pid; exec sleep 1000' & "
                       "until [ -s %s/pid ]; do :; done; echo CRITICAL; exit 2",
                       directory, directory);
        const Result *r = run_script(&h, script);
        assert_int_equal(r->outcome, OUTCOME_ERROR);
        assert_string_equal(r->words, "CRITICAL");
        /* That one is not of the group, and goes on. */
        pid_t pid = take_pid("pid");
        assert_false(is_gone(pid));
        assert_int_equal(kill(pid, SIGKILL), 0);
        done(&h);
}

static void a_flood_is_read_to_its_end_and_not_kept(void **state _unused_) {
        struct rusage before, after;
        Harness h;

        (void)getrusage(RUSAGE_SELF, &before);
        const Result *r = run_script(&h, "echo CRITICAL; yes | head -c 1073741824; exit 2");
        (void)getrusage(RUSAGE_SELF, &after);
        assert_int_equal(r->outcome, OUTCOME_ERROR);
        assert_string_equal(r->words, "CRITICAL; 1073676297 bytes beyond 64 KiB");
        assert_true(after.ru_maxrss - before.ru_maxrss < 2048);
        done(&h);
}

static void outputs_end_before_the_program_does(void **state _unused_) {
        Harness h;
        const Result *r = run_script(&h, "echo fine; exec >&- 2>&-; sleep 0.05; exit 2");

        assert_int_equal(r->outcome, OUTCOME_ERROR);
        assert_string_equal(r->words, "fine");
        done(&h);
}

static void what_cannot_be_run_is_our_own_fault(void **state _unused_) {
        static const struct {
                const char *name, *text, *words;
                mode_t mode;
        } cases[] = {
                { "none", NULL, "there is no such program, or not what its first line names", 0 },
                { "none/x", NULL, "there is no such program, or not what its first line names", 0 },
                { "", NULL, "rollbackd may not execute it", 0 },
                { "plain", "#!/bin/sh\nexit 0\n", "rollbackd may not execute it", 0644 },
                { "text", "exit 0\n",
                  "it is no program; a script begins with #! and its interpreter", 0755 },
                { "lost", "#!/nonexistent/sh\n",
                  "there is no such program, or not what its first line names", 0755 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(freep) char *words = NULL, *path = strdup(path_of(cases[i].name));
                Harness h;

                assert_non_null(path);
                if (cases[i].text)
                        write_file(cases[i].name, cases[i].text, cases[i].mode);
                assert_true(asprintf(&words, "cannot run %s: %s", path, cases[i].words) > 0);
                init(&h, path, NULL, NULL);
                const Result *r = run(&h);
                assert_int_equal(r->outcome, OUTCOME_LOCAL);
                assert_string_equal(r->words, words);
                if (cases[i].text)
                        assert_int_equal(unlink(path), 0);
                done(&h);
        }
}

/* Root may have as many processes as it likes. */
static void play_without_processes(void) {
        struct rlimit none = { 0, 0 };
        Harness h;

        init(&h, "/bin/true", NULL, NULL);
        assert_int_equal(setresuid(65534, 65534, 65534), 0);
        assert_int_equal(setrlimit(RLIMIT_NPROC, &none), 0);
        const Result *r = run(&h);
        _exit(r->outcome == OUTCOME_RESOURCES &&
                              streq(r->words, "cannot run /bin/true: no process is left; raise "
                                              "TasksMax of the unit") ?
                      0 :
                      1);
}

static void no_process_left_is_our_own_fault(void **state _unused_) {
        pid_t pid = fork();
        int status;

        if (pid == 0)
                play_without_processes();
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
}

/* As a program may inherit them; the library refuses to touch them. */
static void ignore_the_librarys_own(void) {
        const struct {
                void (*handler)(int);
                unsigned long flags;
                void (*restorer)(void);
                uint64_t mask;
        } ignored = { .handler = SIG_IGN };

        for (int i = 32; i <= 33; i++)
                assert_int_equal(syscall(SYS_rt_sigaction, i, &ignored, NULL, sizeof ignored.mask),
                                 0);
}

/* The descriptors and the environment with which it starts, and how it is held. */
static void a_program_sees_nothing_of_ours(void **state _unused_) {
        struct rlimit core = { RLIM_INFINITY, RLIM_INFINITY };
        char script[1024], expected[256];
        sigset_t set, before;
        Harness h;

        (void)snprintf(
                script, sizeof script,
                "cd %s; env | sort >env; cat /proc/self/status >status; "
                "{ ulimit -c; ulimit -n; umask; "
                "cat /proc/self/oom_score_adj; } >limits; cut -d' ' -f5,6 /proc/$$/stat >ids; "
                "echo $$ >pid; cd /; for f in /proc/$$/fd/*; do "
                "[ -e $f ] && n=\"$n ${f##*/}\"; done; "
                "[ /proc/$$/fd/0 -ef /dev/null ] && echo descriptors $n",
                directory);
        assert_int_equal(setenv("PGPASSWORD", "a secret", 1), 0);
        assert_int_equal(setrlimit(RLIMIT_CORE, &core), 0);
        int leak = open("/etc/passwd", O_RDONLY);
        assert_true(leak >= 0);
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGCHLD);
        assert_int_equal(sigprocmask(SIG_BLOCK, &set, &before), 0);
        (void)signal(SIGPIPE, SIG_IGN);
        ignore_the_librarys_own();
        const Result *r = run_script(&h, script);
        assert_int_equal(sigprocmask(SIG_SETMASK, &before, NULL), 0);
        (void)signal(SIGPIPE, SIG_DFL);
        close(leak);
        assert_int_equal(r->outcome, OUTCOME_OK);
        assert_string_equal(r->words, "descriptors 0 1 2");
        (void)snprintf(expected, sizeof expected,
                       "LC_ALL=C.UTF-8\nOLDPWD=/\nPATH=/usr/sbin:/usr/bin:/sbin:/bin\nPWD=%s\n"
                       "ROLLBACKD_PROBE=live\nROLLBACKD_SERVICE=users\n",
                       directory);
        assert_string_equal(take_file("env"), expected);
        const char *status = take_file("status");
        assert_non_null(strstr(status, "\nNoNewPrivs:\t1\n"));
        assert_non_null(strstr(status, "\nSigBlk:\t0000000000000000\n"));
        assert_non_null(strstr(status, "\nSigIgn:\t0000000000000000\n"));
        assert_string_equal(take_file("limits"), "0\n1024\n0022\n500\n");
        pid_t pid = take_pid("pid");
        (void)snprintf(expected, sizeof expected, "%d %d\n", pid, pid);
        assert_string_equal(take_file("ids"), expected);
        assert_int_equal(unsetenv("PGPASSWORD"), 0);
        done(&h);
}

static unsigned most_descriptors;

static void measure(Harness *h _unused_, const Result *r _unused_) {
        most_descriptors = MAX(most_descriptors, count_descriptors());
}

static unsigned run_many(Harness *h, size_t n, const char *script) {
        unsigned base;

        init(h, "/bin/sh", "-c", script);
        while (h->probe.n_targets < n) {
                harness_add_target(h, NULL, 0);
                h->targets[h->probe.n_targets - 1] = h->targets[0];
        }
        base = count_descriptors();
        most_descriptors = 0;
        h->react = measure;
        harness_begin(h);
        harness_run(h, n);
        return base;
}

static void a_hundred_run_at_once(void **state _unused_) {
        Harness h;
        unsigned base = run_many(&h, 100, "sleep 0.3; echo 'OK | a=1'");

        for (size_t i = 0; i < 100; i++) {
                assert_int_equal(h.results[i].outcome, OUTCOME_OK);
                assert_true(result_value(&h.results[i], "a") == 1);
        }
        /* The first result comes while nearly all of them run. */
        assert_true(most_descriptors > base + 100);
        assert_true(most_descriptors <= base + 3 * 100 + 8);
        assert_int_equal(count_descriptors(), base);
        done(&h);
}

static void more_than_can_run_at_once_say_so(void **state _unused_) {
        const size_t n = CHILDREN_MAX + 12;
        size_t refused = 0;
        Harness h;

        (void)run_many(&h, n, "sleep 2");
        for (size_t i = 0; i < n; i++)
                if (h.results[i].outcome == OUTCOME_LOCAL) {
                        assert_string_equal(h.results[i].words,
                                            "cannot run /bin/sh: 128 programs run already");
                        refused++;
                } else
                        assert_int_equal(h.results[i].outcome, OUTCOME_OK);
        assert_int_equal(refused, n - CHILDREN_MAX);
        done(&h);
}

static void a_service_that_goes_takes_its_programs_along(void **state _unused_) {
        char script[256];
        Harness h;

        (void)snprintf(script, sizeof script, "echo $$ >%s/pid; sleep 1000", directory);
        init(&h, "/bin/sh", "-c", script);
        harness_begin(&h);
        h.wanted = 1;
        loop_timer_set(h.guard, loop_now(h.loop) + 500 * USEC_PER_MSEC);
        /* The guard ends the loop: there is no result. */
        assert_int_equal(loop_run(h.loop), 1);
        pid_t pid = take_pid("pid");
        assert_false(is_gone(pid));
        prober_remove_service(h.prober, 7);
        wait_gone(pid);
        done(&h);
        assert_int_equal(h.n_results, 0);
}

static void an_ignored_sigchld_costs_no_exit_code(void **state _unused_) {
        Harness h;

        (void)signal(SIGCHLD, SIG_IGN);
        assert_int_equal(run_script(&h, "echo CRITICAL; exit 2")->outcome, OUTCOME_ERROR);
        (void)signal(SIGCHLD, SIG_DFL);
        done(&h);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(exit_codes_are_verdicts),
                cmocka_unit_test(a_warning_is_bad_where_the_policy_says_so),
                cmocka_unit_test(numbers_become_values),
                cmocka_unit_test(what_is_wrong_with_numbers_is_said_and_no_more),
                cmocka_unit_test(the_values_with_limits_come_first),
                cmocka_unit_test(a_program_that_does_not_end_is_ended),
                cmocka_unit_test(whom_it_leaves_behind_is_ended_too),
                cmocka_unit_test(one_in_a_session_of_its_own_holds_nothing_up),
                cmocka_unit_test(a_flood_is_read_to_its_end_and_not_kept),
                cmocka_unit_test(outputs_end_before_the_program_does),
                cmocka_unit_test(what_cannot_be_run_is_our_own_fault),
                cmocka_unit_test(no_process_left_is_our_own_fault),
                cmocka_unit_test(a_program_sees_nothing_of_ours),
                cmocka_unit_test(a_hundred_run_at_once),
                cmocka_unit_test(more_than_can_run_at_once_say_so),
                cmocka_unit_test(a_service_that_goes_takes_its_programs_along),
                cmocka_unit_test(an_ignored_sigchld_costs_no_exit_code),
        };

        return cmocka_run_group_tests(tests, set_up, tear_down);
}
