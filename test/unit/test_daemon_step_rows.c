/* A policy's steps as rows, generations, atomic statements; and what a broken row says.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "json.h"
#include "step_kinds.h"
#include "steps.h"

static StepConfig steps[] = {
        { .kind = STEP_CACHE,
          .role = (char *)"r",
          .table = (char *)"shop.cache",
          .key = (char *)"ke\"y",
          .prefix = (char *)"a_b",
          .delimiter = (char *)":",
          .batch = 5000,
          .timeout = 30 * USEC_PER_SEC,
          .line = 11 },
        { .kind = STEP_SQL,
          .atomic = true,
          .abort_on_error = true,
          .role = (char *)"users_rollback",
          .statement = (char *)"UPDATE users SET version = :to WHERE version = :from AND at > "
                               ":released_at",
          .timeout = 5 * USEC_PER_SEC,
          .line = 12 },
        { .kind = STEP_CACHE, .generation = (char *)"user", .line = 13 },
        { .kind = STEP_SESSION,
          .role = (char *)"r",
          .table = (char *)"session",
          .where = (char *)"created_at >= :released_at -- all of it",
          .batch = 100,
          .timeout = USEC_PER_SEC,
          .line = 14 },
        { .kind = STEP_SESSION, .generation = (char *)"login", .line = 15 },
        { .kind = STEP_SQL,
          .role = (char *)"r",
          .statement = (char *)"SELECT 1",
          .timeout = USEC_PER_SEC,
          .line = 16 },
        { .kind = STEP_CACHE, .generation = (char *)"user", .line = 17 },
};

static ServiceConfig config = {
        .path = (char *)"users.conf",
        .steps = steps,
        .n_steps = ELEMENTSOF(steps),
        .policy = { .rollback = { .settle = 2500 * USEC_PER_MSEC } },
};

static const Json *row_of(const Json *rows, size_t i, const char *kind, bool atomic) {
        const Json *row = json_at(rows, i);

        assert_non_null(row);
        assert_int_equal(json_get_i64(row, "n", 0), (int64_t)i + 1);
        assert_string_equal(json_get_text(row, "kind", ""), kind);
        assert_true(json_get_bool(row, "atomic", !atomic) == atomic);
        assert_null(json_get(row, "host"));
        return json_get(row, "spec");
}

static void test_rows(_unused_ void **state) {
        STRBUF(error, 256);
        _cleanup_(freep) char *text = step_rows(&config);
        Json *rows;

        assert_non_null(text);
        rows = json_parse(text, strlen(text), &error);
        assert_non_null(rows);
        assert_int_equal(json_length(rows), 5);
        assert_string_equal(json_get_text(row_of(rows, 0, "sql", true), "role", ""),
                            "users_rollback");
        assert_string_equal(json_get_text(row_of(rows, 1, "cache", false), "prefix", ""), "a_b");
        assert_null(json_get(json_at(rows, 1), "not_before_seconds"));
        assert_string_equal(json_get_text(row_of(rows, 2, "session", false), "table", ""),
                            "session");
        assert_string_equal(json_get_text(row_of(rows, 3, "sql", false), "statement", ""),
                            "SELECT 1");
        /* The cache once more, when requests of the bad version have ended. */
        assert_string_equal(json_get_text(row_of(rows, 4, "cache", false), "prefix", ""), "a_b");
        assert_true(json_get_double(json_at(rows, 4), "not_before_seconds", 0) == 2.5);
        json_free(rows);
}

static void test_generations(_unused_ void **state) {
        const char *names[CONFIG_STEPS_MAX];

        assert_int_equal(step_generations(&config, names), 2);
        assert_string_equal(names[0], "user");
        assert_string_equal(names[1], "login");
}

static void test_atomics(_unused_ void **state) {
        STRBUF(error, 256);
        StepParameters values = { .service = "s",
                                  .operation = "id",
                                  .from = "2",
                                  .to = "1",
                                  .from_epoch = 7,
                                  .to_epoch = 8 };
        char number[STEP_NUMBER_SIZE];
        StepAtomic *atomics;
        size_t n;

        assert_int_equal(step_atomics(&config, &atomics, &n, &error), 0);
        assert_int_equal(n, 1);
        assert_int_equal(atomics[0].n, 1);
        assert_true(atomics[0].abort_on_error);
        assert_string_equal(atomics[0].role, "users_rollback");
        assert_string_equal(atomics[0].statement, "UPDATE users SET version = $1::text WHERE "
                                                  "version = $2::text AND at > $3::timestamptz");
        assert_int_equal(atomics[0].n_parameters, 3);
        assert_string_equal(step_parameter_value(&values, atomics[0].parameters[0], number), "1");
        assert_string_equal(step_parameter_value(&values, atomics[0].parameters[1], number), "2");
        assert_null(step_parameter_value(&values, atomics[0].parameters[2], number));
        assert_string_equal(step_parameter_value(&values, SQL_FROM_EPOCH, number), "7");
        assert_string_equal(step_parameter_value(&values, SQL_TO_EPOCH, number), "8");
        assert_string_equal(step_parameter_value(&values, SQL_SERVICE, number), "s");
        assert_string_equal(step_parameter_value(&values, SQL_OPERATION, number), "id");
        step_atomics_free(atomics, n);
}

