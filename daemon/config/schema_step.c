/* schema_step.c: the keys of `rollback.steps`. */
#include "config.h"
#include "config_schema_rows.h"

static const char *step_kind_word(unsigned i) {
        static const char *const words[_STEP_KIND_MAX] = {
                [STEP_SQL] = "sql",
                [STEP_CACHE] = "cache",
                [STEP_SESSION] = "session",
        };
        return words[i];
}

static const char *on_error_word(unsigned i) {
        static const char *const words[] = { "continue", "abort" };
        return words[i];
}

static const char *store_word(_unused_ unsigned i) {
        return "postgres";
}

static const ConfigWords step_kinds = { _STEP_KIND_MAX, step_kind_word };
static const ConfigWords on_errors = { 2, on_error_word };
static const ConfigWords stores = { 1, store_word };

static const ConfigKey rows[] = {
        { SECTION_STEP, "kind", KIND_ENUM, AT(StepConfig, kind), .words = &step_kinds,
          .required = true, .help = "what to do" },
        { SECTION_STEP, "atomic", KIND_BOOL, AT(StepConfig, atomic), .fallback = "false",
          .kinds = BIT(STEP_SQL), .help = "true: in the transaction that moves the pointer" },
        { SECTION_STEP, "on_error", KIND_ENUM, AT(StepConfig, abort_on_error), .words = &on_errors,
          .fallback = "continue", .kinds = BIT(STEP_SQL),
          .help = "abort: without this step the pointer does not move; only with atomic" },
        { SECTION_STEP, "role", KIND_IDENTIFIER, AT(StepConfig, role),
          .help = "the PostgreSQL role that it runs as" },
        { SECTION_STEP, "statement", KIND_TEXT, AT(StepConfig, statement), .required = true,
          .minimum = "1", .maximum = "65536", .kinds = BIT(STEP_SQL), .help = "one SQL statement" },
        { SECTION_STEP, "store", KIND_WORD, AT(StepConfig, store), .words = &stores,
          .kinds = BIT(STEP_CACHE) | BIT(STEP_SESSION), .help = "where the rows are" },
        { SECTION_STEP, "table", KIND_TABLE, AT(StepConfig, table),
          .kinds = BIT(STEP_CACHE) | BIT(STEP_SESSION), .help = "table to delete from" },
        { SECTION_STEP, "key", KIND_IDENTIFIER, AT(StepConfig, key), .kinds = BIT(STEP_CACHE),
          .help = "column of the cache key" },
        { SECTION_STEP, "prefix", KIND_TEXT, AT(StepConfig, prefix), .minimum = "1",
          .maximum = "512", .kinds = BIT(STEP_CACHE),
          .help = "keys that start with this are deleted" },
        { SECTION_STEP, "delimiter", KIND_TEXT, AT(StepConfig, delimiter), .fallback = ":",
          .minimum = "0", .maximum = "1", .kinds = BIT(STEP_CACHE),
          .help = "character at which the prefix ends, so that user does not match users; empty: "
                  "none" },
        { SECTION_STEP, "where", KIND_TEXT, AT(StepConfig, where), .minimum = "1",
          .maximum = "65536", .kinds = BIT(STEP_SESSION),
          .help = "SQL condition of the sessions to delete" },
        { SECTION_STEP, "generation", KIND_NAME, AT(StepConfig, generation),
          .kinds = BIT(STEP_CACHE) | BIT(STEP_SESSION),
          .help = "count this generation up instead of deleting" },
        { SECTION_STEP, "batch", KIND_INTEGER, AT(StepConfig, batch), .fallback = "1000",
          .minimum = "1", .maximum = "5000", .kinds = BIT(STEP_CACHE) | BIT(STEP_SESSION),
          .help = "rows per commit" },
        { SECTION_STEP, "timeout", KIND_DURATION, AT(StepConfig, timeout), .fallback = "5s",
          .minimum = "10ms", .maximum = "10m",
          .help = "of one statement; an atomic one has always 5s" },
};

const ConfigTable config_schema_step = { rows, ELEMENTSOF(rows) };
