#include <stdio.h>

#include "manager_internal.h"

static void add_ledger_words(const Manager *m, StrBuf *b) {
        if (!m->ledger)
                strbuf_add(b, "; no ledger configured");
        else if (ledger_is_up(m->ledger))
                strbuf_add(b, "; ledger reachable");
        else if (!m->ledger_seen)
                strbuf_add(b, "; connecting to the ledger");
        else {
                strbuf_add(b, "; ledger unreachable: ");
                strbuf_add(b, m->ledger_words);
        }
}

void manager_update_status(Manager *m) {
        unsigned counts[_HEALTH_MAX] = { 0 }, watched = 0;
        STRBUF(b, 256);

        for (uint32_t i = 0; i < CONFIG_SERVICES_MAX; i++) {
                static ServiceSnapshot snapshot; /* large; one thread */

                if (!m->services[i].config ||
                    !engine_snapshot_service(m->engine, i, loop_now(m->loop), &snapshot))
                        continue;
                watched++;
                counts[snapshot.health]++;
        }
        strbuf_add_u64(&b, watched);
        strbuf_add(&b, watched == 1 ? " service" : " services");
        for (int h = 0; h < _HEALTH_MAX; h++)
                if (counts[h] > 0) {
                        strbuf_add(&b, ", ");
                        strbuf_add_u64(&b, counts[h]);
                        strbuf_add_char(&b, ' ');
                        strbuf_add(&b, health_to_string((Health)h));
                }
        if (m->n_refused > 0) {
                strbuf_add(&b, ", ");
                strbuf_add_u64(&b, m->n_refused);
                strbuf_add(&b,
                           m->n_refused == 1 ? " policy file refused" : " policy files refused");
        }
        add_ledger_words(m, &b);
        if (streq(b.text, m->status))
                return;
        snprintf(m->status, sizeof m->status, "%s", b.text);
        char text[300];
        snprintf(text, sizeof text, "STATUS=%s", m->status);
        loop_notify(m->loop, text);
}
