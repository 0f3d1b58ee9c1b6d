/* bus.h: what systemd says of a unit, over sd-bus: one connection to the system bus, opened when
 * somebody asks, shared, and opened again after a loss with growing pauses. Never blocks. Knows
 * nothing of which states are good. */
#pragma once

#include "loop.h"

#define BUS_WORD_SIZE 32
#define BUS_WORDS_SIZE 128

typedef struct Bus Bus;
typedef struct BusQuery BusQuery;

/* The properties of one unit. A text that the unit's type does not have is "". */
typedef struct BusUnit {
        char load[BUS_WORD_SIZE];   /* "loaded", "not-found", "masked", ... */
        char active[BUS_WORD_SIZE]; /* "active", "reloading", "inactive", "failed", ... */
        char sub[BUS_WORD_SIZE];    /* "running", "auto-restart", ... */
        char result[BUS_WORD_SIZE]; /* how it last ended: "success", "exit-code", ... */
        bool has_restarts;
        uint32_t restarts;   /* by systemd itself since somebody started it */
        usec_t active_since; /* how long ago it became active; USEC_INFINITY: never */
} BusUnit;

/* Either `unit`, or NULL and why nothing is known of it; both for the call only. */
typedef void (*BusUnitDone)(void *userdata, const BusUnit *unit, const char *why);

/* Opens nothing yet. */
int bus_new(Bus **ret, Loop *loop) _must_check_;
/* Not from within a callback; every query has been answered or cancelled. */
Bus *bus_free(Bus *b);
DEFINE_CLEANUP(Bus *, bus_free);

/* Asks for a unit; done() is told once, from the loop, at the latest after `timeout`. Returns 0, or
 * a negative errno when there is no connection: bus_words() says why. */
int bus_ask_unit(Bus *b, const char *unit, usec_t timeout, BusUnitDone done, void *userdata,
                 BusQuery **ret) _must_check_;
/* The caller does not want the answer any more. */
BusQuery *bus_query_free(BusQuery *q);
DEFINE_CLEANUP(BusQuery *, bus_query_free);
/* Why there is no connection. */
const char *bus_words(const Bus *b);
