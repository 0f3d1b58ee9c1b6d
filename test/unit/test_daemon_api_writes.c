/* The two writes over HTTP: who may, what a body must be, and what each refusal is called. */
#include "api_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ROLLBACK "/api/v1/services/web/rollback"
#define RESTORE "/api/v1/services/web/restore"
#define REASON "{\"reason\": \"it is slow\"}"

static void test_rollback(void **state) {
        ApiWorld *w = *state;
        char id[64];

        assert_int_equal(api_post(w, ROLLBACK, "", REASON), 202);
        assert_int_equal(json_get_i64(w->json, "api_version", 0), 1);
        snprintf(id, sizeof id, "%s", json_get_text(w->json, "operation", ""));
        assert_int_equal(strlen(id), OPERATION_ID_SIZE - 1);
        assert_int_equal(api_get(w, "/api/v1/services/web"), 200);
        assert_string_equal(json_get_text(json_get(w->json, "operation"), "id", ""), id);
        assert_string_equal(json_get_text(json_get(w->json, "operation"), "to", ""), "1.9");
        assert_false(json_get_bool(json_get(w->json, "operation"), "automatic", true));
        assert_int_equal(api_post(w, ROLLBACK, "", REASON), 409);
        api_assert_problem(w, 409, id);
}

/* The kernel says who asks, whatever the request says. */
static void test_the_actor(void **state) {
        ApiWorld *w = *state;
        char actor[64];

        snprintf(actor, sizeof actor, "uid:%lu", (unsigned long)getuid());
        assert_int_equal(api_post(w, ROLLBACK, "X-Forwarded-User: root",
                                  "{\"reason\": \"" API_WORLD_WHO_AM_I "\"}"),
                         409);
        assert_string_equal(json_get_text(w->json, "detail", ""), actor);
}

static void test_a_version_by_name(void **state) {
        ApiWorld *w = *state;

        assert_int_equal(api_post(w, ROLLBACK, "", "{\"reason\": \"r\", \"target\": \"1.7\"}"),
                         422);
        api_assert_problem(w, 422, "");
        assert_int_equal(api_post(w, ROLLBACK, "", "{\"target\": \"1.9\", \"reason\": \"r\"}"),
                         202);
}

static void test_restore(void **state) {
        ApiWorld *w = *state;

        /* The active release is a deploy: there is nothing to go forward to, unless a person names
         * it. */
        assert_int_equal(api_post(w, RESTORE, "", REASON), 422);
        api_assert_problem(w, 422, "name the version");
        assert_int_equal(api_post(w, RESTORE, "", "{\"reason\": \"r\", \"target\": \"1.9\"}"), 202);
}

static void test_epochs(void **state) {
        static const char *const mistakes[] = { "If-Match: 41",       "If-Match: \"\"",
                                                "If-Match: \"x\"",    "If-Match: \"0\"",
                                                "If-Match: W/\"41\"", "If-Match: \"41\", \"42\"",
                                                "If-Match: \"-1\"" };
        ApiWorld *w = *state;

        for (size_t i = 0; i < ELEMENTSOF(mistakes); i++) {
                assert_int_equal(api_post(w, ROLLBACK, mistakes[i], REASON), 400);
                api_assert_problem(w, 400, "If-Match");
        }
        assert_int_equal(api_post(w, ROLLBACK, "If-Match: \"40\"", REASON), 412);
        api_assert_problem(w, 412, "the active epoch is 41");
        assert_int_equal(api_post(w, ROLLBACK, "If-Match: \"41\"", REASON), 202);
}

static void test_any_epoch(void **state) {
        assert_int_equal(api_post(*state, ROLLBACK, "If-Match: *", REASON), 202);
}

static void test_bodies(void **state) {
        static const char *const mistakes[][2] = {
                { "", "line 1" },
                { "reason", "line 1" },
                { "{\"reason\": \"r\"", "line 1" },
                { "{\"reason\": \"r\"} x", "line 1" },
                { "{\"reason\": \"r\", \"reason\": \"s\"}", "line 1" },
                { "{\"reason\": \"r\\u0000s\"}", "line 1" },
                { "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"
                  "]",
                  "nests deeper" },
                { "[]", "must be a JSON object" },
                { "null", "must be a JSON object" },
                { "\"reason\"", "must be a JSON object" },
                { "{}", "reason is missing" },
                { "{\"target\": \"1.9\"}", "reason is missing" },
                { "{\"reason\": \"\"}", "reason is missing" },
                { "{\"reason\": \" \\t\\n\"}", "reason is missing" },
                { "{\"reason\": null}", "must be text" },
                { "{\"reason\": 7}", "must be text" },
                { "{\"reason\": \"r\", \"target\": \"\"}", "target must be a version" },
                { "{\"reason\": \"r\", \"target\": [\"1.9\"]}", "must be text" },
                { "{\"reason\": \"r\", \"version\": \"1.9\"}", "knows the keys" },
                { "{\"reason\": \"r\", \"target\": "
                  "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}",
                  "target must be a version" },
        };
        ApiWorld *w = *state;

        for (size_t i = 0; i < ELEMENTSOF(mistakes); i++) {
                assert_int_equal(api_post(w, ROLLBACK, "", mistakes[i][0]), 400);
                api_assert_problem(w, 400, mistakes[i][1]);
        }
        /* None of them did anything. */
        assert_int_equal(api_get(w, "/api/v1/services/web"), 200);
        assert_null(json_get(w->json, "operation"));
}

