#include <errno.h>

#include "config.h"
#include "config_parse.h"
#include "config_suggest.h"
#include "config_tree.h"
#include "config_value.h"
#include "number.h"

#define KEY_SHOWN_MAX 64 /* bytes of an unknown key that a message repeats */

void config_errors_add(ConfigErrors *e, unsigned line, const char *key, const char *words) {
        if (e->n++ >= CONFIG_MISTAKES_MAX)
                return;
        strbuf_add_escaped(e->text, e->file, strlen(e->file));
        strbuf_add_char(e->text, ':');
        strbuf_add_u64(e->text, line);
        strbuf_add(e->text, ": ");
        strbuf_add(e->text, key);
        strbuf_add(e->text, *key ? ": " : "");
        strbuf_add(e->text, words);
        strbuf_add_char(e->text, '\n');
}

int config_errors_finish(ConfigErrors *e) {
        if (e->no_memory) {
                strbuf_add_escaped(e->text, e->file, strlen(e->file));
                strbuf_add(e->text, ": out of memory; try again\n");
                return -ENOMEM;
        }
        if (e->n > CONFIG_MISTAKES_MAX) {
                strbuf_add_escaped(e->text, e->file, strlen(e->file));
                strbuf_add(e->text, ": and ");
                strbuf_add_u64(e->text, e->n - CONFIG_MISTAKES_MAX);
                strbuf_add(e->text, " more; correct these first\n");
        }
        return e->n > 0 ? -EINVAL : 0;
}

size_t config_array_length(const ConfigKey *k, const void *base) {
        return *(const size_t *)((const char *)base + k->offset_n);
}

void *config_array_at(const ConfigKey *k, const void *base, size_t i) {
        char *array;

        memcpy(&array, (const char *)base + k->offset, sizeof array);
        return array + i * k->element;
}

unsigned config_entry_kind(ConfigSection section, const void *entry) {
        const ConfigKey *k;
        unsigned kind;

        /* The keys of a section inside an entry lie in the entry, under the same kind. */
        section = config_section_outer(section);
        if (!config_section_kinds(section))
                return 0;
        k = config_schema_find(section, "kind", 0);
        memcpy(&kind, (const char *)entry + k->offset, sizeof kind);
        return 1U << kind;
}

static bool applies(const ConfigKey *k, ConfigSection section, unsigned kind) {
        return k->section == section && (k->kinds == 0 || kind == 0 || (k->kinds & kind));
}

static void add_key(StrBuf *b, const char *prefix, const char *key) {
        size_t n = strlen(key);

        strbuf_add(b, prefix);
        strbuf_add(b, *prefix && *key ? "." : "");
        strbuf_add_escaped(b, key, MIN(n, (size_t)KEY_SHOWN_MAX));
        strbuf_add(b, n > KEY_SHOWN_MAX ? "..." : "");
}

static void read_value(const ConfigKey *k, const ConfigNode *n, void *base, const char *path,
                       ConfigErrors *e) {
        STRBUF(words, 1024);
        int r;

        r = config_value_read(k, n, base, &words);
        if (r == -ENOMEM)
                e->no_memory = true;
        else if (r < 0)
                config_errors_add(e, config_node_line(n), path, words.text);
}

static void read_section(ConfigSection section, const ConfigNode *group, unsigned line, void *base,
                         const char *prefix, ConfigErrors *e);

static void read_entry(const ConfigKey *k, const ConfigNode *n, void *entry, const char *prefix,
                       ConfigErrors *e) {
        size_t offset = config_section_line(k->inner);
        const char *name = config_node_name(n), *why;
        unsigned line = config_node_line(n), before = e->n;

        /* Before anything is refused: what refers to entries goes by their names. */
        if (k->kind == KIND_NAMED) {
                char *copy = strdup(name);

                memcpy(entry, &copy, sizeof copy);
                e->no_memory = e->no_memory || !copy;
        }
        if (config_node_type(n) != CONFIG_GROUP) {
                STRBUF(words, 128);

                strbuf_add(&words, "is ");
                strbuf_add(&words, config_type_words(config_node_type(n)));
                strbuf_add(&words, "; write a group { ... }");
                config_errors_add(e, line, prefix, words.text);
                return;
        }
        if (k->kind == KIND_NAMED && config_parse_name(name, &why) < 0)
                config_errors_add(
                        e, line, prefix,
                        "is no name; write at most 63 letters, digits and _ -, the first a letter");
        read_section(k->inner, n, line, entry, prefix, e);
        if (e->n == before)
                memcpy((char *)entry + offset, &line, sizeof line);
}

static bool check_count(const ConfigKey *k, const ConfigNode *n, const char *path,
                        ConfigErrors *e) {
        size_t length = config_node_length(n);
        uint64_t minimum = 0, maximum = 0;
        STRBUF(words, 128);

        if ((k->minimum && number_parse_u64(k->minimum, strlen(k->minimum), &minimum) < 0) ||
            number_parse_u64(k->maximum, strlen(k->maximum), &maximum) < 0)
                return false;
        if (length >= minimum && length <= maximum)
                return true;
        strbuf_add_u64(&words, length);
        strbuf_add(&words, length < minimum ? " entries are too few; write at least " :
                                              " entries are too many; write at most ");
        strbuf_add(&words, length < minimum ? k->minimum : k->maximum);
        config_errors_add(e, config_node_line(n), path, words.text);
        return false;
}

