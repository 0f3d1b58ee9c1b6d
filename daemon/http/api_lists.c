/* Operations and events, from the lists that the ledger last gave; by their id also older ones,
 * which it is asked for. */
#include <errno.h>
#include <strings.h>

#include "api_internal.h"

#define LOOKUP_RETRY_AFTER 1 /* s */

static void answer_list(const HttpCall *call, const Json *list, const char *name, HttpAnswer *ret) {
        const char *service = http_call_query(call, "service");
        Json *body, *chosen;
        uint64_t limit;

        if (!api_read_number(call, "limit", 1, API_LIST_MAX, API_LIST_DEFAULT, &limit, ret))
                return;
        if (!list) {
                api_answer_problem(ret, 503, "the ledger has not been read yet");
                return;
        }
        body = json_new_object();
        chosen = json_new_array();
        for (size_t i = 0; i < json_length(list) && json_length(chosen) < limit; i++)
                if (!service || streq(json_get_text(json_at(list, i), "service", ""), service))
                        json_add(chosen, json_copy(json_at(list, i)));
        json_set_u64(body, "api_version", 1);
        json_set(body, name, chosen);
        api_answer_json(ret, 200, body);
}

void api_get_operations(Api *a, const HttpCall *call, const char *argument _unused_,
                        HttpAnswer *ret) {
        answer_list(call, a->operations, "operations", ret);
}

void api_get_events(Api *a, const HttpCall *call, const char *argument _unused_, HttpAnswer *ret) {
        answer_list(call, a->events, "events", ret);
}

static const Json *find_by_id(const Json *list, const char *id) {
        for (size_t i = 0; list && i < json_length(list); i++)
                if (strcasecmp(json_get_text(json_at(list, i), "id", ""), id) == 0)
                        return json_at(list, i);
        return NULL;
}

static void answer_record(HttpAnswer *ret, const char *what, Json *record) {
        Json *body = json_new_object();

        json_set_u64(body, "api_version", 1);
        json_set(body, what, record);
        api_answer_json(ret, 200, body);
}

static void answer_none(HttpAnswer *ret) {
        api_answer_problem(ret, 404,
                           "the ledger knows no operation or event of that id; what is older than "
                           "the retention is deleted");
}

static void answer_away(HttpAnswer *ret, const char *why) {
        STRBUF(words, 1536);

        strbuf_add(&words, "that id is none of the latest, and the ledger could not be asked: ");
        strbuf_add(&words, why);
        api_answer_problem(ret, 503, words.text);
        ret->retry_after = LOOKUP_RETRY_AFTER;
}

void api_found(ApiLookup *lookup, const char *failure, const char *what, Json *record) {
        HttpAnswer answer = { .status = 500 };

        if (failure)
                answer_away(&answer, failure);
        else if (record)
                answer_record(&answer, what, record);
        else
                answer_none(&answer);
        http_pending_answer(TAKE_PTR(lookup->pending), &answer);
}

static ApiLookup *find_free_lookup(Api *a) {
        for (size_t i = 0; i < ELEMENTSOF(a->lookups); i++)
                if (!a->lookups[i].pending)
                        return &a->lookups[i];
        return NULL;
}

/* Why the ledger cannot be asked now. */
static const char *words_of(Api *a, int r, ApiStatus *status) {
        if (r == -ENOTCONN) {
                a->owner.status(a->owner.userdata, status);
                return status->ledger_words;
        }
        return r == -EAGAIN ? "too much waits for it already" : "out of memory";
}

/* What is not among the latest is still in the ledger. */
static void look_up(Api *a, const HttpCall *call, const char *id, HttpAnswer *ret) {
        ApiLookup *lookup = find_free_lookup(a);
        ApiStatus status;
        int r;

        if (!lookup) {
                answer_away(ret, "it looks for others already");
                return;
        }
        lookup->pending = http_call_postpone(call);
        if (!lookup->pending)
                return;
        r = a->owner.find(a->owner.userdata, id, lookup);
        if (r < 0)
                api_found(lookup, r == -EINVAL ? NULL : words_of(a, r, &status), NULL, NULL);
}

void api_get_operation(Api *a, const HttpCall *call, const char *argument, HttpAnswer *ret) {
        const Json *operation = find_by_id(a->operations, argument);
        const Json *event = operation ? NULL : find_by_id(a->events, argument);

        if (operation)
                answer_record(ret, "operation", json_copy(operation));
        else if (event)
                answer_record(ret, "event", json_copy(event));
        else
                look_up(a, call, argument, ret);
}
