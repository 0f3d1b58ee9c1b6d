#include <errno.h>
#include <math.h>

#include "config_support.h"

#define LINE "f:1: "

/* Reads a text of `n` bytes; returns the refusal with "f" for the path, or NULL when it was taken.
 */
static const char *refusal_n(const char *text, size_t n, mode_t mode) {
        static char shortened[1024];
        _cleanup_(config_file_freep) ConfigFile *f = NULL;
        STRBUF(error, 1024);
        int r;

        support_write_n("f", text, n, mode);
        r = config_file_read(&f, support_path("f"), true, &error);
        support_remove("f");
        if (r == 0)
                return NULL;
        assert_null(f);
        assert_memory_equal(error.text, support_path("f"), strlen(support_path("f")));
        (void)snprintf(shortened, sizeof shortened, "f%s", error.text + strlen(support_path("f")));
        return shortened;
}

static const char *refusal(const char *text) {
        return refusal_n(text, strlen(text), 0644);
}

static void a_file_is_handed_out_as_nodes_with_lines(_unused_ void **state) {
        static const char text[] = "a = 1;\nb = {\n  c = \"x\";\n  d = ( { e = 1.5; },\n        { "
                                   "f = true; } );\n};\nbig = 4294967297L;\n";
        _cleanup_(config_file_freep) ConfigFile *f = NULL;
        const ConfigNode *root, *d;
        STRBUF(error, 256);
        size_t size;

        support_write("f", text);
        assert_int_equal(config_file_read(&f, support_path("f"), true, &error), 0);
        support_remove("f");
        assert_string_equal(config_file_path(f), support_path("f"));
        assert_string_equal(config_file_text(f, &size), text);
        assert_int_equal(size, strlen(text));
        root = config_file_root(f);
        assert_int_equal(config_node_type(root), CONFIG_GROUP);
        assert_int_equal(config_node_length(root), 3);
        assert_int_equal(config_node_line(root), 1);
        assert_int_equal(config_node_integer(config_node_get(root, "a")), 1);
        assert_true(config_node_integer(config_node_get(root, "big")) == INT64_C(4294967297));
        assert_string_equal(config_node_name(config_node_at(root, 1)), "b");
        d = config_node_get(config_node_get(root, "b"), "d");
        assert_int_equal(config_node_type(d), CONFIG_LIST);
        assert_int_equal(config_node_line(d), 4);
        assert_null(config_node_name(config_node_at(d, 0)));
        assert_int_equal(config_node_line(config_node_at(d, 1)), 5);
        assert_true(config_node_float(config_node_get(config_node_at(d, 0), "e")) == 1.5);
        assert_true(config_node_bool(config_node_get(config_node_at(d, 1), "f")));
        assert_string_equal(config_node_text(config_node_get(config_node_get(root, "b"), "c")),
                            "x");
        assert_null(config_node_get(root, "missing"));
}

