/* db prune: retention by hand, batch after batch until nothing is left. */
#include <inttypes.h>

#include "ctl.h"
#include "ledger.h"
#include "ledger_facts.h"

/* --older-than, or what rollbackd.conf says. */
static ExitCode find_age(const CommandLine *line, usec_t *ret) {
        _cleanup_(daemon_config_freep) DaemonConfig *config = NULL;
        ExitCode code;

        if (line->values[OPTION_OLDER_THAN])
                return usec_parse(line->values[OPTION_OLDER_THAN], ret) < 0 ? EXIT_USAGE : EXIT_OK;
        code = command_config(line, &config);
        if (code != EXIT_OK)
                return code;
        if (!config) {
                fputs("rollbackctl db prune: how old? There is no rollbackd.conf: say --older-than "
                      "400d\n",
                      stderr);
                return EXIT_USAGE;
        }
        *ret = config->retention;
        return EXIT_OK;
}

static ExitCode run_batch(PgSync *s, usec_t age, bool dry_run, LedgerPruned *ret) {
        char interval[LEDGER_INTERVAL_SIZE];
        const char *parameters[] = { ledger_interval(age, interval), dry_run ? "true" : "false" };
        _cleanup_(pg_result_freep) PgResult *result = NULL;
        PgFailure failure;

        result = pg_sync_query(s,
                               "SELECT what, n FROM rollbackd.prune(older_than => $1::interval, "
                               "dry_run => $2::boolean)",
                               ELEMENTSOF(parameters), parameters, &failure);
        if (!result)
                return sql_fail_or_say(&failure, "it takes the daemon's rights, as in: runuser -u "
                                                 "rollbackd -- rollbackctl db prune");
        if (!ledger_read_pruned(result, ret, &failure))
                return sql_fail(&failure);
        return EXIT_OK;
}

static void print_sum(const CommandLine *line, usec_t age, bool dry_run, const LedgerPruned *sum) {
        const struct {
                const char *what;
                uint64_t n;
        } rows[] = {
                { "events", sum->events },
                { "deliveries", sum->deliveries },
                { "operations", sum->operations },
                { "steps", sum->steps },
        };
        _cleanup_(json_freep) Json *j = json_new_object();
        STRBUF(older, 32);

        strbuf_add_usec(&older, age);
        json_set_u64(j, "api_version", 1);
        json_set_text(j, "older_than", older.text);
        json_set_bool(j, "dry_run", dry_run);
        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                json_set_u64(j, rows[i].what, rows[i].n);
        if (line->values[OPTION_JSON]) {
                print_json(j);
                return;
        }
        printf("older than %s, %s:\n", older.text, dry_run ? "would go" : "gone");
        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                printf("%10" PRIu64 " %s\n", rows[i].n, rows[i].what);
}

ExitCode run_prune(const Verb *verb _unused_, const CommandLine *line) {
        bool dry_run = line->values[OPTION_DRY_RUN];
        _cleanup_(pg_sync_freep) PgSync *s = NULL;
        LedgerPruned sum = { 0 }, batch;
        ExitCode code;
        usec_t age;

        code = find_age(line, &age);
        if (code != EXIT_OK)
                return code;
        s = sql_connect(line, &code);
        if (!s)
                return code;
        do {
                batch = (LedgerPruned){ 0 };
                code = run_batch(s, age, dry_run, &batch);
                ledger_pruned_add(&sum, &batch);
        } while (code == EXIT_OK && !dry_run && ledger_pruned_sum(&batch) > 0);
        /* What an earlier batch took is gone, also when a later one fails. */
        if (code == EXIT_OK || ledger_pruned_sum(&sum) > 0)
                print_sum(line, age, dry_run, &sum);
        return code;
}
