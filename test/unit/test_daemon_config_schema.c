/* Every row of the schema, with every mistake that its kind allows, against the message that the
 * row itself promises. */
#include "config_draft.h"
#include "config_support.h"
#include "number.h"

static bool is_daemon(ConfigSection section) {
        return section == SECTION_DAEMON || section == SECTION_LEDGER || section == SECTION_HTTP;
}

static const char *prefix_of(ConfigSection section) {
        static const char *const prefixes[_SECTION_MAX] = {
                [SECTION_SERVICE] = "",
                [SECTION_RELEASE] = "release.",
                [SECTION_BAKE] = "release.bake.",
                [SECTION_PROBE] = "probes.p.",
                [SECTION_EXPECT] = "probes.p.expect.",
                [SECTION_TLS] = "probes.p.tls.",
                [SECTION_VALUE] = "probes.p.expect.values[0].",
                [SECTION_REQUEST_HEADER] = "probes.p.headers[0].",
                [SECTION_EXPECT_HEADER] = "probes.p.expect.headers[0].",
                [SECTION_EXPECT_JSON] = "probes.p.expect.json[0].",
                [SECTION_HTTP_STEP] = "probes.p.steps[0].",
                [SECTION_HTTP_STEP_EXPECT] = "probes.p.steps[0].expect.",
                [SECTION_TAKE] = "probes.p.steps[0].take[0].",
                [SECTION_SIGNAL] = "signals.s.",
                [SECTION_RULE] = "rules[0].",
                [SECTION_ROLLBACK] = "rollback.",
                [SECTION_BUDGET] = "rollback.budget.",
                [SECTION_STEP] = "rollback.steps[0].",
                [SECTION_CHANNEL] = "notify[0].",
                [SECTION_DAEMON] = "",
                [SECTION_LEDGER] = "ledger.",
                [SECTION_HTTP] = "http.",
        };
        return prefixes[section];
}

static char draft_storage[512 * 1024];
static unsigned n_mistakes;

static int read_draft(Draft *d, StrBuf *error) {
        ServiceConfig *service = NULL;
        DaemonConfig *daemon_config = NULL;
        StrBuf text;
        int r;

        strbuf_init(&text, draft_storage, sizeof draft_storage);
        d->b = &text;
        d->line = 1;
        if (is_daemon(d->section))
                write_daemon(d);
        else
                write_service(d);
        assert_false(text.overflow);
        support_write("f", text.text);
        if (is_daemon(d->section))
                r = config_read_daemon(support_path("f"), &daemon_config, error);
        else
                r = config_read_service(support_path("f"), &service, error);
        support_remove("f");
        (void)service_config_free(service);
        (void)daemon_config_free(daemon_config);
        return r;
}

/* The file must be refused with exactly this mistake; as a group, first of all with it. */
static void expect_mistake(Draft *d, const char *words, bool alone) {
        StrBuf error;
        _cleanup_(freep) char *expected = NULL;
        int r;

        strbuf_init(&error, support_error, sizeof support_error);
        r = read_draft(d, &error);
        assert_true(asprintf(&expected, "%s:%u: %s%s: %s\n", support_path("f"),
                             d->value ? d->key_line : d->group_line, prefix_of(d->section), d->key,
                             words) > 0);
        if (!alone && strlen(error.text) > strlen(expected))
                error.text[strlen(expected)] = '\0';
        assert_string_equal(error.text, expected);
        assert_int_equal(r, -22);
        n_mistakes++;
}

static Draft draft(const ConfigKey *k, const char *value) {
        Draft d = { .section = k->section, .key = k->key, .value = value };
        const ConfigWords *kinds = config_section_kinds(k->section);

        if (kinds)
                d.kind = kinds->word(k->kinds ? (unsigned)__builtin_ctz(k->kinds) : 0);
        return d;
}

static bool is_group(const ConfigKey *k) {
        return config_value_form(k) == FORM_NONE;
}

static void every_key_refuses_a_value_of_another_type(_unused_ void **state) {
        CONFIG_SCHEMA_FOREACH (k) {
                bool number = k->kind == KIND_INTEGER || k->kind == KIND_NUMBER;
                Draft d = draft(k, number ? "\"7\"" : "7");
                STRBUF(words, 1024);

                strbuf_add(&words, number ? "is a text; write " : "is a whole number; write ");
                config_value_add_wanted(k, &words);
                expect_mistake(&d, words.text, !is_group(k));
        }
}

