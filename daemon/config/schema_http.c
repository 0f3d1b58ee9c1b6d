/* schema_http.c: the keys of a probe of kind http. */
#include "config.h"
#include "config_schema_rows.h"

static const char *method_word(unsigned i) {
        static const char *const words[] = { "GET", "HEAD", "POST" };
        return words[i];
}

static const ConfigWords methods = { 3, method_word };

/* Where a request lies: in its probe, or in a step. */
#define AT_PROBE(member) AT(ProbeConfig, http.call.member)
#define ARRAY_PROBE(member) ARRAY_IN(ProbeConfig, http.call, member)
#define AT_STEP(member) AT(HttpCallConfig, member)
#define ARRAY_STEP(member) ARRAY(HttpCallConfig, member)

/* clang-format off */
#define REQUEST(section, at, array, of)                                                            \
        { section, "method", KIND_WORD, at(method), .words = &methods, .fallback = "GET",          \
          .kinds = of, .help = "of the request" },                                                 \
        { section, "headers", KIND_LIST, array(headers), .inner = SECTION_REQUEST_HEADER,          \
          .maximum = "16", .kinds = of, .help = "headers of the request" },                        \
        { section, "body", KIND_TEXT, at(body), .minimum = "1", .maximum = "65536", .kinds = of,   \
          .help = "body of the request; none unless given" },                                      \
        { section, "body_file", KIND_SECRET, at(body_file), .kinds = of,                           \
          .help = "name of the secret that is the body of the request" },                          \
        { section, "content_type", KIND_TEXT, at(content_type), .minimum = "1",                    \
          .maximum = "128", .kinds = of, .help = "Content-Type of the request's body" },           \
        { section, "version_header", KIND_HEADER, at(version_header), .kinds = of,                 \
          .help = "answer's header that names the version" },                                      \
        { section, "version_pointer", KIND_POINTER, at(version_pointer),                    \
          .kinds = of, .help = "JSON pointer to the version in the answer's body" }

#define EXPECTATION(section, at, array, of)                                                        \
        { section, "status", KIND_STATUSES, array(status), .fallback = "200-299", .minimum = "1",  \
          .maximum = "16", .kinds = of, .help = "good status codes and ranges of them" },          \
        { section, "headers", KIND_LIST, array(expect_headers), .inner = SECTION_EXPECT_HEADER,    \
          .maximum = "16", .kinds = of, .help = "what the answer's headers must be" },             \
        { section, "body", KIND_TEXT, at(expect_body), .minimum = "1", .maximum = "1024",          \
          .kinds = of, .help = "text that the body must contain; any unless given" },              \
        { section, "body_matches", KIND_TEXT, at(body_matches), .minimum = "1",                    \
          .maximum = "1024", .kinds = of,                                                          \
          .help = "regular expression that is to be found in the first 64KiB of the body" },       \
        { section, "json", KIND_LIST, array(json), .inner = SECTION_EXPECT_JSON, .maximum = "16",  \
          .kinds = of, .help = "what the values of the JSON in the body must be" }
/* clang-format on */

