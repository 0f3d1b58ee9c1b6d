#include <errno.h>
#include <math.h>

#include "config_parse.h"
#include "config_value.h"
#include "number.h"

#define CONFIG_LISTED_TEXT_MAX                                                                     \
        4096         /* bytes; a list of 64 then is far below what execve() takes                  \
                      */
#define SHOWN_MAX 60 /* bytes of the file's text that a message repeats */

/* One value in any of its forms, so that a text is judged before it replaces anything. */
typedef union Value {
        usec_t duration;
        uint64_t integer;
        double number;
        bool truth;
        char *text;
        Limit limit;
} Value;

typedef struct KindRow {
        ConfigForm form;
        ConfigType node;
        const char *wanted;                                      /* NULL: made from the words */
        int (*check)(const char *text, const char **reterr_why); /* texts */
} KindRow;

static const KindRow kinds[_CONFIG_KIND_MAX] = {
        [KIND_SECTION] = { FORM_NONE, CONFIG_GROUP, "a group { ... }", NULL },
        [KIND_NAMED] = { FORM_NONE, CONFIG_GROUP, "a group of named groups { name = { ... }; }",
                         NULL },
        [KIND_LIST] = { FORM_NONE, CONFIG_LIST, "a list of groups ( { ... } )", NULL },
        [KIND_DURATION] = { FORM_DURATION, CONFIG_TEXT,
                            "a duration in quotes with its unit (us, ms, s, m, h, d), such as "
                            "\"30s\"",
                            NULL },
        [KIND_PERCENT] = { FORM_NUMBER, CONFIG_TEXT,
                           "a share in quotes with its unit, such as \"5%\"", NULL },
        [KIND_BYTES] = { FORM_INTEGER, CONFIG_TEXT,
                         "a size in quotes with its unit (B, KiB, MiB, GiB), such as \"1MiB\"",
                         NULL },
        [KIND_INTEGER] = { FORM_INTEGER, CONFIG_INTEGER, "a whole number without quotes, such as 3",
                           NULL },
        [KIND_NUMBER] = { FORM_NUMBER, CONFIG_FLOAT, "a number without quotes, such as 1.5", NULL },
        [KIND_BOOL] = { FORM_BOOL, CONFIG_BOOL, "true or false without quotes", NULL },
        [KIND_ENUM] = { FORM_INTEGER, CONFIG_TEXT, NULL, NULL },
        [KIND_WORD] = { FORM_TEXT, CONFIG_TEXT, NULL, NULL },
        [KIND_TEXT] = { FORM_TEXT, CONFIG_TEXT, "a text in quotes", NULL },
        [KIND_NAME] = { FORM_TEXT, CONFIG_TEXT,
                        "a name in quotes: at most 63 letters, digits and . _ + -, the first a "
                        "letter or digit",
                        config_parse_name },
        [KIND_VALUE] = { FORM_TEXT, CONFIG_TEXT,
                         "the name of a value in quotes: at most 31 letters, digits and _ . / % -",
                         config_parse_value_name },
        [KIND_IDENTIFIER] = { FORM_TEXT, CONFIG_TEXT,
                              "an SQL name in quotes: at most 63 letters, digits and _, the first "
                              "no digit",
                              config_parse_identifier },
        [KIND_TABLE] = { FORM_TEXT, CONFIG_TEXT,
                         "a table in quotes, such as \"cache\" or \"public.cache\"",
                         config_parse_table },
        [KIND_HEADER] = { FORM_TEXT, CONFIG_TEXT,
                          "the name of an HTTP header in quotes, such as \"X-Version\"",
                          config_parse_header },
        [KIND_POINTER] = { FORM_TEXT, CONFIG_TEXT,
                           "a JSON pointer in quotes, such as \"/build/version\"",
                           config_parse_pointer },
        [KIND_SELECTOR] = { FORM_TEXT, CONFIG_TEXT,
                            "a series selector in quotes, such as "
                            "\"requests_total{code=~\\\"5..\\\"}\"",
                            config_parse_selector },
        [KIND_LABEL] = { FORM_TEXT, CONFIG_TEXT,
                         "metric.label in quotes, such as \"app_build_info.version\"",
                         config_parse_label },
        [KIND_LIMIT] = { FORM_LIMIT, CONFIG_TEXT,
                         "a share or a rate in quotes with its unit, such as \"5%\" or \"20/s\"",
                         NULL },
        [KIND_CONNINFO] = { FORM_TEXT, CONFIG_TEXT,
                            "a connection string of libpq in quotes, such as \"service=rollbackd\"",
                            config_parse_conninfo },
        [KIND_URL] = { FORM_TEXT, CONFIG_TEXT,
                       "an http or https URL in quotes, such as "
                       "\"https://hooks.example.org/rollback\"",
                       config_parse_url },
        [KIND_LISTEN] = { FORM_TEXT, CONFIG_TEXT,
                          "a loopback address and port in quotes, such as \"127.0.0.1:7331\", or "
                          "\"\"",
                          config_parse_listen },
        [KIND_PATH] = { FORM_TEXT, CONFIG_TEXT, "an absolute path in quotes", config_parse_path },
        [KIND_SOCKET] = { FORM_TEXT, CONFIG_TEXT, "an absolute path in quotes, or \"\"",
                          config_parse_socket },
        [KIND_SECRET] = { FORM_TEXT, CONFIG_TEXT,
                          "the name of a secret in quotes, a file name without slash, such as "
                          "\"oncall\"",
                          config_parse_secret },
        [KIND_CONNECTION] = { FORM_INTEGER, CONFIG_TEXT,
                              "\"fresh\", or \"reuse:10\" for ten probes over one connection",
                              NULL },
        [KIND_TARGETS] = { FORM_LIST, CONFIG_LIST,
                           "a list of targets in quotes, such as [ "
                           "\"http://10.0.0.11:8080/healthz\" ] or, for tcp, [ \"10.0.0.11:5432\" "
                           "]",
                           NULL },
        [KIND_TEXTS] = { FORM_LIST, CONFIG_LIST,
                         "a list of texts in quotes, such as [ \"/usr/bin/program\", \"-w\", "
                         "\"10%\" ]",
                         NULL },
        [KIND_STATUSES] = { FORM_LIST, CONFIG_LIST,
                            "a list of status codes or ranges in quotes, such as [ \"200-299\", "
                            "\"404\" ]",
                            NULL },
        [KIND_UNITS] = { FORM_LIST, CONFIG_LIST,
                         "a list of whole unit names in quotes, such as [ \"users-api.service\" ]",
                         NULL },
        [KIND_CGROUP] = { FORM_TEXT, CONFIG_TEXT,
                          "the path of a control group in quotes, without a slash in front, such "
                          "as \"system.slice/users-api.service\"",
                          config_parse_cgroup },
};