static void every_key_refuses_a_value_that_is_none(_unused_ void **state) {
        static const struct {
                ConfigKind kind;
                const char *text;
        } cases[] = {
                { KIND_DURATION, "30" },
                { KIND_DURATION, "30 s" },
                { KIND_DURATION, "-1s" },
                { KIND_DURATION, "1w" },
                { KIND_DURATION, "" },
                { KIND_PERCENT, "50" },
                { KIND_PERCENT, "5 %" },
                { KIND_PERCENT, "-5%" },
                { KIND_BYTES, "5000" },
                { KIND_BYTES, "5MB" },
                { KIND_BYTES, "5m" },
                { KIND_ENUM, "nonsense" },
                { KIND_ENUM, "" },
                { KIND_WORD, "nonsense" },
                { KIND_NAME, "-x" },
                { KIND_NAME, "" },
                { KIND_NAME, "a b" },
                { KIND_NAME, "a/b" },
                { KIND_IDENTIFIER, "a-b" },
                { KIND_IDENTIFIER, "1a" },
                { KIND_IDENTIFIER, "a\\\"b" },
                { KIND_TABLE, "a.b.c" },
                { KIND_TABLE, "a b" },
                { KIND_TABLE, ".a" },
                { KIND_HEADER, "X Version" },
                { KIND_HEADER, "X:" },
                { KIND_POINTER, "version" },
                { KIND_POINTER, "/a~2" },
                { KIND_LABEL, "version" },
                { KIND_LIMIT, "5" },
                { KIND_LIMIT, "5/m" },
                { KIND_LIMIT, "/s" },
                { KIND_LIMIT, "NaN/s" },
                { KIND_LIMIT, "-1/s" },
                { KIND_URL, "ftp://x/" },
                { KIND_URL, "https://" },
                { KIND_URL, "https://x:99999/" },
                { KIND_URL, "https://x:0/" },
                { KIND_LISTEN, "127.0.0.1" },
                { KIND_LISTEN, "127.0.0.1:" },
                { KIND_LISTEN, "127.0.0.1:80:0" },
                { KIND_LISTEN, "7331" },
                { KIND_PATH, "relative" },
                { KIND_PATH, "" },
                { KIND_SOCKET, "relative" },
                { KIND_SECRET, "a/b" },
                { KIND_SECRET, ".." },
                { KIND_SECRET, "" },
                { KIND_CGROUP, "" },
                { KIND_CGROUP, "/system.slice" },
                { KIND_CGROUP, "system.slice/../a" },
                { KIND_CGROUP, "system.slice/" },
        };

        CONFIG_SCHEMA_FOREACH (k) {
                for (size_t j = 0; j < ELEMENTSOF(cases); j++) {
                        STRBUF(value, 64);
                        STRBUF(words, 1024);
                        Draft d = draft(k, value_storage);

                        if (cases[j].kind != k->kind)
                                continue;
                        strbuf_add_char(&value, '"');
                        strbuf_add(&value, cases[j].text);
                        strbuf_add_char(&value, '"');
                        config_add_shown(&words,
                                         streq(cases[j].text, "a\\\"b") ? "a\"b" : cases[j].text);
                        strbuf_add(&words, " is not understood; write ");
                        config_value_add_wanted(k, &words);
                        expect_mistake(&d, words.text, true);
                }
        }
}

