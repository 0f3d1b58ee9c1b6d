#include "api_world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOW (1000 * USEC_PER_SEC)
#define CROWD 4096

static const char web_policy[] =
        "service = \"web\";\n"
        "release = { warmup = \"1s\"; bake = { time = \"30m\"; requests = 5000; }; };\n"
        "probes = {\n"
        " live = { kind = \"http\"; targets = [ \"http://10.0.0.1:80/\", \"http://10.0.0.2:80/\" "
        "]; rise = 2; fall = 3; };\n"
        " red = { kind = \"metrics\"; targets = [ \"http://10.0.0.1:81/metrics\" ]; };\n"
        "};\n"
        "signals = { errors = { kind = \"ratio\"; probe = \"red\"; bad = \"bad_total\"; total = "
        "\"all_total\"; }; };\n"
        "rules = (\n"
        " { name = \"down\"; kind = \"down\"; probe = \"live\"; at_least = \"50%\"; hold = "
        "\"20s\"; response = \"rollback\"; },\n"
        " { name = \"errors\"; kind = \"threshold\"; signal = \"errors\"; over = \"60s\"; enter = "
        "\"5%\"; leave = \"2%\"; hold = \"30s\"; response = \"notify\"; }\n"
        ");\n"
        "rollback = { mode = \"automatic\"; };\n";

static const char shop_policy[] =
        "service = \"shop\";\n"
        "probes = { port = { kind = \"tcp\"; targets = [ \"10.0.0.3:80\" ]; };\n"
        " names = { kind = \"tcp\"; targets = [ \"10.0.0.4:80\", \"shop.example:80\", "
        "\"other.example:80\" ]; }; };\n"
        "rules = ( { name = \"down\"; kind = \"down\"; probe = \"port\"; at_least = \"100%\"; hold "
        "= \"20s\"; } );\n";

static const char operations[] =
        "[ {\"id\": \"0b54ae3c-8f0e-4c3e-9a51-3a5e0d6b7c11\", \"service\": \"web\", \"kind\": "
        "\"rollback\", \"evidence\": {\"rule\": \"down\"}},"
        "  {\"id\": \"1b54ae3c-8f0e-4c3e-9a51-3a5e0d6b7c11\", \"service\": \"shop\", \"kind\": "
        "\"restore\"} ]";
static const char events[] = "[ {\"id\": \"2b54ae3c-8f0e-4c3e-9a51-3a5e0d6b7c11\", \"service\": "
                             "\"web\", \"kind\": \"service.paused\"},"
                             "  {\"id\": \"3b54ae3c-8f0e-4c3e-9a51-3a5e0d6b7c11\", \"service\": "
                             "\"web\", \"kind\": \"service.resumed\"},"
                             "  {\"id\": \"4b54ae3c-8f0e-4c3e-9a51-3a5e0d6b7c11\", \"service\": "
                             "\"shop\", \"kind\": \"release.deployed\"} ]";

/* The server's side: made before the fork, so that the process has it. */
static struct {
        Engine *engine;
        Api *api;
        ServiceConfig *web, *shop;
        Policy *others; /* web's under other names */
        char (*names)[NAME_SIZE];
        size_t n_others;
        bool ledger_up;
        ApiLookup *slow[API_LOOKUPS_MAX];
        size_t n_slow;
} world;

static Json *parse(const char *text) {
        STRBUF(error, 256);
        Json *j = json_parse(text, strlen(text), &error);

        assert_non_null(j);
        return j;
}

static void fill_status(_unused_ void *userdata, ApiStatus *ret) {
        *ret = (ApiStatus){
                .ready = world.ledger_up,
                .ledger_up = world.ledger_up,
                .reload_ok = world.ledger_up,
                .started_at = 1.7e9,
                .heartbeat_at = 1.75e9,
                .retention_at = 1.74e9,
                .ledger_schema = 2,
                .policies_refused = 1,
                .reloaded_at = 1.7e9,
                .probes = 10,
                .targets = 4,
                .commits = 3,
                .longest_turn = 1500,
        };
        memcpy(ret->words, "2 services", 11);
        memcpy(ret->ledger_words, "connection refused", 19);
        while (world.n_slow > 0)
                api_found(world.slow[--world.n_slow], NULL, "event",
                          parse("{\"kind\": \"service.unpinned\"}"));
}

static usec_t now(_unused_ void *userdata) {
        return NOW;
}

static const ServiceConfig *find_config(_unused_ void *userdata, uint32_t service) {
        return service == 0                 ? world.web :
               service == 1                 ? world.shop :
               service < 2 + world.n_others ? world.web :
                                              NULL;
}

static bool probe_detail(_unused_ void *userdata, uint32_t service, uint16_t probe, uint16_t target,
                         ApiProbeDetail *ret) {
        static const SampleValue values[] = { { "lag", 1.5 }, { "queue", __builtin_nan("") } };
        static char address[16];

        snprintf(address, sizeof address, "10.0.0.%u", (unsigned)target);
        *ret = (ApiProbeDetail){ .words = probe == 0 && target == 1 ? "connection refused" : "",
                                 .duration = 2500,
                                 .address = address,
                                 .left_out = service == 1 ? 3 : 0,
                                 .values = values,
                                 .n_values = probe == 0 && target == 1 ? ELEMENTSOF(values) : 0 };
        return true;
}

