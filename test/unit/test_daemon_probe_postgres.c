/* The postgres probe against a real server: what it says of itself, the forms of a row, and whose
 * fault an error is. */
#include "postgres_visits.h"

#include <math.h>

static void a_server_that_answers_is_good(void **state _unused_) {
        const Result *r = ask(NULL);

        assert_result(r, OUTCOME_OK, "");
        assert_string_equal(r->words, "");
        assert_int_equal(r->n_values, 2);
        assert_true(result_value(r, "in_recovery") == 0);
        assert_true(result_value(r, "connect_seconds") > 0);
        assert_true(result_value(r, "connect_seconds") < 60);
}

static void the_numbers_of_the_row_are_values(void **state _unused_) {
        const Result *r = ask("SELECT 7 AS n, 2::int8 AS big, 3::int2 AS small, 0.25 AS share,"
                              " 1.5::float8 AS f, 2.5::float4 AS g, true AS yes, false AS no,"
                              " NULL::int AS nothing, 'NaN'::float8 AS nan, 'text' AS text,"
                              " now() AS at");

        assert_result(r, OUTCOME_OK, "");
        assert_int_equal(r->n_values, 2 + 10);
        assert_true(result_value(r, "n") == 7 && result_value(r, "big") == 2);
        assert_true(result_value(r, "small") == 3 && result_value(r, "share") == 0.25);
        assert_true(result_value(r, "f") == 1.5 && result_value(r, "g") == 2.5);
        assert_true(result_value(r, "yes") == 1 && result_value(r, "no") == 0);
        assert_true(isnan(result_value(r, "nothing")) && isnan(result_value(r, "nan")));
        r = ask("SELECT 5 AS in_recovery");
        assert_int_equal(r->n_values, 2);
        assert_true(result_value(r, "in_recovery") == 5);
}

static void a_query_gives_one_row(void **state _unused_) {
        assert_result(ask("SELECT 1 AS n WHERE false"), OUTCOME_NO_DATA, "no row");
        assert_result(ask("SELECT 1 AS n UNION SELECT 2"), OUTCOME_LOCAL, "several rows");
        assert_result(ask("SELECT generate_series(1, 1000000000) AS n"), OUTCOME_LOCAL,
                      "several rows");
        assert_result(ask("SET work_mem = '1MB'"), OUTCOME_LOCAL, "gives no rows");
        assert_result(ask("SELECT 1"), OUTCOME_LOCAL, "column ?column? cannot be");
        assert_result(ask("SELECT 1 a, 1 b, 1 c, 1 d, 1 e, 1 f, 1 g, 1 h, 1 i, 1 j, 1 k, 1 l, 1 m,"
                          " 1 n, 1 o"),
                      OUTCOME_LOCAL, "more than 16 values");
        assert_result(ask("COPY pg_class TO STDOUT"), OUTCOME_LOCAL, "");
}

static void an_answer_is_bounded(void **state _unused_) {
        assert_result(ask("SELECT 1 AS n, repeat('x', 500000) AS text"), OUTCOME_OK, "");
        assert_result(ask("SELECT 1 AS n, repeat('x', 30000000) AS text"), OUTCOME_LOCAL, "1MiB");
}

static void our_own_mistakes_are_ours(void **state _unused_) {
        assert_result(ask("SELEC 1"), OUTCOME_LOCAL, "42601: syntax error");
        assert_result(ask("SELECT 1 AS a; SELECT 2 AS b"), OUTCOME_LOCAL, "42601");
        assert_result(ask("SELECT n FROM no_such_table"), OUTCOME_LOCAL, "42P01");
        assert_result(ask("SELECT 1 / 0 AS n"), OUTCOME_LOCAL, "22012: division by zero");
        assert_result(visit("service=no-such-service", NULL), OUTCOME_LOCAL, "no-such-service");
        assert_result(visit("host=/nonexistent,/nonexistent2", NULL), OUTCOME_LOCAL,
                      "several hosts");
}

