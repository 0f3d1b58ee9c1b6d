/* Tests of operator alerts: what is logged, what is posted, and what becomes of it when the
 * receiver does not take it. Virtual time. */
#include "notify_world.h"

static ChannelConfig webhook = { .kind = (char *)"webhook",
                                 .url = (char *)"https://hooks.example.org/oncall?token=t0ps3cret",
                                 .secret_file = (char *)"hook" };
static Alerts *alerts;

static int start(void **state) {
        int r = world_start(state);

        assert_int_equal(alerts_new(&alerts, NULL, NULL, &webhook, world.secrets, 7), 0);
        return r;
}

static int stop(void **state) {
        alerts = alerts_free(alerts);
        for (size_t i = 0; i < world.n_requests; i++)
                assert_null(world.requests[i]->callback);
        return world_stop(state);
}

#define SAY(kind, ...)                                                                             \
        do {                                                                                       \
                const EventFieldValue f[] = { __VA_ARGS__ };                                       \
                alert_say(alerts, kind, "web", f, ELEMENTSOF(f));                                  \
                world_run(world.now);                                                              \
        } while (false)

static const EventFieldValue down[] = { { "error", "connection refused" } };

static void raise_down(const char *key) {
        alert_raise(alerts, EVENT_LEDGER_DOWN, "", key, down, 1);
        world_run(world.now);
}

static void over_down(const char *key) {
        alert_over(alerts, EVENT_LEDGER_DOWN, "", key, NULL, 0);
        world_run(world.now);
}

static void test_said_once_everywhere(_unused_ void **state) {
        const Json *data;
        Json *body;

        SAY(EVENT_ROLLBACK_COMMITTED, { "service", "web" }, { "from", "v2" }, { "to", "v1" },
            { "actor", "rollbackd" }, { "reason", "7.2% > 5%" }, { "operation", "0b54" });
        assert_int_equal(world.events, 1);
        assert_int_equal(world.severity, SEVERITY_CRITICAL);
        assert_string_equal(world.sentence, "web: rolled back from v2 to v1 by rollbackd: 7.2% > "
                                            "5%. Type: rollbackctl explain 0b54");
        assert_string_equal(world.message_id, event_row(EVENT_ROLLBACK_COMMITTED)->message_id);
        assert_string_equal(world.fields, "ROLLBACKD_SERVICE=web ROLLBACKD_FROM=v2 "
                                          "ROLLBACKD_TO=v1 ROLLBACKD_OPERATION=0b54 ");
        assert_int_equal(world.n_requests, 1);
        assert_string_equal(world.requests[0]->url, webhook.url);
        assert_int_equal(strncmp(world.requests[0]->id, "alert_", 6), 0);
        assert_signed(world.requests[0]);
        body = world_body(0, &data);
        assert_string_equal(json_get_text(body, "type", ""), "rollback.committed");
        assert_string_equal(json_get_text(data, "text", ""),
                            "web: rolled back from v2 to v1 by rollbackd: 7.2% > 5%");
        assert_string_equal(json_get_text(data, "type_now", ""), "rollbackctl explain 0b54");
        assert_string_equal(json_get_text(data, "severity", ""), "critical");
        assert_string_equal(json_get_text(data, "service", ""), "web");
        assert_string_equal(json_get_text(data, "reason", ""), "7.2% > 5%");
        assert_false(json_get_bool(data, "over", true));
        json_free(body);
        world_answer(0, 204, 0);
        world_pass(100 * USEC_PER_HOUR);
        assert_int_equal(world.n_requests, 1);
        assert_int_equal(world.messages, 0);
        assert_int_equal(alerts_dropped(alerts), 0);
}

static void test_without_webhook(_unused_ void **state) {
        alerts_free(alerts);
        assert_int_equal(alerts_new(&alerts, NULL, NULL, NULL, world.secrets, 7), 0);
        SAY(EVENT_RULE_BAD, { "service", "web" });
        assert_int_equal(world.events, 1);
        assert_int_equal(world.n_requests, 0);
        assert_int_equal(alerts_dropped(alerts), 0);
}

static void test_unsigned_without_secret(_unused_ void **state) {
        ChannelConfig bare = { .kind = webhook.kind, .url = webhook.url };

        alerts_free(alerts);
        assert_int_equal(alerts_new(&alerts, NULL, NULL, &bare, world.secrets, 7), 0);
        SAY(EVENT_RULE_BAD, { "service", "web" });
        assert_int_equal(world.n_requests, 1);
        assert_string_equal(world.requests[0]->signature, "");
        alerts = alerts_free(alerts);
}