ConfigForm config_value_form(const ConfigKey *k) {
        return kinds[k->kind].form;
}

void config_add_shown(StrBuf *b, const char *text) {
        const char *scheme = strstr(text, "://"), *user = scheme ? strrchr(scheme, '@') : NULL;
        size_t n;

        strbuf_add_char(b, '"');
        /* Where a URL names a user there may be a password. */
        if (user) {
                strbuf_add_escaped(b, text, MIN((size_t)(scheme + 3 - text), (size_t)SHOWN_MAX));
                strbuf_add(b, "***");
                text = user;
        }
        n = strlen(text);
        strbuf_add_escaped(b, text, MIN(n, (size_t)SHOWN_MAX));
        strbuf_add(b, n > SHOWN_MAX ? "...\"" : "\"");
}

void config_value_add_wanted(const ConfigKey *k, StrBuf *b) {
        if (kinds[k->kind].wanted) {
                strbuf_add(b, kinds[k->kind].wanted);
                return;
        }
        strbuf_add(b, k->words->n > 1 ? "one of " : "");
        for (unsigned i = 0; i < k->words->n; i++) {
                strbuf_add(b, i > 0 ? ", \"" : "\"");
                strbuf_add(b, k->words->word(i));
                strbuf_add_char(b, '"');
        }
}

