/* What can be read over HTTP: every route, what each answer holds, and how a request that is none
 * is told so. */
#include "api_world.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void test_health(void **state) {
        ApiWorld *w = *state;

        assert_int_equal(api_get(w, "/livez"), 200);
        assert_string_equal(w->body, "ok\n");
        assert_int_equal(api_get(w, "/readyz"), 200);
        assert_string_equal(w->body, "ready: 2 services\n");
        assert_int_equal(api_get(w, "/readyz?verbose"), 200);
        assert_string_equal(w->body, "[+]ledger ok\n[+]policies ok\nready: 2 services\n");
        assert_int_equal(api_get(w, "/readyz?verbose=1"), 200);
        assert_non_null(strstr(w->body, "[+]ledger ok\n"));
}

static void test_not_ready(void **state) {
        ApiWorld *w = *state;

        assert_int_equal(api_get(w, "/livez"), 200);
        assert_int_equal(api_get(w, "/readyz"), 503);
        assert_string_equal(w->body, "not ready: 2 services\n");
        assert_int_equal(api_get(w, "/readyz?verbose"), 503);
        assert_non_null(strstr(w->body, "[-]ledger connection refused\n"));
        assert_int_equal(api_get(w, "/api/v1/operations"), 503);
        api_assert_problem(w, 503, "has not been read yet");
        assert_int_equal(api_get(w, "/api/v1/events"), 503);
        assert_int_equal(api_get(w, "/api/v1/operations/0b54ae3c-8f0e-4c3e-9a51-3a5e0d6b7c11"),
                         404);
        assert_int_equal(api_get(w, "/api/v1/services"), 200);
        assert_false(json_get_bool(w->json, "ledger_up", true));
        assert_int_equal(api_post(w, "/api/v1/services/web/rollback", "", "{\"reason\": \"r\"}"),
                         503);
        api_assert_problem(w, 503, "cannot be reached");
}

static void test_services(void **state) {
        ApiWorld *w = *state;
        const Json *list, *web, *shop, *refused;

        assert_int_equal(api_get(w, "/api/v1/services"), 200);
        list = json_get(w->json, "services");
        assert_int_equal(json_get_i64(w->json, "api_version", 0), 1);
        assert_string_equal(json_get_text(w->json, "status", ""), "2 services");
        assert_true(json_get_bool(w->json, "ledger_up", false));
        assert_int_equal(json_length(list), 3);
        assert_null(json_get(w->json, "next"));
        (void)api_find(list, "service", API_WORLD_ODD_NAME);
        web = api_find(list, "service", "web");
        assert_string_equal(json_get_text(web, "version", ""), "2.0");
        assert_int_equal(json_get_i64(web, "epoch", 0), 41);
        assert_string_equal(json_get_text(web, "mode", ""), "automatic");
        assert_string_equal(json_get_text(web, "release", ""), "deploy");
        assert_string_equal(json_get_text(web, "target", ""), "1.9");
        assert_true(json_get_double(web, "released_for_seconds", 0) == 100);
        assert_string_equal(json_get_text(web, "health", ""), "suspect");
        assert_int_equal(json_length(json_get(web, "rules")), 2);
        assert_null(json_get(web, "operation"));
        shop = api_find(list, "service", "shop");
        assert_false(json_get_bool(shop, "known", true));
        assert_null(json_get(shop, "version"));
        assert_string_equal(json_get_text(shop, "health", ""), "new");
        refused = json_at(json_get(w->json, "unconfigured"), 0);
        assert_int_equal(json_length(json_get(w->json, "unconfigured")), 1);
        assert_string_equal(json_get_text(refused, "path", ""), "/etc/bad.conf");
        assert_string_equal(json_get_text(refused, "error", ""),
                            "/etc/bad.conf:3: \"x\": unknown key\n");
        assert_false(json_get_bool(refused, "earlier_in_force", true));
}