static void test_forgotten_service(_unused_ void **state) {
        const EventFieldValue fields[] = { { "service", "web" } };

        alert_raise(alerts, EVENT_SERVICE_BLIND, "web", "", fields, 1);
        alert_raise(alerts, EVENT_SERVICE_BLIND, "other", "", fields, 1);
        assert_int_equal(world.events, 2);
        alerts_forget_service(alerts, "web");
        alert_over(alerts, EVENT_SERVICE_BLIND, "web", "", fields, 1);
        assert_int_equal(world.events, 2);
        /* The other one is repeated, and it alone. */
        world_pass(ALERTS_REPEAT);
        assert_int_equal(world.events, 3);
        alert_over(alerts, EVENT_SERVICE_BLIND, "other", "", fields, 1);
        assert_int_equal(world.events, 4);
}

static void test_lasting(_unused_ void **state) {
        const EventFieldValue later[] = { { "error", "password refused" } };
        const Json *data;
        Json *body;

        raise_down("a");
        raise_down("a");
        assert_int_equal(world.events, 1);
        raise_down("b");
        assert_int_equal(world.events, 2);
        over_down("b");
        assert_int_equal(world.events, 3);
        assert_int_equal(world.severity, SEVERITY_NOTICE);
        assert_string_equal(world.sentence, "the ledger can be reached again");
        body = world_body(2, &data);
        assert_true(json_get_bool(data, "over", false));
        assert_string_equal(json_get_text(data, "text", ""), "the ledger can be reached again");
        json_free(body);
        over_down("b");
        over_down("never raised");
        assert_int_equal(world.events, 3);

        world_pass(ALERTS_REPEAT - 1);
        assert_int_equal(world.events, 3);
        alert_raise(alerts, EVENT_LEDGER_DOWN, "", "a", later, 1);
        assert_int_equal(world.events, 3);
        world_pass(1);
        assert_int_equal(world.events, 4);
        assert_non_null(strstr(world.sentence, "password refused"));
        world_pass(3 * ALERTS_REPEAT);
        assert_int_equal(world.events, 7);
        over_down("a");
        assert_int_equal(world.events, 8);
        world_pass(3 * ALERTS_REPEAT);
        assert_int_equal(world.events, 8);
        raise_down("a");
        assert_int_equal(world.events, 9);
}

/* Fields that the caller builds on its stack, names too, are gone when the hour strikes. */
static void test_lasting_copies(_unused_ void **state) {
        char name[] = "error", value[] = "refused", key[] = "k";
        EventFieldValue fields[] = { { name, value }, { "other", NULL } };

        alert_raise(alerts, EVENT_LEDGER_DOWN, "", key, fields, 2);
        memset(name, 'x', sizeof name - 1);
        memset(value, 'y', sizeof value - 1);
        memset(key, 'z', sizeof key - 1);
        world_pass(ALERTS_REPEAT);
        assert_int_equal(world.events, 2);
        assert_non_null(strstr(world.sentence, "the ledger cannot be reached: refused;"));
        over_down("k");
        assert_int_equal(world.events, 3);
}

/* Runs one notice to its end; returns the number of tries. */
static unsigned exhaust(const usec_t spans[], size_t n) {
        size_t first = world.n_requests - 1;

        for (size_t i = first; i < world.n_requests; i++) {
                usec_t before = world.now;

                assert_string_equal(world.requests[i]->id, world.requests[first]->id);
                world_answer(i, 500, 0);
                world_pass(100 * USEC_PER_HOUR);
                if (i + 1 < world.n_requests) {
                        assert_true(i - first < n);
                        assert_true(world.requests[i + 1]->at - before < spans[i - first]);
                }
                assert_true(world.n_requests <= i + 2);
        }
        return (unsigned)(world.n_requests - first);
}

static void test_schedule_to_the_end(_unused_ void **state) {
        static const usec_t spans[] = {
                5 * USEC_PER_SEC,   5 * USEC_PER_MINUTE, 30 * USEC_PER_MINUTE,
                2 * USEC_PER_HOUR,  5 * USEC_PER_HOUR,   10 * USEC_PER_HOUR,
                14 * USEC_PER_HOUR, 20 * USEC_PER_HOUR,  24 * USEC_PER_HOUR,
        };
        const Json *data;
        Json *body;

        SAY(EVENT_RULE_BAD, { "service", "web" });
        assert_int_equal(exhaust(spans, ELEMENTSOF(spans)), 10);
        assert_int_equal(alerts_dropped(alerts), 1);
        assert_non_null(strstr(world.message, "given up: the receiver answered 500"));
        SAY(EVENT_RULE_BAD, { "service", "web" });
        assert_int_equal(world.n_requests, 12);
        body = world_body(10, &data);
        assert_string_equal(json_get_text(body, "type", ""), "alerts.dropped");
        assert_string_equal(json_get_text(data, "count", ""), "1");
        json_free(body);
}

