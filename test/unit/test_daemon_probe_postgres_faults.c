/* The postgres probe when something is wrong: servers that are down, stopped, full or not what they
 * should be, passwords, standbys, name servers that do not answer. */
#include "postgres_visits.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

static char conninfo[240];

static const char *with(const char *more) {
        (void)snprintf(conninfo, sizeof conninfo, "%s %s", server.conninfo, more);
        return conninfo;
}

static void a_server_that_is_gone_is_refused(void **state _unused_) {
        ScriptedServer nobody;

        private_postgres_kill(&server);
        assert_result(ask(NULL), OUTCOME_REFUSED, "");
        server_listen(&nobody);
        server_stop(&nobody);
        (void)snprintf(conninfo, sizeof conninfo, "host=127.0.0.1 port=%u", nobody.port);
        const Result *r = visit(conninfo, NULL);
        assert_result(r, OUTCOME_REFUSED, "Connection refused");
        assert_int_equal(outcome_verdict(r->outcome), TRI_BAD);
        assert_true(private_postgres_again(&server));
}

static void a_server_that_is_stopped_times_out(void **state _unused_) {
        Harness h;

        visit_init(&h, server.conninfo, NULL);
        h.probe.timeout = 300 * USEC_PER_MSEC;
        assert_int_equal(kill(server.pid, SIGSTOP), 0);
        const Result *r = visit_go(&h);
        assert_int_equal(kill(server.pid, SIGCONT), 0);
        assert_int_equal(r->outcome, OUTCOME_TIMEOUT);
        assert_string_equal(r->words, "no connection within 300 ms");
}

static void a_server_that_is_full_is_bad(void **state _unused_) {
        PgSync *held[8] = {};
        PgFailure failure;
        size_t n = 0;

        sql("CREATE ROLE plain LOGIN");
        sql("ALTER SYSTEM SET max_connections = 6");
        sql("ALTER SYSTEM SET max_wal_senders = 2");
        private_postgres_kill(&server);
        assert_true(private_postgres_again(&server));
        while (n < ELEMENTSOF(held) &&
               pg_sync_connect(&held[n], with("user=plain"), NULL, &failure) >= 0)
                n++;
        assert_true(n > 0 && n < ELEMENTSOF(held));
        assert_result(visit(with("user=plain"), NULL), OUTCOME_ERROR, "53300: ");
        assert_int_equal(outcome_verdict(OUTCOME_ERROR), TRI_BAD);
        while (n > 0)
                pg_sync_free(held[--n]);
        sql("ALTER SYSTEM RESET ALL");
        private_postgres_kill(&server);
        assert_true(private_postgres_again(&server));
        sql("DROP ROLE plain");
}

static void write_file(const char *path, const char *text) {
        FILE *f = fopen(path, "w");

        assert_non_null(f);
        assert_true(fputs(text, f) >= 0);
        assert_int_equal(fclose(f), 0);
        assert_int_equal(chmod(path, 0600), 0);
}

static const Result *visit_with_password(const char *folder, const char *password) {
        static Harness h;
        char path[128];

        (void)snprintf(path, sizeof path, "%s/secret", folder);
        if (password)
                write_file(path, password);
        visit_init(&h, with("user=guarded"), NULL);
        h.probe.postgres.password_file = (char *)"secret";
        const Result *r = visit_go(&h);
        (void)unlink(path);
        assert_true(!password || !strstr(r->words, password));
        return r;
}

static void a_password_is_given_and_may_be_wrong(void **state _unused_) {
        char folder[] = "/tmp/secret.XXXXXX", path[128], old[8192];

        (void)snprintf(path, sizeof path, "%s/data/pg_hba.conf", server.folder);
        FILE *f = fopen(path, "r");
        assert_non_null(f);
        old[fread(old, 1, sizeof old - 1, f)] = '\0';
        fclose(f);
        sql("SET password_encryption = 'scram-sha-256'; CREATE ROLE guarded LOGIN PASSWORD"
            " 'right-one'");
        f = fopen(path, "w");
        assert_non_null(f);
        assert_true(fprintf(f, "local all guarded scram-sha-256\n%s", old) > 0);
        assert_int_equal(fclose(f), 0);
        sql("SELECT pg_reload_conf()");
        assert_non_null(mkdtemp(folder));
        assert_int_equal(setenv("CREDENTIALS_DIRECTORY", folder, 1), 0);
        /* The postmaster takes the new file in a moment of its own. */
        for (unsigned i = 0; visit(with("user=guarded"), NULL)->outcome == OUTCOME_OK; i++) {
                assert_true(i < 1000);
                (void)poll(NULL, 0, 20);
        }
        assert_result(visit(with("user=guarded"), NULL), OUTCOME_DENIED, "no password supplied");
        assert_result(visit_with_password(folder, "right-one"), OUTCOME_OK, "");
        assert_result(visit_with_password(folder, "wrong-one"), OUTCOME_DENIED, "28P01");
        assert_result(visit_with_password(folder, NULL), OUTCOME_LOCAL, "secret");
        assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
        assert_int_equal(rmdir(folder), 0);
        write_file(path, old);
        sql("DROP ROLE guarded; SELECT pg_reload_conf()");
}

