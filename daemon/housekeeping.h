/* housekeeping.h: retention: once a day, what is older than rollbackd.conf says goes from the
 * ledger, in small batches with pauses, never while an operation is in flight. Logs what went.
 * Knows nothing of the services; whether one is at work its owner says. */
#pragma once

#include "ledger.h"

typedef struct Housekeeping Housekeeping;

typedef struct HousekeepingSetup {
        usec_t retention;  /* what is older goes */
        usec_t first;      /* wait before the first run of all */
        usec_t every;      /* from the start of a run to the start of the next */
        usec_t pause;      /* between batches */
        usec_t look_again; /* when it may not be, or a batch failed */
        uint32_t batch;    /* rows */
        uint64_t most;     /* rows in one run */
        unsigned tries;    /* batches that may fail in one run before it is given up */
        void *userdata;
        bool (*busy)(void *userdata);       /* whether an operation is in flight */
        void (*on_success)(void *userdata); /* a run came to its end */
} HousekeepingSetup;

/* The values of the daemon: daily, the first time 5 to 60 minutes after the start, so that restarts
 * of many do not pile up. The owner adds userdata and
 * callbacks. */
HousekeepingSetup housekeeping_setup(usec_t retention, uint64_t seed);
/* Borrows loop, ledger and the connection that the batches go over; to be freed after the
 * connection, whose last answers still reach it. Returns 0, -ENOMEM or what the loop says. */
int housekeeping_new(Housekeeping **ret, Loop *loop, const Ledger *ledger, Pg *over,
                     const HousekeepingSetup *setup) _must_check_;
Housekeeping *housekeeping_free(Housekeeping *h);
DEFINE_CLEANUP(Housekeeping *, housekeeping_free);
