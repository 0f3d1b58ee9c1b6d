/* The keys of both configuration files, from the schema that parses them. */
#include <errno.h>

#include "config_value.h"
#include "manual.h"

/* How a value stands behind its key, in mdoc. Kinds with words show these instead. */
static const struct {
        const char *form,
                *name; /* `name` as the list of forms calls it; NULL: explained elsewhere */
} forms[_CONFIG_KIND_MAX] = {
        [KIND_SECTION] = { "{ ... }", NULL },
        [KIND_NAMED] = { "{ Ar name No = { ... }; ... }", NULL },
        [KIND_LIST] = { "( { ... }, ... )", NULL },
        [KIND_DURATION] = { "Qq Ar duration", "duration" },
        [KIND_PERCENT] = { "Qq Ar share", "share" },
        [KIND_BYTES] = { "Qq Ar size", "size" },
        [KIND_INTEGER] = { "Ar integer", "integer" },
        [KIND_NUMBER] = { "Ar number", "number" },
        [KIND_BOOL] = { "Cm true | false", NULL },
        [KIND_ENUM] = { "", NULL },
        [KIND_WORD] = { "", NULL },
        [KIND_TEXT] = { "Qq Ar text", "text" },
        [KIND_NAME] = { "Qq Ar name", "name" },
        [KIND_VALUE] = { "Qq Ar value", "value" },
        [KIND_IDENTIFIER] = { "Qq Ar identifier", "identifier" },
        [KIND_TABLE] = { "Qq Ar table", "table" },
        [KIND_HEADER] = { "Qq Ar header", "header" },
        [KIND_SELECTOR] = { "Qq Ar selector", "selector" },
        [KIND_LABEL] = { "Qq Ar label", "label" },
        [KIND_POINTER] = { "Qq Ar pointer", "pointer" },
        [KIND_LIMIT] = { "Qq Ar limit", "limit" },
        [KIND_CONNINFO] = { "Qq Ar conninfo", "conninfo" },
        [KIND_URL] = { "Qq Ar url", "url" },
        [KIND_LISTEN] = { "Qq Ar address", "address" },
        [KIND_PATH] = { "Qq Ar path", "path" },
        [KIND_SOCKET] = { "Qq Ar socket", "socket" },
        [KIND_SECRET] = { "Qq Ar secret", "secret" },
        [KIND_TARGETS] = { "[ Qo Ar target Qc , ... ]", "target" },
        [KIND_TEXTS] = { "[ Qo Ar text Qc , ... ]", "text" },
        [KIND_STATUSES] = { "[ Qo Ar status Qc , ... ]", "status" },
        [KIND_CONNECTION] = { "Qq Ar connection", "connection" },
        [KIND_UNITS] = { "[ Qo Ar unit Qc , ... ]", "unit" },
        [KIND_CGROUP] = { "Qq Ar cgroup", "cgroup" },
};

const char *manual_section_name(ConfigSection section) {
        if (section == SECTION_SERVICE)
                return "service";
        return section == SECTION_DAEMON ? "daemon" : config_section_path(section);
}

static void write_words(const ConfigWords *words) {
        for (unsigned i = 0; i < words->n; i++)
                printf("%sQo Cm %s Qc", i > 0 ? " | " : "", words->word(i));
}

static bool is_list(const ConfigKey *k) {
        return k->kind == KIND_NAMED || k->kind == KIND_LIST || config_value_form(k) == FORM_LIST;
}

static bool is_quoted(const ConfigKey *k) {
        return k->kind != KIND_INTEGER && k->kind != KIND_NUMBER && k->kind != KIND_BOOL;
}

static void write_limits(const ConfigKey *k) {
        const char *unit = is_list(k)                        ? " entries" :
                           config_value_form(k) == FORM_TEXT ? " bytes" :
                                                               "";

        if (k->minimum && k->maximum)
                printf("From %s to %s%s.\n", k->minimum, k->maximum, unit);
        else if (k->maximum)
                printf("At most %s%s.\n", k->maximum,
                       is_list(k) && streq(k->maximum, "1") ? " entry" : unit);
        else if (k->minimum)
                printf("At least %s%s.\n", k->minimum, unit);
}

/* Which kinds of probe, signal, rule or step have this key; of a group within, which kinds of what
 * it stands in. */
static void write_kinds(const ConfigKey *k) {
        const ConfigWords *kinds = config_section_kinds(k->section) ?:
                                           config_section_kinds(config_section_outer(k->section));
        const char *before = "Only of kind ";

        for (unsigned i = 0; k->kinds != 0 && kinds && i < kinds->n; i++)
                if (k->kinds & (1U << i)) {
                        printf("%s%s", before, kinds->word(i));
                        before = " or ";
                }
        if (k->kinds != 0 && kinds)
                puts(".");
}

static int write_key(const ConfigKey *k) {
        if (!forms[k->kind].form) {
                fprintf(stderr, "manual: kind of value %d of the key %s has no form in forms[]\n",
                        (int)k->kind, k->key);
                return -EINVAL;
        }
        printf(".It Cm %s No = ", k->key);
        if (k->words)
                write_words(k->words);
        else
                fputs(forms[k->kind].form, stdout);
        puts("");
        manual_sentence(k->help);
        write_kinds(k);
        if (k->required)
                puts("Required.");
        if (k->fallback)
                printf(is_list(k)   ? "Default: [ \"%s\" ].\n" :
                       is_quoted(k) ? "Default: \"%s\".\n" :
                                      "Default: %s.\n",
                       k->fallback);
        write_limits(k);
        return 0;
}

int manual_keys(const char *name) {
        size_t n = 0;

        CONFIG_SCHEMA_FOREACH (k)
                if (streq(manual_section_name(k->section), name)) {
                        if (write_key(k) < 0)
                                return -EINVAL;
                        n++;
                }
        if (n == 0)
                fprintf(stderr, "manual: the schema has no section %s\n", name);
        return n == 0 ? -EINVAL : 0;
}

int manual_values(const bool sections[static _SECTION_MAX]) {
        bool said[_CONFIG_KIND_MAX] = { false };

        CONFIG_SCHEMA_FOREACH (k) {
                STRBUF(words, 512);

                if (!sections[k->section] || said[k->kind] || !forms[k->kind].name)
                        continue;
                said[k->kind] = true;
                config_value_add_wanted(k, &words);
                printf(".It Ar %s\n", forms[k->kind].name);
                manual_sentence(words.text);
        }
        return 0;
}