static const Result *visit_role(const PrivatePostgres *p, ServerRole role) {
        static Harness h;

        visit_init(&h, p->conninfo, NULL);
        h.probe.postgres.role = role;
        return visit_go(&h);
}

static void wait_at(const PrivatePostgres *p, const char *script, const char *wanted) {
        for (unsigned i = 0; strcmp(sql_at(p, script), wanted) != 0; i++) {
                if (i == 1000)
                        fail_msg("%s never gives %s", script, wanted);
                (void)poll(NULL, 0, 20);
        }
}

static void a_standby_says_how_far_behind_it_is(void **state _unused_) {
        PrivatePostgres standby;

        sql("CREATE TABLE written (n int)");
        assert_true(private_postgres_follow(&standby, &server));
        wait_at(&standby, "SELECT count(*) FROM pg_stat_wal_receiver", "1");
        assert_result(visit_role(&standby, ROLE_PRIMARY), OUTCOME_BAD_STATE,
                      "a replica, not a primary");
        const Result *r = visit_role(&standby, ROLE_REPLICA);
        assert_result(r, OUTCOME_OK, "");
        assert_true(result_value(r, "in_recovery") == 1 && result_value(r, "receiving") == 1);
        assert_false(isnan(result_value(r, "lag_bytes")));

        /* The age of what was replayed last is known once something was. */
        sql("INSERT INTO written VALUES (0)");
        wait_at(&standby, "SELECT count(*) FROM written", "1");
        sql_at(&standby, "SELECT pg_wal_replay_pause()");
        wait_at(&standby, "SELECT pg_get_wal_replay_pause_state()", "paused");
        sql("INSERT INTO written SELECT generate_series(1, 1000)");
        wait_at(&standby, "SELECT pg_last_wal_receive_lsn() > pg_last_wal_replay_lsn()", "t");
        r = visit_role(&standby, ROLE_REPLICA);
        assert_result(r, OUTCOME_OK, "");
        assert_true(result_value(r, "lag_bytes") > 0);
        assert_true(result_value(r, "lag_seconds") > 0);

        sql_at(&standby, "SELECT pg_wal_replay_resume()");
        wait_at(&standby, "SELECT pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()", "t");
        private_postgres_kill(&server);
        wait_at(&standby, "SELECT count(*) FROM pg_stat_wal_receiver", "0");
        /* Nothing more comes, and all of it is replayed: that is no proof of being up to date. */
        r = visit_role(&standby, ROLE_REPLICA);
        assert_true(result_value(r, "receiving") == 0);
        assert_true(result_value(r, "lag_seconds") > 0);
        private_postgres_remove(&standby);
        assert_true(private_postgres_again(&server));
        sql("DROP TABLE written");
}

static void a_name_that_does_not_resolve_is_unknown(void **state _unused_) {
        const Result *r = visit("host=no-such-host.invalid", NULL);

        assert_result(r, OUTCOME_RESOLVER, "no-such-host.invalid");
        assert_int_equal(outcome_verdict(r->outcome), TRI_UNKNOWN);
}

static sem_t gate;

static void *wait_at_gate(void *argument _unused_) {
        while (sem_wait(&gate) < 0)
                ;
        return NULL;
}

static void no_answer(void *userdata _unused_, int r _unused_, void *value _unused_) {
}

static void workers_that_are_held_are_unknown(void **state _unused_) {
        Harness h;

        assert_int_equal(sem_init(&gate, 0, 0), 0);
        visit_init(&h, server.conninfo, NULL);
        h.probe.timeout = 100 * USEC_PER_MSEC;
        for (unsigned i = 0; i < HARNESS_WORKERS; i++) {
                OffloadTask *task;

                assert_int_equal(offload_run(h.offload, wait_at_gate, &gate, NULL, NULL,
                                             USEC_PER_MINUTE, no_answer, NULL, &task),
                                 0);
        }
        harness_begin(&h);
        harness_run(&h, 1);
        assert_result(&h.results[0], OUTCOME_RESOLVER, "none of rollbackd's workers");
        assert_int_equal(prober_counts(h.prober).in_flight, 0);
        for (unsigned i = 0; i < HARNESS_WORKERS; i++)
                sem_post(&gate);
        harness_done(&h);
}

