/* pg_visit.h: one short visit to a PostgreSQL server: connect anew, ask what it is, run at most one
 * statement that reads, and leave. What libpq may sit at, the resolver above all, it does on a
 * worker of offload; the caller watches the socket in between. Every end has its outcome. Knows
 * nothing of schedules, roles that are wanted, or limits on values. */
#pragma once

#include "offload.h"
#include "outcome.h"
#include "pg.h"

/* Bytes that one row may have. libpq may hold more of it in memory before that is noticed. */
#define PG_VISIT_BYTES_MAX (1024 * 1024)
/* Visits that look for their server at once: offload's workers are others' too. */
#define PG_VISIT_BEGINNING_MAX 2
#define PG_VISIT_WORDS_SIZE 160

typedef struct PgVisit PgVisit;

/* What a visit came to. */
typedef struct PgVisitEnd {
        ProbeOutcome outcome;
        char words[PG_VISIT_WORDS_SIZE]; /* no secret in them; "" for OUTCOME_OK */
        usec_t ours; /* of its time, what went by on workers: in the queue, at the name server */
        bool in_recovery;              /* with OUTCOME_OK only, as what follows */
        double lag_seconds, lag_bytes; /* of a standby; NAN: it cannot tell */
        double receiving;              /* of a standby: 1 while it is connected to its primary */
        size_t n_rows;                 /* that the statement gave: 0, 1, or 2 for more */
        const PgResult *row;           /* the only one, borrowed for the call; else NULL */
} PgVisitEnd;

typedef struct PgVisitSetup {
        Loop *loop;
        Offload *offload;
        const char *conninfo;
        const char *password;  /* or NULL */
        const char *statement; /* or NULL: only to ask what it is; borrowed until the end */
        usec_t timeout;        /* told to the server for the statement, and kept for our workers */
        /* The socket is to be watched for `events` (EPOLLIN, EPOLLOUT), and pg_visit_ready() called
         * at any of them; 0: not any more, and by now. It may be another descriptor each time, and
         * what was ready before is to be told again. Returns 0 or a negative errno. */
        int (*on_watch)(void *userdata, int fd, uint32_t events);
        /* The connection stands. */
        void (*on_connected)(void *userdata);
        /* The end, told once from the loop; the visit is to be freed then. */
        void (*on_end)(void *userdata, const PgVisitEnd *end);
        void *userdata;
} PgVisitSetup;

/* Begins. Returns 0, -EAGAIN when offload has no room, -EINVAL for a conninfo that is none,
 * -ENOMEM. */
int pg_visit_new(PgVisit **ret, const PgVisitSetup *setup) _must_check_;
/* Closes the connection, which ends what the server does for it. The caller has let the descriptor
 * go before. */
PgVisit *pg_visit_free(PgVisit *v);
DEFINE_CLEANUP(PgVisit *, pg_visit_free);
/* Something has happened on the socket. */
void pg_visit_ready(PgVisit *v);
/* What went by on workers so far, and is no time of the server's: none of the steps waits for it.
 */
usec_t pg_visit_ours(const PgVisit *v);
/* What the server still owes ("connection", "answer"), or NULL while a worker of ours is busy. */
const char *pg_visit_waiting_for(const PgVisit *v);
