/* http_survey.h: one probe of kind http, as a policy writes it, made once against a scripted
 * server, with all that it came to. */
#pragma once

#include "config_support.h"
#include "probe_harness.h"
#include "survey.h"

#define SURVEYED_SECRET "hunter/2"

typedef struct Surveyed {
        ProbeResult result;
        char request[PROBE_TRACE_TEXT_MAX], answer[PROBE_TRACE_TEXT_MAX];
} Surveyed;

/* What the server that survey_answer() starts says to whatever it is asked. */
static const char *surveyed_answer;

static inline void surveyed_serve(int fd, unsigned n _unused_) {
        script_read_request(fd);
        script_send(fd, surveyed_answer);
}

static inline void surveyed_end(void *userdata) {
        loop_exit(userdata, 0);
}

static inline void surveyed_copy(char *to, const StrBuf *from) {
        memcpy(to, from->text ? from->text : "", from->length);
        to[from->length] = '\0';
}

/* Probes with these keys beside kind and targets. A secret "login" is there, "other" is not. */
static inline Surveyed survey_keys(const char *keys, ServerScript script) {
        static char text[64 * 1024];
        _cleanup_(service_config_freep) ServiceConfig *config = NULL;
        Surveyed surveyed = {};
        ProbeTools tools = { .secrets = support_directory };
        ScriptedServer server;
        Survey *survey;

        server_start(&server, script);
        (void)snprintf(text, sizeof text,
                       "service = \"s\"; probes = { p = { kind = \"http\"; targets = [ "
                       "\"http://127.0.0.1:%u/%s\" ]; %s }; };",
                       server.port, strstr(keys, "steps = ") ? "" : "healthz", keys);
        assert_string_equal(support_mistakes(text, &config), "");
        support_write_n("login", SURVEYED_SECRET "\n", sizeof SURVEYED_SECRET, 0600);
        assert_int_equal(loop_new(&tools.loop), 0);
        assert_int_equal(offload_new(&tools.offload, tools.loop, 1, 4), 0);
        assert_int_equal(poller_new(&tools.poller, tools.loop, NULL, NULL), 0);
        assert_int_equal(survey_new(&survey, &tools, config, SURVEY_ALL, surveyed_end, tools.loop),
                         0);
        support_remove("login");
        assert_int_equal(loop_run(tools.loop), 0);
        assert_int_equal(survey_length(survey), 1);
        surveyed.result = survey_entry(survey, 0)->result;
        surveyed_copy(surveyed.request, &survey_entry(survey, 0)->trace.request);
        surveyed_copy(surveyed.answer, &survey_entry(survey, 0)->trace.answer);
        survey_free(survey);
        poller_free(tools.poller);
        offload_free(tools.offload);
        loop_free(tools.loop);
        server_stop(&server);
        return surveyed;
}

static inline Surveyed survey_answer(const char *keys, const char *answer) {
        surveyed_answer = answer;
        return survey_keys(keys, surveyed_serve);
}
