#include "config_check.h"
#include "sql_lexer.h"

/* Keys that mean nothing beside `generation`. */
static const char *const deleting_keys[] = { "store", "table", "key",   "prefix", "delimiter",
                                             "where", "role",  "batch", "timeout" };

/* What the daemon's sessions give every statement, and the transaction that moves the pointer sets
 * nothing else. */
#define ATOMIC_TIMEOUT (5 * USEC_PER_SEC)

typedef struct StepContext {
        StepConfig *step;
        const ConfigNode *node;
        size_t index;
        ConfigErrors *errors;
} StepContext;

static void refuse(const StepContext *s, const char *key, const char *words) {
        const ConfigNode *n = config_node_get(s->node, key);
        STRBUF(path, CONFIG_PATH_SIZE);

        strbuf_add(&path, "rollback.steps[");
        strbuf_add_u64(&path, s->index);
        strbuf_add(&path, "].");
        strbuf_add(&path, key);
        config_errors_add(s->errors, n ? config_node_line(n) : s->step->line, path.text, words);
}

static void require(const StepContext *s, const char *value, const char *key, const char *words) {
        if (!value)
                refuse(s, key, words);
}

static void check_text(const StepContext *s, SqlForm form, const char *text, const char *key) {
        STRBUF(words, 640);

        if (text && sql_check(form, text, &words) < 0)
                refuse(s, key, words.text);
}

static void check_sql(const StepContext *s) {
        require(s, s->step->role, "role",
                "is missing; write the PostgreSQL role that the statement runs as");
        check_text(s, SQL_STATEMENT, s->step->statement, "statement");
        if (s->step->atomic && s->step->timeout != ATOMIC_TIMEOUT)
                refuse(s, "timeout",
                       "is not 5s, the time of every atomic statement, which holds the service's "
                       "row; remove it");
        if (!s->step->abort_on_error || s->step->atomic)
                return;
        refuse(s, "on_error",
               "is \"abort\", but the step runs after the pointer has moved; write atomic = true "
               "too, or remove it");
}

static void check_generation(const StepContext *s) {
        for (size_t i = 0; i < ELEMENTSOF(deleting_keys); i++)
                if (config_node_get(s->node, deleting_keys[i]))
                        refuse(s, deleting_keys[i],
                               "has no meaning beside generation, which stands alone; remove one "
                               "of them");
        /* Their defaults have none either. */
        free(s->step->delimiter);
        s->step->delimiter = NULL;
        s->step->batch = 0;
        s->step->timeout = 0;
}

static void check_deleting(const StepContext *s) {
        require(s, s->step->store, "store", "is missing; write \"postgres\", or generation alone");
        require(s, s->step->role, "role", "is missing; write the PostgreSQL role that deletes");
        require(s, s->step->table, "table", "is missing; write the table to delete from");
        if (s->step->kind == STEP_SESSION) {
                require(s, s->step->where, "where",
                        "is missing; write the SQL condition of the sessions to delete");
                check_text(s, SQL_CONDITION, s->step->where, "where");
                return;
        }
        require(s, s->step->key, "key", "is missing; write the column of the cache key");
        require(s, s->step->prefix, "prefix",
                "is missing; write what the keys to delete start with");
}

static void check_step(const StepContext *s) {
        if (s->step->kind == STEP_SQL)
                check_sql(s);
        else if (s->step->generation)
                check_generation(s);
        else
                check_deleting(s);
}

void config_check_steps(ServiceConfig *c, const ConfigNode *root, ConfigErrors *e) {
        const ConfigNode *rollback = config_node_get(root, "rollback");
        const ConfigNode *steps = c->n_steps > 0 ? config_node_get(rollback, "steps") : NULL;

        for (size_t i = 0; i < c->n_steps; i++) {
                StepContext s = { .step = &c->steps[i],
                                  .node = config_node_at(steps, i),
                                  .index = i,
                                  .errors = e };

                if (s.step->line > 0)
                        check_step(&s);
        }
}