static void test_retry_after(_unused_ void **state) {
        SAY(EVENT_RULE_BAD, { "service", "web" });
        world_answer(0, 429, 100 * USEC_PER_SEC);
        world_pass(100 * USEC_PER_SEC - 1);
        assert_int_equal(world.n_requests, 1);
        world_pass(1);
        assert_int_equal(world.n_requests, 2);
        world_answer(1, 503, 1000000 * USEC_PER_HOUR);
        world_pass(CHANNEL_RETRY_AFTER_MAX);
        assert_int_equal(world.n_requests, 3);
        world_answer(2, 200, 0);

        SAY(EVENT_RULE_BAD, { "service", "web" });
        world_answer(3, 429, USEC_PER_HOUR);
        SAY(EVENT_RULE_BAD, { "service", "web" });
        world_answer(4, 200, 0); /* does not bring forward what was asked to wait */
        world_pass(USEC_PER_HOUR - 1);
        assert_int_equal(world.n_requests, 5);
        world_pass(1);
        world_answer(5, 200, 0);
}

static void test_only_a_throttle_may_ask_for_a_wait(_unused_ void **state) {
        SAY(EVENT_RULE_BAD, { "service", "web" });
        world_answer(0, 500, USEC_PER_HOUR);
        world_pass(5 * USEC_PER_SEC);
        assert_int_equal(world.n_requests, 2);
}

static void test_gone_and_refused_urls(_unused_ void **state) {
        SAY(EVENT_RULE_BAD, { "service", "web" });
        world_answer(0, 410, 0);
        assert_int_equal(alerts_dropped(alerts), 1);
        assert_null(strstr(world.message, "t0ps3cret"));
        world_pass(100 * USEC_PER_HOUR);
        assert_int_equal(world.n_requests, 1);
        alerts_free(alerts);
        webhook.url = (char *)"ftp://nowhere";
        assert_int_equal(alerts_new(&alerts, NULL, NULL, &webhook, world.secrets, 7), 0);
        SAY(EVENT_RULE_BAD, { "service", "web" });
        webhook.url = (char *)"https://hooks.example.org/oncall?token=t0ps3cret";
        assert_int_equal(alerts_dropped(alerts), 1);
}

/* A notice that is never taken holds no other up, and one that is taken brings the waiting ones
 * forward. */
static void test_no_head_of_line(_unused_ void **state) {
        SAY(EVENT_RULE_BAD, { "service", "web" });
        world_answer(0, 500, 0);
        world_pass(5 * USEC_PER_SEC);
        world_answer(1, 500, 0);
        world_pass(5 * USEC_PER_MINUTE);
        world_answer(2, 500, 0);
        SAY(EVENT_SERVICE_BLIND, { "service", "web" });
        assert_int_equal(world.n_requests, 4);
        assert_string_not_equal(world.requests[3]->id, world.requests[0]->id);
        world_answer(3, 200, 0);
        assert_int_equal(world.n_requests, 5);
        assert_string_equal(world.requests[4]->id, world.requests[0]->id);
        world_answer(4, 200, 0);
        assert_int_equal(alerts_dropped(alerts), 0);
}

static void test_few_at_once(_unused_ void **state) {
        for (unsigned i = 0; i < 10; i++)
                SAY(EVENT_RULE_BAD, { "service", "web" });
        assert_int_equal(world.n_requests, ALERT_QUEUE_CONCURRENT);
        world_answer(0, 200, 0);
        assert_int_equal(world.n_requests, ALERT_QUEUE_CONCURRENT + 1);
        world_reply(1, &(HttpReply){
                               .error = -ECONNREFUSED, .words = "connection refused", .body = "" });
        assert_non_null(strstr(world.message, "connection refused"));
        assert_int_equal(world.n_requests, ALERT_QUEUE_CONCURRENT + 2);
}

/* When the queue is full the least severe go, and how many is said once there is room. */
static void test_full(_unused_ void **state) {
        unsigned critical = 0, dropped = 0;

        for (unsigned i = 0; i < 50; i++)
                SAY(EVENT_RULE_BAD, { "service", "web" });
        for (unsigned i = 0; i < 30; i++)
                SAY(EVENT_ROLLBACK_COMMITTED, { "service", "web" });
        for (unsigned i = 0; i < 5; i++)
                SAY(EVENT_RELEASE_DEPLOYED, { "service", "web" });
        assert_int_equal(alerts_dropped(alerts), 50 + 30 + 5 - ALERT_QUEUE_MAX);
        for (size_t i = 0; i < world.n_requests; i++) {
                const Json *data;
                Json *body = world_body(i, &data);

                assert_string_not_equal(json_get_text(body, "type", ""), "release.deployed");
                critical += streq(json_get_text(data, "severity", ""), "critical");
                if (streq(json_get_text(body, "type", ""), "alerts.dropped")) {
                        dropped++;
                        assert_string_equal(json_get_text(data, "count", ""), "21");
                }
                json_free(body);
                world_answer(i, 200, 0);
        }
        assert_int_equal(critical, 30);
        assert_int_equal(dropped, 1);
        assert_int_equal(world.n_requests, ALERT_QUEUE_MAX + 1);
}