static void test_statements(_unused_ void **state) {
        StepStatement s;
        STRBUF(error, 256);

        assert_int_equal(step_statement_of(&steps[0], &s, &error), 0);
        assert_int_equal(s.n_parameters + s.n_own, 2);
        assert_non_null(strstr(s.sql, "FROM \"shop\".\"cache\" WHERE \"ke\"\"y\" LIKE $1::text"));
        step_statement_done(&s);
        assert_int_equal(step_statement_of(&steps[3], &s, &error), 0);
        assert_int_equal(s.n_parameters + s.n_own, 1);
        assert_non_null(strstr(s.sql, "(created_at >= $1::timestamptz -- all of it\n)"));
        step_statement_done(&s);
        steps[5].statement = (char *)"SELECT :form";
        assert_int_equal(step_statement_of(&steps[5], &s, &error), -EINVAL);
        steps[5].statement = (char *)"SELECT 1";
        assert_non_null(strstr(error.text, "unknown parameter :form"));
}

typedef struct BadSpec {
        const char *kind, *spec, *words;
} BadSpec;

static const BadSpec bad_specs[] = {
        { "teleport", "{}", "unknown kind of step \"teleport\"" },
        { "sql", "{\"timeout_ms\": 5}", "no text \"role\"" },
        { "sql", "{\"role\": \"r\", \"statement\": \"SELECT 1\"}", "no \"timeout_ms\"" },
        { "sql", "{\"role\": \"r\", \"timeout_ms\": 5}", "no text \"statement\"" },
        { "sql", "{\"role\": \"r\", \"timeout_ms\": 5, \"statement\": \"SELECT 1; SELECT 2\"}",
          "more than one statement" },
        { "cache",
          "{\"role\": \"r\", \"timeout_ms\": 5, \"table\": \"a.b.c\", \"key\": \"k\", \"prefix\": "
          "\"p\", \"batch\": 5}",
          "must be \"table\" or \"schema.table\"" },
        { "cache",
          "{\"role\": \"r\", \"timeout_ms\": 5, \"table\": \"t\", \"key\": \"k\", \"prefix\": "
          "\"p\"}",
          "no \"batch\"" },
        { "cache",
          "{\"role\": \"r\", \"timeout_ms\": 5, \"table\": \"t\", \"key\": \"k\", \"prefix\": "
          "\"p\", \"batch\": 5001}",
          "not within 1 and 5000" },
        { "cache",
          "{\"role\": \"r\", \"timeout_ms\": 5, \"table\": \"t\", \"key\": \"k\", \"batch\": 5}",
          "no text \"prefix\"" },
        { "session", "{\"role\": \"r\", \"timeout_ms\": 5, \"table\": \"t\", \"batch\": 5}",
          "no text \"where\"" },
};

static void test_bad_specs(_unused_ void **state) {
        for (size_t i = 0; i < ELEMENTSOF(bad_specs); i++) {
                STRBUF(error, 256);
                StepStatement statement;
                Json *spec = json_parse(bad_specs[i].spec, strlen(bad_specs[i].spec), &error);

                assert_non_null(spec);
                assert_int_equal(step_statement_build(bad_specs[i].kind, spec, &statement, &error),
                                 -EINVAL);
                if (!strstr(error.text, bad_specs[i].words))
                        fail_msg("%s: %s", bad_specs[i].spec, error.text);
                json_free(spec);
        }
}

/* What LIKE must not read as a wildcard, and where a prefix ends. */
static void test_patterns(_unused_ void **state) {
        static const struct {
                const char *prefix, *delimiter, *pattern, *first;
        } cases[] = {
                { "user:", ":", "user:%", NULL },    { "user", ":", "user:%", "user" },
                { "user", "", "user%", NULL },       { "a_b:", ":", "a\\_b:%", NULL },
                { "a%", ":", "a\\%:%", "a%" },       { "a\\b:", ":", "a\\\\b:%", NULL },
                { "user", "_", "user\\_%", "user" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                STRBUF(error, 256);
                StepConfig step = { .kind = STEP_CACHE,
                                    .role = (char *)"r",
                                    .table = (char *)"t",
                                    .key = (char *)"k",
                                    .batch = 1,
                                    .timeout = USEC_PER_SEC,
                                    .prefix = (char *)cases[i].prefix,
                                    .delimiter = (char *)cases[i].delimiter };
                StepStatement s;
                Json *spec = step_spec_new(&step);

                assert_int_equal(step_statement_build("cache", spec, &s, &error), 0);
                assert_string_equal(s.own[0], cases[i].pattern);
                if (cases[i].first)
                        assert_string_equal(s.first_own, cases[i].first);
                else
                        assert_null(s.first_sql);
                step_statement_done(&s);
                json_free(spec);
        }
}

static void test_retry_delay(_unused_ void **state) {
        uint64_t seed = 1;

        for (unsigned attempt = 0; attempt < 70; attempt++) {
                usec_t most = attempt < 6 ? (USEC_PER_SEC / 2) << attempt : 30 * USEC_PER_SEC;
                usec_t largest = 0;

                for (unsigned i = 0; i < 200; i++) {
                        usec_t delay = step_retry_delay(attempt, &seed);
                        assert_true(delay < MIN(most, 30 * USEC_PER_SEC));
                        largest = MAX(largest, delay);
                }
                assert_true(largest > MIN(most, 30 * USEC_PER_SEC) / 2);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_rows),        cmocka_unit_test(test_generations),
                cmocka_unit_test(test_atomics),     cmocka_unit_test(test_statements),
                cmocka_unit_test(test_bad_specs),   cmocka_unit_test(test_patterns),
                cmocka_unit_test(test_retry_delay),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
