/* Rows of load() to ServiceFacts: a row parses in full, or not at all. */
#include "ledger_facts.h"

#include <errno.h>
#include <math.h>

#include "json.h"
#include "number.h"

const char ledger_load_sql[] =
        "SELECT * FROM rollbackd.load($1::text[], $2::interval[], $3::interval[])";

void ledger_array_add(StrBuf *b, const char *text) {
        strbuf_add_char(b, b->length == 0 ? '{' : ',');
        strbuf_add_char(b, '"');
        for (const char *c = text; *c; c++) {
                if (*c == '"' || *c == '\\')
                        strbuf_add_char(b, '\\');
                strbuf_add_char(b, *c);
        }
        strbuf_add_char(b, '"');
}

const char *ledger_interval(usec_t t, char ret[static LEDGER_INTERVAL_SIZE]) {
        StrBuf b;

        t = MIN(t, 36500 * USEC_PER_DAY);
        strbuf_init(&b, ret, LEDGER_INTERVAL_SIZE);
        strbuf_add_u64(&b, t / USEC_PER_SEC);
        strbuf_add_char(&b, '.');
        for (usec_t digit = USEC_PER_SEC / 10; digit > 0; digit /= 10)
                strbuf_add_char(&b, (char)('0' + t / digit % 10));
        strbuf_add(&b, " seconds");
        return ret;
}

int ledger_parse_u64(const char *cell, uint64_t *ret) {
        return cell ? number_parse_u64(cell, strlen(cell), ret) : -EINVAL;
}

int ledger_parse_bool(const char *cell, bool *ret) {
        if (!cell || (!streq(cell, "t") && !streq(cell, "f")))
                return -EINVAL;
        *ret = streq(cell, "t");
        return 0;
}

static int usec_of(double seconds, usec_t *ret) {
        if (isnan(seconds) || seconds < 0)
                return -EINVAL;
        *ret = seconds >= 1e12 ? USEC_INFINITY : (usec_t)(seconds * USEC_PER_SEC);
        return 0;
}

int ledger_parse_seconds(const char *cell, usec_t *ret) {
        double seconds;

        if (!cell)
                return -EINVAL;
        if (streq(cell, "Infinity")) {
                *ret = USEC_INFINITY;
                return 0;
        }
        if (number_parse_double(cell, strlen(cell), &seconds) < 0)
                return -EINVAL;
        return usec_of(seconds, ret);
}

/* What is left of a span as the instant at which it ends; 0 stays 0, "not". */
static int parse_until(const char *cell, usec_t now, usec_t *ret) {
        usec_t left;

        if (ledger_parse_seconds(cell, &left) < 0)
                return -EINVAL;
        *ret = left == 0 ? 0 : usec_add(now, left);
        return 0;
}

static int copy_name(const char *text, char ret[static NAME_SIZE]) {
        size_t n = text ? strlen(text) : 0;

        if (n == 0 || n >= NAME_SIZE)
                return -EINVAL;
        memcpy(ret, text, n + 1);
        return 0;
}

static int read_bool(const Json *object, const char *key, bool *ret) {
        const Json *value = json_get(object, key);

        if (!value || !json_is_bool(value))
                return -EINVAL;
        *ret = json_bool_value(value);
        return 0;
}

static int read_epoch(const Json *object, const char *key, uint64_t *ret) {
        int64_t value = json_get_i64(object, key, 0);

        if (value <= 0)
                return -EINVAL;
        *ret = (uint64_t)value;
        return 0;
}

static int read_operation(const Json *value, usec_t now, OpenOperation *ret) {
        const char *id = json_get_text(value, "id", "");
        const Json *age = json_get(value, "opened_age");
        int kind = operation_kind_from_string(json_get_text(value, "kind", ""));
        int state = operation_state_from_string(json_get_text(value, "state", ""));
        usec_t opened;

        if (strlen(id) != OPERATION_ID_SIZE - 1 || kind < 0 || state < OPERATION_COMMITTED ||
            !age || !json_is_number(age) || usec_of(json_number_value(age), &opened) < 0 ||
            read_bool(value, "automatic", &ret->automatic) < 0 ||
            read_bool(value, "steps", &ret->has_steps) < 0 ||
            read_epoch(value, "from_epoch", &ret->from_epoch) < 0 ||
            read_epoch(value, "to_epoch", &ret->to_epoch) < 0 ||
            copy_name(json_get_text(value, "from_version", NULL), ret->from_version) < 0 ||
            copy_name(json_get_text(value, "to_version", NULL), ret->to_version) < 0)
                return -EINVAL;
        memcpy(ret->id, id, OPERATION_ID_SIZE);
        ret->kind = (OperationKind)kind;
        ret->state = (OperationState)state;
        ret->opened = usec_sub(now, opened);
        return 0;
}

