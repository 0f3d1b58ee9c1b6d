#include "operation.h"

#include <errno.h>

const OperationRow operation_rows[] = {
        { 201, OPERATION_NONE, OPERATION_EVENT_DECIDED, OPERATION_PROPOSED,
          "a rule fired and no guard holds, or a person asked" },
        { 211, OPERATION_PROPOSED, OPERATION_EVENT_SENT, OPERATION_COMMITTING,
          "the transaction was sent to the ledger" },
        { 213, OPERATION_PROPOSED, OPERATION_EVENT_CLEARED, OPERATION_ABORTED,
          "the reason went away before anything was sent" },
        { 215, OPERATION_PROPOSED, OPERATION_EVENT_LOST, OPERATION_ABORTED,
          "the pointer moved before anything was sent" },
        { 221, OPERATION_COMMITTING, OPERATION_EVENT_COMMITTED, OPERATION_COMMITTED,
          "the ledger has moved the pointer" },
        { 223, OPERATION_COMMITTING, OPERATION_EVENT_IN_DOUBT, OPERATION_IN_DOUBT,
          "the connection was lost at COMMIT; the ledger is asked again with the same id" },
        { 225, OPERATION_COMMITTING, OPERATION_EVENT_LOST, OPERATION_ABORTED,
          "the pointer had moved meanwhile; whoever moved it has won" },
        { 227, OPERATION_COMMITTING, OPERATION_EVENT_REFUSED, OPERATION_ABORTED,
          "the ledger refused it under its lock" },
        { 229, OPERATION_COMMITTING, OPERATION_EVENT_FAILED, OPERATION_FAILED,
          "the transaction was given up" },
        { 231, OPERATION_IN_DOUBT, OPERATION_EVENT_COMMITTED, OPERATION_COMMITTED,
          "the ledger knows the id: it had been committed" },
        { 233, OPERATION_IN_DOUBT, OPERATION_EVENT_LOST, OPERATION_ABORTED,
          "it had not been committed, and the pointer has moved since; whoever moved it has won" },
        { 235, OPERATION_IN_DOUBT, OPERATION_EVENT_REFUSED, OPERATION_ABORTED,
          "it had not been committed, and the ledger now refuses it" },
        { 237, OPERATION_IN_DOUBT, OPERATION_EVENT_FAILED, OPERATION_FAILED,
          "it had not been committed, and the transaction was given up" },
        { 301, OPERATION_COMMITTED, OPERATION_EVENT_EFFECTING, OPERATION_EFFECTING,
          "the first step has begun" },
        { 303, OPERATION_COMMITTED, OPERATION_EVENT_STEPS_DONE, OPERATION_VERIFYING,
          "there is no step left to do; the restored version is being verified" },
        { 305, OPERATION_COMMITTED, OPERATION_EVENT_SUPERSEDED, OPERATION_SUPERSEDED,
          "a person moved the pointer before the first step" },
        { 311, OPERATION_EFFECTING, OPERATION_EVENT_STEPS_DONE, OPERATION_VERIFYING,
          "every step has ended; the active version is being verified" },
        { 313, OPERATION_EFFECTING, OPERATION_EVENT_SUPERSEDED, OPERATION_SUPERSEDED,
          "a person moved the pointer while the steps ran" },
        { 321, OPERATION_VERIFYING, OPERATION_EVENT_BAD, OPERATION_NOT_RECOVERED,
          "a rule is bad on this version too; nothing more is done by itself" },
        { 323, OPERATION_VERIFYING, OPERATION_EVENT_PROVEN, OPERATION_RECOVERED,
          "every rule is good at the end of the verification" },
        { 325, OPERATION_VERIFYING, OPERATION_EVENT_UNPROVEN, OPERATION_UNVERIFIED,
          "not every rule could be called good, and none bad by itself" },
        { 327, OPERATION_VERIFYING, OPERATION_EVENT_SUPERSEDED, OPERATION_SUPERSEDED,
          "a person moved the pointer during the verification" },
};

const size_t operation_rows_n = ELEMENTSOF(operation_rows);

#define EVENT_BIT(event) (1U << OPERATION_EVENT_##event)
#define EVENTS_ALL ((1U << _OPERATION_EVENT_MAX) - 1)

/* Pairs that change nothing, each on purpose: late and doubled results, and everything after the
 * end. */
