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

int reader_run(Reader *r, const ProbeTools *tools, OffloadWork work, void *argument,
               OffloadFree free_argument, OffloadFree free_value, usec_t timeout, OffloadDone done,
               void *userdata, OffloadTask **ret) {
        Reading *reading = NULL;
        int error = 0;

        if (atomic_load(&r->running))
                error = -EBUSY;
        else if (!(reading = calloc(1, sizeof *reading)))
                error = -ENOMEM;
        if (error < 0) {
                free_argument(argument);
                return error;
        }
        *reading = (Reading){ r, work, argument, free_argument };
        atomic_store(&r->running, true);
        (void)atomic_fetch_add(&r->n_users, 1);
        error = offload_run_few(tools->offload, READINGS_AT_ONCE, reading_work, reading,
                                reading_free, free_value, timeout, done, userdata, ret);
        if (error < 0)
                reading_free(reading);
        return error;
}

void reader_set_error(ProbeResult *result, int error, usec_t timeout) {
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