static void test_pages_of_services(void **state) {
        ApiWorld *w = *state;

        assert_int_equal(api_get(w, "/api/v1/services?limit=2"), 200);
        assert_int_equal(json_length(json_get(w->json, "services")), 2);
        assert_int_equal(json_get_i64(w->json, "next", 0), 2);
        assert_int_equal(api_get(w, "/api/v1/services?limit=2&from=2"), 200);
        assert_int_equal(json_length(json_get(w->json, "services")), 1);
        assert_null(json_get(w->json, "next"));
        assert_int_equal(api_get(w, "/api/v1/services?limit=1001"), 400);
        api_assert_problem(w, 400, "limit must be a number from 1 to 1000");
        assert_int_equal(api_get(w, "/api/v1/services?from=-1"), 400);
        api_assert_problem(w, 400, "from must be a number from 0 to 4096");
}

/* Whoever follows `next` sees every service once, and no page is longer than a client of ours
 * reads. */
static void test_a_crowd(void **state) {
        ApiWorld *w = *state;
        size_t seen = 0, pages = 0;
        int64_t from = 0;

        do {
                char path[64];

                snprintf(path, sizeof path, "/api/v1/services?from=%lld", (long long)from);
                assert_int_equal(api_get(w, path), 200);
                assert_true(strlen(w->body) < JSON_INPUT_MAX);
                seen += json_length(json_get(w->json, "services"));
                from = json_get_i64(w->json, "next", 0);
        } while (++pages < 100 && from > 0);
        assert_int_equal(seen, 4096);
        assert_int_equal(pages, 41);
}

static void test_one_service(void **state) {
        ApiWorld *w = *state;
        const Json *rule, *live, *target, *guard;

        assert_int_equal(api_get(w, "/api/v1/services/web"), 200);
        assert_int_equal(json_get_i64(w->json, "api_version", 0), 1);
        rule = api_find(json_get(w->json, "rules"), "name", "down");
        assert_string_equal(json_get_text(rule, "verdict", ""), "bad");
        assert_string_equal(json_get_text(rule, "response", ""), "rollback");
        assert_non_null(strstr(json_get_text(rule, "reading", ""), "1 of 2"));
        assert_true(json_get_double(rule, "hold_seconds", 0) == 20);
        assert_true(json_get_double(rule, "bad_for_seconds", 0) > 0 &&
                    json_get_double(rule, "bad_for_seconds", 0) < 20);
        assert_false(json_get_bool(rule, "firing", true));
        rule = api_find(json_get(w->json, "rules"), "name", "errors");
        assert_string_equal(json_get_text(rule, "verdict", ""), "good");
        assert_string_equal(json_get_text(rule, "response", ""), "notify");
        assert_true(json_get_double(rule, "bad", 0) == 50);
        assert_true(json_get_double(rule, "total", 0) == 5000);
        live = api_find(json_get(w->json, "probes"), "name", "live");
        assert_int_equal(json_length(json_get(live, "targets")), 2);
        target = json_at(json_get(live, "targets"), 0);
        assert_string_equal(json_get_text(target, "state", ""), "good");
        assert_string_equal(json_get_text(target, "version", ""), "2.0");
        assert_true(json_get_double(target, "age_seconds", 0) == 1);
        assert_null(json_get(target, "values"));
        target = json_at(json_get(live, "targets"), 1);
        assert_true(json_get_double(json_get(target, "values"), "lag", 0) == 1.5);
        assert_null(json_get(json_get(target, "values"), "queue"));
        assert_string_equal(json_get_text(target, "url", ""), "http://10.0.0.2:80/");
        assert_string_equal(json_get_text(target, "state", ""), "bad");
        assert_string_equal(json_get_text(target, "words", ""), "connection refused");
        assert_true(json_get_double(target, "duration_seconds", 0) == 0.0025);
        assert_string_equal(json_get_text(target, "address", ""), "10.0.0.1");
        assert_null(json_get(target, "addresses_left_out"));
        guard = api_find(json_get(w->json, "guards"), "guard", "mode");
        assert_string_equal(json_get_text(guard, "answer", ""), "passes");
        assert_true(json_get_double(w->json, "bake_left_seconds", 0) > 0);
        assert_int_equal(api_get(w, "/api/v1/services/nobody"), 404);
        api_assert_problem(w, 404, "no service of that name");
}

