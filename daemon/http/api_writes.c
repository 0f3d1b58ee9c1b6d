/* The two writes: a person asks for a rollback or a restore. The peer of the unix socket is the
 * audit's actor. */
#include <errno.h>
#include <stdio.h>
#include <strings.h>

#include "api_internal.h"
#include "number.h"

_Static_assert(API_REASON_MAX == 159, "the sentence below names the limit");

typedef struct WriteRequest {
        const char *reason, *target; /* borrowed from the body; target NULL: the policy's choice */
        uint64_t epoch;              /* 0: any */
} WriteRequest;

/* If-Match: "41", or * for any. */
static bool read_epoch(const char *header, uint64_t *ret) {
        size_t n = header ? strlen(header) : 0;

        *ret = 0;
        if (!header || streq(header, "*"))
                return true;
        return n >= 3 && header[0] == '"' && header[n - 1] == '"' &&
               number_parse_u64(header + 1, n - 2, ret) == 0 && *ret > 0;
}

/* application/json, whatever its parameters: JSON has no other encoding than UTF-8. */
static bool is_json_type(const char *type) {
        static const char json[] = "application/json";
        size_t n = strlen(json);

        return type && strncasecmp(type, json, n) == 0 && strchr("; \t", type[n]);
}

static bool is_reason(const char *text) {
        return text && text[strspn(text, " \t\r\n")] != '\0' && strlen(text) <= API_REASON_MAX;
}

/* Keys that are not known are mistakes, not extras. */
static const char *check_body(const Json *body, WriteRequest *ret) {
        void *iterator = NULL;
        const Json *value;
        const char *key;

        if (!json_is_object(body))
                return "the body must be a JSON object {\"reason\": ..., \"target\": ...}";
        while ((key = json_next(body, &iterator, &value))) {
                if (!streq(key, "reason") && !streq(key, "target"))
                        return "the body knows the keys reason and target only";
                if (!json_is_text(value))
                        return "reason and target must be text";
        }
        ret->reason = json_get_text(body, "reason", NULL);
        ret->target = json_get_text(body, "target", NULL);
        if (!is_reason(ret->reason))
                return "reason is missing, blank or too long: say in 1 to 159 bytes why";
        if (ret->target && (ret->target[0] == '\0' || strlen(ret->target) >= NAME_SIZE))
                return "target must be a version of 1 to 63 bytes";
        return NULL;
}

static unsigned status_of(int r) {
        switch (r) {
        case -EINVAL:
                return 400;
        case -EBUSY:
                return 409;
        case -ESTALE:
                return 412;
        case -ENOENT:
                return 422;
        case -EHOSTDOWN:
        case -ENODATA:
        case -ESHUTDOWN:
                return 503;
        default:
                return 500;
        }
}

static void ask(Api *a, const HttpCall *call, uint32_t service, OperationKind kind,
                const WriteRequest *request, HttpAnswer *ret) {
        char actor[NAME_SIZE], id[OPERATION_ID_SIZE];
        STRBUF(why, 256);
        Json *body;
        int r;

        snprintf(actor, sizeof actor, "uid:%lu", (unsigned long)call->peer_uid);
        r = a->owner.request(a->owner.userdata, service, kind, request->target, request->epoch,
                             actor, request->reason, id, &why);
        if (r < 0) {
                api_answer_problem(ret, status_of(r), why.text);
                return;
        }
        body = json_new_object();
        json_set_u64(body, "api_version", 1);
        json_set_text(body, "operation", id);
        api_answer_json(ret, 202, body);
}

static void write_operation(Api *a, const HttpCall *call, const char *name, OperationKind kind,
                            HttpAnswer *ret) {
        uint32_t service = engine_find_service(a->owner.engine, name);
        _cleanup_(json_freep) Json *body = NULL;
        WriteRequest request = { 0 };
        const char *mistake;
        STRBUF(error, 256);

        if (service == ENGINE_NO_SERVICE) {
                api_answer_problem(ret, 404, "no service of that name has a policy in force");
                return;
        }
        if (call->peer_uid == (uid_t)-1) {
                api_answer_problem(
                        ret, 403, "the kernel does not say who asks, and a write must have a name");
                return;
        }
        if (!is_json_type(call->content_type)) {
                api_answer_problem(ret, 415, "the body must be application/json");
                return;
        }
        if (!read_epoch(call->if_match, &request.epoch)) {
                api_answer_problem(
                        ret, 400,
                        "If-Match must be the epoch in double quotes, as in \"41\", or *");
                return;
        }
        body = json_parse(call->body ?: "", call->body_size, &error);
        if (!body) {
                api_answer_problem(ret, 400, error.text);
                return;
        }
        mistake = check_body(body, &request);
        if (mistake)
                api_answer_problem(ret, 400, mistake);
        else
                ask(a, call, service, kind, &request, ret);
}

void api_post_rollback(Api *a, const HttpCall *call, const char *argument, HttpAnswer *ret) {
        write_operation(a, call, argument, OPERATION_ROLLBACK, ret);
}

void api_post_restore(Api *a, const HttpCall *call, const char *argument, HttpAnswer *ret) {
        write_operation(a, call, argument, OPERATION_RESTORE, ret);
}
