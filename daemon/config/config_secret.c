#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "config_parse.h"
#include "digest.h"

static int refuse(StrBuf *error, const char *path, int number, const char *words) {
        strbuf_add(error, "secret ");
        strbuf_add_escaped(error, path, strlen(path));
        strbuf_add(error, ": ");
        strbuf_add(error, words);
        return -number;
}

static int read_all(int fd, const char *path, char **ret, size_t *ret_size, StrBuf *error) {
        char *text = malloc(CONFIG_SECRET_MAX + 2);
        size_t size = 0;
        ssize_t n = 1;

        if (!text)
                return refuse(error, path, ENOMEM, "out of memory; try again");
        while (n != 0 && size <= CONFIG_SECRET_MAX) {
                n = read(fd, text + size, CONFIG_SECRET_MAX + 1 - size);
                if (n < 0 && errno != EINTR)
                        break;
                size += n > 0 ? (size_t)n : 0;
        }
        if (n < 0 || size > CONFIG_SECRET_MAX) {
                int r = n < 0 ? refuse(error, path, errno, "cannot be read; check the disk") :
                                refuse(error, path, EFBIG,
                                       "is larger than 64KiB; write the secret alone into it");

                digest_wipe(text, CONFIG_SECRET_MAX + 2);
                free(text);
                return r;
        }
        text[size] = '\0';
        *ret = text;
        *ret_size = size;
        return 0;
}

static int check_file(int fd, const char *path, StrBuf *error) {
        struct stat st;

        if (fstat(fd, &st) < 0)
                return refuse(error, path, errno, "cannot be examined");
        if (!S_ISREG(st.st_mode))
                return refuse(error, path, EINVAL,
                              "is not a regular file; write the secret into a file");
        if (st.st_mode & S_IRWXO)
                return refuse(error, path, EPERM,
                              "may be read or written by others; type: chmod o-rwx FILE");
        return 0;
}

static int read_file(const char *path, char **ret, StrBuf *error) {
        char *text = NULL;
        size_t size = 0;
        int fd, r;

        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0) {
                r = refuse(error, path, errno, "cannot be opened (");
                strbuf_add(error, strerrordesc_np(-r));
                strbuf_add(error, "); write it there, root:rollbackd 0640, or as a credential");
                return r;
        }
        r = check_file(fd, path, error);
        if (r == 0)
                r = read_all(fd, path, &text, &size, error);
        (void)close(fd);
        if (r < 0)
                return r;
        if (size > 0 && text[size - 1] == '\n')
                text[--size] = '\0';
        if (size == 0)
                r = refuse(error, path, ENODATA, "is empty; write the secret into it");
        else if (strlen(text) != size)
                r = refuse(error, path, EBADMSG, "has a NUL byte; write the secret as text");
        if (r < 0) {
                digest_wipe(text, size);
                free(text);
                return r;
        }
        *ret = text;
        return 0;
}

bool config_find_secret(const char *directory, const char *name, StrBuf *path) {
        const char *credentials = secure_getenv("CREDENTIALS_DIRECTORY");

        if (credentials) {
                strbuf_add(path, credentials);
                strbuf_add_char(path, '/');
                strbuf_add(path, name);
                if (!path->overflow && access(path->text, F_OK) == 0)
                        return true;
                strbuf_init(path, path->text, path->size);
        }
        strbuf_add(path, directory);
        strbuf_add_char(path, '/');
        strbuf_add(path, name);
        return false;
}

int config_read_secret(const char *directory, const char *name, char **ret, StrBuf *reterr) {
        STRBUF(path, CONFIG_SECRET_PATH_MAX);
        const char *why;

        if (config_parse_secret(name, &why) < 0)
                return refuse(reterr, name, EINVAL,
                              "is no name of a secret; write a file name without slash");
        (void)config_find_secret(directory, name, &path);
        if (path.overflow)
                return refuse(reterr, name, ENAMETOOLONG, "its directory's path is too long");
        return read_file(path.text, ret, reterr);
}
