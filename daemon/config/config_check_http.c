#include "config_check_http.h"

#include "config_value.h"
#include "template.h"

void call_refuse(const CallCheck *c, unsigned line, const char *key, const char *words) {
        STRBUF(path, CONFIG_PATH_SIZE);

        strbuf_add(&path, "probes.");
        strbuf_add(&path, c->probe->name);
        if (c->step != SIZE_MAX) {
                strbuf_add(&path, ".steps[");
                strbuf_add_u64(&path, c->step);
                strbuf_add_char(&path, ']');
        }
        strbuf_add(&path, *key ? "." : "");
        strbuf_add(&path, key);
        config_errors_add(c->errors, line > 0 ? line : c->line, path.text, words);
}

void call_refuse_shown(const CallCheck *c, unsigned line, const char *key, const char *shown,
                       const char *words) {
        STRBUF(b, 2048);

        config_add_shown(&b, shown);
        strbuf_add(&b, words);
        call_refuse(c, line, key, b.text);
}

static bool has_control(const char *text) {
        for (; *text; text++)
                if (((unsigned char)*text < 0x20 && *text != '\t') || *text == 0x7f)
                        return true;
        return false;
}

bool http_header_frames(const char *name) {
        static const char *const names[] = {
                "Connection", "Content-Length",    "Expect", "Keep-Alive", "TE",
                "Trailer",    "Transfer-Encoding", "Upgrade"
        };

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (strcasecmp(name, names[i]) == 0)
                        return true;
        return false;
}

/* What is wrong with sending a header of that name, or NULL. */
static const char *refused_name(const CallCheck *c, const char *name) {
        if (http_header_frames(name))
                return " frames the message, which rollbackd does by itself; remove it";
        if (strcasecmp(name, "Accept-Encoding") == 0)
                return " would ask for what rollbackd does not unpack; remove it";
        if (strcasecmp(name, "Content-Type") == 0)
                return " has a key of its own; write content_type";
        if (c->step != SIZE_MAX && strcasecmp(name, "Cookie") == 0)
                return " is written by the steps themselves, from the cookies of earlier answers; "
                       "remove it";
        return NULL;
}

static void check_header(const CallCheck *c, size_t i) {
        const HttpHeaderConfig *h = &c->call->headers[i];
        const char *words = refused_name(c, h->name);

        if (words)
                call_refuse_shown(c, h->line, "headers", h->name, words);
        if ((h->value != NULL) == (h->value_file != NULL))
                call_refuse_shown(c, h->line, "headers", h->name,
                                  " needs one value; write value, or value_file with the name of a "
                                  "secret");
        if (h->value && has_control(h->value))
                call_refuse_shown(c, h->line, "headers", h->name,
                                  " has a line end or another control character in its value; "
                                  "remove it");
        for (size_t j = 0; j < i; j++)
                if (c->call->headers[j].line > 0 &&
                    strcasecmp(c->call->headers[j].name, h->name) == 0) {
                        call_refuse_shown(c, h->line, "headers", h->name,
                                          " is there twice; remove one");
                        break;
                }
}

static void check_headers(const CallCheck *c) {
        size_t size = 0;

        for (size_t i = 0; i < c->call->n_headers; i++) {
                const HttpHeaderConfig *h = &c->call->headers[i];

                if (h->line == 0)
                        continue;
                check_header(c, i);
                size += strlen(h->name) + (h->value ? strlen(h->value) : 0);
        }
        if (size > HTTP_HEADERS_SIZE_MAX)
                call_refuse(c, 0, "headers",
                            "has more than 4096 bytes of names and values; write shorter ones");
}

static void check_body(const CallCheck *c) {
        const HttpCallConfig *call = c->call;
        bool body = call->body || call->body_file;

        if (call->body && call->body_file)
                call_refuse(c, 0, "body_file", "stands beside body, and both are it; remove one");
        if (body && call->method && !streq(call->method, "POST"))
                call_refuse(c, 0, "method", "is not \"POST\", and only that has a body; write it");
        if (call->content_type && !body)
                call_refuse(c, 0, "content_type", "says what no body is; remove it, or add body");
        if (call->content_type && has_control(call->content_type))
                call_refuse(c, 0, "content_type",
                            "has a line end or another control character; remove it");
}

