/* Tests of deliveries: one try each, its body and signature, and what the ledger is told. Virtual
 * time. */
#include "notify_world.h"

static Deliveries *deliveries;
static struct Told {
        unsigned n;
        char id[64], words[256];
        DeliveryResult result;
        usec_t retry_in;
} told;

static void on_told(_unused_ void *userdata, const char *id, DeliveryResult result, usec_t retry_in,
                    const char *words) {
        told.n++;
        told.result = result;
        told.retry_in = retry_in;
        assert_true(snprintf(told.id, sizeof told.id, "%s", id) < (int)sizeof told.id);
        assert_true(snprintf(told.words, sizeof told.words, "%s", words) < (int)sizeof told.words);
}

static int set_up(void **state) {
        int r = world_start(state);

        told = (struct Told){ 0 };
        assert_int_equal(deliveries_new(&deliveries, NULL, NULL, world.secrets, on_told, NULL, 7),
                         0);
        return r;
}

static int tear_down(void **state) {
        deliveries_free(deliveries);
        for (size_t i = 0; i < world.n_requests; i++)
                assert_null(world.requests[i]->callback);
        return world_stop(state);
}

#define CHANNEL "{\"kind\":\"webhook\",\"url\":\"https://h/\",\"secret_file\":\"hook\"}"

static int send_with(const char *channel, const char *type, const char *fields, unsigned attempt) {
        STRBUF(error, 128);
        _cleanup_(json_freep) Json *entry = json_parse(channel, strlen(channel), &error);
        const Delivery d = {
                .id = "0b54ae3c-8f0e-4c3e-9a51-3a5e0d6b7c11",
                .channel = entry,
                .type = type,
                .at = "2026-11-21T15:00:00.123Z",
                .service = "web",
                .operation = "77aa",
                .fields = fields,
                .seq = 12,
                .attempt = attempt,
        };

        assert_non_null(entry);
        return deliveries_send(deliveries, &d);
}

static int send_try(unsigned attempt) {
        return send_with(CHANNEL, "rollback.committed",
                         "{\"from\":\"v2\",\"to\":\"v1\",\"actor\":\"rollbackd\",\"reason\":\"7.2% "
                         "> 5%\",\"share\":0.072}",
                         attempt);
}

static void assert_told(unsigned n, DeliveryResult result, const char *words) {
        assert_int_equal(told.n, n);
        assert_string_equal(told.id, "0b54ae3c-8f0e-4c3e-9a51-3a5e0d6b7c11");
        assert_int_equal(told.result, result);
        assert_non_null(strstr(told.words, words));
}

static void test_body(_unused_ void **state) {
        const Json *data;
        Json *body;

        assert_int_equal(send_try(1), 0);
        assert_int_equal(world.n_requests, 1);
        assert_string_equal(world.requests[0]->id, "0b54ae3c-8f0e-4c3e-9a51-3a5e0d6b7c11");
        assert_signed(world.requests[0]);
        body = world_body(0, &data);
        assert_string_equal(json_get_text(body, "type", ""), "rollback.committed");
        assert_string_equal(json_get_text(body, "timestamp", ""), "2026-11-21T15:00:00.123Z");
        assert_string_equal(json_get_text(data, "service", ""), "web");
        assert_string_equal(json_get_text(data, "operation", ""), "77aa");
        assert_int_equal(json_get_i64(data, "seq", 0), 12);
        assert_true(json_get_double(data, "share", 0) > 0.0719 &&
                    json_get_double(data, "share", 0) < 0.0721);
        assert_string_equal(json_get_text(data, "text", ""),
                            "web: rolled back from v2 to v1 by rollbackd: 7.2% > 5%");
        assert_string_equal(json_get_text(data, "type_now", ""), "rollbackctl explain 77aa");
        assert_string_equal(json_get_text(data, "severity", ""), "critical");
        json_free(body);
        assert_int_equal(told.n, 0);
        assert_int_equal(deliveries_in_flight(deliveries), 1);
        world_answer(0, 202, 0);
        assert_told(1, DELIVERY_DONE, "202");
        assert_int_equal(deliveries_in_flight(deliveries), 0);
}

static void test_unknown_type_and_no_fields(_unused_ void **state) {
        const Json *data;
        Json *body;

        assert_int_equal(send_with(CHANNEL, "from.the.future", NULL, 1), 0);
        body = world_body(0, &data);
        assert_string_equal(json_get_text(body, "type", ""), "from.the.future");
        assert_string_equal(json_get_text(data, "service", ""), "web");
        assert_null(json_get(data, "text"));
        json_free(body);
        world_answer(0, 200, 0);
}