static const unsigned ignored[_OPERATION_STATE_MAX] = {
        [OPERATION_NONE] = EVENTS_ALL & ~EVENT_BIT(DECIDED),
        [OPERATION_PROPOSED] = EVENTS_ALL &
                               ~(EVENT_BIT(SENT) | EVENT_BIT(CLEARED) | EVENT_BIT(LOST)),
        [OPERATION_COMMITTING] = EVENTS_ALL &
                                 ~(EVENT_BIT(COMMITTED) | EVENT_BIT(IN_DOUBT) | EVENT_BIT(LOST) |
                                   EVENT_BIT(REFUSED) | EVENT_BIT(FAILED)),
        [OPERATION_IN_DOUBT] = EVENTS_ALL & ~(EVENT_BIT(COMMITTED) | EVENT_BIT(LOST) |
                                              EVENT_BIT(REFUSED) | EVENT_BIT(FAILED)),
        [OPERATION_COMMITTED] = EVENTS_ALL & ~(EVENT_BIT(EFFECTING) | EVENT_BIT(STEPS_DONE) |
                                               EVENT_BIT(SUPERSEDED)),
        [OPERATION_EFFECTING] = EVENTS_ALL & ~(EVENT_BIT(STEPS_DONE) | EVENT_BIT(SUPERSEDED)),
        [OPERATION_VERIFYING] = EVENTS_ALL & ~(EVENT_BIT(BAD) | EVENT_BIT(PROVEN) |
                                               EVENT_BIT(UNPROVEN) | EVENT_BIT(SUPERSEDED)),
        [OPERATION_RECOVERED] = EVENTS_ALL,
        [OPERATION_NOT_RECOVERED] = EVENTS_ALL,
        [OPERATION_UNVERIFIED] = EVENTS_ALL,
        [OPERATION_SUPERSEDED] = EVENTS_ALL,
        [OPERATION_FAILED] = EVENTS_ALL,
        [OPERATION_ABORTED] = EVENTS_ALL,
};

static const char *const states[_OPERATION_STATE_MAX] = {
        [OPERATION_NONE] = "none",
        [OPERATION_PROPOSED] = "proposed",
        [OPERATION_COMMITTING] = "committing",
        [OPERATION_IN_DOUBT] = "in_doubt",
        [OPERATION_COMMITTED] = "committed",
        [OPERATION_EFFECTING] = "effecting",
        [OPERATION_VERIFYING] = "verifying",
        [OPERATION_RECOVERED] = "recovered",
        [OPERATION_NOT_RECOVERED] = "not_recovered",
        [OPERATION_UNVERIFIED] = "unverified",
        [OPERATION_SUPERSEDED] = "superseded",
        [OPERATION_FAILED] = "failed",
        [OPERATION_ABORTED] = "aborted",
};

static const char *const kinds[_OPERATION_KIND_MAX] = {
        [OPERATION_ROLLBACK] = "rollback",
        [OPERATION_RESTORE] = "restore",
};

static const char *const events[_OPERATION_EVENT_MAX] = {
        [OPERATION_EVENT_DECIDED] = "decided",
        [OPERATION_EVENT_SENT] = "sent",
        [OPERATION_EVENT_CLEARED] = "cleared",
        [OPERATION_EVENT_COMMITTED] = "committed",
        [OPERATION_EVENT_IN_DOUBT] = "in_doubt",
        [OPERATION_EVENT_LOST] = "lost",
        [OPERATION_EVENT_REFUSED] = "refused",
        [OPERATION_EVENT_FAILED] = "failed",
        [OPERATION_EVENT_EFFECTING] = "effecting",
        [OPERATION_EVENT_STEPS_DONE] = "steps_done",
        [OPERATION_EVENT_BAD] = "bad",
        [OPERATION_EVENT_PROVEN] = "proven",
        [OPERATION_EVENT_UNPROVEN] = "unproven",
        [OPERATION_EVENT_SUPERSEDED] = "superseded",
};

const OperationRow *operation_row(OperationState state, OperationEvent event) {
        if (operation_ignores(state, event))
                return NULL;
        for (size_t i = 0; i < ELEMENTSOF(operation_rows); i++)
                if (operation_rows[i].state == state && operation_rows[i].event == event)
                        return &operation_rows[i];
        return NULL;
}

bool operation_ignores(OperationState state, OperationEvent event) {
        return ignored[state] & (1U << event);
}

bool operation_is_closed(OperationState s) {
        return s >= OPERATION_RECOVERED && s < _OPERATION_STATE_MAX;
}

static int find_name(const char *const names[], size_t n, const char *s) {
        for (size_t i = 0; i < n; i++)
                if (streq(names[i], s))
                        return (int)i;
        return -EINVAL;
}

const char *operation_state_to_string(OperationState s) {
        return states[s];
}

int operation_state_from_string(const char *s) {
        return find_name(states, ELEMENTSOF(states), s);
}

const char *operation_kind_to_string(OperationKind k) {
        return kinds[k];
}

int operation_kind_from_string(const char *s) {
        return find_name(kinds, ELEMENTSOF(kinds), s);
}

const char *operation_event_to_string(OperationEvent e) {
        return events[e];
}