static bool unconfigured(_unused_ void *userdata, size_t i, ApiUnconfigured *ret) {
        *ret = (ApiUnconfigured){ "/etc/bad.conf", NULL, "/etc/bad.conf:3: \"x\": unknown key\n",
                                  false };
        return i == 0;
}

static int request(_unused_ void *userdata, uint32_t service, OperationKind kind,
                   const char *target, uint64_t epoch, const char *actor, const char *reason,
                   char ret_id[static OPERATION_ID_SIZE], StrBuf *why) {
        int r;

        /* A reason by which a test hears under which name it would be written down. */
        if (streq(reason, API_WORLD_WHO_AM_I)) {
                strbuf_add(why, actor);
                return -EBUSY;
        }
        r = engine_request(world.engine, service, kind, target, epoch, actor, reason, NOW, ret_id,
                           why);

        engine_step(world.engine, NOW);
        return r;
}

static ServiceConfig *read_policy(const char *text) {
        char path[] = "/tmp/api-policy-XXXXXX";
        int fd = mkstemp(path);
        ServiceConfig *config = NULL;
        STRBUF(error, 4096);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
        assert_int_equal(fchmod(fd, 0644), 0);
        close(fd);
        if (config_read_service(path, &config, &error) < 0)
                fail_msg("%s", error.text);
        unlink(path);
        return config;
}

static void feed(uint32_t service) {
        const double increases[] = { 10, 1000 };

        for (usec_t at = NOW - 5 * USEC_PER_SEC; at < NOW; at += USEC_PER_SEC) {
                engine_feed(world.engine, &(Sample){ .service = service,
                                                     .target = 0,
                                                     .outcome = OUTCOME_OK,
                                                     .started = at,
                                                     .at = at,
                                                     .version = "2.0" });
                engine_feed(world.engine, &(Sample){ .service = service,
                                                     .target = 1,
                                                     .outcome = OUTCOME_REFUSED,
                                                     .started = at,
                                                     .at = at });
                engine_feed(world.engine, &(Sample){ .service = service,
                                                     .probe = 1,
                                                     .outcome = OUTCOME_OK,
                                                     .started = at,
                                                     .at = at,
                                                     .since = at - USEC_PER_SEC,
                                                     .increases = increases,
                                                     .n_increases = 2 });
                engine_step(world.engine, at);
        }
}

static void add_service(const Policy *policy, uint32_t handle, bool known) {
        ServiceFacts facts = {
                .version = "2.0",
                .epoch = 41,
                .kind = RELEASE_DEPLOY,
                .released = NOW - 100 * USEC_PER_SEC,
                .automatic = true,
                .candidates = { { .version = "1.9",
                                  .epoch = 40,
                                  .stable = true,
                                  .schema_fits = true,
                                  .previous = true } },
                .n_candidates = 1,
        };
        uint32_t given;

        assert_int_equal(engine_put_service(world.engine, policy, NOW - 100 * USEC_PER_SEC, &given),
                         0);
        assert_int_equal(given, handle);
        if (!known)
                return;
        engine_set_facts(world.engine, handle, &facts, NOW - 90 * USEC_PER_SEC);
        engine_step(world.engine, NOW - 90 * USEC_PER_SEC);
        engine_set_facts(world.engine, handle, &facts, NOW - USEC_PER_SEC);
}

static int find(_unused_ void *userdata, const char *id, ApiLookup *lookup) {
        if (streq(id, API_WORLD_AWAY))
                return -ENOTCONN;
        if (strlen(id) != OPERATION_ID_SIZE - 1)
                return -EINVAL;
        if (streq(id, API_WORLD_SLOW))
                world.slow[world.n_slow++] = lookup;
        else if (streq(id, API_WORLD_ERROR))
                api_found(lookup, "connection lost", NULL, NULL);
        else if (streq(id, API_WORLD_OLD_OPERATION))
                api_found(lookup, NULL, "operation", parse("{\"kind\": \"rollback\"}"));
        else if (streq(id, API_WORLD_OLD_EVENT))
                api_found(lookup, NULL, "event", parse("{\"kind\": \"service.pinned\"}"));
        else
                api_found(lookup, NULL, NULL, NULL);
        return 0;
}

static bool drill(_unused_ void *userdata, const char *service, double *ret_succeeded_at) {
        *ret_succeeded_at = streq(service, "web") ? 1.73e9 : 0;
        return world.ledger_up;
}

