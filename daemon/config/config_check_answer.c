#include <math.h>

#include "config_check_http.h"
#include "config_value.h"
#include "pattern.h"

/* A regular expression that is searched for; returns how many groups it has, or SIZE_MAX. */
static size_t check_pattern(const CallCheck *c, unsigned line, const char *key, const char *text) {
        _cleanup_(pattern_freep) Pattern *pattern = NULL;
        char why[128] = "";
        STRBUF(words, 1024);
        size_t at = 0;

        if (pattern_new_search(&pattern, text, &at, why, sizeof why) >= 0)
                return pattern_groups(pattern);
        strbuf_add(&words, " is wrong at byte ");
        strbuf_add_u64(&words, at);
        strbuf_add(&words, " (");
        strbuf_add(&words, why);
        strbuf_add(&words, "); correct it");
        call_refuse_shown(c, line, key, text, words.text);
        return SIZE_MAX;
}

static void check_headers(const CallCheck *c) {
        for (size_t i = 0; i < c->call->n_expect_headers; i++) {
                const HttpHeaderExpectation *h = &c->call->expect_headers[i];
                unsigned said = (h->equals != NULL) + (h->contains != NULL) + (h->matches != NULL) +
                                h->absent;

                if (h->line == 0)
                        continue;
                if (said > 1)
                        call_refuse(c, h->line, "expect.headers",
                                    "says more than one thing of a header; write one of equals, "
                                    "contains, matches and absent, and another entry for more");
                if (h->matches)
                        (void)check_pattern(c, h->line, "expect.headers", h->matches);
        }
}

static void check_json(const CallCheck *c) {
        for (size_t i = 0; i < c->call->n_json; i++) {
                const HttpJsonExpectation *j = &c->call->json[i];
                bool number = !isnan(j->at_least) || !isnan(j->at_most) || j->value;

                if (j->line == 0)
                        continue;
                if (j->absent && (j->equals || number))
                        call_refuse(c, j->line, "expect.json",
                                    "wants something of what must not be there; remove absent, or "
                                    "the rest");
                if (j->at_least > j->at_most)
                        call_refuse(c, j->line, "expect.json",
                                    "wants at least more than at most, which no number is; write "
                                    "at_least below at_most");
        }
}

static void check_takes(const CallCheck *c) {
        for (size_t i = 0; i < c->call->n_take; i++) {
                const HttpTakeConfig *t = &c->call->take[i];
                unsigned said = (t->pointer != NULL) + (t->header != NULL) + (t->matches != NULL);

                if (t->line == 0)
                        continue;
                if (said != 1)
                        call_refuse(c, t->line, "take",
                                    "needs one place to take it from; write one of pointer, header "
                                    "and matches");
                if (!t->matches)
                        continue;
                size_t groups = check_pattern(c, t->line, "take", t->matches);
                if (groups != 1 && groups != SIZE_MAX)
                        call_refuse_shown(c, t->line, "take", t->matches,
                                          " has not one group; write ( ) around what to take, and "
                                          "(?: ) for other brackets");
        }
}

static bool takes_pointer(const HttpCallConfig *call) {
        for (size_t i = 0; i < call->n_take; i++)
                if (call->take[i].pointer)
                        return true;
        return false;
}

static bool takes_match(const HttpCallConfig *call) {
        for (size_t i = 0; i < call->n_take; i++)
                if (call->take[i].matches)
                        return true;
        return false;
}

void config_check_answer(const CallCheck *c) {
        const HttpCallConfig *call = c->call;
        bool json = call->n_json > 0 || call->version_pointer || takes_pointer(call),
             body = json || call->expect_body || call->body_matches || takes_match(call);

        check_headers(c);
        check_json(c);
        check_takes(c);
        if (call->body_matches)
                (void)check_pattern(c, 0, "expect.body_matches", call->body_matches);
        if (body && call->method && streq(call->method, "HEAD"))
                call_refuse(c, 0, "method",
                            "is \"HEAD\", whose answer has no body, but something is wanted of the "
                            "body; write \"GET\"");
        if (json && c->probe->max_body > HTTP_JSON_BODY_MAX)
                call_refuse(c, c->probe->line, "max_body",
                            "is more than is read as JSON; write at most \"1MiB\"");
        if (call->version_header && call->version_pointer)
                call_refuse(c, 0, "version_pointer",
                            "stands beside version_header, and both name the version; remove one");
}
