/* A child with a connection of its own looks whether somebody waits for a lock that the drill's
 * transaction holds, and then has the server stop what the drill runs. The session that is drilled
 * with cannot look itself: it waits for its statement's answer. */
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "drill.h"

/* Far below the 2 s that the daemon waits for a lock before its own step fails. */
#define LOOK_EVERY_MS 100
/* How long its last look may take. */
#define END_MS 2000

/* Those who wait are asked for first, because asking who is in whose way is dear. */
static const char in_the_way_sql[] =
        "SELECT FROM pg_catalog.pg_locks l WHERE NOT l.granted AND $1::int = ANY "
        "(pg_catalog.pg_blocking_pids(l.pid)) LIMIT 1";
static const char stop_sql[] = "SELECT pg_catalog.pg_cancel_backend($1::int)";

/* The child says that it looks before it reads which backend; so nobody is stopped once the parent
 * has said that the transaction is over, and then seen that nobody looks. */
typedef struct Shared {
        _Atomic int backend; /* that runs a drill's transaction; 0: none does */
        _Atomic bool looking, made_way, over;
} Shared;

struct DrillWatch {
        Shared *shared;
        pid_t child;
};

/* Returns whether the answer has a row. */
static bool ask(PgSync *session, const char *sql, int backend) {
        STRBUF(number, 24);
        const char *values[] = { number.text };
        _cleanup_(pg_result_freep) PgResult *r = NULL;
        PgFailure failure;

        strbuf_add_i64(&number, backend);
        r = pg_sync_statement(session, sql, ELEMENTSOF(values), values, &failure);
        if (!r && pg_sync_is_lost(session))
                _exit(1);
        return r && pg_rows(r) > 0;
}

/* It is said before it is done: whoever is stopped wants to know why. */
static void look(PgSync *session, Shared *shared) {
        int backend;

        shared->looking = true;
        backend = shared->backend;
        if (backend != 0 && ask(session, in_the_way_sql, backend)) {
                shared->made_way = true;
                (void)ask(session, stop_sql, backend);
        }
        shared->looking = false;
}

_Noreturn static void watch(PgSync *session, Shared *shared, pid_t parent) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        /* It may have died before that. */
        while (getppid() == parent && !shared->over) {
                look(session, shared);
                (void)poll(NULL, 0, LOOK_EVERY_MS);
        }
        pg_sync_free(session);
        _exit(0);
}

int drill_watch_new(DrillWatch **ret, PgSync *session) {
        DrillWatch *w = calloc(1, sizeof *w);
        pid_t parent = getpid();

        if (!w)
                return -ENOMEM;
        w->shared = mmap(NULL, sizeof *w->shared, PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (w->shared == MAP_FAILED) {
                free(w);
                return -ENOMEM;
        }
        w->child = fork();
        if (w->child == 0)
                watch(session, w->shared, parent);
        if (w->child < 0) {
                int r = -errno;

                (void)munmap(w->shared, sizeof *w->shared);
                free(w);
                return r;
        }
        pg_sync_leave(session);
        *ret = w;
        return 0;
}

static bool is_there(const DrillWatch *w) {
        siginfo_t gone = { 0 };

        return waitid(P_PID, (id_t)w->child, &gone, WEXITED | WNOHANG | WNOWAIT) == 0 &&
               gone.si_pid == 0;
}

/* It says goodbye to the server, or is killed when that does not answer. */
DrillWatch *drill_watch_free(DrillWatch *w) {
        if (!w)
                return NULL;
        w->shared->over = true;
        for (int t = 0; t < END_MS && is_there(w); t += 10)
                (void)poll(NULL, 0, 10);
        (void)kill(w->child, SIGKILL);
        (void)waitpid(w->child, NULL, 0);
        (void)munmap(w->shared, sizeof *w->shared);
        free(w);
        return NULL;
}

bool drill_watch_begin(DrillWatch *w, int backend) {
        w->shared->made_way = false;
        w->shared->backend = backend;
        return is_there(w);
}

void drill_watch_end(DrillWatch *w) {
        w->shared->backend = 0;
        while (w->shared->looking && is_there(w))
                (void)poll(NULL, 0, 1);
}

bool drill_watch_made_way(const DrillWatch *w) {
        return w->shared->made_way;
}
