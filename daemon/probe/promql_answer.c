#include <errno.h>
#include <math.h>

#include "config_value.h"
#include "number.h"
#include "promql_answer.h"

#define THE_STORE "the metrics store"

static void refuse(ProbeResult *r, ProbeOutcome outcome, const char *words, const char *theirs) {
        STRBUF(b, PROBE_WORDS_SIZE);

        strbuf_add(&b, words);
        if (theirs)
                strbuf_add_escaped(&b, theirs, strlen(theirs));
        probe_result_set(r, outcome, b.text);
}

static void refuse_failed(const HttpReply *reply, ProbeResult *r) {
        if (reply->unresolved)
                refuse(r, OUTCOME_RESOLVER, "no address of " THE_STORE ": ", reply->words);
        else if (reply->error == -ENOMEM)
                probe_result_set_errno(r, ENOMEM);
        else if (reply->error == -EFBIG)
                refuse(r, OUTCOME_NO_DATA,
                       "the answer of " THE_STORE " is larger than 1 MiB; ask for fewer series",
                       NULL);
        else
                refuse(r, OUTCOME_NO_DATA, THE_STORE " does not answer: ", reply->words);
}

/* What answers is no metrics store, or something in front of one. */
static void refuse_status(unsigned status, const char *why, ProbeResult *r) {
        STRBUF(b, PROBE_WORDS_SIZE);

        strbuf_add(&b, THE_STORE " answered HTTP ");
        strbuf_add_u64(&b, status);
        if (status >= 300 && status < 400)
                strbuf_add(&b, ", a redirect, which is not followed; write the URL that it means");
        else if (status == 404)
                strbuf_add(&b, "; is the url right, with the path before /api/v1/query?");
        else if (status >= 200 && status < 300) {
                strbuf_add(&b, " without a result: ");
                strbuf_add(&b, why);
        }
        probe_result_set(
                r, status >= 300 && status < 500 && status != 429 ? OUTCOME_LOCAL : OUTCOME_NO_DATA,
                b.text);
}

static bool is_our_query(const char *type) {
        return streq(type, "bad_data") || streq(type, "execution");
}

static void refuse_error(const Json *answer, unsigned status, ProbeResult *r) {
        const char *type = json_get_text(answer, "errorType", ""),
                   *error = json_get_text(answer, "error", "it does not say why");
        bool ours = is_our_query(type) || status == 400 || status == 422;

        refuse(r, ours ? OUTCOME_LOCAL : OUTCOME_NO_DATA,
               ours ? "the query is refused: " : THE_STORE " cannot answer: ", error);
}

/* What `value` is: [ time, "number" ]. */
static int read_sample(const Json *sample, double *ret_at, double *ret_value) {
        const Json *at = json_at(sample, 0), *value = json_at(sample, 1);
        const char *text = value ? json_text_value(value) : NULL;

        if (!json_is_array(sample) || json_length(sample) != 2 || !json_is_number(at) || !text ||
            number_parse_double(text, strlen(text), ret_value) < 0)
                return -EBADMSG;
        *ret_at = json_number_value(at);
        return 0;
}

/* The time of an answer is that of the store's own clock at the query: one that stands still, or an
 * answer out of a cache. */
static bool check_age(const PromqlConfig *config, double at, double now, ProbeResult *r) {
        double age = now - at, limit = (double)config->max_age / (double)USEC_PER_SEC;
        STRBUF(b, PROBE_WORDS_SIZE);

        if (fabs(age) <= limit)
                return true;
        strbuf_add(&b, "the answer of " THE_STORE " is ");
        strbuf_add_usec_words(&b, fabs(age) < 1e12 ? (usec_t)(fabs(age) * 1e6) : USEC_INFINITY);
        strbuf_add(&b, age > 0 ? " old" : " ahead of this host's clock");
        strbuf_add(&b, ", more than max_age");
        probe_result_set(r, OUTCOME_NO_DATA, b.text);
        return false;
}

static double add(Reduction how, double sum, double value) {
        switch (how) {
        case REDUCE_MAX:
                return fmax(sum, value);
        case REDUCE_MIN:
                return fmin(sum, value);
        case REDUCE_SUM:
        case REDUCE_AVG:
                return sum + value;
        case REDUCE_COUNT:
        case REDUCE_NONE:
        case _REDUCE_MAX:
                break;
        }
        return value;
}