static void read_array(const ConfigKey *k, const ConfigNode *n, void *base, const char *path,
                       ConfigErrors *e) {
        size_t length = config_node_length(n);
        void *array;

        if (!check_count(k, n, path, e) || length == 0)
                return;
        array = calloc(length, k->element);
        if (!array) {
                e->no_memory = true;
                return;
        }
        memcpy((char *)base + k->offset, &array, sizeof array);
        memcpy((char *)base + k->offset_n, &length, sizeof length);
        for (size_t i = 0; i < length; i++) {
                const ConfigNode *entry = config_node_at(n, i);
                STRBUF(name, CONFIG_PATH_SIZE);

                if (k->kind == KIND_NAMED) {
                        add_key(&name, path, config_node_name(entry));
                } else {
                        strbuf_add(&name, path);
                        strbuf_add_char(&name, '[');
                        strbuf_add_u64(&name, i);
                        strbuf_add_char(&name, ']');
                }
                read_entry(k, entry, config_array_at(k, base, i), name.text, e);
        }
}

static void refuse_missing(const ConfigKey *k, unsigned line, const char *path, ConfigErrors *e) {
        STRBUF(words, 1024);

        strbuf_add(&words, "is missing; write ");
        config_value_add_wanted(k, &words);
        config_errors_add(e, line, path, words.text);
}

static void read_key(const ConfigKey *k, const ConfigNode *group, unsigned line, void *base,
                     const char *prefix, ConfigErrors *e) {
        const ConfigNode *n = group ? config_node_get(group, k->key) : NULL;
        ConfigType wanted = k->kind == KIND_LIST ? CONFIG_LIST : CONFIG_GROUP;
        STRBUF(path, CONFIG_PATH_SIZE);

        add_key(&path, prefix, k->key);
        if (config_value_default(k, base) < 0)
                e->no_memory = true;
        if (!n && k->required)
                refuse_missing(k, line, path.text, e);
        if (config_value_form(k) != FORM_NONE) {
                if (n)
                        read_value(k, n, base, path.text, e);
                return;
        }
        /* A group of the wrong type: the message is the same as any value's. */
        if (n && config_node_type(n) != wanted)
                read_value(k, n, base, path.text, e);
        else if (k->kind == KIND_SECTION)
                read_section(k->inner, n, n ? config_node_line(n) : line, base, path.text, e);
        else if (n)
                read_array(k, n, base, path.text, e);
}

static void refuse_unknown(const ConfigNode *n, ConfigSection section, unsigned kind,
                           const char *prefix, ConfigErrors *e) {
        const char *key = config_node_name(n);
        const ConfigWords *kinds = config_section_kinds(config_section_outer(section));
        STRBUF(path, CONFIG_PATH_SIZE);
        STRBUF(words, 1024);

        add_key(&path, prefix, key);
        if (kinds && config_schema_find(section, key, 0)) {
                strbuf_add(&words, "is no key of kind \"");
                strbuf_add(&words, kinds->word((unsigned)__builtin_ctz(kind)));
                strbuf_add(&words, "\"; remove it");
        } else {
                config_suggest_key(section, kind, key, &words);
        }
        config_errors_add(e, config_node_line(n), path.text, words.text);
}

/* `kind` comes first, since it says which keys there are. Returns false when it cannot be known. */
static bool read_kind(ConfigSection section, const ConfigNode *group, unsigned line, void *base,
                      const char *prefix, ConfigErrors *e) {
        unsigned before = e->n;

        if (config_section_kinds(section))
                read_key(config_schema_find(section, "kind", 0), group, line, base, prefix, e);
        return e->n == before;
}

static void read_section(ConfigSection section, const ConfigNode *group, unsigned line, void *base,
                         const char *prefix, ConfigErrors *e) {
        bool has_kinds = config_section_kinds(section);
        unsigned kind;

        if (!read_kind(section, group, line, base, prefix, e))
                return;
        kind = config_entry_kind(section, base);
        CONFIG_SCHEMA_FOREACH (k) {
                if (applies(k, section, kind) && !(has_kinds && streq(k->key, "kind")))
                        read_key(k, group, line, base, prefix, e);
        }
        for (size_t i = 0; group && i < config_node_length(group); i++) {
                const ConfigNode *n = config_node_at(group, i);

                if (!config_schema_find(section, config_node_name(n), kind))
                        refuse_unknown(n, section, kind, prefix, e);
        }
}

void config_tree_read(ConfigSection section, const ConfigNode *group, void *base, ConfigErrors *e) {
        read_section(section, group, config_node_line(group), base, "", e);
}

static void free_array(const ConfigKey *k, void *base) {
        size_t n = config_array_length(k, base), zero = 0;
        char *array = config_array_at(k, base, 0), *none = NULL;

        for (size_t i = 0; i < n; i++) {
                void *entry = array + i * k->element;
                char *name = NULL;

                config_tree_free(k->inner, entry);
                if (k->kind == KIND_NAMED)
                        memcpy(&name, entry, sizeof name);
                free(name);
        }
        free(array);
        memcpy((char *)base + k->offset, &none, sizeof none);
        memcpy((char *)base + k->offset_n, &zero, sizeof zero);
}

void config_tree_free(ConfigSection section, void *base) {
        CONFIG_SCHEMA_FOREACH (k) {
                if (k->section != section)
                        continue;
                if (k->kind == KIND_SECTION)
                        config_tree_free(k->inner, base);
                else if (k->kind == KIND_NAMED || k->kind == KIND_LIST)
                        free_array(k, base);
                else
                        config_value_free(k, base);
        }
}
