/* Tests of how glue/http_server opens its sockets. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "http_server.h"

static void test_listen_unix(_unused_ void **state) {
        char directory[] = "/tmp/http-listen-XXXXXX", path[64], longer[200];
        mode_t old = umask(0);
        struct stat st;
        int fd, file;

        assert_non_null(mkdtemp(directory));
        assert_true(snprintf(path, sizeof path, "%s/s", directory) > 0);
        fd = http_listen_unix(path, "no-such-group-here");
        assert_true(fd >= 0);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0660);
        assert_int_equal(http_listen_unix(path, NULL), -EADDRINUSE);
        close(fd);

        umask(0777);
        fd = http_listen_unix(path, geteuid() == 0 ? "daemon" : NULL);
        assert_true(fd >= 0);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0660);
        if (geteuid() == 0)
                assert_int_equal(st.st_gid, 1);
        close(fd);
        umask(old);
        assert_int_equal(unlink(path), 0);

        file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        assert_true(file >= 0);
        close(file);
        assert_int_equal(http_listen_unix(path, NULL), -ENOTSOCK);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(http_listen_unix("relative", NULL), -EINVAL);
        memset(longer, 'a', sizeof longer - 1);
        longer[0] = '/';
        longer[sizeof longer - 1] = '\0';
        assert_int_equal(http_listen_unix(longer, NULL), -ENAMETOOLONG);
        assert_int_equal(rmdir(directory), 0);
}

static void test_listen_tcp(_unused_ void **state) {
        static const char *const malformed[] = { "",
                                                 "7331",
                                                 "127.0.0.1",
                                                 "127.0.0.1:",
                                                 "127.0.0.1:70000",
                                                 "localhost:1",
                                                 "127.0.0.1:1x",
                                                 "[::1:1",
                                                 "[:1",
                                                 "::1:80x" };
        static const char *const foreign[] = { "0.0.0.0:0", "10.0.0.1:0", "[::]:0",
                                               "[2001:db8::1]:0", "128.0.0.1:0" };
        char bound[64], tiny[8];
        int fd;

        for (size_t i = 0; i < ELEMENTSOF(malformed); i++)
                assert_int_equal(http_listen_tcp(malformed[i], bound, sizeof bound), -EINVAL);
        for (size_t i = 0; i < ELEMENTSOF(foreign); i++)
                assert_int_equal(http_listen_tcp(foreign[i], bound, sizeof bound), -EPERM);
        assert_int_equal(http_listen_tcp("127.0.0.1:0", tiny, sizeof tiny), -ENOSPC);
        fd = http_listen_tcp("127.0.0.1:0", bound, sizeof bound);
        assert_true(fd >= 0);
        assert_true(strncmp(bound, "127.0.0.1:", 10) == 0);
        assert_int_equal(http_listen_tcp(bound, tiny, sizeof tiny), -EADDRINUSE);
        close(fd);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_listen_unix),
                cmocka_unit_test(test_listen_tcp),
        };

        return cmocka_run_group_tests_name("http_listen", tests, NULL, NULL);
}
