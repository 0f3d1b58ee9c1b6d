/* rollbackctl's command line: the table of verbs is whole, and what is no command line is told what
 * is wrong with it, with exit code 2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "ctl.h"

#define WORDS_MAX 80

static char told[8192]; /* what the last line said to stderr */

/* Parses words parted by blanks as main() does; "\"\"" stands for an empty word. */
static ExitCode parse(const char *text, CommandLine *ret) {
        static char storage[4096];
        static char empty[] = "";
        char *words[WORDS_MAX + 1] = { NULL };
        FILE *capture = tmpfile();
        int n = 0, taken = 0, before = dup(STDERR_FILENO);
        const Verb *verb;
        ExitCode code;
        char *rest = NULL;

        assert_non_null(capture);
        assert_true(strlen(text) < sizeof storage);
        memcpy(storage, text, strlen(text) + 1);
        for (char *w = strtok_r(storage, " ", &rest); w; w = strtok_r(NULL, " ", &rest)) {
                assert_true(n < WORDS_MAX);
                words[n++] = streq(w, "\"\"") ? empty : w;
        }
        verb = verb_find(n, words, &taken);
        assert_non_null(verb);
        fflush(stderr);
        assert_true(dup2(fileno(capture), STDERR_FILENO) >= 0);
        code = command_line_parse(verb, n - taken + 1, words + taken - 1, ret);
        fflush(stderr);
        assert_true(dup2(before, STDERR_FILENO) >= 0);
        close(before);
        rewind(capture);
        told[fread(told, 1, sizeof told - 1, capture)] = '\0';
        fclose(capture);
        return code;
}

static void assert_refused(const char *text, const char *words) {
        CommandLine line;

        if (parse(text, &line) != EXIT_USAGE)
                fail_msg("taken: %s", text);
        if (!strstr(told, words))
                fail_msg("%s: \"%s\" is not in: %s", text, words, told);
        /* What to type instead is always there. */
        assert_non_null(strstr(told, "usage: rollbackctl "));
}

static void assert_taken(const char *text, CommandLine *ret) {
        if (parse(text, ret) != EXIT_OK)
                fail_msg("%s: %s", text, told);
        assert_string_equal(told, "");
}

/* A word in the table that no other table knows would be read as "not given", silently. */
static void test_the_table_is_whole(_unused_ void **state) {
        for (size_t i = 0; i < verbs_n; i++) {
                const char *lists[] = { verbs[i].options, verbs[i].parameters ?: "" };

                assert_non_null(verbs[i].run);
                assert_true(strlen(verbs[i].help) > 5);
                assert_int_equal(verbs[i].sql != NULL, verbs[i].parameters != NULL);
                for (size_t l = 0; l < ELEMENTSOF(lists); l++)
                        for (const char *p = lists[l]; *p != '\0';) {
                                size_t n = strcspn(p, " ");

                                if (!(l == 1 && *p >= '0' && *p <= '9') &&
                                    option_find(p, n) == OPTION_NONE)
                                        fail_msg("%s: no option %.*s", verbs[i].name, (int)n, p);
                                p += n + strspn(p + n, " ");
                        }
        }
}

/* Every parameter of a statement is bound once, and none beyond them. */
static void test_statements_and_parameters_agree(_unused_ void **state) {
        for (size_t i = 0; i < verbs_n; i++) {
                unsigned n = 1;

                if (!verbs[i].sql)
                        continue;
                for (const char *p = verbs[i].parameters; *p != '\0'; p++)
                        n += *p == ' ';
                for (unsigned k = 1; k <= n + 1; k++) {
                        char place[8];
                        const char *at;

                        snprintf(place, sizeof place, "$%u", k);
                        at = strstr(verbs[i].sql, place);
                        while (at && at[strlen(place)] >= '0' && at[strlen(place)] <= '9')
                                at = strstr(at + 1, place);
                        if ((at != NULL) != (k <= n))
                                fail_msg("%s: parameter %s", verbs[i].name, place);
                }
        }
}

static void test_arguments(_unused_ void **state) {
        CommandLine line;

        assert_taken("status", &line);
        assert_int_equal(line.n_arguments, 0);
        assert_taken("status web", &line);
        assert_string_equal(line.arguments[0], "web");
        assert_refused("status web shop", "shop: one argument too many");
        assert_refused("deploy web", "SERVICE VERSION: missing");
        assert_refused("deploy", "SERVICE VERSION: missing");
        assert_taken("deploy web 2.0+b1", &line);
        assert_string_equal(line.arguments[1], "2.0+b1");
        assert_taken("check a b c", &line);
        assert_int_equal(line.n_arguments, 3);
        assert_taken("check /etc/rollbackd/policies.d/web.conf", &line);
        assert_taken("deploy-done web 41", &line);
        assert_refused("deploy-done web latest", "latest: write a number");
        assert_refused("deploy-done web -1", "two dashes");
}

