/* notify_world.h: for the tests of daemon/notify, included by their one .c file each: loop, HTTP
 * client and log played by the test, so that days of retries pass in a moment and every request can
 * be answered as the test likes. */
#pragma once

/* The sources under test are compiled into the test, with these names played by it. */
#define loop_now world_loop_now
#define loop_add_timer world_loop_add_timer
#define loop_timer_set world_loop_timer_set
#define loop_timer_free world_loop_timer_free
#define http_client_post world_http_client_post
#define http_request_cancel world_http_request_cancel
#define log_message world_log_message
#define log_event world_log_event

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "digest.h"
#include "events.h"
#include "http_client.h"
#include "json.h"
#include "log.h"
#include "signature.h"

#define SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define REQUESTS_MAX 256

struct LoopTimer {
        LoopTimerCallback callback;
        void *userdata;
        usec_t at;
        LoopTimer *next;
};

struct HttpRequest {
        char url[128], id[64], body[32 * 1024], signature[128], type[64];
        long long timestamp;
        usec_t at;
        HttpReplyCallback callback; /* NULL: answered or cancelled */
        void *userdata;
        bool cancelled;
};

static struct World {
        usec_t now;
        LoopTimer *timers;
        HttpRequest *requests[REQUESTS_MAX];
        size_t n_requests;
        bool busy;
        unsigned events, messages;
        Severity severity;
        char sentence[16 * 1024], message_id[40], fields[1024], message[2048];
        char secrets[64], secret_path[96];
} world;

usec_t loop_now(_unused_ Loop *l) {
        return world.now;
}

int loop_add_timer(_unused_ Loop *l, LoopTimerCallback callback, void *userdata,
                   _unused_ const char *name, LoopTimer **ret) {
        LoopTimer *t = calloc(1, sizeof *t);

        assert_non_null(t);
        *t = (LoopTimer){ callback, userdata, USEC_INFINITY, world.timers };
        *ret = world.timers = t;
        return 0;
}

void loop_timer_set(LoopTimer *t, usec_t at) {
        t->at = at;
}

LoopTimer *loop_timer_free(LoopTimer *t) {
        for (LoopTimer **p = &world.timers; t && *p; p = &(*p)->next)
                if (*p == t) {
                        *p = t->next;
                        free(t);
                        break;
                }
        return NULL;
}

/* Time goes on to `until`; every timer fires at its time. */
static void world_run(usec_t until) {
        for (;;) {
                LoopTimer *first = NULL;

                for (LoopTimer *t = world.timers; t; t = t->next)
                        if (t->at <= until && (!first || t->at < first->at))
                                first = t;
                if (!first)
                        break;
                world.now = MAX(world.now, first->at);
                first->at = USEC_INFINITY;
                first->callback(first->userdata, world.now);
        }
        world.now = MAX(world.now, until);
}

_unused_ static void world_pass(usec_t span) {
        world_run(usec_add(world.now, span));
}

static void take_header(HttpRequest *r, const char *header) {
        if (strncmp(header, "webhook-id: ", 12) == 0)
                assert_true(snprintf(r->id, sizeof r->id, "%s", header + 12) < (int)sizeof r->id);
        else if (strncmp(header, "webhook-timestamp: ", 19) == 0)
                r->timestamp = strtoll(header + 19, NULL, 10);
        else if (strncmp(header, "webhook-signature: ", 19) == 0)
                assert_true(snprintf(r->signature, sizeof r->signature, "%s", header + 19) <
                            (int)sizeof r->signature);
        else if (strncmp(header, "Content-Type: ", 14) == 0)
                assert_true(snprintf(r->type, sizeof r->type, "%s", header + 14) <
                            (int)sizeof r->type);
        else
                fail_msg("unexpected header %s", header);
}

int http_client_post(_unused_ HttpClient *c, const char *url, const char *const *headers,
                     const char *body, size_t body_size, usec_t timeout, HttpReplyCallback callback,
                     void *userdata, HttpRequest **ret) {
        HttpRequest *r;

        if (world.busy)
                return -EAGAIN;
        if (strncmp(url, "http", 4) != 0)
                return -EINVAL;
        assert_true(timeout > 0 && timeout <= USEC_PER_MINUTE);
        assert_true(world.n_requests < REQUESTS_MAX);
        assert_true(body_size < sizeof r->body);
        r = calloc(1, sizeof *r);
        assert_non_null(r);
        assert_true(snprintf(r->url, sizeof r->url, "%s", url) < (int)sizeof r->url);
        for (size_t i = 0; headers[i]; i++)
                take_header(r, headers[i]);
        memcpy(r->body, body, body_size);
        r->at = world.now;
        r->callback = callback;
        r->userdata = userdata;
        world.requests[world.n_requests++] = *ret = r;
        return 0;
}

