/* /metrics by the rules of the Prometheus text format 0.0.4, and what the page says. */
#include "api_world.h"

#include <stdio.h>
#include <stdlib.h>

#define FAMILIES_MAX 64
#define SERIES_MAX 512

typedef struct Page {
        char families[FAMILIES_MAX][64];
        size_t n_families;
        char series[SERIES_MAX][256];
        size_t n_series;
        bool has_type, has_help; /* of the last family */
} Page;

static bool is_name(const char *text, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (!strchr("abcdefghijklmnopqrstuvwxyz_", text[i]) &&
                    !(i > 0 && strchr("0123456789", text[i])))
                        return false;
        return n > 0;
}

/* Walks {a="b",c="d"}; returns what is behind it. */
static const char *check_labels(const char *p) {
        while (*p != '}') {
                size_t n = strcspn(p + 1, "=");

                assert_true(*p == '{' || *p == ',');
                assert_true(is_name(p + 1, n));
                p += 1 + n;
                assert_true(p[0] == '=' && p[1] == '"');
                for (p += 2; *p != '"'; p++) {
                        assert_true(*p != '\0');
                        if (*p == '\\') {
                                p++;
                                assert_true(*p == '\\' || *p == '"' || *p == 'n');
                        }
                }
                p++;
        }
        return p + 1;
}

static void check_comment(Page *page, const char *line) {
        bool help = strncmp(line, "# HELP ", 7) == 0;
        size_t n = strcspn(line + 7, " ");
        const char *rest = line + 7 + n;

        assert_true(help || strncmp(line, "# TYPE ", 7) == 0);
        assert_true(is_name(line + 7, n) && n < 64 && *rest == ' ');
        if (help) {
                for (size_t i = 0; i < page->n_families; i++)
                        assert_false(strlen(page->families[i]) == n &&
                                     strncmp(page->families[i], line + 7, n) == 0);
                assert_true(page->n_families < FAMILIES_MAX);
                memcpy(page->families[page->n_families++], line + 7, n);
                page->has_help = true;
                page->has_type = false;
                assert_true(strlen(rest) > 1);
                return;
        }
        /* HELP comes first, and there is one TYPE. */
        assert_true(page->has_help && !page->has_type);
        assert_true(strncmp(page->families[page->n_families - 1], line + 7, n) == 0 &&
                    page->families[page->n_families - 1][n] == '\0');
        assert_true(streq(rest, " gauge") || streq(rest, " counter"));
        /* A counter is called so, and nothing else is. */
        assert_int_equal(streq(rest, " counter"), strncmp(line + 7 + n - 6, "_total", 6) == 0);
        page->has_type = true;
}

static void check_sample(Page *page, const char *line) {
        size_t n = strcspn(line, "{ ");
        const char *value = line[n] == '{' ? check_labels(line + n) : line + n;
        size_t length = (size_t)(value - line);
        char *end;

        assert_true(page->has_type);
        assert_true(strncmp(page->families[page->n_families - 1], line, n) == 0 &&
                    page->families[page->n_families - 1][n] == '\0');
        assert_true(*value == ' ');
        (void)strtod(value + 1, &end);
        assert_true(end > value + 1 && *end == '\0');
        for (size_t i = 0; i < page->n_series; i++)
                assert_false(strlen(page->series[i]) == length &&
                             strncmp(page->series[i], line, length) == 0);
        assert_true(page->n_series < SERIES_MAX && length < sizeof page->series[0]);
        memcpy(page->series[page->n_series++], line, length);
}

static void test_the_format(void **state) {
        ApiWorld *w = *state;
        Page page = { 0 };
        char *line, *next;

        assert_int_equal(api_get(w, "/metrics"), 200);
        assert_non_null(strcasestr(
                w->answer, "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"));
        assert_true(w->body[strlen(w->body) - 1] == '\n');
        assert_null(strchr(w->body, '\r'));
        for (line = w->body; *line != '\0'; line = next) {
                next = strchr(line, '\n');
                *next++ = '\0';
                assert_true(*line != '\0');
                if (*line == '#')
                        check_comment(&page, line);
                else
                        check_sample(&page, line);
        }
        assert_true(page.n_families > 25 && page.n_series > 40);
}

