/* test_daemon_ledger_advice.c: what a person is told about a failure of the ledger. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "ledger_advice.h"

static const LedgerPlace with_secret = { .configured = true,
                                         .secret = "/etc/rollbackd/secrets/ledger",
                                         .reload = "systemctl reload rollbackd" };
static const LedgerPlace without_secret = { .configured = true };
static const LedgerPlace person = { .configured = false };

static PgFailure failure(const char *sqlstate, const char *routine, const char *message) {
        PgFailure f = { .error = PG_RETRY, .user = "rollbackd", .database = "platform" };

        (void)snprintf(f.sqlstate, sizeof f.sqlstate, "%s", sqlstate);
        (void)snprintf(f.routine, sizeof f.routine, "%s", routine);
        (void)snprintf(f.message, sizeof f.message, "%s", message);
        return f;
}

static void expect(const PgFailure *f, const LedgerPlace *place, const char *text) {
        STRBUF(words, LEDGER_WORDS_SIZE);

        ledger_add_advice(&words, f, place);
        assert_false(words.overflow);
        assert_string_equal(words.text, text);
}

static void a_password_is_corrected_where_it_is_kept(_unused_ void **state) {
        PgFailure f = failure("28P01", "auth_failed", "no");

        expect(&f, &with_secret,
               "password authentication failed for rollbackd: put the right password into "
               "/etc/rollbackd/secrets/ledger, then: systemctl reload rollbackd (no)");
        expect(&f, &without_secret,
               "password authentication failed for rollbackd: let ledger.password_file "
               "name the secret that holds it (no)");
        expect(&f, &person,
               "password authentication failed for rollbackd: write it into ~/.pgpass, mode 0600 "
               "(no)");
}

/* The words of a server are translated: the function that refused decides. */
static void the_servers_words_do_not_matter(_unused_ void **state) {
        PgFailure f = failure("28000", "ClientAuthentication", "kein Eintrag");

        expect(&f, &with_secret,
               "no line of the server's pg_hba.conf lets rollbackd into platform: add the one that "
               "runuser -u postgres -- rollbackctl db init --database platform prints (kein "
               "Eintrag)");
        f = failure("28000", "InitializeSessionUserId", "x");
        expect(&f, &with_secret,
               "the role rollbackd does not exist or may not log in: run: runuser -u postgres -- "
               "rollbackctl db init --database platform (x)");
        /* A person's own role is made for him; the daemon's is made with the ledger. */
        expect(&f, &person,
               "the role rollbackd does not exist or may not log in: run: runuser -u postgres -- "
               "rollbackctl db init --database platform (x)");
        (void)snprintf(f.user, sizeof f.user, "carol");
        expect(&f, &person,
               "the role carol does not exist or may not log in: for a person run: runuser -u "
               "postgres -- rollbackctl db init --database platform --operator carol; for a "
               "pipeline, in psql: CREATE ROLE carol LOGIN IN ROLE rollbackd_deployer (x)");
        f = failure("28000", "auth_failed", "x");
        expect(&f, &with_secret,
               "the server does not believe that this is rollbackd: see its log; with peer in "
               "pg_hba.conf the daemon's system user must have that name (x)");
        expect(&f, &person,
               "the server does not believe that this is rollbackd: see its log; with peer in "
               "pg_hba.conf the system user must have that name: runuser -u rollbackd -- "
               "rollbackctl ..., or name your own role by --conninfo (x)");
        /* Its words are those of another row. */
        f = failure("57P03", "", "Connection refused");
        expect(&f, &with_secret,
               "the server is starting, stopping or recovering: wait, or see its log; rollbackd "
               "goes on trying (Connection refused)");
}

static void a_name_is_quoted_for_the_shell(_unused_ void **state) {
        PgFailure f = failure("3F000", "", "x");

        (void)snprintf(f.database, sizeof f.database, "%s", "it's $HOME");
        expect(&f, &with_secret,
               "the database 'it'\\''s $HOME' has no schema rollbackd: run: runuser -u postgres -- "
               "rollbackctl db init --database 'it'\\''s $HOME' (x)");
        f.database[0] = '\0';
        expect(&f, &with_secret,
               "the database NAME has no schema rollbackd: run: runuser -u postgres -- rollbackctl "
               "db "
               "init --database NAME (x)");
}

static void what_nobody_foresaw_is_told_as_it_is(_unused_ void **state) {
        PgFailure f = failure("99999", "", "a surprise");

        expect(&f, &with_secret, "a surprise");
        assert_false(ledger_needs_a_person(&f));
        f = failure("", "", "secret x: cannot be opened (No such file or directory); write it");
        f.error = PG_CONFIGURATION;
        expect(&f, &with_secret, f.message);
        assert_true(ledger_needs_a_person(&f));
}

static void what_passes_by_itself_needs_nobody(_unused_ void **state) {
        const struct {
                const char *sqlstate, *message;
                bool person;
        } want[] = {
                { "28P01", "", true },
                { "3D000", "", true },
                { "42501", "", true },
                { "25006", "", true },
                { "53300", "", false },
                { "53100", "", false },
                { "57P03", "", false },
                { "", "connection to server failed: Connection refused", false },
                { "", "could not translate host name \"x\" to address", false },
                { "", "SSL error: certificate verify failed", true },
                { "", "server does not support SSL, but SSL was required", true },
                { "", "fe_sendauth: no password supplied", true },
                { "", "definition of service \"x\" not found", true },
        };

        for (size_t i = 0; i < ELEMENTSOF(want); i++) {
                PgFailure f = failure(want[i].sqlstate, "", want[i].message);

                assert_int_equal(ledger_needs_a_person(&f), want[i].person);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_password_is_corrected_where_it_is_kept),
                cmocka_unit_test(the_servers_words_do_not_matter),
                cmocka_unit_test(a_name_is_quoted_for_the_shell),
                cmocka_unit_test(what_nobody_foresaw_is_told_as_it_is),
                cmocka_unit_test(what_passes_by_itself_needs_nobody),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
