/* probe_journal.c: counts the errors that the journal has of a unit since the probe before. Good
 * whenever it could be read: what is too much is said by the policy's limits. The first probe, and
 * the first one after a release, only finds out where the journal ends. */
#include <errno.h>

#include "journal_read.h"
#include "reader.h"

/* What a target keeps: the place up to which it was read. */
typedef struct JournalMemory {
        Reader *reader;
        bool has_base;
        usec_t at;
        char cursor[JOURNAL_CURSOR_SIZE];
} JournalMemory;

/* What a worker needs; nothing in it is the loop's. */
typedef struct JournalAsked {
        JournalQuestion question;
        char *unit, *matches;
        char cursor[JOURNAL_CURSOR_SIZE];
} JournalAsked;

static int journal_memory_new(_unused_ const ProbeConfig *config, void **ret) {
        JournalMemory *memory = calloc(1, sizeof *memory);
        int r = memory ? reader_new(&memory->reader) : -ENOMEM;

        if (r < 0) {
                free(memory);
                return r;
        }
        *ret = memory;
        return 0;
}

static void journal_memory_free(void *p) {
        JournalMemory *memory = p;

        reader_free(memory->reader);
        free(memory);
}

static void journal_memory_start_epoch(void *p) {
        ((JournalMemory *)p)->has_base = false;
}

static void asked_free(void *p) {
        JournalAsked *asked = p;

        free(asked->unit);
        free(asked->matches);
        free(asked);
}

static JournalAsked *asked_new(const ProbeStart *start) {
        const JournalConfig *config = &start->config->journal;
        const JournalMemory *memory = start->memory;
        JournalAsked *asked = calloc(1, sizeof *asked);

        if (!asked)
                return NULL;
        asked->unit = strdup(start->target->url);
        asked->matches = config->matches ? strdup(config->matches) : NULL;
        if (!asked->unit || (config->matches && !asked->matches)) {
                asked_free(asked);
                return NULL;
        }
        memcpy(asked->cursor, memory->cursor, sizeof asked->cursor);
        asked->question = (JournalQuestion){
                .unit = asked->unit,
                .priority = config->priority,
                .matches = asked->matches,
                .cursor = memory->has_base ? asked->cursor : NULL,
                /* What has been counted until then is worth more than a reading that is given up.
                 */
                .deadline = usec_add(loop_clock(), start->config->timeout / 2),
        };
        return asked;
}

static void *read_asked(void *p) {
        const JournalAsked *asked = p;
        JournalAnswer *answer = malloc(sizeof *answer);

        if (answer)
                journal_read(&asked->question, answer);
        return answer;
}

static void add_values(const JournalMemory *memory, const JournalAnswer *a, ProbeResult *result) {
        usec_t span = usec_sub(a->at, memory->at);

        if (a->cut)
                probe_result_set(result, OUTCOME_OK,
                                 "more entries than one probe counts: the values are the least");
        (void)probe_result_add_value(result, "entries", (double)a->entries);
        if (span > 0)
                (void)probe_result_add_value(result, "per_second",
                                             (double)a->entries * (double)USEC_PER_SEC /
                                                     (double)span);
}

static void take_answer(void *p, const void *value, ProbeResult *result) {
        const JournalAnswer *a = value;
        JournalMemory *memory = p;

        if (a->words[0]) {
                probe_result_set(result, OUTCOME_LOCAL, a->words);
                return;
        }
        result->outcome = OUTCOME_OK;
        if (memory->has_base)
                add_values(memory, a, result);
        else
                probe_result_set(result, OUTCOME_OK, "the first probe only sets a base");
        memory->has_base = true;
        memory->at = a->at;
        memcpy(memory->cursor, a->cursor, sizeof memory->cursor);
}

static int journal_start(const ProbeStart *start, ProbeResult *ret, void **ret_run) {
        JournalAsked *asked = asked_new(start);

        if (!asked) {
                probe_result_set_errno(ret, ENOMEM);
                return 0;
        }
        return reader_start(start,
                            &(ReadingSetup){ .reader = ((JournalMemory *)start->memory)->reader,
                                             .work = read_asked,
                                             .argument = asked,
                                             .free_argument = asked_free,
                                             .take = take_answer,
                                             .what = "journal of " },
                            ret, ret_run);
}

const ProbeKind probe_kind_journal = {
        .name = "journal",
        .memory_new = journal_memory_new,
        .memory_free = journal_memory_free,
        .memory_start_epoch = journal_memory_start_epoch,
        .start = journal_start,
        .waiting_for = reader_waiting_for,
        .cancel = reader_cancel,
};
