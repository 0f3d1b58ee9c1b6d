/* The file that says the version: written beside itself and renamed into place. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "follow.h"

/* "VERSION\n" */
#define TEXT_SIZE (NAME_SIZE + 1)

static void closep(int *fd) {
        if (*fd >= 0)
                (void)close(*fd);
}

/* Whether the file holds exactly this text. What cannot be read does not. */
static bool says(const char *path, const char *text, size_t n) {
        /* Without O_NONBLOCK a FIFO at that place would hold us for ever. */
        _cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        char found[TEXT_SIZE + 1];

        return fd >= 0 && read(fd, found, sizeof found) == (ssize_t)n &&
               memcmp(found, text, n) == 0;
}

/* A file system that cuts a handful of bytes short is full. */
static int write_all(int fd, const char *text, size_t n) {
        ssize_t written;

        do
                written = write(fd, text, n);
        while (written < 0 && errno == EINTR);
        if (written < 0)
                return -errno;
        return written == (ssize_t)n ? 0 : -ENOSPC;
}

/* The rename is durable once the directory is. */
static int sync_directory(const char *path, size_t n) {
        STRBUF(directory, PATH_MAX);
        _cleanup_(closep) int fd = -1;

        strbuf_add_n(&directory, n > 0 ? path : ".", n > 0 ? n : 1);
        fd = open(directory.text, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

static int fill(int fd, const char *text, size_t n, mode_t mode) {
        int r = write_all(fd, text, n);

        if (r < 0)
                return r;
        return fchmod(fd, mode) < 0 || fsync(fd) < 0 ? -errno : 0;
}

static int replace(const char *path, size_t directory, const char *text, size_t n, mode_t mode) {
        STRBUF(temporary, PATH_MAX);
        _cleanup_(closep) int fd = -1;
        int r;

        /* Hidden, so that no reader of the whole directory takes it for a service. */
        strbuf_add_n(&temporary, path, directory);
        strbuf_add_char(&temporary, '.');
        strbuf_add(&temporary, path + directory);
        strbuf_add(&temporary, ".XXXXXX");
        if (temporary.overflow)
                return -ENAMETOOLONG;
        fd = mkostemp(temporary.text, O_CLOEXEC);
        if (fd < 0)
                return -errno;
        r = fill(fd, text, n, mode);
        if (r == 0 && rename(temporary.text, path) < 0)
                r = -errno;
        if (r < 0)
                (void)unlink(temporary.text);
        return r;
}

int follow_file_write(const char *path, const char *version, mode_t mode) {
        const char *slash = strrchr(path, '/');
        size_t directory = slash ? (size_t)(slash - path) + 1 : 0;
        STRBUF(text, TEXT_SIZE);
        int r;

        strbuf_add(&text, version);
        strbuf_add_char(&text, '\n');
        assert(!text.overflow);
        if (says(path, text.text, text.length))
                return 0;
        r = replace(path, directory, text.text, text.length, mode);
        if (r == 0)
                r = sync_directory(path, directory);
        return r < 0 ? r : 1;
}
