#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "probe_harness.h"

#define SERVICE 7

void server_listen(ScriptedServer *s) {
        struct sockaddr_in name = { .sin_family = AF_INET,
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t length = sizeof name;

        *s = (ScriptedServer){ .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
        assert_true(s->fd >= 0);
        assert_int_equal(bind(s->fd, (struct sockaddr *)&name, sizeof name), 0);
        assert_int_equal(listen(s->fd, 512), 0);
        assert_int_equal(getsockname(s->fd, (struct sockaddr *)&name, &length), 0);
        s->port = ntohs(name.sin_port);
}

void server_listen_full(ScriptedServer *s) {
        struct sockaddr_in name;
        socklen_t length = sizeof name;
        int filler = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        server_listen(s);
        assert_int_equal(listen(s->fd, 0), 0);
        assert_int_equal(getsockname(s->fd, (struct sockaddr *)&name, &length), 0);
        assert_true(filler >= 0);
        assert_int_equal(connect(filler, (struct sockaddr *)&name, sizeof name), 0);
        close(filler);
}

void server_start(ScriptedServer *s, ServerScript script) {
        server_listen(s);
        server_serve(s, script);
}

void server_serve(ScriptedServer *s, ServerScript script) {
        s->pid = fork();
        assert_true(s->pid >= 0);
        if (s->pid > 0)
                return;

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGPIPE, SIG_IGN);
        for (unsigned n = 0;; n++) {
                int fd = accept(s->fd, NULL, NULL);

                if (fd < 0)
                        _exit(1);
                script(fd, n);
                close(fd);
        }
}

void server_stop(ScriptedServer *s) {
        if (s->pid > 0) {
                kill(s->pid, SIGKILL);
                assert_int_equal(waitpid(s->pid, NULL, 0), s->pid);
        }
        close(s->fd);
}

void script_read_request(int fd) {
        char text[8192];
        size_t n = 0;

        while (n < sizeof text - 1) {
                ssize_t k = recv(fd, text + n, sizeof text - 1 - n, 0);

                if (k <= 0)
                        return;
                n += (size_t)k;
                text[n] = '\0';
                if (strstr(text, "\r\n\r\n"))
                        return;
        }
}

bool script_send_n(int fd, const void *data, size_t n) {
        const char *p = data;

        while (n > 0) {
                ssize_t k = send(fd, p, n, MSG_NOSIGNAL);

                if (k < 0)
                        return false;
                p += k;
                n -= (size_t)k;
        }
        return true;
}

bool script_send(int fd, const char *text) {
        return script_send_n(fd, text, strlen(text));
}

void script_wait_close(int fd) {
        char text[4096];

        while (recv(fd, text, sizeof text, 0) > 0)
                ;
}

void script_reset(int fd) {
        struct linger linger = { .l_onoff = 1 };

        setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}

bool script_pace(int fd, int milliseconds) {
        struct pollfd p = { .fd = fd, .events = POLLIN | POLLRDHUP };

        return poll(&p, 1, milliseconds) != 0;
}

double result_value(const Result *r, const char *name) {
        for (size_t i = 0; i < r->n_values; i++)
                if (streq(r->values[i].name, name))
                        return r->values[i].value;
        return NAN;
}

static void on_sample(void *userdata, const Sample *s, const char *words) {
        Harness *h = userdata;
        Result *r = &h->results[h->n_results];
        StrBuf b;

        assert_true(h->n_results < HARNESS_RESULTS_MAX);
        *r = (Result){
                .service = s->service,
                .target = s->target,
                .status = s->status,
                .outcome = s->outcome,
                .started = s->started,
                .at = s->at,
                .since = s->since,
                .has_version = s->version,
                .n_increases = s->n_increases,
        };
        strbuf_init(&b, r->version, sizeof r->version);
        strbuf_add(&b, s->version ? s->version : "");
        strbuf_init(&b, r->words, sizeof r->words);
        strbuf_add(&b, words);
        for (size_t i = 0; i < s->n_increases; i++)
                r->increases[i] = s->increases[i];
        r->n_values = s->n_values;
        for (size_t i = 0; i < s->n_values; i++)
                r->values[i] = s->values[i];
        h->n_results++;
        if (h->n_results == h->wanted)
                loop_exit(h->loop, 0);
        if (h->react)
                h->react(h, r);
}

static void on_present(void *userdata, uint32_t service _unused_, uint16_t probe _unused_,
                       uint16_t target, bool present) {
        Harness *h = userdata;

        assert_true(target < HARNESS_PLACES);
        assert_true(h->absent[target] == present);
        h->absent[target] = !present;
        if (h->on_present)
                h->on_present(h);
}

static void on_left_out(void *userdata, uint32_t service _unused_, uint16_t probe _unused_,
                        uint16_t target _unused_, unsigned n) {
        ((Harness *)userdata)->left_out = n;
}

static bool deviates(void *userdata, uint32_t service _unused_, uint16_t probe _unused_,
                     uint16_t target) {
        return target < 64 && ((Harness *)userdata)->deviating >> target & 1;
}

static void on_guard(void *userdata, usec_t now _unused_) {
        loop_exit(((Harness *)userdata)->loop, 1);
}

void harness_add_target(Harness *h, const char *host, uint16_t port) {
        assert_true(h->probe.n_targets < HARNESS_TARGETS_MAX);
        h->targets[h->probe.n_targets++] = (TargetConfig){
                .url = (char *)"http://test/",
                .host = (char *)host,
                .port = port,
                .path = (char *)"/healthz",
        };
        h->policy.n_targets = (uint16_t)h->probe.n_targets;
}

void harness_add_operand(Harness *h, const char *selector) {
        OperandConfig *o = calloc(1, sizeof *o);
        const char *why;
        size_t at;

        assert_non_null(o);
        o->text = (char *)selector;
        assert_int_equal(selector_parse(selector, &o->selector, &at, &why), 0);
        h->operands[h->probe.n_operands++] = o;
        h->policy.n_operands = (uint16_t)h->probe.n_operands;
}

void harness_init(Harness *h, ProbeKindId kind, uint16_t port) {
        *h = (Harness){
                .status = { 200, 299 },
                .policy = { .name = "live",
                            .identity = 1,
                            .rise = 1,
                            .fall = 1,
                            .interval = 60 * USEC_PER_SEC },
        };
        h->probe = (ProbeConfig){
                .name = (char *)"live",
                .kind = kind,
                .targets = h->targets,
                .interval = 60 * USEC_PER_SEC,
                .timeout = 20 * USEC_PER_SEC,
                .name_ttl = 30 * USEC_PER_SEC,
                .rise = 1,
                .fall = 1,
                .http = { .call = { .status = &h->status, .n_status = 1 } },
                .max_body = 1024 * 1024,
                .operands = h->operands,
        };
        h->config = (ServiceConfig){ .service = (char *)"users",
                                     .probes = &h->probe,
                                     .n_probes = 1 };
        h->config.policy.probes = &h->policy;
        h->config.policy.n_probes = 1;
        harness_add_target(h, "127.0.0.1", port);

        ProberOwner owner = { .userdata = h,
                              .on_sample = on_sample,
                              .deviates = deviates,
                              .on_present = on_present,
                              .on_left_out = on_left_out };
        assert_int_equal(loop_new(&h->loop), 0);
        assert_int_equal(offload_new(&h->offload, h->loop, HARNESS_WORKERS, 16), 0);
        assert_int_equal(prober_new(&h->prober, h->loop, h->offload, "/nonexistent", &owner, 42),
                         0);
        assert_int_equal(loop_add_timer(h->loop, on_guard, h, "guard", &h->guard), 0);
}

void harness_begin(Harness *h) {
        for (size_t i = 0; i < HARNESS_PLACES; i++)
                h->absent[i] = i >= h->probe.n_targets;
        assert_int_equal(prober_put_service(h->prober, SERVICE, &h->config), 0);
        prober_probe_now(h->prober, SERVICE, 0);
}

void harness_run(Harness *h, size_t wanted) {
        h->wanted = wanted;
        loop_timer_set(h->guard, loop_now(h->loop) + USEC_PER_MINUTE);
        assert_int_equal(loop_run(h->loop), 0);
}

static unsigned count_threads(void) {
        DIR *d = opendir("/proc/self/task");
        unsigned n = 0;

        assert_non_null(d);
        for (const struct dirent *e; (e = readdir(d));)
                n += e->d_name[0] != '.';
        closedir(d);
        return n;
}

/* The last worker to leave closes what they shared, which may be after offload_free(). */
static void wait_for_workers(void) {
        for (unsigned i = 0; count_threads() > 1; i++) {
                assert_true(i < 60000);
                (void)poll(NULL, 0, 1);
        }
}

void harness_done(Harness *h) {
        h->prober = prober_free(h->prober);
        h->guard = loop_timer_free(h->guard);
        h->offload = offload_free(h->offload);
        wait_for_workers();
        h->loop = loop_free(h->loop);
        for (size_t i = 0; i < SAMPLE_VALUES_MAX; i++)
                free(h->operands[i]);
}

const Result *harness_probe_once(Harness *h, ServerScript script) {
        ScriptedServer server;

        server_start(&server, script);
        h->targets[0].port = server.port;
        harness_begin(h);
        harness_run(h, 1);
        server_stop(&server);
        return &h->results[0];
}
