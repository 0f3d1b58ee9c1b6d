/* probe_http_answer.c: one answer: takes its headers and its body as they come, and says at the end
 * whether it is as expected. */
#include <errno.h>

#include "probe_http_internal.h"

#define BODY_FIRST ((size_t)4096)

void http_answer_init(HttpAnswer *a, const HttpCall *call, HttpJourney *journey) {
        *a = (HttpAnswer){
                .call = call, .journey = journey, .found_of = SIZE_MAX, .costly = SIZE_MAX
        };
}

void http_answer_done(HttpAnswer *a) {
        free(a->body);
        a->body = NULL;
        a->size = a->capacity = 0;
}

static bool status_accepted(const HttpCallConfig *config, unsigned status) {
        for (size_t i = 0; i < config->n_status; i++)
                if (status >= config->status[i].low && status <= config->status[i].high)
                        return true;
        return false;
}

const char *http_answer_secret(const HttpAnswer *a, size_t i) {
        if (i < a->call->n_secrets)
                return a->call->secrets[i];
        return a->journey ? http_journey_secret(a->journey, i - a->call->n_secrets) : NULL;
}

/* Length of the longest secret that the text begins with; 0: none. */
static size_t secret_at(const HttpAnswer *a, Slice text) {
        size_t longest = 0;
        const char *secret;

        for (size_t i = 0; (secret = http_answer_secret(a, i)); i++) {
                size_t n = strlen(secret);

                if (n >= HTTP_SECRET_MIN && n > longest && n <= text.n &&
                    memcmp(text.p, secret, n) == 0)
                        longest = n;
        }
        return longest;
}

void http_answer_add_found(const HttpAnswer *a, StrBuf *b, Slice text) {
        STRBUF(shown, HTTP_SHOWN_MAX + 4);

        strbuf_add_char(b, '"');
        while (text.n > 0 && shown.length < HTTP_SHOWN_MAX) {
                size_t secret = secret_at(a, text), n = MAX(secret, (size_t)1);

                if (secret > 0)
                        strbuf_add(&shown, "***");
                else
                        strbuf_add_char(&shown, *text.p);
                text = (Slice){ .p = text.p + n, .n = text.n - n };
        }
        strbuf_add_escaped(b, shown.text, shown.length);
        strbuf_add(b, text.n > 0 ? "...\"" : "\"");
}

/* Text of the policy. */
static void add_wanted(StrBuf *b, const char *text) {
        size_t n = strlen(text);

        strbuf_add_char(b, '"');
        strbuf_add_escaped(b, text, MIN(n, HTTP_SHOWN_MAX));
        strbuf_add(b, n > HTTP_SHOWN_MAX ? "...\"" : "\"");
}

/* Whether one value of a header is as expected; -E2BIG: its expression cannot tell. */
static int header_meets(const HttpCall *call, size_t i, Slice value, bool whole) {
        const HttpHeaderExpectation *e = &call->config->expect_headers[i];

        if (e->equals)
                return whole && strlen(e->equals) == value.n &&
                       memcmp(e->equals, value.p, value.n) == 0;
        if (e->contains)
                return memmem(value.p, value.n, e->contains, strlen(e->contains)) != NULL;
        if (e->matches)
                return pattern_search(call->header_matches[i], value.p, value.n, NULL);
        return true;
}

/* One that reached a limit has used up the time that an answer may take: the others are not tried.
 */
static bool is_out_of_time(const HttpAnswer *a, size_t i) {
        return a->costly != SIZE_MAX && a->call->config->expect_headers[i].matches;
}

static void check_header(HttpAnswer *a, size_t i, Slice value, bool whole) {
        uint32_t bit = 1U << i;
        int r = is_out_of_time(a, i) ? -E2BIG : header_meets(a->call, i, value, whole);

        a->seen |= bit;
        if (r > 0) {
                a->met |= bit;
                return;
        }
        if (r < 0)
                a->untried |= bit;
        if (r < 0 && a->costly == SIZE_MAX)
                a->costly = i;
        if (!whole)
                a->cut |= bit;
        if (a->found_of == SIZE_MAX) {
                a->found_of = i;
                memcpy(a->found, value.p, MIN(value.n, sizeof a->found - 1));
        }
}

static void take_version_header(HttpAnswer *a, Slice value, bool whole) {
        if (whole && value.n == 0)
                return;
        if (a->version_length > 0) {
                a->several |= value.n != a->version_length ||
                              memcmp(a->version, value.p, value.n) != 0;
                return;
        }
        a->version_length = whole ? MIN(value.n, sizeof a->version) : sizeof a->version;
        memcpy(a->version, value.p, MIN(value.n, sizeof a->version));
}