static void every_list_names_its_bad_entry(_unused_ void **state) {
        static const struct {
                ConfigKind kind;
                const char *text;
        } cases[] = {
                { KIND_TARGETS, "http://" },     { KIND_TARGETS, "10.0.0.1" },
                { KIND_TARGETS, "http://x:0/" }, { KIND_TARGETS, "http://[::1/" },
                { KIND_TARGETS, "tcp://x" },     { KIND_TARGETS, "" },
                { KIND_STATUSES, "20" },         { KIND_STATUSES, "299-200" },
                { KIND_STATUSES, "099" },        { KIND_STATUSES, "600" },
                { KIND_STATUSES, "200-29" },     { KIND_STATUSES, "2xx" },
                { KIND_UNITS, "a b.service" },   { KIND_UNITS, "" },
        };

        CONFIG_SCHEMA_FOREACH (k) {
                for (size_t j = 0; j < ELEMENTSOF(cases); j++) {
                        STRBUF(value, 64);
                        STRBUF(words, 1024);
                        Draft d = draft(k, value_storage);

                        if (cases[j].kind != k->kind)
                                continue;
                        strbuf_add(&value, "[ \"");
                        strbuf_add(&value, cases[j].text);
                        strbuf_add(&value, "\" ]");
                        config_add_shown(&words, cases[j].text);
                        strbuf_add(&words, " is not understood; write ");
                        config_value_add_wanted(k, &words);
                        expect_mistake(&d, words.text, true);
                }
        }
}

/* A value just beyond a limit, as the file writes it; false when the kind or its type allows none.
 */
static bool beyond(const ConfigKey *k, const char *limit, bool above, StrBuf *value) {
        ConfigForm form = config_value_form(k);
        bool quoted = form == FORM_DURATION || k->kind == KIND_BYTES || k->kind == KIND_PERCENT;
        uint64_t n = 0;

        if (!limit || is_group(k) || (!above && *limit == '0'))
                return false;
        strbuf_add(value, quoted ? "\"" : form == FORM_LIST ? "[ " : "");
        if (form == FORM_DURATION) {
                assert_int_equal(usec_parse(limit, &n), 0);
                strbuf_add_usec(value, above ? n + 1 : n - 1);
        } else if (k->kind == KIND_BYTES) {
                assert_int_equal(number_parse_bytes(limit, &n), 0);
                strbuf_add_u64(value, above ? n + 1 : n - 1);
                strbuf_add_char(value, 'B');
        } else if (k->kind == KIND_PERCENT) {
                assert_string_equal(limit, "1%");
                strbuf_add(value, "0.5%");
        } else {
                assert_int_equal(number_parse_u64(limit, strlen(limit), &n), 0);
                n += above ? 1 : -1;
                if (form == FORM_TEXT)
                        strbuf_add_char(value, '"');
                for (uint64_t i = 0; form == FORM_TEXT && i < n; i++)
                        strbuf_add_char(value, 'x');
                if (form == FORM_TEXT)
                        strbuf_add_char(value, '"');
                for (uint64_t i = 0; form == FORM_LIST && i < n; i++)
                        strbuf_add(value, i > 0 ? ", \"200\"" : "\"200\"");
                if (form != FORM_TEXT && form != FORM_LIST) {
                        strbuf_add_u64(value, n);
                        strbuf_add(value, n > INT32_MAX ? "L" : "");
                }
        }
        strbuf_add(value, quoted ? "\"" : form == FORM_LIST ? " ]" : "");
        assert_false(value->overflow);
        return true;
}

static void describe_beyond(const ConfigKey *k, const char *limit, bool above, const char *value,
                            StrBuf *words) {
        ConfigForm form = config_value_form(k);
        size_t n = strlen(value);

        if (form == FORM_LIST) {
                strbuf_add(words, "a list of ");
                strbuf_add_u64(words,
                               strtoull(limit, NULL, 10) + (above ? 1 : 0) - (above ? 0 : 1));
        } else if (form == FORM_TEXT) {
                /* Shown: the first 60 bytes. */
                strbuf_add_n(words, value, n > 62 ? 61 : n);
                strbuf_add(words, n > 62 ? "...\"" : "");
        } else {
                strbuf_add_n(words, value, n - (value[n - 1] == 'L' ? 1 : 0));
        }
        strbuf_add(words,
                   above ? " is too large; write at most " : " is too small; write at least ");
        strbuf_add(words, limit);
        strbuf_add(words, form == FORM_TEXT ? " in bytes" : form == FORM_LIST ? " in number" : "");
}

static void every_key_refuses_what_is_out_of_range(_unused_ void **state) {
        static char storage[256 * 1024];

        CONFIG_SCHEMA_FOREACH (k)
                for (unsigned above = 0; above <= 1; above++) {
                        const char *limit = above ? k->maximum : k->minimum;
                        STRBUF(words, 1024);
                        Draft d = draft(k, storage);
                        StrBuf value;

                        strbuf_init(&value, storage, sizeof storage);
                        if (!beyond(k, limit, above, &value))
                                continue;
                        describe_beyond(k, limit, above, storage, &words);
                        expect_mistake(&d, words.text, true);
                }
}