static void test_names(_unused_ void **state) {
        static const char *const wrong[] = {
                "a/b",
                "a?b",
                "a&limit=1",
                "../x",
                ".a",
                "_a",
                "a%2f",
                "\xc3\xa4",
                "a#b",
                "\"\"",
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        };
        static const char *const forms[] = { "status ",
                                             "explain ",
                                             "history --service ",
                                             "rollback web --reason r --to ",
                                             "active ",
                                             "ban --reason r web " };
        CommandLine line;
        char text[256];

        for (size_t f = 0; f < ELEMENTSOF(forms); f++)
                for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
                        snprintf(text, sizeof text, "%s%s", forms[f], wrong[i]);
                        assert_refused(text, "a name has 1 to 63 letters");
                }
        assert_taken("explain 0b54ae3c-8f0e-4c3e-9a51-3a5e0d6b7c11", &line);
        snprintf(text, sizeof text, "status %063d", 1);
        assert_taken(text, &line);
        /* Behind -- a word is an argument, whatever it begins with. */
        assert_refused("status -- --json", "a name has");
}

static void test_options(_unused_ void **state) {
        CommandLine line;

        assert_taken("pause web --for 2h --reason=because", &line);
        assert_string_equal(line.values[OPTION_FOR], "2h");
        assert_string_equal(line.values[OPTION_REASON], "because");
        assert_taken("deploy --rolling web 2.0 --note \"\" --expect-epoch 41", &line);
        assert_string_equal(line.values[OPTION_ROLLING], "true");
        assert_string_equal(line.values[OPTION_NOTE], "");
        assert_null(line.values[OPTION_FORCE]);
        assert_taken("deploy web 2.0 --actor alice --rolling-for 90m", &line);
        assert_string_equal(line.values[OPTION_ACTOR], "alice");
        assert_string_equal(line.values[OPTION_ROLLING_FOR], "90m");
        assert_refused("deploy web 2.0 --rolling-for 90", "--rolling-for");
        assert_refused("rollback web --actor alice", "this verb does not take that option");
        assert_refused("status --reason x", "--reason: this verb does not take that option");
        assert_refused("status --rea x", "--rea: this verb does not take that option");
}

static void test_options_that_are_wrong(_unused_ void **state) {
        assert_refused("rollback web --reason", "--reason: its value is missing");
        assert_refused("rollback web --reason a --reason b", "--reason: given twice");
        assert_refused("rollback web --reason a --yes=no", "--yes=no: takes no value");
        assert_refused("status -j", "-j: options are written out, with two dashes");
        assert_refused("status -", "two dashes");
        assert_refused("db migrate --json", "does not take that option");
}

static void test_values(_unused_ void **state) {
        static const char *const durations[] = { "2x", "2", "-2h", "0s", "\"\"", "2h2h", "1.5h" };
        static const char *const numbers[] = {
                "x", "-1", "\"\"", "1.5", "18446744073709551616", "9223372036854775808"
        };
        static const char *const limits[] = { "0", "1001", "5&service=x", "\"\"" };
        CommandLine line;
        char text[256];

        for (size_t i = 0; i < ELEMENTSOF(durations); i++) {
                snprintf(text, sizeof text, "pause web --reason r --for %s", durations[i]);
                assert_refused(text, "write a duration with its unit");
                snprintf(text, sizeof text, "status --timeout %s", durations[i]);
                assert_refused(text, "write a duration with its unit");
        }
        for (size_t i = 0; i < ELEMENTSOF(numbers); i++) {
                snprintf(text, sizeof text, "deploy web 2.0 --expect-epoch %s", numbers[i]);
                assert_refused(text, "write a number");
                snprintf(text, sizeof text, "rollback web --reason r --epoch %s", numbers[i]);
                assert_refused(text, "write a number");
        }
        for (size_t i = 0; i < ELEMENTSOF(limits); i++) {
                snprintf(text, sizeof text, "events --limit %s", limits[i]);
                assert_refused(text, "write a number from 1 to 1000");
        }
        assert_taken("events --limit 1000", &line);
        assert_taken("status --timeout 1m30s", &line);
        assert_int_equal(command_timeout(&line), 90 * USEC_PER_SEC);
        assert_taken("status", &line);
        assert_int_equal(command_timeout(&line), 10 * USEC_PER_SEC);
}

