#include <dirent.h>
#include <errno.h>
#include <stdio.h>

#include "config_check.h"
#include "digest.h"

static int say(StrBuf *error, const char *path, int number, const char *words) {
        strbuf_add_escaped(error, path, strlen(path));
        strbuf_add(error, ": ");
        strbuf_add(error, words);
        strbuf_add_char(error, '\n');
        return -number;
}

static int open_file(ConfigFile **ret, const char *path, StrBuf *error) {
        int r = config_file_read(ret, path, true, error);

        if (r < 0)
                strbuf_add_char(error, '\n');
        return r;
}

static int fill_service(ServiceConfig *c, const ConfigFile *f, ConfigErrors *e) {
        const ConfigNode *root = config_file_root(f);
        const char *text;
        size_t size;
        int r;

        text = config_file_text(f, &size);
        r = digest_sha256_hex(text, size, c->hash);
        if (r < 0) {
                e->no_memory = true;
                return config_errors_finish(e);
        }
        config_tree_read(SECTION_SERVICE, root, c, e);
        config_check_service(c, root, e);
        if (e->n == 0 && !e->no_memory && config_make_policy(c, e) == -ENOMEM)
                e->no_memory = true;
        return config_errors_finish(e);
}

/* The name is told even of a file with mistakes, when it can be read. */
static int read_service(const char *path, ServiceConfig **ret, char **ret_name, StrBuf *reterr) {
        _cleanup_(config_file_freep) ConfigFile *f = NULL;
        _cleanup_(service_config_freep) ServiceConfig *c = NULL;
        ConfigErrors e = { .file = path, .text = reterr };
        int r;

        r = open_file(&f, path, reterr);
        if (r < 0)
                return r;
        c = calloc(1, sizeof *c);
        if (!c)
                return say(reterr, path, ENOMEM, "out of memory; try again");
        c->path = strdup(path);
        if (!c->path)
                return say(reterr, path, ENOMEM, "out of memory; try again");
        r = fill_service(c, f, &e);
        if (ret_name && c->service)
                *ret_name = strdup(c->service);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(c);
        return 0;
}

int config_read_service(const char *path, ServiceConfig **ret, StrBuf *reterr) {
        return read_service(path, ret, NULL, reterr);
}

ServiceConfig *service_config_free(ServiceConfig *c) {
        if (!c)
                return NULL;
        config_policy_done(c);
        config_tree_free(SECTION_SERVICE, c);
        free(c->path);
        free(c);
        return NULL;
}

int config_read_daemon(const char *path, DaemonConfig **ret, StrBuf *reterr) {
        _cleanup_(config_file_freep) ConfigFile *f = NULL;
        _cleanup_(daemon_config_freep) DaemonConfig *c = NULL;
        ConfigErrors e = { .file = path, .text = reterr };
        int r;

        r = open_file(&f, path, reterr);
        if (r < 0)
                return r;
        c = calloc(1, sizeof *c);
        if (!c)
                return say(reterr, path, ENOMEM, "out of memory; try again");
        c->path = strdup(path);
        e.no_memory = !c->path;
        config_tree_read(SECTION_DAEMON, config_file_root(f), c, &e);
        if (e.n == 0 && !e.no_memory)
                config_check_daemon(c, config_file_root(f), &e);
        r = config_errors_finish(&e);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(c);
        return 0;
}

DaemonConfig *daemon_config_free(DaemonConfig *c) {
        if (!c)
                return NULL;
        config_tree_free(SECTION_DAEMON, c);
        free(c->path);
        free(c);
        return NULL;
}

static int is_policy(const struct dirent *entry) {
        size_t n = strlen(entry->d_name);

        return entry->d_name[0] != '.' && n > strlen(".conf") &&
               streq(entry->d_name + n - strlen(".conf"), ".conf");
}

static int by_bytes(const struct dirent **a, const struct dirent **b) {
        return strcmp((*a)->d_name, (*b)->d_name);
}

static int read_policy(PolicyFile *f, const char *directory, const char *name, char *storage) {
        StrBuf error;
        int r;

        if (asprintf(&f->path, "%s/%s", directory, name) < 0) {
                f->path = NULL;
                return -ENOMEM;
        }
        strbuf_init(&error, storage, CONFIG_ERROR_SIZE);
        r = read_service(f->path, &f->config, &f->service, &error);
        if (r == -ENOMEM)
                return r;
        if (r == 0)
                return f->service ? 0 : -ENOMEM;
        f->error = strdup(error.text);
        return f->error ? 0 : -ENOMEM;
}

static bool same_service(const PolicyFile *a, const PolicyFile *b) {
        return a->service && b->service && streq(a->service, b->service);
}

/* A service has one policy: of two files the first in order has it. */
static int refuse_twice(PolicyFile *files, size_t n) {
        PolicyFile *last = &files[n - 1];

        for (size_t i = 0; last->config && i + 1 < n; i++) {
                if (!same_service(&files[i], last))
                        continue;
                if (asprintf(&last->error,
                             "%s:1: service: \"%s\" has its policy in %s already; remove one of "
                             "the two files\n",
                             last->path, last->service, files[i].path) < 0) {
                        last->error = NULL;
                        return -ENOMEM;
                }
                last->config = service_config_free(last->config);
        }
        return 0;
}

static int read_policies(const char *path, struct dirent **entries, size_t n, PolicyFile *files) {
        _cleanup_(freep) char *storage = malloc(CONFIG_ERROR_SIZE);

        if (!storage)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                int r = read_policy(&files[i], path, entries[i]->d_name, storage);

                if (r == 0)
                        r = refuse_twice(files, i + 1);
                if (r < 0)
                        return r;
        }
        return 0;
}

int config_read_directory(const char *path, PolicyFile **ret, size_t *ret_n, StrBuf *reterr) {
        struct dirent **entries = NULL;
        PolicyFile *files = NULL;
        int n, r = 0;

        n = scandir(path, &entries, is_policy, by_bytes);
        if (n < 0)
                return say(reterr, path, errno,
                           errno == ENOENT ? "there is no such directory; create it, or correct "
                                             "`policies` in rollbackd.conf" :
                                             "the directory cannot be read; check its permissions");
        if (n > CONFIG_SERVICES_MAX)
                r = say(reterr, path, E2BIG,
                        "has more than 4096 policy files; divide the services among several "
                        "daemons");
        if (r == 0) {
                files = calloc((size_t)n + 1, sizeof *files);
                r = files ? read_policies(path, entries, (size_t)n, files) : -ENOMEM;
                if (r < 0)
                        (void)say(reterr, path, ENOMEM, "out of memory; try again");
        }
        for (int i = 0; i < n; i++)
                free(entries[i]);
        free(entries);
        if (r < 0) {
                if (files)
                        policy_files_free(files, (size_t)n);
                return r;
        }
        *ret = files;
        *ret_n = (size_t)n;
        return 0;
}

void policy_files_free(PolicyFile *files, size_t n) {
        for (size_t i = 0; i < n; i++) {
                free(files[i].path);
                free(files[i].service);
                free(files[i].error);
                (void)service_config_free(files[i].config);
        }
        free(files);
}