void http_answer_take_header(HttpAnswer *a, size_t header, Slice value, bool whole) {
        const HttpCall *call = a->call;
        int r = 0;

        if (header == call->version_as)
                take_version_header(a, value, whole);
        for (size_t i = 0; i < call->config->n_expect_headers; i++)
                if (call->expected_as[i] == header)
                        check_header(a, i, value, whole);
        for (size_t i = 0; i < call->config->n_take; i++)
                if (call->taken_as[i] == header && r == 0)
                        r = whole ? http_journey_take(a->journey, call->config->take[i].name,
                                                      value) :
                                    -E2BIG;
        if (header == call->cookie_as && r == 0)
                r = whole ? http_journey_take_cookie(a->journey, value) : -E2BIG;
        a->out_of_memory |= r == -ENOMEM;
        a->unusable |= r == -EINVAL;
        a->too_large |= r == -E2BIG;
}

static bool keep(HttpAnswer *a, Slice body) {
        size_t n = MIN(body.n, a->call->keep - a->size), capacity = MAX(a->capacity, BODY_FIRST);

        while (capacity < a->size + n)
                capacity *= 2;
        if (capacity != a->capacity) {
                char *larger = realloc(a->body, capacity);

                if (!larger) {
                        a->out_of_memory = true;
                        return false;
                }
                a->body = larger;
                a->capacity = capacity;
        }
        memcpy(a->body + a->size, body.p, n);
        a->size += n;
        return true;
}

static void search(HttpAnswer *a, Slice body) {
        const HttpCall *call = a->call;
        const char *text = call->config->expect_body;

        for (size_t i = 0; i < body.n && a->matched < call->text_length; i++) {
                while (a->matched > 0 && body.p[i] != text[a->matched])
                        a->matched = call->fallback[a->matched - 1];
                if (body.p[i] == text[a->matched])
                        a->matched++;
        }
}

bool http_answer_take_body(HttpAnswer *a, Slice body) {
        /* The rest of a refused answer changes nothing, unless it names the version. */
        if (!status_accepted(a->call->config, http_exchange_response(a->exchange)->status) &&
            !a->call->config->version_pointer)
                return false;
        search(a, body);
        return a->call->keep == 0 || keep(a, body);
}

static void say_header(const HttpAnswer *a, size_t i, ProbeResult *result) {
        const HttpHeaderExpectation *e = &a->call->config->expect_headers[i];
        bool untried = a->untried & 1U << i, unclear = untried || a->cut & 1U << i;
        STRBUF(words, PROBE_WORDS_SIZE);

        strbuf_add(&words, "header ");
        strbuf_add(&words, untried ? a->call->config->expect_headers[a->costly].name : e->name);
        if (untried)
                strbuf_add(&words, " takes too long to match; write a simpler expression");
        else if (a->cut & 1U << i)
                strbuf_add(&words, " is longer than what is looked at, 8 KiB");
        else if (e->absent)
                strbuf_add(&words, " is there and should not");
        else if (!(a->seen & 1U << i))
                strbuf_add(&words, " is missing");
        else {
                strbuf_add(&words, " is ");
                if (a->found_of == i)
                        http_answer_add_found(a, &words,
                                              (Slice){ .p = a->found, .n = strlen(a->found) });
                else
                        strbuf_add(&words, "another");
                strbuf_add(&words, e->equals   ? ", not " :
                                   e->contains ? " and lacks " :
                                                 " and does not match ");
                add_wanted(&words, e->equals ?: e->contains ?: e->matches);
        }
        probe_result_set(result, unclear ? OUTCOME_LOCAL : OUTCOME_BAD_HEADER, words.text);
}

static void judge_headers(const HttpAnswer *a, ProbeResult *result) {
        const HttpCallConfig *config = a->call->config;

        for (size_t i = 0; i < config->n_expect_headers; i++) {
                bool seen = a->seen & 1U << i, met = a->met & 1U << i;

                if (config->expect_headers[i].absent ? !seen : met)
                        continue;
                say_header(a, i, result);
                return;
        }
        for (size_t i = 0; i < config->n_take; i++) {
                STRBUF(words, PROBE_WORDS_SIZE);

                if (!config->take[i].header || http_journey_has(a->journey, config->take[i].name))
                        continue;
                strbuf_add(&words, "header ");
                strbuf_add(&words, config->take[i].header);
                strbuf_add(&words, a->unusable ? ", which is to be taken, has a control character" :
                                                 ", which is to be taken, is missing");
                probe_result_set(result, OUTCOME_BAD_HEADER, words.text);
                return;
        }
}

