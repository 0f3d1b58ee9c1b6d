/* What a metrics store may answer, by table: one number, or why it is not known. Nothing that it
 * answers is ever bad. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "promql_answer.h"

#define NOW 1000000.0
#define DATA(type, result)                                                                         \
        "{\"status\":\"success\",\"data\":{\"resultType\":\"" type "\",\"result\":" result "}"
#define VECTOR(items) DATA("vector", "[" items "]") "}"
#define AT(at, value) "{\"metric\":{\"a\":\"b\"},\"value\":[" at ",\"" value "\"]}"
#define ITEM(value) AT("1000000.5", value)
#define REFUSED(type, error)                                                                       \
        "{\"status\":\"error\",\"errorType\":\"" type "\",\"error\":\"" error "\"}"
#define SERIES "no series: nothing matches, or nothing within max_age"
#define NO_RESULT "the metrics store answered without a result"
#define MALFORMED "the metrics store answered with a malformed sample"
#define STATUS "the metrics store answered HTTP "
#define NO_NUMBER "not a number (NaN)"

static ProbeResult judge_n(const char *body, size_t n, unsigned status, Reduction reduce) {
        PromqlConfig config = { .reduce = reduce, .max_age = 300 * USEC_PER_SEC };
        HttpReply reply = { .status = status, .body = body, .body_size = n };
        ProbeResult r = {};

        promql_judge(&config, &reply, NOW, &r);
        assert_int_not_equal(outcome_verdict(r.outcome), TRI_BAD);
        assert_int_equal(r.n_values, r.outcome == OUTCOME_OK ? 1 : 0);
        return r;
}

static ProbeResult judge(const char *body, unsigned status, Reduction reduce) {
        return judge_n(body, strlen(body), status, reduce);
}

static void one_number_is_the_value(void **state _unused_) {
        static const struct {
                const char *body;
                Reduction reduce;
                double value;
        } cases[] = {
                { VECTOR(ITEM("1.5")), REDUCE_NONE, 1.5 },
                { VECTOR(ITEM("1.5")), REDUCE_SUM, 1.5 },
                { VECTOR(ITEM("-0")), REDUCE_NONE, 0 },
                { VECTOR(ITEM("1e3")), REDUCE_NONE, 1000 },
                { VECTOR(ITEM("+Inf")), REDUCE_NONE, INFINITY },
                { VECTOR(ITEM("-Inf")), REDUCE_NONE, -INFINITY },
                { VECTOR(ITEM("1") "," ITEM("2") "," ITEM("6")), REDUCE_MAX, 6 },
                { VECTOR(ITEM("1") "," ITEM("2") "," ITEM("6")), REDUCE_MIN, 1 },
                { VECTOR(ITEM("1") "," ITEM("2") "," ITEM("6")), REDUCE_SUM, 9 },
                { VECTOR(ITEM("1") "," ITEM("2") "," ITEM("6")), REDUCE_AVG, 3 },
                { VECTOR(ITEM("1") "," ITEM("2") "," ITEM("NaN")), REDUCE_COUNT, 3 },
                { VECTOR(ITEM("-1") "," ITEM("-2")), REDUCE_MAX, -1 },
                { DATA("scalar", "[1000000,\"7\"]") "}", REDUCE_NONE, 7 },
                { DATA("scalar", "[1000000,\"7\"]") "}", REDUCE_MAX, 7 },
                { VECTOR(AT("999700", "4")), REDUCE_NONE, 4 },
                { VECTOR(AT("1000300", "4")), REDUCE_NONE, 4 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                ProbeResult r = judge(cases[i].body, 200, cases[i].reduce);

                assert_int_equal(r.outcome, OUTCOME_OK);
                assert_string_equal(r.words, "");
                assert_string_equal(r.values[0].name, "value");
                assert_true(r.values[0].value == cases[i].value);
        }
}

typedef struct Unknown {
        const char *body, *words;
        ProbeOutcome outcome;
        Reduction reduce;
        unsigned status; /* 0: 200 */
} Unknown;