static void what_libconfig_would_misread_is_refused(_unused_ void **state) {
        static const struct {
                const char *text, *message;
        } cases[] = {
                { "@include \"/etc\"\n",
                  LINE "@include is not supported; write everything into this file" },
                { "\n  @include \"x\"\n",
                  "f:2: @include is not supported; write everything into this file" },
                { "a = 4294967297;", LINE "the number 4294967297 does not fit in 32 bits; write a "
                                          "smaller one, or an L behind it" },
                { "a = -2147483649;", LINE "the number -2147483649 does not fit in 32 bits; write "
                                           "a smaller one, or an L behind it" },
                { "a = 99999999999999999999L;",
                  LINE "the number 99999999999999999999L is not a whole number of 64 bits; write a "
                       "smaller one" },
                { "a = 0xFFFFFFFF;",
                  LINE "the number 0xFFFFFFFF is too large in hexadecimal; write it in decimal" },
                { "a = 0x11111111111111111L;", LINE "the number 0x11111111111111111L is too large "
                                                    "in hexadecimal; write it in decimal" },
                { "a = 1.5e999;", LINE "the number 1.5e999 is too large; write a smaller one" },
                { "a = 1;\n/* b = 2;\n",
                  "f:2: a comment is opened here and never closed; write the missing */" },
                { "a = \"x;\nb = 2;\n",
                  LINE "a text is opened here and never closed; write the missing \"" },
                { "a = \"x\\x00y\";", LINE "a NUL in a text; remove \\x00" },
                { "a = 1;\na = 2;", "f:2: duplicate setting name here or just before; correct it "
                                    "and check again, what follows was not read" },
                { "a = 1;\nb = ;", "f:2: syntax error here or just before; correct it and check "
                                   "again, what follows was not read" },
                { "a = { b = 1;", LINE "syntax error here or just before; correct it and check "
                                       "again, what follows was not read" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const char *message = refusal(cases[i].text);

                assert_non_null(message);
                assert_string_equal(message, cases[i].message);
        }
}

static void what_only_looks_wrong_is_taken(_unused_ void **state) {
        static const char *const good[] = {
                "",
                "# @include \"x\"\n",
                "// @\n",
                "/* @include 4294967297 */\n",
                "a = \"@include 99999999999\";",
                "a = \"\\\" @ 4294967297\";",
                "a = \"\\\\\"; b = 1;",
                "a = \"\\\\x00\";",
                "a4294967297 = 1;",
                "a-4294967297 = 1;",
                "a = 2147483647; b = -2147483648;",
                "a = 9223372036854775807L;",
                "a = 0x7FFFFFF;",
                "a = 0x000000000000000000001;",
                "a = +5;",
                "a = -1.5e-3;",
                "a = 1e10;",
                "/* * / ** */ a = 1;",
                "a = \"/*\"; b = \"#\";",
        };

        for (size_t i = 0; i < ELEMENTSOF(good); i++)
                assert_null(refusal(good[i]));
}

static void a_nul_byte_is_refused_wherever_it_stands(_unused_ void **state) {
        assert_string_equal(refusal_n("a = 1;\0b = 2;", 13, 0644),
                            LINE "a NUL byte; write the file anew as plain text");
        assert_string_equal(refusal_n("a = 1;\nb = \"x\0\";", 16, 0644),
                            "f:2: a NUL byte; write the file anew as plain text");
        assert_string_equal(refusal_n("# \0", 3, 0644),
                            LINE "a NUL byte; write the file anew as plain text");
}

static void sixteen_levels_are_taken_and_seventeen_refused(_unused_ void **state) {
        char text[256] = "a = ";

        for (unsigned depth = 16; depth <= 17; depth++) {
                size_t n = 4;

                for (unsigned i = 0; i < depth; i++)
                        text[n++] = '(';
                for (unsigned i = 0; i < depth; i++)
                        text[n++] = ')';
                text[n++] = ';';
                text[n] = '\0';
                if (depth == 16)
                        assert_null(refusal(text));
                else
                        assert_string_equal(refusal(text), LINE "groups and lists are nested more "
                                                                "than 16 deep; write fewer levels");
        }
}

static void a_file_of_1MiB_is_taken_and_one_byte_more_refused(_unused_ void **state) {
        _cleanup_(freep) char *text = malloc(CONFIG_FILE_MAX + 1);

        assert_non_null(text);
        memset(text, ' ', CONFIG_FILE_MAX + 1);
        assert_null(refusal_n(text, CONFIG_FILE_MAX, 0644));
        assert_string_equal(refusal_n(text, CONFIG_FILE_MAX + 1, 0644),
                            "f: is larger than 1MiB; write a smaller file");
}

static void a_file_that_others_may_write_is_refused(_unused_ void **state) {
        assert_null(refusal_n("a = 1;", 6, 0640));
        assert_string_equal(refusal_n("a = 1;", 6, 0660),
                            "f: may be written by group or others; type: chmod go-w FILE");
        assert_string_equal(refusal_n("a = 1;", 6, 0646),
                            "f: may be written by group or others; type: chmod go-w FILE");
}

static void the_owner_counts_only_when_asked(_unused_ void **state) {
        _cleanup_(config_file_freep) ConfigFile *f = NULL;
        STRBUF(error, 1024);

        support_write_n("f", "a = 1;", 6, 0666);
        assert_int_equal(config_file_read(&f, support_path("f"), true, &error), -EPERM);
        assert_int_equal(config_file_read(&f, support_path("f"), false, &error), 0);
        support_remove("f");
}

/* Only root can give a file away, and root is who runs this in continuous integration. */
static void a_file_of_another_user_is_refused(_unused_ void **state) {
        _cleanup_(config_file_freep) ConfigFile *f = NULL;
        STRBUF(error, 1024);

        if (geteuid() != 0) {
                /* Somebody else's file that everybody can read. */
                assert_int_equal(config_file_read(&f, "/etc/passwd", true, &error), -EINVAL);
                return;
        }
        support_write("f", "a = 1;");
        assert_int_equal(chown(support_path("f"), 65534, (gid_t)-1), 0);
        assert_int_equal(config_file_read(&f, support_path("f"), true, &error), -EPERM);
        assert_non_null(strstr(
                error.text,
                "f: is owned by uid 65534, which could change what is run; type: chown root FILE"));
        support_remove("f");
}

static void what_is_no_regular_file_is_refused_without_waiting(_unused_ void **state) {
        _cleanup_(config_file_freep) ConfigFile *f = NULL;
        STRBUF(error, 1024);

        assert_int_equal(config_file_read(&f, support_directory, true, &error), -EINVAL);
        assert_non_null(
                strstr(error.text, ": is not a regular file; write the configuration into a file"));
        assert_int_equal(mkfifo(support_path("f"), 0600), 0);
        assert_int_equal(config_file_read(&f, support_path("f"), true, &error), -EINVAL);
        support_remove("f");
        assert_int_equal(config_file_read(&f, support_path("none"), true, &error), -ENOENT);
        assert_non_null(strstr(error.text, "/none: cannot be read (No such file or directory); "
                                           "check the path and its permissions"));
        assert_int_equal(symlink("loop", support_path("loop")), 0);
        assert_int_equal(config_file_read(&f, support_path("loop"), true, &error), -ELOOP);
        support_remove("loop");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_file_is_handed_out_as_nodes_with_lines),
                cmocka_unit_test(what_libconfig_would_misread_is_refused),
                cmocka_unit_test(what_only_looks_wrong_is_taken),
                cmocka_unit_test(a_nul_byte_is_refused_wherever_it_stands),
                cmocka_unit_test(sixteen_levels_are_taken_and_seventeen_refused),
                cmocka_unit_test(a_file_of_1MiB_is_taken_and_one_byte_more_refused),
                cmocka_unit_test(a_file_that_others_may_write_is_refused),
                cmocka_unit_test(the_owner_counts_only_when_asked),
                cmocka_unit_test(a_file_of_another_user_is_refused),
                cmocka_unit_test(what_is_no_regular_file_is_refused_without_waiting),
        };

        return cmocka_run_group_tests(tests, support_set_up, support_tear_down);
}
