/* https targets, against real servers with real certificates. A server names in X-Version which of
 * its connections answered, as which of the answers on it, and whether the session was resumed. */
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/ssl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "tls_site.h"

static void say_version(void *ssl, unsigned n, unsigned k) {
        STRBUF(b, 256);

        strbuf_add(&b, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Version: ");
        strbuf_add_u64(&b, n);
        strbuf_add_char(&b, '.');
        strbuf_add_u64(&b, k);
        strbuf_add(&b, tls_site_resumed(ssl) ? ".resumed\r\n\r\nok" : ".full\r\n\r\nok");
        tls_site_say(ssl, b.text);
}

static void serve(int fd, unsigned n) {
        void *ssl = tls_site_accept(fd);
        bool last = false;

        for (unsigned k = 0; ssl && !last && tls_site_hear(ssl, &last); k++)
                say_version(ssl, n, k);
        tls_site_hang_up(ssl, true);
}

static void serve_text(int fd, const char *text, bool farewell) {
        void *ssl = tls_site_accept(fd);
        bool last;

        if (ssl && tls_site_hear(ssl, &last))
                tls_site_say(ssl, text);
        tls_site_hang_up(ssl, farewell);
}

static void serve_until_close(int fd, unsigned n _unused_) {
        serve_text(fd, "HTTP/1.1 200 OK\r\n\r\nok", true);
}

static void serve_until_cut(int fd, unsigned n _unused_) {
        serve_text(fd, "HTTP/1.1 200 OK\r\n\r\nok", false);
}

static void serve_half(int fd, unsigned n _unused_) {
        serve_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", false);
}

static void serve_page(int fd, unsigned n _unused_) {
        serve_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\na 1\n", true);
}

/* A body in records of a few bytes each, many of which are received at once. */
static void serve_crumbs(int fd, unsigned n _unused_) {
        void *ssl = tls_site_accept(fd);
        bool last;

        if (ssl && tls_site_hear(ssl, &last)) {
                tls_site_say(ssl, "HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n");
                for (unsigned i = 0; i < 1000; i++)
                        tls_site_say(ssl, "crum");
                script_wait_close(fd);
        }
        tls_site_hang_up(ssl, false);
}

static void serve_plain(int fd, unsigned n _unused_) {
        char byte;

        (void)!recv(fd, &byte, 1, MSG_PEEK);
        (void)script_send(fd, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        shutdown(fd, SHUT_WR);
        script_wait_close(fd);
}

static void serve_banner(int fd, unsigned n _unused_) {
        (void)script_send(fd, "220 mail.example.org ESMTP\r\n");
        script_wait_close(fd);
}

static void serve_silence(int fd, unsigned n _unused_) {
        script_wait_close(fd);
}

static void serve_nobody(int fd, unsigned n _unused_) {
        char byte;

        (void)!recv(fd, &byte, 1, MSG_PEEK);
        shutdown(fd, SHUT_WR);
        script_wait_close(fd);
}

/* Written over by each test, then handed to probe(). */
typedef struct Plan {
        TlsSite site;
        ServerScript script;
        ProbeKindId kind;
        TlsConfig tls;
        uint32_t reuse;
        const char *host;
        size_t n;                               /* probes */
        void (*act)(Harness *h, size_t n_done); /* before the next probe */
} Plan;

static Plan plan_good(void) {
        return (Plan){
                .site = { .certificate = "good.pem", .key = "good.key" },
                .script = serve,
                .tls = { .verify = true, .ca_file = (char *)tls_site_path("ca.pem") },
                .host = "127.0.0.1",
                .n = 1,
        };
}

static void probe_again(Harness *h, const Result *r _unused_) {
        const Plan *p = h->extra;

        if (p->act)
                p->act(h, h->n_results);
        if (h->n_results < h->wanted)
                prober_probe_now(h->prober, 7, 0);
}

static void listen_six(ScriptedServer *s) {
        struct sockaddr_in6 name = { .sin6_family = AF_INET6, .sin6_addr = in6addr_loopback };
        socklen_t length = sizeof name;

        *s = (ScriptedServer){ .fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0) };
        assert_int_equal(bind(s->fd, (struct sockaddr *)&name, sizeof name), 0);
        assert_int_equal(listen(s->fd, 16), 0);
        assert_int_equal(getsockname(s->fd, (struct sockaddr *)&name, &length), 0);
        s->port = ntohs(name.sin6_port);
}

static const Result *probe(Harness *h, Plan *p) {
        ScriptedServer s;

        tls_site = p->site;
        harness_init(h, p->kind, 0);
        h->probe.reuse = p->reuse;
        h->probe.tls = p->tls;
        h->probe.http.call.version_header = (char *)"X-Version";
        h->probe.timeout = 500 * USEC_PER_MSEC;
        if (p->script != serve_silence)
                h->probe.timeout = 20 * USEC_PER_SEC;
        if (streq(p->host, "::1"))
                listen_six(&s);
        else
                server_listen(&s);
        server_serve(&s, p->script);
        h->targets[0].tls = true;
        h->targets[0].host = (char *)p->host;
        h->targets[0].port = s.port;
        h->react = probe_again;
        h->extra = p;
        harness_begin(h);
        harness_run(h, p->n);
        harness_done(h);
        server_stop(&s);
        return &h->results[0];
}

static void assert_outcome(const Result *r, ProbeOutcome outcome, const char *words) {
        assert_string_equal(outcome_code(r->outcome), outcome_code(outcome));
        if (words && !strstr(r->words, words))
                fail_msg("\"%s\" does not say \"%s\"", r->words, words);
}

static void check(Plan *p, ProbeOutcome outcome, const char *words) {
        Harness h;

        assert_outcome(probe(&h, p), outcome, words);
}

static double days(const Result *r) {
        assert_int_equal(r->n_values, 1);
        assert_string_equal(r->values[0].name, "certificate_days");
        return r->values[0].value;
}

static void a_good_certificate_is_good_and_its_days_are_told(void **state _unused_) {
        Harness h;
        Plan p = plan_good();
        const Result *r = probe(&h, &p);

        assert_outcome(r, OUTCOME_OK, "");
        assert_string_equal(r->version, "0.0.full");
        assert_true(days(r) > 29.9 && days(r) <= 30);
}

static void names_and_addresses_are_checked(void **state _unused_) {
        Plan p = plan_good();

        p.tls.server_name = (char *)"localhost";
        check(&p, OUTCOME_OK, "");
        /* As a name is written that no search domain is to be added to. */
        p.tls.server_name = (char *)"localhost.";
        check(&p, OUTCOME_OK, "");
        p.tls.server_name = (char *)"users.example.org";
        check(&p, OUTCOME_TLS_NAME, "the certificate is not for users.example.org");
        p.tls.server_name = NULL;
        p.host = "::1";
        check(&p, OUTCOME_OK, "");
        p.site.certificate = "elsewhere.pem";
        p.site.key = "elsewhere.key";
        check(&p, OUTCOME_TLS_NAME, "the certificate is not for this address");
        p.host = "127.0.0.1";
        check(&p, OUTCOME_TLS_NAME, "the certificate is not for this address");
        p.tls.server_name = (char *)"elsewhere.example";
        check(&p, OUTCOME_OK, "");
}

static void who_signed_it_is_checked(void **state _unused_) {
        Plan p = plan_good();

        p.tls.ca_file = (char *)tls_site_path("other.pem");
        check(&p, OUTCOME_TLS_UNTRUSTED, "certificate not trusted: ");
        p.tls.ca_file = NULL;
        check(&p, OUTCOME_TLS_UNTRUSTED, "certificate not trusted: ");
        p.site = (TlsSite){ .certificate = "self.pem", .key = "self.key" };
        check(&p, OUTCOME_TLS_UNTRUSTED, "self-signed certificate");
        p.tls.verify = false;
        check(&p, OUTCOME_OK, "");
        p.site = (TlsSite){ .certificate = "elsewhere.pem", .key = "elsewhere.key" };
        check(&p, OUTCOME_OK, "");
}

/* Then every certificate would look as if nobody had signed it. */
static void a_host_that_trusts_nobody_convicts_no_target(void **state _unused_) {
        Plan p = plan_good();

        p.tls.ca_file = NULL;
        assert_int_equal(setenv("SSL_CERT_FILE", tls_site_path("none.pem"), 1), 0);
        assert_int_equal(setenv("SSL_CERT_DIR", tls_site_path("."), 1), 0);
        check(&p, OUTCOME_LOCAL, "this host trusts no authority");
        assert_int_equal(setenv("SSL_CERT_FILE", tls_site_path("other.pem"), 1), 0);
        check(&p, OUTCOME_TLS_UNTRUSTED, "certificate not trusted: ");
        assert_int_equal(setenv("SSL_CERT_FILE", tls_site_path("ca.pem"), 1), 0);
        check(&p, OUTCOME_OK, "");
        assert_int_equal(unsetenv("SSL_CERT_FILE"), 0);
        assert_int_equal(unsetenv("SSL_CERT_DIR"), 0);
}

static void when_it_is_valid_is_checked(void **state _unused_) {
        Harness h;
        Plan p = plan_good();
        const Result *r;

        p.site = (TlsSite){ .certificate = "expired.pem", .key = "expired.key" };
        r = probe(&h, &p);
        assert_outcome(r, OUTCOME_TLS_EXPIRED, "the certificate expired 1.0 days ago");
        assert_true(days(r) < -0.9 && days(r) > -1.1);
        p.site = (TlsSite){ .certificate = "early.pem", .key = "early.key" };
        check(&p, OUTCOME_TLS_EXPIRED, "the certificate is not valid yet");
}

static void versions_that_are_too_old_have_their_name(void **state _unused_) {
        Plan p = plan_good();

        p.site.version = TLS1_1_VERSION;
        check(&p, OUTCOME_TLS_VERSION, "no version of TLS that tls.minimum_version allows");
        p.site.version = TLS1_VERSION;
        check(&p, OUTCOME_TLS_VERSION, NULL);
        p.site.version = TLS1_2_VERSION;
        check(&p, OUTCOME_OK, "");
        p.tls.minimum_version = TLS_VERSION_1_3;
        check(&p, OUTCOME_TLS_VERSION, NULL);
        p.site.version = TLS1_3_VERSION;
        check(&p, OUTCOME_OK, "");
}

static void check_demand(int version) {
        Plan p = plan_good();

        p.site.version = version;
        p.site.demands = true;
        check(&p, OUTCOME_DENIED, "the server demands a client certificate");
        p.tls.certificate_file = (char *)tls_site_path("stranger.pem");
        check(&p, OUTCOME_DENIED, "the server refuses our certificate");
        tls_site_copy("client.pem", "both.pem");
        p.tls.certificate_file = (char *)tls_site_path("both.pem");
        check(&p, OUTCOME_LOCAL, "holds no private key of its own; name it in key_file");
        p.tls.key_file = (char *)"client.key";
        setenv("CREDENTIALS_DIRECTORY", tls_site_path(""), 1);
        check(&p, OUTCOME_OK, "");
        p.tls.key_file = (char *)"nobody.key";
        check(&p, OUTCOME_LOCAL, "nobody.key");
        unsetenv("CREDENTIALS_DIRECTORY");
}

static void a_server_may_demand_our_certificate(void **state _unused_) {
        check_demand(TLS1_2_VERSION);
        check_demand(TLS1_3_VERSION);
}

static void what_is_not_tls_is_said_plainly(void **state _unused_) {
        Plan p = plan_good();

        p.script = serve_plain;
        check(&p, OUTCOME_TLS, "this port speaks plain HTTP, not TLS");
        p.script = serve_banner;
        check(&p, OUTCOME_TLS, "this port does not speak TLS");
        p.script = serve_nobody;
        check(&p, OUTCOME_TLS, "closed during the TLS handshake");
}

static void a_handshake_that_stalls_is_a_timeout(void **state _unused_) {
        Plan p = plan_good();

        p.script = serve_silence;
        check(&p, OUTCOME_TIMEOUT, "no TLS handshake within 500 ms");
}

static void an_end_that_tls_was_not_told_of_ends_nothing(void **state _unused_) {
        Plan p = plan_good();

        p.script = serve_until_close;
        check(&p, OUTCOME_OK, "");
        p.script = serve_until_cut;
        check(&p, OUTCOME_CLOSED, "closed before the end of the answer");
        p.script = serve_half;
        check(&p, OUTCOME_CLOSED, "closed before the end of the answer");
}

static void check_versions(Plan *p, const char *const *versions, size_t n) {
        Harness h;

        p->n = n;
        (void)probe(&h, p);
        for (size_t i = 0; i < n; i++) {
                assert_outcome(&h.results[i], OUTCOME_OK, "");
                assert_string_equal(h.results[i].version, versions[i]);
                assert_true(days(&h.results[i]) > 29.9);
        }
}

static void start_epoch(Harness *h, size_t n_done) {
        if (n_done == 2)
                prober_start_epoch(h->prober, 7);
}

static void sessions_are_resumed_until_the_next_epoch(void **state _unused_) {
        static const char *const versions[] = { "0.0.full", "1.0.resumed", "2.0.full",
                                                "3.0.resumed", "4.0.resumed" };
        Plan p = plan_good();

        p.act = start_epoch;
        p.site.version = TLS1_2_VERSION;
        check_versions(&p, versions, ELEMENTSOF(versions));
        p.site.version = TLS1_3_VERSION;
        check_versions(&p, versions, ELEMENTSOF(versions));
}

static void a_connection_with_tls_is_used_again_too(void **state _unused_) {
        static const char *const versions[] = { "0.0.full",    "0.1.full",    "0.2.full",
                                                "1.0.resumed", "1.1.resumed", "1.2.resumed",
                                                "2.0.resumed" };
        Plan p = plan_good();

        p.reuse = 3;
        p.site.version = TLS1_2_VERSION;
        check_versions(&p, versions, ELEMENTSOF(versions));
        p.site.version = TLS1_3_VERSION;
        check_versions(&p, versions, ELEMENTSOF(versions));
}

static void swap_authority(Harness *h, size_t n_done) {
        tls_site_copy(n_done == 2 ? "other.pem" : "ca.pem", "trusted.pem");
        assert_int_equal(prober_put_service(h->prober, 7, &h->config), 0);
}

/* Neither a session nor a connection outlives what made it trusted. */
static void check_swap(uint32_t reuse) {
        static const ProbeOutcome wanted[] = { OUTCOME_OK, OUTCOME_OK, OUTCOME_TLS_UNTRUSTED,
                                               OUTCOME_OK };
        Harness h;
        Plan p = plan_good();

        tls_site_copy("ca.pem", "trusted.pem");
        p.tls.ca_file = (char *)tls_site_path("trusted.pem");
        p.reuse = reuse;
        p.n = ELEMENTSOF(wanted);
        p.act = swap_authority;
        (void)probe(&h, &p);
        for (size_t i = 0; i < ELEMENTSOF(wanted); i++)
                assert_outcome(&h.results[i], wanted[i], NULL);
}

static void a_reload_reads_the_files_again(void **state _unused_) {
        check_swap(0);
        check_swap(10);
}

static void make_late(Harness *h, size_t n_done) {
        if (n_done != 1)
                return;
        tls_site_copy("ca.pem", "late.pem");
        assert_int_equal(prober_put_service(h->prober, 7, &h->config), 0);
}

static void a_file_that_is_missing_is_our_own_fault(void **state _unused_) {
        Harness h;
        Plan p = plan_good();

        p.tls.ca_file = (char *)tls_site_path("late.pem");
        p.n = 2;
        p.act = make_late;
        (void)probe(&h, &p);
        assert_outcome(&h.results[0], OUTCOME_LOCAL, "/late.pem: No such file or directory");
        assert_outcome(&h.results[1], OUTCOME_OK, "");
        p = plan_good();
        p.tls.ca_file = (char *)tls_site_path("good.key");
        check(&p, OUTCOME_LOCAL, "/good.key: holds no certificate in PEM form");
}

static void what_came_in_many_records_is_read_to_the_end(void **state _unused_) {
        Plan p = plan_good();

        p.script = serve_crumbs;
        check(&p, OUTCOME_OK, "");
}

static void pages_of_metrics_come_over_tls_too(void **state _unused_) {
        Harness h;
        Plan p = plan_good();
        const Result *r;

        p.kind = PROBE_METRICS;
        p.script = serve_page;
        r = probe(&h, &p);
        assert_outcome(r, OUTCOME_OK, "");
        assert_true(days(r) > 29.9);
        p.tls.ca_file = NULL;
        check(&p, OUTCOME_TLS_UNTRUSTED, NULL);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_good_certificate_is_good_and_its_days_are_told),
                cmocka_unit_test(names_and_addresses_are_checked),
                cmocka_unit_test(who_signed_it_is_checked),
                cmocka_unit_test(a_host_that_trusts_nobody_convicts_no_target),
                cmocka_unit_test(when_it_is_valid_is_checked),
                cmocka_unit_test(versions_that_are_too_old_have_their_name),
                cmocka_unit_test(a_server_may_demand_our_certificate),
                cmocka_unit_test(what_is_not_tls_is_said_plainly),
                cmocka_unit_test(a_handshake_that_stalls_is_a_timeout),
                cmocka_unit_test(an_end_that_tls_was_not_told_of_ends_nothing),
                cmocka_unit_test(sessions_are_resumed_until_the_next_epoch),
                cmocka_unit_test(a_connection_with_tls_is_used_again_too),
                cmocka_unit_test(a_reload_reads_the_files_again),
                cmocka_unit_test(a_file_that_is_missing_is_our_own_fault),
                cmocka_unit_test(what_came_in_many_records_is_read_to_the_end),
                cmocka_unit_test(pages_of_metrics_come_over_tls_too),
        };

        return cmocka_run_group_tests(tests, tls_site_set_up, tls_site_tear_down);
}