static void check_method(const CallCheck *c) {
        if (c->step == SIZE_MAX && c->probe->reuse > 0 && c->call->method &&
            streq(c->call->method, "POST"))
                call_refuse(c, 0, "connection",
                            "is kept, and a request over one that ends meanwhile is sent again, "
                            "which a POST must not be; write \"fresh\"");
}

static bool is_taken_before(const CallCheck *c, Slice name) {
        for (size_t i = 0; i < c->step; i++) {
                const HttpCallConfig *step = &c->probe->http.steps[i];

                for (size_t j = 0; j < step->n_take; j++)
                        if (step->take[j].name && strlen(step->take[j].name) == name.n &&
                            memcmp(step->take[j].name, name.p, name.n) == 0)
                                return true;
        }
        return false;
}

/* What an earlier step takes that could not be read is not known. */
static bool is_read_before(const CallCheck *c) {
        for (size_t i = 0; i < c->step; i++)
                if (c->probe->http.steps[i].line == 0)
                        return false;
        return true;
}

static void check_template(const CallCheck *c, unsigned line, const char *key, const char *text) {
        const char *rest = text;
        TemplatePiece piece;
        int r;

        while ((r = template_next(&rest, &piece)) > 0) {
                char name[128] = "";

                if (!piece.name || is_taken_before(c, piece.text) || !is_read_before(c))
                        continue;
                memcpy(name, piece.text.p, MIN(piece.text.n, sizeof name - 1));
                call_refuse_shown(c, line, key, name,
                                  " is taken by no earlier step; add it to the take of one");
        }
        if (r < 0)
                call_refuse_shown(c, line, key, rest,
                                  " begins no ${name}; write one, or $${ for ${ itself");
}

static void check_path(const CallCheck *c) {
        const char *path = c->call->path;
        bool plain = path[0] == '/';

        for (const char *p = path; *p; p++)
                plain = plain && *p > 0x20 && *p < 0x7f && *p != '#';
        if (!plain)
                call_refuse_shown(c, 0, "path", path,
                                  " is no path; write one that begins with / and has no blank, no "
                                  "# and only ASCII, the rest percent-encoded");
}

static void check_step(const CallCheck *c) {
        const HttpCallConfig *call = c->call;

        check_path(c);
        check_template(c, 0, "path", call->path);
        if (call->body)
                check_template(c, 0, "body", call->body);
        for (size_t i = 0; i < call->n_headers; i++)
                if (call->headers[i].line > 0 && call->headers[i].value)
                        check_template(c, call->headers[i].line, "headers", call->headers[i].value);
        for (size_t i = 0; i < call->n_take; i++) {
                const HttpTakeConfig *t = &call->take[i];
                bool again = false;

                for (size_t j = 0; j < i; j++)
                        again |= call->take[j].line > 0 && t->line > 0 &&
                                 streq(call->take[j].name, t->name);
                if (t->line > 0 &&
                    (again || is_taken_before(c, (Slice){ .p = t->name, .n = strlen(t->name) })))
                        call_refuse_shown(c, t->line, "take", t->name,
                                          " is taken before; write another name");
        }
}

static void check_call(const CallCheck *c) {
        check_headers(c);
        check_method(c);
        check_body(c);
        config_check_answer(c);
}