static void test_results(_unused_ void **state) {
        static const unsigned refused[] = { 301, 302, 400, 404, 429, 500, 502, 503, 504 };
        size_t n = 0;

        for (; n < ELEMENTSOF(refused); n++) {
                char words[64];

                assert_int_equal(send_try(2), 0);
                world_answer(n, refused[n], 0);
                assert_true(snprintf(words, sizeof words, "the receiver answered %u", refused[n]) >
                            0);
                assert_told((unsigned)n + 1, DELIVERY_RETRY, words);
                assert_true(told.retry_in < 5 * USEC_PER_MINUTE);
        }
        assert_int_equal(send_try(1), 0);
        world_answer(n, 503, 40 * USEC_PER_SEC);
        assert_told((unsigned)++n, DELIVERY_RETRY, "503");
        assert_int_equal(told.retry_in, 40 * USEC_PER_SEC);
        assert_int_equal(send_try(1), 0);
        world_answer(n, 410, 0);
        assert_told((unsigned)++n, DELIVERY_DEAD, "410");
        assert_int_equal(send_try(10), 0);
        world_answer(n, 500, 0);
        assert_told((unsigned)++n, DELIVERY_DEAD, "500");
        assert_int_equal(send_try(9), 0);
        world_reply(n, &(HttpReply){ .error = -ETIMEDOUT,
                                     .words = "no whole answer in time",
                                     .body = "" });
        assert_told((unsigned)++n, DELIVERY_RETRY, "no whole answer in time");
        assert_true(told.retry_in < 24 * USEC_PER_HOUR);
}

static void test_unusable(_unused_ void **state) {
        static const char *const channels[] = {
                "{}",
                "{\"kind\":\"webhook\"}",
                "{\"kind\":\"pigeon\",\"url\":\"https://h/\"}",
                "{\"kind\":\"webhook\",\"url\":\"ftp://h/\"}",
                "{\"kind\":\"webhook\",\"url\":7}",
                "{\"kind\":null,\"url\":\"https://h/\"}",
        };
        unsigned n = 0;

        for (; n < ELEMENTSOF(channels); n++) {
                assert_int_equal(send_with(channels[n], "rule.bad", "{}", 1), -EINVAL);
                assert_told(n + 1, DELIVERY_DEAD, "");
                assert_true(told.words[0] != '\0');
        }
        assert_int_equal(send_with(CHANNEL, "rule.bad", "[1]", 1), -EINVAL);
        assert_told(++n, DELIVERY_DEAD, "no JSON object");
        assert_int_equal(send_with(CHANNEL, "rule.bad", "{\"a\":", 1), -EINVAL);
        assert_told(++n, DELIVERY_DEAD, "no JSON object");
        assert_int_equal(world.n_requests, 0);
        assert_int_equal(deliveries_in_flight(deliveries), 0);
}

/* A secret may be mended, so its want is a retry until the schedule ends. */
static void test_secret(_unused_ void **state) {
        assert_int_equal(chmod(world.secret_path, 0644), 0);
        assert_int_equal(send_try(1), 0);
        assert_told(1, DELIVERY_RETRY, "hook");
        assert_null(strstr(told.words, "whsec_"));
        assert_int_equal(unlink(world.secret_path), 0);
        assert_int_equal(send_try(10), 0);
        assert_told(2, DELIVERY_DEAD, "hook");
        assert_int_equal(world.n_requests, 0);
        world_write_secret();
        assert_int_equal(send_try(2), 0);
        assert_signed(world.requests[0]);
        world_answer(0, 200, 0);
}

static void test_places(_unused_ void **state) {
        for (unsigned i = 0; i < HTTP_CLIENT_CONCURRENT; i++)
                assert_int_equal(send_try(1), 0);
        assert_int_equal(send_try(1), -EAGAIN);
        assert_int_equal(told.n, 0);
        world_answer(3, 200, 0);
        assert_int_equal(send_try(1), 0);
        assert_int_equal(deliveries_in_flight(deliveries), HTTP_CLIENT_CONCURRENT);
}

static void test_large(_unused_ void **state) {
        static char fields[30 * 1024];
        const Json *data;
        Json *body;

        memset(fields, 'a', sizeof fields - 1);
        memcpy(fields, "{\"rule\":\"errors\",\"guards\":\"", 27);
        memcpy(fields + sizeof fields - 3, "\"}", 3);
        assert_int_equal(send_with(CHANNEL, "rule.bad", fields, 1), 0);
        assert_true(strlen(world.requests[0]->body) < NOTICE_BODY_MAX);
        body = world_body(0, &data);
        assert_string_equal(json_get_text(data, "rule", ""), "errors");
        assert_string_equal(json_text_value(json_at(json_get(data, "omitted"), 0)), "guards");
        json_free(body);
        world_answer(0, 200, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                TEST(test_body),    TEST(test_unknown_type_and_no_fields),
                TEST(test_results), TEST(test_unusable),
                TEST(test_secret),  TEST(test_places),
                TEST(test_large),
        };

        return cmocka_run_group_tests_name("deliveries", tests, NULL, NULL);
}
