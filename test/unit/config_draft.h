/* config_draft.h: writes a whole valid configuration file around one key of one section, so that a
 * test decides only that key's value. Remembers the lines that a message must name. */
#pragma once

#include "config_schema.h"
#include "config_value.h"

/* The least that makes each section, by kind, valid. */
typedef struct Base {
        ConfigSection section;
        const char *kind; /* NULL: no kinds */
        const char *key, *value;
} Base;

#define EXAMPLE_TARGETS "[ \"http://10.0.0.1:80/\", \"https://10.0.0.1/\" ]"

static const Base bases[] = {
        { SECTION_SERVICE, NULL, "service", "\"s\"" },
        { SECTION_PROBE, "http", "targets", EXAMPLE_TARGETS },
        { SECTION_PROBE, "tcp", "targets", "[ \"10.0.0.1:80\" ]" },
        { SECTION_PROBE, "metrics", "targets", EXAMPLE_TARGETS },
        { SECTION_PROBE, "redis", "targets", "[ \"redis://10.0.0.1:6379\" ]" },
        { SECTION_PROBE, "postgres", "conninfo", "\"service=users\"" },
        { SECTION_PROBE, "unit", "units", "[ \"a.service\" ]" },
        { SECTION_PROBE, "journal", "units", "[ \"a.service\" ]" },
        { SECTION_PROBE, "exec", "command", "[ \"/bin/true\" ]" },
        { SECTION_PROBE, "promql", "url", "\"http://10.0.0.1:9090\"" },
        { SECTION_PROBE, "promql", "query", "\"up\"" },
        { SECTION_VALUE, NULL, "name", "\"certificate_days\"" },
        { SECTION_VALUE, NULL, "at_most", "1.5" },
        { SECTION_REQUEST_HEADER, NULL, "name", "\"X-A\"" },
        { SECTION_REQUEST_HEADER, NULL, "value", "\"a\"" },
        { SECTION_EXPECT_HEADER, NULL, "name", "\"X-A\"" },
        { SECTION_EXPECT_JSON, NULL, "pointer", "\"/a\"" },
        { SECTION_HTTP_STEP, NULL, "path", "\"/a\"" },
        { SECTION_TAKE, NULL, "name", "\"a\"" },
        { SECTION_TAKE, NULL, "pointer", "\"/a\"" },
        { SECTION_SIGNAL, "availability", "probe", "\"m\"" },
        { SECTION_SIGNAL, "ratio", "probe", "\"m\"" },
        { SECTION_SIGNAL, "ratio", "bad", "\"b\"" },
        { SECTION_SIGNAL, "ratio", "total", "\"t\"" },
        { SECTION_SIGNAL, "rate", "probe", "\"m\"" },
        { SECTION_SIGNAL, "rate", "bad", "\"b\"" },
        { SECTION_RULE, "down", "name", "\"r\"" },
        { SECTION_RULE, "down", "probe", "\"p\"" },
        { SECTION_RULE, "threshold", "name", "\"r\"" },
        { SECTION_RULE, "threshold", "signal", "\"s\"" },
        { SECTION_RULE, "threshold", "enter", "\"5%\"" },
        { SECTION_RULE, "threshold", "leave", "\"2%\"" },
        { SECTION_STEP, "sql", "role", "\"o\"" },
        { SECTION_STEP, "sql", "statement", "\"SELECT 1\"" },
        { SECTION_STEP, "cache", "store", "\"postgres\"" },
        { SECTION_STEP, "cache", "role", "\"o\"" },
        { SECTION_STEP, "cache", "table", "\"cache\"" },
        { SECTION_STEP, "cache", "key", "\"key\"" },
        { SECTION_STEP, "cache", "prefix", "\"user:\"" },
        { SECTION_STEP, "session", "store", "\"postgres\"" },
        { SECTION_STEP, "session", "role", "\"o\"" },
        { SECTION_STEP, "session", "table", "\"session\"" },
        { SECTION_STEP, "session", "where", "\"true\"" },
        { SECTION_CHANNEL, NULL, "kind", "\"webhook\"" },
        { SECTION_CHANNEL, NULL, "url", "\"https://example.org/\"" },
};

/* One file to write: a key of one section, under one kind, with a value of the test's (NULL: left
 * out). */
typedef struct Draft {
        ConfigSection section;
        const char *kind; /* of the entry; NULL: the section has none */
        const char *key, *value;
        StrBuf *b;
        unsigned line, group_line, key_line;
} Draft;

static inline void add_line(Draft *d, const char *text) {
        strbuf_add(d->b, text);
        strbuf_add_char(d->b, '\n');
        d->line++;
}

static inline void add_pair(Draft *d, const char *key, const char *value) {
        strbuf_add(d->b, key);
        strbuf_add(d->b, " = ");
        strbuf_add(d->b, value);
        add_line(d, ";");
}

static inline bool is_target(const Draft *d, ConfigSection section, const char *key) {
        return d->section == section && streq(d->key, key);
}

static inline void add_base(Draft *d, ConfigSection section, const char *key, const char *value) {
        if (!is_target(d, section, key)) {
                add_pair(d, key, value);
        } else if (d->value) {
                d->key_line = d->line;
                add_pair(d, key, d->value);
        }
}

