/* probe_http_json.c: the body of an answer as JSON: what is expected of its values, which of them
 * are reported, the version, and what steps take. */
#include <math.h>

#include "config_value.h"
#include "number.h"
#include "probe_http_internal.h"

/* A value as text: a string's own, of a number, true, false and null as JSON writes them; of the
 * rest only what it is. False without memory. */
static bool value_text(const Json *j, char **ret) {
        *ret = json_is_text(j)   ? strdup(json_text_value(j)) :
               json_is_object(j) ? strdup("an object") :
               json_is_array(j)  ? strdup("a list") :
                                   json_text(j);
        return *ret;
}

static bool is_scalar(const Json *j) {
        return !json_is_object(j) && !json_is_array(j);
}

/* From 2^53 on a double is several whole numbers: there their digits are compared. */
static bool is_exact(const char *text, double number) {
        return fabs(number) < 0x1p53 || strpbrk(text, ".eE");
}

static bool equals(const Json *j, const char *wanted) {
        _cleanup_(freep) char *text = NULL;
        double number;

        if (!is_scalar(j) || !value_text(j, &text))
                return false;
        if (json_is_number(j) && number_parse_double(wanted, strlen(wanted), &number) >= 0 &&
            (is_exact(text, number) || is_exact(wanted, number)))
                return json_number_value(j) == number;
        return streq(text, wanted);
}

/* "POINTER is FOUND", and why that is bad. */
static void say(const HttpAnswer *a, const char *pointer, const Json *found, const char *relation,
                const char *limit, ProbeResult *result) {
        _cleanup_(freep) char *text = NULL;
        STRBUF(words, PROBE_WORDS_SIZE);
        size_t n = strlen(pointer);

        strbuf_add_escaped(&words, pointer, MIN(n, 2 * HTTP_SHOWN_MAX));
        strbuf_add(&words, n > 2 * HTTP_SHOWN_MAX ? "..." : "");
        if (found && !is_scalar(found))
                strbuf_add(&words, json_is_object(found) ? " is an object" : " is a list");
        else if (found && value_text(found, &text)) {
                strbuf_add(&words, " is ");
                http_answer_add_found(a, &words, (Slice){ .p = text, .n = strlen(text) });
        }
        strbuf_add(&words, relation);
        strbuf_add_escaped(&words, limit, MIN(strlen(limit), HTTP_SHOWN_MAX));
        probe_result_set(result, OUTCOME_BAD_BODY, words.text);
}

static void say_limit(const HttpAnswer *a, const char *pointer, const Json *found,
                      const char *relation, double limit, ProbeResult *result) {
        STRBUF(number, 64);

        config_add_number(&number, limit);
        say(a, pointer, found, relation, number.text, result);
}

static void check_number(const HttpAnswer *a, const HttpJsonExpectation *e, const Json *found,
                         ProbeResult *result) {
        double number;

        if (isnan(e->at_least) && isnan(e->at_most) && !e->value)
                return;
        if (!json_is_number(found)) {
                say(a, e->pointer, found, ", which is no number", "", result);
                return;
        }
        number = json_number_value(found);
        if (e->value)
                (void)probe_result_add_value(result, e->value, number);
        if (number < e->at_least)
                say_limit(a, e->pointer, found, ", less than ", e->at_least, result);
        if (number > e->at_most)
                say_limit(a, e->pointer, found, ", more than ", e->at_most, result);
}

static void check(const HttpAnswer *a, const HttpJsonExpectation *e, const Json *body,
                  ProbeResult *result) {
        const Json *found = json_at_pointer(body, e->pointer);

        if (e->absent && found)
                say(a, e->pointer, found, ", and should not be there", "", result);
        else if (!e->absent && !found)
                say(a, e->pointer, NULL, " is missing in the body", "", result);
        else if (e->equals && !equals(found, e->equals))
                say(a, e->pointer, found, ", not ", e->equals, result);
        else if (found)
                check_number(a, e, found, result);
}

static void take(HttpAnswer *a, const HttpTakeConfig *t, const Json *body, ProbeResult *result) {
        const Json *found = json_at_pointer(body, t->pointer);
        _cleanup_(freep) char *text = NULL;

        if (!found || !is_scalar(found) || json_is_null(found))
                say(a, t->pointer, NULL,
                    found ? " is no text, number, true or false, to take " :
                            " is missing in the body, to take ",
                    t->name, result);
        else if (!value_text(found, &text))
                a->out_of_memory = true;
        else
                http_answer_take(a, t->name, (Slice){ .p = text, .n = strlen(text) }, result);
}

static void take_version(const HttpAnswer *a, const Json *body, ProbeResult *result) {
        const char *pointer = a->call->config->version_pointer;
        const Json *found = body ? json_at_pointer(body, pointer) : NULL;
        _cleanup_(freep) char *text = NULL;
        STRBUF(words, PROBE_WORDS_SIZE);

        if (found && is_scalar(found) && !json_is_null(found) && value_text(found, &text)) {
                probe_result_set_version(result, text, strlen(text));
                return;
        }
        if (result->outcome != OUTCOME_OK)
                return;
        strbuf_add_escaped(&words, pointer, strlen(pointer));
        strbuf_add(&words, found ? " names no version: it is no text" :
                                   " names no version: it is missing in the body");
        probe_result_set(result, OUTCOME_OK, words.text);
}

/* The parser's words may repeat a part of the body: where the answer may hold a secret they end
 * before it does. What is over a limit of ours is no fault of the answer. */
static void say_malformed(const HttpAnswer *a, const StrBuf *error, ProbeResult *result) {
        const char *line = strstr(error->text, "line "), *colon = line ? strstr(line, ": ") : NULL;
        bool malformed = line == error->text;
        STRBUF(words, PROBE_WORDS_SIZE);

        strbuf_add(&words, malformed ? "body is no JSON: " : "body cannot be read: ");
        if (colon && (a->journey || a->call->n_secrets > 0))
                strbuf_add_n(&words, error->text, (size_t)(colon - error->text));
        else
                strbuf_add(&words, error->text);
        probe_result_set(result, malformed ? OUTCOME_BAD_BODY : OUTCOME_LOCAL, words.text);
}

void http_json_judge(HttpAnswer *a, ProbeResult *result) {
        const HttpCallConfig *config = a->call->config;
        _cleanup_(json_freep) Json *body = NULL;
        bool wanted = config->n_json > 0;
        STRBUF(error, PROBE_WORDS_SIZE);

        for (size_t i = 0; i < config->n_take; i++)
                wanted |= config->take[i].pointer != NULL;
        body = json_parse(a->body ? a->body : "", a->size, &error);
        if (!body && wanted && result->outcome == OUTCOME_OK)
                say_malformed(a, &error, result);
        for (size_t i = 0; i < config->n_json && result->outcome == OUTCOME_OK; i++)
                check(a, &config->json[i], body, result);
        for (size_t i = 0; i < config->n_take && result->outcome == OUTCOME_OK; i++)
                if (config->take[i].pointer)
                        take(a, &config->take[i], body, result);
        if (config->version_pointer)
                take_version(a, body, result);
}
