/* What the journal has new of a unit, read from real journal files, which systemd-journal-remote
 * writes. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "journal_read.h"
#include "loop.h"

#define WRITER "/lib/systemd/systemd-journal-remote"
#define UNIT "_SYSTEMD_UNIT=a.service\n"
#define BY_SYSTEMD "UNIT=a.service\n"
#define BOOT "_BOOT_ID=0123456789abcdef0123456789abcdef\n"

static char directory[64];
static uint64_t written; /* entries, so that their times ascend */

static const char *path_of(const char *name) {
        static char path[128];

        (void)snprintf(path, sizeof path, "%s/%s.journal", directory, name);
        return path;
}

static int set_up(void **state _unused_) {
        (void)snprintf(directory, sizeof directory, "/tmp/journal.XXXXXX");
        return mkdtemp(directory) ? 0 : -1;
}

static void throw_away(const char *name) {
        assert_int_equal(unlink(path_of(name)), 0);
}

static int tear_down(void **state _unused_) {
        static const char *const names[] = { "one", "two", "damaged" };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                (void)unlink(path_of(names[i]));
        return rmdir(directory);
}

/* Starts the writer, which appends what it is given. */
static FILE *writer_start(const char *name, pid_t *ret) {
        int ends[2], nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
        FILE *writer;

        assert_true(nowhere >= 0);
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        *ret = fork();
        assert_true(*ret >= 0);
        if (*ret == 0) {
                if (dup2(ends[0], STDIN_FILENO) >= 0 && dup2(nowhere, STDERR_FILENO) >= 0)
                        (void)execl(WRITER, WRITER, "-o", path_of(name), "-", NULL);
                _exit(127);
        }
        close(nowhere);
        close(ends[0]);
        writer = fdopen(ends[1], "w");
        assert_non_null(writer);
        return writer;
}