static void test_either_or(_unused_ void **state) {
        CommandLine line;

        assert_refused("ack 0b54ae3c-8f0e-4c3e-9a51-3a5e0d6b7c11", "either --true");
        assert_refused("ack 0b54ae3c-8f0e-4c3e-9a51-3a5e0d6b7c11 --true --false", "either --true");
        assert_taken("ack 0b54ae3c-8f0e-4c3e-9a51-3a5e0d6b7c11 --false", &line);
        assert_refused("pause web --reason r", "either --for DURATION or --until TIME");
        assert_refused("pin web --reason r --for 1h --until 2030-01-01",
                       "either --for DURATION or --until TIME");
        assert_taken("pin web --reason r --until 2030-01-01", &line);
}

static void test_follow(_unused_ void **state) {
        CommandLine line;

        assert_taken("follow web --file /run/web", &line);
        assert_int_equal(line.n_arguments, 1);
        assert_taken("follow web --timeout 5s -- reload --now web", &line);
        assert_int_equal(line.n_arguments, 4);
        assert_string_equal(line.arguments[2], "--now");
        assert_taken("follow web --file version reload", &line);
        assert_string_equal(line.arguments[1], "reload");
        assert_refused("follow web", "what it shall do");
        assert_refused("follow web --", "what it shall do");
        assert_refused("follow web --file \"\"", "the path of a file");
        assert_refused("follow web --file /run/", "the path of a file");
        assert_refused("follow web -- \"\"", "the name of a program");
        assert_refused("follow we/b --file x", "a name has");
        assert_refused("follow web --json --file x", "does not take that option");
}

static void test_verbs(_unused_ void **state) {
        char db[] = "db", migrate[] = "migrate", rolls[] = "rolls", stat[] = "stat",
             deploy[] = "deploy-done";
        int words = 0;

        assert_null(verb_find(1, (char *[]){ db, NULL }, &words));
        assert_null(verb_find(2, (char *[]){ db, rolls, NULL }, &words));
        assert_null(verb_find(1, (char *[]){ stat, NULL }, &words));
        assert_null(verb_find(0, (char *[]){ NULL }, &words));
        assert_string_equal(verb_find(2, (char *[]){ db, migrate, NULL }, &words)->name,
                            "db migrate");
        assert_int_equal(words, 2);
        assert_string_equal(verb_find(1, (char *[]){ deploy, NULL }, &words)->name, "deploy-done");
        assert_int_equal(words, 1);
}

/* A file that was asked for, or that is there and wrong, is never passed over for a default. */
static void test_configuration(_unused_ void **state) {
        char path[] = "/tmp/ctl-conf-XXXXXX", text[256];
        int fd = mkstemp(path), before = dup(STDERR_FILENO);
        DaemonConfig *config = NULL;
        CommandLine line;
        FILE *capture = tmpfile();

        assert_true(fd >= 0);
        snprintf(text, sizeof text, "status --config %s", path);
        assert_taken(text, &line);
        assert_true(dup2(fileno(capture), STDERR_FILENO) >= 0);
        assert_int_equal(write(fd, "nonsense = 1;\n", 14), 14);
        assert_int_equal(command_config(&line, &config), EXIT_FAILED);
        assert_null(config);
        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(command_config(&line, &config), EXIT_OK);
        assert_non_null(config);
        config = daemon_config_free(config);
        unlink(path);
        assert_int_equal(command_config(&line, &config), EXIT_FAILED);
        assert_null(config);
        fflush(stderr);
        assert_true(dup2(before, STDERR_FILENO) >= 0);
        rewind(capture);
        told[fread(told, 1, sizeof told - 1, capture)] = '\0';
        assert_non_null(strstr(told, "nonsense: unknown key"));
        fclose(capture);
        close(before);
        close(fd);
}

static void test_urls(_unused_ void **state) {
        STRBUF(b, 64);

        url_add_name(&b, "2.0+b_1-x");
        assert_string_equal(b.text, "2.0%2Bb_1-x");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_table_is_whole),
                cmocka_unit_test(test_statements_and_parameters_agree),
                cmocka_unit_test(test_arguments),
                cmocka_unit_test(test_names),
                cmocka_unit_test(test_options),
                cmocka_unit_test(test_options_that_are_wrong),
                cmocka_unit_test(test_values),
                cmocka_unit_test(test_either_or),
                cmocka_unit_test(test_follow),
                cmocka_unit_test(test_verbs),
                cmocka_unit_test(test_configuration),
                cmocka_unit_test(test_urls),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
