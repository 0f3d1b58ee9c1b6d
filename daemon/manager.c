#include <errno.h>
#include <time.h>

#include "digest.h"
#include "manager_internal.h"

#define OFFLOAD_WORKERS 6
#define OFFLOAD_TASKS 1024

static void on_engine_timer(void *userdata, usec_t now _unused_) {
        manager_pump(userdata);
}

static void on_tick(void *userdata, usec_t now) {
        Manager *m = userdata;

        loop_timer_set_within(m->tick, usec_add(now, MANAGER_TICK), MANAGER_TICK_SLACK);
        /* On a quiet host the next message may be hours away. */
        log_say_lost();
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

static void on_present(void *userdata, uint32_t service, uint16_t probe, uint16_t target,
                       bool present) {
        Manager *m = userdata;

        engine_set_target_present(m->engine, service, probe, target, present);
        loop_timer_set(m->engine_timer, engine_deadline(m->engine));
}

static void on_left_out(void *userdata, uint32_t service, uint16_t probe, uint16_t target,
                        unsigned n) {
        const Manager *m = userdata;
        const ServiceConfig *config = m->services[service].config;

        log_message(SEVERITY_WARNING,
                    "service %s: probe %s: %s has at least %u addresses more than the %u that are "
                    "probed; name its hosts one by one",
                    config->service, config->probes[probe].name,
                    config->probes[probe].targets[target].url, n, TARGET_ADDRESSES_MAX);
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
        manager_stop(m, signal_number);
}

static int add_sources(Manager *m) {
        int r = loop_add_timer(m->loop, on_engine_timer, m, "engine", &m->engine_timer);

        if (r >= 0)
                r = loop_add_timer(m->loop, on_tick, m, "tick", &m->tick);
        if (r >= 0)
                r = loop_add_timer(m->loop, manager_on_status_timer, m, "status", &m->status_timer);
        if (r >= 0)
                r = loop_add_timer(m->loop, manager_on_stopping_timer, m, "stopping",
                                   &m->stopping_timer);
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
        ProberOwner prober_owner = { .userdata = m,
                                     .on_sample = on_sample,
                                     .deviates = deviates,
                                     .on_present = on_present,
                                     .on_left_out = on_left_out };
        ApiOwner api_owner;
        int r = loop_new(&m->loop);

        if (r >= 0)
                r = add_sources(m);
        if (r >= 0)
                r = offload_new(&m->offload, m->loop, OFFLOAD_WORKERS, OFFLOAD_TASKS);
        if (r >= 0)
                r = engine_new(&m->engine, CONFIG_SERVICES_MAX, m->seed);
        if (r >= 0)
                r = prober_new(&m->prober, m->loop, m->offload, m->config->secrets, &prober_owner,
                               m->seed + 3);
        if (r >= 0)
                r = http_client_new(&m->client, m->loop, HTTP_CLIENT_REPLY_MAX);
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
                r = manager_open_sockets(m);
        return r;
}

double manager_unix_now(void) {
        struct timespec t;

        clock_gettime(CLOCK_REALTIME, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int manager_new(Manager **ret, const ManagerOptions *options, DaemonConfig *config) {
        _cleanup_(manager_freep) Manager *m = calloc(1, sizeof *m);
        int r;

        if (!m) {
                daemon_config_free(config);
                return -ENOMEM;
        }
        m->options = *options;
        m->config = config;
        m->started_at = manager_unix_now();
        r = digest_random(&m->seed, sizeof m->seed);
        if (r >= 0)
                r = build(m);
        if (r < 0) {
                log_message(SEVERITY_CRITICAL, "rollbackd could not start, error %d", -r);
                return r;
        }
        r = manager_connect_ledger(m);
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
        m->closing = true;
        if (m->engine)
                manager_free_policies(m);
        http_server_free(m->server);
        deliveries_pump_free(m->deliveries);
        ledger_free(m->ledger);
        while (m->awaited)
                awaited_free(m->awaited);
        pg_free(m->steps_pg);
        housekeeping_free(m->housekeeping);
        api_free(m->api);
        alerts_free(m->alerts);
        http_client_free(m->client);
        prober_free(m->prober);
        engine_free(m->engine);
        offload_free(m->offload);
        loop_timer_free(m->engine_timer);
        loop_timer_free(m->tick);
        loop_timer_free(m->status_timer);
        loop_timer_free(m->stopping_timer);
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
