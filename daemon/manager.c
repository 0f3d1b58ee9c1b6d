#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "digest.h"
#include "manager_internal.h"

#define OFFLOAD_WORKERS 4
#define OFFLOAD_TASKS 1024
#define ADMIN_GROUP "rollbackd-admin"
#define FIRST_PASSED_FD 3

static void on_engine_timer(void *userdata, usec_t now _unused_) {
        manager_pump(userdata);
}

static void on_tick(void *userdata, usec_t now) {
        Manager *m = userdata;

        loop_timer_set(m->tick, usec_add(now, MANAGER_TICK));
        deliveries_pump_run(m->deliveries);
        manager_ask_leftovers(m);
        manager_update_status(m);
}

static void on_sample(void *userdata, const Sample *s, const char *words _unused_) {
        Manager *m = userdata;

        engine_feed(m->engine, s);
        manager_pump(m);
}

static bool deviates(void *userdata, uint32_t service, uint16_t probe, uint16_t target) {
        return engine_target_deviates(((Manager *)userdata)->engine, service, probe, target);
}

static void on_jump(void *userdata, usec_t gap, usec_t now) {
        Manager *m = userdata;

        if (gap > 0)
                log_message(SEVERITY_WARNING,
                            "the loop stood still for %llu ms: windows and hold timers start empty",
                            (unsigned long long)(gap / USEC_PER_MSEC));
        else
                log_message(SEVERITY_WARNING,
                            "the clock went back: windows and hold timers start empty");
        engine_clear_evidence(m->engine, now);
        manager_pump(m);
}

static void on_signal(void *userdata, int signal_number) {
        Manager *m = userdata;

        if (signal_number == SIGHUP) {
                manager_reload(m);
                return;
        }
        loop_notify(m->loop, "STOPPING=1");
        log_message(SEVERITY_NOTICE,
                    "signal %d: stopping; an operation that is open goes on at the next start",
                    signal_number);
        loop_exit(m->loop, EXIT_SUCCESS);
}

/* The policies' notify entries become subscriber rows once per policy and connection. */
static void send_subscribers(Manager *m, uint32_t service) {
        ManagedService *s = &m->services[service];
        _cleanup_(json_freep) Json *entries = json_new_array();
        _cleanup_(freep) char *text = NULL;

        if (s->subscribed || !entries)
                return;
        for (size_t i = 0; i < s->config->n_notify; i++) {
                const ChannelConfig *channel = &s->config->notify[i];
                Json *entry = json_new_object();

                json_set_text(entry, "kind", channel->kind);
                json_set_text(entry, "url", channel->url);
                json_set_text(entry, "secret_file", channel->secret_file);
                json_add(entries, entry);
        }
        text = json_text(entries);
        s->subscribed = text && ledger_put_subscribers(m->ledger, s->config->service, text) >= 0;
}

/* A fresh connection may be to a ledger that was restored, and does not know what an earlier one
 * was told. */
static void begin_connection(Manager *m) {
        for (size_t i = 0; i < CONFIG_SERVICES_MAX; i++)
                m->services[i].subscribed = false;
        deliveries_pump_run(m->deliveries);
        manager_want_leftovers(m);
}

static void on_ledger_state(void *userdata, bool up, const PgFailure *failure) {
        Manager *m = userdata;
        const char *words = failure ? failure->message : "";
        EventFieldValue fields[] = {
                { "error", words }, { "class", failure ? pg_error_to_string(failure->error) : "" }
        };
        EventKind kind = failure && failure->error == PG_CONFIGURATION ? EVENT_LEDGER_UNUSABLE :
                                                                         EVENT_LEDGER_DOWN;
        StrBuf b;

        m->ledger_seen = true;
        strbuf_init(&b, m->ledger_words, sizeof m->ledger_words);
        strbuf_add(&b, words);
        engine_set_ledger_reachable(m->engine, up, loop_now(m->loop));
        if (up) {
                alert_over(m->alerts, EVENT_LEDGER_DOWN, "", "", fields, ELEMENTSOF(fields));
                alert_over(m->alerts, EVENT_LEDGER_UNUSABLE, "", "", fields, ELEMENTSOF(fields));
                begin_connection(m);
        } else
                alert_raise(m->alerts, kind, "", "", fields, ELEMENTSOF(fields));
        manager_pump(m);
        manager_update_status(m);
}

static void on_ledger_trouble(void *userdata _unused_, const char *what, const PgFailure *failure) {
        log_message(SEVERITY_CRITICAL, "the ledger answered %s with an error: %s%s%s", what,
                    failure->message, failure->sqlstate[0] != '\0' ? ", SQLSTATE " : "",
                    failure->sqlstate);
}

/* The ledger's own connection raises the alert; this one only says so. */
static void on_steps_state(void *userdata _unused_, bool up, const PgFailure *failure) {
        if (!up && failure)
                log_message(SEVERITY_WARNING, "the connection for steps is down, steps wait: %s",
                            failure->message);
}

