/* The one line about everything: what comes first, and where it is cut. */
#include "status_line.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const StatusFacts well = {
        .config_path = "/etc/rollbackd/rollbackd.conf",
        .policies = "/etc/rollbackd/policies.d",
        .ledger = STATUS_LEDGER_UP,
        .ledger_words = "",
        .refused = "",
        .services = 3,
        .health = { [HEALTH_WATCHING] = 2, [HEALTH_BLIND] = 1 },
};

static const char *format(const StatusFacts *f) {
        static char storage[STATUS_LINE_SIZE];
        StrBuf b;

        strbuf_init(&b, storage, sizeof storage);
        status_line_format(f, &b);
        assert_int_equal(strlen(storage), b.length);
        return storage;
}

static void test_all_is_well(_unused_ void **state) {
        StatusFacts f = well;

        assert_string_equal(format(&f), "3 services, 2 watching, 1 blind; ledger reachable");
        f.services = f.health[HEALTH_WATCHING] = 1;
        f.health[HEALTH_BLIND] = 0;
        assert_string_equal(format(&f), "1 service, 1 watching; ledger reachable");
}

static void test_nothing_is_configured(_unused_ void **state) {
        StatusFacts f = well;

        f.services = 0;
        assert_string_equal(format(&f), "no policy: put one into /etc/rollbackd/policies.d (see "
                                        "rollbackd-policy(5)), then systemctl reload rollbackd; "
                                        "ledger reachable");
        f.ledger = STATUS_LEDGER_NONE;
        f.policies = "/srv/policies";
        f.config_path = "/srv/rollbackd.conf";
        assert_string_equal(format(&f),
                            "no ledger: set ledger.conninfo in /srv/rollbackd.conf, nothing is "
                            "recorded and nothing rolled back; no policy: put one into "
                            "/srv/policies (see rollbackd-policy(5)), then systemctl reload "
                            "rollbackd");
}

static void test_what_matters_comes_first(_unused_ void **state) {
        StatusFacts f = well;

        f.n_operations = 1;
        f.operation_service = "users-api";
        f.from_version = "2.4.0";
        f.to_version = "2.3.0";
        f.operation_state = OPERATION_VERIFYING;
        assert_string_equal(format(&f), "users-api: 2.4.0 -> 2.3.0 verifying; 3 services, 2 "
                                        "watching, 1 blind; ledger reachable");
        f.awaited = "db";
        assert_non_null(strstr(format(&f), " verifying (awaits its dependency db); 3 services"));
        f.awaited = NULL;
        f.n_operations = 3;
        f.operation_state = OPERATION_IN_DOUBT;
        f.n_held = 2;
        f.held_service = "shop";
        f.held_by = GUARD_COOLDOWN;
        f.n_bad = 1;
        f.bad_service = "mail";
        f.ledger = STATUS_LEDGER_DOWN;
        f.ledger_words = "connection refused";
        assert_string_equal(format(&f), "users-api: 2.4.0 -> 2.3.0 in doubt, and 2 more; shop is "
                                        "bad, held by cooldown, and 1 more; mail is bad; ledger "
                                        "unreachable: connection refused; 3 services, 2 watching, "
                                        "1 blind");
}

static void test_refused_files_are_named(_unused_ void **state) {
        StatusFacts f = well;

        f.n_refused = 1;
        f.refused = "/etc/p/a.conf:7: rules: is missing\n/etc/p/a.conf:9: x: is unknown\n";
        f.services = 0;
        assert_string_equal(format(&f),
                            "refused: /etc/p/a.conf:7: rules: is missing; ledger reachable");
        f.n_refused = 2;
        assert_non_null(strstr(format(&f), "rules: is missing, and 1 more file; "));
        f.n_refused = 3;
        assert_non_null(strstr(format(&f), "rules: is missing, and 2 more files; "));
}

static void test_the_ledger_has_its_own_words(_unused_ void **state) {
        StatusFacts f = well;

        f.ledger = STATUS_LEDGER_CONNECTING;
        assert_string_equal(format(&f),
                            "connecting to the ledger; 3 services, 2 watching, 1 blind");
        f.ledger = STATUS_LEDGER_UP;
        f.ledger_words = "its schema is one behind: type rollbackctl db migrate";
        assert_string_equal(format(&f), "ledger: its schema is one behind: type rollbackctl db "
                                        "migrate; 3 services, 2 watching, 1 blind");
        /* What came from outside stays one line. */
        f.ledger = STATUS_LEDGER_DOWN;
        f.ledger_words = "no\nREADY=1";
        assert_string_equal(format(&f), "ledger unreachable: no\\x0aREADY=1; 3 services, 2 "
                                        "watching, 1 blind");
        f.ledger = STATUS_LEDGER_UNUSABLE;
        f.ledger_words = "no schema";
        assert_string_equal(format(&f), "ledger unusable: no schema; 3 services, 2 watching, 1 "
                                        "blind");
}

static void test_stopping_says_what_is_waited_for(_unused_ void **state) {
        StatusFacts f = well;

        f.stopping = "the commit of users-api 2.4.0 -> 2.3.0 is being answered";
        assert_string_equal(format(&f), "stopping: the commit of users-api 2.4.0 -> 2.3.0 is "
                                        "being answered");
        f.ledger = STATUS_LEDGER_DOWN;
        f.ledger_words = "gone";
        assert_non_null(strstr(format(&f), "answered; ledger unreachable: gone"));
}

/* Valid UTF-8 to the end, no half word, and the dots. */
static void assert_cut_well(const char *text, const char *word) {
        size_t n = strlen(text), length = strlen(word);

        assert_true(n < STATUS_LINE_SIZE);
        assert_true(n > STATUS_LINE_SIZE / 2);
        assert_string_equal(text + n - 3, "...");
        assert_memory_equal(text + n - 3 - length, word, length);
}

static void test_it_is_cut_at_a_word(_unused_ void **state) {
        StatusFacts f = well;
        char name[400];
        STRBUF(words, 1024);
        STRBUF(path, 1024);

        for (size_t i = 0; i < 40; i++)
                strbuf_add(&words, "größer ");
        f.ledger = STATUS_LEDGER_DOWN;
        f.ledger_words = words.text;
        assert_non_null(strstr(format(&f), " größer...; 3 services"));
        f.n_refused = 2;
        for (size_t i = 0; i < 40; i++)
                strbuf_add(&path, "wörter ");
        f.refused = path.text;
        assert_cut_well(format(&f), " wörter");
        /* One word alone is cut between two characters, whatever comes before it. */
        f = well;
        f.n_bad = 1;
        for (size_t before = 0; before < 4; before++) {
                size_t n = before;

                memset(name, 'x', n);
                for (; n + 2 < sizeof name; n += 2)
                        memcpy(name + n, "ö", 2);
                name[n] = '\0';
                f.bad_service = name;
                assert_cut_well(format(&f), "ö");
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_all_is_well),
                cmocka_unit_test(test_nothing_is_configured),
                cmocka_unit_test(test_what_matters_comes_first),
                cmocka_unit_test(test_refused_files_are_named),
                cmocka_unit_test(test_the_ledger_has_its_own_words),
                cmocka_unit_test(test_stopping_says_what_is_waited_for),
                cmocka_unit_test(test_it_is_cut_at_a_word),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
