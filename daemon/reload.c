#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "manager_internal.h"

#define RELOAD_ERRORS_MAX (64 * 1024)

static void done_refused(RefusedPolicy *r) {
        free(r->path);
        free(r->service);
        free(r->error);
        free(r->alerted);
}

static void free_refused(RefusedPolicy *refused, size_t n) {
        for (size_t i = 0; i < n; i++)
                done_refused(&refused[i]);
        free(refused);
}

static bool is_refused(const Manager *m, const RefusedPolicy *old) {
        for (size_t i = 0; i < m->n_refused; i++)
                if (streq(m->refused[i].path, old->path) &&
                    streq(m->refused[i].alerted, old->alerted))
                        return true;
        return false;
}

/* An alert ends when its file was mended, and also when the file is gone or is refused under
 * another name. */
static void end_alerts(Manager *m, const RefusedPolicy *old, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (!is_refused(m, &old[i]))
                        alert_over(m->alerts, EVENT_SERVICE_UNCONFIGURED, old[i].alerted,
                                   old[i].path, &(EventFieldValue){ "service", old[i].alerted }, 1);
}

/* The handle of the service that a refused file is about: by its name when that could be read, else
 * by the file that its policy in force came from. */
static uint32_t refused_service(const Manager *m, const PolicyFile *file) {
        if (file->service)
                return engine_find_service(m->engine, file->service);
        for (uint32_t i = 0; i < CONFIG_SERVICES_MAX; i++)
                if (m->services[i].config && streq(m->services[i].config->path, file->path))
                        return i;
        return ENGINE_NO_SERVICE;
}

/* An alert is one line: the first mistake, and how many more there are. */
static void add_first_mistake(const char *error, StrBuf *b) {
        size_t n = strcspn(error, "\n"), more = 0;

        for (const char *c = error + n; *c != '\0'; c++)
                more += *c == '\n' && c[1] != '\0';
        strbuf_add_n(b, error, n);
        if (more == 0)
                return;
        strbuf_add(b, ", and ");
        strbuf_add_u64(b, more);
        strbuf_add(b, more == 1 ? " more mistake" : " more mistakes");
}

static int refuse(Manager *m, PolicyFile *file, bool keep[static CONFIG_SERVICES_MAX]) {
        uint32_t handle = refused_service(m, file);
        bool in_force = handle != ENGINE_NO_SERVICE;
        const char *service = file->service ?: in_force ? manager_service_name(m, handle) : "";
        const char *alerted = service[0] != '\0' ? service : file->path;
        RefusedPolicy *grown = reallocarray(m->refused, m->n_refused + 1, sizeof *grown), r;
        STRBUF(mistake, 1024);
        EventFieldValue fields[] = {
                { "service", alerted },
                { "path", file->path },
                { "error", mistake.text },
                { "effect",
                  in_force ? "its last good policy stays in force" : "the service is not watched" },
        };

        add_first_mistake(file->error, &mistake);
        if (in_force)
                keep[handle] = true;
        alert_raise(m->alerts, EVENT_SERVICE_UNCONFIGURED, alerted, file->path, fields,
                    ELEMENTSOF(fields));
        if (!grown)
                return -ENOMEM;
        m->refused = grown;
        r = (RefusedPolicy){
                .path = strdup(file->path),
                .service = service[0] != '\0' ? strdup(service) : NULL,
                .error = TAKE_PTR(file->error),
                .alerted = strdup(alerted),
                .in_force = in_force,
        };
        if (!r.path || !r.alerted || (service[0] != '\0' && !r.service)) {
                done_refused(&r);
                return -ENOMEM;
        }
        m->refused[m->n_refused++] = r;
        return 0;
}

/* Puts one good policy in force, handing it over to its slot. */
static int accept_policy(Manager *m, PolicyFile *file, bool keep[static CONFIG_SERVICES_MAX]) {
        ServiceConfig *old;
        ManagedService *s;
        uint32_t handle;
        int r;

        handle = engine_find_service(m->engine, file->service);
        /* The same text in another file is taken over too: where a policy came from must stay true.
         */
        if (handle != ENGINE_NO_SERVICE &&
            streq(m->services[handle].config->hash, file->config->hash) &&
            streq(m->services[handle].config->path, file->path)) {
                keep[handle] = true;
                /* The secrets and certificates that it names may be others. */
                return prober_put_service(m->prober, handle, m->services[handle].config);
        }
        r = engine_put_service(m->engine, &file->config->policy, loop_now(m->loop), &handle);
        if (r < 0)
                return r;
        keep[handle] = true;
        s = &m->services[handle];
        old = s->config;
        s->config = TAKE_PTR(file->config);
        s->subscribed = false;
        r = prober_put_service(m->prober, handle, s->config);
        log_message(SEVERITY_INFO, "service %s: policy %s is in force, mode %s, %zu rule%s",
                    s->config->service, s->config->path,
                    rollback_mode_to_string(s->config->policy.rollback.mode),
                    s->config->policy.n_rules, s->config->policy.n_rules == 1 ? "" : "s");
        service_config_free(old);
        return r;
}

static void remove_service(Manager *m, uint32_t handle) {
        ManagedService *s = &m->services[handle];

        s->runner = steps_runner_free(s->runner);
        prober_remove_service(m->prober, handle);
        engine_remove_service(m->engine, handle);
        if (m->alerts)
                alerts_forget_service(m->alerts, s->config->service);
        service_config_free(s->config);
        *s = (ManagedService){ 0 };
}