static void on_facts(void *userdata, const char *service, const ServiceFacts *facts, usec_t at) {
        Manager *m = userdata;
        uint32_t handle = engine_find_service(m->engine, service);
        ManagedService *s;

        if (handle == ENGINE_NO_SERVICE)
                return;
        s = &m->services[handle];
        /* Facts that were asked for before our own commit was answered may be older than its
         * answer. */
        if (facts && at >= s->committed_at) {
                if (s->epoch != 0 && facts->epoch != s->epoch)
                        prober_start_epoch(m->prober, handle);
                s->epoch = facts->epoch;
        }
        engine_set_facts(m->engine, handle, facts, at);
        if (facts)
                send_subscribers(m, handle);
        manager_pump(m);
}

static void on_recent(void *userdata, Json *operations, Json *events) {
        Manager *m = userdata;

        api_set_recent(m->api, operations, events);
        deliveries_pump_run(m->deliveries);
}

/* The ledger's password, when one is named; wiped by the caller. */
static int read_password(const Manager *m, char **ret) {
        STRBUF(error, 512);
        int r;

        if (!m->config->password_file)
                return 0;
        r = config_read_secret(m->config->secrets, m->config->password_file, ret, &error);
        if (r < 0)
                log_message(SEVERITY_CRITICAL, "%s", error.text);
        return r;
}

static int connect_ledger(Manager *m) {
        LedgerOwner owner = { .userdata = m,
                              .on_state = on_ledger_state,
                              .on_facts = on_facts,
                              .on_recent = on_recent,
                              .on_trouble = on_ledger_trouble };
        PgSetup steps = { .conninfo = m->config->conninfo,
                          .application_name = "rollbackd steps",
                          .on_state = on_steps_state,
                          .userdata = m };
        char *password = NULL;
        int r;

        if (!m->config->conninfo)
                return 0;
        r = read_password(m, &password);
        if (r >= 0)
                r = ledger_new(&m->ledger, m->loop, m->offload, m->config->conninfo, password,
                               &owner, m->seed + 1);
        if (r >= 0) {
                steps.password = password;
                r = pg_new(&m->steps_pg, m->loop, m->offload, &steps, m->seed + 2);
        }
        if (password) {
                digest_wipe(password, strlen(password));
                free(password);
        }
        if (r == -EINVAL)
                log_message(SEVERITY_CRITICAL,
                            "%s: ledger.conninfo cannot be read as one: write keyword=value pairs, "
                            "a postgresql:// URI, or service=NAME",
                            m->config->path);
        else if (r < 0)
                log_message(SEVERITY_CRITICAL,
                            "%s: the ledger's connection could not be set up, error %d",
                            m->config->path, -r);
        return r;
}

/* A socket of the service manager's is taken for ours only when it is what the configuration would
 * have opened: whoever connects to it may write. */
static int take_passed_socket(int n) {
        struct sockaddr_storage address;
        socklen_t size = sizeof address;
        int listening = 0;
        socklen_t listening_size = sizeof listening;

        if (n != 1) {
                log_message(SEVERITY_CRITICAL,
                            "the service manager passed %d sockets, and rollbackd takes one: the "
                            "unix socket of rollbackd.socket",
                            n);
                return -EINVAL;
        }
        if (getsockname(FIRST_PASSED_FD, (struct sockaddr *)&address, &size) < 0 ||
            address.ss_family != AF_UNIX ||
            getsockopt(FIRST_PASSED_FD, SOL_SOCKET, SO_ACCEPTCONN, &listening, &listening_size) <
                    0 ||
            !listening) {
                log_message(SEVERITY_CRITICAL,
                            "the socket that the service manager passed is no listening unix "
                            "socket: mend ListenStream= of rollbackd.socket");
                return -EINVAL;
        }
        return FIRST_PASSED_FD;
}

static int open_unix_socket(const Manager *m) {
        int passed = loop_listen_fds(), fd;

        if (passed != 0)
                return passed < 0 ? passed : take_passed_socket(passed);
        fd = http_listen_unix(m->config->socket, ADMIN_GROUP);
        if (fd < 0)
                log_message(SEVERITY_CRITICAL,
                            "%s: http.socket %s could not be opened, error %d; is another "
                            "rollbackd running?",
                            m->config->path, m->config->socket, -fd);
        return fd;
}

static int open_sockets(Manager *m) {
        int unix_fd = -1, tcp_fd = -1;
        char bound[64] = "";

        if (m->config->socket[0] != '\0') {
                unix_fd = open_unix_socket(m);
                if (unix_fd < 0)
                        return unix_fd;
        }
        if (m->config->listen[0] != '\0') {
                tcp_fd = http_listen_tcp(m->config->listen, bound, sizeof bound);
                if (tcp_fd < 0) {
                        log_message(SEVERITY_CRITICAL,
                                    "%s: http.listen %s could not be opened, error %d",
                                    m->config->path, m->config->listen, -tcp_fd);
                        if (unix_fd >= 0)
                                close(unix_fd);
                        return tcp_fd;
                }
                log_message(SEVERITY_INFO,
                            "reads are open to every local user at http://%s; writes only over %s",
                            bound, m->config->socket);
        }
        return http_server_new(&m->server, m->loop, unix_fd, tcp_fd, api_handle, m->api);
}