static void test_addresses_of_names(void **state) {
        static const char *const wanted[][2] = {
                { "10.0.0.4:80", "10.0.0.0" },       { "shop.example:80", "10.0.0.1" },
                { "shop.example:80", "10.0.0.4" },   { "other.example:80", "10.0.0.2" },
                { "other.example:80", "10.0.0.18" },
        };
        ApiWorld *w = *state;
        const Json *targets;

        assert_int_equal(api_get(w, "/api/v1/services/shop"), 200);
        targets = json_get(api_find(json_get(w->json, "probes"), "name", "names"), "targets");
        assert_int_equal(json_length(targets), ELEMENTSOF(wanted));
        for (size_t i = 0; i < ELEMENTSOF(wanted); i++) {
                const Json *target = json_at(targets, i);

                assert_string_equal(json_get_text(target, "url", ""), wanted[i][0]);
                assert_string_equal(json_get_text(target, "address", ""), wanted[i][1]);
                assert_int_equal(json_get_i64(target, "addresses_left_out", 0), 3);
        }
}

static void test_explain(void **state) {
        ApiWorld *w = *state;
        const Json *evidence;

        assert_int_equal(api_get(w, "/api/v1/services/web/explain"), 200);
        assert_int_equal(json_length(json_get(w->json, "evidence")), 2);
        evidence = api_find(json_get(w->json, "evidence"), "rule", "down");
        assert_string_equal(json_get_text(evidence, "service", ""), "web");
        assert_string_equal(json_get_text(evidence, "verdict", ""), "bad");
        assert_int_equal(json_get_i64(evidence, "targets_down", 0), 1);
        assert_non_null(strstr(json_get_text(evidence, "guards", ""), "depth passes"));
        assert_int_equal(api_get(w, "/api/v1/services/shop/explain"), 200);
        assert_int_equal(api_get(w, "/api/v1/services/nobody/explain"), 404);
}

static void test_lists(void **state) {
        ApiWorld *w = *state;

        assert_int_equal(api_get(w, "/api/v1/operations"), 200);
        assert_int_equal(json_get_i64(w->json, "api_version", 0), 1);
        assert_int_equal(json_length(json_get(w->json, "operations")), 2);
        assert_int_equal(api_get(w, "/api/v1/operations?service=shop"), 200);
        assert_int_equal(json_length(json_get(w->json, "operations")), 1);
        assert_int_equal(api_get(w, "/api/v1/events?limit=2"), 200);
        assert_int_equal(json_length(json_get(w->json, "events")), 2);
        assert_string_equal(json_get_text(json_at(json_get(w->json, "events"), 0), "kind", ""),
                            "service.paused");
        assert_int_equal(api_get(w, "/api/v1/events?service=web&limit=1"), 200);
        assert_int_equal(json_length(json_get(w->json, "events")), 1);
        assert_int_equal(api_get(w, "/api/v1/events?service=nobody"), 200);
        assert_int_equal(json_length(json_get(w->json, "events")), 0);
        static const char *const wrong[] = { "limit=0",
                                             "limit=1001",
                                             "limit=x",
                                             "limit=",
                                             "limit",
                                             "limit=1e3",
                                             "limit=18446744073709551617" };
        for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
                char path[128];

                snprintf(path, sizeof path, "/api/v1/operations?%s", wrong[i]);
                assert_int_equal(api_get(w, path), 400);
                api_assert_problem(w, 400, "limit must be a number from 1 to 1000");
        }
}

static void test_one_operation(void **state) {
        ApiWorld *w = *state;

        assert_int_equal(api_get(w, "/api/v1/operations/0b54ae3c-8f0e-4c3e-9a51-3a5e0d6b7c11"),
                         200);
        assert_string_equal(
                json_get_text(json_get(json_get(w->json, "operation"), "evidence"), "rule", ""),
                "down");
        assert_int_equal(api_get(w, "/api/v1/operations/0B54AE3C-8F0E-4C3E-9A51-3A5E0D6B7C11"),
                         200);
        assert_int_equal(api_get(w, "/api/v1/operations/3b54ae3c-8f0e-4c3e-9a51-3a5e0d6b7c11"),
                         200);
        assert_string_equal(json_get_text(json_get(w->json, "event"), "kind", ""),
                            "service.resumed");
        assert_int_equal(api_get(w, "/api/v1/operations/9b54ae3c-8f0e-4c3e-9a51-3a5e0d6b7c11"),
                         404);
        api_assert_problem(w, 404, "no operation or event of that id");
}

