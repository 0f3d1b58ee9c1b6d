#include <errno.h>

#include "ledger_advice.h"
#include "manager_internal.h"

/* The policies' notify entries become subscriber rows once per policy and connection. */
static void send_subscribers(Manager *m, uint32_t service) {
        ManagedService *s = &m->services[service];
        _cleanup_(json_freep) Json *entries = json_new_array();
        _cleanup_(freep) char *text = NULL;

        if (s->subscribed || m->stopping || !entries)
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

/* Once per schema: a heartbeat comes twice a minute. */
static void tell_schema(Manager *m, uint64_t schema) {
        uint64_t before = m->schema_told;

        if (schema == before)
                return;
        m->schema_told = schema;
        if (schema < LEDGER_SCHEMA)
                log_message(SEVERITY_WARNING, "%s", m->ledger_words);
        else if (before > 0)
                log_message(SEVERITY_NOTICE, "the ledger has schema %llu now",
                            (unsigned long long)schema);
}

/* One behind we run, without what our own schema added. */
static void look_at_schema(Manager *m) {
        uint64_t schema = ledger_schema(m->ledger);
        StrBuf b;

        strbuf_init(&b, m->ledger_words, sizeof m->ledger_words);
        if (schema < LEDGER_SCHEMA) {
                strbuf_add(&b, "the ledger has schema ");
                strbuf_add_u64(&b, schema);
                strbuf_add(&b, ", one behind: run rollbackctl db migrate");
        }
        tell_schema(m, schema);
}

static void on_heartbeat(void *userdata) {
        Manager *m = userdata;

        m->heartbeat_at = manager_unix_now();
        look_at_schema(m);
        manager_update_status(m);
}

static void on_next_delivery(void *userdata, usec_t in) {
        deliveries_pump_expect(((Manager *)userdata)->deliveries, in);
}

static bool operation_in_flight(void *userdata) {
        Manager *m = userdata;
        ServiceGlance glance;

        if (m->stopping)
                return true;
        for (uint32_t i = 0; i < CONFIG_SERVICES_MAX; i++)
                if (m->services[i].config &&
                    (m->services[i].runner || (engine_glance(m->engine, i, &glance) &&
                                               glance.operation_state != OPERATION_NONE)))
                        return true;
        return false;
}

static void on_retention(void *userdata) {
        ((Manager *)userdata)->retention_at = manager_unix_now();
}

static int start_housekeeping(Manager *m) {
        HousekeepingSetup setup = housekeeping_setup(m->config->retention, m->seed + 5);

        setup.userdata = m;
        setup.busy = operation_in_flight;
        setup.on_success = on_retention;
        return housekeeping_new(&m->housekeeping, m->loop, m->ledger, m->steps_pg, &setup);
}

/* Why the ledger cannot be used and what to do about it; "" for NULL. */
static void set_ledger_words(Manager *m, const PgFailure *failure) {
        STRBUF(secret, CONFIG_SECRET_PATH_MAX);
        STRBUF(words, sizeof m->ledger_words);
        LedgerPlace place = { .configured = true, .reload = "systemctl reload rollbackd" };

        if (m->config->password_file) {
                if (config_find_secret(m->config->secrets, m->config->password_file, &secret))
                        place.reload = "systemctl restart rollbackd";
                place.secret = secret.text;
        }
        if (failure)
                ledger_add_advice(&words, failure, &place);
        /* The alert is raised once; that the reason is another one now is said here. */
        if (failure && m->ledger_down_at > 0 && !streq(words.text, m->ledger_words))
                log_message(SEVERITY_WARNING, "the ledger still cannot be used: %s", words.text);
        memcpy(m->ledger_words, words.text, words.length + 1);
}

static void on_ledger_state(void *userdata, bool up, const PgFailure *failure) {
        Manager *m = userdata;
        EventFieldValue fields[] = {
                { "error", m->ledger_words },
                { "class", failure ? pg_error_to_string(failure->error) : "" },
        };
        EventKind kind = failure && ledger_needs_a_person(failure) ? EVENT_LEDGER_UNUSABLE :
                                                                     EVENT_LEDGER_DOWN;

        m->ledger_seen = true;
        m->ledger_unusable = kind == EVENT_LEDGER_UNUSABLE;
        set_ledger_words(m, failure);
        m->ledger_down_at = up ? 0 : m->ledger_down_at ?: loop_now(m->loop);
        engine_set_ledger_reachable(m->engine, up, loop_now(m->loop));
        if (up) {
                alert_over(m->alerts, EVENT_LEDGER_DOWN, "", "", fields, ELEMENTSOF(fields));
                alert_over(m->alerts, EVENT_LEDGER_UNUSABLE, "", "", fields, ELEMENTSOF(fields));
                look_at_schema(m);
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

/* The ledger's own connection raises the alert; this one only says so, once until it is back. */
static void on_steps_state(void *userdata, bool up, const PgFailure *failure) {
        Manager *m = userdata;
        bool news = !up && failure && !m->steps_pg_down;

        m->steps_pg_down = !up;
        if (news)
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

static void on_failed(void *userdata, const LedgerFailed *failed) {
        Manager *m = userdata;
        uint32_t handle = engine_find_service(m->engine, failed->service);

        if (handle != ENGINE_NO_SERVICE)
                engine_set_failed(m->engine, handle, failed->epoch, failed->policy_hash,
                                  failed->target, failed->detail);
}

static void on_recent(void *userdata, Json *operations, Json *events) {
        Manager *m = userdata;

        api_set_recent(m->api, operations, events);
        deliveries_pump_run(m->deliveries);
}

/* The ledger's password, when one is named: read for each attempt to connect. */
static int on_password(void *userdata, char **ret, StrBuf *reterr) {
        const Manager *m = userdata;

        return m->config->password_file ?
                       config_read_secret(m->config->secrets, m->config->password_file, ret,
                                          reterr) :
                       0;
}

int manager_connect_ledger(Manager *m) {
        LedgerOwner owner = { .userdata = m,
                              .on_state = on_ledger_state,
                              .on_facts = on_facts,
                              .on_recent = on_recent,
                              .on_trouble = on_ledger_trouble,
                              .on_heartbeat = on_heartbeat,
                              .on_next_delivery = on_next_delivery,
                              .on_failed = on_failed,
                              .on_password = on_password };
        PgSetup steps = { .conninfo = m->config->conninfo,
                          .application_name = "rollbackd steps",
                          .on_password = on_password,
                          .on_state = on_steps_state,
                          .userdata = m };
        int r;

        if (!m->config->conninfo)
                return 0;
        r = ledger_new(&m->ledger, m->loop, m->offload, m->config->conninfo, &owner, m->seed + 1);
        if (r >= 0)
                r = pg_new(&m->steps_pg, m->loop, m->offload, &steps, m->seed + 2);
        if (r >= 0)
                r = start_housekeeping(m);
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

void manager_try_ledger(Manager *m) {
        if (!m->ledger)
                return;
        ledger_try_now(m->ledger);
        pg_connect_now(m->steps_pg);
}
