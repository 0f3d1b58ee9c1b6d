/* From a decision to its committed pointer, through daemon/ledger on the loop. The services
 * PREFIX0, PREFIX1, ... stand at v2, epoch 2, with v1 to go back to; each is rolled back once, PACE
 * microseconds after everything that followed from the one before was read. With a second conninfo,
 * of an administrator, the server ends the ledger's connection before each, and the decision falls
 * as soon as the service's facts are read again, which is the first moment at which there can be
 * one. Prints one line of JSON: the microseconds of each commit, in order. */
#include <stdio.h>
#include <sys/random.h>
#include <time.h>

#include "ledger.h"
#include "number.h"

#define SERVICES_MAX 1000

typedef struct Bench {
        Loop *loop;
        Ledger *ledger;
        PgSync *killer; /* NULL: the connection stays */
        LoopTimer *timer;
        const char *prefix, *evidence, *steps;
        char names[SERVICES_MAX][NAME_SIZE];
        size_t n, at, known;
        usec_t pace;
        bool busy;            /* from the timer to the answer */
        bool waits_for_facts; /* after a reconnect */
        double begin, taken[SERVICES_MAX];
} Bench;

static double microseconds(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void give_up(Bench *b, const char *what, const char *detail) {
        fprintf(stderr, "bench_commit: %s: %s\n", what, detail);
        loop_exit(b->loop, 1);
}

static void make_id(char ret[static OPERATION_ID_SIZE]) {
        uint16_t w[8];

        if (getrandom(w, sizeof w, 0) != sizeof w)
                abort();
        snprintf(ret, OPERATION_ID_SIZE, "%04x%04x-%04x-4%03x-8%03x-%04x%04x%04x", w[0], w[1], w[2],
                 w[3] & 0xfff, w[4] & 0xfff, w[5], w[6], w[7]);
}

static void on_committed(void *userdata, CommitResult result, uint64_t epoch, const char *detail) {
        Bench *b = userdata;

        b->taken[b->at] = microseconds() - b->begin;
        b->busy = false;
        if (result != COMMIT_DONE || epoch != 3) {
                give_up(b, b->names[b->at], detail);
                return;
        }
        b->at++;
        if (b->at == b->n)
                loop_exit(b->loop, 0);
}

static void commit(Bench *b) {
        OperationPlan plan = { .kind = OPERATION_ROLLBACK,
                               .automatic = true,
                               .from_epoch = 2,
                               .from_version = "v2",
                               .to_version = "v1",
                               .actor = "rollbackd",
                               .reason = "errors above 5 % for 30 s" };
        CommitRequest request = { .operation = &plan,
                                  .service = b->names[b->at],
                                  .policy_hash = "0123456789abcdef",
                                  .evidence = b->evidence,
                                  .steps = b->steps,
                                  .cooldown = 10 * USEC_PER_MINUTE,
                                  .budget_per = USEC_PER_DAY,
                                  .budget_count = 2 };

        make_id(plan.id);
        b->begin = microseconds();
        if (ledger_commit(b->ledger, &request, on_committed, b) < 0)
                give_up(b, b->names[b->at], "not taken");
}

/* Ends the ledger's connection; what follows is told to on_state(). */
static void cut(Bench *b) {
        PgFailure failure;
        PgResult *r = pg_sync_query(b->killer,
                                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
                                    "application_name = 'rollbackd'",
                                    0, NULL, &failure);

        if (!r || pg_rows(r) != 1)
                give_up(b, "the ledger's connection could not be ended",
                        r ? "there is not exactly one" : failure.message);
        pg_result_free(r);
        b->waits_for_facts = true;
}

static void on_timer(void *userdata, _unused_ usec_t now) {
        Bench *b = userdata;

        b->busy = true;
        if (b->killer)
                cut(b);
        else
                commit(b);
}

static void on_state(void *userdata, bool up, const PgFailure *failure) {
        Bench *b = userdata;

        if (!up && !b->waits_for_facts && b->known > 0)
                give_up(b, "the ledger is down", failure->message);
}

static void on_facts(void *userdata, const char *service, const ServiceFacts *facts,
                     _unused_ usec_t at) {
        Bench *b = userdata;

        if (!facts) {
                give_up(b, service, "is not registered");
                return;
        }
        b->known++;
        if (!b->waits_for_facts || !streq(service, b->names[b->at]))
                return;
        b->waits_for_facts = false;
        commit(b);
}

/* The lists are read last of all that follows from a commit. */
static void on_recent(void *userdata, Json *operations, Json *events) {
        Bench *b = userdata;

        json_free(operations);
        json_free(events);
        if (!b->busy)
                loop_timer_set(b->timer, usec_add(loop_now(b->loop), b->pace));
}

static int run(Bench *b, const char *conninfo, const char *killer_conninfo) {
        LedgerOwner owner = {
                .userdata = b, .on_state = on_state, .on_facts = on_facts, .on_recent = on_recent
        };
        _cleanup_(offload_freep) Offload *offload = NULL;
        LedgerService watched[SERVICES_MAX];
        PgFailure failure;
        int r;

        for (size_t i = 0; i < b->n; i++) {
                snprintf(b->names[i], sizeof b->names[i], "%s%zu", b->prefix, i);
                watched[i] = (LedgerService){ b->names[i], 10 * USEC_PER_MINUTE, USEC_PER_DAY };
        }
        if (killer_conninfo && pg_sync_connect(&b->killer, killer_conninfo, NULL, &failure) < 0) {
                fprintf(stderr, "bench_commit: %s\n", failure.message);
                return 1;
        }
        if (loop_new(&b->loop) < 0 || offload_new(&offload, b->loop, 2, 16) < 0 ||
            loop_add_timer(b->loop, on_timer, b, "next", &b->timer) < 0 ||
            ledger_new(&b->ledger, b->loop, offload, conninfo, &owner, 1) < 0 ||
            ledger_watch(b->ledger, watched, b->n) < 0)
                return 1;
        r = loop_run(b->loop);
        b->ledger = ledger_free(b->ledger);
        b->timer = loop_timer_free(b->timer);
        b->killer = pg_sync_free(b->killer);
        return r;
}

int main(int argc, char *argv[]) {
        static Bench b;
        uint64_t n, pace;
        int r;

        if (argc < 7 || argc > 8 || number_parse_u64(argv[3], strlen(argv[3]), &n) < 0 || n == 0 ||
            n > SERVICES_MAX || number_parse_u64(argv[4], strlen(argv[4]), &pace) < 0) {
                fprintf(stderr, "usage: bench_commit CONNINFO PREFIX COUNT PACE EVIDENCE STEPS "
                                "[CONNINFO-TO-RECONNECT]\n");
                return 2;
        }
        b.prefix = argv[2];
        b.n = n;
        b.pace = pace;
        b.evidence = argv[5];
        b.steps = argv[6];
        r = run(&b, argv[1], argc == 8 ? argv[7] : NULL);
        b.loop = loop_free(b.loop);
        if (r != 0)
                return 1;
        printf("[");
        for (size_t i = 0; i < b.n; i++)
                printf("%s%.1f", i > 0 ? "," : "", b.taken[i]);
        printf("]\n");
        return 0;
}