/* What is older than the lists is looked up. */
static void test_one_old_operation(void **state) {
        ApiWorld *w = *state;

        assert_int_equal(api_get(w, "/api/v1/operations/" API_WORLD_OLD_OPERATION), 200);
        assert_int_equal(json_get_i64(w->json, "api_version", 0), 1);
        assert_string_equal(json_get_text(json_get(w->json, "operation"), "kind", ""), "rollback");
        assert_int_equal(api_get(w, "/api/v1/operations/" API_WORLD_OLD_EVENT), 200);
        assert_string_equal(json_get_text(json_get(w->json, "event"), "kind", ""),
                            "service.pinned");
        assert_int_equal(api_get(w, "/api/v1/operations/nothing"), 404);
        api_assert_problem(w, 404, "no operation or event of that id");
        assert_int_equal(api_get(w, "/api/v1/operations/" API_WORLD_ERROR), 503);
        api_assert_problem(w, 503, "could not be asked: connection lost");
        assert_non_null(strcasestr(w->answer, "\r\nRetry-After: 1\r\n"));
        assert_int_equal(api_get(w, "/api/v1/operations/" API_WORLD_AWAY), 503);
        api_assert_problem(w, 503, "could not be asked: connection refused");
}

/* As many wait at once as there are places; the next one is sent away, and the others are not kept
 * waiting by that. */
static void test_many_look_ups(void **state) {
        ApiWorld *w = *state;
        int fds[API_LOOKUPS_MAX];
        char text[4096];
        bool full = false;

        for (size_t i = 0; i < ELEMENTSOF(fds); i++) {
                fds[i] = dial_unix(w->served->socket);
                assert_true(say(fds[i], GET("/api/v1/operations/" API_WORLD_SLOW)));
        }
        for (int i = 0; !full && i < SERVED_PATIENCE; i += 10) {
                full = api_get(w, "/api/v1/operations/" API_WORLD_OLD_EVENT) == 503;
                (void)poll(NULL, 0, 10);
        }
        assert_true(full);
        api_assert_problem(w, 503, "it looks for others already");
        assert_non_null(strcasestr(w->answer, "\r\nRetry-After: 1\r\n"));
        assert_int_equal(api_get(w, "/livez"), 200);
        assert_int_equal(api_get(w, "/readyz"), 200);
        for (size_t i = 0; i < ELEMENTSOF(fds); i++) {
                assert_int_equal(hear(fds[i], text, sizeof text, false), 200);
                assert_non_null(strstr(text, "service.unpinned"));
                close(fds[i]);
        }
        assert_int_equal(api_get(w, "/api/v1/operations/" API_WORLD_OLD_EVENT), 200);
        /* One still waits when the server ends. */
        fds[0] = dial_unix(w->served->socket);
        assert_true(say(fds[0], GET("/api/v1/operations/" API_WORLD_SLOW)));
        assert_int_equal(api_get(w, "/livez"), 200);
}

static void test_paths_that_are_none(void **state) {
        static const char *const paths[] = {
                "/",
                "/livez/",
                "//livez",
                "/api",
                "/api/v1",
                "/api/v2/services",
                "/api/v1/services/",
                "/api/v1/services//explain",
                "/api/v1/services/web/",
                "/api/v1/services/web/x",
                "/api/v1/services/web%2Fexplain/x",
                "/api/v1/operations/",
                "/LIVEZ",
                "/metrics/../livez",
                "/api/v1/services/"
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                "aaaaaaaaaaaaaa",
        };
        ApiWorld *w = *state;

        for (size_t i = 0; i < ELEMENTSOF(paths); i++) {
                assert_int_equal(api_get(w, paths[i]), 404);
                api_assert_problem(w, 404, "there is no such path");
        }
}

