/* Files as wholes: what is dumped reads back, directories, rollbackd.conf, secrets, and the
 * examples that we install. */
#include <errno.h>

#include "config_schema.h"
#include "config_support.h"

#define PROBES "probes = { p = { kind = \"tcp\"; targets = [ \"h:1\" ]; }; };\n"

static char *read_whole(const char *path) {
        FILE *f = fopen(path, "r");
        char *text = calloc(1, CONFIG_FILE_MAX);

        assert_non_null(f);
        assert_non_null(text);
        assert_true(fread(text, 1, CONFIG_FILE_MAX - 1, f) > 0);
        assert_int_equal(fclose(f), 0);
        return text;
}

static ServiceConfig *take_service(const char *text) {
        ServiceConfig *c = NULL;

        assert_string_equal(support_mistakes(text, &c), "");
        assert_non_null(c);
        return c;
}

/* The mistakes of a rollbackd.conf without the path; "" and a value without any. */
static const char *daemon_mistakes(const char *text, DaemonConfig **ret) {
        StrBuf error;

        strbuf_init(&error, support_error, sizeof support_error);
        support_write("f", text);
        if (config_read_daemon(support_path("f"), ret, &error) == 0)
                assert_string_equal(error.text, "");
        else
                assert_true(error.length > strlen(support_path("f")));
        support_remove("f");
        return error.length > 0 ? error.text + strlen(support_path("f")) : "";
}

static const char *daemon_refused(const char *text) {
        DaemonConfig *c = NULL;
        const char *mistakes = daemon_mistakes(text, &c);

        assert_null(c);
        return mistakes;
}

static char *dump_again(const ServiceConfig *c) {
        _cleanup_(freep) char *text = config_dump_service(c);

        assert_non_null(text);
        return TAKE_PTR(text);
}

static void assert_same_policy(const Policy *a, const Policy *b) {
        assert_int_equal(a->n_probes, b->n_probes);
        assert_int_equal(a->n_signals, b->n_signals);
        assert_int_equal(a->n_rules, b->n_rules);
        for (size_t i = 0; i < a->n_probes; i++)
                assert_true(a->probes[i].identity == b->probes[i].identity &&
                            a->probes[i].interval == b->probes[i].interval);
        for (size_t i = 0; i < a->n_rules; i++) {
                const RulePolicy *x = &a->rules[i], *y = &b->rules[i];

                assert_true(x->identity == y->identity && x->kind == y->kind &&
                            x->response == y->response && x->hold == y->hold);
                assert_true(x->enter == y->enter && x->leave == y->leave &&
                            x->at_least == y->at_least && x->over == y->over);
                assert_true(x->dispersion == y->dispersion && x->min_samples == y->min_samples &&
                            x->min_bad == y->min_bad);
        }
        assert_memory_equal(&a->release, &b->release, sizeof a->release);
        assert_true(a->rollback.mode == b->rollback.mode &&
                    a->rollback.strategy == b->rollback.strategy);
        assert_true(a->unknown_after == b->unknown_after);
}

static void what_is_dumped_reads_back_as_the_same(_unused_ void **state) {
        static const char *const extras[] = {
                "",
                "# \n",
                "unknown_after = \"90s\"; release = { warmup = \"0s\"; watch = \"36h\"; };",
        };
        _cleanup_(freep) char *example = read_whole("etc/policies.d/users-api.conf.example");

        for (size_t i = 0; i < ELEMENTSOF(extras) + 1; i++) {
                _cleanup_(freep) char *text = NULL;

                if (i == ELEMENTSOF(extras))
                        assert_true(asprintf(&text, "%s", example) > 0);
                else
                        assert_true(asprintf(&text, "service = \"s\";\n" PROBES "%s", extras[i]) >
                                    0);
                _cleanup_(service_config_freep) ServiceConfig *a = take_service(text);
                _cleanup_(freep) char *first = dump_again(a);
                _cleanup_(service_config_freep) ServiceConfig *b = take_service(first);
                _cleanup_(freep) char *second = dump_again(b);

                assert_string_equal(strchr(first, '\n'), strchr(second, '\n'));
                assert_same_policy(&a->policy, &b->policy);
        }
}

