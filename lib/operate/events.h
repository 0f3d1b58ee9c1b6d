/* events.h: every kind of event that people are told of, in one table: its type on the wire, how
 * bad it is, its sentence, an example of its fields, and what to type now. Knows nothing of
 * channels. */
#pragma once

#include "macro.h"
#include "strbuf.h"

typedef enum Severity {
        SEVERITY_INFO,
        SEVERITY_NOTICE,
        SEVERITY_WARNING,
        SEVERITY_CRITICAL
} Severity;

typedef enum EventKind {
        EVENT_RELEASE_DEPLOYED,
        EVENT_RELEASE_STABLE,
        EVENT_RELEASE_NO_TARGET, /* told at deploy time: a rollback would have nowhere to go */
        EVENT_ROLLBACK_WOULD,    /* observe */
        EVENT_ROLLBACK_CONFIRM,  /* confirm: the ready command */
        EVENT_ROLLBACK_HELD,
        EVENT_ROLLBACK_COMMITTED,
        EVENT_ROLLBACK_RECOVERED,
        EVENT_ROLLBACK_NOT_RECOVERED,
        EVENT_ROLLBACK_UNVERIFIED,
        EVENT_ROLLBACK_SUPERSEDED,
        EVENT_ROLLBACK_FAILED,
        EVENT_RESTORE_COMMITTED,
        EVENT_RESTORE_RECOVERED,
        EVENT_RESTORE_NOT_RECOVERED,
        EVENT_RESTORE_UNVERIFIED,
        EVENT_RESTORE_SUPERSEDED,
        EVENT_RESTORE_FAILED,
        EVENT_RULE_BAD, /* a rule whose response is notify fired */
        EVENT_SERVICE_BLIND,
        EVENT_SERVICE_UNCONFIGURED,
        EVENT_STEP_FAILED,
        EVENT_LEDGER_DOWN,
        EVENT_LEDGER_UNUSABLE,
        EVENT_DELIVERY_DEAD,
        EVENT_ALERTS_DROPPED,
        _EVENT_KIND_MAX,
} EventKind;

typedef struct EventRow {
        const char *type; /* "rollback.committed" */
        Severity severity;
        /* a state that ends: alerted once, again hourly, and when it is over */
        bool lasting;
        const char *text;       /* sentence with {field} places */
        const char *over;       /* lasting: the sentence when it is over */
        const char *type_now;   /* what to type now, with {field} places; NULL: nothing to do */
        const char *example;    /* JSON object of its fields */
        const char *message_id; /* 128-bit lowercase hex; systemd/rollbackd.catalog explains it */
} EventRow;

extern const EventRow event_rows[];

typedef struct EventFieldValue {
        const char *name;
        const char *value;
} EventFieldValue;

const EventRow *event_row(EventKind k);
int event_kind_from_type(const char *type);
/* Appends `pattern` with every {field} replaced; a field that is missing becomes "?". */
void event_render(const char *pattern, const EventFieldValue *fields, size_t n, StrBuf *b);
/* The field of a journal message that carries this field of an event; NULL: the journal has it in
 * the sentence alone. */
const char *event_journal_field(const char *name);
const char *severity_to_string(Severity s);