static int add_sources(Manager *m) {
        int r = loop_add_timer(m->loop, on_engine_timer, m, "engine", &m->engine_timer);

        if (r >= 0)
                r = loop_add_timer(m->loop, on_tick, m, "tick", &m->tick);
        if (r >= 0)
                r = loop_add_signal(m->loop, SIGTERM, on_signal, m);
        if (r >= 0)
                r = loop_add_signal(m->loop, SIGINT, on_signal, m);
        if (r >= 0)
                r = loop_add_signal(m->loop, SIGHUP, on_signal, m);
        if (r >= 0)
                loop_on_jump(m->loop, on_jump, m);
        return r;
}

/* Rooms in the order in which they lean on each other. */
static int build(Manager *m) {
        ProberOwner prober_owner = { .userdata = m, .on_sample = on_sample, .deviates = deviates };
        ApiOwner api_owner;
        int r = loop_new(&m->loop);

        if (r >= 0)
                r = add_sources(m);
        if (r >= 0)
                r = offload_new(&m->offload, m->loop, OFFLOAD_WORKERS, OFFLOAD_TASKS);
        if (r >= 0)
                r = engine_new(&m->engine, CONFIG_SERVICES_MAX, m->seed);
        if (r >= 0)
                r = prober_new(&m->prober, m->loop, m->offload, &prober_owner, m->seed + 3);
        if (r >= 0)
                r = http_client_new(&m->client, m->loop);
        if (r >= 0)
                r = alerts_new(&m->alerts, m->loop, m->client,
                               m->config->n_alerts > 0 ? &m->config->alerts[0] : NULL,
                               m->config->secrets, m->seed + 4);
        if (r >= 0)
                r = deliveries_pump_new(&m->deliveries, m);
        if (r < 0)
                return r;
        api_owner = manager_api_owner(m);
        r = api_new(&m->api, &api_owner);
        if (r >= 0)
                r = open_sockets(m);
        return r;
}

int manager_new(Manager **ret, const ManagerOptions *options, DaemonConfig *config) {
        _cleanup_(manager_freep) Manager *m = calloc(1, sizeof *m);
        struct timespec t;
        int r;

        if (!m) {
                daemon_config_free(config);
                return -ENOMEM;
        }
        m->options = *options;
        m->config = config;
        clock_gettime(CLOCK_REALTIME, &t);
        m->started_at = (double)t.tv_sec + (double)t.tv_nsec / 1e9;
        r = digest_random(&m->seed, sizeof m->seed);
        if (r >= 0)
                r = build(m);
        if (r < 0) {
                log_message(SEVERITY_CRITICAL, "rollbackd could not start, error %d", -r);
                return r;
        }
        r = connect_ledger(m);
        if (r < 0)
                return r == -ENOMEM ? r : -EBADMSG;
        r = manager_load_policies(m);
        if (r < 0 && r != -EBADMSG)
                return r == -ENOMEM ? r : -EBADMSG;
        *ret = TAKE_PTR(m);
        return 0;
}

/* Against the order of build(): whoever may call back goes before what it calls. */
Manager *manager_free(Manager *m) {
        if (!m)
                return NULL;
        m->stopping = true;
        if (m->engine)
                manager_free_policies(m);
        http_server_free(m->server);
        deliveries_pump_free(m->deliveries);
        ledger_free(m->ledger);
        while (m->awaited)
                awaited_free(m->awaited);
        pg_free(m->steps_pg);
        api_free(m->api);
        alerts_free(m->alerts);
        http_client_free(m->client);
        prober_free(m->prober);
        engine_free(m->engine);
        offload_free(m->offload);
        loop_timer_free(m->engine_timer);
        loop_timer_free(m->tick);
        loop_free(m->loop);
        daemon_config_free(m->config);
        free(m);
        return NULL;
}

int manager_run(Manager *m) {
        int r = loop_enable_watchdog(m->loop);

        if (r < 0)
                log_message(SEVERITY_WARNING,
                            "the service manager's watchdog could not be fed, error %d: going on "
                            "without",
                            -r);
        loop_timer_set(m->tick, loop_now(m->loop));
        manager_pump(m);
        loop_notify(m->loop, "READY=1");
        manager_update_status(m);
        log_message(SEVERITY_NOTICE, "rollbackd " ROLLBACKD_VERSION " is ready: %s", m->status);
        r = loop_run(m->loop);
        log_message(SEVERITY_NOTICE, "rollbackd has stopped");
        return r < 0 ? EXIT_FAILURE : r;
}