static void odd_texts_and_numbers_survive_the_dump(_unused_ void **state) {
        static const char text[] =
                "service = \"s\";\n"
                "probes = { p = { kind = \"http\"; targets = [ \"http://h/\" ]; max_body = "
                "\"1500B\"; interval = \"1500us\"; timeout = \"1ms\";\n"
                "  expect = { body = \"a\\\"b\\\\c\\n\\t\\x7f\xc3\xa9\"; status = [ \"200\", "
                "\"300-399\" ]; }; }; };\n"
                "signals = { u = { kind = \"availability\"; probe = \"p\"; }; };\n"
                "release = { bake = { time = \"1h1m1s\"; }; };\n"
                "rules = ( { name = \"r\"; kind = \"threshold\"; signal = \"u\"; enter = "
                "\"0.07%\"; leave = \"0.013%\"; dispersion = 1.25; min_bad = 0; },\n"
                "          { name = \"d\"; kind = \"down\"; probe = \"p\"; at_least = \"33.3%\"; "
                "hold = \"0s\"; } );\n"
                "rollback = { strategy = \"version\"; version = \"2.4.0+b1\"; cooldown = \"0s\"; "
                "budget = { per = \"1m\"; };\n"
                "  steps = ( { kind = \"sql\"; role = \"o\"; statement = \"SELECT 'it''s' "
                "\\\"x\\\" || E'\\\\n'\"; atomic = true; on_error = \"abort\"; },\n"
                "            { kind = \"session\"; generation = \"g\"; },\n"
                "            { kind = \"cache\"; store = \"postgres\"; role = \"o\"; table = "
                "\"a.b\"; key = \"k\"; prefix = \"p%_\\\\\"; delimiter = \"\"; batch = 5000; } ); "
                "};\n";
        char changed[sizeof text];
        char *interval;

        /* The interval is below its minimum as it stands: first the refusal, then a good one of the
         * same length. */
        assert_string_equal(
                support_refused(text),
                "f:2: probes.p.interval: \"1500us\" is too small; write at least 10ms\n");
        memcpy(changed, text, sizeof text);
        interval = strstr(changed, "\"1500us\"");
        memcpy(interval, "\"1500ms\"", strlen("\"1500ms\""));
        _cleanup_(service_config_freep) ServiceConfig *a = take_service(changed);
        _cleanup_(freep) char *first = dump_again(a);
        _cleanup_(service_config_freep) ServiceConfig *b = take_service(first);
        _cleanup_(freep) char *second = dump_again(b);

        assert_string_equal(strchr(first, '\n'), strchr(second, '\n'));
        assert_same_policy(&a->policy, &b->policy);
        assert_string_equal(b->probes[0].http.call.expect_body, "a\"b\\c\n\t\x7f\xc3\xa9");
        assert_int_equal(b->probes[0].max_body, 1500);
        assert_int_equal(b->probes[0].http.call.status[1].high, 399);
        assert_string_equal(b->steps[0].statement, "SELECT 'it''s' \"x\" || E'\\n'");
        assert_true(b->steps[0].atomic && b->steps[0].abort_on_error);
        assert_string_equal(b->steps[1].generation, "g");
        assert_int_equal(b->steps[1].batch, 0);
        assert_string_equal(b->steps[2].prefix, "p%_\\");
        assert_string_equal(b->steps[2].delimiter, "");
        assert_string_equal(b->policy.rollback.version, "2.4.0+b1");
        assert_true(b->policy.rules[0].enter > 0.000699 && b->policy.rules[0].enter < 0.000701);
}

static void the_hash_is_of_the_text(_unused_ void **state) {
        _cleanup_(service_config_freep)
                ServiceConfig *a = take_service("service = \"s\";\n" PROBES);
        _cleanup_(service_config_freep)
                ServiceConfig *b = take_service("service = \"s\"; \n" PROBES);

        assert_int_equal(strlen(a->hash), 64);
        assert_ptr_equal(a->policy.hash, a->hash);
        assert_string_not_equal(a->hash, b->hash);
}

