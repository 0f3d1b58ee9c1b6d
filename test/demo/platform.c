/* platform.c: the small open platform of the demo: GET /api/users/{id}?version=, /healthz and
 * /metrics. It follows the version pointer by LISTEN and reads it again after every reconnect.
 * Which version fails, and how often, is said on its command line. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>

#include "backend.h"
#include "faults.h"
#include "http_server.h"
#include "number.h"
#include "users.h"

#define ANSWER_MAX 8192
#define COUNTERS_MAX 64

typedef struct Counter {
        char version[VERSION_MAX];
        unsigned status;
        uint64_t requests;
} Counter;

typedef struct Platform {
        Loop *loop;
        Offload *offload;
        Pg *pointer;
        HttpServer *server;
        Users *users;
        Faults faults;
        uint16_t backend;         /* 0: leans on none */
        char active[VERSION_MAX]; /* "" until the pointer was read */
        uint64_t epoch;
        Counter counters[COUNTERS_MAX];
        size_t n_counters;
} Platform;

static Counter *find_counter(Platform *p, const char *version, unsigned status) {
        Counter *c;

        for (size_t i = 0; i < p->n_counters; i++)
                if (p->counters[i].status == status && streq(p->counters[i].version, version))
                        return &p->counters[i];
        if (p->n_counters == COUNTERS_MAX)
                return NULL;
        c = &p->counters[p->n_counters++];
        *c = (Counter){ .status = status };
        memcpy(c->version, version, strlen(version) + 1);
        return c;
}

static void count(Platform *p, const char *version, unsigned status) {
        Counter *c = find_counter(p, version, status);

        if (c)
                c->requests++;
}

static void on_pointer(void *userdata, const PgFailure *failure, const PgResult *result) {
        const char *version = result ? pg_value(result, 0, "version") : NULL;
        const char *epoch = result ? pg_value(result, 0, "epoch") : NULL;
        Platform *p = userdata;

        if (failure->error != PG_OK || !version || !epoch || strlen(version) >= VERSION_MAX ||
            number_parse_u64(epoch, strlen(epoch), &p->epoch) < 0) {
                fprintf(stderr, "platform: the version pointer cannot be read: %s\n",
                        failure->message);
                return;
        }
        memcpy(p->active, version, strlen(version) + 1);
        /* The series of a version are there before its first request: a counter that starts late
         * hides its beginning. */
        (void)find_counter(p, p->active, 200);
        (void)find_counter(p, p->active, 500);
        fprintf(stderr, "platform: serving version %s (epoch %s)\n", version, epoch);
}

static void read_pointer(Platform *p) {
        static const char sql[] = "SELECT rollbackd.active('users-api') AS version, epoch "
                                  "FROM rollbackd.service_status WHERE service = 'users-api'";
        int r = pg_query(p->pointer, sql, 0, NULL, 5 * USEC_PER_SEC, on_pointer, p);

        /* A connection that is down reads the pointer when it is up again. */
        if (r < 0 && r != -ENOTCONN)
                fprintf(stderr, "platform: the version pointer cannot be asked for: %s\n",
                        strerrordesc_np(-r));
}

static void on_notify(void *userdata, const char *channel _unused_, const char *payload _unused_) {
        read_pointer(userdata);
}

static void on_state(void *userdata, bool up, const PgFailure *failure) {
        if (up)
                read_pointer(userdata);
        else
                fprintf(stderr, "platform: following the pointer: %s\n", failure->message);
}

static void answer(HttpAnswer *ret, unsigned status, const char *type, const char *body) {
        ret->status = status;
        ret->content_type = type;
        ret->body = strdup(body);
        ret->body_size = ret->body ? strlen(body) : 0;
}

/* Takes the status as the one that is counted too: what the metrics say is what the clients saw. */
static void answer_error(Platform *p, HttpAnswer *ret, unsigned status, const char *version,
                         const char *what) {
        STRBUF(b, 512);

        strbuf_add(&b, "{\"error\":\"");
        strbuf_add(&b, what);
        strbuf_add(&b, "\",\"version\":\"");
        strbuf_add(&b, version);
        strbuf_add(&b, "\"}");
        count(p, version, status);
        answer(ret, status, "application/json", b.text);
}

static void get_user(Platform *p, const HttpCall *call, const char *id, HttpAnswer *ret) {
        const char *requested = http_call_query(call, "version");
        _cleanup_(freep) char *json = NULL;
        char version[VERSION_MAX] = "";
        uint64_t number;

        if (number_parse_u64(id, strlen(id), &number) < 0 || number > INT64_MAX) {
                answer_error(p, ret, 400, p->active, "the id of a user is a number");
                return;
        }
        if (p->backend != 0 && !backend_answers(p->backend)) {
                answer_error(p, ret, 503, p->active, "the backend does not answer");
                return;
        }
        switch (users_serve(p->users, id, requested, p->active, version, &json)) {
        case USERS_NONE:
                answer_error(p, ret, 404, version, "no such user");
                return;
        case USERS_UNAVAILABLE:
                answer_error(p, ret, 503, p->active, "the database does not answer");
                return;
        case USERS_FOUND:
                break;
        }
        /* It fails after it has written: what a bad version leaves behind must be cleaned up. */
        if (faults_strike(&p->faults, version, p->epoch)) {
                answer_error(p, ret, 500, version, "internal error");
                return;
        }
        count(p, version, 200);
        answer(ret, 200, "application/json", json);
}

