#include <stdio.h>

#include "manager_internal.h"

/* At most so long in all: what is left then goes on at the next start, as after a crash. */
#define STOPPING_LIMIT (5 * USEC_PER_MINUTE)
/* The service manager is asked for this much more time, again and again before it is over. */
#define STOPPING_EXTEND (15 * USEC_PER_SEC)
#define STOPPING_RENEW (5 * USEC_PER_SEC)
/* A ledger that was lost is back by then, or is not waited for. */
#define LEDGER_GONE (10 * USEC_PER_SEC)

/* Whoever had connected has an answer by then; who comes later waits for the next start. */
#define STOPPING_ANSWERS USEC_PER_SEC

typedef struct UnderWay {
        size_t n;
        StrBuf *words;
} UnderWay;

static void begin_words(UnderWay *u) {
        if (u->n++ > 0)
                strbuf_add(u->words, ", ");
}

/* "3 notices are being posted". */
static void add_count(UnderWay *u, size_t n, const char *one, const char *many) {
        if (n == 0)
                return;
        begin_words(u);
        if (n > 1)
                strbuf_add_u64(u->words, n);
        strbuf_add(u->words, n > 1 ? many : one);
}

static void add_commits(UnderWay *u, const LedgerUnderWay *ledger) {
        if (ledger->commits == 0)
                return;
        begin_words(u);
        strbuf_add(u->words, "the commit of ");
        strbuf_add(u->words, ledger->service);
        strbuf_add_char(u->words, ' ');
        strbuf_add(u->words, ledger->from_version);
        strbuf_add(u->words, " -> ");
        strbuf_add(u->words, ledger->to_version);
        strbuf_add(u->words,
                   ledger->in_doubt > 0 ? " is in doubt and asked for" : " is being answered");
        add_count(u, ledger->commits - 1, "another commit is too", " other commits are too");
}

static void add_steps(const Manager *m, UnderWay *u) {
        size_t others = 0, before = u->n;

        for (uint32_t i = 0; i < CONFIG_SERVICES_MAX; i++) {
                STRBUF(step, 2 * NAME_SIZE);

                if (!m->services[i].runner || !steps_runner_under_way(m->services[i].runner, &step))
                        continue;
                if (u->n > before) {
                        others++;
                        continue;
                }
                begin_words(u);
                strbuf_add(u->words, step.text);
                strbuf_add(u->words, " of ");
                strbuf_add(u->words, manager_service_name(m, i));
                strbuf_add(u->words, " runs");
        }
        add_count(u, others, "another step runs", " other steps run");
}

static bool ledger_is_gone(const Manager *m) {
        return !m->ledger || (m->ledger_down_at != 0 &&
                              loop_now(m->loop) >= usec_add(m->ledger_down_at, LEDGER_GONE));
}

/* Writes into an empty text what is under way. Returns false when nothing is. */
static bool describe_under_way(const Manager *m, StrBuf *words) {
        UnderWay u = { .words = words };

        if (!ledger_is_gone(m)) {
                LedgerUnderWay ledger = ledger_under_way(m->ledger);

                add_commits(&u, &ledger);
                add_steps(m, &u);
                if (ledger_is_up(m->ledger))
                        add_count(&u, ledger.calls, "the ledger has yet to answer one call",
                                  " calls of the ledger are yet to be answered");
        }
        add_count(&u, deliveries_pump_under_way(m->deliveries), "a notice is being posted",
                  " notices are being posted");
        add_count(&u, alerts_under_way(m->alerts), "an alert is being posted",
                  " alerts are being posted");
        return u.n > 0;
}

static void end(Manager *m) {
        loop_after_each(m->loop, NULL, NULL);
        loop_timer_set(m->stopping_timer, USEC_INFINITY);
        loop_exit(m->loop, EXIT_SUCCESS);
}

static void look(void *userdata);

static void ask_for_time(Manager *m) {
        STRBUF(message, 64);

        strbuf_add(&message, "EXTEND_TIMEOUT_USEC=");
        strbuf_add_u64(&message, STOPPING_EXTEND);
        loop_notify(m->loop, message.text);
}

/* Who had connected is answered; who connects now waits in the service manager's socket. */
static void answer_the_last(Manager *m) {
        if (m->answers_by == 0) {
                m->answers_by = usec_add(loop_now(m->loop), STOPPING_ANSWERS);
                http_server_close_doors(m->server);
                loop_after_each(m->loop, look, m);
                loop_timer_set(m->stopping_timer, m->answers_by);
        }
        if (!http_server_is_busy(m->server) || loop_now(m->loop) >= m->answers_by)
                end(m);
}

/* Ends when nothing is under way any more, else says what is. */
static void look(void *userdata) {
        Manager *m = userdata;
        StrBuf words;
        char storage[sizeof m->stopping_words];

        strbuf_init(&words, storage, sizeof storage);
        if (m->answers_by != 0 || !describe_under_way(m, &words)) {
                answer_the_last(m);
                return;
        }
        if (streq(words.text, m->stopping_words))
                return;
        snprintf(m->stopping_words, sizeof m->stopping_words, "%s", words.text);
        manager_update_status(m);
}

void manager_on_stopping_timer(void *userdata, usec_t now) {
        Manager *m = userdata;

        if (m->answers_by != 0) {
                answer_the_last(m);
                return;
        }
        if (now < m->stop_by) {
                ask_for_time(m);
                loop_timer_set(m->stopping_timer, MIN(usec_add(now, STOPPING_RENEW), m->stop_by));
                return;
        }
        log_message(SEVERITY_WARNING,
                    "this is no longer waited for, and goes on at the next start: %s",
                    m->stopping_words);
        end(m);
}

void manager_stop(Manager *m, int signal_number) {
        usec_t now = loop_now(m->loop);

        if (m->stopping) {
                log_message(SEVERITY_WARNING,
                            "signal %d again: this is not waited for, and goes on at the next "
                            "start: %s",
                            signal_number, m->stopping_words);
                end(m);
                return;
        }
        m->stopping = true;
        loop_notify(m->loop, "STOPPING=1");
        if (m->ledger)
                ledger_stop(m->ledger);
        for (uint32_t i = 0; i < CONFIG_SERVICES_MAX; i++)
                if (m->services[i].runner)
                        steps_runner_stop(m->services[i].runner);
        look(m);
        log_message(SEVERITY_NOTICE,
                    "signal %d: stopping%s%s; an operation that is open goes on at the next start",
                    signal_number, m->stopping_words[0] != '\0' ? " once this has ended: " : "",
                    m->stopping_words);
        if (m->stopping_words[0] == '\0')
                return;
        m->stop_by = usec_add(now, STOPPING_LIMIT);
        loop_after_each(m->loop, look, m);
        manager_on_stopping_timer(m, now);
}
