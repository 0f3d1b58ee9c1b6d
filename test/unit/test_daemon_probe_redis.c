/* The redis probe against real servers, and against one that says what it likes. */
#include <errno.h>
#include <math.h>
#include <sys/stat.h>

#include "private_redis.h"

static Harness h;

static void init(uint16_t port) {
        harness_init(&h, PROBE_REDIS, port);
        h.targets[0].scheme = TARGET_REDIS;
}

static const Result *go(void) {
        harness_begin(&h);
        harness_run(&h, 1);
        harness_done(&h);
        return &h.results[0];
}

static const Result *probe(const PrivateRedis *p) {
        init(p->number);
        return go();
}

static const Result *probe_role(const PrivateRedis *p, ServerRole role) {
        init(p->number);
        h.probe.redis.role = role;
        return go();
}

static void assert_result(const Result *r, ProbeOutcome outcome, const char *words) {
        if (r->outcome != outcome || !strstr(r->words, words))
                fail_msg("%s: \"%s\", not %s: \"%s\"", outcome_code(r->outcome), r->words,
                         outcome_code(outcome), words);
}

static void a_server_that_answers_is_good(void **state _unused_) {
        PrivateRedis p;

        private_redis_start(&p, NULL);
        const Result *r = probe(&p);
        assert_result(r, OUTCOME_OK, "");
        assert_string_equal(r->words, "");
        assert_true(result_value(r, "replicas") == 0);
        assert_true(result_value(r, "uptime_seconds") >= 0);
        assert_int_equal(r->n_values, 2);
        assert_result(probe_role(&p, ROLE_PRIMARY), OUTCOME_OK, "");
        assert_result(probe_role(&p, ROLE_REPLICA), OUTCOME_BAD_STATE, "a primary, not a replica");

        init(1);
        h.targets[0].socket = p.socket;
        assert_result(go(), OUTCOME_OK, "");

        private_redis_kill(&p);
        assert_result(probe(&p), OUTCOME_REFUSED, "refused");
        private_redis_remove(&p);
}

static void a_stopped_server_is_bad_at_the_deadline(void **state _unused_) {
        PrivateRedis p;

        private_redis_start(&p, NULL);
        assert_int_equal(kill(p.pid, SIGSTOP), 0);
        init(p.number);
        h.probe.timeout = 200 * USEC_PER_MSEC;
        assert_result(go(), OUTCOME_TIMEOUT, "no answer within 200 ms");
        private_redis_remove(&p);
}

static void a_replica_says_how_far_behind_it_is(void **state _unused_) {
        PrivateRedis primary, replica;

        private_redis_start(&primary, NULL);
        private_redis_start(&replica,
                            (const char *const[]){ "--replicaof", "127.0.0.1", primary.port,
                                                   "--replica-serve-stale-data", "yes", NULL });
        private_redis_wait(&replica, "INFO replication", "master_link_status:up");
        assert_true(result_value(probe(&primary), "replicas") == 1);

        const Result *r = probe_role(&replica, ROLE_REPLICA);
        assert_result(r, OUTCOME_OK, "");
        assert_true(result_value(r, "link_up") == 1);
        assert_true(result_value(r, "lag_seconds") >= 0);
        assert_result(probe_role(&replica, ROLE_PRIMARY), OUTCOME_BAD_STATE,
                      "a replica, not a primary");

        private_redis_kill(&primary);
        private_redis_wait(&replica, "INFO replication", "master_link_status:down");
        r = probe(&replica);
        assert_result(r, OUTCOME_OK, "");
        assert_true(result_value(r, "link_up") == 0);
        assert_true(result_value(r, "lag_seconds") >= 0);

        (void)private_redis_ask(&replica, "CONFIG SET replica-serve-stale-data no");
        assert_result(probe(&replica), OUTCOME_ERROR, "MASTERDOWN");
        private_redis_remove(&replica);
        private_redis_remove(&primary);
}

static void a_server_that_is_full_is_bad(void **state _unused_) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        PrivateRedis p;
        int fd;

        private_redis_start(&p, (const char *const[]){ "--maxclients", "1", NULL });
        (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", p.socket);
        /* The connection that asked whether it is there may be on its way out. */
        for (unsigned i = 0;; i++) {
                char answer[256] = "";

                fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
                assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
                assert_int_equal(send(fd, "PING\r\n", 6, MSG_NOSIGNAL), 6);
                if (recv(fd, answer, sizeof answer - 1, 0) > 0 && strstr(answer, "PONG"))
                        break;
                close(fd);
                assert_true(i < PRIVATE_REDIS_TRIES);
                (void)poll(NULL, 0, 20);
        }
        assert_result(probe(&p), OUTCOME_ERROR, "max number of clients");
        close(fd);
        private_redis_remove(&p);
}