void http_request_cancel(HttpRequest *r) {
        if (!r)
                return;
        assert_non_null(r->callback);
        r->callback = NULL;
        r->cancelled = true;
}

static void world_reply(size_t i, const HttpReply *reply) {
        HttpReplyCallback callback;

        assert_true(i < world.n_requests);
        callback = world.requests[i]->callback;
        assert_non_null(callback);
        world.requests[i]->callback = NULL;
        callback(world.requests[i]->userdata, reply);
        world_run(world.now);
}

static void world_answer(size_t i, unsigned status, usec_t retry_after) {
        world_reply(i, &(HttpReply){ .status = status, .retry_after = retry_after, .body = "" });
}

/* The body of a request, checked to be {type, timestamp, data}; data in *ret_data, borrowed. */
static Json *world_body(size_t i, const Json **ret_data) {
        STRBUF(error, 128);
        Json *body;
        const char *at;

        assert_true(i < world.n_requests);
        body = json_parse(world.requests[i]->body, strlen(world.requests[i]->body), &error);
        assert_non_null(body);
        at = json_get_text(body, "timestamp", "");
        assert_int_equal(strlen(at), 24);
        assert_true(at[4] == '-' && at[10] == 'T' && at[19] == '.' && at[23] == 'Z');
        *ret_data = json_get(body, "data");
        assert_true(json_is_object(*ret_data));
        return body;
}

static void assert_signed(const HttpRequest *r) {
        char signature[SIGNATURE_SIZE];

        assert_int_equal(signature_make(SECRET, r->id, r->timestamp, r->body, signature), 0);
        assert_string_equal(r->signature, signature);
        assert_string_equal(r->type, "application/json");
}

void log_message(Severity severity, const char *format, ...) {
        va_list arguments;

        (void)severity;
        va_start(arguments, format);
        assert_true(vsnprintf(world.message, sizeof world.message, format, arguments) <
                    (int)sizeof world.message);
        va_end(arguments);
        world.messages++;
}

void log_event(Severity severity, const char *message_id, const LogField *fields, size_t n,
               const char *sentence) {
        size_t at = 0;

        world.events++;
        world.severity = severity;
        world.fields[0] = '\0';
        for (size_t i = 0; i < n; i++)
                at += (size_t)snprintf(world.fields + at, sizeof world.fields - at, "%s=%s ",
                                       fields[i].name, fields[i].value);
        assert_true(at < sizeof world.fields);
        assert_true(snprintf(world.message_id, sizeof world.message_id, "%s", message_id) <
                    (int)sizeof world.message_id);
        assert_true(snprintf(world.sentence, sizeof world.sentence, "%s", sentence) <
                    (int)sizeof world.sentence);
}

static void world_write_secret(void) {
        FILE *file = fopen(world.secret_path, "we");

        assert_non_null(file);
        assert_true(fputs(SECRET "\n", file) >= 0);
        assert_int_equal(fclose(file), 0);
        assert_int_equal(chmod(world.secret_path, 0600), 0);
}

static int world_start(_unused_ void **state) {
        world = (struct World){ .now = 1000 * USEC_PER_SEC, .secrets = "/tmp/notify-XXXXXX" };
        assert_non_null(mkdtemp(world.secrets));
        assert_true(snprintf(world.secret_path, sizeof world.secret_path, "%s/hook",
                             world.secrets) > 0);
        world_write_secret();
        return 0;
}

static int world_stop(_unused_ void **state) {
        for (size_t i = 0; i < world.n_requests; i++)
                free(world.requests[i]);
        assert_null(world.timers);
        unlink(world.secret_path);
        return rmdir(world.secrets);
}

#include "alert_queue.c"
#include "alerts.c"
#include "channel.c"
#include "deliveries.c"
#include "notice.c"
#include "webhook.c"
