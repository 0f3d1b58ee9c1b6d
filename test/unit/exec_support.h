/* exec_support.h: what the tests of programs share: a directory for what they write, and one probe
 * of one command. Include it once. Knows nothing of what is expected. */
#pragma once

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "probe_harness.h"

static char directory[64];

static inline int set_up(void **state _unused_) {
        (void)snprintf(directory, sizeof directory, "/tmp/exec.XXXXXX");
        return mkdtemp(directory) && chmod(directory, 0777) == 0 ? 0 : -1;
}

static inline int tear_down(void **state _unused_) {
        return rmdir(directory);
}

static inline const char *path_of(const char *name) {
        static char path[128];

        (void)snprintf(path, sizeof path, "%s/%s", directory, name);
        return path;
}

static inline void write_file(const char *name, const char *text, mode_t mode) {
        FILE *f = fopen(path_of(name), "w");

        assert_non_null(f);
        assert_true(fputs(text, f) >= 0);
        assert_int_equal(fclose(f), 0);
        assert_int_equal(chmod(path_of(name), mode), 0);
}

/* What a program wrote into a file of the directory, which goes. */
static inline const char *take_file(const char *name) {
        static char text[64 * 1024];
        FILE *f = fopen(path_of(name), "r");

        assert_non_null(f);
        text[fread(text, 1, sizeof text - 1, f)] = '\0';
        (void)fclose(f);
        assert_int_equal(unlink(path_of(name)), 0);
        return text;
}

static inline pid_t take_pid(const char *name) {
        long pid = strtol(take_file(name), NULL, 10);

        assert_true(pid > 1);
        return (pid_t)pid;
}

/* An orphan may stay a zombie, if nobody is there to wait for it. */
static inline bool is_gone(pid_t pid) {
        char path[64], text[512], state = 'Z';
        const char *end;
        FILE *f;

        (void)snprintf(path, sizeof path, "/proc/%d/stat", pid);
        f = fopen(path, "r");
        if (!f)
                return true;
        text[fread(text, 1, sizeof text - 1, f)] = '\0';
        (void)fclose(f);
        end = strrchr(text, ')');
        if (end && end[1] != '\0')
                state = end[2];
        return state == 'Z' || state == 'X';
}

static inline void wait_gone(pid_t pid) {
        for (unsigned i = 0; !is_gone(pid); i++) {
                assert_true(i < 10000);
                (void)poll(NULL, 0, 1);
        }
}

static char *command[4];

static inline void init(Harness *h, const char *first, const char *second, const char *third) {
        harness_init(h, PROBE_EXEC, 0);
        command[0] = (char *)first;
        command[1] = (char *)second;
        command[2] = (char *)third;
        h->probe.exec = (ExecConfig){ .command = command,
                                      .n_command = !second ? 1 :
                                                   third   ? 3 :
                                                             2 };
        h->targets[0] = (TargetConfig){ .url = (char *)first, .scheme = TARGET_NAMED };
}

static inline const Result *run(Harness *h) {
        harness_begin(h);
        harness_run(h, 1);
        return &h->results[0];
}

static inline const Result *run_script(Harness *h, const char *script) {
        init(h, "/bin/sh", "-c", script);
        return run(h);
}

static inline void no_child_is_left(void) {
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
        assert_int_equal(errno, ECHILD);
}

static inline void done(Harness *h) {
        harness_done(h);
        no_child_is_left();
}
