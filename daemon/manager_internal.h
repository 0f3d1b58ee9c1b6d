/* manager_internal.h: the manager's inside, for its own files: manager.c (life), pump.c (effects),
 * awaited.c, committing.c, ledger_owner.c (what the ledger says), sockets.c, reload.c (policies),
 * status_facts.c, steps_runner.c, leftovers.c, deliveries_pump.c, api_owner.c. Knows every room. */
#pragma once

#include "alerts.h"
#include "api.h"
#include "deliveries.h"
#include "housekeeping.h"
#include "ledger.h"
#include "ledger_advice.h"
#include "log.h"
#include "manager.h"
#include "prober.h"
#include "status_line.h"
#include "steps.h"

/* How often what no event announces is looked at: STATUS=, lost log messages. As soon as the
 * ledger's poll and for longer, so that a loop at rest wakes once for both. */
#define MANAGER_TICK (20 * USEC_PER_SEC)
#define MANAGER_TICK_SLACK (15 * USEC_PER_SEC)
/* After a question that the ledger could not answer. */
#define MANAGER_ASK_AGAIN (5 * USEC_PER_SEC)

typedef struct StepsRunner StepsRunner;
typedef struct DeliveriesPump DeliveriesPump;
typedef struct Awaited Awaited;

typedef struct ManagedService {
        ServiceConfig *config; /* NULL: the slot is free */
        StepsRunner *runner;   /* NULL: no operation's steps are running */
        uint64_t epoch;        /* as last heard, from facts or from our own commit; 0: not yet */
        usec_t committed_at;   /* when our last commit was answered; 0: none */
        bool subscribed;       /* the policy's notify entries were sent to the ledger */
} ManagedService;

typedef struct RefusedPolicy {
        char *path, *service, *error;
        char *alerted; /* the name that its alert was raised under */
        bool in_force;
} RefusedPolicy;

/* What an answer of the ledger needs to find its way back. A freed ledger does not answer: what is
 * awaited then is freed with the manager. */
struct Awaited {
        Awaited *next, **place; /* in the manager's list */
        Manager *manager;
        uint32_t handle;
        char service[NAME_SIZE]; /* by the time of the answer the handle may be another's */
        char operation[OPERATION_ID_SIZE];
};

struct Manager {
        ManagerOptions options;
        DaemonConfig *config;
        uint64_t seed;
        Loop *loop;
        Offload *offload;
        Engine *engine;
        Prober *prober;
        Ledger *ledger;
        Pg *steps_pg; /* the policies' SQL runs here, so that a slow statement never delays a commit
                       */
        Housekeeping *housekeeping; /* NULL without a ledger */
        bool steps_pg_down;
        HttpClient *client;
        Alerts *alerts;
        DeliveriesPump *deliveries;
        Api *api;
        HttpServer *server;
        LoopTimer *engine_timer, *tick, *status_timer, *stopping_timer;
        ManagedService services[CONFIG_SERVICES_MAX]; /* by the engine's handle */
        RefusedPolicy *refused;
        size_t n_refused;
        Awaited *awaited;
        bool leftovers_wanted, leftovers_asked;
        bool pumping, pump_again;
        bool reload_ok, ledger_seen, ledger_unusable;
        bool stopping;                     /* nothing new begins */
        bool closing;                      /* everything is being freed */
        char stopping_words[200];          /* what the end waits for */
        usec_t stop_by;                    /* it waits no longer */
        usec_t answers_by;                 /* nobody is accepted any more; 0: not yet so far */
        usec_t ledger_down_at;             /* 0: it is up, or was never reached */
        double started_at, reloaded_at;    /* unix seconds */
        double heartbeat_at, retention_at; /* when the ledger last took the one, and the other last
                                              came to its end; 0: not since the start */
        uint64_t schema_told;              /* in the log; 0: none yet */
        char ledger_words[LEDGER_WORDS_SIZE]; /* why it is not up, or what to do all the same; else
                                                 "" */
        char status[STATUS_LINE_SIZE];        /* as last told to the service manager */
        bool status_awaited;                  /* status_timer is armed */
        uint64_t status_changes;              /* of the engine, when `status` was made */
        uint64_t commits, commits_failed;
        char probe_words[160], probe_address[48]; /* storage of the last answered probe detail */
};

