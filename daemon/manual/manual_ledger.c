/* The ledger's functions and views as the migrations make them: the CREATE, COMMENT, GRANT and DROP
 * statements, read in the order in which they are applied. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>

#include "ledger_items.h"
#include "manual.h"

#define FILE_MAX (1024 * 1024)
#define STATEMENT_MAX (64 * 1024)

/* In the order of the manual: what everybody may call first. */
const char *const roles[ROLES_MAX] = { "rollbackd_reader", "rollbackd_deployer",
                                       "rollbackd_operator", "rollbackd", "rollbackd_owner" };

Item items[ITEMS_MAX];
size_t n_items;

static char text[FILE_MAX], statement[STATEMENT_MAX];

static Item *find_item(const char *name, size_t n, bool view) {
        for (size_t i = 0; i < n_items; i++)
                if (items[i].view == view && strlen(items[i].name) == n &&
                    strncmp(items[i].name, name, n) == 0)
                        return &items[i];
        return NULL;
}

char *manual_copy(const char *s, size_t n) {
        char *c = strndup(s, n);

        if (!c)
                abort();
        return c;
}

static void item_done(Item *item) {
        free(item->name);
        free(item->arguments);
        free(item->returns);
        free(item->comment);
        *item = (Item){ 0 };
}

/* Skips what `p` begins with, or returns NULL. */
static const char *skip(const char *p, const char *prefix) {
        size_t n = strlen(prefix);

        return strncmp(p, prefix, n) == 0 ? p + n : NULL;
}

static size_t name_length(const char *p) {
        size_t n = 0;

        while (isalnum((unsigned char)p[n]) || p[n] == '_')
                n++;
        return n;
}

size_t manual_closed_length(const char *p) {
        size_t n = 0;
        unsigned depth = 0;

        for (; p[n] != '\0'; n++) {
                depth += p[n] == '(';
                if (p[n] == ')' && --depth == 0)
                        return n + 1;
        }
        return n;
}

static int add_item(const char *p, bool view) {
        size_t n = name_length(p);
        Item *item = find_item(p, n, view);

        if (!item) {
                if (n_items == ITEMS_MAX) {
                        fputs("manual: more than 256 functions and views\n", stderr);
                        return -EINVAL;
                }
                item = &items[n_items++];
                item->name = manual_copy(p, n);
                item->view = view;
        }
        if (!view) {
                size_t closed = manual_closed_length(p + n);
                const char *behind = p + n + closed, *returns = skip(behind, " RETURNS ");
                const char *end = returns ? strstr(returns, " LANGUAGE ") : NULL;

                free(item->arguments);
                free(item->returns);
                item->arguments = manual_copy(p + n + 1, closed - 2);
                item->returns = end ? manual_copy(returns, (size_t)(end - returns)) : NULL;
        }
        return 0;
}

/* The literals behind IS, joined as SQL joins them. */
static char *read_literals(const char *p) {
        char *joined = manual_copy(p, strlen(p)), *to = joined;
        bool inside = false;

        for (; *p != '\0'; p++)
                if (*p == '\'' && inside && p[1] == '\'')
                        *to++ = *p++;
                else if (*p == '\'')
                        inside = !inside;
                else if (inside)
                        *to++ = *p;
        *to = '\0';
        return joined;
}

static int add_comment(const char *p, bool view) {
        size_t n = name_length(p);
        Item *item = find_item(p, n, view);
        const char *is = strstr(p, " IS ");

        if (!item || !is) {
                fprintf(stderr, "manual: a comment on what is not there: %.60s\n", p);
                return -EINVAL;
        }
        free(item->comment);
        item->comment = read_literals(is + 4);
        return 0;
}

static void grant_to(Item *item, const char *to) {
        for (size_t r = 0; r < ROLES_MAX; r++)
                for (const char *p = to; p;) {
                        size_t n = name_length(p);

                        if (strlen(roles[r]) == n && strncmp(p, roles[r], n) == 0)
                                item->roles[r] = true;
                        p = p[n] == ',' ? p + n + 2 : NULL;
                }
}

static int add_grant(const char *p, bool view) {
        const char *to = strstr(p, " TO ");

        while (to && p < to) {
                const char *name = skip(p, "rollbackd.");
                size_t n = name ? name_length(name) : 0;
                Item *item = name ? find_item(name, n, view) : NULL;

                /* Tables are granted to nobody who reads the manual. */
                if (item)
                        grant_to(item, to + 4);
                else if (!view) {
                        fprintf(stderr, "manual: a grant on what is not there: %.60s\n", p);
                        return -EINVAL;
                }
                p = name ? name + n : p + 1;
                p += !view && *p == '(' ? manual_closed_length(p) : 0;
                p += strspn(p, ", ");
        }
        return 0;
}

