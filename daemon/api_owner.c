#include <errno.h>
#include <stdio.h>

#include "manager_internal.h"

static void fill_status(void *userdata, ApiStatus *ret) {
        Manager *m = userdata;

        manager_update_status(m);
        ProberCounts probes = prober_counts(m->prober);

        *ret = (ApiStatus){
                .ready = m->ledger && ledger_is_up(m->ledger),
                .ledger_up = m->ledger && ledger_is_up(m->ledger),
                .reload_ok = m->reload_ok,
                .reloaded_at = m->reloaded_at,
                .started_at = m->started_at,
                .heartbeat_at = m->heartbeat_at,
                .retention_at = m->retention_at,
                .ledger_schema = m->ledger ? ledger_schema(m->ledger) : 0,
                .policies_refused = m->n_refused,
                .probes = probes.probes,
                .samples = engine_samples(m->engine),
                .late = probes.late,
                .overdue = probes.overdue,
                .targets = probes.targets,
                .commits = m->commits,
                .commits_failed = m->commits_failed,
                .alerts_dropped = alerts_dropped(m->alerts),
                .log_lost = log_lost(),
                .longest_turn = loop_longest_turn(m->loop),
        };
        deliveries_pump_counts(m->deliveries, &ret->deliveries_done, &ret->deliveries_dead);
        snprintf(ret->words, sizeof ret->words, "%s", m->status);
        snprintf(ret->ledger_words, sizeof ret->ledger_words, "%s",
                 m->ledger ? m->ledger_words : "no ledger");
}

static usec_t now(void *userdata) {
        return loop_now(((Manager *)userdata)->loop);
}

static const ServiceConfig *config(void *userdata, uint32_t service) {
        return service < CONFIG_SERVICES_MAX ? ((Manager *)userdata)->services[service].config :
                                               NULL;
}

static bool probe_detail(void *userdata, uint32_t service, uint16_t probe, uint16_t target,
                         ApiProbeDetail *ret) {
        Manager *m = userdata;
        ProbeDetail detail;
        StrBuf address;

        if (!prober_detail(m->prober, service, probe, target, &detail))
                return false;
        snprintf(m->probe_words, sizeof m->probe_words, "%s", detail.words);
        strbuf_init(&address, m->probe_address, sizeof m->probe_address);
        *ret = (ApiProbeDetail){
                .words = m->probe_words,
                .duration = detail.duration,
                .address = m->probe_address,
                .left_out = prober_address(m->prober, service, probe, target, &address),
        };
        ret->n_values = prober_values(m->prober, service, probe, target, &ret->values);
        return true;
}

static bool unconfigured(void *userdata, size_t i, ApiUnconfigured *ret) {
        Manager *m = userdata;

        if (i >= m->n_refused)
                return false;
        *ret = (ApiUnconfigured){ m->refused[i].path, m->refused[i].service, m->refused[i].error,
                                  m->refused[i].in_force };
        return true;
}

static bool drill(void *userdata, const char *service, double *ret_succeeded_at) {
        Manager *m = userdata;

        return m->ledger && ledger_find_drill(m->ledger, service, ret_succeeded_at);
}

static int request(void *userdata, uint32_t service, OperationKind kind, const char *target,
                   uint64_t epoch, const char *actor, const char *reason,
                   char ret_id[static OPERATION_ID_SIZE], StrBuf *why) {
        Manager *m = userdata;
        int r;

        if (m->stopping) {
                strbuf_add(why, "rollbackd is stopping and begins nothing new: ask again once it "
                                "is back, or "
                                "type in psql: SELECT rollbackd.rollback('SERVICE', 'why')");
                return -ESHUTDOWN;
        }
        r = engine_request(m->engine, service, kind, target, epoch, actor, reason,
                           loop_now(m->loop), ret_id, why);

        log_message(SEVERITY_NOTICE, "service %s: %s asks for a %s (%s): %s",
                    manager_service_name(m, service), actor, operation_kind_to_string(kind), reason,
                    r < 0 ? why->text : ret_id);
        manager_pump(m);
        return r;
}

static void on_found(void *userdata, const PgFailure *failure, const char *what, Json *record) {
        api_found(userdata, failure->error == PG_OK ? NULL : failure->message, what, record);
}

static int find(void *userdata, const char *id, ApiLookup *lookup) {
        Manager *m = userdata;

        return m->ledger ? ledger_find(m->ledger, id, on_found, lookup) : -ENOTCONN;
}

ApiOwner manager_api_owner(Manager *m) {
        return (ApiOwner){
                .userdata = m,
                .engine = m->engine,
                .status = fill_status,
                .now = now,
                .config = config,
                .probe_detail = probe_detail,
                .unconfigured = unconfigured,
                .drill = drill,
                .request = request,
                .find = find,
        };
}
