/* guards.h: what holds a response back. One row of a table per guard, asked in order; the first
 * that does not pass is the answer, all are kept for explain. Knows nothing of statistics. */
#pragma once

#include "target_choice.h"

typedef enum Guard {
        GUARD_NONE,
        /* the ledger cannot be reached, or its facts are older than GUARD_FACTS_MAX_AGE */
        GUARD_LEDGER,
        GUARD_DEPTH, /* the active release is not a deploy */
        GUARD_PIN,
        GUARD_PAUSE, /* paused, or automation is off for this release */
        GUARD_WARMUP,
        GUARD_WATCH, /* the watch window is over: page with the ready command */
        GUARD_DEPLOYING,
        GUARD_OPERATION, /* another operation is in flight */
        GUARD_COOLDOWN,
        GUARD_BUDGET,
        GUARD_BARRIER, /* only targets behind a barrier or outside the schema range */
        GUARD_TARGET,  /* no target */
        /* a declared dependency is bad, unknown or not yet probed since the rule left good */
        GUARD_DEPENDENCY,
        /* observe or confirm: last, so that the would-have event says what only the mode
         * prevented */
        GUARD_MODE,
        _GUARD_MAX,
} Guard;

#define GUARD_FACTS_MAX_AGE (60 * USEC_PER_SEC)

typedef struct GuardInput {
        usec_t now;
        const Policy *policy;
        const ServiceFacts *facts;
        bool ledger_reachable;
        usec_t facts_at; /* when the facts were read */
        /* within warm-up or settle, and the exception for all targets down does not apply */
        bool warming;
        usec_t warm_until;
        bool operation_in_flight; /* in memory or in the facts */
        usec_t observed_until; /* as if in cooldown after a would-have act of this daemon; 0: not */
        /* of all declared ones since the rule left good; good when none is declared */
        Tri dependency;
        const char *dependency_name; /* the one that holds or is awaited */
        TargetChoice target;
} GuardInput;

typedef struct GuardAnswer {
        Guard guard;
        Tri answer;   /* good: passes; bad: holds; unknown: waits for a result (dependency only) */
        usec_t until; /* when it will pass by itself; USEC_INFINITY: not by itself */
} GuardAnswer;

/* Asks every guard in order, into ret[_GUARD_MAX]. Returns the index of the first that does not
 * pass, or -1 when all pass. */
int guards_ask(const GuardInput *in, GuardAnswer ret[static _GUARD_MAX], size_t *ret_n);
/* Appends the guard's answer for people: "cooldown: 12 min 40 s left". */
void guard_describe(const GuardInput *in, const GuardAnswer *a, StrBuf *b);
const char *guard_to_string(Guard g);
int guard_from_string(const char *s);
