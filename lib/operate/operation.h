/* operation.h: the life of one operation as a table of numbered rows, each with its sentence,
 * which is log text, audit text and graph label. First match wins. Knows nothing of SQL or of
 * what the steps do. */
#pragma once

#include "macro.h"

typedef enum OperationKind {
        OPERATION_ROLLBACK,
        OPERATION_RESTORE,
        _OPERATION_KIND_MAX,
} OperationKind;

typedef enum OperationState {
        OPERATION_NONE, /* no operation */
        /* in memory: decided, waiting for its dependencies or for the ledger */
        OPERATION_PROPOSED,
        OPERATION_COMMITTING, /* sent to the ledger */
        OPERATION_IN_DOUBT,   /* the connection was lost at COMMIT; being asked again */
        OPERATION_COMMITTED,  /* the first state that a row can have */
        OPERATION_EFFECTING,  /* steps run */
        OPERATION_VERIFYING,
        OPERATION_RECOVERED,
        OPERATION_NOT_RECOVERED,
        OPERATION_UNVERIFIED,
        OPERATION_SUPERSEDED,
        OPERATION_FAILED,
        OPERATION_ABORTED,
        _OPERATION_STATE_MAX,
} OperationState;

typedef enum OperationEvent {
        OPERATION_EVENT_DECIDED,   /* a rule fired and no guard holds, or a person asked */
        OPERATION_EVENT_SENT,      /* the shell has taken the commit */
        OPERATION_EVENT_CLEARED,   /* the reason went away before the commit was sent */
        OPERATION_EVENT_COMMITTED, /* committed, or a replay said that it was */
        OPERATION_EVENT_IN_DOUBT,
        OPERATION_EVENT_LOST,    /* the pointer moved meanwhile: a person won */
        OPERATION_EVENT_REFUSED, /* a guard under the lock */
        /* given up: three tries of an atomic step, or an error of configuration */
        OPERATION_EVENT_FAILED,
        OPERATION_EVENT_EFFECTING,  /* the first step has been claimed */
        OPERATION_EVENT_STEPS_DONE, /* every step is terminal */
        OPERATION_EVENT_BAD,        /* a rule above notify is bad on the restored version */
        OPERATION_EVENT_PROVEN,     /* all good at the end of verify */
        OPERATION_EVENT_UNPROVEN,   /* still unknown after ten times verify */
        OPERATION_EVENT_SUPERSEDED, /* the ledger says that a person's act closed it */
        _OPERATION_EVENT_MAX,
} OperationEvent;

typedef struct OperationRow {
        uint16_t number; /* stable, with gaps; 2xx before the commit, 3xx after it */
        OperationState state;
        OperationEvent event;
        OperationState next;
        const char *why;
} OperationRow;

extern const OperationRow operation_rows[];
extern const size_t operation_rows_n;

/* The row for state and event, or NULL when the pair is an explicit no-change
 * (operation_ignores()). */
const OperationRow *operation_row(OperationState state, OperationEvent event);
bool operation_ignores(OperationState state, OperationEvent event);
/* True for recovered ... aborted: nothing more happens. */
bool operation_is_closed(OperationState s);
const char *operation_state_to_string(OperationState s);
int operation_state_from_string(const char *s);
const char *operation_kind_to_string(OperationKind k);
int operation_kind_from_string(const char *s);
const char *operation_event_to_string(OperationEvent e);