static void the_daemons_file_has_defaults_for_all(_unused_ void **state) {
        _cleanup_(daemon_config_freep) DaemonConfig *c = NULL;
        _cleanup_(daemon_config_freep) DaemonConfig *again = NULL;
        _cleanup_(freep) char *dump = NULL;

        assert_string_equal(daemon_mistakes("", &c), "");
        assert_null(c->conninfo);
        assert_null(c->password_file);
        assert_string_equal(c->socket, "/run/rollbackd/rollbackd.sock");
        assert_string_equal(c->listen, "127.0.0.1:7331");
        assert_string_equal(c->policies, "/etc/rollbackd/policies.d");
        assert_string_equal(c->secrets, "/etc/rollbackd/secrets");
        assert_int_equal(c->retention, 400 * USEC_PER_DAY);
        assert_int_equal(c->n_alerts, 0);
        dump = config_dump_daemon(c);
        assert_string_equal(daemon_mistakes(dump, &again), "");
        assert_string_equal(again->listen, c->listen);
        assert_int_equal(again->retention, c->retention);
}

static void port_0_is_the_kernels_choice_for_listening(_unused_ void **state) {
        static const char *const good[] = { "127.0.0.1:0", "[::1]:0", "[::1]:7331", "" };

        for (size_t i = 0; i < ELEMENTSOF(good); i++) {
                _cleanup_(daemon_config_freep) DaemonConfig *c = NULL;
                char text[128];

                (void)snprintf(text, sizeof text, "http = { listen = \"%s\"; };", good[i]);
                assert_string_equal(daemon_mistakes(text, &c), "");
                assert_string_equal(c->listen, good[i]);
        }
}

