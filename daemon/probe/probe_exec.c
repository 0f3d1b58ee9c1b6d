/* probe_exec.c: runs a program by the conventions of Nagios plugins: its exit code is the verdict,
 * its first line the words, the numbers behind '|' the values. A program that fails by itself, or
 * does not end, tells nothing of what it was to look at. */
#include <errno.h>
#include <math.h>
#include <stdio.h>

#include "child.h"
#include "perfdata.h"
#include "probe_kind.h"

/* Of the words, what the program said; the rest is for what we have to say of it. */
#define SAID_MAX 100

enum { CODE_OK, CODE_WARNING, CODE_CRITICAL, CODE_UNKNOWN };

typedef struct ExecRun {
        Child *child;
        const ProbeConfig *config;
        ProbeTrace *trace;
        void (*done)(void *userdata, const ProbeResult *result);
        void *userdata;
} ExecRun;

/* What became of the numbers. */
typedef struct Tally {
        unsigned malformed, left_out, twice;
        Slice first_malformed;
} Tally;

static bool has_value(const ProbeResult *r, const char *name) {
        for (size_t i = 0; i < r->n_values; i++)
                if (streq(r->values[i].name, name))
                        return true;
        return false;
}

static bool is_wanted(const ProbeConfig *config, const char *name) {
        for (size_t i = 0; i < config->n_values; i++)
                if (streq(config->values[i].name, name))
                        return true;
        return false;
}

/* Of a name that stands twice the first one counts. */
static void add_values(const ChildOutput *output, const ProbeConfig *config, bool wanted,
                       ProbeResult *result, Tally *tally) {
        Perfdata p;
        PerfValue v;
        int r;

        perfdata_init(&p, output->text, output->n);
        while ((r = perfdata_next(&p, &v)) != 0) {
                if (r < 0) {
                        if (wanted && tally->malformed++ == 0)
                                tally->first_malformed = v.text;
                        continue;
                }
                if (is_wanted(config, v.name) != wanted)
                        continue;
                if (has_value(result, v.name))
                        tally->twice++;
                else if (probe_result_add_value(result, v.name, v.value) < 0)
                        tally->left_out++;
        }
}

static void add_note(StrBuf *b, uint64_t n, const char *words) {
        if (n == 0)
                return;
        strbuf_add(b, b->length > 0 ? "; " : "");
        strbuf_add_u64(b, n);
        strbuf_add(b, words);
}

static void add_notes(const Tally *tally, const ChildEnd *end, StrBuf *b) {
        uint64_t lost = end->output.lost + end->errors.lost;

        if (tally->malformed > 0) {
                strbuf_add(b, b->length > 0 ? "; " : "");
                strbuf_add(b, "no number: ");
                strbuf_add_escaped(b, tally->first_malformed.p,
                                   MIN(tally->first_malformed.n, (size_t)20));
        }
        add_note(b, tally->malformed > 1 ? tally->malformed - 1 : 0, " more");
        add_note(b, tally->twice, " of a name that stands twice");
        add_note(b, tally->left_out, " values beyond 16");
        add_note(b, lost, " bytes beyond 64 KiB");
}

/* The first line of what it printed, or of what it complained when it printed nothing. */
static Slice said(const ChildEnd *end) {
        Slice line = perfdata_words(end->output.text, end->output.n);

        return line.n > 0 ? line : perfdata_words(end->errors.text, end->errors.n);
}

/* A plugin says in a line what it found. Without one, 1 and 2 are also what interpreters and shells
 * end with when a program is wrong: an exception, an option that it does not know. */
static bool is_silent(const ChildEnd *end) {
        return (end->code == CODE_WARNING || end->code == CODE_CRITICAL) &&
               perfdata_words(end->output.text, end->output.n).n == 0;
}

static void add_how(const ChildEnd *end, StrBuf *b) {
        if (end->signal > 0) {
                const char *name = sigabbrev_np(end->signal);

                strbuf_add(b, "the program was ended by signal ");
                strbuf_add(b, name ? "SIG" : "");
                if (name)
                        strbuf_add(b, name);
                else
                        strbuf_add_u64(b, (uint64_t)end->signal);
        } else if (end->code < 0)
                strbuf_add(b, "the program's exit code is not known");
        else {
                strbuf_add(b, "exit code ");
                strbuf_add_u64(b, (uint64_t)end->code);
                strbuf_add(b, is_silent(end) ? " without a line of output" : "");
        }
}

static ProbeOutcome outcome_of(const ChildEnd *end, const ProbeConfig *config) {
        if (is_silent(end))
                return OUTCOME_LOCAL;
        switch (end->code) {
        case CODE_OK:
                return OUTCOME_OK;
        case CODE_WARNING:
                return config->exec.warning_is_bad ? OUTCOME_ERROR : OUTCOME_OK;
        case CODE_CRITICAL:
                return OUTCOME_ERROR;
        case CODE_UNKNOWN:
                return OUTCOME_NO_DATA;
        }
        return OUTCOME_LOCAL;
}

static void judge(const ChildEnd *end, const ProbeConfig *config, ProbeResult *result) {
        ProbeOutcome outcome = outcome_of(end, config);
        Slice line = said(end);
        Tally tally = { 0 };
        STRBUF(words, PROBE_WORDS_SIZE);
        STRBUF(cut, SAID_MAX);

        strbuf_add_escaped(&cut, line.p, line.n);
        if (outcome == OUTCOME_LOCAL || (line.n == 0 && end->code != CODE_OK)) {
                add_how(end, &words);
                strbuf_add(&words, line.n > 0 ? ": " : "");
        }
        strbuf_add(&words, cut.text);
        add_values(&end->output, config, true, result, &tally);
        add_values(&end->output, config, false, result, &tally);
        add_notes(&tally, end, &words);
        result->outcome = outcome;
        if (words.length > 0)
                probe_result_set(result, outcome, words.text);
}

