#include "config.h"
#include "config_tree.h"
#include "config_value.h"

#define DUMP_FIRST ((size_t)64 * 1024)
#define DUMP_MAX ((size_t)64 * 1024 * 1024) /* a file of CONFIG_FILE_MAX cannot come near */

static void add_indent(StrBuf *b, unsigned indent) {
        for (unsigned i = 0; i < indent; i++)
                strbuf_add(b, "        ");
}

/* Keys that say when or how a probe is made count as pace; `pace` false leaves them out. */
static void add_section(ConfigSection section, const void *base, unsigned indent, bool pace,
                        StrBuf *b);

static void add_array(const ConfigKey *k, const void *base, unsigned indent, bool pace, StrBuf *b) {
        size_t n = config_array_length(k, base);
        bool named = k->kind == KIND_NAMED;

        strbuf_add(b, named ? "{\n" : "(\n");
        for (size_t i = 0; i < n; i++) {
                const void *entry = config_array_at(k, base, i);
                const char *name;

                add_indent(b, indent + 1);
                if (named) {
                        memcpy(&name, entry, sizeof name);
                        strbuf_add(b, name);
                        strbuf_add(b, " = ");
                }
                strbuf_add(b, "{\n");
                add_section(k->inner, entry, indent + 2, pace, b);
                add_indent(b, indent + 1);
                strbuf_add(b, named ? "};\n" : i + 1 < n ? "},\n" : "}\n");
        }
        add_indent(b, indent);
        strbuf_add(b, named ? "};\n" : ");\n");
}

static void add_key(const ConfigKey *k, const void *base, unsigned indent, bool pace, StrBuf *b) {
        bool array = k->kind == KIND_NAMED || k->kind == KIND_LIST;

        if (array ? config_array_length(k, base) == 0 : config_value_absent(k, base))
                return;
        add_indent(b, indent);
        strbuf_add(b, k->key);
        strbuf_add(b, " = ");
        if (array) {
                add_array(k, base, indent, pace, b);
        } else if (k->kind == KIND_SECTION) {
                strbuf_add(b, "{\n");
                add_section(k->inner, base, indent + 1, pace, b);
                add_indent(b, indent);
                strbuf_add(b, "};\n");
        } else {
                config_value_add(k, base, b);
                strbuf_add(b, ";\n");
        }
}

static void add_section(ConfigSection section, const void *base, unsigned indent, bool pace,
                        StrBuf *b) {
        unsigned kind = config_entry_kind(section, base);

        CONFIG_SCHEMA_FOREACH (k) {
                if (k->section == section && (k->kinds == 0 || (k->kinds & kind)) &&
                    (pace || !k->pace))
                        add_key(k, base, indent, pace, b);
        }
}

static char *dump(ConfigSection section, const void *base, const char *path, bool pace) {
        for (size_t size = DUMP_FIRST; size <= DUMP_MAX; size *= 4) {
                _cleanup_(freep) char *storage = malloc(size);
                StrBuf b;

                if (!storage)
                        return NULL;
                strbuf_init(&b, storage, size);
                if (path) {
                        strbuf_add(&b, "# ");
                        strbuf_add_escaped(&b, path, strlen(path));
                        strbuf_add(&b, ", with every default\n");
                }
                add_section(section, base, 0, pace, &b);
                if (!b.overflow)
                        return TAKE_PTR(storage);
        }
        return NULL;
}

char *config_dump_service(const ServiceConfig *c) {
        return dump(SECTION_SERVICE, c, c->path, true);
}

char *config_dump_daemon(const DaemonConfig *c) {
        return dump(SECTION_DAEMON, c, c->path, true);
}

char *config_dump_comparable(ConfigSection section, const void *base) {
        return dump(section, base, NULL, false);
}