/* Appends `n` entries of these fields to a file of the journal. */
static void put(const char *name, unsigned n, int priority, const char *fields,
                const char *message) {
        pid_t pid;
        FILE *writer = writer_start(name, &pid);
        int status;

        for (unsigned i = 0; i < n; i++) {
                uint64_t at = ++written;

                (void)fprintf(writer,
                              "__REALTIME_TIMESTAMP=%llu\n__MONOTONIC_TIMESTAMP=%llu\n" BOOT
                              "PRIORITY=%d\n%sMESSAGE=%s\n\n",
                              1700000000000000ULL + at, 1000000ULL + at, priority, fields, message);
        }
        assert_int_equal(fclose(writer), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static JournalAnswer read_with(const char *cursor, const char *matches, usec_t deadline) {
        const JournalQuestion q = {
                .directory = directory,
                .unit = "a.service",
                .priority = 3,
                .matches = matches,
                .cursor = cursor,
                .deadline = deadline,
        };
        JournalAnswer a;

        memset(&a, 0x55, sizeof a);
        journal_read(&q, &a);
        return a;
}

static JournalAnswer read_since(const char *cursor) {
        JournalAnswer a = read_with(cursor, NULL, USEC_INFINITY);

        assert_string_equal(a.words, "");
        assert_false(a.cut);
        return a;
}

static void only_what_is_new_counts_and_once(void **state _unused_) {
        JournalAnswer base, a;

        put("one", 3, 3, UNIT, "old");
        base = read_since(NULL);
        assert_int_equal(base.entries, 0);
        assert_true(strlen(base.cursor) > 0);
        assert_true(base.at > 0 && base.at <= loop_clock());
        assert_int_equal(read_since(base.cursor).entries, 0);
        put("one", 2, 3, UNIT, "new");
        a = read_since(base.cursor);
        assert_int_equal(a.entries, 2);
        assert_int_equal(read_since(a.cursor).entries, 0);
        /* A place stays where it is. */
        assert_int_equal(read_since(base.cursor).entries, 2);
}

static void an_empty_journal_is_read_from_its_first_entry(void **state _unused_) {
        JournalAnswer base = read_since(NULL);

        assert_string_equal(base.cursor, "");
        assert_int_equal(read_since(base.cursor).entries, 0);
        put("one", 2, 3, UNIT, "first");
        assert_int_equal(read_since(base.cursor).entries, 2);
}

static void only_the_unit_and_what_is_urgent_counts(void **state _unused_) {
        static const struct {
                int priority;
                const char *fields;
                unsigned entries;
        } cases[] = {
                { 0, UNIT, 1 },
                { 3, UNIT, 1 },
                { 4, UNIT, 0 },
                { 7, UNIT, 0 },
                { 3, "_SYSTEMD_UNIT=b.service\n", 0 },
                { 3, "_SYSTEMD_UNIT=a.servic\n", 0 },
                { 3, "", 0 },
                /* What systemd says about it; anybody may write the field, but not as process 1. */
                { 3, BY_SYSTEMD "_PID=1\n", 1 },
                { 4, BY_SYSTEMD "_PID=1\n", 0 },
                { 3, BY_SYSTEMD "_PID=77\n", 0 },
                { 2, "COREDUMP_UNIT=a.service\nMESSAGE_ID=fc2e22bc6ee647b6b90729ab34a250b1\n", 1 },
                { 2, "COREDUMP_UNIT=a.service\n", 0 },
        };
        JournalAnswer a = read_since(NULL);

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                put("one", 1, cases[i].priority, cases[i].fields, "x");
                a = read_since(a.cursor);
                assert_int_equal(a.entries, cases[i].entries);
        }
}

static void an_expression_is_for_the_whole_message(void **state _unused_) {
        JournalAnswer a;

        put("one", 1, 3, UNIT, "request 7 timed out");
        put("one", 2, 3, UNIT, "request 7 was refused");
        put("one", 4, 3, UNIT, "\xff\xfe timed out"); /* no text */
        a = read_with("", ".*timed out", USEC_INFINITY);
        assert_string_equal(a.words, "");
        assert_int_equal(a.entries, 1);
        assert_int_equal(read_with("", "request", USEC_INFINITY).entries, 0);
        assert_int_equal(read_with("", "request [0-9] .*", USEC_INFINITY).entries, 3);
        /* What did not match was read all the same. */
        assert_int_equal(read_with(a.cursor, ".*", USEC_INFINITY).entries, 0);
}

static void an_expression_that_is_too_costly_says_so(void **state _unused_) {
        JournalAnswer a;

        put("one", 1, 3, UNIT, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
        a = read_with("", "(a+)+[bc]", USEC_INFINITY);
        assert_non_null(strstr(a.words, "too costly"));
}

static void a_flood_is_counted_up_to_a_limit_and_passed_over(void **state _unused_) {
        JournalAnswer a;

        put("one", JOURNAL_ENTRIES_MAX, 3, UNIT, "flood");
        a = read_with("", NULL, USEC_INFINITY);
        assert_false(a.cut);
        assert_int_equal(a.entries, JOURNAL_ENTRIES_MAX);
        put("one", 1, 3, UNIT, "flood");
        a = read_with("", NULL, USEC_INFINITY);
        assert_true(a.cut);
        assert_string_equal(a.words, "");
        assert_int_equal(a.entries, JOURNAL_ENTRIES_MAX);
        assert_int_equal(read_since(a.cursor).entries, 0);
        put("one", 1, 3, UNIT, "after it");
        assert_int_equal(read_since(a.cursor).entries, 1);
}

static void time_is_limited_too(void **state _unused_) {
        JournalAnswer a;

        put("one", 100, 3, UNIT, "x");
        a = read_with("", NULL, 1);
        assert_true(a.cut);
        assert_true(a.entries < 100);
        assert_int_equal(read_since(a.cursor).entries, 0);
}

static void a_journal_goes_on_in_other_files(void **state _unused_) {
        JournalAnswer base, a;

        put("one", 3, 3, UNIT, "old");
        base = read_since(NULL);
        put("one", 1, 3, UNIT, "new");
        put("two", 2, 3, UNIT, "new, in the next file");
        a = read_since(base.cursor);
        assert_int_equal(a.entries, 3);
        /* The file with the place in it is thrown away: what is left of what came later counts. */
        throw_away("one");
        assert_int_equal(read_since(base.cursor).entries, 2);
        assert_int_equal(read_since(a.cursor).entries, 0);
}

static void write_bytes(const char *name, const char *bytes, size_t n, off_t at) {
        int fd = open(path_of(name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

        assert_true(fd >= 0);
        assert_int_equal(pwrite(fd, bytes, n, at), n);
        close(fd);
}

static void a_damaged_file_does_not_hide_the_others(void **state _unused_) {
        static const char noise[4096] = "no journal at all";
        JournalAnswer base;

        put("one", 2, 3, UNIT, "old");
        base = read_since(NULL);
        write_bytes("damaged", noise, sizeof noise, 0);
        put("one", 2, 3, UNIT, "new");
        assert_int_equal(read_since(base.cursor).entries, 2);
        throw_away("damaged");
        /* Of a file that ends too early, nothing is taken. */
        put("two", 1, 3, UNIT, "cut off");
        assert_int_equal(truncate(path_of("two"), 5000), 0);
        assert_int_equal(read_since(base.cursor).entries, 2);
}

static void noise_within_a_file_is_survived(void **state _unused_) {
        char noise[512];
        JournalAnswer a;

        memset(noise, 0xa5, sizeof noise);
        put("one", 200, 3, UNIT, "x");
        for (off_t at = 512; at < 64 * 1024; at += 4096)
                write_bytes("one", noise, sizeof noise, at);
        /* What can be known is counted, or nothing is known; it ends either way. */
        a = read_with("", ".*", USEC_INFINITY);
        assert_true(a.words[0] != '\0' || a.entries <= 200);
}

static void no_journal_is_told(void **state _unused_) {
        const JournalQuestion q = { .directory = "/nonexistent/journal", .unit = "a.service" };
        JournalAnswer a;

        journal_read(&q, &a);
        assert_string_equal(a.words, "the journal cannot be opened (ENOENT)");
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                CASE(only_what_is_new_counts_and_once),
                CASE(an_empty_journal_is_read_from_its_first_entry),
                CASE(only_the_unit_and_what_is_urgent_counts),
                CASE(an_expression_is_for_the_whole_message),
                CASE(an_expression_that_is_too_costly_says_so),
                CASE(a_flood_is_counted_up_to_a_limit_and_passed_over),
                CASE(time_is_limited_too),
                CASE(a_journal_goes_on_in_other_files),
                CASE(a_damaged_file_does_not_hide_the_others),
                CASE(noise_within_a_file_is_survived),
                CASE(no_journal_is_told),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