static void drop_item(const char *p, bool view) {
        const char *name = skip(p, "IF EXISTS rollbackd.") ?: skip(p, "rollbackd.");
        Item *item = name ? find_item(name, name_length(name), view) : NULL;

        if (!item)
                return;
        item_done(item);
        *item = items[--n_items];
        items[n_items] = (Item){ 0 };
}

static int read_statement(void) {
        static const struct {
                const char *prefix;
                int (*add)(const char *p, bool view);
                bool view;
        } rows[] = {
                { "CREATE FUNCTION rollbackd.", add_item, false },
                { "CREATE OR REPLACE FUNCTION rollbackd.", add_item, false },
                { "CREATE VIEW rollbackd.", add_item, true },
                { "CREATE OR REPLACE VIEW rollbackd.", add_item, true },
                { "COMMENT ON FUNCTION rollbackd.", add_comment, false },
                { "COMMENT ON VIEW rollbackd.", add_comment, true },
                { "GRANT EXECUTE ON FUNCTION ", add_grant, false },
                { "GRANT SELECT ON ", add_grant, true },
        };
        const char *p;

        for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                p = skip(statement, rows[i].prefix);
                if (p)
                        return rows[i].add(p, rows[i].view);
        }
        p = skip(statement, "DROP FUNCTION ");
        if (p)
                drop_item(p, false);
        p = skip(statement, "DROP VIEW ");
        if (p)
                drop_item(p, true);
        return 0;
}

/* Behind the string, quoted name, comment or dollar quote that begins at p, or p where none
 * does. */
static const char *skip_quoted(const char *p) {
        const char *end = p;

        if (strncmp(p, "--", 2) == 0)
                end = strchr(p, '\n');
        else if (strncmp(p, "$$", 2) == 0)
                end = strstr(p + 2, "$$");
        else if (*p == '\'' || *p == '"')
                end = strchr(p + 1, *p);
        if (!end)
                return p + strlen(p);
        return end == p ? p : end + (*p == '$' ? 2 : *p != '-');
}

/* The next statement, without comments and bodies, every run of white space one blank. Returns
 * where it ended, or NULL at the end of the file. */
static const char *next_statement(const char *p) {
        size_t n = 0;

        while (*p != '\0' && *p != ';') {
                const char *behind = skip_quoted(p);
                bool kept = behind > p && (*p == '\'' || *p == '"');

                if (n + (size_t)(behind - p) + 2 > sizeof statement)
                        return NULL;
                if (kept) {
                        memcpy(statement + n, p, (size_t)(behind - p));
                        n += (size_t)(behind - p);
                } else if (behind == p && isspace((unsigned char)*p)) {
                        if (n > 0 && statement[n - 1] != ' ')
                                statement[n++] = ' ';
                } else if (behind == p)
                        statement[n++] = *p;
                p = behind > p ? behind : p + 1;
        }
        statement[n] = '\0';
        return *p == ';' ? p + 1 : NULL;
}

static int read_migration(const char *directory, const char *name) {
        STRBUF(path, 4096);
        const char *p = text;
        size_t n;
        FILE *f;
        int r;

        strbuf_add(&path, directory);
        strbuf_add_char(&path, '/');
        strbuf_add(&path, name);
        f = fopen(path.text, "r");
        n = f ? fread(text, 1, sizeof text, f) : sizeof text;
        if (f)
                fclose(f);
        if (n == sizeof text) {
                fprintf(stderr, "manual: %s cannot be read, or is larger than 1 MiB\n", path.text);
                return -EINVAL;
        }
        text[n] = '\0';
        while ((p = next_statement(p))) {
                r = read_statement();
                if (r < 0)
                        return r;
        }
        return 0;
}

static int is_migration(const struct dirent *entry) {
        size_t n = strlen(entry->d_name);

        return n > 4 && streq(entry->d_name + n - 4, ".sql");
}

static int by_name(const void *a, const void *b) {
        const Item *x = a, *y = b;
        return strcmp(x->name, y->name);
}

int manual_ledger_read(const char *directory) {
        struct dirent **files = NULL;
        int n = scandir(directory, &files, is_migration, alphasort), r = 0;

        if (n <= 0)
                fprintf(stderr, "manual: %s has no migrations\n", directory);
        for (int i = 0; i < n; i++) {
                if (r == 0)
                        r = read_migration(directory, files[i]->d_name);
                free(files[i]);
        }
        free(files);
        qsort(items, n_items, sizeof *items, by_name);
        return n <= 0 ? -EINVAL : r;
}
