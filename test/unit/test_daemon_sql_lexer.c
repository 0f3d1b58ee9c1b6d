/* The lexer of policy statements: what is a parameter, what is not, and what is refused. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "sql_lexer.h"

typedef struct Case {
        const char *in;
        const char *out; /* NULL: refused */
        const char *parameters;
        size_t at; /* refused: where */
        const char *words;
} Case;

static const Case cases[] = {
        { "UPDATE users SET version = :to WHERE version = :from",
          "UPDATE users SET version = $1::text WHERE version = $2::text", "to from", 0, NULL },
        { "SELECT :to, :to", "SELECT $1::text, $2::text", "to to", 0, NULL },
        { "SELECT :service,:from_epoch,:to_epoch,:released_at,:operation",
          "SELECT $1::text,$2::bigint,$3::bigint,$4::timestamptz,$5::uuid",
          "service from_epoch to_epoch released_at operation", 0, NULL },
        { "SELECT :released_at::date", "SELECT $1::timestamptz::date", "released_at", 0, NULL },
        { "SELECT a::text FROM t", "SELECT a::text FROM t", "", 0, NULL },
        { "SELECT ':to', ''':to'", "SELECT ':to', ''':to'", "", 0, NULL },
        { "SELECT 'a\\', :to", "SELECT 'a\\', $1::text", "to", 0, NULL },
        { "SELECT E'a\\':to', :from", "SELECT E'a\\':to', $1::text", "from", 0, NULL },
        { "SELECT e'\\\\', :from", "SELECT e'\\\\', $1::text", "from", 0, NULL },
        { "SELECT E'a'\n'\\':to', :from", "SELECT E'a'\n'\\':to', $1::text", "from", 0, NULL },
        { "SELECT E'a' -- x\n -- y\n '\\':to', :from",
          "SELECT E'a' -- x\n -- y\n '\\':to', $1::text", "from", 0, NULL },
        { "SELECT E'a' '\\':to'", NULL, NULL, 18, "a string is not closed" },
        { "SELECT E'a'\n -- y\n '\\':to', :from", "SELECT E'a'\n -- y\n '\\':to', $1::text", "from",
          0, NULL },
        { "SELECT typeE'\\', :from", "SELECT typeE'\\', $1::text", "from", 0, NULL },
        { "SELECT U&'\\0041:to', U&\":to\"", "SELECT U&'\\0041:to', U&\":to\"", "", 0, NULL },
        { "SELECT \"a:to\"\"b\"", "SELECT \"a:to\"\"b\"", "", 0, NULL },
        { "SELECT 1 -- :to\n, :from", "SELECT 1 -- :to\n, $1::text", "from", 0, NULL },
        { "SELECT /* :to /* :from */ ; */ :to", "SELECT /* :to /* :from */ ; */ $1::text", "to", 0,
          NULL },
        { "SELECT $$:to$$, $x$ $$ :to $y$ $x$", "SELECT $$:to$$, $x$ $$ :to $y$ $x$", "", 0, NULL },
        { "SELECT a$b$:to", "SELECT a$b$$1::text", "to", 0, NULL },
        { "SELECT a[1:n], a[n:m], a[:n], a[f(1):2], a[b[1]:c]",
          "SELECT a[1:n], a[n:m], a[:n], a[f(1):2], a[b[1]:c]", "", 0, NULL },
        { "SELECT a[1:service]", "SELECT a[1:service]", "", 0, NULL },
        { "SELECT a[1 : service]", "SELECT a[1 : service]", "", 0, NULL },
        { "DELETE FROM t WHERE v = ANY (ARRAY[:from, :to])",
          "DELETE FROM t WHERE v = ANY (ARRAY[$1::text, $2::text])", "from to", 0, NULL },
        { "CALL f(a := :to)", "CALL f(a := $1::text)", "to", 0, NULL },
        { "SELECT j ?:to, j ?|ARRAY[:to], a<=:to_epoch, -:to_epoch",
          "SELECT j ?$1::text, j ?|ARRAY[$2::text], a<=$3::bigint, -$4::bigint",
          "to to to_epoch to_epoch", 0, NULL },
        { "SELECT '?:to'", "SELECT '?:to'", "", 0, NULL },
        { "SELECT 1;  -- done\n/* really */ ", "SELECT 1;  -- done\n/* really */ ", "", 0, NULL },
        { "SELECT \xc3\xa4:to", "SELECT \xc3\xa4$1::text", "to", 0, NULL },
        { "SELECT 1; SELECT 2", NULL, NULL, 10, "more than one statement" },
        { "SELECT 1;;", NULL, NULL, 9, "more than one statement" },
        { "SELECT :From", NULL, NULL, 7,
          "unknown parameter :From; write one of :service, :from, :to," },
        { "SELECT :from_epochs", NULL, NULL, 7, "unknown parameter :from_epochs" },
        { "SELECT a:n", NULL, NULL, 8, "unknown parameter :n" },
        { "SELECT 'open", NULL, NULL, 7, "a string is not closed" },
        { "SELECT E'open\\'", NULL, NULL, 8, "a string is not closed" },
        { "SELECT E'open\\", NULL, NULL, 8, "a string is not closed" },
        { "SELECT \"open", NULL, NULL, 7, "a quoted identifier is not closed" },
        { "SELECT 1 /* /* */", NULL, NULL, 9, "a comment is not closed" },
        { "SELECT $a$ $b$", NULL, NULL, 7, "a dollar-quoted string is not closed" },
        { "SELECT $a$ $a", NULL, NULL, 7, "a dollar-quoted string is not closed" },
        { "SELECT $1", NULL, NULL, 7, "$n cannot be written here" },
        { " -- nothing\n ;", NULL, NULL, 0, "there is no statement" },
        { "", NULL, NULL, 0, "there is no statement" },
        { "SELECT (1, (2))", "SELECT (1, (2))", "", 0, NULL },
        { "SELECT (1, (2)", NULL, NULL, 7, "a parenthesis is not closed" },
        { "SELECT (1)) + (2", NULL, NULL, 10, "a parenthesis is closed that was not opened" },
        { "SELECT ')' || \")\" -- )\n /* ) */ || $$)$$",
          "SELECT ')' || \")\" -- )\n /* ) */ || $$)$$", "", 0, NULL },
        /* The first keyword, and only the first. */
        { "commit", NULL, NULL, 0, "commit controls the transaction" },
        { "/* a */ -- b\n\tRollBack TO SAVEPOINT x", NULL, NULL, 14,
          "RollBack controls the transaction" },
        { "\"COMMIT\"", "\"COMMIT\"", "", 0, NULL },
        { "COMMITS", "COMMITS", "", 0, NULL },
        { "COMMIT_", "COMMIT_", "", 0, NULL },
        { "SELECT 1 AS commit", "SELECT 1 AS commit", "", 0, NULL },
        { "UPDATE t SET a = 1", "UPDATE t SET a = 1", "", 0, NULL },
        { "CALL f('COMMIT')", "CALL f('COMMIT')", "", 0, NULL },
};