static const ConfigKey rows[] = {
        REQUEST(SECTION_PROBE, AT_PROBE, ARRAY_PROBE, BIT(PROBE_HTTP)),
        { SECTION_PROBE, "steps", KIND_LIST, ARRAY_IN(ProbeConfig, http, steps),
          .inner = SECTION_HTTP_STEP, .maximum = "16", .kinds = BIT(PROBE_HTTP),
          .help = "requests one after the other, as a user makes them, instead of a single one" },
        EXPECTATION(SECTION_EXPECT, AT_PROBE, ARRAY_PROBE, BIT(PROBE_HTTP)),

        { SECTION_HTTP_STEP, "path", KIND_TEXT, AT_STEP(path), .minimum = "1", .maximum = "2048",
          .required = true, .help = "path and query of the request, such as \"/login\"" },
        REQUEST(SECTION_HTTP_STEP, AT_STEP, ARRAY_STEP, 0),
        { SECTION_HTTP_STEP, "expect", KIND_SECTION, .inner = SECTION_HTTP_STEP_EXPECT,
          .help = "what a good answer looks like" },
        { SECTION_HTTP_STEP, "take", KIND_LIST, ARRAY_STEP(take), .inner = SECTION_TAKE,
          .maximum = "8", .help = "what later steps use of the answer" },
        EXPECTATION(SECTION_HTTP_STEP_EXPECT, AT_STEP, ARRAY_STEP, 0),

        { SECTION_REQUEST_HEADER, "name", KIND_HEADER, AT(HttpHeaderConfig, name), .required = true,
          .help = "of the header" },
        { SECTION_REQUEST_HEADER, "value", KIND_TEXT, AT(HttpHeaderConfig, value),
          .maximum = "2048", .help = "of the header" },
        { SECTION_REQUEST_HEADER, "value_file", KIND_SECRET, AT(HttpHeaderConfig, value_file),
          .help = "name of the secret that is the value, instead of `value`" },

        { SECTION_EXPECT_HEADER, "name", KIND_HEADER, AT(HttpHeaderExpectation, name),
          .required = true, .help = "of a header that must be there" },
        { SECTION_EXPECT_HEADER, "equals", KIND_TEXT, AT(HttpHeaderExpectation, equals),
          .maximum = "1024", .help = "its whole value" },
        { SECTION_EXPECT_HEADER, "contains", KIND_TEXT, AT(HttpHeaderExpectation, contains),
          .minimum = "1", .maximum = "1024", .help = "a text in its value" },
        { SECTION_EXPECT_HEADER, "matches", KIND_TEXT, AT(HttpHeaderExpectation, matches),
          .minimum = "1", .maximum = "1024",
          .help = "a regular expression that is to be found in its value" },
        { SECTION_EXPECT_HEADER, "absent", KIND_BOOL, AT(HttpHeaderExpectation, absent),
          .fallback = "false", .help = "true: it must not be there" },

        { SECTION_EXPECT_JSON, "pointer", KIND_POINTER, AT(HttpJsonExpectation, pointer),
          .required = true, .help = "JSON pointer to what must be there" },
        { SECTION_EXPECT_JSON, "equals", KIND_TEXT, AT(HttpJsonExpectation, equals),
          .maximum = "1024",
          .help = "what it must be, in quotes also when it is a number, true, false or null" },
        { SECTION_EXPECT_JSON, "at_least", KIND_NUMBER, AT(HttpJsonExpectation, at_least),
          .help = "bad when below; no limit unless given" },
        { SECTION_EXPECT_JSON, "at_most", KIND_NUMBER, AT(HttpJsonExpectation, at_most),
          .help = "bad when above; no limit unless given" },
        { SECTION_EXPECT_JSON, "absent", KIND_BOOL, AT(HttpJsonExpectation, absent),
          .fallback = "false", .help = "true: it must not be there" },
        { SECTION_EXPECT_JSON, "value", KIND_VALUE, AT(HttpJsonExpectation, value),
          .help = "name under which the number is reported and shown" },

        { SECTION_TAKE, "name", KIND_NAME, AT(HttpTakeConfig, name), .required = true,
          .help = "what later steps call it, as ${name}" },
        { SECTION_TAKE, "pointer", KIND_POINTER, AT(HttpTakeConfig, pointer),
          .help = "JSON pointer to it in the body" },
        { SECTION_TAKE, "header", KIND_HEADER, AT(HttpTakeConfig, header),
          .help = "the header whose value it is" },
        { SECTION_TAKE, "matches", KIND_TEXT, AT(HttpTakeConfig, matches), .minimum = "1",
          .maximum = "1024",
          .help = "regular expression to find in the first 64KiB of the body, with one group ( ) "
                  "around it" },
};

const ConfigTable config_schema_http = { rows, ELEMENTSOF(rows) };
