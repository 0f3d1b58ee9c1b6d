#include <errno.h>
#include <stdio.h>

#include "manager_internal.h"

#define DELIVERIES_LEASE (20 * USEC_PER_SEC)

/* What an alert says of a notice that is given up; as many as can be in flight. */
typedef struct Told {
        char id[OPERATION_ID_SIZE], event[NAME_SIZE], service[NAME_SIZE], subscriber[2 * NAME_SIZE];
} Told;

struct DeliveriesPump {
        Manager *manager;
        Deliveries *deliveries;
        LoopTimer *timer;
        usec_t due; /* the timer's instant */
        bool claiming, ask_again, told_failure;
        uint64_t done, dead;
        Told told[HTTP_CLIENT_CONCURRENT];
};

/* The place of a delivery; with `id` "" a free one, else NULL when it has none. */
static Told *find_told(DeliveriesPump *p, const char *id) {
        for (size_t i = 0; i < ELEMENTSOF(p->told); i++)
                if (streq(p->told[i].id, id))
                        return &p->told[i];
        return NULL;
}

static void keep_told(DeliveriesPump *p, const LedgerDelivery *d) {
        Told *t = find_told(p, d->id) ?: find_told(p, "");

        if (!t)
                return;
        snprintf(t->id, sizeof t->id, "%s", d->id);
        snprintf(t->event, sizeof t->event, "%s", d->event_kind);
        snprintf(t->service, sizeof t->service, "%s", d->service ?: "");
        snprintf(t->subscriber, sizeof t->subscriber, "%s", d->subscriber);
}

static void say_dead(DeliveriesPump *p, const char *id, const char *words) {
        const Told *t = find_told(p, id);
        const char *service = t ? t->service : "";
        EventFieldValue fields[] = {
                { "service", service },
                { "event", t ? t->event : id },
                { "subscriber", t ? t->subscriber : "" },
                { "delivery", id },
                { "error", words },
        };

        alert_say(p->manager->alerts, EVENT_DELIVERY_DEAD, service, fields, ELEMENTSOF(fields));
}

static void arm(DeliveriesPump *p, usec_t in) {
        usec_t at = usec_add(loop_now(p->manager->loop), in);

        if (at >= p->due)
                return;
        p->due = at;
        loop_timer_set(p->timer, at);
}

static void on_timer(void *userdata, usec_t now _unused_) {
        DeliveriesPump *p = userdata;

        p->due = USEC_INFINITY;
        deliveries_pump_run(p);
}

void deliveries_pump_expect(DeliveriesPump *p, usec_t in) {
        arm(p, in);
}

static void on_delivered(void *userdata, const char *id, DeliveryResult result, usec_t retry_in,
                         const char *words) {
        DeliveriesPump *p = userdata;
        static const char *const states[] = {
                [DELIVERY_DONE] = "done", [DELIVERY_RETRY] = "retry", [DELIVERY_DEAD] = "dead"
        };
        Manager *m = p->manager;
        Told *told;

        if (result == DELIVERY_DONE)
                p->done++;
        else if (result == DELIVERY_DEAD) {
                p->dead++;
                say_dead(p, id, words);
        } else
                log_message(SEVERITY_INFO, "delivery %s will be tried again: %s", id, words);
        told = find_told(p, id);
        if (told)
                *told = (Told){ 0 };
        if (!m->ledger || ledger_delivery_result(m->ledger, id, states[result], retry_in,
                                                 result == DELIVERY_DONE ? NULL : words) < 0)
                log_message(SEVERITY_WARNING,
                            "delivery %s ended as %s, and the ledger was not told: it will be sent "
                            "again under the same id",
                            id, states[result]);
        arm(p, 0);
}

/* What was claimed and is not posted any more is anybody's at once. */
static void give_back(Manager *m, const LedgerDelivery deliveries[], size_t n) {
        for (size_t i = 0; i < n; i++)
                if (ledger_delivery_result(m->ledger, deliveries[i].id, "retry", 0,
                                           "rollbackd was stopping") < 0)
                        log_message(SEVERITY_INFO,
                                    "delivery %s was claimed while stopping: it is sent once its "
                                    "lease is over",
                                    deliveries[i].id);
}

static void on_claimed(void *userdata, const PgFailure *failure, const LedgerDelivery deliveries[],
                       size_t n, usec_t next_in) {
        DeliveriesPump *p = userdata;

        p->claiming = false;
        if (p->ask_again)
                arm(p, 0);
        p->ask_again = false;
        if (failure->error != PG_OK) {
                if (!p->told_failure)
                        log_message(SEVERITY_WARNING, "notices cannot be claimed, trying again: %s",
                                    failure->message);
                p->told_failure = true;
                arm(p, MANAGER_ASK_AGAIN);
                return;
        }
        p->told_failure = false;
        if (p->manager->stopping) {
                give_back(p->manager, deliveries, n);
                return;
        }
        for (size_t i = 0; i < n; i++) {
                const LedgerDelivery *d = &deliveries[i];
                Delivery delivery = {
                        .id = d->id,
                        .channel = d->channel,
                        .type = d->event_kind,
                        .at = d->at,
                        .service = d->service,
                        .operation = d->operation,
                        .fields = d->fields,
                        .seq = d->seq,
                        .attempt = d->attempt,
                };

                /* What finds no free place is anybody's again when its lease is over. */
                keep_told(p, d);
                if (deliveries_send(p->deliveries, &delivery) == -EAGAIN)
                        break;
        }
        arm(p, next_in);
}

void deliveries_pump_run(DeliveriesPump *p) {
        Manager *m = p->manager;
        size_t in_flight = deliveries_in_flight(p->deliveries);

        /* What became due meanwhile may not be in the answer. */
        p->ask_again = p->claiming;
        if (p->claiming || m->stopping || !m->ledger || !ledger_is_up(m->ledger) ||
            in_flight >= HTTP_CLIENT_CONCURRENT)
                return;
        p->claiming = ledger_claim_deliveries(m->ledger,
                                              (unsigned)(HTTP_CLIENT_CONCURRENT - in_flight),
                                              DELIVERIES_LEASE, on_claimed, p) >= 0;
        if (!p->claiming)
                arm(p, MANAGER_ASK_AGAIN);
}

size_t deliveries_pump_under_way(const DeliveriesPump *p) {
        return deliveries_in_flight(p->deliveries);
}

void deliveries_pump_counts(const DeliveriesPump *p, uint64_t *ret_done, uint64_t *ret_dead) {
        *ret_done = p->done;
        *ret_dead = p->dead;
}

int deliveries_pump_new(DeliveriesPump **ret, Manager *m) {
        DeliveriesPump *p = calloc(1, sizeof *p);
        int r;

        if (!p)
                return -ENOMEM;
        p->manager = m;
        p->due = USEC_INFINITY;
        r = deliveries_new(&p->deliveries, m->loop, m->client, m->config->secrets, on_delivered, p,
                           m->seed + 5);
        if (r >= 0)
                r = loop_add_timer(m->loop, on_timer, p, "deliveries", &p->timer);
        if (r < 0) {
                deliveries_pump_free(p);
                return r;
        }
        *ret = p;
        return 0;
}

DeliveriesPump *deliveries_pump_free(DeliveriesPump *p) {
        if (!p)
                return NULL;
        deliveries_free(p->deliveries);
        loop_timer_free(p->timer);
        free(p);
        return NULL;
}
