/* ledger_internal.h: the ledger's inside, for its own files: ledger.c (life, watch, state),
 * ledger_check.c (a new connection), ledger_load.c (which facts to read), ledger_facts.c (their
 * rows), ledger_commit.c and ledger_atomic.c (the short transaction), ledger_request.c (its
 * copies), ledger_queue.c (what must reach the ledger), ledger_claims.c (steps and deliveries),
 * ledger_leftovers.c (steps of closed operations), ledger_read.c (lists for the API),
 * ledger_housekeeping.c (heartbeat, retention), ledger_poll.c (what nobody told). */
#pragma once

#include "ledger.h"
#include "ledger_facts.h"

/* The server's own limit of 5 s answers first. */
#define LEDGER_STATEMENT_TIMEOUT (8 * USEC_PER_SEC)
/* What changes is told, and facts are good for a minute. */
#define LEDGER_POLL (20 * USEC_PER_SEC)
#define LEDGER_POLL_SLACK (10 * USEC_PER_SEC)
#define LEDGER_POLL_AGAIN (10 * USEC_PER_SEC) /* after one that failed */
#define LEDGER_QUEUE_MAX 256
/* In flight at once: every service may be bad in the same second. */
#define LEDGER_COMMITS_MAX 4096
/* Of them given to the connection, whose queue has room for others too. */
#define LEDGER_COMMITS_SENT_MAX 64
#define LEDGER_CALL_VALUES 8
/* Services of one statement: parsing them stays well below 50 ms of the loop. */
#define LEDGER_LOAD_BATCH 100
#define LEDGER_ARRAY_SIZE(item) (LEDGER_LOAD_BATCH * ((item) + 4))
#define LEDGER_HASH_SIZE 24

typedef struct LedgerWatched {
        char service[NAME_SIZE];
        usec_t cooldown, budget_per;
        bool dirty;
} LedgerWatched;

typedef struct LedgerCall LedgerCall;
typedef void (*LedgerAnswer)(Ledger *l, LedgerCall *c, const PgFailure *failure,
                             const PgResult *result);

struct LedgerCall {
        LedgerCall *next;
        const char *what; /* static: name of the prepared statement, and what trouble is told of */
        const char *sql;  /* static */
        char *values[LEDGER_CALL_VALUES];
        size_t n_values;
        bool must; /* retried until it is answered */
        unsigned tries;
        bool told;           /* its trouble was told */
        LedgerAnswer answer; /* NULL: nobody waits for it */
        union {
                LedgerStepCallback step;
                LedgerDeliveriesCallback deliveries;
                LedgerLeftoversCallback leftovers;
                PgCallback plain;
        } callback;
        void *userdata;
        uint64_t number; /* of the caller's own */
        usec_t lease;
};

/* Services whose facts are asked for in one statement, and the texts of its three arrays. */
typedef struct LedgerBatch {
        Ledger *ledger;
        usec_t sent;
        size_t n;
        char services[LEDGER_LOAD_BATCH][NAME_SIZE];
        char names[LEDGER_ARRAY_SIZE(2 * NAME_SIZE)];
        char cooldowns[LEDGER_ARRAY_SIZE(LEDGER_INTERVAL_SIZE)];
        char periods[LEDGER_ARRAY_SIZE(LEDGER_INTERVAL_SIZE)];
} LedgerBatch;

typedef struct LedgerCommit LedgerCommit;
typedef struct LedgerDrill LedgerDrill;

struct Ledger {
        Loop *loop;
        Pg *pg;
        LedgerOwner owner;
        uint64_t seed;
        char host[256];
        bool up, closing, stopping;
        PgFailure failure; /* why it is not up */
        LoopTimer *check_timer, *poll_timer, *flush_timer, *queue_timer, *recent_timer;
        uint64_t schema; /* that may be run on; 0: not known */
        bool unseen;     /* over this connection the ledger was not yet told that we are there */
        bool heartbeat_told; /* that it fails */
        LedgerDrill *drills; /* by service */
        size_t n_drills;
        bool drills_known;
        LedgerWatched *watched;
        size_t n_watched;
        LedgerCall *head, **tail;
        size_t n_queued;
        bool in_flight;    /* the head of the queue */
        size_t n_progress; /* sent beside the queue */
        LedgerCommit *commits;
        size_t n_commits, n_commits_sent;
        bool recent_in_flight, recent_again;
        Json *recent_operations; /* of a pair that is being read */
        char operations_hash[LEDGER_HASH_SIZE];
        char lists[2 * LEDGER_HASH_SIZE];        /* hashes of the pair that was told last */
        char drills_lists[2 * LEDGER_HASH_SIZE]; /* as they were when drills were answered */
};