static const Case conditions[] = {
        { "created_at >= :released_at -- those", "created_at >= $1::timestamptz -- those",
          "released_at", 0, NULL },
        { "a = ';' OR (b = ')' AND c IN (1, 2))", "a = ';' OR (b = ')' AND c IN (1, 2))", "", 0,
          NULL },
        { "commit", "commit", "", 0, NULL },
        { "true;", NULL, NULL, 4, "a condition is not a statement; remove the ;" },
        { "true) OR (true", NULL, NULL, 4, "a parenthesis is closed that was not opened" },
        { "(a = 1", NULL, NULL, 0, "a parenthesis is not closed" },
        { "a = 'open", NULL, NULL, 4, "a string is not closed" },
        { "true /* open", NULL, NULL, 5, "a comment is not closed" },
        { "v = :form", NULL, NULL, 4, "unknown parameter :form" },
        { " -- all", NULL, NULL, 0, "there is no condition" },
};

static void check_case(SqlForm form, const Case *c) {
        SqlParameter parameters[SQL_PARAMETERS_MAX];
        size_t n = 99, at = 99;
        STRBUF(out, 4096);
        STRBUF(error, 512);
        STRBUF(names, 512);
        int r = sql_lex_parameters(form, c->in, &out, parameters, &n, &at, &error);

        if (c->out == NULL) {
                if (r != -EINVAL)
                        fail_msg("accepted: %s", c->in);
                assert_int_equal(n, 99);
                assert_int_equal(at, c->at);
                if (strstr(error.text, c->words) == NULL)
                        fail_msg("%s: %s", c->in, error.text);
                return;
        }
        if (r < 0)
                fail_msg("refused: %s: %s", c->in, error.text);
        assert_string_equal(out.text, c->out);
        for (size_t i = 0; i < n; i++) {
                strbuf_add(&names, i > 0 ? " " : "");
                strbuf_add(&names, sql_parameter_to_string(parameters[i]));
        }
        assert_string_equal(names.text, c->parameters);
        assert_int_equal(at, 99);
}

