/* config_check_programs.c: what the keys of probes of kind exec and promql mean to each other. */
#include <errno.h>

#include "config_check.h"
#include "config_value.h"

#define URL_MAX 2048

static void add_target(ProbeConfig *p, const char *name, ConfigErrors *e) {
        if (probe_config_add_named(p, name) < 0)
                e->no_memory = true;
}

void config_check_exec(ProbeConfig *p, ConfigErrors *e) {
        const char *program = p->exec.command[0];
        STRBUF(words, 512);

        if (*program != '/') {
                config_add_shown(&words, program);
                strbuf_add(&words, " is no absolute path; no shell looks for the program, write "
                                   "/usr/lib/nagios/plugins/... or where else it is");
                config_refuse_probe(e, p, "command", words.text);
        }
        add_target(p, program, e);
}

/* What goes into one header's line. */
static void check_plain(const ProbeConfig *p, const char *key, const char *text, ConfigErrors *e) {
        for (; text && *text; text++)
                if ((unsigned char)*text < ' ' || *text == 0x7f) {
                        config_refuse_probe(e, p, key, "has a control character; write it without");
                        return;
                }
}

void config_check_promql(ProbeConfig *p, ConfigErrors *e) {
        const PromqlConfig *q = &p->promql;

        if (strlen(q->url) > URL_MAX)
                config_refuse_probe(e, p, "url", "is longer than 2048 bytes; write a shorter one");
        if (strpbrk(q->url, "?#"))
                config_refuse_probe(e, p, "url",
                                    "has a query or a fragment; write the URL of the store up to "
                                    "/api/v1/query alone");
        if (strstr(q->url, "/api/v1/query"))
                config_refuse_probe(e, p, "url",
                                    "ends with what rollbackd itself puts behind it; write the URL "
                                    "of the store up to /api/v1/query");
        if (!q->user != !q->password_file)
                config_refuse_probe(e, p, q->user ? "password_file" : "user",
                                    "is missing; write user and password_file, or neither");
        if (q->user && strchr(q->user, ':'))
                config_refuse_probe(e, p, "user",
                                    "has a colon, which Basic authentication cannot carry; write "
                                    "it without");
        if (q->user && q->token_file)
                config_refuse_probe(e, p, "token_file",
                                    "and user are two ways to say who asks; remove one");
        check_plain(p, "tenant", q->tenant, e);
        check_plain(p, "user", q->user, e);
        add_target(p, q->url, e);
}