/* ledger.c */
void ledger_tell_trouble(Ledger *l, const char *what, const char *of, const PgFailure *failure);
/* A failure of our own making: an answer that cannot be read. */
PgFailure ledger_unreadable(const char *words, const char *detail);

void ledger_go_down(Ledger *l, const PgFailure *failure);
void ledger_go_up(Ledger *l);
/* Every service's facts are to be read. */
void ledger_mark_all(Ledger *l);

/* ledger_check.c: asks the new connection, and then goes up or down. */
void ledger_check(Ledger *l);
void ledger_on_check_timer(void *userdata, usec_t now);
/* Goes down because of the schema, and asks again until it fits. */
void ledger_refuse_schema(Ledger *l, const PgFailure *wrong);

/* ledger_poll.c: at each poll, in one statement, what nobody may have told us; the answer is one
 * wake-up. */
void ledger_on_poll_timer(void *userdata, usec_t now);
/* Arms the timer for the next one. */
void ledger_poll_later(Ledger *l);

/* ledger_housekeeping.c: one heartbeat by itself; each poll is one as well. */
void ledger_heartbeat(Ledger *l);
/* The ledger took one, and has this schema. False when it is none that we may run on. */
bool ledger_heartbeat_taken(Ledger *l, const char *version, const char *oldest_daemon);
void ledger_ask_drills(Ledger *l);
void ledger_forget_drills(Ledger *l);

/* ledger_failed.c: asks which rollbacks had failed before their commit. */
void ledger_ask_failed(Ledger *l);

/* ledger_load.c: reads what is dirty. */
void ledger_load_dirty(Ledger *l);
/* The next dirty services from *at on, which are dirty no more; none when n is 0. NULL without
 * memory. */
LedgerBatch *ledger_batch_new(Ledger *l, size_t *at);
void ledger_batch_give(const LedgerBatch *b, const PgResult *result);

/* ledger_commit.c */
void ledger_commits_kick(Ledger *l);
void ledger_commits_free(Ledger *l);
void ledger_commits_under_way(const Ledger *l, LedgerUnderWay *ret);

/* ledger_queue.c: takes the call over, in every case. Returns 0, -EAGAIN when the queue is full,
 * -ECANCELED for a claim once ledger_stop() was called, -ENOMEM when the call is NULL. */
int ledger_enqueue(Ledger *l, LedgerCall *c) _must_check_;
void ledger_queue_pump(Ledger *l);
void ledger_queue_free(Ledger *l);
/* Drops what was not sent and is no write. */
void ledger_queue_drop_claims(Ledger *l);
/* How many calls ledger_under_way() tells. */
size_t ledger_queue_under_way(const Ledger *l);
/* A call with copies of the values (NULL: SQL NULL), or NULL without memory. */
LedgerCall *ledger_call_new(const char *what, const char *sql, size_t n,
                            const char *const values[]);

/* A list for the API as `list`, and a hash of it. */
#define LEDGER_LIST(rows)                                                                          \
        "SELECT list, hashtextextended(list::text COLLATE \"C\", 0) AS hash FROM (SELECT "         \
        "coalesce(jsonb_agg(v ORDER BY rank), '[]') AS list FROM (SELECT v, rank, "                \
        "sum(octet_length(v::text)) OVER (ORDER BY rank) AS bytes FROM (" rows ") r) q "           \
        "WHERE bytes < 900000) whole"
#define LEDGER_OPERATIONS                                                                          \
        LEDGER_LIST("SELECT to_jsonb(o) AS v, row_number() OVER (ORDER BY o.opened_at DESC, "      \
                    "o.id) AS rank FROM (SELECT * FROM rollbackd.operation_status "                \
                    "ORDER BY opened_at DESC, id LIMIT 100) o")
#define LEDGER_EVENTS                                                                              \
        LEDGER_LIST("SELECT to_jsonb(e) AS v, row_number() OVER (ORDER BY e.seq DESC) AS rank "    \
                    "FROM (SELECT * FROM rollbackd.recent_event ORDER BY seq DESC LIMIT 200) e")

/* ledger_read.c: the lists for the API, soon. */
void ledger_recent_soon(Ledger *l);
void ledger_recent_now(Ledger *l);