static void test_methods(void **state) {
        static const char *const reads[] = { "/livez",
                                             "/readyz",
                                             "/metrics",
                                             "/api/v1/services",
                                             "/api/v1/services/web",
                                             "/api/v1/services/web/explain",
                                             "/api/v1/operations",
                                             "/api/v1/operations/x",
                                             "/api/v1/events" };
        static const char *const writes[] = { "/api/v1/services/web/rollback",
                                              "/api/v1/services/web/restore" };
        static const char *const methods[] = {
                "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"
        };
        ApiWorld *w = *state;
        char text[256];

        for (size_t m = 0; m < ELEMENTSOF(methods); m++)
                for (size_t i = 0; i < ELEMENTSOF(reads); i++) {
                        snprintf(text, sizeof text,
                                 "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
                                 methods[m], reads[i]);
                        assert_int_equal(api_ask(w, text), 405);
                        api_assert_problem(w, 405, "does not take that method");
                        assert_non_null(strcasestr(w->answer, "\r\nAllow: GET, HEAD\r\n"));
                }
        for (size_t i = 0; i < ELEMENTSOF(writes); i++) {
                assert_int_equal(api_get(w, writes[i]), 405);
                assert_non_null(strcasestr(w->answer, "\r\nAllow: POST\r\n"));
        }
        assert_int_equal(api_ask(w, "HEAD /api/v1/services HTTP/1.1\r\nHost: localhost\r\n\r\n"),
                         200);
        assert_string_equal(w->body, "");
        assert_int_equal(api_ask(w, "HEAD /api/v1/nothing HTTP/1.1\r\nHost: localhost\r\n\r\n"),
                         404);
}

/* A page of another site reaches loopback under its own name. */
static void test_hosts(void **state) {
        static const char *const own[] = { "localhost",      "LocalHost:80", "127.0.0.1",
                                           "127.0.0.1:7331", "[::1]",        "[::1]:7331" };
        static const char *const foreign[] = {
                "evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "127.0.0.2",
                "[::2]",        "evil.example:127.0.0.1"
        };
        ApiWorld *w = *state;
        char text[256];

        for (size_t i = 0; i < ELEMENTSOF(own); i++) {
                snprintf(text, sizeof text, "GET /livez HTTP/1.1\r\nHost: %s\r\n\r\n", own[i]);
                assert_int_equal(api_ask_tcp(w, text), 200);
        }
        for (size_t i = 0; i < ELEMENTSOF(foreign); i++) {
                snprintf(text, sizeof text, "GET /api/v1/services HTTP/1.1\r\nHost: %s\r\n\r\n",
                         foreign[i]);
                assert_int_equal(api_ask_tcp(w, text), 403);
                api_assert_problem(w, 403, "Host");
        }
        assert_int_equal(api_ask_tcp(w, "GET /livez HTTP/1.0\r\n\r\n"), 403);
        assert_int_equal(api_ask(w, "GET /livez HTTP/1.1\r\nHost: whatever\r\n\r\n"), 200);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_health, api_world_start, api_world_stop),
                cmocka_unit_test_setup_teardown(test_not_ready, api_world_start_without_ledger,
                                                api_world_stop),
                cmocka_unit_test_setup_teardown(test_services, api_world_start, api_world_stop),
                cmocka_unit_test_setup_teardown(test_pages_of_services, api_world_start,
                                                api_world_stop),
                cmocka_unit_test_setup_teardown(test_a_crowd, api_world_start_crowded,
                                                api_world_stop),
                cmocka_unit_test_setup_teardown(test_one_service, api_world_start, api_world_stop),
                cmocka_unit_test_setup_teardown(test_addresses_of_names, api_world_start,
                                                api_world_stop),
                cmocka_unit_test_setup_teardown(test_explain, api_world_start, api_world_stop),
                cmocka_unit_test_setup_teardown(test_lists, api_world_start, api_world_stop),
                cmocka_unit_test_setup_teardown(test_one_operation, api_world_start,
                                                api_world_stop),
                cmocka_unit_test_setup_teardown(test_one_old_operation, api_world_start,
                                                api_world_stop),
                cmocka_unit_test_setup_teardown(test_many_look_ups, api_world_start,
                                                api_world_stop),
                cmocka_unit_test_setup_teardown(test_paths_that_are_none, api_world_start,
                                                api_world_stop),
                cmocka_unit_test_setup_teardown(test_methods, api_world_start, api_world_stop),
                cmocka_unit_test_setup_teardown(test_hosts, api_world_start, api_world_stop),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
