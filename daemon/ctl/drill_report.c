/* What came of a drill: for people, for scripts, and for the ledger. */
#include <errno.h>
#include <time.h>

#include "ctl.h"
#include "drill.h"

/* The ledger keeps 65536 bytes of a report, and adds blanks to it. */
#define REPORT_MAX 60000

static const char *const result_names[_DRILL_RESULT_MAX] = {
        [DRILL_GOOD] = "good",
        [DRILL_WARNING] = "warning",
        [DRILL_FAILED] = "failed",
};

usec_t drill_now(void) {
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t);
        return (usec_t)t.tv_sec * USEC_PER_SEC + (usec_t)t.tv_nsec / 1000;
}

const char *drill_name(const Drill *d) {
        return d->service ?: d->path;
}

DrillCheck *drill_add(Drill *d, DrillResult result, const char *what, const char *words) {
        DrillCheck *c = &d->checks[d->n_checks];
        StrBuf b;

        assert(d->n_checks < DRILL_CHECKS_MAX);
        d->n_checks++;
        d->n_failed += result == DRILL_FAILED;
        *c = (DrillCheck){ .result = result };
        strbuf_init(&b, c->what, sizeof c->what);
        strbuf_add(&b, what);
        strbuf_init(&b, c->words, sizeof c->words);
        strbuf_add(&b, words);
        return c;
}

DrillCheck *drill_add_failure(Drill *d, const char *what, const PgFailure *failure) {
        return drill_add(d, DRILL_FAILED, what, failure->message);
}

static double milliseconds(usec_t t) {
        return (double)t / USEC_PER_MSEC;
}

/* A refused file may have several mistakes: each has its line. */
static void print_check(const DrillCheck *c) {
        for (const char *text = c->words;; fputc('\n', stdout)) {
                STRBUF(row, sizeof c->words);
                size_t n = strcspn(text, "\n");

                strbuf_add_n(&row, text, n);
                printf("  %-8s ", result_names[c->result]);
                print_text(c->what, 26);
                fputc(' ', stdout);
                print_text(row.text, 0);
                text += n + (text[n] == '\n');
                if (*text == '\0')
                        break;
        }
        if (c->ran)
                printf(": %llu rows in %.1f ms", (unsigned long long)c->rows,
                       milliseconds(c->took));
        fputc('\n', stdout);
}

static void print_end(const Drill *d) {
        print_text(drill_name(d), 0);
        if (d->n_failed > 0)
                printf(": drill failed: %zu reason%s\n", d->n_failed, d->n_failed > 1 ? "s" : "");
        else
                printf(": drill succeeded: %s -> %s in %.0f ms\n", d->plan.from_version,
                       d->plan.to_version, milliseconds(d->took));
}

static void print_reason(const Drill *d, const DrillCheck *c) {
        STRBUF(before, 5000);

        strbuf_add_escaped(&before, drill_name(d), strlen(drill_name(d)));
        strbuf_add(&before, ": ");
        strbuf_add(&before, c->what);
        strbuf_add(&before, ": ");
        print_failure(before.text, c->words);
        if (c->advice[0] != '\0')
                print_failure("  ", c->advice);
}

void drill_print(const Drill *d, bool quiet) {
        if (!quiet) {
                print_text(drill_name(d), 0);
                puts(":");
                for (size_t i = 0; i < d->n_checks; i++)
                        print_check(&d->checks[i]);
                print_end(d);
                (void)fflush(stdout);
        }
        for (size_t i = 0; i < d->n_checks; i++)
                if (d->checks[i].result == DRILL_FAILED)
                        print_reason(d, &d->checks[i]);
}

static Json *check_json(const DrillCheck *c) {
        Json *j = json_new_object();

        json_set_text(j, "check", c->what);
        json_set_text(j, "result", result_names[c->result]);
        json_set_text(j, "words", c->words);
        if (c->advice[0] != '\0')
                json_set_text(j, "advice", c->advice);
        if (c->ran) {
                json_set_u64(j, "rows", c->rows);
                json_set_double(j, "milliseconds", milliseconds(c->took));
        }
        return j;
}

Json *drill_json(const Drill *d) {
        Json *j = json_new_object(), *checks = json_new_array();
        bool to = d->plan.to_version[0] != '\0';

        for (size_t i = 0; i < d->n_checks; i++)
                json_add(checks, check_json(&d->checks[i]));
        json_set_text(j, "service", d->service);
        json_set_text(j, "policy", d->path);
        json_set_bool(j, "succeeded", d->n_failed == 0);
        json_set_u64(j, "reasons", d->n_failed);
        json_set_text(j, "from", d->facts.version[0] != '\0' ? d->facts.version : NULL);
        json_set_text(j, "to", to ? d->plan.to_version : NULL);
        json_set_u64(j, "epoch", d->facts.epoch);
        json_set_double(j, "milliseconds", milliseconds(d->took));
        json_set(j, "checks", checks);
        return j;
}

/* The report as the ledger takes it, to be freed: when it is too long, without its checks, which it
 * then counts. */
static char *report_text(const Drill *d, const Json *report) {
        _cleanup_(freep) char *text = json_text(report);
        _cleanup_(json_freep) Json *shorter = NULL;

        if (!text || strlen(text) <= REPORT_MAX)
                return TAKE_PTR(text);
        shorter = json_copy(report);
        json_set_null(shorter, "checks");
        json_set_u64(shorter, "checks_left_out", d->n_checks);
        return json_text(shorter);
}

static int refuse(const Drill *d, const char *words) {
        STRBUF(before, 5000);

        strbuf_add_escaped(&before, drill_name(d), strlen(drill_name(d)));
        strbuf_add(&before, ": the result is not recorded: ");
        print_failure(before.text, words);
        return -EIO;
}

int drill_record(const Drill *d, const Json *report) {
        _cleanup_(freep) char *text = report_text(d, report);
        _cleanup_(pg_result_freep) PgResult *r = NULL;
        const char *values[] = { d->service, d->n_failed == 0 ? "true" : "false", text };
        PgFailure failure;

        if (!text)
                return refuse(d, "out of memory");
        if (!d->service)
                return refuse(d, "the file does not tell its service");
        r = pg_sync_statement(d->ledger,
                              "SELECT rollbackd.drill_result(service => $1, succeeded => $2, "
                              "report => $3)",
                              ELEMENTSOF(values), values, &failure);
        if (r)
                return 0;
        /* undefined_function: schema 1 has none. */
        return refuse(d, streq(failure.sqlstate, "42883") ?
                                 "the ledger's schema keeps none; type: rollbackctl db migrate" :
                                 failure.message);
}
