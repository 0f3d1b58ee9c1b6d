/* The ledger's functions and views as items of lists: signature, what it does, who may. */
#include <errno.h>

#include "ledger_items.h"
#include "manual.h"

/* The arguments one by one, each an argument of Fn. */
static void write_arguments(const char *p) {
        while (*p != '\0') {
                size_t n = 0;

                while (p[n] != '\0' && p[n] != ',')
                        n += p[n] == '(' ? manual_closed_length(p + n) : 1;
                fputs(" \"", stdout);
                for (size_t i = 0; i < n; i++)
                        if (p[i] != '"')
                                putchar(p[i]);
                putchar('"');
                p += n + strspn(p + n, ", ");
        }
}

static void write_roles(const Item *item) {
        bool first = true;

        fputs("Roles:\n.Cm", stdout);
        for (size_t r = 0; r < ROLES_MAX; r++)
                if (item->roles[r]) {
                        printf("%s %s", first ? "" : " ,", roles[r]);
                        first = false;
                }
        puts(" .");
}

/* The comment without the sentence that says what the roles say. */
static void write_comment(const char *comment) {
        static const char *const known[] = { " For the daemon.", " For operators.",
                                             " For deployers and operators.",
                                             " For every role of the ledger." };

        for (size_t i = 0; i < ELEMENTSOF(known); i++) {
                const char *found = strstr(comment, known[i]);

                if (found) {
                        _cleanup_(freep) char *before = manual_copy(comment,
                                                                    (size_t)(found - comment));
                        const char *behind = found + strlen(known[i]);

                        manual_sentence(before);
                        manual_sentence(behind + (*behind == ' '));
                        return;
                }
        }
        manual_sentence(comment);
}

static bool is_internal(const Item *item) {
        for (size_t r = 0; r < ROLES_MAX; r++)
                if (item->roles[r])
                        return false;
        return true;
}

static int write_function(const Item *item) {
        if (!item->comment) {
                fprintf(stderr, "manual: %s() has no COMMENT\n", item->name);
                return -EINVAL;
        }
        printf(".It Fn rollbackd.%s", item->name);
        write_arguments(item->arguments);
        puts("");
        write_comment(item->comment);
        if (item->returns && !streq(item->returns, "void"))
                printf("Returns:\n.Vt %s .\n", item->returns);
        write_roles(item);
        return 0;
}

int manual_functions(const char *role) {
        size_t n = 0;

        for (size_t i = 0; i < n_items; i++) {
                size_t first = 0;

                if (items[i].view || is_internal(&items[i]))
                        continue;
                while (!items[i].roles[first])
                        first++;
                if (!streq(roles[first], role))
                        continue;
                if (write_function(&items[i]) < 0)
                        return -EINVAL;
                n++;
        }
        if (n == 0)
                fprintf(stderr, "manual: no function begins with the role %s\n", role);
        return n == 0 ? -EINVAL : 0;
}

int manual_views(void) {
        for (size_t i = 0; i < n_items; i++) {
                if (!items[i].view || is_internal(&items[i]))
                        continue;
                printf(".It Vt rollbackd.%s\n", items[i].name);
                if (items[i].comment)
                        manual_sentence(items[i].comment);
                else
                        puts("The schema's number, and the oldest daemon that may run on it.");
                write_roles(&items[i]);
        }
        return 0;
}
