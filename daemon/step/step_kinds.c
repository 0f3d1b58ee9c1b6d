#include "step_kinds.h"

#include <errno.h>

#include "pg.h"

#define STEP_BATCH_MAX 5000

static const StepKind *const kinds[] = { &step_kind_sql, &step_kind_cache, &step_kind_session };

const StepKind *step_kind_find(const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(kinds); i++)
                if (streq(kinds[i]->name, name))
                        return kinds[i];
        return NULL;
}

const StepKind *step_kind_of(StepKindId id) {
        for (size_t i = 0; i < ELEMENTSOF(kinds); i++)
                if (kinds[i]->id == id)
                        return kinds[i];
        return NULL;
}

void step_statement_done(StepStatement *s) {
        free(s->role);
        free(s->sql);
        for (size_t i = 0; i < STEP_OWN_PARAMETERS_MAX; i++) {
                free(s->own[i]);
                free(s->ask_own[i]);
        }
        free(s->ask_sql);
        free(s->order);
        free(s->first_sql);
        free(s->first_own);
        *s = (StepStatement){ 0 };
}

Json *step_spec_new(const StepConfig *step) {
        Json *spec = json_new_object();

        if (!spec)
                return NULL;
        json_set_text(spec, "role", step->role);
        json_set_u64(spec, "timeout_ms", step->timeout / USEC_PER_MSEC);
        step_kind_of(step->kind)->write_spec(step, spec);
        return spec;
}

const char *step_spec_text(const Json *spec, const char *key, StrBuf *reterr) {
        const char *text = json_get_text(spec, key, NULL);

        if (!text || text[0] == '\0') {
                strbuf_add(reterr, "the row's spec has no text \"");
                strbuf_add(reterr, key);
                strbuf_add(reterr, "\"");
                return NULL;
        }
        return text;
}

int step_copy(const char *text, char **ret, StrBuf *reterr) {
        char *copy = strdup(text);

        if (!copy) {
                strbuf_add(reterr, "out of memory");
                return -ENOMEM;
        }
        *ret = copy;
        return 0;
}

static int quote_part(const char *part, size_t n, StrBuf *b) {
        char name[256];

        if (n == 0 || n >= sizeof name)
                return -EINVAL;
        memcpy(name, part, n);
        name[n] = '\0';
        return pg_quote_identifier(name, b);
}

int step_quote_table(const char *table, StrBuf *b, StrBuf *reterr) {
        const char *dot = strchr(table, '.');
        int r = 0;

        if (dot) {
                r = quote_part(table, (size_t)(dot - table), b);
                strbuf_add_char(b, '.');
                table = dot + 1;
        }
        if (r == 0)
                r = strchr(table, '.') ? -EINVAL : quote_part(table, strlen(table), b);
        if (r < 0)
                strbuf_add(reterr, "the table's name must be \"table\" or \"schema.table\"");
        return r;
}

/* The keys that every kind shares. */
static int read_common(const Json *spec, StepStatement *s, StrBuf *reterr) {
        const char *role = step_spec_text(spec, "role", reterr);
        int64_t timeout = json_get_i64(spec, "timeout_ms", -1);
        int64_t batch = json_get_i64(spec, "batch", 0);

        if (!role)
                return -EINVAL;
        if (timeout < 1 || timeout > 24 * 3600 * 1000) {
                strbuf_add(reterr, "the row's spec has no \"timeout_ms\" between 1 and 86400000");
                return -EINVAL;
        }
        if (batch < 0 || batch > STEP_BATCH_MAX) {
                strbuf_add(reterr, "\"batch\" of the row's spec is not within 1 and 5000");
                return -EINVAL;
        }
        s->timeout = (usec_t)timeout * USEC_PER_MSEC;
        s->batch = (uint32_t)batch;
        return step_copy(role, &s->role, reterr);
}

int step_statement_build(const char *kind_name, const Json *spec, StepStatement *ret,
                         StrBuf *reterr) {
        const StepKind *kind = step_kind_find(kind_name);
        StepStatement s = { 0 };
        int r;

        if (!kind) {
                strbuf_add(reterr, "unknown kind of step \"");
                strbuf_add_escaped(reterr, kind_name, strlen(kind_name));
                strbuf_add(reterr, "\"; a newer rollbackd may know it");
                return -EINVAL;
        }
        r = read_common(spec, &s, reterr);
        if (r == 0)
                r = kind->build(spec, &s, reterr);
        if (r < 0) {
                step_statement_done(&s);
                return r;
        }
        *ret = s;
        return 0;
}