static bool check_number(const Json *series, double *ret_at, double *ret, ProbeResult *r) {
        const Json *sample = json_get(series, "value");

        if (!sample && json_get(series, "histogram"))
                refuse(r, OUTCOME_LOCAL,
                       "the query gives a native histogram; ask for a number of it, such as "
                       "histogram_quantile()",
                       NULL);
        else if (!sample || read_sample(sample, ret_at, ret) < 0)
                refuse(r, OUTCOME_NO_DATA, THE_STORE " answered with a malformed sample", NULL);
        else
                return true;
        return false;
}

static bool check_series(const PromqlConfig *config, size_t n, ProbeResult *r) {
        STRBUF(b, PROBE_WORDS_SIZE);

        if (n == 0)
                refuse(r, OUTCOME_NO_DATA, "no series: nothing matches, or nothing within max_age",
                       NULL);
        else if (n > 1 && config->reduce == REDUCE_NONE) {
                strbuf_add_u64(&b, n);
                strbuf_add(&b, " series; write reduce, or a query for one");
                probe_result_set(r, OUTCOME_NO_DATA, b.text);
        } else
                return true;
        return false;
}

/* Returns whether there is a number; else it is said why not. */
static bool read_vector(const PromqlConfig *config, const Json *vector, double now, double *ret,
                        ProbeResult *r) {
        size_t n = json_length(vector);
        double sum = 0;

        if (!check_series(config, n, r))
                return false;
        for (size_t i = 0; i < n; i++) {
                double value = 0, at = 0;

                if (!check_number(json_at(vector, i), &at, &value, r) ||
                    !check_age(config, at, now, r))
                        return false;
                if (isnan(value) && config->reduce != REDUCE_COUNT) {
                        refuse(r, OUTCOME_NO_DATA,
                               n > 1 ? "a series is not a number (NaN)" : "not a number (NaN)",
                               NULL);
                        return false;
                }
                sum = i == 0 ? value : add(config->reduce, sum, value);
        }
        *ret = config->reduce == REDUCE_COUNT ? (double)n :
               config->reduce == REDUCE_AVG   ? sum / (double)n :
                                                sum;
        return true;
}

static bool read_scalar(const PromqlConfig *config, const Json *scalar, double now, double *ret,
                        ProbeResult *r) {
        double at = 0;

        if (read_sample(scalar, &at, ret) < 0)
                refuse(r, OUTCOME_NO_DATA, THE_STORE " answered with a malformed sample", NULL);
        else if (isnan(*ret))
                refuse(r, OUTCOME_NO_DATA, "not a number (NaN)", NULL);
        else if (check_age(config, at, now, r))
                return true;
        return false;
}

/* What the store wants people to know of a number that it gave all the same. */
static void add_remarks(const Json *answer, const char *key, const char *what, StrBuf *b) {
        const Json *remarks = json_get(answer, key);
        size_t n = json_is_array(remarks) ? json_length(remarks) : 0;

        for (size_t i = 0; i < n; i++) {
                const char *text = json_text_value(json_at(remarks, i));

                strbuf_add(b, b->length > 0 ? "; " : "");
                strbuf_add(b, what);
                if (text)
                        strbuf_add_escaped(b, text, strlen(text));
        }
}