static void judge_status(const HttpAnswer *a, ProbeResult *result) {
        STRBUF(words, PROBE_WORDS_SIZE);

        if (status_accepted(a->call->config, result->status))
                return;
        strbuf_add(&words, "HTTP ");
        strbuf_add_u64(&words, result->status);
        if (result->status >= 300 && result->status < 400)
                strbuf_add(&words, ", a redirect, which a probe does not follow");
        probe_result_set(result, OUTCOME_BAD_STATUS, words.text);
}

/* What the whole body must be, but for its JSON. */
static void judge_body(const HttpAnswer *a, ProbeResult *result) {
        const HttpCall *call = a->call;
        STRBUF(words, PROBE_WORDS_SIZE);

        if ((call->text_length > 0 || call->keep > 0) &&
            http_exchange_add_coding(a->exchange, "body", &words)) {
                probe_result_set(result, OUTCOME_PROTOCOL, words.text);
                return;
        }
        if (a->matched < call->text_length) {
                strbuf_add(&words, "body lacks ");
                add_wanted(&words, call->config->expect_body);
                probe_result_set(result, OUTCOME_BAD_BODY, words.text);
                return;
        }
        int r = call->body_matches ? pattern_search(call->body_matches, a->body, a->size, NULL) : 1;
        if (r < 0)
                probe_result_set(result, OUTCOME_LOCAL,
                                 "the body takes too long to match; write a simpler expression in "
                                 "body_matches");
        if (r == 0) {
                strbuf_add(&words, a->size >= PATTERN_SEARCH_MAX ? "the body's first 64 KiB do not "
                                                                   "match " :
                                                                   "body does not match ");
                add_wanted(&words, call->config->body_matches);
                probe_result_set(result, OUTCOME_BAD_BODY, words.text);
        }
}

static void take_match(HttpAnswer *a, size_t i, ProbeResult *result) {
        const HttpTakeConfig *t = &a->call->config->take[i];
        STRBUF(words, PROBE_WORDS_SIZE);
        Slice group;
        int r = pattern_search(a->call->take_matches[i], a->body, a->size, &group);

        if (r < 0) {
                probe_result_set(result, OUTCOME_LOCAL,
                                 "the body takes too long to match; write a simpler expression in "
                                 "take");
                return;
        }
        if (r == 0) {
                strbuf_add(&words, "body does not match ");
                add_wanted(&words, t->matches);
                strbuf_add(&words, ", to take ");
                strbuf_add(&words, t->name);
                probe_result_set(result, OUTCOME_BAD_BODY, words.text);
                return;
        }
        http_answer_take(a, t->name, group, result);
}

void http_answer_take(HttpAnswer *a, const char *name, Slice value, ProbeResult *result) {
        int r = http_journey_take(a->journey, name, value);
        STRBUF(words, PROBE_WORDS_SIZE);

        a->too_large |= r == -E2BIG;
        a->out_of_memory |= r == -ENOMEM;
        if (r != -EINVAL)
                return;
        strbuf_add(&words, "what is to be taken as ");
        strbuf_add(&words, name);
        strbuf_add(&words, " has a control character");
        probe_result_set(result, OUTCOME_BAD_BODY, words.text);
}

/* What is our own limit or lack is no fault of the answer. */
static void judge_ourselves(const HttpAnswer *a, ProbeResult *result) {
        if (a->out_of_memory)
                probe_result_set_errno(result, ENOMEM);
        else if (a->too_large)
                probe_result_set(result, OUTCOME_LOCAL,
                                 "what is to be taken, or its cookies, are more than is kept: 4 "
                                 "KiB each, 32 cookies");
}

void http_answer_judge(HttpAnswer *a, ProbeResult *result) {
        judge_status(a, result);
        if (result->outcome == OUTCOME_OK)
                judge_ourselves(a, result);
        if (result->outcome == OUTCOME_OK)
                judge_headers(a, result);
        if (result->outcome == OUTCOME_OK)
                judge_body(a, result);
        /* Also of a refused answer: the version that gave it decides whom it convicts. */
        if (a->call->json && !a->out_of_memory)
                http_json_judge(a, result);
        for (size_t i = 0; i < a->call->config->n_take && result->outcome == OUTCOME_OK; i++)
                if (a->call->take_matches[i])
                        take_match(a, i, result);
        if (result->outcome == OUTCOME_OK)
                judge_ourselves(a, result);
}

void http_answer_take_version(const HttpAnswer *a, ProbeResult *result) {
        if (a->several && result->outcome == OUTCOME_OK)
                probe_result_set(result, OUTCOME_OK,
                                 "the answer names more than one version: none is used");
        else if (a->version_length > 0 && !a->several)
                probe_result_set_version(result, a->version, a->version_length);
}