static void test_cases(_unused_ void **state) {
        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                check_case(SQL_STATEMENT, &cases[i]);
        for (size_t i = 0; i < ELEMENTSOF(conditions); i++)
                check_case(SQL_CONDITION, &conditions[i]);
}

static void test_limits(_unused_ void **state) {
        SqlParameter parameters[SQL_PARAMETERS_MAX];
        size_t n, at;
        STRBUF(error, 512);
        STRBUF(small, 16);
        STRBUF(in, 2048);
        STRBUF(out, 4096);
        _cleanup_(freep) char *huge = malloc(SQL_STATEMENT_MAX + 2);

        strbuf_add(&in, "SELECT 1");
        for (size_t i = 0; i < SQL_PARAMETERS_MAX; i++)
                strbuf_add(&in, ",:to");
        assert_int_equal(
                sql_lex_parameters(SQL_STATEMENT, in.text, &out, parameters, &n, &at, &error), 0);
        assert_int_equal(n, SQL_PARAMETERS_MAX);
        strbuf_add(&in, ",:to");
        strbuf_init(&out, out_storage, sizeof out_storage);
        assert_int_equal(
                sql_lex_parameters(SQL_STATEMENT, in.text, &out, parameters, &n, &at, &error),
                -EINVAL);
        assert_int_equal(at, in.length - 3);
        assert_int_equal(sql_lex_parameters(SQL_STATEMENT, "SELECT 'longer than it'", &small,
                                            parameters, &n, &at, &error),
                         -EINVAL);
        assert_non_null(huge);
        memset(huge, 'a', SQL_STATEMENT_MAX + 1);
        huge[SQL_STATEMENT_MAX + 1] = '\0';
        assert_int_equal(sql_lex_parameters(SQL_STATEMENT, huge, &out, parameters, &n, &at, &error),
                         -EINVAL);
        assert_int_equal(at, SQL_STATEMENT_MAX);
}

static void test_what_no_step_may_be(_unused_ void **state) {
        static const struct {
                const char *statement, *why;
        } refused[] = {
                { "BEGIN", "controls the transaction" },
                { "START TRANSACTION", "controls the transaction" },
                { "COMMIT", "controls the transaction" },
                { "END", "controls the transaction" },
                { "ROLLBACK", "controls the transaction" },
                { "ABORT", "controls the transaction" },
                { "SAVEPOINT x", "controls the transaction" },
                { "RELEASE x", "controls the transaction" },
                { "PREPARE TRANSACTION 'x'", "changes the connection" },
                { "SET ROLE postgres", "changes the connection" },
                { "SET SESSION AUTHORIZATION DEFAULT", "changes the connection" },
                { "SET LOCAL lock_timeout = 0", "changes the connection" },
                { "RESET ROLE", "changes the connection" },
                { "DISCARD ALL", "changes the connection" },
                { "LISTEN rollbackd", "changes the connection" },
                { "UNLISTEN *", "changes the connection" },
                { "DEALLOCATE ALL", "changes the connection" },
                { "EXECUTE x", "changes the connection" },
                { "DECLARE c CURSOR WITH HOLD FOR SELECT 1", "changes the connection" },
                { "LOAD 'x'", "changes the connection" },
                { "COPY t FROM STDIN", "sends or takes the rows" },
                { "VACUUM", "cannot run in a transaction" },
        };
        static const char *const accepted[] = {
                "SELECT 1",
                "WITH a AS (SELECT 1) DELETE FROM t",
                "INSERT INTO t VALUES (1)",
                "UPDATE t SET a = 1",
                "DELETE FROM t",
                "MERGE INTO t USING u ON true WHEN MATCHED THEN DELETE",
                "TRUNCATE t",
                "REFRESH MATERIALIZED VIEW v",
                "CALL p()",
                "DO $$ BEGIN NULL; END $$",
                "NOTIFY c",
                "(SELECT 1)",
                "VALUES (1)",
                "ANALYZE t"
        };

        for (size_t i = 0; i < ELEMENTSOF(refused); i++) {
                STRBUF(words, 512);

                assert_int_equal(sql_check(SQL_STATEMENT, refused[i].statement, &words), -EINVAL);
                assert_memory_equal(words.text, refused[i].statement,
                                    strcspn(refused[i].statement, " "));
                assert_non_null(strstr(words.text, refused[i].why));
        }
        for (size_t i = 0; i < ELEMENTSOF(accepted); i++) {
                STRBUF(words, 512);

                assert_int_equal(sql_check(SQL_STATEMENT, accepted[i], &words), 0);
                assert_string_equal(words.text, "");
        }
}