static bool judge_data(const PromqlConfig *config, const Json *answer, double now, ProbeResult *r) {
        const Json *data = json_get(answer, "data"), *result;
        const char *type = json_is_object(data) ? json_get_text(data, "resultType", "") : "";
        STRBUF(words, PROBE_WORDS_SIZE);
        double value = 0;
        bool known;

        result = *type ? json_get(data, "result") : NULL;
        if (streq(type, "matrix") || streq(type, "string")) {
                refuse(r, OUTCOME_LOCAL,
                       "the query is not for numbers of one instant; write one that gives an "
                       "instant vector or a scalar, not a ",
                       type);
                return false;
        }
        if (!json_is_array(result) || (!streq(type, "vector") && !streq(type, "scalar"))) {
                refuse(r, OUTCOME_NO_DATA, THE_STORE " answered without a result", NULL);
                return false;
        }
        known = streq(type, "vector") ? read_vector(config, result, now, &value, r) :
                                        read_scalar(config, result, now, &value, r);
        if (!known)
                return false;
        /* Of +Inf and -Inf. */
        if (isnan(value)) {
                refuse(r, OUTCOME_NO_DATA, "the reduced value is not a number (NaN)", NULL);
                return false;
        }
        add_remarks(answer, "warnings", "warning: ", &words);
        add_remarks(answer, "infos", "info: ", &words);
        r->outcome = OUTCOME_OK;
        if (words.length > 0)
                probe_result_set(r, OUTCOME_OK, words.text);
        (void)probe_result_add_value(r, PROMQL_VALUE, value);
        return streq(type, "vector");
}

bool promql_judge(const PromqlConfig *config, const HttpReply *reply, double now,
                  ProbeResult *ret) {
        _cleanup_(json_freep) Json *answer = NULL;
        STRBUF(why, PROBE_WORDS_SIZE);
        const char *status;

        if (reply->error < 0) {
                refuse_failed(reply, ret);
                return false;
        }
        if (reply->status == 401 || reply->status == 403) {
                refuse(ret, OUTCOME_DENIED,
                       reply->status == 401 ? THE_STORE " answered HTTP 401" :
                                              THE_STORE " answered HTTP 403",
                       NULL);
                return false;
        }
        answer = json_parse(reply->body, reply->body_size, &why);
        status = json_is_object(answer) ? json_get_text(answer, "status", "") : "";
        if (streq(status, "error"))
                refuse_error(answer, reply->status, ret);
        else if (streq(status, "success") && reply->status >= 200 && reply->status < 300)
                return judge_data(config, answer, now, ret);
        else
                refuse_status(reply->status,
                              why.length > 0 ? why.text : "not the JSON of a metrics store", ret);
        return false;
}

/* How far the oldest sample's time is before that of the answer; NAN: not known. */
static double oldest_age(const Json *answer) {
        const Json *data = json_get(answer, "data"),
                   *series = json_is_object(data) ? json_get(data, "result") : NULL;
        size_t n = json_is_array(series) ? json_length(series) : 0;
        double oldest = NAN;

        for (size_t i = 0; i < n; i++) {
                const Json *item = json_at(series, i),
                           *sample = json_is_object(item) ? json_get(item, "value") : NULL;
                double at = 0, time = 0;

                if (!sample || read_sample(sample, &at, &time) < 0)
                        return NAN;
                oldest = fmax(oldest, at - time);
        }
        return oldest;
}

void promql_judge_age(const PromqlConfig *config, const HttpReply *reply, ProbeResult *result) {
        _cleanup_(json_freep) Json *answer = NULL;
        STRBUF(words, PROBE_WORDS_SIZE);
        STRBUF(why, PROBE_WORDS_SIZE);
        double age;

        if (reply->error < 0) {
                *result = (ProbeResult){};
                refuse_failed(reply, result);
                return;
        }
        if (reply->status >= 500 || reply->status == 429) {
                *result = (ProbeResult){};
                refuse_status(reply->status, "", result);
                return;
        }
        answer = json_parse(reply->body, reply->body_size, &why);
        age = json_is_object(answer) ? oldest_age(answer) : NAN;
        if (age * (double)USEC_PER_SEC > (double)config->max_age) {
                strbuf_add(&words, "the oldest sample is ");
                strbuf_add_usec_words(&words, age < 1e12 ? (usec_t)(age * 1e6) : USEC_INFINITY);
                strbuf_add(&words, " old, more than max_age");
                *result = (ProbeResult){};
                probe_result_set(result, OUTCOME_NO_DATA, words.text);
        } else if (isnan(age)) {
                /* Of several names, for example, which timestamp() takes away. */
                strbuf_add(&words, "the store cannot tell how old its samples are");
                strbuf_add(&words, result->words[0] ? "; " : "");
                strbuf_add(&words, result->words);
                probe_result_set(result, OUTCOME_OK, words.text);
        }
}