static void every_required_key_is_missed(_unused_ void **state) {
        CONFIG_SCHEMA_FOREACH (k) {
                Draft d = draft(k, NULL);
                STRBUF(words, 1024);

                if (!k->required)
                        continue;
                strbuf_add(&words, "is missing; write ");
                config_value_add_wanted(k, &words);
                expect_mistake(&d, words.text, !is_group(k));
        }
}

static void every_key_is_refused_under_a_kind_that_lacks_it(_unused_ void **state) {
        CONFIG_SCHEMA_FOREACH (k) {
                const ConfigWords *kinds = config_section_kinds(k->section);

                for (unsigned kind = 0; kinds && kind < kinds->n; kind++) {
                        Draft d = draft(k, "{ }");
                        STRBUF(words, 128);

                        if (config_schema_find(k->section, k->key, 1U << kind))
                                continue;
                        d.kind = kinds->word(kind);
                        strbuf_add(&words, "is no key of kind \"");
                        strbuf_add(&words, d.kind);
                        strbuf_add(&words, "\"; remove it");
                        expect_mistake(&d, words.text, true);
                }
        }
}

static void every_key_is_suggested_when_misspelt(_unused_ void **state) {
        CONFIG_SCHEMA_FOREACH (k) {
                char misspelt[64];
                STRBUF(words, 128);
                Draft d = draft(k, "7");

                (void)snprintf(misspelt, sizeof misspelt, "%c%s", k->key[0], k->key);
                d.key = misspelt;
                strbuf_add(&words, "unknown key; did you mean \"");
                strbuf_add(&words, k->key);
                strbuf_add(&words, "\"?");
                expect_mistake(&d, words.text, true);
        }
}

static void the_bare_drafts_are_valid(_unused_ void **state) {
        CONFIG_SCHEMA_FOREACH (k) {
                const ConfigWords *kinds = config_section_kinds(k->section);

                for (unsigned kind = 0; kind < (kinds ? kinds->n : 1); kind++) {
                        Draft d = { .section = k->section,
                                    .key = "",
                                    .kind = kinds ? kinds->word(kind) : NULL };
                        StrBuf error;

                        strbuf_init(&error, support_error, sizeof support_error);
                        assert_int_equal(read_draft(&d, &error), 0);
                        assert_string_equal(error.text, "");
                }
        }
}

/* The rows themselves: no key twice under one kind, a line of help each, defaults within their
 * limits. */
static void the_table_is_well_formed(_unused_ void **state) {
        size_t n = 0;

        CONFIG_SCHEMA_FOREACH (k) {
                assert_non_null(k->help);
                assert_true(strlen(k->help) > 5 && strlen(k->help) <= 100 &&
                            !strchr(k->help, '\n'));
                assert_false(k->required && k->fallback);
                assert_true((k->kind == KIND_ENUM || k->kind == KIND_WORD) == (k->words != NULL));
                n++;
                CONFIG_SCHEMA_FOREACH (other) {
                        if (other == k)
                                break;
                        assert_false(other->section == k->section && streq(other->key, k->key) &&
                                     (!k->kinds || !other->kinds || (k->kinds & other->kinds)));
                }
        }
        print_message("%zu keys, %u mistakes told as promised\n", n, n_mistakes);
        assert_true(n_mistakes > 300);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_bare_drafts_are_valid),
                cmocka_unit_test(every_key_refuses_a_value_of_another_type),
                cmocka_unit_test(every_key_refuses_a_value_that_is_none),
                cmocka_unit_test(every_list_names_its_bad_entry),
                cmocka_unit_test(every_key_refuses_what_is_out_of_range),
                cmocka_unit_test(every_required_key_is_missed),
                cmocka_unit_test(every_key_is_refused_under_a_kind_that_lacks_it),
                cmocka_unit_test(every_key_is_suggested_when_misspelt),
                cmocka_unit_test(the_table_is_well_formed),
        };

        return cmocka_run_group_tests(tests, support_set_up, support_tear_down);
}