static void secret(const PrivateRedis *p, const char *text) {
        char path[128];

        (void)snprintf(path, sizeof path, "%s/secret", p->folder);
        (void)unlink(path);
        if (!text)
                return;
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        assert_true(fputs(text, f) >= 0);
        assert_int_equal(fclose(f), 0);
        assert_int_equal(chmod(path, 0600), 0);
}

static const Result *probe_as(const PrivateRedis *p, const char *user, const char *password) {
        init(p->number);
        secret(p, password);
        h.probe.redis.user = (char *)user;
        h.probe.redis.password_file = (char *)"secret";
        const Result *r = go();
        assert_null(strstr(r->words, password ?: "\n"));
        secret(p, NULL);
        return r;
}

static void credentials_are_given_and_may_be_refused(void **state _unused_) {
        PrivateRedis p;

        private_redis_start(&p, NULL);
        assert_int_equal(setenv("CREDENTIALS_DIRECTORY", p.folder, 1), 0);
        assert_result(probe_as(&p, NULL, "needless"), OUTCOME_DENIED, "ERR AUTH");
        assert_string_equal(private_redis_ask(&p, "ACL SETUSER watcher on >pw-of-watcher -@all"),
                            "+OK\r\n");
        assert_result(probe_as(&p, "watcher", "pw-of-watcher"), OUTCOME_DENIED, "NOPERM");
        assert_string_equal(private_redis_ask(&p, "ACL SETUSER watcher +ping +info"), "+OK\r\n");
        assert_result(probe_as(&p, "watcher", "pw-of-watcher"), OUTCOME_OK, "");
        assert_result(probe_as(&p, "watcher", "another"), OUTCOME_DENIED, "WRONGPASS");
        assert_string_equal(private_redis_ask(&p, "CONFIG SET requirepass pw-of-all"), "+OK\r\n");
        assert_result(probe(&p), OUTCOME_DENIED, "NOAUTH");
        assert_result(probe_as(&p, NULL, "pw-of-all"), OUTCOME_OK, "");
        assert_result(probe_as(&p, NULL, NULL), OUTCOME_LOCAL, "secret");
        assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
        private_redis_remove(&p);
}

static void the_database_must_be_there(void **state _unused_) {
        PrivateRedis p;

        private_redis_start(&p, (const char *const[]){ "--databases", "4", NULL });
        init(p.number);
        h.probe.redis.database = 3;
        assert_result(go(), OUTCOME_OK, "");
        init(p.number);
        h.probe.redis.database = 4;
        assert_result(go(), OUTCOME_LOCAL, "DB index is out of range");
        private_redis_remove(&p);
}