void config_value_free(const ConfigKey *k, void *base) {
        char *slot = (char *)base + k->offset;
        size_t *n = (size_t *)((char *)base + k->offset_n);
        bool is_targets = k->kind == KIND_TARGETS || k->kind == KIND_UNITS;
        void *owned = NULL;

        if (kinds[k->kind].form != FORM_TEXT && kinds[k->kind].form != FORM_LIST)
                return;
        memcpy(&owned, slot, sizeof owned);
        for (size_t i = 0; is_targets && i < *n; i++)
                target_config_done((TargetConfig *)owned + i);
        for (size_t i = 0; k->kind == KIND_TEXTS && i < *n; i++)
                free(((char **)owned)[i]);
        free(owned);
        memset(slot, 0, sizeof owned);
        if (kinds[k->kind].form == FORM_LIST)
                *n = 0;
}

static int parse_word(const ConfigKey *k, const char *text, uint64_t *ret) {
        for (unsigned i = 0; i < k->words->n; i++)
                if (streq(text, k->words->word(i))) {
                        *ret = i;
                        return 0;
                }
        return -EINVAL;
}

static int parse_text(const ConfigKey *k, const char *text, Value *ret, const char **why) {
        uint64_t ignored;
        int r = 0;

        if (k->kind == KIND_WORD)
                r = parse_word(k, text, &ignored);
        else if (kinds[k->kind].check)
                r = kinds[k->kind].check(text, why);
        if (r < 0)
                return -EINVAL;
        ret->text = strdup(text);
        return ret->text ? 0 : -ENOMEM;
}

/* From the text of the file, of a default or of a limit. */
static int parse_value(const ConfigKey *k, const char *text, Value *ret, const char **why) {
        switch (kinds[k->kind].form) {
        case FORM_TEXT:
                return parse_text(k, text, ret, why);
        case FORM_DURATION:
                return usec_parse(text, &ret->duration);
        case FORM_INTEGER:
                if (k->kind == KIND_ENUM)
                        return parse_word(k, text, &ret->integer);
                if (k->kind == KIND_CONNECTION)
                        return config_parse_connection(text, &ret->integer, why);
                if (k->kind == KIND_BYTES)
                        return number_parse_bytes(text, &ret->integer);
                return number_parse_u64(text, strlen(text), &ret->integer);
        case FORM_NUMBER:
                if (k->kind == KIND_PERCENT)
                        return number_parse_percent(text, &ret->number);
                return number_parse_double(text, strlen(text), &ret->number);
        case FORM_BOOL:
                ret->truth = streq(text, "true");
                return 0;
        case FORM_LIMIT:
                return config_parse_limit(text, &ret->limit, why);
        case FORM_NONE:
        case FORM_LIST:
                break;
        }
        return -EINVAL;
}

/* What minimum and maximum are compared with. */
static double measure(const ConfigKey *k, const Value *v) {
        switch (kinds[k->kind].form) {
        case FORM_TEXT:
                return (double)strlen(v->text);
        case FORM_DURATION:
                return (double)v->duration;
        case FORM_INTEGER:
                return (double)v->integer;
        case FORM_NUMBER:
                return v->number;
        case FORM_LIMIT:
        case FORM_BOOL:
        case FORM_NONE:
        case FORM_LIST:
                break;
        }
        return 0;
}

static double bound(const ConfigKey *k, const char *text) {
        ConfigForm form = kinds[k->kind].form;
        Value v = { 0 };
        uint64_t count = 0;
        const char *why;
        int r;

        if (form == FORM_TEXT || form == FORM_LIST) {
                r = number_parse_u64(text, strlen(text), &count);
                assert(r >= 0);
                return (double)count;
        }
        r = parse_value(k, text, &v, &why);
        assert(r >= 0);
        return measure(k, &v);
}