/* The fields that every sentence of events.c may name, as far as an effect knows them. */
#define EFFECT_FIELDS 24
typedef struct EffectFields {
        EventFieldValue values[EFFECT_FIELDS];
        size_t n;
        char epoch[24];
} EffectFields;

/* manager.c: seconds since 1970, for records and metrics alone. */
double manager_unix_now(void);

/* pump.c */
void effect_fields_fill(const Manager *m, const Effect *e, EffectFields *f);
/* Adds a field unless its value is empty, or the field is there. */
void effect_fields_add(EffectFields *f, const char *name, const char *value);
/* The JSON of evidence, to be freed; an empty object for NULL, NULL without memory. */
char *manager_evidence_text(const Evidence *evidence);
void manager_pump(Manager *m);
const char *manager_service_name(const Manager *m, uint32_t service);

/* awaited.c */
/* NULL without memory. */
Awaited *awaited_new(Manager *m, uint32_t handle, const char *operation);
Awaited *awaited_free(Awaited *a);
DEFINE_CLEANUP(Awaited *, awaited_free);
/* Whether the handle is still that of the service that the answer is for. */
bool awaited_is_present(const Awaited *a);

/* committing.c: hands an operation to the ledger's short transaction, and its answer to the engine.
 */
void manager_send_commit(Manager *m, const Effect *e);

/* reload.c */
/* Reads the policies' directory and puts what is good in force. Returns 0, or -EBADMSG when any
 * file was refused (which is logged and alerted). */
int manager_load_policies(Manager *m);
void manager_free_policies(Manager *m);
/* SIGHUP: rollbackd.conf is checked, secrets are dropped, policies are read again. */
void manager_reload(Manager *m);

/* status_facts.c: what the status line is made of. */
/* Tells the service manager STATUS= when it changed. */
void manager_update_status(Manager *m);
/* The same soon: many changes at once are told once. */
void manager_update_status_soon(Manager *m);
void manager_on_status_timer(void *userdata, usec_t now);

/* ledger_owner.c: both connections to the ledger's database, and what is heard over them. Returns
 * 0 also when rollbackd.conf names no ledger; -EINVAL or another error with the reason logged. */
int manager_connect_ledger(Manager *m) _must_check_;
/* When they are down: tries at once, with the password that is there now. */
void manager_try_ledger(Manager *m);

/* stopping.c: the end, which waits for what is under way in the outside world. */
void manager_stop(Manager *m, int signal_number);
void manager_on_stopping_timer(void *userdata, usec_t now);

/* sockets.c: opens or takes over what the API listens on. Returns 0 or an error with the reason
 * logged. */
int manager_open_sockets(Manager *m) _must_check_;

/* steps_runner.c: runs the steps of one operation of a service, from claim to claim, until all are
 * terminal. */
int steps_runner_start(Manager *m, uint32_t service, const char *operation,
                       bool adopt) _must_check_;
StepsRunner *steps_runner_free(StepsRunner *r);
/* Claims nothing more; a batch that is under way ends and is told. */
void steps_runner_stop(StepsRunner *r);
/* Whether a step's statement is yet to be answered; then which, in words: "step 2 (cache)". */
bool steps_runner_under_way(const StepsRunner *r, StrBuf *words);

/* leftovers.c: closed operations whose steps were not all run: after a restart those that a
 * person's act had closed, and those that a newer operation pushed aside. */
void manager_want_leftovers(Manager *m);
/* Asks the ledger for them when that is still wanted. */
void manager_ask_leftovers(Manager *m);

/* deliveries_pump.c: claims due deliveries and gives their results back. */
int deliveries_pump_new(DeliveriesPump **ret, Manager *m) _must_check_;
DeliveriesPump *deliveries_pump_free(DeliveriesPump *p);
void deliveries_pump_run(DeliveriesPump *p);
/* One can be claimed in this time; USEC_INFINITY: none is known. */
void deliveries_pump_expect(DeliveriesPump *p, usec_t in);
/* Notices that are being posted. */
size_t deliveries_pump_under_way(const DeliveriesPump *p);
void deliveries_pump_counts(const DeliveriesPump *p, uint64_t *ret_done, uint64_t *ret_dead);

/* api_owner.c */
ApiOwner manager_api_owner(Manager *m);
