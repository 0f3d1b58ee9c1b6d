/* Services, from the engine's snapshots: the list, one whole, and what each rule would say if it
 * had to decide now. */
#include <stdio.h>

#include "api_internal.h"

static double seconds(usec_t t) {
        return (double)t / (double)USEC_PER_SEC;
}

/* Seconds from now, null for never. */
static void set_left(Json *object, const char *key, usec_t until, usec_t now) {
        if (until == USEC_INFINITY)
                json_set_null(object, key);
        else
                json_set_double(object, key, seconds(usec_sub(until, now)));
}

static Json *rule_json(const RuleSnapshot *rule) {
        Json *j = json_new_object();
        STRBUF(reading, 256);

        verdict_describe(rule->policy, rule->signal_kind, &rule->verdict, &reading);
        json_set_text(j, "name", rule->policy->name);
        json_set_text(j, "kind", rule_kind_to_string(rule->policy->kind));
        json_set_text(j, "response", response_to_string(rule->policy->response));
        json_set_text(j, "verdict", tri_to_string(rule->verdict.tri));
        json_set_text(j, "why", verdict_why_words(rule->verdict.why));
        json_set_text(j, "reading", reading.text);
        json_set_double(j, "value", rule->verdict.value);
        json_set_double(j, "limit", rule->verdict.limit);
        json_set_double(j, "bad", rule->verdict.k);
        json_set_double(j, "total", rule->verdict.n);
        json_set_double(j, "bad_for_seconds", seconds(rule->bad_for));
        json_set_double(j, "hold_seconds", seconds(rule->policy->hold));
        json_set_bool(j, "firing", rule->firing);
        return j;
}

static Json *values_json(const SampleValue *values, size_t n) {
        Json *j = json_new_object();

        for (size_t i = 0; i < n; i++)
                json_set_double(j, values[i].name, values[i].value);
        return j;
}

static Json *target_json(Api *a, uint32_t service, uint16_t probe, uint16_t target,
                         const TargetConfig *config, usec_t now) {
        Json *j = json_new_object();
        ApiProbeDetail detail;
        TargetSnapshot t;

        json_set_text(j, "url", config->url);
        if (!engine_snapshot_target(a->owner.engine, service, probe, target, &t))
                return j;
        json_set_text(j, "state", tri_to_string(t.state));
        json_set_text(j, "outcome", t.at > 0 ? outcome_code(t.outcome) : NULL);
        json_set_u64(j, "run", t.run);
        json_set_u64(j, "needed", t.needed);
        json_set_bool(j, "straggler", t.straggler);
        json_set_text(j, "version", t.version[0] != '\0' ? t.version : NULL);
        if (t.at > 0)
                json_set_double(j, "age_seconds", seconds(usec_sub(now, t.at)));
        if (a->owner.probe_detail(a->owner.userdata, service, probe, target, &detail)) {
                json_set_text(j, "words", detail.words);
                json_set_double(j, "duration_seconds", seconds(detail.duration));
                json_set_text(j, "address", detail.address[0] != '\0' ? detail.address : NULL);
                if (detail.left_out > 0)
                        json_set_u64(j, "addresses_left_out", detail.left_out);
                if (detail.n_values > 0)
                        json_set(j, "values", values_json(detail.values, detail.n_values));
        }
        return j;
}

/* A name has a target for each of its addresses. */
static Json *targets_json(Api *a, uint32_t service, uint16_t probe, const ProbeConfig *config,
                          usec_t now) {
        size_t spare = config->n_targets;
        Json *list = json_new_array();

        for (size_t i = 0; i < config->n_targets; i++) {
                const TargetConfig *target = &config->targets[i];
                TargetSnapshot t;

                if (engine_snapshot_target(a->owner.engine, service, probe, (uint16_t)i, &t))
                        json_add(list, target_json(a, service, probe, (uint16_t)i, target, now));
                if (!target_config_is_name(target))
                        continue;
                for (size_t end = spare + TARGET_ADDRESSES_MAX - 1; spare < end; spare++)
                        if (engine_snapshot_target(a->owner.engine, service, probe, (uint16_t)spare,
                                                   &t))
                                json_add(list, target_json(a, service, probe, (uint16_t)spare,
                                                           target, now));
        }
        return list;
}