static const Unknown unknowns[] = {
        /* data */
        { VECTOR(""), SERIES, OUTCOME_NO_DATA, 0, 0 },
        { VECTOR(""), SERIES, OUTCOME_NO_DATA, REDUCE_COUNT, 0 },
        { VECTOR(ITEM("1") "," ITEM("2")), "2 series; write reduce, or a query for one",
          OUTCOME_NO_DATA, 0, 0 },
        { VECTOR(ITEM("NaN")), NO_NUMBER, OUTCOME_NO_DATA, 0, 0 },
        { DATA("scalar", "[1000000,\"NaN\"]") "}", NO_NUMBER, OUTCOME_NO_DATA, 0, 0 },
        { VECTOR(ITEM("1") "," ITEM("NaN")), "a series is not a number (NaN)", OUTCOME_NO_DATA,
          REDUCE_MAX, 0 },
        { VECTOR(ITEM("+Inf") "," ITEM("-Inf")), "the reduced value is not a number (NaN)",
          OUTCOME_NO_DATA, REDUCE_SUM, 0 },
        { VECTOR(AT("999699", "4")),
          "the answer of the metrics store is 5 min 1 s old, more than max_age", OUTCOME_NO_DATA, 0,
          0 },
        { VECTOR(AT("1000301", "4")),
          "the answer of the metrics store is 5 min 1 s ahead of this host's clock, more than "
          "max_age",
          OUTCOME_NO_DATA, 0, 0 },
        { VECTOR(ITEM("1") "," AT("0", "2")),
          "the answer of the metrics store is 11 d 13 h old, more than max_age", OUTCOME_NO_DATA,
          REDUCE_MAX, 0 },
        { VECTOR(AT("-1e300", "2")),
          "the answer of the metrics store is forever old, more than max_age", OUTCOME_NO_DATA, 0,
          0 },
        /* form */
        { VECTOR("{\"metric\":{},\"value\":[1000000,1.5]}"), MALFORMED, OUTCOME_NO_DATA, 0, 0 },
        { VECTOR("{\"metric\":{},\"value\":[\"1000000\",\"1\"]}"), MALFORMED, OUTCOME_NO_DATA, 0,
          0 },
        { VECTOR("{\"metric\":{},\"value\":[1000000]}"), MALFORMED, OUTCOME_NO_DATA, 0, 0 },
        { VECTOR("{\"metric\":{},\"value\":[]}"), MALFORMED, OUTCOME_NO_DATA, 0, 0 },
        { VECTOR("{\"metric\":{},\"value\":{\"a\":1}}"), MALFORMED, OUTCOME_NO_DATA, 0, 0 },
        { VECTOR("{\"metric\":{},\"value\":[1000000,\"1\",2]}"), MALFORMED, OUTCOME_NO_DATA, 0, 0 },
        { VECTOR("{}"), MALFORMED, OUTCOME_NO_DATA, 0, 0 },
        { VECTOR("7"), MALFORMED, OUTCOME_NO_DATA, 0, 0 },
        { VECTOR("null"), MALFORMED, OUTCOME_NO_DATA, 0, 0 },
        { VECTOR(ITEM("0x10")), MALFORMED, OUTCOME_NO_DATA, 0, 0 },
        { VECTOR(ITEM("1,5")), MALFORMED, OUTCOME_NO_DATA, 0, 0 },
        { VECTOR(ITEM("")), MALFORMED, OUTCOME_NO_DATA, 0, 0 },
        { VECTOR(ITEM("1 ")), MALFORMED, OUTCOME_NO_DATA, 0, 0 },
        { DATA("scalar", "[1000000]") "}", MALFORMED, OUTCOME_NO_DATA, 0, 0 },
        { DATA("scalar", "[]") "}", MALFORMED, OUTCOME_NO_DATA, 0, 0 },
        { DATA("scalar", "\"1\"") "}", NO_RESULT, OUTCOME_NO_DATA, 0, 0 },
        { DATA("vector", "{}") "}", NO_RESULT, OUTCOME_NO_DATA, 0, 0 },
        { DATA("tensor", "[]") "}", NO_RESULT, OUTCOME_NO_DATA, 0, 0 },
        { "{\"status\":\"success\"}", NO_RESULT, OUTCOME_NO_DATA, 0, 0 },
        { "{\"status\":\"success\",\"data\":[]}", NO_RESULT, OUTCOME_NO_DATA, 0, 0 },
        { "{\"status\":\"success\",\"data\":{\"resultType\":7,\"result\":[]}}", NO_RESULT,
          OUTCOME_NO_DATA, 0, 0 },
        { DATA("vector", "[" ITEM("1") "]"), STATUS "200 without a result: line 1, column",
          OUTCOME_NO_DATA, 0, 0 },
        { "", STATUS "200 without a result: line 1, column 0", OUTCOME_NO_DATA, 0, 0 },
        { "<html>login</html>", STATUS "200 without a result: line 1, column", OUTCOME_NO_DATA, 0,
          0 },
        { "[]", STATUS "200 without a result: not the JSON of a metrics store", OUTCOME_NO_DATA, 0,
          0 },
        { "{\"status\":\"success\",\"status\":\"success\"}",
          STATUS "200 without a result: line 1, column", OUTCOME_NO_DATA, 0, 0 },
        { "{\"status\":\"maybe\"}", STATUS "200 without a result: not the JSON", OUTCOME_NO_DATA, 0,
          0 },
        /* our query */
        { DATA("matrix", "[]") "}",
          "the query is not for numbers of one instant; write one that gives an instant vector or "
          "a scalar, not a matrix",
          OUTCOME_LOCAL, 0, 0 },
        { DATA("string", "[1000000,\"x\"]") "}",
          "the query is not for numbers of one instant; write one that gives an instant vector or "
          "a scalar, not a string",
          OUTCOME_LOCAL, 0, 0 },
        { VECTOR("{\"metric\":{},\"histogram\":[1000000,{\"count\":\"1\"}]}"),
          "the query gives a native histogram; ask for a number of it", OUTCOME_LOCAL, 0, 0 },
        { REFUSED("bad_data", "parse error at char 3"),
          "the query is refused: parse error at char 3", OUTCOME_LOCAL, 0, 400 },
        { REFUSED("bad_data", "x"), "the query is refused: x", OUTCOME_LOCAL, 0, 200 },
        { REFUSED("execution", "many-to-many"), "the query is refused: many-to-many", OUTCOME_LOCAL,
          0, 422 },
        { REFUSED("422", "victoria"), "the query is refused: victoria", OUTCOME_LOCAL, 0, 422 },
        { "not found", STATUS "404; is the url right, with the path before /api/v1/query?",
          OUTCOME_LOCAL, 0, 404 },
        { "", STATUS "302, a redirect, which is not followed; write the URL that it means",
          OUTCOME_LOCAL, 0, 302 },
        { VECTOR(ITEM("1")), STATUS "405", OUTCOME_LOCAL, 0, 405 },
        /* the store */
        { REFUSED("timeout", "query timed out"), "the metrics store cannot answer: query timed out",
          OUTCOME_NO_DATA, 0, 503 },
        { REFUSED("unavailable", "x"), "the metrics store cannot answer: x", OUTCOME_NO_DATA, 0,
          200 },
        { "{\"status\":\"error\"}", "the metrics store cannot answer: it does not say why",
          OUTCOME_NO_DATA, 0, 500 },
        { "oops", STATUS "502", OUTCOME_NO_DATA, 0, 502 },
        { VECTOR(ITEM("1")), STATUS "500", OUTCOME_NO_DATA, 0, 500 },
        { "", STATUS "429", OUTCOME_NO_DATA, 0, 429 },
        { "", STATUS "401", OUTCOME_DENIED, 0, 401 },
        { VECTOR(ITEM("1")), STATUS "403", OUTCOME_DENIED, 0, 403 },
};