static void a_busy_server_is_bad(void **state _unused_) {
        PrivateRedis p;

        private_redis_start(&p, (const char *const[]){ "--lua-time-limit", "1", NULL });
        pid_t busy = fork();
        assert_true(busy >= 0);
        if (busy == 0) {
                (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
                (void)private_redis_ask(&p, "EVAL \"while true do end\" 0");
                _exit(0);
        }
        private_redis_wait(&p, "PING", "BUSY");
        assert_result(probe(&p), OUTCOME_ERROR, "BUSY");
        (void)kill(busy, SIGKILL);
        (void)waitpid(busy, NULL, 0);
        private_redis_remove(&p);
}

/* What the server of the next script answers to whatever is asked. */
static const char *said;
static size_t said_n;

static void say_and_wait(int fd, unsigned n _unused_) {
        char first;

        if (recv(fd, &first, 1, 0) == 1 && script_send_n(fd, said, said_n))
                script_wait_close(fd);
}

static void say_and_close(int fd, unsigned n _unused_) {
        char text[4096];

        if (recv(fd, text, sizeof text, 0) > 0)
                (void)script_send_n(fd, said, said_n);
}

static void say_for_ever(int fd, unsigned n _unused_) {
        while (script_send_n(fd, said, said_n))
                ;
}

static const Result *probe_liar(ServerScript script, const char *text) {
        said = text;
        said_n = strlen(text);
        init(1);
        h.probe.timeout = 500 * USEC_PER_MSEC;
        const Result *r = harness_probe_once(&h, script);
        harness_done(&h);
        return r;
}

static void what_is_not_redis_is_bad(void **state _unused_) {
        static const struct {
                ServerScript script;
                const char *text;
                ProbeOutcome outcome;
                const char *words;
        } cases[] = {
                { say_and_wait, "HTTP/1.1 400 Bad Request\r\n\r\n", OUTCOME_PROTOCOL,
                  "not an answer" },
                { say_and_wait, "+OK\r\n", OUTCOME_PROTOCOL, "not what Redis answers: OK" },
                { say_and_wait, ":1\r\n", OUTCOME_PROTOCOL, "not what" },
                { say_and_wait, "*1000000000\r\n", OUTCOME_PROTOCOL, "not an answer" },
                { say_and_wait, "*2147483647\r\n", OUTCOME_PROTOCOL, "not an answer" },
                { say_and_wait, "*-2\r\n", OUTCOME_PROTOCOL, "not an answer" },
                { say_and_wait, "%1\r\n+a\r\n+b\r\n", OUTCOME_PROTOCOL, "not an answer" },
                { say_and_wait, "+PONG\r\n*1\r\n*1\r\n+x\r\n", OUTCOME_PROTOCOL, "not an answer" },
                { say_and_wait, "-LOADING \x1b[31mRedis is loading\r\n", OUTCOME_ERROR,
                  "LOADING \\x1b[31mRedis is loading" },
                { say_and_wait, "+PONG\r\n$1073741824\r\nrole:master\r\n", OUTCOME_TIMEOUT,
                  "no end of the answer within" },
                { say_and_wait, "+PO", OUTCOME_TIMEOUT, "no end of the answer within" },
                { say_and_wait, "", OUTCOME_TIMEOUT, "no answer within" },
                { say_and_close, "", OUTCOME_CLOSED, "without an answer" },
                { say_and_close, "+PO", OUTCOME_CLOSED, "before the end" },
                { say_and_close, "+PONG\r\n", OUTCOME_CLOSED, "before the end" },
                { say_for_ever, "xxxxxxxxxxxxxxxx", OUTCOME_PROTOCOL, "not an answer" },
                { say_for_ever, "+xxxxxxxxxxxxxxxx", OUTCOME_TOO_LARGE, "64KiB" },
                { say_for_ever, "$2147483647\r\n", OUTCOME_TOO_LARGE, "64KiB" },
                { say_and_wait, "+PONG\r\n$11\r\nrole:master\r\n$0\r\n\r\n", OUTCOME_OK, "" },
                { say_and_wait, "+PONG\r\n$0\r\n\r\n$0\r\n\r\n", OUTCOME_OK, "" },
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_result(probe_liar(cases[i].script, cases[i].text), cases[i].outcome,
                              cases[i].words);
}

static void a_nul_ends_nothing(void **state _unused_) {
        static const char text[] = "+PONG\r\n$8\r\nrole:\0ab\r\n$0\r\n\r\n";

        said = text;
        said_n = sizeof text - 1;
        init(1);
        h.probe.redis.role = ROLE_PRIMARY;
        assert_result(harness_probe_once(&h, say_and_wait), OUTCOME_NO_DATA, "does not say");
        harness_done(&h);
}

static void say_byte_by_byte(int fd, unsigned n _unused_) {
        static const char text[] = "+PONG\r\n$40\r\nrole:slave\r\nmaster_link_status:up\r\nx:1\r\n"
                                   "\r\n$22\r\nuptime_in_seconds:1234\r\n";

        for (size_t i = 0; i < sizeof text - 1 && script_send_n(fd, text + i, 1); i++)
                (void)poll(NULL, 0, 1);
        script_wait_close(fd);
}

static void an_answer_may_come_in_any_pieces(void **state _unused_) {
        init(1);
        const Result *r = harness_probe_once(&h, say_byte_by_byte);
        assert_result(r, OUTCOME_OK, "");
        assert_true(result_value(r, "uptime_seconds") == 1234);
        assert_true(result_value(r, "link_up") == 1);
        assert_true(isnan(result_value(r, "lag_seconds")));
        harness_done(&h);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_server_that_answers_is_good),
                cmocka_unit_test(a_stopped_server_is_bad_at_the_deadline),
                cmocka_unit_test(a_replica_says_how_far_behind_it_is),
                cmocka_unit_test(a_server_that_is_full_is_bad),
                cmocka_unit_test(credentials_are_given_and_may_be_refused),
                cmocka_unit_test(the_database_must_be_there),
                cmocka_unit_test(a_busy_server_is_bad),
                cmocka_unit_test(what_is_not_redis_is_bad),
                cmocka_unit_test(a_nul_ends_nothing),
                cmocka_unit_test(an_answer_may_come_in_any_pieces),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
