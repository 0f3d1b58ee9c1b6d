#include <stdio.h>

#include "manager_internal.h"

/* Soon enough for whoever looks, and rare enough for a burst of changes. */
#define STATUS_DELAY (100 * USEC_PER_MSEC)

static StatusLedger ledger_status(const Manager *m) {
        if (!m->ledger)
                return STATUS_LEDGER_NONE;
        if (ledger_is_up(m->ledger))
                return STATUS_LEDGER_UP;
        if (!m->ledger_seen)
                return STATUS_LEDGER_CONNECTING;
        return m->ledger_unusable ? STATUS_LEDGER_UNUSABLE : STATUS_LEDGER_DOWN;
}

static void count_service(const ServiceGlance *g, StatusFacts *f) {
        f->services++;
        f->health[g->health]++;
        if (g->operation) {
                if (f->n_operations++ > 0)
                        return;
                f->operation_service = g->service;
                f->from_version = g->operation->from_version;
                f->to_version = g->operation->to_version;
                f->operation_state = g->operation_state;
                f->awaited = g->awaited;
        } else if (g->held != GUARD_NONE) {
                if (f->n_held++ > 0)
                        return;
                f->held_service = g->service;
                f->held_by = g->held;
        } else if (g->health == HEALTH_BAD && f->n_bad++ == 0)
                f->bad_service = g->service;
}

void manager_update_status(Manager *m) {
        StatusFacts facts = {
                .config_path = m->config->path,
                .policies = m->config->policies,
                .stopping = m->stopping_words[0] != '\0' ? m->stopping_words : NULL,
                .ledger = ledger_status(m),
                .ledger_words = m->ledger_words,
                .n_refused = m->n_refused,
                .refused = m->n_refused > 0 ? m->refused[0].error : "",
        };
        STRBUF(words, STATUS_LINE_SIZE);
        STRBUF(message, STATUS_LINE_SIZE + sizeof "STATUS=");
        ServiceGlance glance;

        m->status_changes = engine_changes(m->engine);
        for (uint32_t i = 0; i < CONFIG_SERVICES_MAX; i++)
                if (m->services[i].config && engine_glance(m->engine, i, &glance))
                        count_service(&glance, &facts);
        status_line_format(&facts, &words);
        if (streq(words.text, m->status))
                return;
        snprintf(m->status, sizeof m->status, "%s", words.text);
        strbuf_add(&message, "STATUS=");
        strbuf_add(&message, m->status);
        loop_notify(m->loop, message.text);
}

void manager_on_status_timer(void *userdata, usec_t now _unused_) {
        Manager *m = userdata;

        m->status_awaited = false;
        manager_update_status(m);
}

void manager_update_status_soon(Manager *m) {
        if (m->status_awaited)
                return;
        m->status_awaited = true;
        loop_timer_set(m->status_timer, usec_add(loop_now(m->loop), STATUS_DELAY));
}