static void whatever_else_comes_is_unknown(void **state _unused_) {
        for (size_t i = 0; i < ELEMENTSOF(unknowns); i++) {
                const Unknown *u = &unknowns[i];
                ProbeResult r = judge(u->body, u->status ?: 200, u->reduce);

                /* The first of the words: a parser's own come behind them. */
                if (strncmp(r.words, u->words, strlen(u->words)) != 0)
                        assert_string_equal(r.words, u->words);
                assert_int_equal(r.outcome, u->outcome);
        }
}

static void what_the_store_remarks_is_kept(void **state _unused_) {
        ProbeResult r = judge(DATA("vector", "[" ITEM("1") "]") ",\"warnings\":[\"only half\","
                                                                "\"\\u0007\"],\"infos\":[\"i\"]}",
                              200, REDUCE_NONE);

        assert_int_equal(r.outcome, OUTCOME_OK);
        assert_string_equal(r.words, "warning: only half; warning: \\x07; info: i");
        r = judge(DATA("vector", "[" ITEM("1") "]") ",\"warnings\":[7],\"infos\":{}}", 200, 0);
        assert_int_equal(r.outcome, OUTCOME_OK);
        r = judge(DATA("vector", "[]") ",\"warnings\":[\"w\"]}", 200, REDUCE_NONE);
        assert_string_equal(r.words, SERIES);
}