/* The keys of one section; the key under test comes last unless it is one of the base. */
static inline void add_keys(Draft *d, ConfigSection section, const char *kind) {
        STRBUF(quoted, 64);
        unsigned before = d->key_line;

        /* The group was opened on the line before, or is the file's top. */
        if (d->section == section)
                d->group_line = d->line > 1 ? d->line - 1 : 1;
        if (kind) {
                config_add_quoted(&quoted, kind);
                add_base(d, section, "kind", quoted.text);
        }
        for (size_t i = 0; i < ELEMENTSOF(bases); i++)
                if (bases[i].section == section && (!kind || streq(bases[i].kind, kind)))
                        add_base(d, section, bases[i].key, bases[i].value);
        if (d->section == section && d->value && d->key_line == before) {
                d->key_line = d->line;
                add_pair(d, d->key, d->value);
        }
}

/* A group of the top, unless the test replaces it as a whole. */
static inline bool opens(Draft *d, const char *key, const char *opening) {
        if (is_target(d, SECTION_SERVICE, key) || is_target(d, SECTION_DAEMON, key))
                return false;
        add_line(d, opening);
        return true;
}

static inline const char *kind_for(const Draft *d, ConfigSection section, const char *usual) {
        return d->section == section ? d->kind : usual;
}

static inline void write_release(Draft *d) {
        add_keys(d, SECTION_RELEASE, NULL);
        if (!is_target(d, SECTION_RELEASE, "bake")) {
                add_line(d, "bake = {");
                add_keys(d, SECTION_BAKE, NULL);
                add_line(d, "};");
        }
        add_line(d, "};");
}

/* Whether entries of that kind have the key. */
static inline bool has_key(ConfigSection section, const char *kind, const char *key) {
        const ConfigWords *kinds = config_section_kinds(section);

        for (unsigned i = 0; i < kinds->n; i++)
                if (streq(kinds->word(i), kind))
                        return config_schema_find(section, key, 1U << i) != NULL;
        return false;
}

/* A list of one group, written only for a test of it. */
static inline void add_list(Draft *d, ConfigSection section, const char *opening) {
        if (d->section != section)
                return;
        add_line(d, opening);
        add_keys(d, section, NULL);
        add_line(d, "} );");
}

static inline void write_steps(Draft *d) {
        if (d->section != SECTION_HTTP_STEP && d->section != SECTION_HTTP_STEP_EXPECT &&
            d->section != SECTION_TAKE)
                return;
        add_line(d, "steps = ( {");
        add_keys(d, SECTION_HTTP_STEP, NULL);
        if (d->section == SECTION_HTTP_STEP_EXPECT) {
                add_line(d, "expect = {");
                add_keys(d, SECTION_HTTP_STEP_EXPECT, NULL);
                add_line(d, "};");
        }
        add_list(d, SECTION_TAKE, "take = ( {");
        add_line(d, "} );");
}

static inline void write_probes(Draft *d) {
        const char *kind = kind_for(d, SECTION_PROBE, "http");

        add_line(d, "p = {");
        add_keys(d, SECTION_PROBE, kind);
        if (streq(kind, "http") && !is_target(d, SECTION_PROBE, "expect")) {
                add_line(d, "expect = {");
                add_keys(d, SECTION_EXPECT, NULL);
                if (!is_target(d, SECTION_EXPECT, "values")) {
                        add_line(d, "values = ( {");
                        add_keys(d, SECTION_VALUE, NULL);
                        add_line(d, "} );");
                }
                add_list(d, SECTION_EXPECT_HEADER, "headers = ( {");
                add_list(d, SECTION_EXPECT_JSON, "json = ( {");
                add_line(d, "};");
        }
        add_list(d, SECTION_REQUEST_HEADER, "headers = ( {");
        write_steps(d);
        if (has_key(SECTION_PROBE, kind, "tls") && !is_target(d, SECTION_PROBE, "tls")) {
                add_line(d, "tls = {");
                add_keys(d, SECTION_TLS, NULL);
                add_line(d, "};");
        }
        add_line(d, "};");
        add_line(d, "m = { kind = \"metrics\"; targets = [ \"http://10.0.0.2/\" ]; };");
        add_line(d, "};");
}

static inline void write_rollback(Draft *d) {
        add_keys(d, SECTION_ROLLBACK, NULL);
        if (!is_target(d, SECTION_ROLLBACK, "budget")) {
                add_line(d, "budget = {");
                add_keys(d, SECTION_BUDGET, NULL);
                add_line(d, "};");
        }
        if (!is_target(d, SECTION_ROLLBACK, "steps")) {
                add_line(d, "steps = ( {");
                add_keys(d, SECTION_STEP, kind_for(d, SECTION_STEP, "sql"));
                add_line(d, "} );");
        }
        add_line(d, "};");
}

static inline void write_service(Draft *d) {
        add_keys(d, SECTION_SERVICE, NULL);
        if (opens(d, "release", "release = {"))
                write_release(d);
        if (opens(d, "probes", "probes = {"))
                write_probes(d);
        if (opens(d, "signals", "signals = { s = {")) {
                add_keys(d, SECTION_SIGNAL, kind_for(d, SECTION_SIGNAL, "availability"));
                add_line(d, "}; };");
        }
        if (opens(d, "rules", "rules = ( {")) {
                add_keys(d, SECTION_RULE, kind_for(d, SECTION_RULE, "down"));
                add_line(d, "} );");
        }
        if (opens(d, "rollback", "rollback = {"))
                write_rollback(d);
        if (opens(d, "notify", "notify = ( {")) {
                add_keys(d, SECTION_CHANNEL, NULL);
                add_line(d, "} );");
        }
}

static inline void write_daemon(Draft *d) {
        add_keys(d, SECTION_DAEMON, NULL);
        if (opens(d, "ledger", "ledger = {")) {
                add_keys(d, SECTION_LEDGER, NULL);
                add_line(d, "};");
        }
        if (opens(d, "http", "http = {")) {
                add_keys(d, SECTION_HTTP, NULL);
                add_line(d, "};");
        }
}
