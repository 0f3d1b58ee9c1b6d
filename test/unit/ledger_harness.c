#include "ledger_harness.h"

#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define BIN "/usr/lib/postgresql/15/bin/"
#define WAIT_MAX (30 * USEC_PER_SEC)
#define TICK (2 * USEC_PER_MSEC)
#define STACK (1024 * 1024)

static struct {
        char directory[64], data[96];
        pid_t postmaster;
        unsigned tests;
} server;

static struct {
        ucontext_t body, loop;
        char *stack;
        LoopTimer *tick;
        bool (*done)(void *userdata);
        void *userdata;
        usec_t deadline;
        bool timed_out, running, ending;
        Loop *of;
} turn;

/* Starts a program as the user postgres, with its output in the directory. */
static pid_t start(const char *const argv[]) {
        struct passwd *user = getpwnam("postgres");
        pid_t pid = fork();

        if (pid != 0)
                return pid;
        if (geteuid() == 0 && (!user || setgid(user->pw_gid) < 0 || setuid(user->pw_uid) < 0))
                _exit(126);
        /* After the change of user, which clears it: nothing of a test that dies stays behind. */
        if (prctl(PR_SET_PDEATHSIG, SIGQUIT) < 0)
                _exit(126);
        if (chdir(server.directory) < 0)
                _exit(126);
        int log = open("log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (log < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0)
                _exit(126);
        execv(argv[0], (char *const *)argv);
        _exit(127);
}

static bool connects(const char *database) {
        _cleanup_(pg_sync_freep) PgSync *s = NULL;
        char conninfo[512];
        PgFailure failure;

        snprintf(conninfo, sizeof conninfo, "host=%s dbname=%s user=postgres", server.directory,
                 database);
        return pg_sync_connect(&s, conninfo, NULL, &failure) == 0;
}

void harness_start_server(void) {
        const char *const argv[] = { BIN "postgres",   "-D", server.data,          "-k",
                                     server.directory, "-c", "listen_addresses=",  "-c",
                                     "fsync=off",      "-c", "max_connections=50", NULL };

        server.postmaster = start(argv);
        for (unsigned i = 0; i < 3000; i++) {
                if (connects("postgres"))
                        return;
                /* After a SIGKILL the last backends may still hold the shared memory for a moment.
                 */
                if (waitpid(server.postmaster, NULL, WNOHANG) == server.postmaster)
                        server.postmaster = start(argv);
                nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
        }
        fail_msg("the private PostgreSQL does not start; see %s/log", server.directory);
}

void harness_kill_server(void) {
        kill(server.postmaster, SIGKILL);
        waitpid(server.postmaster, NULL, 0);
}

static void script(PgSync *s, const char *sql, const char *what) {
        PgFailure failure;
        PgResult *r = pg_sync_script(s, sql, &failure);

        if (!r)
                fail_msg("%s: %s (%s)", what, failure.message, failure.sqlstate);
        pg_result_free(r);
}

static void run_file(PgSync *s, const char *path) {
        FILE *f = fopen(path, "re");
        char *text = calloc(1, 1024 * 1024);
        size_t n;

        if (!f || !text)
                fail_msg("cannot read %s", path);
        n = fread(text, 1, 1024 * 1024 - 1, f);
        fclose(f);
        text[n] = '\0';
        script(s, text, path);
        free(text);
}

static void make_template(void) {
        _cleanup_(pg_sync_freep) PgSync *s = NULL;
        char conninfo[512];
        PgFailure failure;
        glob_t files;

        snprintf(conninfo, sizeof conninfo, "host=%s dbname=postgres user=postgres",
                 server.directory);
        assert_int_equal(pg_sync_connect(&s, conninfo, NULL, &failure), 0);
        script(s, "CREATE DATABASE ledger", "create");
        pg_sync_free(TAKE_PTR(s));
        snprintf(conninfo, sizeof conninfo, "host=%s dbname=ledger user=postgres",
                 server.directory);
        assert_int_equal(pg_sync_connect(&s, conninfo, NULL, &failure), 0);
        run_file(s, "sql/roles.sql");
        script(s, "SET ROLE rollbackd_owner", "role");
        assert_int_equal(glob("sql/migrations/*.sql", 0, NULL, &files), 0);
        for (size_t i = 0; i < files.gl_pathc; i++)
                run_file(s, files.gl_pathv[i]);
        globfree(&files);
}

int harness_group_setup(_unused_ void **state) {
        const char *const initdb[] = { BIN "initdb", "-D", server.data,        "-A", "trust", "-U",
                                       "postgres",   "-N", "--locale=C.UTF-8", NULL };
        struct passwd *user = getpwnam("postgres");
        int status;

        snprintf(server.directory, sizeof server.directory, "/tmp/rollbackd-ledger-XXXXXX");
        if (!mkdtemp(server.directory) ||
            (geteuid() == 0 && (!user || chown(server.directory, user->pw_uid, user->pw_gid) < 0)))
                return -1;
        snprintf(server.data, sizeof server.data, "%s/data", server.directory);
        if (waitpid(start(initdb), &status, 0) < 0 || status != 0)
                return -1;
        harness_start_server();
        make_template();
        return 0;
}

static int remove_one(const char *path, _unused_ const struct stat *st, _unused_ int flag,
                      _unused_ struct FTW *ftw) {
        return remove(path);
}

int harness_group_teardown(_unused_ void **state) {
        kill(server.postmaster, SIGQUIT);
        waitpid(server.postmaster, NULL, 0);
        return nftw(server.directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void on_tick(_unused_ void *userdata, usec_t now) {
        if (turn.ending) {
                loop_exit(turn.of, 0);
                return;
        }
        if (turn.done) {
                turn.timed_out = now >= turn.deadline;
                if (turn.timed_out || turn.done(turn.userdata)) {
                        turn.done = NULL;
                        swapcontext(&turn.loop, &turn.body);
                }
        }
        loop_timer_set(turn.tick, usec_add(now, TICK));
}

static void loop_main(void) {
        int r = loop_run(turn.of);

        turn.running = false;
        if (r < 0)
                turn.timed_out = true;
}

void harness_wait(Harness *h, bool (*done)(void *userdata), void *userdata, const char *what) {
        turn.done = done;
        turn.userdata = userdata;
        turn.deadline = usec_add(loop_now(h->loop), WAIT_MAX);
        swapcontext(&turn.body, &turn.loop);
        if (turn.timed_out)
                fail_msg("waited in vain: %s", what);
}

PgSync *harness_connect(Harness *h) {
        PgSync *s = NULL;
        PgFailure failure;

        if (pg_sync_connect(&s, h->admin_conninfo, NULL, &failure) < 0)
                fail_msg("connect: %s", failure.message);
        return s;
}

int harness_setup(void **state) {
        Harness *h = calloc(1, sizeof *h);
        char sql[128];

        if (!h)
                return -1;
        snprintf(h->database, sizeof h->database, "test_%u", ++server.tests);
        snprintf(h->admin_conninfo, sizeof h->admin_conninfo,
                 "host=%s dbname=postgres user=postgres", server.directory);
        h->admin = harness_connect(h);
        snprintf(sql, sizeof sql, "CREATE DATABASE %s TEMPLATE ledger", h->database);
        script(h->admin, sql, "create");
        pg_sync_free(h->admin);
        snprintf(h->admin_conninfo, sizeof h->admin_conninfo, "host=%s dbname=%s user=postgres",
                 server.directory, h->database);
        snprintf(h->conninfo, sizeof h->conninfo, "host=%s dbname=%s user=rollbackd",
                 server.directory, h->database);
        h->admin = harness_connect(h);
        if (loop_new(&h->loop) < 0 || offload_new(&h->offload, h->loop, 2, 16) < 0)
                return -1;
        memset(&turn, 0, sizeof turn);
        turn.of = h->loop;
        turn.running = true;
        turn.stack = malloc(STACK);
        if (!turn.stack || loop_add_timer(h->loop, on_tick, NULL, "tick", &turn.tick) < 0)
                return -1;
        loop_timer_set(turn.tick, 0);
        getcontext(&turn.loop);
        turn.loop.uc_stack.ss_sp = turn.stack;
        turn.loop.uc_stack.ss_size = STACK;
        turn.loop.uc_link = &turn.body;
        makecontext(&turn.loop, loop_main, 0);
        *state = h;
        return 0;
}

int harness_teardown(void **state) {
        Harness *h = *state;

        turn.ending = true;
        loop_timer_set(turn.tick, 0);
        if (turn.running)
                swapcontext(&turn.body, &turn.loop);
        loop_timer_free(turn.tick);
        offload_free(h->offload);
        loop_free(h->loop);
        free(turn.stack);
        pg_sync_free(h->admin);
        free(h);
        return 0;
}

void harness_sql(Harness *h, const char *sql) {
        script(h->admin, sql, sql);
}

const char *harness_cell(Harness *h, const char *sql) {
        static char cell[4096];
        PgFailure failure;
        PgResult *r = pg_sync_query(h->admin, sql, 0, NULL, &failure);
        const char *value;

        if (!r)
                fail_msg("%s: %s", sql, failure.message);
        value = pg_rows(r) > 0 ? pg_cell(r, 0, 0) : NULL;
        snprintf(cell, sizeof cell, "%s", value ? value : "");
        pg_result_free(r);
        return cell;
}
