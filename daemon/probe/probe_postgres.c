/* probe_postgres.c: good when the server takes a new connection, answers what it is, is of the
 * wanted role, and gives one row to the query if there is one. The row's numbers are values.
 * Nothing is written: the query runs in a read-only transaction. */
#include <errno.h>
#include <math.h>

#include "config_parse.h"
#include "pg_visit.h"
#include "probe_kind.h"

typedef struct PostgresRun {
        PollItem item; /* first, so that an item is its run */
        const ProbeTools *tools;
        const ProbeConfig *config;
        ProbeTrace *trace;
        PgVisit *visit;
        usec_t began, connected;
        void (*done)(void *userdata, const ProbeResult *result);
        void *userdata;
} PostgresRun;

static PostgresRun *postgres_run_free(PostgresRun *run) {
        if (!run)
                return NULL;
        poller_detach(run->tools->poller, &run->item);
        pg_visit_free(run->visit);
        free(run);
        return NULL;
}
DEFINE_CLEANUP(PostgresRun *, postgres_run_free);

static void say(ProbeResult *result, ProbeOutcome outcome, const char *first, const char *name,
                const char *last) {
        STRBUF(words, PROBE_WORDS_SIZE);

        strbuf_add(&words, first);
        strbuf_add_escaped(&words, name, strlen(name));
        strbuf_add(&words, last);
        probe_result_set(result, outcome, words.text);
}

static void add_value(const PostgresRun *run, ProbeResult *result, const char *name, double value) {
        STRBUF(line, 128);

        strbuf_add(&line, name);
        strbuf_add(&line, " = ");
        strbuf_add_double(&line, value, 6);
        strbuf_add(&line, "\n");
        probe_trace_received(run->trace, line.text, line.length);
        if (probe_result_add_value(result, name, value) < 0)
                probe_result_set(result, OUTCOME_LOCAL,
                                 "the query gives more than 16 values with the server's own; write "
                                 "one that gives fewer");
}

/* The server's own words of itself come first, so that the query may put a better figure in their
 * place. */
static void add_row(const PostgresRun *run, const PgResult *row, ProbeResult *result) {
        for (size_t i = 0; i < pg_columns(row); i++) {
                const char *name = pg_column_name(row, i), *ignored;
                double value;

                if (!pg_cell_number(row, 0, i, &value))
                        continue;
                if (config_parse_value_name(name, &ignored) < 0)
                        say(result, OUTCOME_LOCAL, "column ", name,
                            " cannot be a value's name; write AS and one of letters, digits and "
                            "_ . / - %");
                else
                        add_value(run, result, name, value);
        }
}

static void judge_role(const PostgresRun *run, bool in_recovery, ProbeResult *result) {
        switch (run->config->postgres.role) {
        case ROLE_ANY:
        case _ROLE_MAX:
                return;
        case ROLE_PRIMARY:
                if (in_recovery)
                        probe_result_set(result, OUTCOME_BAD_STATE,
                                         "the server is a replica, not a primary");
                return;
        case ROLE_REPLICA:
                if (!in_recovery)
                        probe_result_set(result, OUTCOME_BAD_STATE,
                                         "the server is a primary, not a replica");
                return;
        }
}

static void take_answer(const PostgresRun *run, const PgVisitEnd *end, ProbeResult *result) {
        /* What comes after the connection stands runs on no worker. */
        add_value(run, result, "connect_seconds",
                  (double)usec_sub(usec_sub(run->connected, run->began), end->ours) / USEC_PER_SEC);
        add_value(run, result, "in_recovery", end->in_recovery);
        if (end->in_recovery) {
                add_value(run, result, "receiving", end->receiving);
                add_value(run, result, "lag_seconds", end->lag_seconds);
                add_value(run, result, "lag_bytes", end->lag_bytes);
        }
        if (end->row)
                add_row(run, end->row, result);
        else if (run->config->postgres.query)
                probe_result_set(result, OUTCOME_NO_DATA, "the query gave no row");
        if (result->outcome == OUTCOME_OK)
                judge_role(run, end->in_recovery, result);
}

