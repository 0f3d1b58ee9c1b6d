/* config_support.h: a directory of configuration files for one test program, and what the readers
 * say about them. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "config.h"

static char support_directory[64];
static char support_error[CONFIG_ERROR_SIZE];

static inline int support_set_up(_unused_ void **state) {
        (void)snprintf(support_directory, sizeof support_directory, "/tmp/config.XXXXXX");
        return mkdtemp(support_directory) ? 0 : -1;
}

static inline int support_tear_down(_unused_ void **state) {
        return rmdir(support_directory);
}

/* "DIRECTORY/NAME", in storage that the next call reuses. */
static inline const char *support_path(const char *name) {
        static char path[4096];

        (void)snprintf(path, sizeof path, "%s/%s", support_directory, name);
        return path;
}

static inline void support_write_n(const char *name, const char *text, size_t n, mode_t mode) {
        FILE *f = fopen(support_path(name), "w");

        assert_non_null(f);
        assert_int_equal(fwrite(text, 1, n, f), n);
        assert_int_equal(fclose(f), 0);
        assert_int_equal(chmod(support_path(name), mode), 0);
}

static inline void support_write(const char *name, const char *text) {
        support_write_n(name, text, strlen(text), 0644);
}

static inline void support_remove(const char *name) {
        assert_int_equal(unlink(support_path(name)), 0);
}

/* The mistakes of a policy text, with "f:" for the file's path; "" and a value in *ret without any.
 */
static inline const char *support_mistakes(const char *text, ServiceConfig **ret) {
        static char shortened[CONFIG_ERROR_SIZE];
        const char *path, *p;
        char *out = shortened;
        StrBuf error;
        int r;

        strbuf_init(&error, support_error, sizeof support_error);
        support_write("f", text);
        path = support_path("f");
        r = config_read_service(path, ret, &error);
        support_remove("f");
        assert_int_equal(r<0, error.length> 0);
        for (p = error.text; *p;) {
                bool here = strncmp(p, path, strlen(path)) == 0;

                *out++ = here ? 'f' : *p;
                p += here ? strlen(path) : 1;
        }
        *out = '\0';
        return shortened;
}

static inline const char *support_refused(const char *text) {
        ServiceConfig *c = NULL;
        const char *mistakes = support_mistakes(text, &c);

        assert_null(c);
        return mistakes;
}
