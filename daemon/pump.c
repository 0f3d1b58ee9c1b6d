#include <errno.h>
#include <stdio.h>

#include "manager_internal.h"

const char *manager_service_name(const Manager *m, uint32_t service) {
        return service < CONFIG_SERVICES_MAX && m->services[service].config ?
                       m->services[service].config->service :
                       "?";
}

void effect_fields_add(EffectFields *f, const char *name, const char *value) {
        for (size_t i = 0; i < f->n; i++)
                if (streq(f->values[i].name, name))
                        return;
        if (value && value[0] != '\0' && f->n < EFFECT_FIELDS)
                f->values[f->n++] = (EventFieldValue){ name, value };
}

void effect_fields_fill(const Manager *m, const Effect *e, EffectFields *f) {
        const Evidence *evidence = e->evidence;

        *f = (EffectFields){ 0 };
        snprintf(f->epoch, sizeof f->epoch, "%llu", (unsigned long long)e->epoch);
        effect_fields_add(f, "service", manager_service_name(m, e->service));
        for (size_t i = 0; i < e->n_fields; i++)
                effect_fields_add(f, e->fields[i].name, e->fields[i].value);
        effect_fields_add(f, "operation", e->operation.id);
        effect_fields_add(f, "from", e->operation.from_version);
        effect_fields_add(f, "to", e->operation.to_version);
        effect_fields_add(f, "actor", e->operation.actor);
        effect_fields_add(f, "key", e->key);
        effect_fields_add(f, "text", e->text);
        effect_fields_add(f, "epoch", f->epoch);
        if (!evidence)
                return;
        effect_fields_add(f, "version", evidence->version);
        effect_fields_add(f, "target", evidence->target);
        effect_fields_add(f, "rule", evidence->rule);
        effect_fields_add(f, "reading", evidence->reading);
        effect_fields_add(f, "guard", evidence->guard);
        effect_fields_add(f, "guards", evidence->guards);
        effect_fields_add(f, "reason", evidence->reason);
}

static void perform_alert(Manager *m, const Effect *e) {
        const char *service = manager_service_name(m, e->service);
        EffectFields f;

        effect_fields_fill(m, e, &f);
        if (!e->raise)
                alert_over(m->alerts, e->event, service, e->key, f.values, f.n);
        else if (event_row(e->event)->lasting)
                alert_raise(m->alerts, e->event, service, e->key, f.values, f.n);
        else
                alert_say(m->alerts, e->event, service, f.values, f.n);
}

/* The JSON of evidence, to be freed; NULL without memory. */
char *manager_evidence_text(const Evidence *evidence) {
        _cleanup_(json_freep) Json *value = evidence ? json_from_evidence(evidence) :
                                                       json_new_object();

        return value ? json_text(value) : NULL;
}

static void perform_move(Manager *m, const Effect *e) {
        _cleanup_(freep) char *fields = manager_evidence_text(e->evidence);
        const char *service = manager_service_name(m, e->service);

        log_message(SEVERITY_NOTICE, "service %s: operation %s is %s (row %u: %s)", service,
                    e->operation.id, operation_state_to_string(e->state), e->row, e->text);
        if (!fields || !m->ledger ||
            ledger_move_operation(m->ledger, e->operation.id, e->state, e->text, fields) < 0)
                log_message(SEVERITY_CRITICAL,
                            "service %s: the ledger was not told that operation %s is %s; its row "
                            "stays open until rollbackd reads it again",
                            service, e->operation.id, operation_state_to_string(e->state));
}

/* The evidence, and what its sentence names besides. */
static char *record_text(const Manager *m, const Effect *e) {
        _cleanup_(json_freep) Json *fields = e->evidence ? json_from_evidence(e->evidence) :
                                                           json_new_object();

        if (!fields)
                return NULL;
        if (e->operation.from_version[0] != '\0') {
                json_set_text(fields, "from", e->operation.from_version);
                json_set_text(fields, "to", e->operation.to_version);
        }
        if (e->event == EVENT_ROLLBACK_FAILED || e->event == EVENT_RESTORE_FAILED) {
                json_set_text(fields, "detail", e->text);
                json_set_bool(fields, "automatic", e->operation.automatic);
                json_set_text(fields, "policy_hash", m->services[e->service].config->hash);
        }
        return json_text(fields);
}

static void perform_record(Manager *m, const Effect *e) {
        _cleanup_(freep) char *fields = record_text(m, e);

        if (!fields || !m->ledger ||
            ledger_record_event(m->ledger, e->operation.id[0] != '\0' ? e->operation.id : NULL,
                                manager_service_name(m, e->service), event_row(e->event)->type,
                                NULL, "rollbackd", fields) < 0)
                log_message(SEVERITY_WARNING, "service %s: the event %s could not be stored: %s",
                            manager_service_name(m, e->service), event_row(e->event)->type,
                            e->text);
}

static void perform(Manager *m, const Effect *e) {
        if (!m->services[e->service].config)
                return;
        switch (e->kind) {
        case EFFECT_PROBE_NOW:
                prober_probe_now(m->prober, e->service, e->probe);
                break;
        case EFFECT_COMMIT:
                manager_send_commit(m, e);
                break;
        case EFFECT_RUN_STEPS:
                if (steps_runner_start(m, e->service, e->operation.id, e->adopt) < 0)
                        log_message(SEVERITY_CRITICAL,
                                    "service %s: out of memory: the steps of operation %s wait for "
                                    "a restart",
                                    manager_service_name(m, e->service), e->operation.id);
                break;
        case EFFECT_MOVE_OPERATION:
                perform_move(m, e);
                break;
        case EFFECT_RECORD:
                perform_record(m, e);
                break;
        case EFFECT_ALERT:
                perform_alert(m, e);
                break;
        case EFFECT_MARK_STABLE:
                /* The engine asks again while the facts do not say so. */
                if (m->ledger && ledger_earn_stable(m->ledger, manager_service_name(m, e->service),
                                                    e->epoch) < 0)
                        log_message(SEVERITY_INFO,
                                    "service %s: epoch %llu has earned its stable mark, the queue "
                                    "to the ledger is full: later",
                                    manager_service_name(m, e->service),
                                    (unsigned long long)e->epoch);
                break;
        case _EFFECT_KIND_MAX:
                break;
        }
}

/* What is done of an effect once nothing new begins: what happened is told and written down. */
static bool is_record(EffectKind kind) {
        switch (kind) {
        case EFFECT_MOVE_OPERATION:
        case EFFECT_RECORD:
        case EFFECT_ALERT:
                return true;
        case EFFECT_PROBE_NOW:
        case EFFECT_COMMIT:
        case EFFECT_RUN_STEPS:
        case EFFECT_MARK_STABLE:
        case _EFFECT_KIND_MAX:
                break;
        }
        return false;
}

void manager_pump(Manager *m) {
        Effect e;

        /* An effect may call back into the pump: it then goes round once more instead of deeper. */
        m->pump_again = true;
        if (m->pumping || m->closing)
                return;
        m->pumping = true;
        while (m->pump_again) {
                m->pump_again = false;
                if (!m->stopping)
                        engine_step(m->engine, loop_now(m->loop));
                while (engine_take_effect(m->engine, &e))
                        if (!m->stopping || is_record(e.kind))
                                perform(m, &e);
        }
        m->pumping = false;
        if (engine_changes(m->engine) != m->status_changes)
                manager_update_status_soon(m);
        if (!m->stopping)
                loop_timer_set(m->engine_timer, engine_deadline(m->engine));
}
