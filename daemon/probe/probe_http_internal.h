/* probe_http_internal.h: what the files of the http kind share: probe_http.c runs requests one
 * after the other, probe_http_call.c makes ready what all targets share, probe_http_answer.c reads
 * and judges one answer, probe_http_json.c its JSON, probe_http_journey.c keeps what steps take,
 * probe_http_trace.c takes secrets out of what is shown. Nobody else includes it. */
#pragma once

#include "http_exchange.h"
#include "http_tls.h"
#include "json.h"
#include "pattern.h"

/* Cookies of one journey, and bytes of a value that is taken or of a cookie. */
#define HTTP_COOKIES_MAX 32
#define HTTP_TAKEN_MAX ((size_t)4096)
/* Bytes from which on a value is worth hiding: a shorter one stands in every other word, and hides
 * nothing from who can count. */
#define HTTP_SECRET_MIN ((size_t)4)
/* Room for a header that is looked at: what is taken, and a line around it. */
#define HTTP_WANTED_LINE_MAX ((size_t)8192)
/* Headers of an answer that one request may want: those expected and taken, one that names the
 * version, and cookies. */
#define HTTP_WANTED_MAX (HTTP_HEADERS_EXPECTED_MAX + HTTP_TAKES_MAX + 2)
#define HTTP_SHOWN_MAX ((size_t)32) /* bytes of a text that words repeat */

/* One request and its answer, ready for any target. */
typedef struct HttpCall {
        const HttpCallConfig *config;
        /* The request's headers, of which those of secrets are ready; in a journey the others are
         * templates. */
        HttpHeader headers[HTTP_HEADERS_SENT_MAX + 2];
        size_t n_headers;
        Slice body; /* a secret, or as configured */
        char *secrets[HTTP_HEADERS_SENT_MAX + 1];
        size_t n_secrets;
        /* Names of the answer's headers that are wanted, and which is whose. */
        const char *wanted[HTTP_WANTED_MAX];
        size_t n_wanted;
        size_t expected_as[HTTP_HEADERS_EXPECTED_MAX], taken_as[HTTP_TAKES_MAX];
        size_t version_as, cookie_as; /* SIZE_MAX: not wanted */
        size_t line_size;
        Pattern *header_matches[HTTP_HEADERS_EXPECTED_MAX];
        Pattern *take_matches[HTTP_TAKES_MAX];
        Pattern *body_matches;
        bool json;   /* the body is read as JSON */
        size_t keep; /* bytes of the body to keep; 0: it is only searched as it comes */
        /* The wanted text's failure table (Knuth, Morris, Pratt): a body is searched as it comes,
         * however it is cut. [i]: length of the longest proper prefix of the text that ends at
         * its byte i. */
        size_t text_length;
        uint32_t *fallback;
} HttpCall;

typedef struct HttpShared {
        HttpCall *calls;
        size_t n_calls;
        HttpTls *tls;
        HttpRequest *requests; /* one for each target; NULL for steps, which make theirs anew */
        size_t n_requests;
        char unready[PROBE_WORDS_SIZE]; /* why no probe can start, or "" */
} HttpShared;

/* What steps keep for later ones. */
typedef struct HttpJourney HttpJourney;

/* One answer, as it comes. */
typedef struct HttpAnswer {
        const HttpCall *call;
        HttpJourney *journey; /* NULL: a single request */
        const HttpExchange *exchange;
        size_t matched; /* bytes of the text that the body ends with so far; all of them: found */
        uint32_t seen, met;             /* bit i: expected header i was there, and as expected */
        uint32_t cut;                   /* bit i: a value of it had no room */
        uint32_t untried;               /* bit i: its expression, or one before, took too long */
        size_t costly;                  /* which one did; SIZE_MAX: none */
        char found[HTTP_SHOWN_MAX + 1]; /* value of an expected header that is not as expected */
        size_t found_of;                /* which one; SIZE_MAX: none */
        char version[NAME_SIZE];        /* that a header names */
        size_t version_length;          /* from NAME_SIZE on: too long */
        bool several;                   /* headers name more than one */
        bool unusable;                  /* a header to be taken has a control character */
        bool too_large;                 /* what is to be taken is more than is kept */
        bool out_of_memory;
        char *body;
        size_t size, capacity;
} HttpAnswer;