static Json *probes_json(Api *a, uint32_t service, usec_t now) {
        const ServiceConfig *config = a->owner.config(a->owner.userdata, service);
        Json *list = json_new_array();

        for (size_t p = 0; config && p < config->n_probes; p++) {
                const ProbeConfig *probe = &config->probes[p];
                Json *j = json_new_object();

                json_set_text(j, "name", probe->name);
                json_set_bool(j, "dependency", probe->dependency);
                json_set_double(j, "interval_seconds", seconds(probe->interval));
                json_set(j, "targets", targets_json(a, service, (uint16_t)p, probe, now));
                json_add(list, j);
        }
        return list;
}

static Json *guards_json(const ServiceSnapshot *s) {
        Json *list = json_new_array();

        for (size_t i = 0; i < s->n_guards; i++) {
                Json *j = json_new_object();
                const GuardAnswer *answer = &s->guards[i];

                json_set_text(j, "guard", guard_to_string(answer->guard));
                json_set_text(j, "answer",
                              answer->answer == TRI_GOOD ? "passes" :
                              answer->answer == TRI_BAD  ? "holds" :
                                                           "waits");
                if (answer->answer != TRI_GOOD && answer->until != USEC_INFINITY)
                        set_left(j, "left_seconds", answer->until, s->now);
                json_add(list, j);
        }
        return list;
}

static Json *operation_json(const ServiceSnapshot *s) {
        Json *j = json_new_object();

        json_set_text(j, "id", s->operation.id);
        json_set_text(j, "kind", operation_kind_to_string(s->operation.kind));
        json_set_text(j, "state", operation_state_to_string(s->operation_state));
        json_set_bool(j, "automatic", s->operation.automatic);
        json_set_text(j, "from", s->operation.from_version);
        json_set_text(j, "to", s->operation.to_version);
        json_set_double(j, "for_seconds", seconds(usec_sub(s->now, s->operation_since)));
        json_set_text(j, "awaits_dependency", s->awaited);
        return j;
}

/* What stands in the list, and at the head of one service. */
static Json *summary_json(const ServiceSnapshot *s) {
        Json *j = json_new_object(), *rules = json_new_array();

        json_set_text(j, "service", s->policy->service);
        json_set_text(j, "health", health_to_string(s->health));
        json_set_double(j, "health_for_seconds", seconds(usec_sub(s->now, s->health_since)));
        json_set_text(j, "mode", rollback_mode_to_string(s->policy->rollback.mode));
        json_set_bool(j, "known", s->known);
        json_set_text(j, "version", s->known ? s->facts.version : NULL);
        json_set_u64(j, "epoch", s->known ? s->facts.epoch : 0);
        json_set_text(j, "release", s->known ? release_kind_to_string(s->facts.kind) : NULL);
        json_set_double(j, "released_for_seconds",
                        s->known ? seconds(usec_sub(s->now, s->facts.released)) : 0);
        json_set_bool(j, "stable", s->known && s->facts.stable);
        json_set_text(j, "target", s->target.candidate ? s->target.candidate->version : NULL);
        json_set_text(j, "target_why", s->target_text);
        json_set_text(j, "holding",
                      s->holding >= 0 ? guard_to_string(s->guards[s->holding].guard) : NULL);
        json_set_text(j, "holding_why", s->holding >= 0 ? s->guard_text : NULL);
        for (size_t i = 0; i < s->n_rules; i++)
                json_add(rules, rule_json(&s->rules[i]));
        json_set(j, "rules", rules);
        if (s->operation_state != OPERATION_NONE)
                json_set(j, "operation", operation_json(s));
        else
                json_set_null(j, "operation");
        return j;
}