/* Of a service that the ledger knows: another one has no subscribers. */
static void end_subscribers(Manager *m, const ManagedService *s) {
        if (m->ledger && s->epoch > 0 &&
            ledger_put_subscribers(m->ledger, s->config->service, "[]") < 0)
                log_message(
                        SEVERITY_WARNING,
                        "service %s: too much waits for the ledger: its policy's receivers stay "
                        "in it until the policy comes and goes again",
                        s->config->service);
}

static int watch_services(Manager *m) {
        _cleanup_(freep) LedgerService *list = calloc(CONFIG_SERVICES_MAX, sizeof *list);
        size_t n = 0;
        int r;

        if (!list)
                return -ENOMEM;
        for (size_t i = 0; i < CONFIG_SERVICES_MAX; i++) {
                const ServiceConfig *config = m->services[i].config;

                if (config)
                        list[n++] = (LedgerService){ config->service,
                                                     config->policy.rollback.cooldown,
                                                     config->policy.rollback.budget_per };
        }
        if (!m->ledger)
                return 0;
        r = ledger_watch(m->ledger, list, n);
        if (r >= 0)
                manager_want_leftovers(m);
        return r;
}

/* What became of the whole directory: an unreadable one changes nothing. */
static int read_policies(Manager *m, PolicyFile **ret, size_t *ret_n) {
        _cleanup_(freep) char *storage = malloc(RELOAD_ERRORS_MAX);
        StrBuf errors;
        int r;

        if (!storage)
                return -ENOMEM;
        strbuf_init(&errors, storage, RELOAD_ERRORS_MAX);
        r = config_read_directory(m->config->policies, ret, ret_n, &errors);
        if (r < 0)
                log_message(SEVERITY_CRITICAL, "%s", errors.text);
        return r;
}

int manager_load_policies(Manager *m) {
        bool keep[CONFIG_SERVICES_MAX] = { false };
        PolicyFile *files = NULL;
        RefusedPolicy *old;
        size_t n = 0, n_old;
        int r = read_policies(m, &files, &n);

        if (r < 0) {
                m->reload_ok = false;
                return r;
        }
        old = TAKE_PTR(m->refused);
        n_old = m->n_refused;
        m->n_refused = 0;
        for (size_t i = 0; r >= 0 && i < n; i++)
                r = files[i].config ? accept_policy(m, &files[i], keep) :
                                      refuse(m, &files[i], keep);
        policy_files_free(files, n);
        end_alerts(m, old, n_old);
        free_refused(old, n_old);
        for (uint32_t i = 0; r >= 0 && i < CONFIG_SERVICES_MAX; i++)
                if (m->services[i].config && !keep[i]) {
                        log_message(SEVERITY_NOTICE,
                                    "service %s: its policy %s is gone, it is watched no more",
                                    m->services[i].config->service, m->services[i].config->path);
                        end_subscribers(m, &m->services[i]);
                        remove_service(m, i);
                }
        if (r >= 0)
                r = watch_services(m);
        m->reload_ok = r >= 0 && m->n_refused == 0;
        if (m->reload_ok)
                m->reloaded_at = manager_unix_now();
        if (r < 0)
                log_message(SEVERITY_CRITICAL,
                            "policies of %s could not all be put in force, error %d: those before "
                            "it are",
                            m->config->policies, -r);
        return r < 0 ? r : m->reload_ok ? 0 : -EBADMSG;
}

void manager_free_policies(Manager *m) {
        for (uint32_t i = 0; i < CONFIG_SERVICES_MAX; i++)
                if (m->services[i].config)
                        remove_service(m, i);
        free_refused(m->refused, m->n_refused);
        m->refused = NULL;
        m->n_refused = 0;
}

/* rollbackd.conf is fixed while we run: a change is announced, a mistake is said, neither is half
 * taken over. */
static bool check_daemon_config(const Manager *m) {
        _cleanup_(daemon_config_freep) DaemonConfig *fresh = NULL;
        _cleanup_(freep) char *before = config_dump_daemon(m->config), *after = NULL;
        STRBUF(errors, 4096);

        if (config_read_daemon(m->options.config_path, &fresh, &errors) < 0) {
                log_message(SEVERITY_CRITICAL,
                            "the configuration read at the start stays in force: %s", errors.text);
                return false;
        }
        after = config_dump_daemon(fresh);
        if (before && after && !streq(before, after))
                log_message(SEVERITY_WARNING,
                            "%s has changed: that takes effect at the next start. Type: systemctl "
                            "restart rollbackd",
                            m->options.config_path);
        return true;
}

void manager_reload(Manager *m) {
        double reloaded_at;
        char text[96];
        struct timespec t;

        if (m->stopping) {
                log_message(SEVERITY_NOTICE,
                            "stopping: the policies are read again at the next start");
                return;
        }
        clock_gettime(CLOCK_MONOTONIC, &t);
        snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%llu",
                 (unsigned long long)t.tv_sec * 1000000ull + (unsigned long long)t.tv_nsec / 1000);
        loop_notify(m->loop, text);
        reloaded_at = m->reloaded_at;
        (void)manager_load_policies(m);
        if (!check_daemon_config(m)) {
                m->reload_ok = false;
                m->reloaded_at = reloaded_at;
        }
        manager_try_ledger(m);
        manager_pump(m);
        loop_notify(m->loop, "READY=1");
        manager_update_status(m);
}