static void get_metrics(const Platform *p, HttpAnswer *ret) {
        STRBUF(b, ANSWER_MAX);

        strbuf_add(&b, "# TYPE app_build_info gauge\napp_build_info{version=\"");
        strbuf_add(&b, p->active);
        strbuf_add(&b, "\"} 1\n# TYPE http_requests_total counter\n");
        for (size_t i = 0; i < p->n_counters; i++) {
                strbuf_add(&b, "http_requests_total{code=\"");
                strbuf_add_u64(&b, p->counters[i].status);
                strbuf_add(&b, "\",version=\"");
                strbuf_add(&b, p->counters[i].version);
                strbuf_add(&b, "\"} ");
                strbuf_add_u64(&b, p->counters[i].requests);
                strbuf_add(&b, "\n");
        }
        if (b.overflow)
                answer(ret, 500, "text/plain", "too many series\n");
        else
                answer(ret, 200, "text/plain; version=0.0.4", b.text);
}

static void handle(void *userdata, const HttpCall *call, HttpAnswer *ret) {
        static const char users[] = "/api/users/";
        Platform *p = userdata;

        if (!streq(call->method, "GET")) {
                ret->allow = "GET";
                answer(ret, 405, "text/plain", "only GET\n");
        } else if (p->active[0] == '\0')
                answer(ret, 503, "text/plain", "the version pointer has not been read yet\n");
        else if (streq(call->path, "/healthz"))
                answer(ret, 200, "text/plain", "ok\n");
        else if (streq(call->path, "/metrics"))
                get_metrics(p, ret);
        else if (strncmp(call->path, users, sizeof users - 1) == 0)
                get_user(p, call, call->path + sizeof users - 1, ret);
        else
                answer(ret, 404, "text/plain", "GET /api/users/ID, /healthz or /metrics\n");
}

static void on_signal(void *userdata, int signal_number _unused_) {
        Platform *p = userdata;

        loop_exit(p->loop, 0);
}

static int start(Platform *p, const char *conninfo) {
        PgSetup setup = {
                .conninfo = conninfo,
                .application_name = "platform",
                .listen = "rollbackd",
                .on_state = on_state,
                .on_notify = on_notify,
                .userdata = p,
        };
        char bound[128];
        int r, fd;

        if ((r = loop_new(&p->loop)) < 0 || (r = offload_new(&p->offload, p->loop, 1, 8)) < 0 ||
            (r = users_new(&p->users, conninfo)) < 0 ||
            (r = pg_new(&p->pointer, p->loop, p->offload, &setup, p->faults.random)) < 0 ||
            (r = loop_add_signal(p->loop, SIGTERM, on_signal, p)) < 0 ||
            (r = loop_add_signal(p->loop, SIGINT, on_signal, p)) < 0)
                return r;
        fd = http_listen_tcp("127.0.0.1:0", bound, sizeof bound);
        if (fd < 0)
                return fd;
        r = http_server_new(&p->server, p->loop, -1, fd, handle, p);
        if (r < 0)
                return r;
        printf("platform %s\n", bound);
        fflush(stdout);
        return loop_run(p->loop);
}

static void stop(Platform *p) {
        http_server_free(p->server);
        pg_free(p->pointer);
        users_free(p->users);
        offload_free(p->offload);
        loop_free(p->loop);
}

static int usage(void) {
        fprintf(stderr, "usage: platform --conninfo CONNINFO [--backend PORT] [--seed N] "
                        "[--fault VERSION=PERCENT[@EPOCH]]...\n"
                        "       platform --serve-backend PORT\n");
        return 2;
}

typedef struct Arguments {
        const char *conninfo, *faults[FAULTS_MAX];
        size_t n_faults;
        uint64_t seed, port;
        bool serves_backend;
} Arguments;

static int parse_arguments(int argc, char *argv[], Arguments *ret) {
        enum { OPTION_CONNINFO = 256, OPTION_BACKEND, OPTION_SEED, OPTION_FAULT, OPTION_SERVE };
        static const struct option options[] = {
                { "conninfo", required_argument, NULL, OPTION_CONNINFO },
                { "backend", required_argument, NULL, OPTION_BACKEND },
                { "seed", required_argument, NULL, OPTION_SEED },
                { "fault", required_argument, NULL, OPTION_FAULT },
                { "serve-backend", required_argument, NULL, OPTION_SERVE },
                { NULL, 0, NULL, 0 },
        };
        int c, r = 0;

        *ret = (Arguments){ .seed = 1 };
        while (r == 0 && (c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
                if (c == OPTION_CONNINFO)
                        ret->conninfo = optarg;
                else if (c == OPTION_FAULT && ret->n_faults < FAULTS_MAX)
                        ret->faults[ret->n_faults++] = optarg;
                else if (c == OPTION_SEED)
                        r = number_parse_u64(optarg, strlen(optarg), &ret->seed);
                else if (c == OPTION_BACKEND || c == OPTION_SERVE) {
                        r = number_parse_u64(optarg, strlen(optarg), &ret->port);
                        ret->serves_backend = ret->serves_backend || c == OPTION_SERVE;
                } else
                        r = -EINVAL;
        }
        if (optind < argc || ret->port > UINT16_MAX)
                return -EINVAL;
        return ret->serves_backend == (ret->conninfo != NULL) ? -EINVAL : r;
}

int main(int argc, char *argv[]) {
        Arguments arguments;
        Platform p = { 0 };
        int r;

        if (parse_arguments(argc, argv, &arguments) < 0)
                return usage();
        faults_init(&p.faults, arguments.seed);
        for (size_t i = 0; i < arguments.n_faults; i++)
                if (faults_add(&p.faults, arguments.faults[i]) < 0)
                        return usage();
        p.backend = (uint16_t)arguments.port;
        r = arguments.serves_backend ? backend_serve(p.backend) : start(&p, arguments.conninfo);
        stop(&p);
        if (r < 0)
                fprintf(stderr, "platform: %s\n", strerrordesc_np(-r));
        return r < 0 ? 1 : 0;
}