/* Makes ready what all targets of the probe share. A secret that cannot be read is said in
 * `unready`. Returns 0, -EINVAL, -E2BIG or -ENOMEM. */
int http_shared_new(HttpShared **ret, const ProbeTools *tools,
                    const ProbeConfig *config) _must_check_;
HttpShared *http_shared_free(HttpShared *s);
DEFINE_CLEANUP(HttpShared *, http_shared_free);

/* Starts on an answer; frees what it kept. */
void http_answer_init(HttpAnswer *a, const HttpCall *call, HttpJourney *journey);
void http_answer_done(HttpAnswer *a);
/* Takes a wanted header; takes body bytes, and returns whether more of them matter. */
void http_answer_take_header(HttpAnswer *a, size_t header, Slice value, bool whole);
bool http_answer_take_body(HttpAnswer *a, Slice body);
/* Judges the whole answer: *result, which is good so far, becomes what it came to, and a journey
 * gets what the step takes. */
void http_answer_judge(HttpAnswer *a, ProbeResult *result);
/* Takes the version that a header of the answer, however it ended, names. */
void http_answer_take_version(const HttpAnswer *a, ProbeResult *result);

/* Looks at the kept body as JSON: expectations, values, version, and what is taken by pointer.
 * Leaves *result alone while all is well. */
void http_json_judge(HttpAnswer *a, ProbeResult *result);

/* Keeps a value of the body for later steps; one that cannot be used is *result. */
void http_answer_take(HttpAnswer *a, const char *name, Slice value, ProbeResult *result);
/* Appends what came from outside in quotes: escaped, cut, and without what is secret. */
void http_answer_add_found(const HttpAnswer *a, StrBuf *b, Slice text);

int http_journey_new(HttpJourney **ret, bool secure) _must_check_;
HttpJourney *http_journey_free(HttpJourney *j);
DEFINE_CLEANUP(HttpJourney *, http_journey_free);
/* Keeps a value for later steps. Returns 0; -EINVAL for one with a control character; -E2BIG;
 * -ENOMEM. */
int http_journey_take(HttpJourney *j, const char *name, Slice value) _must_check_;
/* Keeps a cookie, from the value of a Set-Cookie header; one that is malformed is passed over.
 * Returns 0, -E2BIG for too many or too long ones, -ENOMEM. */
int http_journey_take_cookie(HttpJourney *j, Slice header) _must_check_;
/* Whether a value of that name was taken. */
bool http_journey_has(const HttpJourney *j, const char *name);
/* Makes the request of a step. Returns 0, -EINVAL, -E2BIG or -ENOMEM. */
int http_journey_build(const HttpJourney *j, const HttpCall *call, const TargetConfig *target,
                       HttpRequest *ret) _must_check_;
/* How a value stands in what it is put into. */
typedef enum HttpForm {
        HTTP_FORM_PLAIN,   /* a header, a text */
        HTTP_FORM_PERCENT, /* a path, a form */
        HTTP_FORM_JSON,    /* within the quotes of a JSON text */
        _HTTP_FORM_MAX,
} HttpForm;
void http_add_in_form(StrBuf *b, HttpForm form, const char *text);
/* Taken values and cookies one by one, NULL behind the last. */
const char *http_journey_secret(const HttpJourney *j, size_t i);
/* What nobody may see of one request and its answer, one by one, NULL behind the last. */
const char *http_answer_secret(const HttpAnswer *a, size_t i);
/* Takes all of that out of a trace, and of the answer from byte `from` on what may be taken. */
void http_trace_hide(ProbeTrace *trace, const HttpAnswer *a, size_t from);
