/* The families of /metrics that have one line or more for each service. */
#include <math.h>

#include "api_metrics.h"

typedef struct ServiceView {
        const ServiceSnapshot *snapshot;
        double drill_at; /* NAN: the ledger has not told */
} ServiceView;

typedef void (*ServiceSamples)(StrBuf *b, const char *name, const ServiceView *view);

static void health_samples(StrBuf *b, const char *name, const ServiceView *view) {
        const ServiceSnapshot *s = view->snapshot;

        for (int h = 0; h < _HEALTH_MAX; h++)
                metrics_add_sample(b, name, "service", s->policy->service, "health",
                                   health_to_string((Health)h), s->health == (Health)h);
}

static void version_samples(StrBuf *b, const char *name, const ServiceView *view) {
        const ServiceSnapshot *s = view->snapshot;

        if (s->known)
                metrics_add_sample(b, name, "service", s->policy->service, "version",
                                   s->facts.version, 1);
}

static void epoch_samples(StrBuf *b, const char *name, const ServiceView *view) {
        const ServiceSnapshot *s = view->snapshot;

        if (s->known)
                metrics_add_sample(b, name, "service", s->policy->service, NULL, NULL,
                                   (double)s->facts.epoch);
}

static void automatic_samples(StrBuf *b, const char *name, const ServiceView *view) {
        const ServiceSnapshot *s = view->snapshot;

        metrics_add_sample(b, name, "service", s->policy->service, NULL, NULL,
                           s->policy->rollback.mode == MODE_AUTOMATIC && s->known &&
                                   s->facts.automatic);
}

static void target_samples(StrBuf *b, const char *name, const ServiceView *view) {
        const ServiceSnapshot *s = view->snapshot;

        metrics_add_sample(b, name, "service", s->policy->service, NULL, NULL,
                           s->target.candidate != NULL);
}

static void holding_samples(StrBuf *b, const char *name, const ServiceView *view) {
        const ServiceSnapshot *s = view->snapshot;

        if (s->health == HEALTH_BAD && s->holding >= 0)
                metrics_add_sample(b, name, "service", s->policy->service, "guard",
                                   guard_to_string(s->guards[s->holding].guard), 1);
}

static void operation_samples(StrBuf *b, const char *name, const ServiceView *view) {
        const ServiceSnapshot *s = view->snapshot;

        metrics_add_sample(b, name, "service", s->policy->service, NULL, NULL,
                           s->operation_state != OPERATION_NONE);
}

static void rule_bad_samples(StrBuf *b, const char *name, const ServiceView *view) {
        const ServiceSnapshot *s = view->snapshot;

        for (size_t i = 0; i < s->n_rules; i++)
                metrics_add_sample(b, name, "service", s->policy->service, "rule",
                                   s->rules[i].policy->name, s->rules[i].verdict.tri == TRI_BAD);
}

static void rule_unknown_samples(StrBuf *b, const char *name, const ServiceView *view) {
        const ServiceSnapshot *s = view->snapshot;

        for (size_t i = 0; i < s->n_rules; i++)
                metrics_add_sample(b, name, "service", s->policy->service, "rule",
                                   s->rules[i].policy->name,
                                   s->rules[i].verdict.tri == TRI_UNKNOWN);
}

static void rule_value_samples(StrBuf *b, const char *name, const ServiceView *view) {
        const ServiceSnapshot *s = view->snapshot;

        for (size_t i = 0; i < s->n_rules; i++)
                if (s->rules[i].verdict.n > 0)
                        metrics_add_sample(b, name, "service", s->policy->service, "rule",
                                           s->rules[i].policy->name, s->rules[i].verdict.value);
}

static void drill_samples(StrBuf *b, const char *name, const ServiceView *view) {
        if (!isnan(view->drill_at))
                metrics_add_sample(b, name, "service", view->snapshot->policy->service, NULL, NULL,
                                   view->drill_at);
}

static const struct {
        const char *name, *help;
        ServiceSamples samples;
} service_families[] = {
        { "rollbackd_service_health", "1 for the health that the service has.", health_samples },
        { "rollbackd_service_version_info", "The active version.", version_samples },
        { "rollbackd_service_epoch", "Pointer changes of the service so far.", epoch_samples },
        { "rollbackd_service_automatic", "Whether rollbackd may act on the service by itself.",
          automatic_samples },
        { "rollbackd_service_has_target", "Whether a rollback would have somewhere to go.",
          target_samples },
        { "rollbackd_service_held", "1 while a bad service is held back, by which guard.",
          holding_samples },
        { "rollbackd_service_operation", "1 while an operation is in flight.", operation_samples },
        { "rollbackd_rule_bad", "1 while the rule's verdict is bad.", rule_bad_samples },
        { "rollbackd_rule_unknown", "1 while the rule's verdict is unknown.",
          rule_unknown_samples },
        { "rollbackd_drill_last_success_timestamp_seconds",
          "When a drill of the service last succeeded; 0: never.", drill_samples },
        { "rollbackd_rule_value", "What the rule reads: a share from 0 to 1, or events per second.",
          rule_value_samples },
};

_Static_assert(ELEMENTSOF(service_families) == METRICS_SERVICE_FAMILIES, "room for each");

void metrics_write_services(Api *a, StrBuf families[static METRICS_SERVICE_FAMILIES]) {
        usec_t now = a->owner.now(a->owner.userdata);
        ServiceView view = { .snapshot = &a->snapshot };

        for (size_t f = 0; f < METRICS_SERVICE_FAMILIES; f++)
                metrics_begin_family(&families[f], service_families[f].name, "gauge",
                                     service_families[f].help);
        for (size_t i = 0; i < engine_service_slots(a->owner.engine); i++) {
                if (!engine_snapshot_service(a->owner.engine, (uint32_t)i, now, &a->snapshot))
                        continue;
                if (!a->owner.drill(a->owner.userdata, a->snapshot.policy->service, &view.drill_at))
                        view.drill_at = NAN;
                for (size_t f = 0; f < METRICS_SERVICE_FAMILIES; f++)
                        service_families[f].samples(&families[f], service_families[f].name, &view);
        }
}