static void the_daemons_file_is_refused_for_its_mistakes(_unused_ void **state) {
        static const struct {
                const char *text, *mistakes;
        } cases[] = {
                { "http = { listen = \"0.0.0.0:7331\"; };",
                  ":1: http.listen: \"0.0.0.0:7331\" is no loopback address; write 127.0.0.1 or "
                  "[::1], and let a TLS proxy of yours serve others\n" },
                { "http = { listen = \"\"; socket = \"\"; };",
                  ":1: http.socket: and http.listen are both empty, so that nobody could ask "
                  "anything; write at least one\n" },
                { "\nledger = { password_file = \"x\"; };",
                  ":2: ledger.password_file: is given without ledger.conninfo; write both, or "
                  "none\n" },
                { "alerts = ( { kind = \"webhook\"; url = \"http://h/\"; }, { kind = \"webhook\"; "
                  "url = \"http://h/\"; } );",
                  ":1: alerts: 2 entries are too many; write at most 1\n" },
                { "alerts = ( { kind = \"webhook\"; url = \"https://u:secret@h/\"; } );",
                  ":1: alerts[0].url: \"https://***@h/\" names a user; write the URL without "
                  "user and password\n" },
                { "limits = { };", ":1: limits: unknown key; write one of ledger, http, alerts, "
                                   "policies, secrets, retention\n" },
                { "retention = \"29d\";",
                  ":1: retention: \"29d\" is too small; write at least 30d\n" },
                { "retention = \"3651d\";",
                  ":1: retention: \"3651d\" is too large; write at most 3650d\n" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_string_equal(daemon_refused(cases[i].text), cases[i].mistakes);
}

static void a_password_in_the_conninfo_is_refused_and_not_repeated(_unused_ void **state) {
        static const char *const bad[] = {
                "host=h password=hunter2",           "password = 'hunter2'",
                "host=h sslpassword=hunter2",        "postgresql://u:hunter2@h/d",
                "postgres://u@h/d?password=hunter2", "postgresql://h/d?pass%77ord=hunter2",
                "postgresql://:hunter2@/d",
        };
        static const char *const good[] = { "service=rollbackd",
                                            "host=/run/postgresql dbname=password",
                                            "postgresql://u@h:5432/d",
                                            "postgresql://[::1]:5432/d?connect_timeout=3" };
        char text[256];

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                (void)snprintf(text, sizeof text, "ledger = { conninfo = \"%s\"; };", bad[i]);
                assert_string_equal(
                        daemon_refused(text),
                        ":1: ledger.conninfo: the text may contain a password (its text is not "
                        "repeated here);"
                        " write the password to a secret and name it in password_file\n");
        }
        for (size_t i = 0; i < ELEMENTSOF(good); i++) {
                _cleanup_(daemon_config_freep) DaemonConfig *c = NULL;

                (void)snprintf(text, sizeof text, "ledger = { conninfo = \"%s\"; };", good[i]);
                assert_string_equal(daemon_mistakes(text, &c), "");
                assert_string_equal(c->conninfo, good[i]);
        }
}

static void a_directory_is_read_in_order_and_file_by_file(_unused_ void **state) {
        static const char *const names[] = { "a.conf",       "B.conf",         "b.conf", "c.conf",
                                             ".hidden.conf", "d.conf.example", "e",      ".conf" };
        STRBUF(error, 1024);
        PolicyFile *files = NULL;
        size_t n = 0;

        support_write("a.conf", "service = \"one\";\n" PROBES);
        support_write("B.conf", "service = \"two\"; oops = 1;\n" PROBES);
        support_write("b.conf", "service = \"one\";\n" PROBES);
        support_write("c.conf", "service = ");
        for (size_t i = 4; i < ELEMENTSOF(names); i++)
                support_write(names[i], "nonsense");
        assert_int_equal(config_read_directory(support_directory, &files, &n, &error), 0);
        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                support_remove(names[i]);

        assert_int_equal(n, 4);
        assert_string_equal(strrchr(files[0].path, '/'), "/B.conf");
        assert_string_equal(files[0].service, "two");
        assert_null(files[0].config);
        assert_non_null(strstr(files[0].error, "/B.conf:1: oops: unknown key"));
        assert_string_equal(strrchr(files[1].path, '/'), "/a.conf");
        assert_string_equal(files[1].service, "one");
        assert_non_null(files[1].config);
        assert_null(files[1].error);
        assert_null(files[2].config);
        assert_non_null(strstr(files[2].error, "/b.conf:1: service: \"one\" has its policy in "));
        assert_non_null(strstr(files[2].error, "/a.conf already; remove one of the two files\n"));
        assert_null(files[3].service);
        assert_null(files[3].config);
        assert_non_null(strstr(files[3].error, "/c.conf:1: syntax error"));
        policy_files_free(files, n);
}

static void a_missing_directory_says_what_to_do(_unused_ void **state) {
        STRBUF(error, 1024);
        PolicyFile *files = NULL;
        size_t n = 0;

        assert_int_equal(config_read_directory(support_path("none"), &files, &n, &error), -ENOENT);
        assert_non_null(strstr(error.text, "/none: there is no such directory; create it, or "
                                           "correct `policies` in rollbackd.conf"));
}

static int secret(const char *name, char **ret, StrBuf *error) {
        return config_read_secret(support_directory, name, ret, error);
}

static void a_secret_is_read_without_its_last_newline(_unused_ void **state) {
        _cleanup_(freep) char *one = NULL, *two = NULL;
        STRBUF(error, 1024);

        support_write_n("one", "hunter2\n", 8, 0640);
        support_write_n("two", "a\n\n", 3, 0600);
        assert_int_equal(secret("one", &one, &error), 0);
        assert_string_equal(one, "hunter2");
        assert_int_equal(secret("two", &two, &error), 0);
        assert_string_equal(two, "a\n");
        support_remove("one");
        support_remove("two");
}

static void a_secret_that_others_may_read_is_refused(_unused_ void **state) {
        static const struct {
                const char *text;
                size_t n;
                mode_t mode;
                int error;
                const char *words;
        } cases[] = {
                { "hunter2", 7, 0644, -EPERM,
                  "may be read or written by others; type: chmod o-rwx FILE" },
                { "hunter2", 7, 0642, -EPERM,
                  "may be read or written by others; type: chmod o-rwx FILE" },
                { "", 0, 0640, -ENODATA, "is empty; write the secret into it" },
                { "\n", 1, 0640, -ENODATA, "is empty; write the secret into it" },
                { "hunt\0r2", 7, 0640, -EBADMSG, "has a NUL byte; write the secret as text" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char *text = NULL;
                STRBUF(error, 1024);

                support_write_n("x", cases[i].text, cases[i].n, cases[i].mode);
                assert_int_equal(secret("x", &text, &error), cases[i].error);
                support_remove("x");
                assert_null(text);
                assert_non_null(strstr(error.text, cases[i].words));
                assert_null(strstr(error.text, "hunter2"));
        }
}

static void a_secret_that_is_too_large_or_not_there_is_refused(_unused_ void **state) {
        _cleanup_(freep) char *large = calloc(1, CONFIG_SECRET_MAX + 2), *text = NULL;
        STRBUF(error, 4096);

        assert_non_null(large);
        memset(large, 'x', CONFIG_SECRET_MAX + 1);
        support_write_n("x", large, CONFIG_SECRET_MAX + 1, 0640);
        assert_int_equal(secret("x", &text, &error), -EFBIG);
        support_write_n("x", large, CONFIG_SECRET_MAX, 0640);
        assert_int_equal(secret("x", &text, &error), 0);
        assert_int_equal(strlen(text), CONFIG_SECRET_MAX);
        support_remove("x");
        assert_int_equal(secret("x", &text, &error), -ENOENT);
        assert_int_equal(secret("../x", &text, &error), -EINVAL);
        assert_int_equal(config_read_secret("/", "etc", &text, &error), -EINVAL);
}

static void a_credential_comes_before_the_secrets_directory(_unused_ void **state) {
        _cleanup_(freep) char *text = NULL, *other = NULL;
        char credentials[128];
        STRBUF(error, 1024);

        (void)snprintf(credentials, sizeof credentials, "%s/credentials", support_directory);
        assert_int_equal(mkdir(credentials, 0700), 0);
        assert_int_equal(setenv("CREDENTIALS_DIRECTORY", credentials, 1), 0);
        support_write_n("x", "directory", 9, 0640);
        support_write_n("y", "directory", 9, 0640);
        support_write_n("credentials/x", "credential", 10, 0400);
        assert_int_equal(secret("x", &text, &error), 0);
        assert_int_equal(secret("y", &other, &error), 0);
        assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
        assert_string_equal(text, "credential");
        assert_string_equal(other, "directory");
        support_remove("credentials/x");
        support_remove("x");
        support_remove("y");
        assert_int_equal(rmdir(credentials), 0);
}

/* True when the text has the key as a word with " =" behind it. */
static bool shows(const char *text, const char *key) {
        size_t n = strlen(key);

        for (const char *p = strstr(text, key); p; p = strstr(p + 1, key))
                if ((p == text || strchr(" \n{", p[-1])) && strncmp(p + n, " =", 2) == 0)
                        return true;
        return false;
}

static void the_installed_examples_are_valid_and_show_every_key(_unused_ void **state) {
        _cleanup_(freep) char *policy = read_whole("etc/policies.d/users-api.conf.example"),
                              *kinds = read_whole("etc/policies.d/every-kind.conf.example"),
                              *conf = read_whole("etc/rollbackd.conf");
        _cleanup_(service_config_freep) ServiceConfig *service = take_service(policy),
                                                      *every_kind = take_service(kinds);
        _cleanup_(daemon_config_freep) DaemonConfig *c = NULL, *bare = NULL;
        _cleanup_(freep) char *dump = NULL, *bare_dump = NULL;

        assert_string_equal(service->service, "users-api");
        assert_string_equal(every_kind->service, "every-kind");
        assert_string_equal(daemon_mistakes(conf, &c), "");
        assert_string_equal(daemon_mistakes("", &bare), "");
        dump = config_dump_daemon(c);
        bare_dump = config_dump_daemon(bare);
        assert_string_equal(dump, bare_dump);
        CONFIG_SCHEMA_FOREACH (k) {
                ConfigSection s = k->section;
                bool daemons = s == SECTION_DAEMON || s == SECTION_LEDGER || s == SECTION_HTTP;

                if (daemons ? !shows(conf, k->key) :
                              !shows(policy, k->key) && !shows(kinds, k->key))
                        fail_msg("no example of %s.%s", config_section_path(s), k->key);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_dumped_reads_back_as_the_same),
                cmocka_unit_test(odd_texts_and_numbers_survive_the_dump),
                cmocka_unit_test(the_hash_is_of_the_text),
                cmocka_unit_test(the_daemons_file_has_defaults_for_all),
                cmocka_unit_test(port_0_is_the_kernels_choice_for_listening),
                cmocka_unit_test(the_daemons_file_is_refused_for_its_mistakes),
                cmocka_unit_test(a_password_in_the_conninfo_is_refused_and_not_repeated),
                cmocka_unit_test(a_directory_is_read_in_order_and_file_by_file),
                cmocka_unit_test(a_missing_directory_says_what_to_do),
                cmocka_unit_test(a_secret_is_read_without_its_last_newline),
                cmocka_unit_test(a_secret_that_others_may_read_is_refused),
                cmocka_unit_test(a_secret_that_is_too_large_or_not_there_is_refused),
                cmocka_unit_test(a_credential_comes_before_the_secrets_directory),
                cmocka_unit_test(the_installed_examples_are_valid_and_show_every_key),
        };

        return cmocka_run_group_tests(tests, support_set_up, support_tear_down);
}