typedef struct Holding {
        Harness h;
        LoopTimer *timer;
} Holding;

static void let_go(void *userdata _unused_, usec_t now _unused_) {
        for (unsigned i = 0; i < HARNESS_WORKERS; i++)
                sem_post(&gate);
}

/* One visit that gets a worker only after that time. */
static const Result *visit_late(Holding *l, usec_t held) {
        assert_int_equal(sem_init(&gate, 0, 0), 0);
        for (unsigned i = 0; i < HARNESS_WORKERS; i++)
                assert_int_equal(offload_run(l->h.offload, wait_at_gate, &gate, NULL, NULL,
                                             USEC_PER_MINUTE, no_answer, NULL, NULL),
                                 0);
        assert_int_equal(loop_add_timer(l->h.loop, let_go, l, "let go", &l->timer), 0);
        loop_timer_set(l->timer, usec_add(loop_now(l->h.loop), held));
        harness_begin(&l->h);
        harness_run(&l->h, 1);
        loop_timer_free(l->timer);
        harness_done(&l->h);
        return &l->h.results[0];
}

static void what_our_workers_take_is_not_the_servers_time(void **state _unused_) {
        const usec_t held = 2500 * USEC_PER_MSEC;
        static Holding l;

        visit_init(&l.h, server.conninfo, NULL);
        l.h.probe.latency = 2 * USEC_PER_SEC;
        const Result *r = visit_late(&l, held);
        assert_result(r, OUTCOME_OK, "");
        assert_true(r->at - r->started >= held);
        assert_true(result_value(r, "connect_seconds") < 2);

        l.timer = NULL;
        visit_init(&l.h, server.conninfo, NULL);
        l.h.probe.timeout = 3 * USEC_PER_SEC;
        assert_int_equal(kill(server.pid, SIGSTOP), 0);
        r = visit_late(&l, held);
        assert_int_equal(kill(server.pid, SIGCONT), 0);
        assert_result(r, OUTCOME_TIMEOUT, "no connection within 3 s");
        assert_true(r->at - r->started >= held + l.h.probe.timeout);
}

static const char *said;
static size_t said_n;

static void say_and_wait(int fd, unsigned n _unused_) {
        char text[4096];

        if (recv(fd, text, sizeof text, 0) > 0 && script_send_n(fd, said, said_n))
                script_wait_close(fd);
}

static void say_and_close(int fd, unsigned n _unused_) {
        char text[4096];

        if (recv(fd, text, sizeof text, 0) > 0)
                (void)script_send_n(fd, said, said_n);
}

static const Result *visit_liar(ServerScript script, const char *text, size_t n) {
        static Harness h;
        ScriptedServer liar;

        said = text;
        said_n = n;
        server_start(&liar, script);
        (void)snprintf(conninfo, sizeof conninfo,
                       "host=127.0.0.1 port=%u user=u sslmode=disable gssencmode=disable",
                       liar.port);
        visit_init(&h, conninfo, NULL);
        h.probe.timeout = 500 * USEC_PER_MSEC;
        const Result *r = visit_go(&h);
        server_stop(&liar);
        return r;
}

