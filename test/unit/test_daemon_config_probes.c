/* Targets in all their forms, and what the keys of probes mean to each other, by the words of each
 * mistake. */
#include "config_support.h"

#define PROBE(keys) "service = \"s\";\nprobes = { p = { " keys " }; };\n"

static void mistakes_in_expectations_read_as_written_here(_unused_ void **state) {
        static const struct {
                const char *text, *mistakes;
        } cases[] = {
                { PROBE("kind = \"tcp\"; targets = [ \"h:1\" ]; timeout = \"1s\"; "
                        "expect = { latency = \"2s\"; };"),
                  "f:2: probes.p.expect.latency: is longer than the timeout, so that no answer "
                  "could be late; write a shorter one, or remove it\n" },
                { PROBE("kind = \"promql\"; url = \"http://h\"; query = \"1\"; "
                        "expect = { latency = \"1s\"; };"),
                  "f:2: probes.p.expect.latency: is no key of kind \"promql\"; remove it\n" },
                { PROBE("kind = \"redis\"; targets = [ \"redis://h:1\" ]; "
                        "expect = { values = ( { name = \"link_up\"; } ); };"),
                  "f:2: probes.p.expect.values: names a value without a limit; write at_least or "
                  "at_most\n" },
                { PROBE("kind = \"redis\"; targets = [ \"redis://h:1\" ]; "
                        "expect = { values = ( { name = \"link_up\"; at_least = 2; at_most = 1; "
                        "} ); };"),
                  "f:2: probes.p.expect.values: wants at least more than at most, which no value "
                  "is; write at_least below at_most\n" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_string_equal(support_refused(cases[i].text), cases[i].mistakes);
}

#define LIMIT(name) " expect = { values = ( { name = \"" name "\"; at_most = 1; } ); };"
#define NEVER " is nothing that this probe reports, so every sample would be unknown; "

static void a_limit_is_on_a_value_that_is_reported(_unused_ void **state) {
        static const struct {
                const char *text, *mistakes;
        } cases[] = {
                { PROBE("kind = \"tcp\"; targets = [ \"h:1\" ];" LIMIT("lag")),
                  "f:2: probes.p.expect.values: \"lag\"" NEVER "remove it\n" },
                { PROBE("kind = \"redis\"; targets = [ \"redis://h:1\" ];" LIMIT("lag_second")),
                  "f:2: probes.p.expect.values: \"lag_second\"" NEVER
                  "write one of uptime_seconds, replicas, link_up, lag_seconds, "
                  "certificate_days\n" },
                { PROBE("kind = \"postgres\"; conninfo = \"service=x\";" LIMIT("waiting")),
                  "f:2: probes.p.expect.values: \"waiting\"" NEVER
                  "write one of connect_seconds, in_recovery, receiving, lag_seconds, lag_bytes, "
                  "or give it a query\n" },
                { PROBE("kind = \"http\"; targets = [ \"http://h\" ]; steps = ( { path = \"/\"; } "
                        ");" LIMIT("step_2_seconds")),
                  "f:2: probes.p.expect.values: \"step_2_seconds\"" NEVER
                  "write one of certificate_days, a `value` of expect.json, and step_1_seconds and "
                  "so on of steps\n" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_string_equal(support_refused(cases[i].text), cases[i].mistakes);
}

static void limits_on_what_is_reported_are_taken(_unused_ void **state) {
        static const char *const good[] = {
                PROBE("kind = \"redis\"; targets = [ \"redis://h:1\" ];" LIMIT("link_up")),
                PROBE("kind = \"postgres\"; conninfo = \"service=x\"; query = \"SELECT 1 AS "
                      "waiting\";" LIMIT("waiting")),
                PROBE("kind = \"exec\"; command = [ \"/bin/x\" ];" LIMIT("anything")),
                PROBE("kind = \"http\"; targets = [ \"http://h\" ]; steps = ( { path = \"/\"; } "
                      ");" LIMIT("step_1_seconds")),
                PROBE("kind = \"http\"; targets = [ \"http://h/\" ]; expect = { json = ( { pointer "
                      "= "
                      "\"/q\"; value = \"q\"; } ); values = ( { name = \"q\"; at_most = 1; } ); "
                      "};"),
        };

        for (size_t i = 0; i < ELEMENTSOF(good); i++) {
                _cleanup_(service_config_freep) ServiceConfig *config = NULL;

                assert_string_equal(support_mistakes(good[i], &config), "");
        }
}

static void mistakes_in_targets_and_connections_read_as_written_here(_unused_ void **state) {
        static const struct {
                const char *text, *mistakes;
        } cases[] = {
                { PROBE("kind = \"tcp\"; targets = [ \"unix:run/x\" ];"),
                  "f:2: probes.p.targets: \"unix:run/x\" names no absolute path behind unix:; "
                  "write "
                  "unix:/run/app.sock\n" },
                { PROBE("kind = \"tcp\"; targets = [ \"unix:/run/x\", \"unix:/run/x\" ];"),
                  "f:2: probes.p.targets: \"unix:/run/x\" is there twice; remove one\n" },
                { PROBE("kind = \"http\"; targets = [ \"http://h/\" ]; connection = \"reuse:1\";"),
                  "f:2: probes.p.connection: \"reuse:1\" is no number of probes over one "
                  "connection; write \"fresh\" for one, or from 2 to 1000000\n" },
                { PROBE("kind = \"http\"; targets = [ \"http://h/\" ]; connection = \"kept\";"),
                  "f:2: probes.p.connection: \"kept\" is not understood; write \"fresh\", or "
                  "\"reuse:10\" for ten probes over one connection\n" },
                { PROBE("kind = \"tcp\"; targets = [ \"h:1\" ]; connection = \"fresh\";"),
                  "f:2: probes.p.connection: is no key of kind \"tcp\"; remove it\n" },
                { PROBE("kind = \"http\"; targets = [ \"http://h/\" ]; "
                        "tls = { verify = false; };"),
                  "f:2: probes.p.tls: is there, but no target is an https URL; write https:// in "
                  "targets, or remove it\n" },
                { PROBE("kind = \"http\"; targets = [ \"https://h/\" ]; "
                        "tls = { key_file = \"k\"; };"),
                  "f:2: probes.p.tls.key_file: is there without its certificate; write "
                  "certificate_file, or remove it\n" },
                { PROBE("kind = \"http\"; targets = [ \"https://h/\" ]; "
                        "tls = { verify = false; ca_file = \"/x\"; };"),
                  "f:2: probes.p.tls.ca_file: says who may sign, but verify is false; remove one "
                  "of the two\n" },
                { PROBE("kind = \"metrics\"; targets = [ \"https://h/\" ]; "
                        "tls = { server_name = \"a b\"; };"),
                  "f:2: probes.p.tls.server_name: is no host name; write it without scheme, path "
                  "or port\n" },
                { PROBE("kind = \"http\"; targets = [ \"https://h/\" ]; "
                        "tls = { server_name = \".example.org\"; };"),
                  "f:2: probes.p.tls.server_name: is no host name; write it without scheme, path "
                  "or port\n" },
                { PROBE("kind = \"http\"; targets = [ \"https://h/\" ]; "
                        "tls = { server_name = \"*.example.org\"; };"),
                  "f:2: probes.p.tls.server_name: is no host name; write it without scheme, path "
                  "or port\n" },
                { PROBE("kind = \"http\"; targets = [ \"https://.example.org/\" ];"),
                  "f:2: probes.p.targets: \"https://.example.org/\" is not understood; write a "
                  "list of targets in quotes, such as [ \"http://10.0.0.11:8080/healthz\" ] or, "
                  "for "
                  "tcp, [ \"10.0.0.11:5432\" ]\n" },
                { PROBE("kind = \"http\"; targets = [ \"https://h/\" ]; "
                        "tls = { minimum_version = \"1.1\"; };"),
                  "f:2: probes.p.tls.minimum_version: \"1.1\" is not understood; write one of "
                  "\"1.2\", \"1.3\"\n" },
                { PROBE("kind = \"unit\"; units = [ \"users-api\" ];"),
                  "f:2: probes.p.units: \"users-api\" has no suffix of a unit; write the whole "
                  "name, "
                  "such as \"users-api.service\"\n" },
                { PROBE("kind = \"unit\"; units = [ \".service\" ];"),
                  "f:2: probes.p.units: \".service\" has no suffix of a unit; write the whole "
                  "name, "
                  "such as \"users-api.service\"\n" },
                { PROBE("kind = \"unit\"; units = [ \"worker@.service\" ];"),
                  "f:2: probes.p.units: \"worker@.service\" is a template, which has no state; "
                  "write an instance of it, such as \"worker@1.service\"\n" },
                { PROBE("kind = \"journal\"; units = [ \"a.service\", \"a.service\" ];"),
                  "f:2: probes.p.units: \"a.service\" is there twice; remove one\n" },
                { PROBE("kind = \"journal\"; units = [ \"a.service\" ]; matches = \"(\";"),
                  "f:2: probes.p.matches: \"(\" is wrong at byte 1 (missing closing parenthesis); "
                  "correct it\n" },
                { PROBE("kind = \"pressure\"; targets = [ \"h:1\" ];"),
                  "f:2: probes.p.targets: is no key of kind \"pressure\"; remove it\n" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_string_equal(support_refused(cases[i].text), cases[i].mistakes);
}

static void a_path_has_a_limit_so_that_its_request_has_room(_unused_ void **state) {
        static char path[HTTP_PATH_MAX + 1], text[HTTP_PATH_MAX + 128];
        const char *const kinds[] = { "http", "metrics" };

        memset(path, 'x', HTTP_PATH_MAX);
        for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
                ServiceConfig *c = NULL;

                (void)snprintf(text, sizeof text,
                               PROBE("kind = \"%s\"; targets = [ \"http://h/%s\" ];"), kinds[i],
                               path);
                assert_non_null(strstr(support_refused(text),
                                       " has a path and query of more than 2048 bytes; write a "
                                       "shorter one\n"));
                /* The slash is one of them. */
                (void)snprintf(text, sizeof text,
                               PROBE("kind = \"%s\"; targets = [ \"http://h/%s\" ];"), kinds[i],
                               path + 1);
                assert_string_equal(support_mistakes(text, &c), "");
                assert_int_equal(strlen(c->probes[0].targets[0].path), HTTP_PATH_MAX);
                service_config_free(c);
        }
}

static void targets_are_taken_apart(_unused_ void **state) {
        static const struct {
                const char *kind, *url, *host, *path, *socket;
                uint16_t port;
        } cases[] = {
                { "http", "http://h", "h", "/", NULL, 80 },
                { "http", "http://h:81?x=1", "h", "/?x=1", NULL, 81 },
                { "http", "http://[fe80::1]:8080/a/b?c", "fe80::1", "/a/b?c", NULL, 8080 },
                { "metrics", "http://10.0.0.1/m", "10.0.0.1", "/m", NULL, 80 },
                { "tcp", "h.example:65535", "h.example", NULL, NULL, 65535 },
                { "tcp", "tcp://[::1]:5432", "::1", NULL, NULL, 5432 },
                { "tcp", "unix:/run/x.sock", "localhost", NULL, "/run/x.sock", 0 },
                { "http", "http://unix:/run/x.sock:/a?b", "localhost", "/a?b", "/run/x.sock", 80 },
                { "http", "https://h.example", "h.example", "/", NULL, 443 },
                { "metrics", "https://[::1]:8443/m", "::1", "/m", NULL, 8443 },
                { "http", "http://unix:/run/x.sock", "localhost", "/", "/run/x.sock", 80 },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char text[256];

                (void)snprintf(text, sizeof text,
                               "service = \"s\"; probes = { p = { kind = \"%s\"; targets = [ "
                               "\"%s\" ]; }; };",
                               cases[i].kind, cases[i].url);
                _cleanup_(service_config_freep) ServiceConfig *c = NULL;
                assert_string_equal(support_mistakes(text, &c), "");
                const TargetConfig *t = &c->probes[0].targets[0];

                assert_string_equal(t->url, cases[i].url);
                assert_string_equal(t->host, cases[i].host);
                assert_int_equal(t->port, cases[i].port);
                assert_int_equal(t->scheme, streq(cases[i].kind, "tcp") ? TARGET_TCP : TARGET_HTTP);
                assert_string_equal(t->socket ?: "", cases[i].socket ?: "");
                assert_int_equal(t->tls, strncmp(cases[i].url, "https", 5) == 0);
                if (cases[i].path)
                        assert_string_equal(t->path, cases[i].path);
                else
                        assert_null(t->path);
        }
}

static void databases_are_named_without_secrets(_unused_ void **state) {
        static const struct {
                const char *text, *mistakes;
        } cases[] = {
                { PROBE("kind = \"redis\"; targets = [ \"10.0.0.1:6379\" ];"),
                  "f:2: probes.p.targets: \"10.0.0.1:6379\" is no server of Redis; write "
                  "redis://host:port, rediss://host:port or unix:/run/redis.sock\n" },
                { PROBE("kind = \"redis\"; targets = [ \"redis://h\" ]; user = \"u\";"),
                  "f:2: probes.p.user: is there without a password; write password_file, or "
                  "remove it\n" },
                { PROBE("kind = \"redis\"; targets = [ \"redis://h\" ]; tls = { verify = false; "
                        "};"),
                  "f:2: probes.p.tls: is there, but no target wants TLS; write rediss:// in "
                  "targets, or remove it\n" },
                { PROBE("kind = \"postgres\"; conninfo = \"host=a,b\";"),
                  "f:2: probes.p.conninfo: names several hosts, of which a dead one would hide the "
                  "others; write a probe for each\n" },
                { PROBE("kind = \"postgres\"; conninfo = \"sevrice=users\";"),
                  "f:2: probes.p.conninfo: is no connection string of libpq; write for example "
                  "\"service=users\"\n" },
                { PROBE("kind = \"postgres\"; conninfo = \"host=a\"; password_file = \"a/b\";"),
                  "f:2: probes.p.password_file: \"a/b\" is not understood; write the name of a "
                  "secret in quotes, a file name without slash, such as \"oncall\"\n" },
                { PROBE("kind = \"redis\"; targets = [ \"redis://u:secret@h\" ];"),
                  "f:2: probes.p.targets: \"redis://***@h\" names a user; write the URL without, "
                  "and user and password_file beside targets\n" },
                { PROBE("kind = \"redis\"; targets = [ \"redis://h/3\" ];"),
                  "f:2: probes.p.targets: \"redis://h/3\" has more than host and port; write the "
                  "number of the database into database\n" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_string_equal(support_refused(cases[i].text), cases[i].mistakes);
}

static void things_of_this_host_are_targets_by_name(_unused_ void **state) {
        _cleanup_(service_config_freep) ServiceConfig *c = NULL;

        assert_string_equal(
                support_mistakes("service = \"s\"; probes = {"
                                 " u = { kind = \"unit\"; units = [ \"a.service\", "
                                 "\"A.service\", \"w@1:x_y.timer\" ]; };"
                                 " j = { kind = \"journal\"; units = [ \"a.service\" ]; "
                                 "priority = \"crit\"; matches = \".*lost\"; };"
                                 " h = { kind = \"pressure\"; };"
                                 " g = { kind = \"pressure\"; cgroup = \"a.slice/b.service\"; "
                                 "disk = \"/srv\"; }; };",
                                 &c),
                "");
        assert_int_equal(c->probes[0].n_targets, 3);
        assert_string_equal(c->probes[0].targets[2].url, "w@1:x_y.timer");
        assert_int_equal(c->probes[0].targets[2].scheme, TARGET_NAMED);
        assert_int_equal(c->probes[1].journal.priority, 2);
        assert_string_equal(c->probes[1].journal.matches, ".*lost");
        assert_int_equal(c->probes[2].n_targets, 1);
        assert_string_equal(c->probes[2].targets[0].url, "host");
        assert_string_equal(c->probes[3].targets[0].url, "a.slice/b.service");
        assert_int_equal(c->probes[3].targets[0].scheme, TARGET_NAMED);
        assert_string_equal(c->probes[3].pressure.disk, "/srv");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_limit_is_on_a_value_that_is_reported),
                cmocka_unit_test(limits_on_what_is_reported_are_taken),
                cmocka_unit_test(mistakes_in_expectations_read_as_written_here),
                cmocka_unit_test(mistakes_in_targets_and_connections_read_as_written_here),
                cmocka_unit_test(a_path_has_a_limit_so_that_its_request_has_room),
                cmocka_unit_test(targets_are_taken_apart),
                cmocka_unit_test(things_of_this_host_are_targets_by_name),
                cmocka_unit_test(databases_are_named_without_secrets),
        };

        return cmocka_run_group_tests(tests, support_set_up, support_tear_down);
}