static int read_candidate(const Json *value, Candidate *ret) {
        if (copy_name(json_get_text(value, "version", NULL), ret->version) < 0 ||
            read_epoch(value, "epoch", &ret->epoch) < 0 ||
            read_bool(value, "stable", &ret->stable) < 0 ||
            read_bool(value, "quarantined", &ret->quarantined) < 0 ||
            read_bool(value, "behind_barrier", &ret->behind_barrier) < 0 ||
            read_bool(value, "schema_fits", &ret->schema_fits) < 0 ||
            read_bool(value, "previous", &ret->previous) < 0)
                return -EINVAL;
        return 0;
}

static int read_candidates(const Json *list, ServiceFacts *ret) {
        if (!json_is_array(list) || json_length(list) > CANDIDATES_MAX)
                return -EINVAL;
        for (size_t i = 0; i < json_length(list); i++)
                if (read_candidate(json_at(list, i), &ret->candidates[i]) < 0)
                        return -EINVAL;
        ret->n_candidates = json_length(list);
        return 0;
}

/* The columns that are values of their own. Returns 0, or -EINVAL with the column's name in
 * *reterr. */
static int parse_columns(const PgResult *r, size_t row, usec_t now, ServiceFacts *f,
                         const char **reterr) {
        const char *kind = pg_value(r, row, "kind");
        int release_kind = kind ? release_kind_from_string(kind) : -EINVAL;
        uint64_t used = 0;
        usec_t age;

#define COLUMN(name, expression)                                                                   \
        do {                                                                                       \
                const char *cell = pg_value(r, row, name);                                         \
                *reterr = name;                                                                    \
                if ((expression) < 0)                                                              \
                        return -EINVAL;                                                            \
        } while (false)

        COLUMN("version", copy_name(cell, f->version));
        COLUMN("epoch", ledger_parse_u64(cell, &f->epoch));
        COLUMN("kind", cell ? release_kind : -EINVAL);
        COLUMN("released_age", ledger_parse_seconds(cell, &age));
        COLUMN("paused_left", parse_until(cell, now, &f->paused_until));
        COLUMN("pinned_left", parse_until(cell, now, &f->pinned_until));
        COLUMN("deploying", ledger_parse_bool(cell, &f->deploying));
        COLUMN("automatic", ledger_parse_bool(cell, &f->automatic));
        COLUMN("stable", ledger_parse_bool(cell, &f->stable));
        COLUMN("cooldown_left", parse_until(cell, now, &f->cooldown_until));
        COLUMN("budget_used", ledger_parse_u64(cell, &used));
        COLUMN("budget_free_in", parse_until(cell, now, &f->budget_free_at));
        COLUMN("resumes", ledger_parse_u64(cell, &f->resumes));
#undef COLUMN
        f->kind = (ReleaseKind)release_kind;
        f->released = now > age ? now - age : 0;
        f->budget_used = (uint32_t)MIN(used, UINT32_MAX);
        return 0;
}

static int parse_json(const char *cell, Json **ret) {
        STRBUF(error, 128);
        Json *j = json_parse(cell, strlen(cell), &error);

        if (!j)
                return -EINVAL;
        *ret = j;
        return 0;
}

int ledger_facts_parse(const PgResult *r, size_t row, usec_t now, ServiceFacts *ret,
                       const char **reterr_column) {
        const char *operation = pg_value(r, row, "operation");
        const char *candidates = pg_value(r, row, "candidates");
        _cleanup_(json_freep) Json *list = NULL;
        _cleanup_(json_freep) Json *open = NULL;
        ServiceFacts facts = { 0 };
        int k = parse_columns(r, row, now, &facts, reterr_column);

        if (k < 0)
                return k;
        *reterr_column = "operation";
        if (operation &&
            (parse_json(operation, &open) < 0 || read_operation(open, now, &facts.operation) < 0))
                return -EINVAL;
        *reterr_column = "candidates";
        if (!candidates || parse_json(candidates, &list) < 0 || read_candidates(list, &facts) < 0)
                return -EINVAL;
        *ret = facts;
        return 0;
}