/* `shown`: the value as the message names it. */
static int check_range(const ConfigKey *k, double value, const char *shown, StrBuf *error) {
        bool low = k->minimum && value < bound(k, k->minimum),
             high = k->maximum && value > bound(k, k->maximum);
        ConfigForm form = kinds[k->kind].form;

        if (!low && !high)
                return 0;
        strbuf_add(error, shown);
        strbuf_add(error, low ? " is too small; write at least " : " is too large; write at most ");
        strbuf_add(error, low ? k->minimum : k->maximum);
        strbuf_add(error, form == FORM_TEXT ? " in bytes" : form == FORM_LIST ? " in number" : "");
        return -EINVAL;
}

static void store(const ConfigKey *k, const Value *v, void *base) {
        char *slot = (char *)base + k->offset;
        uint32_t narrow = (uint32_t)v->integer;
        uint8_t byte = (uint8_t)v->integer;

        switch (kinds[k->kind].form) {
        case FORM_TEXT:
                free(*(char **)slot);
                *(char **)slot = v->text;
                return;
        case FORM_INTEGER:
                if (k->size == sizeof byte)
                        memcpy(slot, &byte, sizeof byte);
                else if (k->size == sizeof narrow)
                        memcpy(slot, &narrow, sizeof narrow);
                else
                        memcpy(slot, &v->integer, sizeof v->integer);
                return;
        case FORM_DURATION:
        case FORM_NUMBER:
        case FORM_BOOL:
        case FORM_LIMIT:
                memcpy(slot, v, k->size);
                return;
        case FORM_NONE:
        case FORM_LIST:
                break;
        }
}

static int copy_text(const char *text, char **ret, const char **why) {
        if (strlen(text) > CONFIG_LISTED_TEXT_MAX) {
                *why = "is longer than 4096 bytes; write a shorter one";
                return -EINVAL;
        }
        *ret = strdup(text);
        return *ret ? 0 : -ENOMEM;
}

static int parse_entry(const ConfigKey *k, const char *text, void *entry, const char **why) {
        if (k->kind == KIND_TARGETS)
                return config_parse_target(text, entry, why);
        if (k->kind == KIND_UNITS)
                return config_parse_unit(text, entry, why);
        if (k->kind == KIND_TEXTS)
                return copy_text(text, entry, why);
        return config_parse_status(text, entry, why);
}

static int add_reason(const ConfigKey *k, const char *shown, const char *why, StrBuf *error) {
        /* The selector parser names what it expected, not what to write. */
        bool expected = why && k->kind == KIND_SELECTOR;

        strbuf_add(error, shown);
        strbuf_add(error, expected ? ": " : " ");
        strbuf_add(error, why ?: "is not understood");
        if (why && !expected)
                return -EINVAL;
        strbuf_add(error, "; write ");
        config_value_add_wanted(k, error);
        return -EINVAL;
}

static const char *reason(int r, const char *why) {
        return r == -ERANGE ? "is too large; write a smaller one" : why;
}

static int refuse_type(const ConfigKey *k, const ConfigNode *n, StrBuf *error) {
        strbuf_add(error, "is ");
        strbuf_add(error, config_type_words(config_node_type(n)));
        strbuf_add(error, "; write ");
        config_value_add_wanted(k, error);
        return -EINVAL;
}