static void an_answer_that_did_not_come_is_unknown(void **state _unused_) {
        static const struct {
                HttpReply reply;
                ProbeOutcome outcome;
                const char *words;
        } cases[] = {
                { { .error = -ECONNREFUSED, .words = "connection refused" },
                  OUTCOME_NO_DATA,
                  "the metrics store does not answer: connection refused" },
                { { .error = -ETIMEDOUT, .words = "no whole answer in time (1 s)" },
                  OUTCOME_NO_DATA,
                  "the metrics store does not answer: no whole answer in time (1 s)" },
                { { .error = -ETIMEDOUT,
                    .words = "no whole answer in time (1 s)",
                    .unresolved = 1 },
                  OUTCOME_RESOLVER,
                  "no address of the metrics store: no whole answer in time (1 s)" },
                { { .error = -EFBIG, .words = "x" },
                  OUTCOME_NO_DATA,
                  "the answer of the metrics store is larger than 1 MiB; ask for fewer series" },
                { { .error = -ENOMEM, .words = "x" }, OUTCOME_RESOURCES, NULL },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                PromqlConfig config = { .max_age = USEC_PER_SEC };
                ProbeResult r = {};

                promql_judge(&config, &cases[i].reply, NOW, &r);
                assert_int_equal(r.outcome, cases[i].outcome);
                if (cases[i].words)
                        assert_string_equal(r.words, cases[i].words);
        }
}

static void old_samples_are_no_data(void **state _unused_) {
        static const struct {
                const char *body;
                ProbeOutcome outcome;
                const char *words;
                unsigned status; /* 0: 200 */
        } cases[] = {
                { "", OUTCOME_NO_DATA, STATUS "503", 503 },
                { VECTOR(ITEM("1000000.5")), OUTCOME_OK, "", 0 },
                { VECTOR(AT("1000000", "999700")), OUTCOME_OK, "", 0 },
                { VECTOR(AT("1000000", "999699") "," ITEM("1000000")), OUTCOME_NO_DATA,
                  "the oldest sample is 5 min 1 s old, more than max_age", 0 },
                { VECTOR(ITEM("1") "," ITEM("999999")), OUTCOME_NO_DATA,
                  "the oldest sample is 11 d 13 h old, more than max_age", 0 },
                { VECTOR(ITEM("-Inf")), OUTCOME_NO_DATA,
                  "the oldest sample is forever old, more than max_age", 0 },
                { VECTOR(ITEM("NaN")), OUTCOME_OK, "the store cannot tell how old its samples are",
                  0 },
                { VECTOR(""), OUTCOME_OK, "the store cannot tell how old its samples are", 0 },
                { VECTOR("7"), OUTCOME_OK, "the store cannot tell how old its samples are", 0 },
                { REFUSED("execution", "x"), OUTCOME_OK,
                  "the store cannot tell how old its samples are", 0 },
                { "{}", OUTCOME_OK, "the store cannot tell how old its samples are", 0 },
                { "", OUTCOME_OK, "the store cannot tell how old its samples are", 0 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                PromqlConfig config = { .max_age = 300 * USEC_PER_SEC };
                HttpReply reply = { .status = cases[i].status ?: 200,
                                    .body = cases[i].body,
                                    .body_size = strlen(cases[i].body) };
                ProbeResult r = {};

                assert_int_equal(probe_result_add_value(&r, "value", 7), 0);
                promql_judge_age(&config, &reply, &r);
                assert_int_equal(r.outcome, cases[i].outcome);
                assert_string_equal(r.words, cases[i].words);
                assert_int_equal(r.n_values, r.outcome == OUTCOME_OK ? 1 : 0);
        }
}

static void depth_and_length_end_somewhere(void **state _unused_) {
        const size_t n = 1000000;
        char *deep = malloc(n);

        assert_non_null(deep);
        memset(deep, '[', n);
        assert_string_equal(judge_n(deep, n, 200, 0).words,
                            STATUS "200 without a result: the JSON nests deeper than 32 levels");
        /* Every beginning of a good answer is no answer. */
        const char *whole = VECTOR(ITEM("1"));
        for (size_t i = 0; i < strlen(whole); i++)
                assert_int_equal(judge_n(whole, i, 200, 0).outcome, OUTCOME_NO_DATA);
        free(deep);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(one_number_is_the_value),
                cmocka_unit_test(whatever_else_comes_is_unknown),
                cmocka_unit_test(what_the_store_remarks_is_kept),
                cmocka_unit_test(an_answer_that_did_not_come_is_unknown),
                cmocka_unit_test(old_samples_are_no_data),
                cmocka_unit_test(depth_and_length_end_somewhere),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
