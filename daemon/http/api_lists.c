/* Operations and events, from the lists that the ledger last gave. */
#include <strings.h>

#include "api_internal.h"

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

void api_get_operation(Api *a, const HttpCall *call _unused_, const char *argument,
                       HttpAnswer *ret) {
        const Json *found = find_by_id(a->operations, argument);
        const char *what = "operation";
        Json *body;

        if (!found) {
                found = find_by_id(a->events, argument);
                what = "event";
        }
        if (!found) {
                api_answer_problem(ret, 404,
                                   "no operation or event of that id is among the latest; older "
                                   "ones are in the ledger's view rollbackd.history");
                return;
        }
        body = json_new_object();
        json_set_u64(body, "api_version", 1);
        json_set(body, what, json_copy(found));
        api_answer_json(ret, 200, body);
}
