/* status_line.h: one line that says how the daemon is, for STATUS= and the API: what matters most
 * comes first, and what does not fit is cut at a word. A pure function of a value. Knows neither
 * the manager nor the service manager. */
#pragma once

#include "snapshot.h"

/* Of the text with its NUL: what `systemctl status` shows on three lines of a terminal. */
#define STATUS_LINE_SIZE 304

typedef enum StatusLedger {
        STATUS_LEDGER_NONE, /* rollbackd.conf names none */
        STATUS_LEDGER_CONNECTING,
        STATUS_LEDGER_UP,
        STATUS_LEDGER_DOWN,
        STATUS_LEDGER_UNUSABLE, /* it answers, and a person must mend something */
} StatusLedger;

/* Texts are borrowed for the call, and may come from outside. */
typedef struct StatusFacts {
        const char *config_path; /* of rollbackd.conf */
        const char *policies;    /* the directory of the policies */
        const char *stopping;    /* what the end is waiting for; NULL: nothing is stopping */
        StatusLedger ledger;
        const char *ledger_words; /* why it is down, or what is to be done while it is up; "" */
        size_t n_operations;      /* in flight, the first of them being: */
        const char *operation_service, *from_version, *to_version;
        OperationState operation_state;
        const char *awaited; /* the dependency that its verification waits for, NULL: none */
        size_t n_held;       /* services bad and held by a guard, the first of them: */
        const char *held_service;
        Guard held_by;
        size_t n_bad; /* other services bad with no operation in flight, the first of them: */
        const char *bad_service;
        size_t n_refused;    /* policy files */
        const char *refused; /* the mistakes of the first one, a line each */
        size_t services;
        size_t health[_HEALTH_MAX]; /* of the services, how many are in each */
} StatusFacts;

/* Writes the line into an empty text. */
void status_line_format(const StatusFacts *f, StrBuf *b);
