/* test_daemon_log.c: what reaches the journal's socket and stderr, byte by byte, and that nothing
 * waits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "log.h"

typedef struct Story {
        char folder[64], path[80];
        int journal;
        int saved_stderr;
        int reader; /* of what is written to stderr */
} Story;

static int set_up(void **state) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        Story *s = calloc(1, sizeof *s);
        int fd[2];

        assert_non_null(s);
        memcpy(s->folder,
               "/tmp/rollbackd-log-XX"
               "XX"
               "XX",
               sizeof "/tmp/rollbackd-log-XX"
                      "XX"
                      "XX");
        assert_non_null(mkdtemp(s->folder));
        (void)snprintf(s->path, sizeof s->path, "%s/socket", s->folder);
        memcpy(address.sun_path, s->path, strlen(s->path) + 1);
        s->journal = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        assert_true(s->journal >= 0);
        assert_int_equal(bind(s->journal, (const struct sockaddr *)&address, sizeof address), 0);
        assert_int_equal(pipe2(fd, O_CLOEXEC | O_NONBLOCK), 0);
        s->reader = fd[0];
        s->saved_stderr = dup(STDERR_FILENO);
        assert_int_equal(dup2(fd[1], STDERR_FILENO), STDERR_FILENO);
        close(fd[1]);
        *state = s;
        return 0;
}

static int tear_down(void **state) {
        Story *s = *state;

        log_close();
        unsetenv("JOURNAL_STREAM");
        dup2(s->saved_stderr, STDERR_FILENO);
        close(s->saved_stderr);
        close(s->reader);
        close(s->journal);
        unlink(s->path);
        rmdir(s->folder);
        free(s);
        return 0;
}

static void expect(int fd, const char *want, size_t n) {
        char got[4096];
        ssize_t r = read(fd, got, sizeof got);

        assert_int_equal(r, n);
        assert_memory_equal(got, want, n);
}

static void journal_gets_fields(void **state) {
        const LogField fields[] = { { "ROLLBACKD_SERVICE", "us\ners" },
                                    { "ROLLBACKD_NONE", NULL } };
        static const char want[] =
                "MESSAGE=two\\x0alines\nPRIORITY=2\nSYSLOG_IDENTIFIER=rollbackd\n"
                "MESSAGE_ID\n\x04\0\0\0\0\0\0\0abcd\nROLLBACKD_"
                "SERVICE\n\x06\0\0\0\0\0\0\0us\ners\n";
        Story *s = *state;

        assert_int_equal(log_open_at(s->path), 0);
        log_event(SEVERITY_CRITICAL, "abcd", fields, 2, "two\nlines");
        expect(s->journal, want, sizeof want - 1);
        log_message(SEVERITY_NOTICE, "%s is %d", "x", 5);
        expect(s->journal, "MESSAGE=x is 5\nPRIORITY=5\nSYSLOG_IDENTIFIER=rollbackd\n", 54);
}

static void stderr_says_the_level(void **state) {
        Story *s = *state;

        assert_int_equal(log_open(true), 0);
        log_message(SEVERITY_INFO, "bell\a");
        expect(s->reader, "info: bell\\x07\n", 15);
}

static void stderr_of_the_journal_gets_priorities(void **state) {
        Story *s = *state;
        char text[64];
        struct stat is;

        assert_int_equal(fstat(STDERR_FILENO, &is), 0);
        (void)snprintf(text, sizeof text, "%ju:%ju", (uintmax_t)is.st_dev, (uintmax_t)is.st_ino);
        setenv("JOURNAL_STREAM", text, 1);
        assert_int_equal(log_open(true), 0);
        log_message(SEVERITY_WARNING, "w");
        expect(s->reader, "<4>w\n", 5);
        (void)snprintf(text, sizeof text, "%ju:%ju", (uintmax_t)is.st_dev,
                       (uintmax_t)is.st_ino + 1);
        setenv("JOURNAL_STREAM", text, 1);
        assert_int_equal(log_open(true), 0);
        log_message(SEVERITY_WARNING, "w");
        expect(s->reader, "warning: w\n", 11);
}

static void long_sentences_and_values_are_cut(void **state) {
        _cleanup_(freep) char *text = calloc(1, 50000), *got = malloc(60000);
        const LogField field = { "LONG", text };
        Story *s = *state;
        ssize_t n;

        memset(text, 'a', 49999);
        assert_int_equal(log_open_at(s->path), 0);
        log_event(SEVERITY_INFO, NULL, &field, 1, text);
        n = read(s->journal, got, 60000);
        assert_true(n > 32000 && n < 36000);
        assert_memory_equal(got + n - 7, " [cut]\n", 7);
        assert_non_null(memmem(got, (size_t)n, "aaa [cut]\nPRIORITY=6", 20));
        log_message(SEVERITY_INFO, "%s", text);
        n = read(s->journal, got, 60000);
        assert_non_null(memmem(got, (size_t)n, "aaa [cut]\nPRIORITY=6", 20));
}

static void absent_journal_falls_back(void **state) {
        Story *s = *state;

        unlink(s->path);
        assert_int_equal(log_open_at(s->path), -ENOENT);
        log_message(SEVERITY_INFO, "here");
        expect(s->reader, "info: here\n", 11);
}

static void full_journal_loses_and_says_so(void **state) {
        uint64_t before = log_lost(), lost;
        char got[4096], want[80];
        Story *s = *state;
        bool said = false;
        ssize_t n;

        assert_int_equal(log_open_at(s->path), 0);
        for (unsigned i = 0; i < 100000 && log_lost() < before + 3; i++)
                log_message(SEVERITY_INFO, "filling");
        lost = log_lost() - before;
        assert_int_equal(lost, 3);
        while (read(s->journal, got, sizeof got) > 0)
                ;
        /* Without a further message. */
        log_say_lost();
        (void)snprintf(want, sizeof want, "MESSAGE=%ju log messages were lost", (uintmax_t)lost);
        while ((n = read(s->journal, got, sizeof got)) > 0)
                said = said || memmem(got, (size_t)n, want, strlen(want));
        assert_true(said);
}

static void full_pipe_does_not_wait(void **state) {
        uint64_t before = log_lost();

        (void)state;
        assert_int_equal(log_open(true), 0);
        /* The writing end blocks: dup2() gave stderr the pipe's flags, so they are cleared first.
         */
        assert_int_equal(fcntl(STDERR_FILENO, F_SETFL, 0), 0);
        for (unsigned i = 0; i < 100000 && log_lost() < before + 3; i++)
                log_message(SEVERITY_INFO, "filling");
        assert_int_equal(log_lost() - before, 3);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(journal_gets_fields, set_up, tear_down),
                cmocka_unit_test_setup_teardown(stderr_says_the_level, set_up, tear_down),
                cmocka_unit_test_setup_teardown(stderr_of_the_journal_gets_priorities, set_up,
                                                tear_down),
                cmocka_unit_test_setup_teardown(long_sentences_and_values_are_cut, set_up,
                                                tear_down),
                cmocka_unit_test_setup_teardown(absent_journal_falls_back, set_up, tear_down),
                cmocka_unit_test_setup_teardown(full_journal_loses_and_says_so, set_up, tear_down),
                cmocka_unit_test_setup_teardown(full_pipe_does_not_wait, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
