/* Closed operations whose steps are not all over, asked for behind every result that was given
 * before. */
#include "ledger_internal.h"

#include <errno.h>

#define QUOTED_NAME_MAX (2 * NAME_SIZE + 4)

/* Of each service the operation that the function, which gives the oldest first, gives first. */
static const char leftovers_sql[] =
        "SELECT DISTINCT ON (service) service, id FROM rollbackd.leftover_operations($1::text[]) "
        "WITH ORDINALITY AS l (id, service, kind, state, from_epoch, to_epoch, from_version, "
        "to_version, n) ORDER BY service, n";

static void on_leftovers(Ledger *l, LedgerCall *c, const PgFailure *failure,
                         const PgResult *result) {
        static const PgFailure no_memory = { .error = PG_RETRY, .message = "out of memory" };
        size_t rows = failure->error == PG_OK ? pg_rows(result) : 0;
        _cleanup_(freep) LedgerLeftover *leftovers = calloc(rows + 1, sizeof *leftovers);
        size_t n = 0;

        for (size_t i = 0; leftovers && i < rows; i++) {
                LedgerLeftover one = { pg_value(result, i, "service"), pg_value(result, i, "id") };

                if (one.service && one.operation)
                        leftovers[n++] = one;
        }
        if (n < rows && leftovers) {
                PgFailure f = ledger_unreadable("a row of leftover_operations() cannot be read",
                                                NULL);
                ledger_tell_trouble(l, "leftover_operations", NULL, &f);
        }
        c->callback.leftovers(c->userdata, leftovers ? failure : &no_memory, leftovers, n);
}

/* The names of all watched services as an array, to be freed. */
static char *watched_names(const Ledger *l) {
        size_t size = l->n_watched * QUOTED_NAME_MAX + 3;
        char *storage = malloc(size);
        StrBuf b;

        if (!storage)
                return NULL;
        strbuf_init(&b, storage, size);
        strbuf_add_char(&b, '{');
        for (size_t i = 0; i < l->n_watched; i++) {
                strbuf_add(&b, i > 0 ? ",\"" : "\"");
                for (const char *p = l->watched[i].service; *p; p++) {
                        if (*p == '"' || *p == '\\')
                                strbuf_add_char(&b, '\\');
                        strbuf_add_char(&b, *p);
                }
                strbuf_add_char(&b, '"');
        }
        strbuf_add_char(&b, '}');
        return storage;
}

int ledger_leftovers(Ledger *l, LedgerLeftoversCallback callback, void *userdata) {
        _cleanup_(freep) char *names = watched_names(l);
        const char *const values[] = { names };
        LedgerCall *c = names ? ledger_call_new("leftover_operations", leftovers_sql,
                                                ELEMENTSOF(values), values) :
                                NULL;

        if (c) {
                c->answer = on_leftovers;
                c->callback.leftovers = callback;
                c->userdata = userdata;
        }
        return ledger_enqueue(l, c);
}
