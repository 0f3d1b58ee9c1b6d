/* A request copied, so that its owner may go on while it is under way. */
#include "commit_internal.h"

#include <errno.h>

const char ledger_released_at[] = "the release that is being left";

void commit_free(LedgerCommit *c) {
        for (size_t i = 0; i < COMMIT_VALUES; i++)
                free(c->values[i]);
        for (size_t i = 0; i < c->n_steps; i++) {
                for (size_t j = 0; c->steps[i].values && j < c->steps[i].n_values; j++)
                        free(c->steps[i].values[j]);
                free(c->steps[i].values);
                free(c->steps[i].role);
                free(c->steps[i].statement);
        }
        free(c->steps);
        loop_timer_free(c->timer);
        free(c);
}

static int copy_text(const char *text, char **ret) {
        if (!text)
                return 0;
        *ret = strdup(text);
        return *ret ? 0 : -ENOMEM;
}

static int copy_step(const AtomicStep *from, CommitStep *to) {
        *to = (CommitStep){ .n = from->n, .abort_on_error = from->abort_on_error };
        to->values = calloc(from->n_parameters + 1, sizeof to->values[0]);
        if (!to->values || copy_text(from->role, &to->role) < 0 ||
            copy_text(from->statement, &to->statement) < 0)
                return -ENOMEM;
        to->n_values = from->n_parameters;
        for (size_t i = 0; i < from->n_parameters; i++)
                if (from->parameters[i] != ledger_released_at &&
                    copy_text(from->parameters[i], &to->values[i]) < 0)
                        return -ENOMEM;
        return 0;
}

/* {"a","b"}; to be freed. */
static char *names_array(const char *const names[], size_t n) {
        size_t size = 3;
        char *storage;
        StrBuf b;

        for (size_t i = 0; i < n; i++)
                size += 2 * strlen(names[i]) + 3;
        storage = malloc(size);
        if (!storage)
                return NULL;
        strbuf_init(&b, storage, size);
        strbuf_add_char(&b, '{');
        for (size_t i = 0; i < n; i++) {
                strbuf_add(&b, i > 0 ? ",\"" : "\"");
                for (const char *p = names[i]; *p; p++) {
                        if (*p == '"' || *p == '\\')
                                strbuf_add_char(&b, '\\');
                        strbuf_add_char(&b, *p);
                }
                strbuf_add_char(&b, '"');
        }
        strbuf_add_char(&b, '}');
        return storage;
}

/* In the order of commit_operation()'s parameters. */
static int copy_values(LedgerCommit *c, const CommitRequest *r) {
        const OperationPlan *o = r->operation;
        char cooldown[LEDGER_INTERVAL_SIZE], budget_per[LEDGER_INTERVAL_SIZE];
        _cleanup_(freep) char *generations = names_array(r->generations, r->n_generations);
        STRBUF(epoch, 24);
        STRBUF(count, 24);

        strbuf_add_u64(&epoch, o->from_epoch);
        strbuf_add_u64(&count, r->budget_count);
        if (!generations)
                return -ENOMEM;
        const char *values[COMMIT_VALUES] = {
                o->id,
                r->service,
                operation_kind_to_string(o->kind),
                o->from_version,
                epoch.text,
                o->to_version,
                o->automatic ? "true" : "false",
                o->actor,
                o->reason,
                r->policy_hash,
                r->evidence,
                ledger_interval(r->cooldown, cooldown),
                count.text,
                ledger_interval(r->budget_per, budget_per),
                generations,
                r->steps,
        };
        for (size_t i = 0; i < COMMIT_VALUES; i++)
                if (copy_text(values[i], &c->values[i]) < 0)
                        return -ENOMEM;
        return 0;
}

static int copy_request(LedgerCommit *c, const CommitRequest *r) {
        size_t length = strlen(r->service);

        if (length >= NAME_SIZE)
                return -EINVAL;
        memcpy(c->service, r->service, length + 1);
        c->from_epoch = r->operation->from_epoch;
        c->steps = calloc(r->n_atomic + 1, sizeof c->steps[0]);
        if (!c->steps || copy_values(c, r) < 0)
                return -ENOMEM;
        for (size_t i = 0; i < r->n_atomic; i++) {
                c->n_steps++; /* what is half copied is freed too */
                if (copy_step(&r->atomic[i], &c->steps[i]) < 0)
                        return -ENOMEM;
        }
        return 0;
}

int commit_new(LedgerCommit **ret, Ledger *l, const CommitRequest *request) {
        LedgerCommit *c = calloc(1, sizeof *c);
        int r;

        if (!c)
                return -ENOMEM;
        c->ledger = l;
        r = copy_request(c, request);
        if (r < 0) {
                commit_free(c);
                return r;
        }
        *ret = c;
        return 0;
}