static void make_world(bool ledger_up, size_t n_others) {
        const ApiOwner owner = {
                .status = fill_status,
                .now = now,
                .config = find_config,
                .probe_detail = probe_detail,
                .unconfigured = unconfigured,
                .drill = drill,
                .request = request,
                .find = find,
        };
        ApiOwner whole = owner;

        memset(&world, 0, sizeof world);
        world.ledger_up = ledger_up;
        world.n_others = n_others;
        world.web = read_policy(web_policy);
        world.shop = read_policy(shop_policy);
        assert_int_equal(engine_new(&world.engine, CONFIG_SERVICES_MAX, 7), 0);
        engine_set_ledger_reachable(world.engine, ledger_up, NOW - 100 * USEC_PER_SEC);
        add_service(&world.web->policy, 0, true);
        add_service(&world.shop->policy, 1, false);
        /* Of two names the first has one address more, and the second too. */
        engine_set_target_present(world.engine, 1, 1, 4, true);
        engine_set_target_present(world.engine, 1, 1, 18, true);
        world.others = calloc(n_others, sizeof *world.others);
        world.names = calloc(n_others, sizeof *world.names);
        for (size_t i = 0; i < n_others; i++) {
                snprintf(world.names[i], NAME_SIZE, i == 0 ? API_WORLD_ODD_NAME : "crowd-%zu", i);
                world.others[i] = world.web->policy;
                world.others[i].service = world.names[i];
                add_service(&world.others[i], (uint32_t)(2 + i), true);
        }
        feed(0);
        whole.engine = world.engine;
        assert_int_equal(api_new(&world.api, &whole), 0);
        if (ledger_up)
                api_set_recent(world.api, parse(operations), parse(events));
}

static void free_world(void) {
        api_free(world.api);
        engine_free(world.engine);
        service_config_free(world.web);
        service_config_free(world.shop);
        free(world.others);
        free(world.names);
}

static int start(void **state, bool ledger_up, size_t n_others) {
        ApiWorld *w = calloc(1, sizeof *w);
        void *served = NULL;

        assert_non_null(w);
        make_world(ledger_up, n_others);
        assert_int_equal(served_start_handler(&served, api_handle, world.api, 30 * USEC_PER_SEC),
                         0);
        free_world();
        w->served = served;
        *state = w;
        return 0;
}

int api_world_start(void **state) {
        return start(state, true, 1);
}

int api_world_start_without_ledger(void **state) {
        return start(state, false, 1);
}

int api_world_start_crowded(void **state) {
        return start(state, true, CROWD - 2);
}

int api_world_stop(void **state) {
        ApiWorld *w = *state;
        void *served = w->served;

        json_free(w->json);
        free(w);
        return served_stop(&served);
}

/* The client's side. */

static unsigned take_answer(ApiWorld *w, int fd, const char *text) {
        unsigned status = ask(fd, text, w->answer, sizeof w->answer);
        STRBUF(error, 256);

        close(fd);
        w->json = json_free(w->json);
        w->body = strstr(w->answer, "\r\n\r\n") + 4;
        if (strcasestr(w->answer, "content-type: application/json\r\n") ||
            strcasestr(w->answer, "content-type: application/problem+json\r\n"))
                w->json = json_parse(w->body, strlen(w->body), &error);
        return status;
}

unsigned api_ask(ApiWorld *w, const char *text) {
        return take_answer(w, dial_unix(w->served->socket), text);
}

unsigned api_ask_tcp(ApiWorld *w, const char *text) {
        return take_answer(w, dial_tcp(w->served), text);
}

unsigned api_get(ApiWorld *w, const char *path) {
        STRBUF(text, 1024);

        strbuf_add(&text, "GET ");
        strbuf_add(&text, path);
        strbuf_add(&text, " HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_false(text.overflow);
        return api_ask(w, text.text);
}

unsigned api_post(ApiWorld *w, const char *path, const char *header, const char *body) {
        STRBUF(text, 4096);

        strbuf_add(&text, "POST ");
        strbuf_add(&text, path);
        strbuf_add(&text, " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n");
        if (header[0] != '\0') {
                strbuf_add(&text, header);
                strbuf_add(&text, "\r\n");
        }
        strbuf_add(&text, "Content-Length: ");
        strbuf_add_u64(&text, strlen(body));
        strbuf_add(&text, "\r\n\r\n");
        strbuf_add(&text, body);
        assert_false(text.overflow);
        return api_ask(w, text.text);
}

void api_assert_problem(ApiWorld *w, unsigned status, const char *words) {
        if (!w->json || !strcasestr(w->answer, "content-type: application/problem+json\r\n"))
                fail_msg("no problem: %s", w->answer);
        assert_string_equal(json_get_text(w->json, "type", ""), "about:blank");
        assert_true(strlen(json_get_text(w->json, "title", "")) > 0);
        assert_int_equal(json_get_i64(w->json, "status", 0), status);
        if (!strstr(json_get_text(w->json, "detail", ""), words))
                fail_msg("\"%s\" is not in \"%s\"", words, json_get_text(w->json, "detail", ""));
}

const Json *api_find(const Json *list, const char *key, const char *value) {
        for (size_t i = 0; i < json_length(list); i++)
                if (streq(json_get_text(json_at(list, i), key, ""), value))
                        return json_at(list, i);
        fail_msg("no entry whose %s is %s", key, value);
        return NULL;
}
