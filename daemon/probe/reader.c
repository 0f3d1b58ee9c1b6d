#include "reader.h"

#include <errno.h>
#include <stdatomic.h>

/* Of the workers, which look names up too: one that hangs must not keep these from it. */
#define READINGS_AT_ONCE 2

/* Freed by whoever lets go of it last, the target or the reading. */
struct Reader {
        atomic_uint n_users;
        atomic_bool running;
};

typedef struct Reading {
        Reader *reader;
        OffloadWork work;
        void *argument;
        OffloadFree free_argument;
} Reading;

typedef struct ReaderRun {
        OffloadTask *task;
        void (*take)(void *memory, const void *value, ProbeResult *result);
        void *memory;
        usec_t timeout;
        ProbeTrace *trace;
        void (*done)(void *userdata, const ProbeResult *result);
        void *userdata;
} ReaderRun;

int reader_new(Reader **ret) {
        Reader *r = calloc(1, sizeof *r);

        if (!r)
                return -ENOMEM;
        atomic_init(&r->n_users, 1);
        atomic_init(&r->running, false);
        *ret = r;
        return 0;
}

Reader *reader_free(Reader *r) {
        if (r && atomic_fetch_sub(&r->n_users, 1) == 1)
                free(r);
        return NULL;
}

static void *reading_work(void *p) {
        Reading *reading = p;

        return reading->work(reading->argument);
}

/* After the work, or without it when nobody wanted it any more. */
static void reading_free(void *p) {
        Reading *reading = p;

        reading->free_argument(reading->argument);
        atomic_store(&reading->reader->running, false);
        reader_free(reading->reader);
        free(reading);
}

/* As offload_run(); also -EBUSY while the one before still runs. The argument is taken in any case.
 */
static int run_work(const ReadingSetup *setup, const ProbeTools *tools, usec_t timeout,
                    OffloadDone done, void *userdata, OffloadTask **ret) {
        Reader *r = setup->reader;
        Reading *reading = NULL;
        int error = 0;

        if (atomic_load(&r->running))
                error = -EBUSY;
        else if (!(reading = calloc(1, sizeof *reading)))
                error = -ENOMEM;
        if (error < 0) {
                setup->free_argument(setup->argument);
                return error;
        }
        *reading = (Reading){ r, setup->work, setup->argument, setup->free_argument };
        atomic_store(&r->running, true);
        (void)atomic_fetch_add(&r->n_users, 1);
        error = offload_run_few(tools->offload, READINGS_AT_ONCE, reading_work, reading,
                                reading_free, free, timeout, done, userdata, ret);
        if (error < 0)
                reading_free(reading);
        return error;
}

/* The result of a reading that did not start or did not end. */
static void set_error(ProbeResult *result, int error, usec_t timeout) {
        STRBUF(words, PROBE_WORDS_SIZE);

        if (error == -EBUSY)
                strbuf_add(&words, "an earlier reading still hangs; is a file system away?");
        else if (error == -ETIMEDOUT) {
                strbuf_add(&words, "could not be read within ");
                strbuf_add_usec_words(&words, timeout);
        } else if (error == -EAGAIN)
                strbuf_add(&words, "too many readings wait for a worker");
        else {
                probe_result_set_errno(result, ENOMEM);
                return;
        }
        probe_result_set(result, OUTCOME_LOCAL, words.text);
}

static void on_read(void *userdata, int r, void *value) {
        ReaderRun *run = userdata;
        void (*done)(void *, const ProbeResult *) = run->done;
        void *owner = run->userdata;
        ProbeResult result = {};

        probe_trace_mark(run->trace, MOMENT_FIRST_BYTE);
        if (r < 0 || !value)
                set_error(&result, r, run->timeout);
        else
                run->take(run->memory, value, &result);
        free(value);
        free(run);
        done(owner, &result);
}

int reader_start(const ProbeStart *start, const ReadingSetup *setup, ProbeResult *ret,
                 void **ret_run) {
        _cleanup_(freep) ReaderRun *run = calloc(1, sizeof *run);
        usec_t timeout = start->config->timeout;
        int r;

        if (!run) {
                setup->free_argument(setup->argument);
                probe_result_set_errno(ret, ENOMEM);
                return 0;
        }
        *run = (ReaderRun){ .take = setup->take,
                            .memory = start->memory,
                            .timeout = timeout,
                            .trace = start->trace,
                            .done = start->done,
                            .userdata = start->userdata };
        r = run_work(setup, start->tools, timeout, on_read, run, &run->task);
        if (r < 0) {
                set_error(ret, r, timeout);
                return 0;
        }
        probe_trace_sent(run->trace, setup->what, strlen(setup->what));
        probe_trace_sent(run->trace, start->target->url, strlen(start->target->url));
        probe_trace_mark(run->trace, MOMENT_SENT);
        *ret_run = TAKE_PTR(run);
        return 1;
}

/* All of it is our own work, and ends by itself in time. */
const char *reader_waiting_for(_unused_ const void *run) {
        return NULL;
}

void reader_cancel(void *p) {
        ReaderRun *run = p;

        offload_cancel(run->task);
        free(run);
}
