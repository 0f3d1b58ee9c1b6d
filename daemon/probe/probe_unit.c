/* probe_unit.c: asks systemd for the state of a unit. Good while it is active; a unit on its way up
 * or down, or waiting to be started again, is not what serves. What keeps us from knowing is our
 * own (OUTCOME_LOCAL). */
#include "probe_unit.h"

#include <errno.h>

typedef struct UnitRun {
        BusQuery *query;
        ProbeTrace *trace;
        void (*done)(void *userdata, const ProbeResult *result);
        void *userdata;
} UnitRun;

static UnitRun *unit_run_free(UnitRun *run) {
        if (!run)
                return NULL;
        bus_query_free(run->query);
        free(run);
        return NULL;
}
DEFINE_CLEANUP(UnitRun *, unit_run_free);

static bool is_up(const BusUnit *unit) {
        return streq(unit->active, "active") || streq(unit->active, "reloading");
}

/* "failed (exit-code), 5 restarts"; "activating (auto-restart, exit-code), 5 restarts". */
static void say_state(const BusUnit *unit, StrBuf *words) {
        bool sub = unit->sub[0] && !streq(unit->sub, unit->active);
        bool result = unit->result[0] && !streq(unit->result, "success");

        strbuf_add(words, unit->active);
        strbuf_add(words, sub || result ? " (" : "");
        strbuf_add(words, sub ? unit->sub : "");
        strbuf_add(words, sub && result ? ", " : "");
        strbuf_add(words, result ? unit->result : "");
        strbuf_add(words, sub || result ? ")" : "");
        if (!streq(unit->load, "loaded")) {
                strbuf_add(words, ", its file is ");
                strbuf_add(words, unit->load);
        }
        if (unit->restarts == 0)
                return;
        strbuf_add(words, ", ");
        strbuf_add_u64(words, unit->restarts);
        strbuf_add(words, unit->restarts == 1 ? " restart" : " restarts");
}

void unit_result(const BusUnit *unit, ProbeResult *ret) {
        STRBUF(words, PROBE_WORDS_SIZE);

        if (is_up(unit))
                ret->outcome = OUTCOME_OK;
        else if (streq(unit->load, "not-found"))
                probe_result_set(ret, OUTCOME_LOCAL,
                                 "this host has no such unit; correct its name in the policy");
        else {
                say_state(unit, &words);
                probe_result_set(ret, OUTCOME_BAD_STATE, words.text);
        }
        if (ret->outcome == OUTCOME_LOCAL)
                return;
        if (unit->has_restarts)
                (void)probe_result_add_value(ret, "restarts", unit->restarts);
        if (is_up(unit) && unit->active_since != USEC_INFINITY)
                (void)probe_result_add_value(ret, "active_seconds",
                                             (double)unit->active_since / (double)USEC_PER_SEC);
}

static void trace_answer(ProbeTrace *trace, const BusUnit *unit, const char *why) {
        STRBUF(words, PROBE_WORDS_SIZE);

        probe_trace_mark(trace, MOMENT_FIRST_BYTE);
        if (unit)
                say_state(unit, &words);
        else
                strbuf_add(&words, why);
        probe_trace_received(trace, words.text, words.length);
}

static void on_unit(void *userdata, const BusUnit *unit, const char *why) {
        UnitRun *run = userdata;
        void (*done)(void *, const ProbeResult *) = run->done;
        void *owner = run->userdata;
        ProbeResult result = {};

        run->query = NULL; /* gone when it is answered */
        trace_answer(run->trace, unit, why);
        if (unit)
                unit_result(unit, &result);
        else
                probe_result_set(&result, OUTCOME_LOCAL, why);
        unit_run_free(run);
        done(owner, &result);
}

static int unit_start(const ProbeStart *start, ProbeResult *ret, void **ret_run) {
        _cleanup_(unit_run_freep) UnitRun *run = calloc(1, sizeof *run);
        const char *unit = start->target->url;
        int r;

        if (!run) {
                probe_result_set_errno(ret, ENOMEM);
                return 0;
        }
        run->trace = start->trace;
        run->done = start->done;
        run->userdata = start->userdata;
        r = bus_ask_unit(start->tools->bus, unit, start->config->timeout, on_unit, run,
                         &run->query);
        if (r < 0) {
                probe_result_set(ret, OUTCOME_LOCAL, bus_words(start->tools->bus));
                return 0;
        }
        probe_trace_sent(run->trace, "state of ", strlen("state of "));
        probe_trace_sent(run->trace, unit, strlen(unit));
        probe_trace_mark(run->trace, MOMENT_SENT);
        *ret_run = TAKE_PTR(run);
        return 1;
}

/* systemd and the bus are not the target: what they owe is no fault of the unit. The query ends by
 * itself. */
static const char *unit_waiting_for(_unused_ const void *run) {
        return NULL;
}

static void unit_cancel(void *run) {
        unit_run_free(run);
}

const ProbeKind probe_kind_unit = {
        .name = "unit",
        .start = unit_start,
        .waiting_for = unit_waiting_for,
        .cancel = unit_cancel,
};