static void on_end(void *userdata, const PgVisitEnd *end) {
        PostgresRun *run = userdata;
        ProbeResult result = { .outcome = OUTCOME_OK, .ours = end->ours };

        probe_trace_mark(run->trace, MOMENT_FIRST_BYTE);
        if (end->outcome == OUTCOME_OK)
                take_answer(run, end, &result);
        else
                probe_result_set(&result, end->outcome, end->words);

        void (*done)(void *, const ProbeResult *) = run->done;
        void *owner = run->userdata;
        postgres_run_free(run);
        done(owner, &result);
}

static void on_ready(PollItem *item, uint32_t events _unused_) {
        pg_visit_ready(((PostgresRun *)item)->visit);
}

/* Each time anew: it tells what is ready already, which libpq may have left, and the descriptor may
 * be another one. */
static int on_watch(void *userdata, int fd, uint32_t events) {
        PostgresRun *run = userdata;

        poller_detach(run->tools->poller, &run->item);
        return events ? poller_add(run->tools->poller, &run->item, fd, events, on_ready) : 0;
}

static void on_connected(void *userdata) {
        PostgresRun *run = userdata;
        const char *query = run->config->postgres.query;

        run->connected = loop_clock();
        probe_trace_mark(run->trace, MOMENT_CONNECTED);
        probe_trace_sent(run->trace, query ?: "", query ? strlen(query) : 0);
        probe_trace_mark(run->trace, MOMENT_SENT);
}

/* Read anew for each probe, so that a corrected one is taken. */
static int read_password(const ProbeStart *start, char **ret, ProbeResult *result) {
        const char *name = start->config->postgres.password_file;
        STRBUF(words, PROBE_WORDS_SIZE);
        int r = name ? config_read_secret(start->tools->secrets, name, ret, &words) : 0;

        if (r < 0)
                probe_result_set(result, OUTCOME_LOCAL, words.text);
        return r;
}

static void wipe(char **text) {
        if (*text)
                explicit_bzero(*text, strlen(*text));
        free(*text);
}

static int postgres_start(const ProbeStart *start, ProbeResult *ret, void **ret_run) {
        _cleanup_(postgres_run_freep) PostgresRun *run = calloc(1, sizeof *run);
        _cleanup_(wipe) char *password = NULL;
        int r;

        if (!run) {
                probe_result_set_errno(ret, ENOMEM);
                return 0;
        }
        *run = (PostgresRun){
                .item.fd = -1,
                .tools = start->tools,
                .config = start->config,
                .trace = start->trace,
                .began = loop_clock(),
                .done = start->done,
                .userdata = start->userdata,
        };
        if (read_password(start, &password, ret) < 0)
                return 0;
        r = pg_visit_new(&run->visit, &(PgVisitSetup){
                                              .loop = start->tools->loop,
                                              .offload = start->tools->offload,
                                              .conninfo = start->config->postgres.conninfo,
                                              .password = password,
                                              .statement = start->config->postgres.query,
                                              .timeout = start->config->timeout,
                                              .on_watch = on_watch,
                                              .on_connected = on_connected,
                                              .on_end = on_end,
                                              .userdata = run,
                                      });
        if (r == -EAGAIN)
                probe_result_set(ret, OUTCOME_OVERDUE, "rollbackd's own workers have no room");
        else if (r < 0)
                probe_result_set_errno(ret, r);
        if (r < 0)
                return 0;
        *ret_run = TAKE_PTR(run);
        return 1;
}

static const char *postgres_waiting_for(const void *run) {
        return pg_visit_waiting_for(((const PostgresRun *)run)->visit);
}

static usec_t postgres_ours(const void *run) {
        return pg_visit_ours(((const PostgresRun *)run)->visit);
}

static void postgres_cancel(void *run) {
        postgres_run_free(run);
}

const ProbeKind probe_kind_postgres = {
        .name = "postgres",
        .start = postgres_start,
        .waiting_for = postgres_waiting_for,
        .ours = postgres_ours,
        .cancel = postgres_cancel,
};