static void nothing_is_written(void **state _unused_) {
        sql("CREATE TABLE kept (n int)");
        assert_result(ask("INSERT INTO kept VALUES (1) RETURNING n"), OUTCOME_LOCAL, "25006");
        assert_result(ask("DO $$BEGIN COMMIT; SET TRANSACTION READ WRITE;"
                          " INSERT INTO kept VALUES (2); END$$"),
                      OUTCOME_LOCAL, "2D000");
        assert_result(ask("SELECT set_config('transaction_read_only', 'off', true)"), OUTCOME_LOCAL,
                      "");
        assert_result(ask("CREATE TABLE other (n int)"), OUTCOME_LOCAL, "25006");
        assert_string_equal(sql("SELECT count(*) FROM kept"), "0");
        sql("DROP TABLE kept");
}

static void what_the_server_says_is_wrong_is_bad(void **state _unused_) {
        sql("CREATE FUNCTION unwell() RETURNS int LANGUAGE plpgsql AS"
            " $$BEGIN RAISE 'the disk is full'; END$$");
        assert_result(ask("SELECT unwell() AS n"), OUTCOME_ERROR, "P0001: the disk is full");
        assert_int_equal(outcome_verdict(OUTCOME_ERROR), TRI_BAD);
        sql("DROP FUNCTION unwell()");
}

static void who_is_not_let_in_learns_nothing(void **state _unused_) {
        char conninfo[240];

        sql("CREATE ROLE plain LOGIN; CREATE TABLE secret (n int)");
        (void)snprintf(conninfo, sizeof conninfo, "%s user=plain", server.conninfo);
        assert_result(visit(conninfo, "SELECT n FROM secret"), OUTCOME_DENIED, "42501");
        (void)snprintf(conninfo, sizeof conninfo, "%s user=nobody-knows", server.conninfo);
        assert_result(visit(conninfo, NULL), OUTCOME_DENIED, "28000");
        (void)snprintf(conninfo, sizeof conninfo, "%s dbname=no-such-database", server.conninfo);
        assert_result(visit(conninfo, NULL), OUTCOME_LOCAL, "3D000");
        sql("DROP TABLE secret; DROP ROLE plain");
}

static void the_role_is_judged(void **state _unused_) {
        Harness h;

        visit_init(&h, server.conninfo, NULL);
        h.probe.postgres.role = ROLE_PRIMARY;
        assert_result(visit_go(&h), OUTCOME_OK, "");
        visit_init(&h, server.conninfo, NULL);
        h.probe.postgres.role = ROLE_REPLICA;
        assert_result(visit_go(&h), OUTCOME_BAD_STATE, "is a primary, not a replica");
}

static const char *backends(void) {
        return sql("SELECT count(*) FROM pg_stat_activity"
                   " WHERE application_name = 'rollbackd-probe'");
}

static void wait_for_backends_to_end(void) {
        for (unsigned i = 0; strcmp(backends(), "0") != 0; i++)
                if (i == 1000)
                        fail_msg("the server still works for a probe that is over");
                else
                        sql("SELECT pg_sleep(0.02)");
}

static void a_slow_query_is_bad_and_stops(void **state _unused_) {
        Harness h;

        visit_init(&h, server.conninfo, "SELECT 1 AS n FROM pg_sleep(600)");
        h.probe.timeout = 300 * USEC_PER_MSEC;
        const Result *r = visit_go(&h);
        assert_int_equal(r->outcome, OUTCOME_TIMEOUT);
        if (!strstr(r->words, "57014"))
                assert_string_equal(r->words, "no answer within 300 ms");
        wait_for_backends_to_end();
}

static void a_probe_leaves_no_session(void **state _unused_) {
        for (unsigned i = 0; i < 20; i++)
                assert_result(ask("SELECT 1 AS n"), OUTCOME_OK, "");
        wait_for_backends_to_end();
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_server_that_answers_is_good),
                cmocka_unit_test(the_numbers_of_the_row_are_values),
                cmocka_unit_test(a_query_gives_one_row),
                cmocka_unit_test(an_answer_is_bounded),
                cmocka_unit_test(our_own_mistakes_are_ours),
                cmocka_unit_test(nothing_is_written),
                cmocka_unit_test(what_the_server_says_is_wrong_is_bad),
                cmocka_unit_test(who_is_not_let_in_learns_nothing),
                cmocka_unit_test(the_role_is_judged),
                cmocka_unit_test(a_slow_query_is_bad_and_stops),
                cmocka_unit_test(a_probe_leaves_no_session),
        };

        return cmocka_run_group_tests(tests, start_server, stop_server);
}
