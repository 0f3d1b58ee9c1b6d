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

/* Asks for those who wait first, because asking who is in whose way is dear. */
static const char make_way_sql[] =
        "SELECT pg_catalog.pg_cancel_backend($1::int) WHERE EXISTS (SELECT FROM "
        "pg_catalog.pg_locks l WHERE NOT l.granted AND $1::int = ANY "
        "(pg_catalog.pg_blocking_pids(l.pid)))";

typedef struct Shared {
        _Atomic int backend; /* that runs a drill's transaction; 0: none does */
        _Atomic bool made_way;
} Shared;

struct DrillWatch {
        PgSync *session; /* the child's; here only to be closed */
        Shared *shared;
        pid_t child;
};

static void look(PgSync *session, Shared *shared, int backend) {
        STRBUF(number, 24);
        const char *values[] = { number.text };
        _cleanup_(pg_result_freep) PgResult *r = NULL;
        PgFailure failure;

        strbuf_add_i64(&number, backend);
        r = pg_sync_statement(session, make_way_sql, ELEMENTSOF(values), values, &failure);
        if (r && pg_rows(r) > 0)
                shared->made_way = true;
        if (!r && pg_sync_is_lost(session))
                _exit(1);
}

_Noreturn static void watch(PgSync *session, Shared *shared, pid_t parent) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        /* It may have died before that. */
        while (getppid() == parent) {
                int backend = shared->backend;

                if (backend != 0 && !shared->made_way)
                        look(session, shared, backend);
                (void)poll(NULL, 0, LOOK_EVERY_MS);
        }
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
        w->session = session;
        *ret = w;
        return 0;
}

DrillWatch *drill_watch_free(DrillWatch *w) {
        if (!w)
                return NULL;
        (void)kill(w->child, SIGKILL);
        (void)waitpid(w->child, NULL, 0);
        (void)munmap(w->shared, sizeof *w->shared);
        pg_sync_free(w->session);
        free(w);
        return NULL;
}

bool drill_watch_begin(DrillWatch *w, int backend) {
        siginfo_t gone = { 0 };

        w->shared->made_way = false;
        w->shared->backend = backend;
        return waitid(P_PID, (id_t)w->child, &gone, WEXITED | WNOHANG | WNOWAIT) == 0 &&
               gone.si_pid == 0;
}

void drill_watch_end(DrillWatch *w) {
        w->shared->backend = 0;
}

bool drill_watch_made_way(const DrillWatch *w) {
        return w->shared->made_way;
}