static void what_is_not_postgresql_is_bad(void **state _unused_) {
#define SAID(text) text, sizeof text - 1
        static const struct {
                ServerScript script;
                const char *text;
                size_t n;
                ProbeOutcome outcome;
                const char *words;
        } cases[] = {
                { say_and_wait, SAID("HTTP/1.1 400 Bad Request\r\n\r\n"), OUTCOME_PROTOCOL,
                  "expected authentication request" },
                { say_and_wait, SAID(""), OUTCOME_TIMEOUT, "no connection within" },
                { say_and_wait, SAID("R\0\0"), OUTCOME_TIMEOUT, "no connection within" },
                { say_and_wait, SAID("R\x7f\xff\xff\xff"), OUTCOME_PROTOCOL, "" },
                { say_and_close, SAID(""), OUTCOME_CLOSED, "closed the connection" },
                { say_and_wait, SAID("E\0\0\0\x28SFATAL\0C57P03\0Mthe system starts up\0\0"),
                  OUTCOME_ERROR, "57P03: the system starts up" },
                { say_and_wait, SAID("R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I"), OUTCOME_TIMEOUT,
                  "no answer within" },
                { say_and_close, SAID("R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I"), OUTCOME_CLOSED, "" },
                { say_and_wait, SAID("R\0\0\0\x08\0\0\0\0Z\0\0\0\x05ID\x7f\xff\xff\xff"),
                  OUTCOME_PROTOCOL, "lost synchronization" },
                { say_and_wait, SAID("R\0\0\0\x08\0\0\0\0Z\0\0\0\x05ID\x10\0\0\0"), OUTCOME_TIMEOUT,
                  "no answer within" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_result(visit_liar(cases[i].script, cases[i].text, cases[i].n),
                              cases[i].outcome, cases[i].words);
}

static unsigned char alert;

/* Agrees to TLS, and breaks its handshake off with the alert. */
static void break_off_tls(int fd, unsigned n _unused_) {
        const unsigned char record[] = { 0x15, 3, 3, 0, 2, 2, alert };
        char text[4096];

        if (recv(fd, text, sizeof text, 0) > 0 && script_send_n(fd, "S", 1) &&
            recv(fd, text, sizeof text, 0) > 0 && script_send_n(fd, record, sizeof record))
                script_wait_close(fd);
}

static void a_certificate_of_ours_that_is_refused_convicts_nobody(void **state _unused_) {
        static const struct {
                unsigned char alert;
                ProbeOutcome outcome;
        } cases[] = {
                { 42, OUTCOME_DENIED },  { 43, OUTCOME_DENIED }, { 44, OUTCOME_DENIED },
                { 45, OUTCOME_DENIED },  { 46, OUTCOME_DENIED }, { 48, OUTCOME_DENIED },
                { 49, OUTCOME_DENIED },  { 40, OUTCOME_TLS },    { 80, OUTCOME_TLS },
                { 116, OUTCOME_DENIED },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                ScriptedServer one;

                alert = cases[i].alert;
                server_start(&one, break_off_tls);
                (void)snprintf(conninfo, sizeof conninfo,
                               "host=127.0.0.1 port=%u user=u sslmode=require", one.port);
                assert_result(visit(conninfo, NULL), cases[i].outcome, "SSL error: ");
                server_stop(&one);
        }
}

static void a_statement_for_another_state_is_our_own_mistake(void **state _unused_) {
        sql("CREATE DATABASE shut ALLOW_CONNECTIONS false");
        assert_result(ask("SELECT pg_wal_replay_pause()"), OUTCOME_LOCAL, "55000: recovery");
        assert_result(ask("SELECT repeat('x', 2147483647)"), OUTCOME_LOCAL, "54000: ");
        assert_result(visit(with("dbname=shut"), NULL), OUTCOME_ERROR, "55000: ");
        sql("DROP DATABASE shut");
}

static void what_a_pooler_refuses_may_be_ours(void **state _unused_) {
        static const struct {
                const char *words;
                ProbeOutcome outcome;
        } cases[] = {
                { "no such database: nodb", OUTCOME_LOCAL },
                { "unsupported startup parameter: options", OUTCOME_LOCAL },
                { "\"trust\" authentication failed", OUTCOME_DENIED },
                { "query_wait_timeout", OUTCOME_ERROR },
                { "server login failed: FATAL password authentication failed", OUTCOME_ERROR },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char text[128] = "E\0\0\0?SFATAL\0C08P01\0M";
                size_t n = strlen(cases[i].words), head = sizeof "E\0\0\0?SFATAL\0C08P01\0M" - 1;

                memcpy(text + head, cases[i].words, n);
                text[4] = (char)(head + n + 1);
                assert_result(visit_liar(say_and_wait, text, head + n + 2), cases[i].outcome,
                              cases[i].words);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_a_pooler_refuses_may_be_ours),
                cmocka_unit_test(a_certificate_of_ours_that_is_refused_convicts_nobody),
                cmocka_unit_test(a_statement_for_another_state_is_our_own_mistake),
                cmocka_unit_test(a_server_that_is_gone_is_refused),
                cmocka_unit_test(a_server_that_is_stopped_times_out),
                cmocka_unit_test(a_server_that_is_full_is_bad),
                cmocka_unit_test(a_password_is_given_and_may_be_wrong),
                cmocka_unit_test(a_standby_says_how_far_behind_it_is),
                cmocka_unit_test(a_name_that_does_not_resolve_is_unknown),
                cmocka_unit_test(workers_that_are_held_are_unknown),
                cmocka_unit_test(what_our_workers_take_is_not_the_servers_time),
                cmocka_unit_test(what_is_not_postgresql_is_bad),
        };

        return cmocka_run_group_tests(tests, start_server, stop_server);
}