static void test_secret_comes_later(_unused_ void **state) {
        assert_int_equal(unlink(world.secret_path), 0);
        SAY(EVENT_RULE_BAD, { "service", "web" });
        assert_int_equal(world.n_requests, 0);
        assert_non_null(strstr(world.message, "hook"));
        world_write_secret();
        world_pass(5 * USEC_PER_SEC);
        assert_int_equal(world.n_requests, 1);
        assert_signed(world.requests[0]);
}

/* Want of a free place is no try. */
static void test_busy_client(_unused_ void **state) {
        world.busy = true;
        SAY(EVENT_RULE_BAD, { "service", "web" });
        world_pass(20 * USEC_PER_MINUTE);
        assert_int_equal(alerts_dropped(alerts), 0);
        world.busy = false;
        world_pass(USEC_PER_SEC);
        assert_int_equal(world.n_requests, 1);
}

static void test_large_fields(_unused_ void **state) {
        static char large[30 * 1024];
        const Json *data;
        Json *body;

        memset(large, 'a', sizeof large - 1);
        SAY(EVENT_SERVICE_UNCONFIGURED, { "service", "web" }, { "error", large },
            { "path", "/etc/x.conf" });
        assert_int_equal(world.n_requests, 1);
        assert_true(strlen(world.requests[0]->body) < NOTICE_BODY_MAX);
        body = world_body(0, &data);
        assert_string_equal(json_get_text(data, "path", ""), "/etc/x.conf");
        assert_null(json_get(data, "error"));
        assert_string_equal(json_text_value(json_at(json_get(data, "omitted"), 0)), "error");
        assert_non_null(strstr(world.sentence, "aaa [...]"));
        json_free(body);
}

/* Every kind, with the fields of its example, leaves no place of its sentences empty. */
static void test_every_kind(_unused_ void **state) {
        for (int k = 0; k < _EVENT_KIND_MAX; k++) {
                const EventRow *row = event_row((EventKind)k);
                STRBUF(error, 128);
                Json *example = json_parse(row->example, strlen(row->example), &error);
                EventFieldValue fields[16];
                const Json *value;
                const char *key;
                void *at = NULL;
                size_t n = 0;

                assert_non_null(example);
                while ((key = json_next(example, &at, &value)))
                        fields[n++] = (EventFieldValue){ key, json_text_value(value) };
                alert_raise(alerts, (EventKind)k, "web", "", fields, n);
                world_run(world.now);
                assert_null(strchr(world.sentence, '?'));
                alert_over(alerts, (EventKind)k, "web", "", fields, n);
                world_run(world.now);
                assert_null(strchr(world.sentence, '?'));
                for (size_t i = 0; i < world.n_requests; i++)
                        if (world.requests[i]->callback)
                                world_answer(i, 200, 0);
                json_free(example);
        }
        assert_int_equal(alerts_dropped(alerts), 0);
}

static void test_limit_of_lasting(_unused_ void **state) {
        char key[16];
        unsigned events;

        alerts_free(alerts);
        assert_int_equal(alerts_new(&alerts, NULL, NULL, NULL, world.secrets, 7), 0);
        for (unsigned i = 0; i < ALERTS_LASTING_MAX; i++) {
                assert_true(snprintf(key, sizeof key, "%u", i) > 0);
                raise_down(key);
        }
        assert_int_equal(world.events, ALERTS_LASTING_MAX);
        raise_down("one more");
        assert_int_equal(world.events, ALERTS_LASTING_MAX + 1);
        assert_string_equal(world.sentence, "1 alerts were dropped because their queue was full. "
                                            "Type: journalctl -u rollbackd -p warning");
        assert_int_equal(alerts_dropped(alerts), 1);
        events = world.events;
        over_down("0");
        raise_down("one more");
        assert_int_equal(world.events, events + 2);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_said_once_everywhere),
                TEST(test_without_webhook),
                TEST(test_unsigned_without_secret),
                TEST(test_forgotten_service),
                TEST(test_lasting),
                TEST(test_lasting_copies),
                TEST(test_schedule_to_the_end),
                TEST(test_retry_after),
                TEST(test_only_a_throttle_may_ask_for_a_wait),
                TEST(test_gone_and_refused_urls),
                TEST(test_no_head_of_line),
                TEST(test_few_at_once),
                TEST(test_full),
                TEST(test_secret_comes_later),
                TEST(test_busy_client),
                TEST(test_large_fields),
                TEST(test_every_kind),
                TEST(test_limit_of_lasting),
        };

        return cmocka_run_group_tests_name("alerts", tests, NULL, NULL);
}