static Json *unconfigured_json(Api *a) {
        Json *list = json_new_array();
        ApiUnconfigured refused;

        for (size_t i = 0;
             i < API_LIST_MAX && a->owner.unconfigured(a->owner.userdata, i, &refused); i++) {
                Json *j = json_new_object();

                json_set_text(j, "path", refused.path);
                json_set_text(j, "service", refused.service);
                json_set_text(j, "error", refused.error);
                json_set_bool(j, "earlier_in_force", refused.in_force);
                json_add(list, j);
        }
        return list;
}

/* A page of the services: ?from= is what the page before gave as `next`, null on the last one. */
void api_get_services(Api *a, const HttpCall *call, const char *argument _unused_,
                      HttpAnswer *ret) {
        size_t slots = engine_service_slots(a->owner.engine);
        usec_t now = a->owner.now(a->owner.userdata);
        Json *body, *list;
        uint64_t from, limit;
        ApiStatus status;

        if (!api_read_number(call, "from", 0, CONFIG_SERVICES_MAX, 0, &from, ret) ||
            !api_read_number(call, "limit", 1, API_LIST_MAX, API_LIST_DEFAULT, &limit, ret))
                return;
        body = json_new_object();
        list = json_new_array();
        a->owner.status(a->owner.userdata, &status);
        json_set_u64(body, "api_version", 1);
        json_set_text(body, "status", status.words);
        json_set_bool(body, "ledger_up", status.ledger_up);
        json_set_text(body, "ledger", status.ledger_words[0] != '\0' ? status.ledger_words : NULL);
        for (; from < slots && json_length(list) < limit; from++)
                if (engine_snapshot_service(a->owner.engine, (uint32_t)from, now, &a->snapshot))
                        json_add(list, summary_json(&a->snapshot));
        while (from < slots && !a->owner.config(a->owner.userdata, (uint32_t)from))
                from++;
        json_set(body, "services", list);
        json_set_u64(body, "next", from < slots ? from : UINT64_MAX);
        json_set(body, "unconfigured", unconfigured_json(a));
        api_answer_json(ret, 200, body);
}

/* The service's handle with its snapshot taken, or ENGINE_NO_SERVICE, which has been answered. */
static uint32_t take_snapshot(Api *a, const char *name, HttpAnswer *ret) {
        uint32_t service = engine_find_service(a->owner.engine, name);

        if (service != ENGINE_NO_SERVICE &&
            engine_snapshot_service(a->owner.engine, service, a->owner.now(a->owner.userdata),
                                    &a->snapshot))
                return service;
        api_answer_problem(
                ret, 404,
                "no service of that name has a policy in force; services are at /api/v1/services");
        return ENGINE_NO_SERVICE;
}

void api_get_service(Api *a, const HttpCall *call _unused_, const char *argument, HttpAnswer *ret) {
        uint32_t service = take_snapshot(a, argument, ret);
        const ServiceSnapshot *s = &a->snapshot;
        Json *body;

        if (service == ENGINE_NO_SERVICE)
                return;
        body = summary_json(s);
        json_set_u64(body, "api_version", 1);
        json_set(body, "guards", guards_json(s));
        json_set(body, "probes", probes_json(a, service, s->now));
        set_left(body, "warm_left_seconds", s->warm_until, s->now);
        set_left(body, "watch_left_seconds", s->watch_until, s->now);
        json_set_double(body, "bake_left_seconds", seconds(s->bake_left));
        json_set_double(body, "bake_requests_left", s->bake_requests_left);
        api_answer_json(ret, 200, body);
}

void api_get_explain(Api *a, const HttpCall *call _unused_, const char *argument, HttpAnswer *ret) {
        uint32_t service = take_snapshot(a, argument, ret);
        const ServiceSnapshot *s = &a->snapshot;
        Json *body, *rules;

        if (service == ENGINE_NO_SERVICE)
                return;
        body = summary_json(s);
        rules = json_new_array();
        for (size_t i = 0; i < s->n_rules; i++) {
                Evidence evidence;

                if (engine_explain(a->owner.engine, service, (uint16_t)i, s->now, &evidence))
                        json_add(rules, json_from_evidence(&evidence));
        }
        json_set_u64(body, "api_version", 1);
        json_set(body, "guards", guards_json(s));
        json_set(body, "evidence", rules);
        api_answer_json(ret, 200, body);
}