static void on_end(void *userdata, const ChildEnd *end) {
        ExecRun *run = userdata;
        void (*done)(void *, const ProbeResult *) = run->done;
        void *owner = run->userdata;
        ProbeResult result = {};

        probe_trace_mark(run->trace, MOMENT_FIRST_BYTE);
        probe_trace_received(run->trace, end->output.text, end->output.n);
        probe_trace_received(run->trace, end->errors.text, end->errors.n);
        judge(end, run->config, &result);
        free(run);
        done(owner, &result);
}

/* NULL where only the call and its errno say it. */
static const char *why_not(int error, const char *call) {
        static const struct {
                int error;
                const char *words;
        } rows[] = {
                { ENOENT, "there is no such program, or not what its first line names" },
                { ENOTDIR, "there is no such program" },
                { EACCES, "rollbackd may not execute it" },
                { EPERM, "rollbackd may not execute it" },
                { ENOEXEC, "it is no program; a script begins with #! and its interpreter" },
                { ETXTBSY, "it is being written" },
                { E2BIG, "its arguments are too long" },
                { EAGAIN, "no process is left; raise TasksMax of the unit" },
                { EBUSY, "128 programs run already" },
        };

        bool told = streq(call, "execve") || error == EAGAIN || error == EBUSY;

        for (size_t i = 0; told && i < ELEMENTSOF(rows); i++)
                if (rows[i].error == error)
                        return rows[i].words;
        return NULL;
}

/* All of this is our own side: nobody has looked at anything. */
static void set_not_started(ProbeResult *r, const char *program, int error, const char *call) {
        const char *why = why_not(error, call), *name = strerrorname_np(error);
        STRBUF(words, PROBE_WORDS_SIZE);
        STRBUF(shown, SAID_MAX - 20);

        strbuf_add_escaped(&shown, program, strlen(program));
        strbuf_add(&words, "cannot run ");
        strbuf_add(&words, shown.text);
        strbuf_add(&words, ": ");
        if (why)
                strbuf_add(&words, why);
        else {
                strbuf_add(&words, call);
                strbuf_add(&words, " failed (");
                strbuf_add(&words, name ?: "an errno without a name");
                strbuf_add(&words, ")");
        }
        probe_result_set(r,
                         error == ENOMEM || error == EMFILE || error == ENFILE || error == EAGAIN ?
                                 OUTCOME_RESOURCES :
                                 OUTCOME_LOCAL,
                         words.text);
}

static void trace_command(ProbeTrace *t, char *const *command) {
        for (size_t i = 0; t && command[i]; i++) {
                if (i > 0)
                        probe_trace_sent(t, " ", 1);
                probe_trace_sent(t, command[i], strlen(command[i]));
        }
}

/* The command as execve() takes it. */
static int exec_prepare(_unused_ const ProbeTools *tools, const ProbeConfig *config, void **ret) {
        const char **command = calloc(config->exec.n_command + 1, sizeof *command);

        if (!command)
                return -ENOMEM;
        for (size_t i = 0; i < config->exec.n_command; i++)
                command[i] = config->exec.command[i];
        *ret = command;
        return 0;
}

static void exec_release(void *shared) {
        free(shared);
}

static int exec_start(const ProbeStart *start, ProbeResult *ret, void **ret_run) {
        _cleanup_(freep) ExecRun *run = calloc(1, sizeof *run);
        char service[NAME_SIZE + 32], probe[NAME_SIZE + 32];
        char *const environment[] = {
                (char *)"PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                (char *)"LC_ALL=C.UTF-8",
                service,
                probe,
                NULL,
        };
        const char *call = "calloc";
        int r = -ENOMEM;

        (void)snprintf(service, sizeof service, "ROLLBACKD_SERVICE=%s", start->service);
        (void)snprintf(probe, sizeof probe, "ROLLBACKD_PROBE=%s", start->config->name);
        if (run) {
                *run = (ExecRun){ .config = start->config,
                                  .trace = start->trace,
                                  .done = start->done,
                                  .userdata = start->userdata };
                trace_command(start->trace, start->shared);
                r = child_start(&run->child, start->tools->children,
                                &(ChildSetup){ .command = start->shared,
                                               .environment = environment,
                                               .on_end = on_end,
                                               .userdata = run },
                                &call);
        }
        if (r < 0) {
                set_not_started(ret, start->config->exec.command[0], -r, call);
                return 0;
        }
        probe_trace_mark(start->trace, MOMENT_SENT);
        *ret_run = TAKE_PTR(run);
        return 1;
}

static const char *exec_waiting_for(const void *run _unused_) {
        return "end of the program";
}

static void exec_cancel(void *userdata) {
        ExecRun *run = userdata;

        child_cancel(run->child);
        free(run);
}

const ProbeKind probe_kind_exec = {
        .name = "exec",
        .descriptors = CHILD_DESCRIPTORS,
        .late = OUTCOME_LOCAL,
        .prepare = exec_prepare,
        .release = exec_release,
        .start = exec_start,
        .waiting_for = exec_waiting_for,
        .cancel = exec_cancel,
};