/* Any statement within the limit has room, and a long name is cut in the message, not the message.
 */
static void test_check(_unused_ void **state) {
        _cleanup_(freep) char *text = malloc(SQL_STATEMENT_MAX + 1);
        STRBUF(words, 1024);

        assert_non_null(text);
        memset(text, 'a', SQL_STATEMENT_MAX);
        text[SQL_STATEMENT_MAX] = '\0';
        for (size_t i = 0; i < SQL_PARAMETERS_MAX; i++)
                memcpy(text + 1 + 4 * i, " :to", 4);
        text[1 + 4 * SQL_PARAMETERS_MAX] = ' ';
        assert_int_equal(sql_check(SQL_STATEMENT, text, &words), 0);
        assert_int_equal(sql_check(SQL_CONDITION, text, &words), 0);
        assert_string_equal(words.text, "");
        memset(text, 'a', SQL_STATEMENT_MAX);
        text[1] = ':';
        assert_int_equal(sql_check(SQL_STATEMENT, text, &words), -EINVAL);
        assert_memory_equal(words.text, "byte 2: unknown parameter :aaa", 30);
        assert_non_null(strstr(words.text, "aaa...; write one of :service, :from, :to, "
                                           ":from_epoch, :to_epoch, :released_at, :operation"));
}

/* Random texts of the lexer's own pieces without a parameter: what is accepted comes out unchanged.
 */
static void test_unchanged_without_parameters(_unused_ void **state) {
        static const char *const pieces[] = { "a",  "'",  "\"", "E'", "\\", "$$",  "$t$",
                                              "--", "\n", "/*", "*/", "::", ":=",  "[",
                                              "]",  "1",  " ",  "(",  ")",  "U&'", "?",
                                              "''", ": ", ",",  "x:" };
        unsigned accepted = 0;

        srand(7);
        for (unsigned round = 0; round < 20000; round++) {
                SqlParameter parameters[SQL_PARAMETERS_MAX];
                size_t n = 0, at = 0;
                STRBUF(in, 512);
                STRBUF(out, 512);
                STRBUF(error, 512);

                for (int i = rand() % 12; i >= 0; i--)
                        strbuf_add(&in, pieces[(size_t)rand() % ELEMENTSOF(pieces)]);
                if (sql_lex_parameters(SQL_STATEMENT, in.text, &out, parameters, &n, &at, &error) <
                    0) {
                        assert_true(at <= in.length);
                        assert_true(error.length > 0);
                        continue;
                }
                accepted++;
                assert_int_equal(n, 0);
                assert_string_equal(in.text, out.text);
        }
        assert_true(accepted > 2000);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_cases),
                cmocka_unit_test(test_limits),
                cmocka_unit_test(test_what_no_step_may_be),
                cmocka_unit_test(test_check),
                cmocka_unit_test(test_unchanged_without_parameters),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