/* The keys of a single request make no sense beside steps. */
static void check_no_call(const CallCheck *c, const ConfigNode *root) {
        static const char *const keys[] = { "method",         "headers",      "body",
                                            "body_file",      "content_type", "version_header",
                                            "version_pointer" };
        static const char *const expected[] = { "status", "headers", "body", "body_matches",
                                                "json" };
        const ConfigNode *probes = config_node_get(root, "probes"),
                         *probe = config_node_get(probes, c->probe->name),
                         *expect = config_node_get(probe, "expect");

        for (size_t i = 0; i < ELEMENTSOF(keys); i++)
                if (config_node_get(probe, keys[i]))
                        call_refuse(c, 0, keys[i],
                                    "is of a single request, and this probe has steps; write it in "
                                    "a step");
        for (size_t i = 0; expect && i < ELEMENTSOF(expected); i++)
                if (config_node_get(expect, expected[i]))
                        call_refuse(c, config_node_line(expect), "expect",
                                    "says what a single answer must be, and this probe has steps; "
                                    "write it in the expect of a step");
}

static bool has_https(const ProbeConfig *p) {
        for (size_t i = 0; i < p->n_targets; i++)
                if (p->targets[i].tls)
                        return true;
        return false;
}

/* The name of a reported value: not that of an earlier one, nor of those that every such probe
 * reports. */
static void check_value_name(const CallCheck *c, const HttpJsonExpectation *json,
                             const char *const *earlier, size_t n_earlier) {
        bool own = streq(json->value, "certificate_days") ||
                   (c->probe->http.n_steps > 0 && strncmp(json->value, "step_", 5) == 0);

        for (size_t i = 0; i < n_earlier; i++)
                own |= streq(earlier[i], json->value);
        if (own)
                call_refuse_shown(c, json->line, "expect.json", json->value,
                                  " is the name of another value too; write another");
}

/* Values that the probe reports have names that differ, and room. */
static void check_values(const CallCheck *c) {
        const HttpProbeConfig *http = &c->probe->http;
        const HttpCallConfig *calls = http->n_steps > 0 ? http->steps : &http->call;
        size_t n_calls = MAX(http->n_steps, (size_t)1), n = 0, versions = 0;
        const char *names[SAMPLE_VALUES_MAX];

        for (size_t i = 0; i < n_calls; i++) {
                versions += calls[i].version_header || calls[i].version_pointer;
                for (size_t j = 0; j < calls[i].n_json; j++) {
                        if (!calls[i].json[j].value)
                                continue;
                        check_value_name(c, &calls[i].json[j], names, MIN(n, ELEMENTSOF(names)));
                        if (n < ELEMENTSOF(names))
                                names[n] = calls[i].json[j].value;
                        n++;
                }
        }
        /* And one for each step's time, and one for the days of a certificate. */
        if (n + http->n_steps + has_https(c->probe) > SAMPLE_VALUES_MAX)
                call_refuse(c, 0, http->n_steps > 0 ? "steps" : "expect.json",
                            "make more values than the 16 that a probe reports, with the time of "
                            "each step and, of https, the days of the certificate; write fewer");
        if (versions > 1)
                call_refuse(c, 0, "steps",
                            "name the version that answered more than once; write version_header "
                            "or version_pointer in one step");
}

/* The paths are those of the steps. */
static void check_targets(const CallCheck *c) {
        for (size_t i = 0; i < c->probe->n_targets; i++)
                if (!streq(c->probe->targets[i].path ?: "/", "/"))
                        call_refuse_shown(c, 0, "targets", c->probe->targets[i].url,
                                          " has a path, and so has each step; write the target "
                                          "without it");
}

void config_check_http(ProbeConfig *p, const ConfigNode *root, ConfigErrors *e) {
        HttpCallConfig *call = &p->http.call;
        CallCheck check = {
                .probe = p, .call = call, .step = SIZE_MAX, .line = p->line, .errors = e
        };

        check_values(&check);
        if (p->http.n_steps == 0) {
                check_call(&check);
                return;
        }
        check_no_call(&check, root);
        check_targets(&check);
        /* Their defaults would be shown as what the probe does. */
        free(call->method);
        free(call->status);
        call->method = NULL;
        call->status = NULL;
        call->n_status = 0;
        for (size_t i = 0; i < p->http.n_steps; i++) {
                CallCheck step = check;

                step.call = &p->http.steps[i];
                step.step = i;
                step.line = step.call->line;
                if (step.line == 0)
                        continue;
                check_call(&step);
                check_step(&step);
        }
}