static int read_list(const ConfigKey *k, const ConfigNode *n, void *base, StrBuf *error) {
        size_t length = config_node_length(n);
        STRBUF(shown, 4 * SHOWN_MAX + 64);
        char *array;
        int r;

        strbuf_add(&shown, "a list of ");
        strbuf_add_u64(&shown, length);
        r = check_range(k, (double)length, shown.text, error);
        if (r < 0)
                return r;
        config_value_free(k, base);
        array = calloc(length, k->element);
        if (!array)
                return -ENOMEM;
        *(void **)((char *)base + k->offset) = array;
        for (size_t i = 0; i < length; i++) {
                const ConfigNode *entry = config_node_at(n, i);
                const char *why = NULL;

                if (config_node_type(entry) != CONFIG_TEXT)
                        return refuse_type(k, entry, error);
                r = parse_entry(k, config_node_text(entry), array + i * k->element, &why);
                if (r == -ENOMEM)
                        return r;
                strbuf_init(&shown, shown_storage, sizeof shown_storage);
                config_add_shown(&shown, config_node_text(entry));
                if (r < 0)
                        return add_reason(k, shown.text, why, error);
                *(size_t *)((char *)base + k->offset_n) = i + 1;
        }
        return 0;
}

/* The node's value as text, and as a message shows it. */
static const char *node_text(const ConfigNode *n, StrBuf *storage, StrBuf *shown) {
        const char *text = storage->text;

        switch (config_node_type(n)) {
        case CONFIG_TEXT:
                text = config_node_text(n);
                config_add_shown(shown, text);
                return text;
        case CONFIG_INTEGER:
                strbuf_add_i64(storage, config_node_integer(n));
                break;
        case CONFIG_FLOAT:
                config_add_number(storage, config_node_float(n));
                break;
        case CONFIG_BOOL:
                strbuf_add(storage, config_node_bool(n) ? "true" : "false");
                break;
        case CONFIG_GROUP:
        case CONFIG_LIST:
                break;
        }
        strbuf_add(shown, text);
        return text;
}

static bool takes_type(const ConfigKey *k, ConfigType t) {
        return t == kinds[k->kind].node || (k->kind == KIND_NUMBER && t == CONFIG_INTEGER);
}

int config_value_read(const ConfigKey *k, const ConfigNode *n, void *base, StrBuf *reterr) {
        STRBUF(storage, 64);
        STRBUF(shown, 4 * SHOWN_MAX + 64);
        const char *text, *why = NULL;
        Value v = { 0 };
        int r;

        if (!takes_type(k, config_node_type(n)))
                return refuse_type(k, n, reterr);
        if (kinds[k->kind].form == FORM_LIST)
                return read_list(k, n, base, reterr);
        text = node_text(n, &storage, &shown);
        /* A float keeps all its digits; its text is only shown. */
        if (config_node_type(n) == CONFIG_FLOAT)
                v.number = config_node_float(n);
        else {
                r = parse_value(k, text, &v, &why);
                if (r == -ENOMEM)
                        return r;
                if (r < 0)
                        return add_reason(k, k->kind == KIND_CONNINFO ? "the text" : shown.text,
                                          reason(r, why), reterr);
        }
        r = check_range(k, measure(k, &v), shown.text, reterr);
        if (r < 0 && kinds[k->kind].form == FORM_TEXT)
                free(v.text);
        if (r < 0)
                return r;
        store(k, &v, base);
        return 0;
}

static int default_list(const ConfigKey *k, void *base) {
        void *entry = calloc(1, k->element);
        const char *why;
        int r;

        if (!entry)
                return -ENOMEM;
        r = parse_entry(k, k->fallback, entry, &why);
        assert(r != -EINVAL);
        memcpy((char *)base + k->offset, &entry, sizeof entry);
        *(size_t *)((char *)base + k->offset_n) = 1;
        return r;
}

int config_value_default(const ConfigKey *k, void *base) {
        ConfigForm form = kinds[k->kind].form;
        Value v = { 0 };
        const char *why;
        int r;

        if (!k->fallback && form == FORM_LIMIT)
                v.limit.value = NAN;
        else if (!k->fallback && form == FORM_NUMBER)
                v.number = NAN;
        else if (!k->fallback || form == FORM_NONE)
                return 0;
        else if (form == FORM_LIST)
                return default_list(k, base);
        else {
                r = parse_value(k, k->fallback, &v, &why);
                assert(r != -EINVAL && r != -ERANGE);
                if (r < 0)
                        return r;
        }
        store(k, &v, base);
        return 0;
}
