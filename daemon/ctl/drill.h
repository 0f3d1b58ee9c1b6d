/* drill.h: the drill of one policy: whether a rollback of its service would work now, asked without
 * any effect, check by check. Who does what: drill_target.c the ledger and the target,
 * drill_atomic.c the atomic statements, drill_watch.c who waits for them, drill_checks.c the other
 * steps and the notices, drill_report.c what came of it. Knows nothing of the command line, nor
 * which policies there are.
 */
#pragma once

#include <signal.h>

#include "atomic_steps.h"
#include "facts.h"
#include "json.h"

/* The role that the daemon connects as. */
#define DRILL_ROLE "rollbackd"
/* Missing rights that are told one by one. */
#define DRILL_RIGHTS_MAX ((size_t)32)
/* Each of these, each step, secret and receiver is one, and some more. */
#define DRILL_CHECKS_MAX (DRILL_RIGHTS_MAX + CONFIG_STEPS_MAX + 2 * CONFIG_NOTIFY_MAX + 16)

typedef enum DrillResult { DRILL_GOOD, DRILL_WARNING, DRILL_FAILED, _DRILL_RESULT_MAX } DrillResult;

typedef struct DrillCheck {
        char what[48]; /* "step 1 sql, line 40" */
        DrillResult result;
        char words[1024];
        char advice[1024]; /* what a person types; "": none */
        bool ran;          /* a statement was run: rows and took are known */
        uint64_t rows;
        usec_t took;
} DrillCheck;

typedef struct DrillWatch DrillWatch;

typedef struct Drill {
        const char *path;            /* of the policy's file */
        const char *service;         /* NULL: the file does not tell */
        const ServiceConfig *config; /* NULL: the file is refused */
        const char *secrets;
        PgSync *ledger;
        DrillWatch *watch;
        const volatile sig_atomic_t *stop; /* a person said stop */
        ServiceFacts facts;
        OperationPlan plan;   /* the rollback; to_version "": there is none */
        char released_at[64]; /* of the release that would be left */
        bool planned_only;    /* the atomic statements could not be run */
        DrillCheck checks[DRILL_CHECKS_MAX];
        size_t n_checks, n_failed;
        usec_t began, took;
} Drill;

/* Monotonic. */
usec_t drill_now(void);
/* The name for people: the service, or the file when it does not tell. */
const char *drill_name(const Drill *d);
/* Adds a check with its words and returns it, for what else is known of it. */
DrillCheck *drill_add(Drill *d, DrillResult result, const char *what, const char *words);
/* A check whose query failed. */
DrillCheck *drill_add_failure(Drill *d, const char *what, const PgFailure *failure);

/* drill_target.c: the schema; with a policy also role, rights, facts, and d->plan. */
void drill_ledger(Drill *d);
/* drill_atomic.c: runs the atomic statements of d->plan in a transaction that is rolled back. */
void drill_atomics(Drill *d);
/* drill_watch.c: so that nobody waits long for what the drill has locked. */
/* Takes a session over, unless a negative errno is returned. */
int drill_watch_new(DrillWatch **ret, PgSync *session) _must_check_;
DrillWatch *drill_watch_free(DrillWatch *w);
DEFINE_CLEANUP(DrillWatch *, drill_watch_free);
/* From now on, until the end is said, the backend's statement is stopped when it is in somebody's
 * way. Returns false when nobody looks any more. */
bool drill_watch_begin(DrillWatch *w, int backend);
void drill_watch_end(DrillWatch *w);
/* Whether it was stopped since the beginning. */
bool drill_watch_made_way(const DrillWatch *w);
/* drill_checks.c: every other step, and the atomic ones that could not be run; notices. */
void drill_steps(Drill *d);
void drill_notices(Drill *d);

/* drill_report.c */
/* Prints the lines, on success and failure, and the reasons to stderr; with `quiet` only these. */
void drill_print(const Drill *d, bool quiet);
/* To be freed. */
Json *drill_json(const Drill *d);
/* Keeps the result in the ledger. Returns 0, or -EIO with the reason printed. */
int drill_record(const Drill *d, const Json *report) _must_check_;
