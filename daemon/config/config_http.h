/* config_http.h: the configuration of a probe of kind http: one request with what its answer must
 * be, or a journey of several. Knows nothing of how requests are made. A text that the file does
 * not give is NULL, a number without a value NAN. */
#pragma once

#include <stdint.h>

#include "macro.h"

#define CONFIG_STATUS_MAX 16
#define HTTP_STEPS_MAX 16
#define HTTP_HEADERS_SENT_MAX 16
#define HTTP_HEADERS_SIZE_MAX ((size_t)4096) /* bytes of names and values of one request */
#define HTTP_PATH_MAX ((size_t)2048)         /* bytes of a target's path, and of a step's */
#define HTTP_HEADERS_EXPECTED_MAX 16
#define HTTP_JSON_MAX 16
#define HTTP_TAKES_MAX 8
/* The largest body that is read as JSON: it is taken apart at once. */
#define HTTP_JSON_BODY_MAX ((uint64_t)1024 * 1024)

typedef struct StatusRange {
        uint16_t low, high;
} StatusRange;

/* A header of the request. */
typedef struct HttpHeaderConfig {
        char *name;
        char *value;      /* in a journey with ${name}s; NULL: that of the secret */
        char *value_file; /* name of a secret */
        unsigned line;
} HttpHeaderConfig;

/* At most one of the four says more than that the header is there. */
typedef struct HttpHeaderExpectation {
        char *name;
        char *equals, *contains, *matches;
        bool absent;
        unsigned line;
} HttpHeaderExpectation;

typedef struct HttpJsonExpectation {
        char *pointer;
        char *equals;
        double at_least, at_most;
        bool absent;
        char *value; /* name under which the number is reported; NULL: it is not */
        unsigned line;
} HttpJsonExpectation;

/* What a step takes from its answer, from exactly one of the three. */
typedef struct HttpTakeConfig {
        char *name;
        char *pointer, *header, *matches;
        unsigned line;
} HttpTakeConfig;

/* One request and its answer. */
typedef struct HttpCallConfig {
        char *method; /* NULL only where the probe has steps instead */
        char *path;   /* of a step, with ${name}s; NULL: the target's */
        HttpHeaderConfig *headers;
        size_t n_headers;
        char *body;         /* in a journey with ${name}s */
        char *body_file;    /* name of a secret, which is the body */
        char *content_type; /* of the body */
        StatusRange *status;
        size_t n_status;
        HttpHeaderExpectation *expect_headers;
        size_t n_expect_headers;
        char *expect_body;
        char *body_matches;
        HttpJsonExpectation *json;
        size_t n_json;
        char *version_header, *version_pointer; /* what names the version that answered */
        HttpTakeConfig *take;                   /* of a step */
        size_t n_take;
        unsigned line; /* of a step */
} HttpCallConfig;

typedef struct HttpProbeConfig {
        HttpCallConfig call;   /* of a probe without steps */
        HttpCallConfig *steps; /* one after the other */
        size_t n_steps;
} HttpProbeConfig;

/* Whether a header frames the message, which is nobody's to say but who sends it. */
bool http_header_frames(const char *name);
