#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libconfig.h>

#include "config_file.h"

struct ConfigFile {
        char *path;
        char *text;
        size_t size;
        config_t tree;
};

static int refuse(StrBuf *error, const char *path, unsigned line, const char *words) {
        strbuf_add_escaped(error, path, strlen(path));
        if (line > 0) {
                strbuf_add_char(error, ':');
                strbuf_add_u64(error, line);
        }
        strbuf_add(error, ": ");
        strbuf_add(error, words);
        return -EINVAL;
}

static int refuse_errno(StrBuf *error, const char *path, int number) {
        (void)refuse(error, path, 0, "cannot be read (");
        strbuf_add(error, strerrordesc_np(number));
        strbuf_add(error, "); check the path and its permissions");
        return -number;
}

static int check_owner(const char *path, const struct stat *st, StrBuf *error) {
        if (st->st_uid != 0 && st->st_uid != geteuid()) {
                (void)refuse(error, path, 0, "is owned by uid ");
                strbuf_add_u64(error, st->st_uid);
                strbuf_add(error, ", which could change what is run; type: chown root FILE");
                return -EPERM;
        }
        if (st->st_mode & (S_IWGRP | S_IWOTH)) {
                (void)refuse(error, path, 0,
                             "may be written by group or others; type: chmod go-w FILE");
                return -EPERM;
        }
        return 0;
}

static int read_text(ConfigFile *f, int fd, StrBuf *error) {
        /* One byte more than allowed, so that a file that grows meanwhile is noticed, and one for
         * the NUL. */
        f->text = malloc(CONFIG_FILE_MAX + 2);
        if (!f->text)
                return refuse_errno(error, f->path, ENOMEM);
        while (f->size <= CONFIG_FILE_MAX) {
                ssize_t n = read(fd, f->text + f->size, CONFIG_FILE_MAX + 1 - f->size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return refuse_errno(error, f->path, errno);
                if (n == 0)
                        break;
                f->size += (size_t)n;
        }
        if (f->size > CONFIG_FILE_MAX) {
                (void)refuse(error, f->path, 0, "is larger than 1MiB; write a smaller file");
                return -EFBIG;
        }
        f->text[f->size] = '\0';
        return 0;
}

static int open_and_read(ConfigFile *f, bool owner_checked, StrBuf *error) {
        struct stat st;
        int fd, r = 0;

        /* O_NONBLOCK: a FIFO in the directory must not stop us; it is refused below. */
        fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0)
                return refuse_errno(error, f->path, errno);
        if (fstat(fd, &st) < 0)
                r = refuse_errno(error, f->path, errno);
        else if (!S_ISREG(st.st_mode))
                r = refuse(error, f->path, 0,
                           "is not a regular file; write the configuration into a file");
        else if (owner_checked)
                r = check_owner(f->path, &st, error);
        if (r == 0)
                r = read_text(f, fd, error);
        (void)close(fd);
        return r;
}

static int parse(ConfigFile *f, StrBuf *error) {
        STRBUF(words, 256);
        unsigned line = 0;

        if (config_text_check(f->text, f->size, &line, &words) < 0)
                return refuse(error, f->path, line, words.text);
        if (config_read_string(&f->tree, f->text) == CONFIG_TRUE)
                return 0;
        strbuf_add(&words, config_error_text(&f->tree) ?: "syntax error");
        strbuf_add(&words,
                   " here or just before; correct it and check again, what follows was not read");
        return refuse(error, f->path, (unsigned)config_error_line(&f->tree), words.text);
}

int config_file_read(ConfigFile **ret, const char *path, bool owner_checked, StrBuf *reterr) {
        _cleanup_(config_file_freep) ConfigFile *f = NULL;
        int r;

        f = calloc(1, sizeof *f);
        if (!f)
                return refuse_errno(reterr, path, ENOMEM);
        config_init(&f->tree);
        f->path = strdup(path);
        if (!f->path)
                return refuse_errno(reterr, path, ENOMEM);
        r = open_and_read(f, owner_checked, reterr);
        if (r < 0)
                return r;
        r = parse(f, reterr);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(f);
        return 0;
}

ConfigFile *config_file_free(ConfigFile *f) {
        if (!f)
                return NULL;
        config_destroy(&f->tree);
        free(f->text);
        free(f->path);
        free(f);
        return NULL;
}

const char *config_file_path(const ConfigFile *f) {
        return f->path;
}

const char *config_file_text(const ConfigFile *f, size_t *ret_size) {
        *ret_size = f->size;
        return f->text;
}

/* A ConfigNode is libconfig's setting under a name of ours; its getters want it writable, and do
 * not write. */
static config_setting_t *setting(const ConfigNode *n) {
        return (config_setting_t *)(uintptr_t)n;
}

static const ConfigNode *node(const config_setting_t *s) {
        return (const ConfigNode *)s;
}

const ConfigNode *config_file_root(const ConfigFile *f) {
        return node(config_root_setting(&f->tree));
}

ConfigType config_node_type(const ConfigNode *n) {
        switch (config_setting_type(setting(n))) {
        case CONFIG_TYPE_GROUP:
                return CONFIG_GROUP;
        case CONFIG_TYPE_ARRAY:
        case CONFIG_TYPE_LIST:
                return CONFIG_LIST;
        case CONFIG_TYPE_INT:
        case CONFIG_TYPE_INT64:
                return CONFIG_INTEGER;
        case CONFIG_TYPE_FLOAT:
                return CONFIG_FLOAT;
        case CONFIG_TYPE_BOOL:
                return CONFIG_BOOL;
        }
        return CONFIG_TEXT;
}

const char *config_type_words(ConfigType t) {
        static const char *const words[] = {
                [CONFIG_GROUP] = "a group",
                [CONFIG_LIST] = "a list",
                [CONFIG_TEXT] = "a text",
                [CONFIG_INTEGER] = "a whole number",
                [CONFIG_FLOAT] = "a number with a fraction",
                [CONFIG_BOOL] = "true or false",
        };
        return words[t];
}

const char *config_node_name(const ConfigNode *n) {
        return config_setting_name(setting(n));
}

unsigned config_node_line(const ConfigNode *n) {
        /* The root has none of its own. */
        return MAX((unsigned)config_setting_source_line(setting(n)), 1U);
}

size_t config_node_length(const ConfigNode *n) {
        return (size_t)config_setting_length(setting(n));
}

const ConfigNode *config_node_at(const ConfigNode *n, size_t i) {
        return node(config_setting_get_elem(setting(n), (unsigned)i));
}

const ConfigNode *config_node_get(const ConfigNode *n, const char *name) {
        return node(config_setting_get_member(setting(n), name));
}

const char *config_node_text(const ConfigNode *n) {
        return config_setting_get_string(setting(n)) ?: "";
}

int64_t config_node_integer(const ConfigNode *n) {
        return config_setting_get_int64(setting(n));
}

double config_node_float(const ConfigNode *n) {
        return config_setting_get_float(setting(n));
}

bool config_node_bool(const ConfigNode *n) {
        return config_setting_get_bool(setting(n)) == CONFIG_TRUE;
}