static void assert_line(const ApiWorld *w, const char *line) {
        STRBUF(whole, 512);

        strbuf_add_char(&whole, '\n');
        strbuf_add(&whole, line);
        strbuf_add_char(&whole, '\n');
        if (!strstr(w->body, whole.text))
                fail_msg("%s is not on the page:\n%s", line, w->body);
}

static void test_what_it_says(void **state) {
        static const char *const lines[] = {
                "rollbackd_build_info{version=\"" ROLLBACKD_VERSION "\"} 1",
                "process_start_time_seconds 1700000000",
                "rollbackd_loop_longest_turn_seconds 0.0015",
                "rollbackd_config_last_reload_successful 1",
                "rollbackd_ledger_up 1",
                "rollbackd_commits_total 3",
                "rollbackd_ledger_schema 2",
                "rollbackd_heartbeat_timestamp_seconds 1750000000",
                "rollbackd_retention_last_success_timestamp_seconds 1740000000",
                "rollbackd_policies_refused 1",
                "rollbackd_drill_last_success_timestamp_seconds{service=\"web\"} 1730000000",
                "rollbackd_drill_last_success_timestamp_seconds{service=\"shop\"} 0",
                "rollbackd_service_health{service=\"web\",health=\"suspect\"} 1",
                "rollbackd_service_health{service=\"web\",health=\"bad\"} 0",
                "rollbackd_service_health{service=\"shop\",health=\"new\"} 1",
                "rollbackd_service_version_info{service=\"web\",version=\"2.0\"} 1",
                "rollbackd_service_epoch{service=\"web\"} 41",
                "rollbackd_service_automatic{service=\"web\"} 1",
                "rollbackd_service_automatic{service=\"shop\"} 0",
                "rollbackd_service_has_target{service=\"web\"} 1",
                "rollbackd_service_operation{service=\"web\"} 0",
                "rollbackd_rule_bad{service=\"web\",rule=\"down\"} 1",
                "rollbackd_rule_bad{service=\"web\",rule=\"errors\"} 0",
                "rollbackd_rule_unknown{service=\"shop\",rule=\"down\"} 1",
                "rollbackd_rule_value{service=\"web\",rule=\"errors\"} 0.01",
                "rollbackd_service_epoch{service=\"odd\\\"name\\\\with\\nall\"} 41",
        };
        ApiWorld *w = *state;

        assert_int_equal(api_get(w, "/metrics"), 200);
        for (size_t i = 0; i < ELEMENTSOF(lines); i++)
                assert_line(w, lines[i]);
        /* Of a service that the ledger does not know there is nothing to say, not a zero. */
        assert_null(strstr(w->body, "rollbackd_service_epoch{service=\"shop\"}"));
        assert_null(strstr(w->body, "rollbackd_rule_value{service=\"shop\""));
}

static void test_without_the_ledger(void **state) {
        ApiWorld *w = *state;

        assert_int_equal(api_get(w, "/metrics"), 200);
        assert_line(w, "rollbackd_ledger_up 0");
        assert_line(w, "rollbackd_config_last_reload_successful 0");
        /* Not told is not the same as never. */
        assert_non_null(strstr(w->body, "rollbackd_drill_last_success_timestamp_seconds gauge"));
        assert_null(strstr(w->body, "rollbackd_drill_last_success_timestamp_seconds{"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_the_format, api_world_start, api_world_stop),
                cmocka_unit_test_setup_teardown(test_what_it_says, api_world_start, api_world_stop),
                cmocka_unit_test_setup_teardown(test_without_the_ledger,
                                                api_world_start_without_ledger, api_world_stop),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