static void test_the_longest_reason(void **state) {
        ApiWorld *w = *state;
        char body[512];
        int n = 160;

        snprintf(body, sizeof body, "{\"reason\": \"%0*d\"}", n, 7);
        assert_int_equal(api_post(w, ROLLBACK, "", body), 400);
        api_assert_problem(w, 400, "1 to 159 bytes");
        snprintf(body, sizeof body, "{\"reason\": \"%0*d\"}", n - 1, 7);
        assert_int_equal(api_post(w, ROLLBACK, "", body), 202);
}

static void test_content_types(void **state) {
        static const struct {
                const char *line;
                unsigned status;
        } types[] = {
                { "", 415 },
                { "Content-Type: text/plain\r\n", 415 },
                { "Content-Type: application/x-www-form-urlencoded\r\n", 415 },
                { "Content-Type: application/jsonx\r\n", 415 },
                { "Content-Type: application/json-patch+json\r\n", 415 },
                { "Content-Type: application/jso\r\n", 415 },
                { "Content-Type: application/json; charset=utf-8\r\n", 422 },
                { "Content-Type: Application/JSON\r\n", 422 },
        };
        ApiWorld *w = *state;

        for (size_t i = 0; i < ELEMENTSOF(types); i++) {
                char text[512];

                /* A target that is not there: the request goes all the way, and changes nothing. */
                snprintf(text, sizeof text,
                         "POST " ROLLBACK " HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: "
                         "30\r\n\r\n{\"reason\":\"r\",\"target\":\"none\"}",
                         types[i].line);
                assert_int_equal(api_ask(w, text), types[i].status);
                api_assert_problem(w, types[i].status, "");
        }
}

static void test_services_that_cannot(void **state) {
        ApiWorld *w = *state;

        assert_int_equal(api_post(w, "/api/v1/services/nobody/rollback", "", REASON), 404);
        api_assert_problem(w, 404, "no service of that name");
        assert_int_equal(api_post(w, "/api/v1/services/shop/rollback", "", REASON), 503);
        api_assert_problem(w, 503, "has not said anything");
}

static void test_loopback_only_reads(void **state) {
        static const char *const writes[] = { ROLLBACK, RESTORE,
                                              "/api/v1/services/nobody/rollback" };
        ApiWorld *w = *state;

        for (size_t i = 0; i < ELEMENTSOF(writes); i++) {
                char text[512];

                snprintf(text, sizeof text,
                         "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                         "application/json\r\nContent-Length: %zu\r\n\r\n%s",
                         writes[i], strlen(REASON), REASON);
                assert_int_equal(api_ask_tcp(w, text), 403);
                api_assert_problem(w, 403, "over the unix socket only");
        }
        assert_int_equal(api_get(w, "/api/v1/services/web"), 200);
        assert_null(json_get(w->json, "operation"));
}

/* A peer that the kernel does not name cannot be made by a real socket. */
static void test_a_peer_without_a_name(_unused_ void **state) {
        ApiOwner owner = { 0 };
        HttpAnswer answer = { .status = 500 };
        HttpCall call = { .method = "POST",
                          .path = ROLLBACK,
                          .content_type = "application/json",
                          .body = REASON,
                          .body_size = strlen(REASON),
                          .local = true,
                          .peer_uid = (uid_t)-1 };
        RulePolicy rule = { .name = "down", .kind = RULE_DOWN };
        ProbePolicy probe = { .name = "live", .n_targets = 1, .rise = 1, .fall = 1 };
        Policy policy = { .service = "web",
                          .hash = "00",
                          .probes = &probe,
                          .n_probes = 1,
                          .rules = &rule,
                          .n_rules = 1 };
        Engine *engine = NULL;
        Api *api = NULL;
        uint32_t handle;

        assert_int_equal(engine_new(&engine, 1, 1), 0);
        assert_int_equal(engine_put_service(engine, &policy, USEC_PER_SEC, &handle), 0);
        owner.engine = engine;
        assert_int_equal(api_new(&api, &owner), 0);
        api_handle(api, &call, &answer);
        assert_int_equal(answer.status, 403);
        assert_non_null(strstr(answer.body, "does not say who asks"));
        free(answer.body);
        api_free(api);
        engine_free(engine);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_rollback, api_world_start, api_world_stop),
                cmocka_unit_test_setup_teardown(test_the_actor, api_world_start, api_world_stop),
                cmocka_unit_test_setup_teardown(test_a_version_by_name, api_world_start,
                                                api_world_stop),
                cmocka_unit_test_setup_teardown(test_restore, api_world_start, api_world_stop),
                cmocka_unit_test_setup_teardown(test_epochs, api_world_start, api_world_stop),
                cmocka_unit_test_setup_teardown(test_any_epoch, api_world_start, api_world_stop),
                cmocka_unit_test_setup_teardown(test_bodies, api_world_start, api_world_stop),
                cmocka_unit_test_setup_teardown(test_the_longest_reason, api_world_start,
                                                api_world_stop),
                cmocka_unit_test_setup_teardown(test_content_types, api_world_start,
                                                api_world_stop),
                cmocka_unit_test_setup_teardown(test_services_that_cannot, api_world_start,
                                                api_world_stop),
                cmocka_unit_test_setup_teardown(test_loopback_only_reads, api_world_start,
                                                api_world_stop),
                cmocka_unit_test(test_a_peer_without_a_name),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
